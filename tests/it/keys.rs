//! How often the key backend is asked, and what happens when it does not answer.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use futures::future::join_all;
use oubliette::{
    audit::Origin,
    config::AuditReads,
    envelope::{DataKeyId, KeyVersion},
    keys::{CacheEvent, ErrorClass, Keyring, KeyringError, Observer, SharedObserver, config::KeysConfig},
    users::{UserPageRequest, Users},
};
use serde_json::json;
use tempfile::TempDir;
use uuid::Uuid;

use crate::harness::{
    EMAIL, Person, TestApp, TestStack, on_both_databases, on_every_stack, populate, registry_with_visits,
};

mod unwrapped_in_process {
    use super::*;

    on_both_databases!(
        a_cold_page_is_loaded_together,
        a_key_that_is_lost_or_damaged_fails_alone,
        a_forgotten_key_does_not_come_back_into_the_cache,
        reads_push_no_key_out_of_a_full_cache,
    );

    /// Users whose data keys local keys wrap, unlike those of the app, whose backend passes for a service.
    async fn with_local_keys(app: &TestApp) -> (Users, Keyring, TempDir) {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("keys.toml");
        let keyring = Keyring::over_key_file(app.db.clone(), file).await.unwrap();
        (Users::new(app.db.clone(), keyring.clone()).with_registry(registry_with_visits()), keyring, folder)
    }

    fn first_keys(people: &[(Uuid, Person)]) -> Vec<DataKeyId> {
        let first =
            |(id, _): &(Uuid, Person)| DataKeyId { subject: (*id).into(), version: KeyVersion::FIRST };
        people.iter().map(first).collect()
    }

    async fn a_cold_page_is_loaded_together(stack: TestStack) {
        let app = TestApp::start(stack).await;
        let (users, keyring, _folder) = with_local_keys(&app).await;
        let people = populate(&app.db, keyring.backends().active(), 30).await;
        let request = UserPageRequest { size: 100, after: None, before: None, from_the_end: false };
        let page = users.list(request).await.unwrap();
        assert_eq!(page.users.len(), people.len());
        for user in &page.users {
            let (_, person) = people.iter().find(|(id, _)| *id == *user.id().as_uuid()).unwrap();
            assert_eq!(user.open(&EMAIL).await.unwrap().unwrap().expose(), person.email, "{:?}", user.id());
            let id = DataKeyId { subject: user.id(), version: KeyVersion::FIRST };
            assert!(keyring.cached(id).await.is_some());
        }
    }

    async fn a_key_that_is_lost_or_damaged_fails_alone(stack: TestStack) {
        let app = TestApp::start(stack).await;
        let (_, keyring, _folder) = with_local_keys(&app).await;
        let people = populate(&app.db, keyring.backends().active(), 5).await;
        let ids = first_keys(&people);
        let own = |position: usize| format!("subject_id = {}", app.literal(people[position].0));
        app.sql(&format!("DELETE FROM data_keys WHERE {}", own(0))).await;
        app.sql(&format!("UPDATE data_keys SET wrapped = {} WHERE {}", app.bytes(&[1; 62]), own(1))).await;
        app.sql(&format!("UPDATE data_keys SET kek_id = 'local:another' WHERE {}", own(2))).await;
        let opened = keyring.open_many(&ids[..4]).await;
        let error = |position: usize| &**opened[position].as_ref().unwrap_err();
        assert!(matches!(error(0), KeyringError::Missing(id) if *id == ids[0]), "{opened:?}");
        let KeyringError::Backend(damaged) = error(1) else { panic!("{opened:?}") };
        assert_eq!(damaged.class, ErrorClass::ContextMismatch);
        assert!(matches!(error(2), KeyringError::NoBackend { .. }), "{opened:?}");
        assert!(opened[3].is_ok());
        // Alone, too, and if the subject has another key.
        app.sql(&format!("UPDATE data_keys SET version = 2 WHERE {}", own(4))).await;
        for id in [ids[0], ids[4]] {
            let opened = keyring.open(id).await;
            assert!(
                matches!(**opened.as_ref().unwrap_err(), KeyringError::Missing(missing) if missing == id)
            );
        }
    }

