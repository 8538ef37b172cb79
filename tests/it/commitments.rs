//! Key commitments: what a person was shown while their data key lived is what the record of its destruction names.

use oubliette::{
    envelope::DataKeyId,
    keys::{
        KekId, KeyBackend, WrappedKey,
        rotate::Rotate,
        sweep::{Controls, SweepOptions},
        verify::Verify,
    },
};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::harness::{
    Person, TestApp, TestStack, on_both_databases, on_every_stack, registry_with_visits, soon,
};

on_every_stack!(a_commitment_is_of_the_key_and_is_in_the_record_of_its_destruction);

mod of_older_keys {
    use super::*;

    on_both_databases!(
        a_key_without_one_gets_it_when_it_is_opened_verified_or_asked_for,
        a_key_whose_commitment_nobody_knew_is_destroyed_all_the_same,
        a_commitment_of_another_key_is_a_fault,
    );
}

async fn shown(app: &TestApp, id: Uuid) -> Value {
    let answer =
        app.graphql("query($id: ID!) { user(id: $id) { keyCommitment } }", json!({ "id": id })).await;
    answer["data"]["user"]["keyCommitment"].clone()
}

/// What the table has; `None` if nothing.
async fn stored(app: &TestApp, id: Uuid) -> Option<String> {
    let sql = format!("SELECT commitment FROM data_keys WHERE subject_id = {}", app.literal(id));
    app.rows(&sql).await[0].try_get::<Option<Vec<u8>>>("", "commitment").unwrap().map(hex::encode)
}

/// As the documentation says it, not as the code does.
async fn computed(app: &TestApp, id: Uuid) -> String {
    let sql =
        format!("SELECT id, version, kek_id, wrapped FROM data_keys WHERE subject_id = {}", app.literal(id));
    let row = app.rows(&sql).await.remove(0);
    let version: i32 = row.try_get("", "version").unwrap();
    let wrapped = WrappedKey {
        kek_id: KekId::new(row.try_get::<String>("", "kek_id").unwrap()),
        bytes: row.try_get("", "wrapped").unwrap(),
    };
    let version = u32::try_from(version).unwrap();
    let key = DataKeyId { subject: id.into(), version: version.into() };
    let material = app.backend.unwrap(&wrapped, &key.into()).await.unwrap();
    let identity: Uuid = row.try_get("", "id").unwrap();
    let text = [
        &b"oubliette key 1"[..],
        identity.as_bytes(),
        id.as_bytes(),
        &version.to_be_bytes(),
        material.expose(),
    ];
    hex::encode(Sha256::digest(text.concat()))
}

/// What the ledger's entry says of the destroyed key.
async fn recorded(app: &TestApp, id: Uuid) -> String {
    let sql = format!("SELECT destroyed_keys FROM erasures WHERE subject_id = {}", app.literal(id));
    let keys: String = app.rows(&sql).await[0].try_get("", "destroyed_keys").unwrap();
    keys.rsplit_once(' ').unwrap().1.to_owned()
}

async fn a_commitment_is_of_the_key_and_is_in_the_record_of_its_destruction(stack: TestStack) {
    let app = TestApp::start(stack).await;
    let (id, other) = (app.create(&Person::new()).await, app.create(&Person::new()).await);
    let first = computed(&app, id).await;
    assert_eq!((shown(&app, id).await, stored(&app, id).await), (json!(first), Some(first.clone())));
    assert_ne!(shown(&app, other).await, json!(first));
    // Another key after a rotation.
    let rotate = Rotate::everybody(app.keyring.clone(), registry_with_visits(), "a test").await.unwrap();
    rotate.run(&SweepOptions::default(), &Controls::default()).await.unwrap();
    let second = computed(&app, id).await;
    assert_ne!(second, first);
    assert_eq!(shown(&app, id).await, json!(second));
    // What was shown last is what is destroyed; whoever asks is told that they are gone.
    app.forget(id).await;
    assert_eq!(recorded(&app, id).await, second);
    let query = "query($id: ID!) { user(id: $id) { keyCommitment } }";
    assert_eq!(app.code(query, json!({ "id": id })).await, "FORGOTTEN");
}

async fn without(app: &TestApp) -> Uuid {
    let id = app.create(&Person::new()).await;
    app.sql(&format!("UPDATE data_keys SET commitment = NULL WHERE subject_id = {}", app.literal(id))).await;
    app.keyring.evict_all().await;
    id
}

async fn a_key_without_one_gets_it_when_it_is_opened_verified_or_asked_for(stack: TestStack) {
    let app = TestApp::start(stack).await;
    let opened = without(&app).await;
    app.read(opened).await;
    soon("it is stored", async || stored(&app, opened).await.is_some()).await;
    assert_eq!(stored(&app, opened).await, Some(computed(&app, opened).await));

    let asked = without(&app).await;
    assert_eq!(shown(&app, asked).await, json!(computed(&app, asked).await));
    assert_eq!(stored(&app, asked).await, Some(computed(&app, asked).await));

    let mut verified = Vec::new();
    for _ in 0..30 {
        verified.push(without(&app).await);
    }
    let found = Verify::new(app.keyring.clone(), registry_with_visits()).everything().await.unwrap();
    assert!(found.faults.is_empty(), "{found:?}");
    for id in verified {
        assert_eq!(stored(&app, id).await, Some(computed(&app, id).await));
    }
}

async fn a_key_whose_commitment_nobody_knew_is_destroyed_all_the_same(stack: TestStack) {
    let app = TestApp::start(stack).await;
    let id = without(&app).await;
    app.forget(id).await;
    assert_eq!(recorded(&app, id).await, "-");
}

async fn a_commitment_of_another_key_is_a_fault(stack: TestStack) {
    let app = TestApp::start(stack).await;
    let id = app.create(&Person::new()).await;
    let other = app.bytes(&[7; 32]);
    app.sql(&format!("UPDATE data_keys SET commitment = {other} WHERE subject_id = {}", app.literal(id)))
        .await;
    app.keyring.evict_all().await;
    // Reading goes on: it is no fault of the values.
    assert_eq!(app.read(id).await.get("errors"), None);
    app.keyring.evict_all().await;
    let found = Verify::new(app.keyring.clone(), registry_with_visits()).everything().await.unwrap();
    let faults: Vec<_> = found.faults.iter().map(ToString::to_string).collect();
    let expected = format!(
        "data_keys/1 of {id}: is not the one that the key commitment in its row is of: the row was changed"
    );
    assert_eq!(faults, [expected]);
}
