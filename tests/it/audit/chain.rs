//! What somebody did to the trail in the database is found, and where.

use oubliette::{
    audit::{self, GENESIS_DIGEST, Head, NewEvent, Problem},
    entity::audit_event::{self, Model},
};
use sea_orm::{ActiveModelTrait, ConnectionTrait, DatabaseConnection, EntityTrait, IntoActiveModel};
use sha2::{Digest, Sha256};

use super::{events, fault, migrated, reads, trail};
use crate::harness::{TestStack, on_both_databases};

on_both_databases!(
    anybody_can_check_a_digest,
    an_untouched_trail_is_sound,
    a_changed_event_is_found,
    a_deleted_event_is_found,
    a_deleted_tail_is_found,
    a_reordered_pair_is_found,
    a_trail_that_was_written_anew_is_found_by_a_kept_head,
    what_was_slipped_in_is_found,
    a_head_that_is_gone_or_wrong_is_found,
    pages_are_walked_and_filtered,
);

/// A sound trail of some length.
async fn trail_of(stack: &TestStack, count: usize) -> DatabaseConnection {
    let db = migrated(stack).await;
    trail(&db).record_durably(&reads("ada", count)).await.unwrap();
    assert_eq!(fault(&db).await, None);
    db
}

async fn sql(db: &DatabaseConnection, sql: &str) {
    db.execute_unprepared(sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
}

async fn head(db: &DatabaseConnection) -> Head {
    audit::head(db).await.unwrap().unwrap()
}

/// The same against a head that was kept elsewhere.
async fn fault_against(db: &DatabaseConnection, kept: &Head) -> Option<(i64, Problem)> {
    let verified = audit::verify(db, Some(kept)).await.unwrap();
    verified.fault.map(|fault| (fault.sequence, fault.problem))
}

/// As the documentation says it, not as the code does.
fn documented_digest(event: &Model) -> Vec<u8> {
    let subjects =
        event.subject_ids.clone().or(event.subject_id.map(|id| id.to_string())).unwrap_or_default();
    let count = if event.version == 1 { String::new() } else { format!("{}\n", event.count) };
    let text = format!(
        "oubliette audit {}\n{}\n{}\n{}\n{}\n{}\n{}\n{count}{}\n{}\n{}\n{}\n",
        event.version,
        hex::encode(&event.previous_digest),
        event.sequence,
        event.occurred_at.format("%Y-%m-%dT%H:%M:%S%.6fZ"),
        event.actor,
        event.action,
        subjects,
        event.attributes,
        event.target.clone().unwrap_or_default(),
        event.request_id.clone().unwrap_or_default(),
        event.outcome,
    );
    Sha256::digest(text).to_vec()
}

/// Writes the trail anew from a place on, with digests that fit: as somebody would who can write to the database.
async fn forge(db: &DatabaseConnection, from: usize, change: impl FnOnce(&mut Vec<Model>)) {
    let mut all = events(db).await;
    change(&mut all);
    sql(db, "DELETE FROM audit_events").await;
    for index in from..all.len() {
        let previous =
            index.checked_sub(1).map_or(GENESIS_DIGEST.to_vec(), |before| all[before].digest.clone());
        let event = &mut all[index];
        event.sequence = i64::try_from(index).unwrap() + 1;
        event.previous_digest = previous;
        event.digest = documented_digest(event);
    }
    let last = all.last().unwrap().clone();
    let rows = all.into_iter().map(|event| event.into_active_model().reset_all());
    audit_event::Entity::insert_many(rows).exec_without_returning(db).await.unwrap();
    let moved = oubliette::entity::audit_head::Model { id: 1, sequence: last.sequence, digest: last.digest };
    moved.into_active_model().reset_all().update(db).await.unwrap();
}

async fn anybody_can_check_a_digest(stack: TestStack) {
    let db = trail_of(&stack, 3).await;
    let mut previous = GENESIS_DIGEST.to_vec();
    for (expected, event) in (1..).zip(events(&db).await) {
        assert_eq!((event.sequence, &event.previous_digest), (expected, &previous));
        assert_eq!(event.digest, documented_digest(&event));
        previous = event.digest;
    }
    assert_eq!(head(&db).await, Head { sequence: 3, digest: previous });
}

async fn an_untouched_trail_is_sound(stack: TestStack) {
    let db = migrated(&stack).await;
    assert_eq!(fault(&db).await, None, "an empty one, too");
    let (mut kept, trail) = (vec![head(&db).await], trail(&db));
    for count in [1, 999, 1, 1500] {
        trail.record_durably(&reads("ada", count)).await.unwrap();
        kept.push(head(&db).await);
    }
    for kept in &kept {
        assert_eq!(fault_against(&db, kept).await, None, "{kept}");
        assert_eq!(kept.to_string().parse(), Ok(kept.clone()));
    }
    assert_eq!(audit::verify(&db, None).await.unwrap().sound, kept[4]);
}

async fn a_changed_event_is_found(stack: TestStack) {
    for change in [
        "actor = 'eve'",
        "action = 'update'",
        "subject_id = NULL",
        "attributes = 'email'",
        "target = 'x'",
        "request_id = NULL",
        "outcome = 'denied'",
        "count = 2",
        "version = 1",
        "version = 3",
        "subject_ids = '019abcde-0000-7000-8000-000000000001,019abcde-0000-7000-8000-000000000002'",
        "occurred_at = '2026-11-23 21:05:00.123456+00:00'",
    ] {
        let db = trail_of(&stack, 5).await;
        sql(&db, &format!("UPDATE audit_events SET {change} WHERE sequence = 3")).await;
        assert_eq!(fault(&db).await, Some((3, Problem::Changed)), "{change}");
        sql(&db, "DELETE FROM audit_events").await;
        sql(&db, &format!("UPDATE audit_head SET sequence = 0, digest = {}", zeros(&stack))).await;
    }
    // With a digest that fits again, the next one does not follow it.
    let db = trail_of(&stack, 5).await;
    let mut changed = events(&db).await.remove(2);
    changed.actor = "eve".to_owned();
    changed.digest = documented_digest(&changed);
    sql(&db, "DELETE FROM audit_events WHERE sequence = 3").await;
    let row = changed.into_active_model().reset_all();
    audit_event::Entity::insert(row).exec_without_returning(&db).await.unwrap();
    assert_eq!(fault(&db).await, Some((4, Problem::Unlinked)));
}

fn zeros(stack: &TestStack) -> String {
    let prefix = if stack.is_postgres() { "'\\x" } else { "x'" };
    format!("{prefix}{}'", "00".repeat(32))
}

async fn a_deleted_event_is_found(stack: TestStack) {
    let db = trail_of(&stack, 2100).await;
    sql(&db, "DELETE FROM audit_events WHERE sequence = 1500").await;
    assert_eq!(fault(&db).await, Some((1500, Problem::Missing)));
    // Closing the gap does not help.
    sql(&db, "UPDATE audit_events SET sequence = 1500 WHERE sequence = 1501").await;
    assert_eq!(fault(&db).await, Some((1500, Problem::Unlinked)));
    sql(&db, "DELETE FROM audit_events WHERE sequence = 1").await;
    assert_eq!(fault(&db).await, Some((1, Problem::Missing)));
    sql(&db, "DELETE FROM audit_events").await;
    assert_eq!(fault(&db).await, Some((1, Problem::Missing)));
}

async fn a_deleted_tail_is_found(stack: TestStack) {
    let db = trail_of(&stack, 10).await;
    let kept = head(&db).await;
    sql(&db, "DELETE FROM audit_events WHERE sequence > 7").await;
    assert_eq!(fault(&db).await, Some((8, Problem::Missing)));
    // With the head put back, only a kept one knows.
    sql(
        &db,
        "UPDATE audit_head SET sequence = 7, digest = (SELECT digest FROM audit_events WHERE sequence = 7)",
    )
    .await;
    assert_eq!(fault(&db).await, None);
    assert_eq!(fault_against(&db, &kept).await, Some((8, Problem::Missing)));
    // Others write on.
    trail(&db).record_durably(&reads("bob", 20)).await.unwrap();
    assert_eq!(fault(&db).await, None);
    assert_eq!(fault_against(&db, &kept).await, Some((10, Problem::NotTheKept)));
}

async fn a_reordered_pair_is_found(stack: TestStack) {
    let db = trail_of(&stack, 6).await;
    for (from, to) in [(3, 100), (4, 3), (100, 4)] {
        sql(&db, &format!("UPDATE audit_events SET sequence = {to} WHERE sequence = {from}")).await;
    }
    assert_eq!(fault(&db).await, Some((3, Problem::Unlinked)));
}

async fn a_trail_that_was_written_anew_is_found_by_a_kept_head(stack: TestStack) {
    let db = trail_of(&stack, 8).await;
    let kept = head(&db).await;
    forge(&db, 2, |all| {
        all.remove(2);
    })
    .await;
    assert_eq!(fault(&db).await, None, "it is sound in itself");
    assert_eq!(fault_against(&db, &kept).await, Some((8, Problem::Missing)));
    trail(&db).record_durably(&reads("bob", 3)).await.unwrap();
    let verified = audit::verify(&db, Some(&kept)).await.unwrap();
    assert_eq!(verified.fault.map(|fault| (fault.sequence, fault.problem)), Some((8, Problem::NotTheKept)));
    assert_eq!(verified.sound.sequence, 7);
}

async fn what_was_slipped_in_is_found(stack: TestStack) {
    let db = trail_of(&stack, 3).await;
    let mut slipped = events(&db).await.pop().unwrap();
    slipped.previous_digest = slipped.digest.clone();
    slipped.sequence = 4;
    slipped.digest = documented_digest(&slipped);
    let row = slipped.clone().into_active_model().reset_all();
    audit_event::Entity::insert(row).exec_without_returning(&db).await.unwrap();
    assert_eq!(fault(&db).await, Some((4, Problem::BeyondTheHead)));
    sql(&db, "UPDATE audit_events SET sequence = 0 WHERE sequence = 4").await;
    assert_eq!(fault(&db).await, Some((0, Problem::Unlinked)));
}

async fn a_head_that_is_gone_or_wrong_is_found(stack: TestStack) {
    let db = trail_of(&stack, 3).await;
    sql(&db, &format!("UPDATE audit_head SET digest = {}", zeros(&stack))).await;
    assert_eq!(fault(&db).await, Some((3, Problem::NotTheHead)));
    sql(&db, "DELETE FROM audit_head").await;
    assert_eq!(fault(&db).await, Some((1, Problem::Headless)));
}

async fn pages_are_walked_and_filtered(stack: TestStack) {
    use oubliette::audit::{Filter, PageRequest, page};
    let db = migrated(&stack).await;
    let trail = trail(&db);
    trail.record_durably(&[reads("ada", 3), reads("bob", 3)].concat()).await.unwrap();
    let subject = events(&db).await[4].subject_id.unwrap();
    let again = NewEvent::new(&audit::Origin::new("ada"), audit::Action::Forget).about(subject.into());
    trail.record_durably(&[again]).await.unwrap();
    let sequences = async |filter: &Filter, size, after, before| {
        let page = page(&db, filter, PageRequest { size, after, before }).await.unwrap();
        (page.events.iter().map(|event| event.sequence).collect::<Vec<_>>(), page.has_next)
    };
    let all = Filter::default();
    assert_eq!(sequences(&all, 4, None, None).await, (vec![1, 2, 3, 4], true));
    assert_eq!(sequences(&all, 4, Some(4), None).await, (vec![5, 6, 7], false));
    assert_eq!(sequences(&all, 4, Some(4), Some(6)).await, (vec![5], false));
    assert_eq!(sequences(&all, 0, None, None).await, (vec![], true));
    let ada = Filter { actor: Some("ada".to_owned()), ..Filter::default() };
    assert_eq!(sequences(&ada, 3, None, None).await, (vec![1, 2, 3], true));
    assert_eq!(sequences(&ada, 3, Some(3), None).await, (vec![7], false));
    let about = Filter { subject: Some(subject.into()), ..Filter::default() };
    assert_eq!(sequences(&about, 9, None, None).await, (vec![5, 7], false));
    let both = Filter { actor: ada.actor.clone(), ..about };
    assert_eq!(sequences(&both, 9, None, None).await, (vec![7], false));
    let moment = events(&db).await[6].occurred_at;
    let since = Filter { since: Some(moment), ..Filter::default() };
    assert_eq!(sequences(&since, 9, None, None).await, (vec![7], false));
    let until = Filter { until: Some(moment), ..Filter::default() };
    assert_eq!(sequences(&until, 9, None, None).await.0, [1, 2, 3, 4, 5, 6]);
}