    async fn a_forgotten_key_does_not_come_back_into_the_cache(stack: TestStack) {
        let app = TestApp::start(stack).await;
        let (users, keyring, _folder) = with_local_keys(&app).await;
        let people = populate(&app.db, keyring.backends().active(), 40).await;
        for (id, _) in people {
            let id = DataKeyId { subject: id.into(), version: KeyVersion::FIRST };
            let origin = Origin::new("a test");
            let forget = users.forget(id.subject, &origin);
            let opens = (0..4).map(|_| keyring.open_many(std::slice::from_ref(&id)));
            let (opened, forgotten) = futures::join!(join_all(opens), forget);
            forgotten.unwrap();
            assert!(keyring.cached(id).await.is_none(), "{opened:?}");
        }
    }

    /// How many keys came into the cache.
    #[derive(Debug, Default)]
    struct Came(AtomicU64);

    impl Observer for Came {
        fn cached(&self, event: CacheEvent, keys: u64) {
            if event == CacheEvent::Inserted {
                self.0.fetch_add(keys, Ordering::Relaxed);
            }
        }
    }

    async fn reads_push_no_key_out_of_a_full_cache(stack: TestStack) {
        let app = TestApp::start(stack).await;
        let (_, keyring, _folder) = with_local_keys(&app).await;
        let people = populate(&app.db, keyring.backends().active(), 40).await;
        let ids = first_keys(&people);
        let mut config = KeysConfig::default();
        config.cache.max_entries = 10;
        let counted = Arc::new(Came::default());
        let observer: SharedObserver = counted.clone();
        let keyring = Keyring::new(app.db.clone(), keyring.backends().clone(), &config, observer);
        let (few, others) = ids.split_at(10);
        for id in few {
            keyring.open(*id).await.unwrap();
        }
        // Until the cache has counted them.
        tokio::time::timeout(Duration::from_millis(1500), keyring.clone().maintain()).await.unwrap_err();
        for _ in 0..3 {
            assert!(keyring.open_many(&ids).await.iter().all(Result::is_ok));
            for id in &ids {
                keyring.open(*id).await.unwrap();
            }
        }
        for id in few {
            assert!(keyring.cached(*id).await.is_some());
        }
        for id in others {
            assert!(keyring.cached(*id).await.is_none());
        }
        assert_eq!(counted.0.load(Ordering::Relaxed), 10, "none came to be turned away");
    }
}

on_every_stack!(
    concurrent_first_reads_of_one_user_make_one_unwrap,
    what_is_not_personal_opens_no_key,
    a_cold_page_reads_its_keys_in_one_statement,
    backend_calls_are_bounded,
    a_new_user_is_read_without_an_unwrap,
    nothing_is_stored_if_the_backend_fails,
    cached_users_are_served_while_the_backend_fails,
    an_unused_key_leaves_the_cache,
    a_key_in_use_is_refreshed_before_it_expires,
    what_the_cache_does_can_be_seen,
);

/// Users who were created by another server, so that this one's cache is cold.
async fn cold(stack: TestStack, users: usize) -> (TestApp, Vec<(Uuid, Person)>) {
    // What the audit trail writes is no statement for keys.
    let app = TestApp::start_with(stack, |config| config.audit.reads = AuditReads::Off).await;
    let mut created = Vec::new();
    for _ in 0..users {
        let person = Person::new();
        created.push((app.create(&person).await, person));
    }
    let ids = created.iter().map(|(id, _)| DataKeyId { subject: (*id).into(), version: KeyVersion::FIRST });
    for id in ids {
        app.keyring.evict(id.subject, [id]).await;
    }
    app.take_statements();
    (app, created)
}

async fn concurrent_first_reads_of_one_user_make_one_unwrap(stack: TestStack) {
    let (app, users) = cold(stack, 1).await;
    let (id, person) = &users[0];
    app.backend.delay(Duration::from_millis(50));
    for answer in join_all((0..64).map(|_| app.read(*id))).await {
        assert_eq!(answer["data"]["user"]["email"], person.email);
    }
    assert_eq!(app.backend.unwrapped(), 1);
}

async fn what_is_not_personal_opens_no_key(stack: TestStack) {
    let (app, users) = cold(stack, 3).await;
    app.backend.fail(ErrorClass::Unavailable);
    let query = "query($id: ID!) {
        user(id: $id) { id username createdAt updatedAt }
        users(first: 100) { edges { cursor node { id username } } pageInfo { endCursor } }
    }";
    app.data(query, json!({ "id": users[0].0 })).await;
    assert_eq!(app.backend.unwrapped(), 0);
    assert!(app.take_statements().iter().all(|sql| !sql.contains("data_keys")));
}

