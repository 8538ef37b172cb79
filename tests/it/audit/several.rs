//! Events that concern several subjects, and what older releases left.

use chrono::SubsecRound;
use migration::{Migrator, MigratorTrait};
use oubliette::{
    audit::{self, Action, EventPageRequest, Filter, NewEvent, Origin, Outcome, page},
    chain::Problem,
    database,
    entity::{audit_event, audit_event_subject, audit_group_subject, audit_head},
    envelope::SubjectId,
};
use sea_orm::{
    ActiveModelTrait, ConnectionTrait, DatabaseConnection, EntityTrait, IntoActiveModel, Set, Statement,
};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::{events, fault, migrated, reads, trail};
use crate::harness::{TestStack, on_both_databases};

on_both_databases!(
    what_an_older_release_left_stays_sound,
    an_event_about_several_is_found_from_each,
    more_subjects_than_fit_are_counted,
    an_event_that_is_hidden_from_a_subject_is_found,
    an_older_event_about_several_is_found_from_each,
    an_event_whose_group_has_a_row_already_is_stored,
    the_first_of_many_groups_are_found_in_order,
);

fn refused(subjects: &[SubjectId], count: u32) -> NewEvent {
    refused_to("ada", subjects, count)
}

fn refused_to(actor: &str, subjects: &[SubjectId], count: u32) -> NewEvent {
    let event = NewEvent::new(&Origin::new(actor).in_request("r-1"), Action::Forget);
    event.outcome(Outcome::Denied).about_each(subjects).times(count)
}

fn subjects(count: usize) -> Vec<SubjectId> {
    (0..count).map(|_| SubjectId::generate()).collect()
}

/// Appends an event as a release before this one does, into whatever schema is there.
async fn append_as_before(db: &DatabaseConnection, sequence: i64, previous: &[u8]) -> Vec<u8> {
    let at = chrono::Utc::now().trunc_subsecs(6);
    let subject = Uuid::from(SubjectId::generate());
    let time = at.format("%Y-%m-%dT%H:%M:%S%.6fZ");
    let text = format!(
        "oubliette audit 1\n{}\n{sequence}\n{time}\nbob\nupdate\n{subject}\nemail\n\nr-1\nok\n",
        hex::encode(previous)
    );
    let digest = Sha256::digest(text).to_vec();
    let sql = "INSERT INTO audit_events (sequence, occurred_at, actor, action, subject_id, attributes, request_id, \
               outcome, previous_digest, digest) VALUES ($1, $2, 'bob', 'update', $3, 'email', 'r-1', 'ok', $4, $5)";
    let values = [sequence.into(), at.into(), subject.into(), previous.into(), digest.clone().into()];
    db.execute_raw(Statement::from_sql_and_values(db.get_database_backend(), sql, values)).await.unwrap();
    let moved = audit_head::Model { id: 1, sequence, digest: digest.clone() };
    moved.into_active_model().reset_all().update(db).await.unwrap();
    digest
}

async fn what_an_older_release_left_stays_sound(stack: TestStack) {
    let db = database::connect(&stack.config()).await.unwrap();
    let all = Migrator::migrations();
    let before = all.iter().position(|migration| migration.name().ends_with("_audit_2")).unwrap();
    Migrator::up(&db, Some(before.try_into().unwrap())).await.unwrap();
    let mut digest = vec![0; 32];
    for sequence in 1..=3 {
        digest = append_as_before(&db, sequence, &digest).await;
    }
    database::migrate(&db).await.unwrap();
    assert_eq!(fault(&db).await, None);

    // While servers are updated one by one, both releases append.
    trail(&db).record_durably(&[refused(&subjects(2), 5)]).await.unwrap();
    let head = audit::head(&db).await.unwrap().unwrap();
    append_as_before(&db, head.sequence + 1, &head.digest).await;
    trail(&db).record_durably(&reads("ada", 1)).await.unwrap();
    assert_eq!(fault(&db).await, None);
    let told: Vec<_> = events(&db).await.iter().map(|event| (event.version, event.count)).collect();
    assert_eq!(told, [(1, 1), (1, 1), (1, 1), (2, 5), (1, 1), (2, 1)]);

    // What version 1 does not tell, nobody may add.
    for change in ["count = 2", "subject_ids = 'x'", "version = 2"] {
        db.execute_unprepared(&format!("UPDATE audit_events SET {change} WHERE sequence = 2")).await.unwrap();
        assert_eq!(fault(&db).await, Some((2, Problem::Changed)), "{change}");
        let sql = "UPDATE audit_events SET count = 1, subject_ids = NULL, version = 1 WHERE sequence = 2";
        db.execute_unprepared(sql).await.unwrap();
    }
    assert_eq!(fault(&db).await, None);
}

