//! Receipts of what was published, by the API.

use super::*;
use crate::harness::{Proxy, on_both_databases};

on_both_databases!(a_receipt_comes_with_the_answer_or_is_asked_for_later);

pub(super) const FORGET: &str =
    "mutation($id: ID!) { forgetUser(id: $id, wait: RECEIPT) { sequence digest receipt } }";
pub(super) const ERASURE: &str = "query($id: ID!) { erasure(userId: $id) { sequence digest receipt } }";

async fn a_receipt_comes_with_the_answer_or_is_asked_for_later(stack: TestStack) {
    let scene = Scene::new(stack);
    let server = scene.start().await;
    let ids = create(&server, 10).await;
    let policy = scene.policy();
    for (n, id) in (1..).zip(&ids[..3]) {
        let answer = server.try_graphql(FORGET, json!({ "id": id })).await.unwrap();
        let erasure = &answer["data"]["forgetUser"];
        proves(erasure, &policy, id, n);
        assert_eq!(scene.published(), n, "answered when it is published");
        // Again, and by whoever asks.
        let again = server.try_graphql(FORGET, json!({ "id": id })).await.unwrap();
        assert_eq!(&again["data"]["forgetUser"], erasure);
        let asked = server.try_graphql(ERASURE, json!({ "id": id })).await.unwrap();
        assert_eq!(&asked["data"]["erasure"], erasure);
    }
    // A later one of the same entry is of a longer log.
    let asked = server.try_graphql(ERASURE, json!({ "id": ids[0] })).await.unwrap();
    proves(&asked["data"]["erasure"], &policy, &ids[0], 3);
    let unknown =
        server.try_graphql(FORGET, json!({ "id": "019abcde-0000-7000-8000-000000000001" })).await.unwrap();
    assert_eq!(unknown["errors"][0]["extensions"]["code"], "NOT_FOUND");
}

pub(super) fn proves(erasure: &Value, policy: &Policy, id: &str, size: u64) {
    let receipt: Receipt =
        erasure["receipt"].as_str().unwrap_or_else(|| panic!("{erasure}")).parse().unwrap();
    let proven = receipt.verify(policy).unwrap();
    assert_eq!(proven.entry.erasure().unwrap().subject.to_string(), id);
    assert_eq!(hex::encode(proven.entry.digest()), erasure["digest"].as_str().unwrap());
    assert_eq!((json!(proven.entry.sequence), proven.size), (erasure["sequence"].clone(), size));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_waits_for_a_receipt_in_vain_asks_again() {
    let s3 = s3::Bucket::create("receipts").await;
    let proxy = Proxy::start(s3::Bucket::address()).await;
    let sinks = s3.sink("one", "ledger", &format!("http://127.0.0.1:{}", proxy.port()));
    let mut scene = Scene::with_sinks(TestStack::postgres(), &sinks);
    scene.sandbox = s3::Bucket::environment(scene.sandbox);
    let server = scene.start().await;
    let id = create(&server, 10).await.remove(0);
    proxy.cut();
    let answer = server.try_graphql(FORGET, json!({ "id": id })).await.unwrap();
    let error = &answer["errors"][0];
    assert_eq!(
        (&error["extensions"]["code"], &answer["data"]["forgetUser"]),
        (&json!("UNAVAILABLE"), &Value::Null)
    );
    assert!(
        error["message"].as_str().unwrap().contains("the user is forgotten, and that is not stored outside"),
        "{answer}"
    );
    assert_eq!(code(&server, &id).await, "FORGOTTEN");
    let asked = server.try_graphql(ERASURE, json!({ "id": id })).await.unwrap();
    assert_eq!(
        asked["errors"][0]["message"], "the receipt cannot be read at the moment; try again",
        "{asked}"
    );
    assert_eq!(asked["data"]["erasure"]["sequence"], 1);
    proxy.restore();
    is_ready(&server).await;
    let answer = server.try_graphql(FORGET, json!({ "id": id })).await.unwrap();
    proves(&answer["data"]["forgetUser"], &scene.policy(), &id, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_sink_nobody_waits_for_a_receipt() {
    let scene = Scene::with_sinks(TestStack::sqlite(), "");
    let server = scene.start().await;
    let id = create(&server, 10).await.remove(0);
    let answer = server.try_graphql(FORGET, json!({ "id": id })).await.unwrap();
    assert_eq!(answer["errors"][0]["extensions"], json!({ "code": "BAD_USER_INPUT", "field": "wait" }));
    assert_eq!(code(&server, &id).await, "");
    forget(&server, &id).await;
    let asked = server.try_graphql(ERASURE, json!({ "id": id })).await.unwrap();
    assert_eq!((&asked["data"]["erasure"]["receipt"], asked.get("errors")), (&Value::Null, None));
}