async fn a_cold_page_reads_its_keys_in_one_statement(stack: TestStack) {
    let (app, users) = cold(stack, 100).await;
    let query = "{ users(first: 100) { edges { node { id email phone } } } }";
    let read = app.data(query, json!({})).await;
    for ((id, person), edge) in users.iter().zip(read["users"]["edges"].as_array().unwrap()) {
        assert_eq!(edge["node"], json!({ "id": id, "email": person.email, "phone": person.phone }));
    }
    assert_eq!(app.backend.unwrapped(), 100);
    let statements = app.take_statements();
    let for_keys: Vec<_> = statements.iter().filter(|sql| sql.contains("data_keys")).collect();
    assert_eq!(for_keys.len(), 1, "{statements:?}");
    assert_eq!(statements.len(), 2, "one for the users, one for their keys");
    app.data(query, json!({})).await;
    assert_eq!(app.backend.unwrapped(), 100, "warm, nothing is unwrapped");
    assert_eq!(app.take_statements().len(), 1);
}

async fn backend_calls_are_bounded(stack: TestStack) {
    let app = TestApp::start_with(stack, |config| {
        config.keys.max_concurrent_calls = 7.try_into().unwrap();
        config.keys.cache.max_entries = 0;
    })
    .await;
    for _ in 0..60 {
        app.create(&Person::new()).await;
    }
    app.backend.delay(Duration::from_millis(5));
    let query = "{ users(first: 60) { edges { node { email } } } }";
    join_all((0..4).map(|_| app.data(query, json!({})))).await;
    assert_eq!(app.backend.most_in_flight(), 7);
}

async fn a_new_user_is_read_without_an_unwrap(stack: TestStack) {
    let app = TestApp::start(stack).await;
    let person = Person::new();
    let id = app.create(&person).await;
    assert_eq!(app.read(id).await["data"]["user"]["phone"], person.phone);
    assert_eq!((app.backend.generated(), app.backend.unwrapped()), (1, 0));
}

async fn nothing_is_stored_if_the_backend_fails(stack: TestStack) {
    let app = TestApp::start(stack).await;
    let query = "mutation($input: CreateUserInput!) { createUser(input: $input) { id } }";
    for (class, retryable) in [
        (ErrorClass::Unavailable, true),
        (ErrorClass::Throttled, true),
        (ErrorClass::Denied, false),
        (ErrorClass::KeyDisabled, false),
        (ErrorClass::KeyNotFound, false),
    ] {
        app.backend.fail(class);
        let person = Person::new();
        let input = json!({ "username": person.username, "email": person.email });
        let answer = app.graphql(query, json!({ "input": input })).await;
        let expected = json!({ "code": "KEY_BACKEND_UNAVAILABLE", "retryable": retryable });
        assert_eq!(answer["errors"][0]["extensions"], expected, "{answer}");
    }
    for table in ["users", "data_keys", "erasures"] {
        assert!(app.rows(&format!("SELECT * FROM {table}")).await.is_empty(), "{table}");
    }
}

async fn cached_users_are_served_while_the_backend_fails(stack: TestStack) {
    let (app, users) = cold(stack, 2).await;
    let ((warm, person), (cold, _)) = (&users[0], &users[1]);
    app.read(*warm).await;
    app.backend.fail(ErrorClass::Unavailable);
    assert_eq!(app.read(*warm).await["data"]["user"]["email"], person.email);

    // A key that cannot be had is an error of each field that needs it; the rest is answered.
    let answer = app.read(*cold).await;
    assert_eq!(answer["data"]["user"]["id"], json!(cold));
    assert_eq!(answer["data"]["user"]["email"], json!(null));
    let errors = answer["errors"].as_array().unwrap();
    assert_eq!(errors.len(), 2);
    let expected = json!({ "code": "KEY_BACKEND_UNAVAILABLE", "retryable": true });
    assert!(errors.iter().all(|error| error["extensions"] == expected), "{answer}");
    assert!(errors.iter().any(|error| error["path"] == json!(["user", "email"])), "{answer}");

    // What needs no key goes on: removing a value, another username.
    let query =
        "mutation($id: ID!, $input: UpdateUserInput!) { updateUser(id: $id, input: $input) { username } }";
    app.data(query, json!({ "id": cold, "input": { "phone": null } })).await;

    // Failures are not cached.
    app.backend.fail(None);
    assert_eq!(app.read(*cold).await.get("errors"), None);
}

