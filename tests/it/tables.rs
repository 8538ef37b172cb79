//! A second table with personal data: it is rotated, verified and forgotten by being registered; and a table that is not
//! registered is found by the database's own catalogue.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use futures::FutureExt;
use oubliette::{
    audit::Origin,
    database::{Before, WriteTransaction},
    entity,
    envelope::{DataKeyId, SubjectId},
    keys::{
        Journal, KekId,
        subjects::{SealingError, SealingTransaction, unregistered},
        sweep::{Controls, SweepOptions, Tally},
        verify::Verified,
        wrapping_keys::Transition,
    },
};
use sea_orm::{ConnectionTrait, DbErr, TransactionTrait};
use serde_json::json;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::harness::{
    Person, TestApp, TestStack, add_visit, change_of_email, notes, on_both_databases, registry_with_visits,
};

on_both_databases!(
    a_second_table_is_rotated_verified_and_forgotten,
    a_value_that_does_not_open_keeps_the_old_data_key,
    a_subject_who_has_a_data_key_is_not_new,
    each_binary_column_is_registered_or_known_to_hold_nothing_sealed,
    a_forgetting_and_a_change_wait_for_a_rotation_and_then_find_the_fresh_key,
);

const PATIENCE: Duration = Duration::from_mins(1);

/// Binary columns of the service that hold no sealed values.
const OTHERS: [(&str, &str); 11] = [
    ("access_tokens", "token_hash"),
    ("audit_events", "digest"),
    ("audit_events", "previous_digest"),
    ("audit_head", "digest"),
    ("blind_indexes", "tag"),
    ("erasure_head", "digest"),
    ("erasures", "digest"),
    ("erasures", "previous_digest"),
    ("ledger_rollbacks", "found_digest"),
    ("ledger_rollbacks", "seen_digest"),
    ("moved_erasures", "old_digest"),
];

async fn a_second_table_is_rotated_verified_and_forgotten(stack: TestStack) {
    let app = TestApp::start(stack).await;
    let (person, other) = (Person::new(), Person::new());
    let ids = [app.create(&person).await, app.create(&other).await];
    let said = [Person::new().email, Person::new().email, Person::new().email];
    for (id, note) in [(ids[0], &said[0]), (ids[0], &said[1]), (ids[1], &said[2])] {
        assert!(add_visit(&app.db, &app.keyring, id.into(), note).await);
    }

    rotate(&app, Origin::new("a test")).await;
    assert_eq!(app.rows("SELECT 1 FROM data_keys WHERE version = 2").await.len(), 2);
    assert_eq!(visits(&app, ids[0]).await, sorted(&said[..2]));
    assert_eq!(app.read(ids[0]).await["data"]["user"]["email"], json!(person.email));
    // Two users, with an e-mail address and a phone number each; three visits, with two values each.
    let verified = verify(&app).await;
    assert_eq!((verified.subjects, verified.data_keys, verified.attributes), (2, 2, 4 + 6));
    assert!(verified.faults.is_empty(), "{:?}", verified.faults);

    app.forget(ids[0]).await;
    assert_eq!(app.rows("SELECT 1 FROM visits").await.len(), 1, "the other person's");
    assert!(!add_visit(&app.db, &app.keyring, ids[0].into(), &said[0]).await, "nothing is sealed any more");
    assert_eq!(visits(&app, ids[1]).await, sorted(&said[2..]));
}

/// What cannot be sealed under a fresh key would be lost with the old one.
async fn a_value_that_does_not_open_keeps_the_old_data_key(stack: TestStack) {
    let app = TestApp::start(stack).await;
    let id = app.create(&Person::new()).await;
    let note = Person::new().email;
    assert!(add_visit(&app.db, &app.keyring, id.into(), &note).await);
    // The name is authenticated: under another one, the value does not open.
    app.sql("UPDATE visits SET name = 'visits.other'").await;
    let verified = verify(&app).await;
    let faults: Vec<_> = verified.faults.iter().map(|fault| &*fault.place).collect();
    assert_eq!((faults, verified.attributes), (vec!["visits.other"], 3));

    let controls = controls();
    let before = Before::ask(&app.db, None).await.unwrap();
    let rotate = app.users.rotate(None, before, Origin::new("a test"));
    Box::pin(rotate.run(&options(), &controls)).await.unwrap();
    assert_eq!(controls.tally.counts().failed, 1);
    assert_eq!(app.rows("SELECT 1 FROM data_keys WHERE version = 1").await.len(), 1);
    app.sql(&format!("UPDATE visits SET name = 'visits.{}'", &note[..4])).await;
    assert_eq!(visits(&app, id).await, [note]);
}