/// The sequences of a subject's events, by pages of `size`.
async fn found(db: &DatabaseConnection, subject: SubjectId, size: u64) -> Vec<i64> {
    let filter = Filter { subject: Some(subject), ..Filter::default() };
    let mut request = EventPageRequest { size, after: None, before: None };
    let mut all = Vec::new();
    loop {
        let page = page(db, &filter, request).await.unwrap();
        assert!(page.events.iter().all(|event| event.subjects.contains(&subject)));
        all.extend(page.events.iter().map(|event| event.sequence));
        request.after = all.last().copied();
        if !page.has_next {
            return all;
        }
    }
}

async fn an_event_about_several_is_found_from_each(stack: TestStack) {
    let db = migrated(&stack).await;
    let trail = trail(&db);
    let [one, two, three] = subjects(3).try_into().unwrap();
    let alone = |subject| NewEvent::new(&Origin::new("bob"), Action::ReadPii).about(subject);
    trail.record_durably(&[alone(one), refused(&[two, one, two], 7)]).await.unwrap();
    // By each way to append: after a lock, in one statement, and in somebody's transaction.
    for _ in 0..3 {
        trail.record_durably(&[refused(&[one, three], 2), alone(one), alone(two)]).await.unwrap();
    }
    audit::record(&db, [&refused(&[two, three], 3), &refused(&[three], 1)]).await.unwrap();
    assert_eq!(fault(&db).await, None);
    for size in [1, 2, 100] {
        assert_eq!(found(&db, one, size).await, [1, 2, 3, 4, 6, 7, 9, 10], "pages of {size}");
        assert_eq!(found(&db, two, size).await, [2, 5, 8, 11, 12]);
        assert_eq!(found(&db, three, size).await, [3, 6, 9, 12, 13]);
        assert_eq!(found(&db, SubjectId::generate(), size).await, Vec::<i64>::new());
    }
    let page = page(&db, &Filter::default(), EventPageRequest { size: 100, after: None, before: None })
        .await
        .unwrap();
    let mut both = vec![one, two];
    both.sort();
    assert_eq!((&page.events[1].subjects, page.events[1].count), (&both, 7));
    assert_eq!((page.events[1].subject(), page.events[0].subject()), (None, Some(one)));
    assert_eq!(events(&db).await[12].subject_id, Some(three.into()), "one is no list");
    let rows = audit_group_subject::Entity::find().all(&db).await.unwrap();
    assert_eq!(rows.len(), 3 * 2, "three groups of two, however often: {rows:?}");
}

async fn more_subjects_than_fit_are_counted(stack: TestStack) {
    let db = migrated(&stack).await;
    let many = subjects(150);
    trail(&db).record_durably(&[refused(&many, 150)]).await.unwrap();
    assert_eq!(fault(&db).await, None);
    assert_eq!(found(&db, many[99], 9).await, [1]);
    assert_eq!(found(&db, many[100], 9).await, Vec::<i64>::new());
    assert_eq!(events(&db).await[0].count, 150);
    assert_eq!(audit_group_subject::Entity::find().all(&db).await.unwrap().len(), 100);
}

async fn an_event_that_is_hidden_from_a_subject_is_found(stack: TestStack) {
    let db = migrated(&stack).await;
    let [one, two] = subjects(2).try_into().unwrap();
    let trail = trail(&db);
    trail.record_durably(&reads("ada", 1500)).await.unwrap();
    trail.record_durably(&[refused(&[one, two], 2)]).await.unwrap();
    trail.record_durably(&reads("ada", 2)).await.unwrap();
    let group = events(&db).await[1500].group_id.unwrap();
    let join = async |subject: SubjectId, group_id| {
        let row = audit_group_subject::Model { subject_id: subject.into(), group_id };
        let row = row.into_active_model().reset_all();
        audit_group_subject::Entity::insert(row).exec_without_returning(&db).await.unwrap();
    };
    let leave = async |subject: SubjectId| {
        let left = audit_group_subject::Entity::delete_by_id((subject.into(), group)).exec(&db).await;
        assert_eq!(left.unwrap().rows_affected, 1);
    };
    assert_eq!(fault(&db).await, None);
    leave(one).await;
    assert_eq!(fault(&db).await, Some((1501, Problem::Misindexed)), "a row is gone");
    assert_eq!(audit::verify(&db, None).await.unwrap().sound.sequence, 1500);
    let other = SubjectId::generate();
    join(other, group).await;
    assert_eq!(fault(&db).await, Some((1501, Problem::Misindexed)), "a row is another");
    join(one, group).await;
    assert_eq!(fault(&db).await, Some((1501, Problem::Misindexed)), "there is one more");
    leave(other).await;
    assert_eq!(fault(&db).await, None);
    join(other, Uuid::new_v4()).await;
    assert_eq!(fault(&db).await, None, "no event has that group");
    // Another group of the same people: the events to come would not find theirs.
    let another = Uuid::new_v4();
    join(one, another).await;
    join(two, another).await;
    let is_in = async |group: Uuid| {
        let event = audit_event::Entity::find_by_id(1501).one(&db).await.unwrap().unwrap();
        let moved = audit_event::ActiveModel { group_id: Set(Some(group)), ..event.into() };
        moved.update(&db).await.unwrap();
    };
    is_in(another).await;
    assert_eq!(fault(&db).await, Some((1501, Problem::Misindexed)), "it is not the list's");
    is_in(group).await;
    assert_eq!(fault(&db).await, None);
    let set = "UPDATE audit_events SET group_id";
    db.execute_unprepared(&format!("{set} = NULL WHERE sequence = 1501")).await.unwrap();
    assert_eq!(fault(&db).await, Some((1501, Problem::Misindexed)), "the event has no group");
    db.execute_unprepared(&format!(
        "{set} = (SELECT group_id FROM audit_group_subjects LIMIT 1) WHERE sequence = 3"
    ))
    .await
    .unwrap();
    assert_eq!(fault(&db).await, Some((3, Problem::Misindexed)), "an event of one has a group");
}