async fn an_unused_key_leaves_the_cache(stack: TestStack) {
    let app = TestApp::start_with(stack, |config| {
        config.keys.cache.time_to_idle = Duration::from_millis(200);
    })
    .await;
    let id = app.create(&Person::new()).await;
    app.read(id).await;
    assert_eq!(app.backend.unwrapped(), 0);
    tokio::time::sleep(Duration::from_millis(400)).await;
    app.read(id).await;
    assert_eq!(app.backend.unwrapped(), 1);
}

/// A metric's value, as `/metrics` shows it; 0 if it is not there.
async fn metric(app: &TestApp, name: &str) -> u64 {
    let text = app.metrics().await;
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.map_or(0, |value| value.parse().unwrap())
}

async fn a_key_in_use_is_refreshed_before_it_expires(stack: TestStack) {
    let app = TestApp::start_with(stack, |config| {
        config.keys.cache.time_to_live = Duration::from_secs(4);
        config.keys.cache.refresh_ahead = Duration::from_secs(2);
    })
    .await;
    let (used, unused) = (app.create(&Person::new()).await, app.create(&Person::new()).await);
    let started = Instant::now();
    // Longer than a key lives; nobody ever waits for an unwrap.
    while started.elapsed() < Duration::from_secs(7) {
        assert_eq!(app.read(used).await.get("errors"), None);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(metric(&app, "oubliette_key_cache_misses_total").await, 0);
    let refreshed = metric(&app, "oubliette_key_cache_refreshes_total{outcome=\"ok\"}").await;
    assert!((2..=4).contains(&refreshed), "refreshed {refreshed} times");
    assert_eq!(app.backend.unwrapped() as u64, refreshed);

    // A refresh that fails changes nothing while the key lives, and ends with it.
    app.backend.fail(ErrorClass::Unavailable);
    let started = Instant::now();
    while app.read(used).await.get("errors").is_none() {
        assert!(started.elapsed() < Duration::from_secs(5), "it lives beyond its time");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(metric(&app, "oubliette_key_cache_refreshes_total{outcome=\"failed\"}").await > 0);
    app.backend.fail(None);
    assert_eq!(app.read(unused).await.get("errors"), None);

    // A key whose row is gone, as after forgetting elsewhere, leaves with the next refresh.
    app.read(used).await;
    app.sql("DELETE FROM data_keys").await;
    let started = Instant::now();
    while app.read(used).await.get("errors").is_none() {
        assert!(started.elapsed() < Duration::from_millis(3500), "it is not noticed");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(metric(&app, "oubliette_key_cache_refreshes_total{outcome=\"gone\"}").await > 0);
}

async fn what_the_cache_does_can_be_seen(stack: TestStack) {
    let (app, users) = cold(stack, 3).await;
    assert_eq!(metric(&app, "oubliette_key_cache_evictions_total{cause=\"forgotten\"}").await, 3);
    app.backend.delay(Duration::from_millis(100));
    join_all((0..10).map(|_| app.read(users[0].0))).await;
    let misses = metric(&app, "oubliette_key_cache_misses_total").await;
    assert_eq!(metric(&app, "oubliette_key_cache_coalesced_total").await, misses - 1);
    let hits = metric(&app, "oubliette_key_cache_hits_total").await;
    app.read(users[0].0).await;
    assert_eq!(metric(&app, "oubliette_key_cache_hits_total").await, hits + 1);
    assert_eq!(metric(&app, "oubliette_key_cache_entries").await, 1);
    let calls = |operation, outcome| {
        format!(
            "oubliette_key_backend_calls_total{{backend=\"test\",operation=\"{operation}\",outcome=\"{outcome}\"}}"
        )
    };
    // Of the people, and of what they are found by.
    assert_eq!(metric(&app, &calls("generate", "ok")).await, 3 + 1);
    assert_eq!(metric(&app, &calls("unwrap", "ok")).await, 1);
    app.backend.fail(ErrorClass::Denied);
    app.read(users[1].0).await;
    assert_eq!(metric(&app, &calls("unwrap", "denied")).await, 1);
    let seconds = "oubliette_key_backend_call_seconds_count{backend=\"test\",operation=\"unwrap\"}";
    assert_eq!(metric(&app, seconds).await, 2);
    assert_eq!(metric(&app, "oubliette_key_backend_calls_in_flight{backend=\"test\"}").await, 0);
    app.forget(users[0].0).await;
    assert_eq!(metric(&app, "oubliette_key_cache_entries").await, 0);
}