/// Whatever the version of it is: a second one beside it would be the subject's newest.
async fn a_subject_who_has_a_data_key_is_not_new(stack: TestStack) {
    let app = TestApp::start(stack).await;
    let subject = app.create(&Person::new()).await.into();
    for version in [1, 2] {
        assert_eq!(app.rows(&format!("SELECT 1 FROM data_keys WHERE version = {version}")).await.len(), 1);
        let begun = SealingTransaction::begin_new(&app.keyring, subject).await;
        assert!(matches!(begun, Err(SealingError::NotNew(who)) if who == subject), "{begun:?}");
        rotate(&app, Origin::new("a test")).await;
    }
    assert_eq!(app.rows("SELECT 1 FROM data_keys").await.len(), 1);
}

async fn each_binary_column_is_registered_or_known_to_hold_nothing_sealed(stack: TestStack) {
    let app = TestApp::start(stack).await;
    // The harness has made the table `visits`, of which the service's own registry knows nothing.
    let found = unregistered(&app.db, &entity::registry(), &OTHERS).await.unwrap();
    assert_eq!(found, ["visits.note", "visits.value"]);
    // A model that leaves a sealed column out has none that counts: nobody can tell which it means.
    let in_part = entity::registry().with::<visit_in_part::Model>();
    assert_eq!(unregistered(&app.db, &in_part, &OTHERS).await.unwrap(), found);
    let all = registry_with_visits();
    assert_eq!(unregistered(&app.db, &all, &OTHERS).await.unwrap(), [""; 0]);
}

async fn a_forgetting_and_a_change_wait_for_a_rotation_and_then_find_the_fresh_key(stack: TestStack) {
    let app = TestApp::start(stack).await;
    let [forgotten, changed] = [app.create(&Person::new()).await, app.create(&Person::new()).await];
    for id in [forgotten, changed] {
        assert!(add_visit(&app.db, &app.keyring, id.into(), "said before").await);
    }
    let parked = Parked::default();
    let before = Before::ask(&app.db, None).await.unwrap();
    for id in [forgotten, changed] {
        let rotation = app.users.rotate(Some(vec![id.into()]), before, parked.clone());
        let rotation = tokio::spawn(async move { Box::pin(rotation.run(&options(), &controls())).await });
        let come = tokio::time::timeout(PATIENCE, parked.has_come.acquire()).await;
        drop(come.expect("the rotation comes to its end").unwrap());
        // Everything is written, and nothing committed: version 1 is still what others read.
        let (db, keyring) = (app.db.clone(), app.keyring.clone());
        let seal = tokio::spawn(async move { add_visit(&db, &keyring, id.into(), "said meanwhile").await });
        let other: tokio::task::JoinHandle<()> = if id == forgotten {
            let users = app.users.clone();
            tokio::spawn(async move { drop(users.forget(id.into(), &Origin::new("a test")).await.unwrap()) })
        } else {
            let users = app.users.clone();
            let update = change_of_email("new@personal-value.example");
            tokio::spawn(async move {
                drop(users.update(id.into(), update, &Origin::new("a test")).await.unwrap());
            })
        };
        wait_for(&app, 2).await;
        assert!(!seal.is_finished() && !other.is_finished(), "they wait for the lock");
        parked.may_go.add_permits(1);
        rotation.await.unwrap().unwrap();
        other.await.unwrap();
        let sealed = seal.await.unwrap();
        if id == forgotten {
            for (table, column) in [("users", "id"), ("data_keys", "subject_id"), ("visits", "user_id")] {
                let own = format!("SELECT 1 FROM {table} WHERE {column} = {}", app.literal(id));
                assert!(app.rows(&own).await.is_empty(), "{table}: something survived");
            }
        } else {
            assert!(sealed);
            assert_eq!(visits(&app, id).await, ["said before", "said meanwhile"]);
            assert_eq!(app.read(id).await["data"]["user"]["email"], json!("new@personal-value.example"));
            let own = format!("SELECT version FROM data_keys WHERE subject_id = {}", app.literal(id));
            let version: i32 = app.rows(&own).await[0].try_get_by_index(0).unwrap();
            assert_eq!(version, 2);
        }
    }
    let verified = verify(&app).await;
    assert!(verified.faults.is_empty(), "{:?}", verified.faults);
}

/// PostgreSQL has a queue for a row. SQLite has none: there, who waits for the one lock looks again and again, whoever it is.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_steady_stream_of_changes_keeps_no_forgetting_waiting() {
    let app = TestApp::start(TestStack::postgres()).await;
    let id = app.create(&Person::new()).await;
    let changes: Vec<_> = (0..4)
        .map(|_| {
            let users = app.users.clone();
            tokio::spawn(async move {
                let mut made = 0;
                while users
                    .update(id.into(), change_of_email("new@personal-value.example"), &Origin::new("a test"))
                    .await
                    .is_ok()
                {
                    made += 1;
                }
                made
            })
        })
        .collect();
    tokio::time::sleep(Duration::from_millis(300)).await;
    let origin = Origin::new("a test");
    tokio::time::timeout(PATIENCE / 6, app.users.forget(id.into(), &origin)).await.unwrap().unwrap();
    for changes in changes {
        assert!(changes.await.unwrap() > 0);
    }
}

