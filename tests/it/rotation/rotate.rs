//! Fresh data keys, for one subject or for all.

use oubliette::{
    envelope::{DataKey, DataKeyId, KeyVersion},
    keys::{KekId, KeyBackend, WrappedKey},
};
use serde_json::json;

use crate::harness::{Person, Site, TestStack, on_both_databases, populate};

on_both_databases!(
    a_leaked_key_opens_nothing_that_is_stored,
    everybody_gets_a_fresh_key_while_a_server_serves,
    a_rotation_that_was_limited_goes_on_where_it_ended,
    a_failure_names_the_version_that_it_is_of,
);

async fn a_leaked_key_opens_nothing_that_is_stored(stack: TestStack) {
    let (site, backend) = Site::on_local_keys(stack).await;
    let people = populate(&site.db, &backend, 3).await;
    let before = site.user_rows().await;
    let leaked = &site.data_keys().await[1];
    let id = DataKeyId { subject: leaked.subject_id.into(), version: KeyVersion::FIRST };
    let wrapped = WrappedKey { kek_id: KekId::new(&*leaked.kek_id), bytes: leaked.wrapped.clone() };
    let leaked = DataKey::new(id, &backend.unwrap(&wrapped, &id.into()).await.unwrap());
    assert!(leaked.open(before[1].email.as_ref().unwrap()).is_ok());

    let subject = id.subject.to_string();
    let rotated = site.done(&["keys", "rotate", "--subject", &subject, "--yes", "--json"]);
    assert_eq!((&rotated["done"], &rotated["left"]), (&1.into(), &0.into()), "{rotated}");
    let after = site.user_rows().await;
    assert_eq!((&before[0], &before[2]), (&after[0], &after[2]), "the others are as they were");
    assert!(leaked.open(after[1].email.as_ref().unwrap()).is_err());
    assert!(leaked.open(after[1].phone.as_ref().unwrap()).is_err());
    assert_eq!(before[1].updated_at, after[1].updated_at);
    let keys = site.data_keys().await;
    assert_eq!(keys.iter().map(|key| key.version).collect::<Vec<_>>(), [1, 2, 1], "the old one is gone");
    site.verify(people.len());
    let server = site.sandbox.start().await;
    for (id, person) in &people {
        assert_eq!(server.read(&id.to_string()).await["data"]["user"]["phone"], person.phone);
    }
}

/// Servers have the old keys in their caches, and rows in hand that name them.
async fn everybody_gets_a_fresh_key_while_a_server_serves(stack: TestStack) {
    let (site, backend) = Site::on_local_keys(stack).await;
    let people = populate(&site.db, &backend, 200).await;
    let rows = site.user_rows().await;
    let server = site.sandbox.start().await;
    let over = std::sync::atomic::AtomicBool::new(false);
    let read = async || {
        let mut read = 0;
        while !over.load(std::sync::atomic::Ordering::SeqCst) || read < people.len() {
            let (id, person) = &people[read % people.len()];
            let answer = server.read(&id.to_string()).await;
            assert_eq!(answer["data"]["user"]["email"], person.email, "{answer}");
            let page = server.try_graphql("{ users(first: 50) { nodes { email phone } } }", json!({})).await;
            assert_eq!(page.as_ref().unwrap().get("errors"), None, "{page:?}");
            read += 1;
        }
    };
    let rotate = async {
        let arguments = ["keys", "rotate", "--all", "--yes", "--json", "--max-rate", "400"];
        for round in 2..4 {
            let rotated = site.done_beside(&arguments).await;
            assert_eq!((&rotated["done"], &rotated["failed"]), (&200.into(), &0.into()), "{rotated}");
            assert!(site.data_keys().await.iter().all(|key| key.version == round));
        }
        over.store(true, std::sync::atomic::Ordering::SeqCst);
    };
    tokio::join!(rotate, read(), read());
    let updated_at = |rows: Vec<oubliette::entity::user::Model>| -> Vec<_> {
        rows.into_iter().map(|row| row.updated_at).collect()
    };
    assert_eq!(updated_at(site.user_rows().await), updated_at(rows));
    site.verify(200);
    // Whoever is changed afterwards is sealed under the newest key.
    let email = Person::new().email;
    let query =
        "mutation($id: ID!, $email: String) { updateUser(id: $id, input: { email: $email }) { email } }";
    let answer = server.try_graphql(query, json!({ "id": people[0].0, "email": email })).await.unwrap();
    assert_eq!(answer["data"]["updateUser"]["email"], email);
}

async fn a_failure_names_the_version_that_it_is_of(stack: TestStack) {
    let (site, backend) = Site::on_local_keys(stack).await;
    populate(&site.db, &backend, 1).await;
    site.done(&["keys", "rotate", "--all", "--yes", "--json"]);
    let nobodys = "UPDATE data_keys SET kek_id = 'arn:nobody'";
    sea_orm::ConnectionTrait::execute_unprepared(&site.db, nobodys).await.unwrap();
    let (_, result) =
        site.result(&["keys", "rotate", "--all", "--yes", "--json", "--failures", "failed.jsonl"]);
    assert_eq!((&result["done"], &result["failed"]), (&0.into(), &1.into()), "{result}");
    let failure: serde_json::Value = serde_json::from_str(&site.sandbox.read("failed.jsonl")).unwrap();
    assert_eq!((&failure["version"], &failure["class"]), (&2.into(), &"no_backend".into()), "{failure}");
}

async fn a_rotation_that_was_limited_goes_on_where_it_ended(stack: TestStack) {
    let (site, backend) = Site::on_local_keys(stack).await;
    populate(&site.db, &backend, 30).await;
    let some = site.done(&["keys", "rotate", "--all", "--yes", "--json", "--limit", "10"]);
    assert_eq!((&some["done"], &some["left"]), (&10.into(), &20.into()), "{some}");
    let go_on = some["go_on"].as_str().unwrap();
    let rest: Vec<_> = go_on.split(' ').skip(1).chain(["--yes", "--json"]).collect();
    let rest = site.done(&rest);
    assert_eq!((&rest["done"], &rest["left"]), (&20.into(), &0.into()), "{go_on}");
    assert!(site.data_keys().await.iter().all(|key| key.version == 2), "each was replaced once");
    site.verify(30);
}
