//! What becomes of users who are brought in, many at a time.

use std::{sync::Arc, time::Duration};

use oubliette::{
    KeyMetrics,
    attributes::{AttributeName, Change},
    audit::{self, EventPageRequest, Filter, Origin},
    config::KeysConfig,
    envelope::SubjectId,
    keys::{Backends, ErrorClass, Keyring, sweep::SweepOptions},
    users::{Difference, Import, ImportOptions, Imported, ImportedUser, UserError, Users},
};
use uuid::Uuid;

use crate::{
    attributes::{named, rows_of, sorted, values},
    harness::{Person, TestApp, TestBackend, TestStack, on_both_databases, soon},
};

on_both_databases!(
    users_are_brought_in_once_and_nobody_who_is_here_is_changed,
    whoever_was_forgotten_is_not_brought_back,
    two_who_bring_the_same_users_bring_each_once,
    two_who_bring_the_same_ids_under_other_names_bring_each_once,
    whoever_has_the_id_or_the_name_of_another_in_the_batch_is_left_out_whole,
    a_dry_run_stores_nobody,
    whoever_is_forgotten_while_a_key_is_made_is_not_brought_back,
    a_key_backend_that_fails_keeps_everybody_out,
);

type Values = Vec<(&'static str, String)>;

fn import(app: &TestApp, dry_run: bool) -> Import {
    app.users.import(
        &Origin::new("admin:import"),
        &SweepOptions::default(),
        ImportOptions { dry_run, ..ImportOptions::default() },
    )
}

fn imported(app: &TestApp, id: Option<Uuid>, person: &Person, values: &Values) -> ImportedUser {
    let mut new = person.new_user();
    for (name, value) in values {
        new.personal.add(&app.users.attribute(name).unwrap(), Change::Replace(value)).unwrap();
    }
    ImportedUser { id: id.map(SubjectId::from), new }
}

async fn count(app: &TestApp, table: &str) -> i64 {
    app.rows(&format!("SELECT COUNT(*) FROM {table}")).await[0].try_get_by_index(0).unwrap()
}

/// How many are there of users, values, data keys, and events.
async fn counts(app: &TestApp) -> [i64; 4] {
    let [users, values] = [count(app, "users").await, count(app, "personal_values").await];
    [users, values, count(app, "data_keys").await, count(app, "audit_events").await]
}

/// Everything of everybody opens.
async fn require_all_open(app: &TestApp, users: u64) {
    let verified = app.users.verify().sample(1000).await.unwrap();
    assert!(verified.faults.is_empty(), "{:?}", verified.faults);
    assert_eq!((verified.subjects, verified.data_keys), (users, users));
}

async fn users_are_brought_in_once_and_nobody_who_is_here_is_changed(stack: TestStack) {
    let app = TestApp::start(stack).await;
    let import = import(&app, false);
    let own = Uuid::new_v4();
    let people: Vec<_> = (0..3).map(|_| (Person::new(), values())).collect();
    let ids = [Some(own), None, None];
    let all = || {
        let each = people.iter().zip(ids).map(|((person, values), id)| imported(&app, id, person, values));
        each.collect::<Vec<_>>()
    };
    let created = import.bring(all()).await.unwrap();
    let ids: Vec<Uuid> = created
        .iter()
        .map(|one| match one {
            Imported::Created(id) => *id.as_uuid(),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(ids[0], own);
    assert_eq!(counts(&app).await, [3, 18, 3, 3]);
    // Each is sealed under the own key, and opens.
    for (id, (person, values)) in ids.iter().zip(&people) {
        let user = app.data(
            "query($id: ID!) { user(id: $id) { attributes { name value } } }",
            serde_json::json!({ "id": id }),
        );
        let mut expected = values.clone();
        expected.extend([("email", person.email.clone()), ("phone", person.phone.clone())]);
        assert_eq!(named(&user.await["user"]["attributes"], "value"), sorted(&expected));
        assert_eq!(rows_of(&app, *id).await.len(), 6);
    }
    // The same again: nobody is new, and it was a look.
    let events = counts(&app).await[3];
    let again = import.bring(all()).await.unwrap();
    assert_eq!(again, ids.iter().map(|id| Imported::Same((*id).into())).collect::<Vec<_>>());
    assert_eq!(counts(&app).await[..3], [3, 18, 3]);
    let filter = Filter { subject: Some(own.into()), ..Filter::default() };
    let request = EventPageRequest { size: 100, after: None, before: None };
    let looks = audit::page(&app.db, &filter, request).await.unwrap().events;
    let look = looks.iter().rfind(|event| event.actor == "admin:import").unwrap();
    assert_eq!((&*look.action, look.count, look.subjects.len()), ("read_pii", 3, 3));
    assert!(look.sequence > events && look.attributes.iter().all(|name| !name.ends_with("_masked")));
    let known = AttributeName::of_field("full_name").to_string();
    assert!(look.attributes.contains(&known), "{:?}", look.attributes);
    // Others are reported, and stay as they are.
    let (person, mut changed) = people[1].clone();
    changed.retain(|(name, _)| ["full_name", "national_id"].contains(name));
    changed[0].1 = "Somebody Else".to_owned();
    let renamed = Person { username: Person::new().username, ..people[0].0.clone() };
    let taken = Person { username: people[2].0.username.clone(), ..Person::new() };
    let other = Uuid::new_v4();
    let outcomes = import
        .bring(vec![
            imported(&app, None, &person, &changed),
            imported(&app, Some(own), &renamed, &people[0].1),
            imported(&app, Some(other), &taken, &Vec::new()),
        ])
        .await
        .unwrap();
    let differs = |id: Uuid, field: &str| {
        let problem = "is another one here";
        Imported::Different(id.into(), vec![Difference { field: field.to_owned(), problem }])
    };
    let problem = format!("is that of user {}, who has another id", ids[2]);
    assert_eq!(
        outcomes,
        [
            differs(ids[1], "full_name"),
            differs(own, "username"),
            Imported::Refused { field: "username".into(), problem }
        ]
    );
    assert_eq!(counts(&app).await[..3], [3, 18, 3]);
    // As they were.
    assert!(import.bring(all()).await.unwrap().iter().all(|one| matches!(one, Imported::Same(_))));
    assert!(audit::verify(&app.db, None).await.unwrap().fault.is_none());
}

async fn whoever_was_forgotten_is_not_brought_back(stack: TestStack) {
    let app = TestApp::start(stack).await;
    let import = import(&app, false);
    let (own, person, values) = (Uuid::new_v4(), Person::new(), values());
    import.bring(vec![imported(&app, Some(own), &person, &values)]).await.unwrap();
    app.forget(own).await;
    let (back, new) =
        (imported(&app, Some(own), &person, &values), imported(&app, None, &Person::new(), &values));
    let outcomes = import.bring(vec![back, new]).await.unwrap();
    let problem = "is that of a user who was forgotten, which stays so".to_owned();
    assert_eq!(outcomes[0], Imported::Refused { field: "id".into(), problem });
    // Nor is anybody of whom it cannot be said, unless whoever brings them says so.
    assert!(
        matches!(&outcomes[1], Imported::Refused { field, problem } if field == "id" && problem.starts_with("is missing: "))
    );
    assert_eq!(counts(&app).await[..3], [0, 0, 0]);
    let options = ImportOptions { without_ids: true, ..ImportOptions::default() };
    let knowing = app.users.import(&Origin::new("admin:import"), &SweepOptions::default(), options);
    let new = imported(&app, None, &Person::new(), &values);
    assert!(matches!(knowing.bring(vec![new]).await.unwrap()[..], [Imported::Created(_)]));
    assert_eq!(counts(&app).await[..3], [1, 6, 1]);
    // As long as nobody knows who was forgotten, nobody is brought in.
    let rollback = "INSERT INTO ledger_rollbacks (id, seen_sequence, seen_digest, found_sequence, found_digest, noticed_at, noticed_by)";
    let (id, digest) = (app.literal(Uuid::new_v4()), app.bytes(&[1; 32]));
    let at = "'2026-01-01 00:00:00+00:00'";
    app.sql(&format!("{rollback} VALUES ({id}, 2, {digest}, 1, {digest}, {at}, 'a test')")).await;
    let refused = import.bring(vec![imported(&app, None, &Person::new(), &values)]).await;
    assert!(matches!(refused, Err(UserError::LedgerWentBack)), "{refused:?}");
    assert_eq!(counts(&app).await[..3], [1, 6, 1]);
}

async fn two_who_bring_the_same_users_bring_each_once(stack: TestStack) {
    let app = TestApp::start(stack).await;
    let values = values();
    let people: Vec<_> = (0..200).map(|_| Person::new()).collect();
    let own = Uuid::new_v4();
    let all = |turned: bool| {
        let mut all: Vec<_> = people.iter().map(|person| imported(&app, None, person, &values)).collect();
        // Twice in one batch, with one id.
        all.push(imported(&app, Some(own), &Person::new(), &values));
        all.push(imported(&app, Some(own), &Person::new(), &values));
        if turned {
            all.reverse();
        }
        all
    };
    let (one, other) = (import(&app, false), import(&app, false));
    let (one, other) = tokio::join!(one.bring(all(false)), other.bring(all(true)));
    let outcomes: Vec<_> = one.unwrap().into_iter().chain(other.unwrap()).collect();
    let created = outcomes.iter().filter(|one| matches!(one, Imported::Created(_))).count();
    let same = outcomes.iter().filter(|one| matches!(one, Imported::Same(_))).count();
    let different = outcomes.iter().filter(|one| matches!(one, Imported::Different(..))).count();
    assert_eq!((created, same, different), (201, 200, 3));
    assert_eq!(counts(&app).await[..3], [201, 201 * 6, 201]);
    require_all_open(&app, 201).await;
    assert!(audit::verify(&app.db, None).await.unwrap().fault.is_none());
}

async fn whoever_has_the_id_or_the_name_of_another_in_the_batch_is_left_out_whole(stack: TestStack) {
    let app = TestApp::start(stack).await;
    let (one, two) = (Uuid::new_v4(), Uuid::new_v4());
    let named = |name: &str| Person { username: name.to_owned(), ..Person::new() };
    let [first, same_name, same_id] = [named("ada"), named("ada"), named("bob")];
    let outcomes = import(&app, false)
        .bring(vec![
            imported(&app, Some(one), &first, &values()),
            imported(&app, Some(two), &same_name, &values()),
            imported(&app, Some(two), &same_id, &values()),
            imported(&app, Some(Uuid::nil()), &Person::new(), &values()),
        ])
        .await
        .unwrap();
    let created = |id: Uuid| Imported::Created(id.into());
    let problem = format!("is that of user {one}, who has another id");
    let of_nobody = "is the nil UUID, which nobody can have".to_owned();
    let expected = [
        created(one),
        Imported::Refused { field: "username".into(), problem },
        created(two),
        Imported::Refused { field: "id".into(), problem: of_nobody },
    ];
    assert_eq!(outcomes, expected);
    assert_eq!(counts(&app).await[..3], [2, 12, 2]);
    require_all_open(&app, 2).await;
}

async fn a_dry_run_stores_nobody(stack: TestStack) {
    let app = TestApp::start(stack).await;
    let here = imported(&app, None, &Person::new(), &values());
    let outcomes = import(&app, true).bring(vec![here]).await.unwrap();
    assert!(matches!(outcomes[..], [Imported::Created(_)]));
    assert_eq!(counts(&app).await, [0, 0, 0, 0]);
    assert_eq!(app.backend.generated(), 0);
}

/// The same ids under names in the opposite order: each waits for the other.
async fn two_who_bring_the_same_ids_under_other_names_bring_each_once(stack: TestStack) {
    let app = TestApp::start(stack).await;
    let ids: Vec<_> = (0..200).map(|_| Uuid::new_v4()).collect();
    let named =
        |prefix: &str, place: usize| Person { username: format!("{prefix}-{place:03}"), ..Person::new() };
    let all = |prefix: &str, turned: bool| {
        let place = |place: usize| if turned { ids.len() - 1 - place } else { place };
        let each = ids
            .iter()
            .enumerate()
            .map(|(at, id)| imported(&app, Some(*id), &named(prefix, place(at)), &Vec::new()));
        each.collect::<Vec<_>>()
    };
    let (one, other) = (import(&app, false), import(&app, false));
    let (one, other) = tokio::join!(one.bring(all("a", false)), other.bring(all("b", true)));
    let outcomes: Vec<_> = one.unwrap().into_iter().chain(other.unwrap()).collect();
    let created = outcomes.iter().filter(|one| matches!(one, Imported::Created(_))).count();
    let different = outcomes.iter().filter(|one| matches!(one, Imported::Different(..))).count();
    assert_eq!((created, different), (200, 200));
    require_all_open(&app, 200).await;
}

/// The database says who was forgotten, in the transaction, and not what was found before it.
async fn whoever_is_forgotten_while_a_key_is_made_is_not_brought_back(stack: TestStack) {
    let app = TestApp::start(stack).await;
    let own = Uuid::new_v4();
    let brought = vec![
        imported(&app, Some(own), &Person::new(), &values()),
        imported(&app, None, &Person::new(), &values()),
    ];
    app.backend.hold_made();
    let bringing = tokio::spawn({
        let import = import(&app, false);
        async move { import.bring(brought).await }
    });
    soon("a data key is made", async || app.backend.generated() > 0).await;
    // Somebody else brings the same id, and that user is forgotten at once.
    let (config, metrics) = (KeysConfig::default(), KeyMetrics::default());
    let backends =
        Backends::new(Arc::new(TestBackend::local()), vec![app.backend.clone()], &config, metrics.clone());
    let others = Users::new(app.db.clone(), Keyring::new(app.db.clone(), backends, &config, metrics));
    let origin = Origin::new("somebody else");
    let new = ImportedUser { id: Some(own.into()), new: Person::new().new_user() };
    let came = others
        .import(&origin, &SweepOptions::default(), ImportOptions::default())
        .bring(vec![new])
        .await
        .unwrap();
    assert_eq!(came, [Imported::Created(own.into())]);
    others.forget(own.into(), &origin).await.unwrap();
    app.backend.release_made();
    let outcomes = bringing.await.unwrap().unwrap();
    let problem = "is that of a user who was forgotten, which stays so".to_owned();
    assert_eq!(outcomes[0], Imported::Refused { field: "id".into(), problem });
    // The other one has no id, and in the meantime somebody was forgotten.
    assert!(matches!(&outcomes[1], Imported::Refused { field, .. } if field == "id"), "{outcomes:?}");
    assert_eq!(counts(&app).await[..3], [0, 0, 0]);
}

async fn a_key_backend_that_fails_keeps_everybody_out(stack: TestStack) {
    let app = TestApp::start(stack).await;
    let values = values();
    let people: Vec<_> = (0..10).map(|_| Person::new()).collect();
    let all = || people.iter().map(|person| imported(&app, None, person, &values)).collect();
    app.backend.fail(ErrorClass::Denied);
    let refused = import(&app, false).bring(all()).await;
    assert!(matches!(refused, Err(UserError::Keys(_))), "{refused:?}");
    assert_eq!(counts(&app).await, [0, 0, 0, 0]);
    // One that may pass is tried again.
    app.backend.fail(ErrorClass::Throttled);
    let bringing = tokio::spawn({
        let (import, all) = (import(&app, false), all());
        async move { import.bring(all).await }
    });
    tokio::time::sleep(Duration::from_millis(300)).await;
    app.backend.fail(None);
    let outcomes = bringing.await.unwrap().unwrap();
    assert!(outcomes.iter().all(|one| matches!(one, Imported::Created(_))), "{outcomes:?}");
    assert_eq!(counts(&app).await[..3], [10, 60, 10]);
}