/// Whoever puts rows into the index stops nobody from recording.
async fn an_event_whose_group_has_a_row_already_is_stored(stack: TestStack) {
    let db = migrated(&stack).await;
    let [one, two] = subjects(2).try_into().unwrap();
    let trail = trail(&db);
    trail.record_durably(&[refused(&[one, two], 2)]).await.unwrap();
    // As if the events were deleted, and one row of their group, and nothing else.
    let group = events(&db).await[0].group_id.unwrap();
    db.execute_unprepared("UPDATE audit_events SET group_id = NULL").await.unwrap();
    audit_group_subject::Entity::delete_by_id((one.into(), group)).exec(&db).await.unwrap();
    trail.record_durably(&[refused(&[one, two], 2)]).await.unwrap();
    audit::record(&db, [&refused(&[one, two], 2)]).await.unwrap();
    assert_eq!(events(&db).await.len(), 3);
    assert_eq!(fault(&db).await, Some((1, Problem::Misindexed)));
}

/// The first events of a subject in many groups, among many events, with a filter that some of them do not pass.
async fn the_first_of_many_groups_are_found_in_order(stack: TestStack) {
    let db = migrated(&stack).await;
    let all = subjects(40);
    let one = all[0];
    let trail = trail(&db);
    let mut expected = Vec::new();
    for round in 0..4 {
        for other in 1..all.len() {
            let who = if (round + other) % 3 == 0 { "bob" } else { "ada" };
            trail.record_durably(&[refused_to(who, &[one, all[other]], 2)]).await.unwrap();
            if who == "bob" {
                expected.push(i64::try_from(round * (all.len() - 1) + other).unwrap());
            }
        }
    }
    let filter = Filter { subject: Some(one), actor: Some("bob".to_owned()), ..Filter::default() };
    for size in [1, 3, 100] {
        let mut found = Vec::new();
        loop {
            let request = EventPageRequest { size, after: found.last().copied(), before: None };
            let page = page(&db, &filter, request).await.unwrap();
            found.extend(page.events.iter().map(|event| event.sequence));
            if !page.has_next {
                break;
            }
        }
        assert_eq!(found, expected, "pages of {size}");
    }
}

async fn an_older_event_about_several_is_found_from_each(stack: TestStack) {
    let db = migrated(&stack).await;
    let [one, two] = subjects(2).try_into().unwrap();
    let trail = trail(&db);
    trail.record_durably(&reads("ada", 1500)).await.unwrap();
    trail.record_durably(&[refused(&[one, two], 2)]).await.unwrap();
    trail.record_durably(&reads("ada", 1)).await.unwrap();
    // As a server of the release before leaves it.
    db.execute_unprepared("UPDATE audit_events SET group_id = NULL").await.unwrap();
    db.execute_unprepared("DELETE FROM audit_group_subjects").await.unwrap();
    let row =
        |subject: SubjectId, sequence| audit_event_subject::Model { subject_id: subject.into(), sequence };
    let insert = async |row: audit_event_subject::Model| {
        let row = row.into_active_model().reset_all();
        audit_event_subject::Entity::insert(row).exec_without_returning(&db).await.unwrap();
    };
    let delete = async |subject: SubjectId, sequence| {
        let deleted = audit_event_subject::Entity::delete_by_id((subject.into(), sequence)).exec(&db).await;
        assert_eq!(deleted.unwrap().rows_affected, 1);
    };
    assert_eq!(fault(&db).await, Some((1501, Problem::Misindexed)));
    insert(row(one, 1501)).await;
    insert(row(two, 1501)).await;
    assert_eq!(fault(&db).await, None);
    for slipped_in in [0, 7, 1502] {
        insert(row(two, slipped_in)).await;
        assert_eq!(fault(&db).await, Some((slipped_in, Problem::Misindexed)), "a row of no such event");
        delete(two, slipped_in).await;
    }
    assert_eq!(fault(&db).await, None);
    // And beside newer ones.
    trail.record_durably(&[refused(&[one, two], 2)]).await.unwrap();
    assert_eq!(fault(&db).await, None);
    for size in [1, 100] {
        assert_eq!(found(&db, one, size).await, [1501, 1503]);
    }
}