/// A release before this one rotated so: it deleted the row that a forgetting waits for, and inserted another one.
#[tokio::test]
async fn a_forgetting_destroys_a_data_key_that_took_the_place_of_the_one_it_waited_for() {
    let app = TestApp::start(TestStack::postgres()).await;
    let id = app.create(&Person::new()).await;
    let own = format!("subject_id = {}", app.literal(id));
    let rotation = app.db.begin().await.unwrap();
    rotation
        .execute_unprepared("CREATE TEMPORARY TABLE fresh ON COMMIT DROP AS TABLE data_keys")
        .await
        .unwrap();
    rotation.execute_unprepared(&format!("DELETE FROM data_keys WHERE {own}")).await.unwrap();
    rotation.execute_unprepared("UPDATE fresh SET version = 2, id = gen_random_uuid()").await.unwrap();
    rotation.execute_unprepared("INSERT INTO data_keys SELECT * FROM fresh").await.unwrap();
    let users = app.users.clone();
    let forgetting = tokio::spawn(async move { users.forget(id.into(), &Origin::new("a test")).await });
    wait_for(&app, 1).await;
    rotation.commit().await.unwrap();
    forgetting.await.unwrap().unwrap();
    assert!(
        app.rows(&format!("SELECT 1 FROM data_keys WHERE {own}")).await.is_empty(),
        "a data key survived"
    );
    assert!(app.rows("SELECT 1 FROM users").await.is_empty());
}

/// Until so many have come to the lock. SQLite does not tell, but has one lock for all who write.
async fn wait_for(app: &TestApp, number: usize) {
    if !app.database.is_postgres() {
        return tokio::time::sleep(Duration::from_millis(300)).await;
    }
    let began = Instant::now();
    let waiting =
        "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()";
    while app.rows(waiting).await.len() < number {
        assert!(began.elapsed() < PATIENCE, "nobody waits for the lock");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Holds a rotation up before its commit.
#[derive(Clone, Debug)]
struct Parked {
    has_come: Arc<Semaphore>,
    may_go: Arc<Semaphore>,
}

impl Default for Parked {
    fn default() -> Self {
        Self { has_come: Arc::new(Semaphore::new(0)), may_go: Arc::new(Semaphore::new(0)) }
    }
}

#[async_trait]
impl Journal for Parked {
    fn actor(&self) -> &'static str {
        "a test"
    }

    async fn rotated(&self, _: &WriteTransaction, _: DataKeyId) -> Result<(), DbErr> {
        self.has_come.add_permits(1);
        self.may_go.acquire().await.unwrap().forget();
        self.has_come.acquire().now_or_never().unwrap().unwrap().forget();
        Ok(())
    }

    async fn changes_state(&self, _: &WriteTransaction, _: &KekId, _: Transition) -> Result<(), DbErr> {
        Ok(())
    }
}

async fn verify(app: &TestApp) -> Verified {
    app.users.verify().run(&options(), &controls(), Arc::new(|_| ())).await.unwrap()
}

async fn rotate(app: &TestApp, origin: Origin) {
    let before = Before::ask(&app.db, None).await.unwrap();
    let (rotate, controls) = (app.users.rotate(None, before, origin), controls());
    Box::pin(rotate.run(&options(), &controls)).await.unwrap();
    assert_eq!(controls.tally.counts().failed, 0);
}

async fn visits(app: &TestApp, id: Uuid) -> Vec<String> {
    let notes = notes(&app.db, &app.keyring, SubjectId::from(id)).await.unwrap();
    sorted(&notes)
}

fn sorted(notes: &[String]) -> Vec<String> {
    let mut notes = notes.to_vec();
    notes.sort();
    notes
}

fn options() -> SweepOptions {
    SweepOptions {
        batch_size: 10.try_into().unwrap(),
        concurrency: 4.try_into().unwrap(),
        max_rate: None,
        limit: None,
        patience: Duration::from_secs(20),
    }
}

fn controls() -> Controls {
    Controls {
        stop: CancellationToken::new(),
        tally: Arc::new(Tally::default()),
        on_failure: Arc::new(|_| ()),
        on_wait: Arc::new(|_| ()),
    }
}

/// The table `visits`, by somebody who takes a sealed value for a plain one.
mod visit_in_part {
    use oubliette::keys::sealed_row;
    use sea_orm::entity::prelude::*;

    use crate::harness::Note;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "visits")]
    pub(super) struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub(super) id: Uuid,
        pub(super) user_id: Uuid,
        pub(super) note: Option<oubliette::envelope::Encrypted<Note>>,
        pub(super) name: String,
        pub(super) value: Vec<u8>,
    }

    #[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
    pub(super) enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}

    sealed_row!(Model { subject: user_id in Column::UserId, sealed: [note], plain: [id, name, value] });
}
