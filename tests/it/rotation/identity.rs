//! The database goes back below a running server, as in a failover to a standby that lagged: versions of data keys are given
//! out again, for other keys.

use std::time::{Duration, Instant};

use oubliette::{
    KeyMetrics,
    audit::Origin,
    config::KeysConfig,
    envelope::SubjectId,
    keys::{Backends, Keyring, local::LocalBackend},
    users::Users,
};
use sea_orm::ConnectionTrait;
use serde_json::{Value, json};

use crate::harness::{
    EMAIL, PHONE, Person, Replicated, Sandbox, Server, Site, TestStack, change_of_email, change_of_phone,
    on_both_databases, populate,
};

on_both_databases!(
    what_is_sealed_is_sealed_under_the_key_that_the_table_has,
    identities_are_random_and_outlive_a_rewrap,
);

const PATIENCE: Duration = Duration::from_mins(1);

/// By a copy of the tables that is put back, as a restore does.
async fn what_is_sealed_is_sealed_under_the_key_that_the_table_has(stack: TestStack) {
    let (site, local) = Site::on_local_keys(stack).await;
    let people = populate(&site.db, &local, 3).await;
    let users = server_on(&site, local);
    let ids: Vec<_> = people.iter().map(|(id, _)| SubjectId::from(*id)).collect();
    for sql in
        ["CREATE TABLE old_users AS SELECT * FROM users", "CREATE TABLE old_keys AS SELECT * FROM data_keys"]
    {
        site.db.execute_unprepared(sql).await.unwrap();
    }
    // Read now, and asked for values in the end: the data key that the row names is gone by then.
    let early = users.find(ids[2]).await.unwrap().unwrap();
    let rotate = || site.done(&["keys", "rotate", "--all", "--yes", "--json"]);
    rotate();
    for id in &ids {
        users.find(*id).await.unwrap().unwrap().open(&EMAIL).await.unwrap();
    }
    for sql in [
        "DELETE FROM users",
        "INSERT INTO users SELECT * FROM old_users",
        "DELETE FROM data_keys",
        "INSERT INTO data_keys SELECT * FROM old_keys",
    ] {
        site.db.execute_unprepared(sql).await.unwrap();
    }
    rotate();
    assert!(site.data_keys().await.iter().all(|key| key.version == 2));

    // A change first: nothing has told the server that its open key is another one.
    let changes = change_of_email("new@example.com");
    users.update(ids[0], changes, &Origin::new("a test")).await.unwrap();
    site.verify(people.len());
    // And a look first.
    let found = users.find(ids[1]).await.unwrap().unwrap();
    assert!(found.open(&EMAIL).await.unwrap().is_some());
    assert!(found.open(&PHONE).await.unwrap().is_some());
    let changes = change_of_phone("+442079460958");
    users.update(ids[1], changes, &Origin::new("a test")).await.unwrap();
    site.verify(people.len());
    assert!(early.open(&EMAIL).await.unwrap().is_some());
}

async fn identities_are_random_and_outlive_a_rewrap(stack: TestStack) {
    let (site, local) = Site::on_local_keys(stack).await;
    populate(&site.db, &local, 20).await;
    let before = site.data_keys().await;
    site.sandbox.admin_ok(&["keys", "local", "add", "--name", "next"]);
    site.sandbox.admin_ok(&["keys", "local", "promote", "next"]);
    site.done(&["keys", "rewrap", "--yes", "--json"]);
    let rewrapped = site.data_keys().await;
    assert!(rewrapped.iter().all(|key| key.kek_id == "local:next"));
    let identities =
        |keys: &[oubliette::entity::data_key::Model]| keys.iter().map(|key| key.id).collect::<Vec<_>>();
    assert_eq!(identities(&before), identities(&rewrapped));
    site.done(&["keys", "rotate", "--all", "--yes", "--json"]);
    let mut all = [identities(&before), identities(&site.data_keys().await)].concat();
    all.sort_unstable();
    all.dedup();
    assert_eq!(all.len(), 40);
}

/// By a real standby that takes over, without the rotation that the primary had acknowledged.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rotation_that_a_failover_lost_costs_nobody_their_data() {
    let replicated = Replicated::launch("people").await;
    let sandbox = Sandbox::new().with_env("OUBLIETTE_DATABASE__URL", &replicated.url("people"));
    let server = sandbox.start().await;
    let mut people = Vec::new();
    for _ in 0..3 {
        let person = Person::new();
        people.push((server.create(&person).await, person));
    }
    replicated.catch_up();
    replicated.cut_off();
    let rotate = || {
        let rotated = sandbox.admin(&["keys", "rotate", "--all", "--yes", "--json"]);
        assert_eq!(rotated.status, Some(0), "{}", rotated.stderr);
    };
    rotate();
    for (id, person) in &people {
        assert_eq!(server.read(id).await["data"]["user"]["email"], person.email);
    }
    tokio::task::block_in_place(|| replicated.take_over());
    rotate();

    let (id, person) = &mut people[0];
    person.email = "new@example.com".to_owned();
    let query =
        "mutation($id: ID!, $email: String!) { updateUser(id: $id, input: { email: $email }) { id } }";
    let answer = until_answered(&server, query, &json!({ "id": id, "email": person.email })).await;
    assert_eq!(answer["data"]["updateUser"]["id"], *id, "{answer}");
    for (id, person) in &people {
        let answer = server.read(id).await;
        assert_eq!(answer["data"]["user"]["email"], person.email, "{answer}");
        assert_eq!(answer["data"]["user"]["phone"], person.phone, "{answer}");
    }
    let verified = sandbox.admin(&["keys", "verify", "--json"]);
    assert_eq!(verified.status, Some(0), "{}", verified.stdout);
    drop(server);
    let server = sandbox.start().await;
    for (id, person) in &people {
        assert_eq!(server.read(id).await["data"]["user"]["email"], person.email);
    }
}

/// Connections that a failover broke cost requests, for a moment.
async fn until_answered(server: &Server, query: &str, variables: &Value) -> Value {
    let began = Instant::now();
    loop {
        let answer = server.try_graphql(query, variables.clone()).await.unwrap();
        if answer.get("errors").is_none() {
            return answer;
        }
        assert!(began.elapsed() < PATIENCE, "{answer}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// A server on the site's database, in this process, which remembers data keys for long.
fn server_on(site: &Site, backend: LocalBackend) -> Users {
    let backends = Backends::new(
        std::sync::Arc::new(backend),
        Vec::new(),
        &KeysConfig::default(),
        KeyMetrics::default(),
    );
    let keyring = Keyring::new(site.db.clone(), backends, &KeysConfig::default(), KeyMetrics::default());
    Users::new(site.db.clone(), keyring)
}
