//! The wrapping key is disabled, for real, while a server serves; and enabled again.

use std::time::{Duration, Instant};

use oubliette::{
    KeyMetrics, database,
    entity::{data_key, user},
    keys::aws_kms::AwsKmsBackend,
};
use reqwest::StatusCode;
use sea_orm::{DatabaseConnection, EntityTrait, PaginatorTrait};
use serde_json::{Value, json};

use crate::harness::{
    Person, Sandbox, Server, TestStack, kms_backend, kms_proxy, localstack, log_everything, populate,
};

async fn forget(server: &Server, id: &str) -> Value {
    let query = "mutation($id: ID!) { forgetUser(id: $id) { userId } }";
    server.try_graphql(query, json!({ "id": id })).await.unwrap()
}

async fn readiness(server: &Server, query: &str) -> StatusCode {
    let url = server.url(&format!("/readyz{query}"));
    server.client().get(url).send().await.unwrap().status()
}

/// An answer is kept for a second, and LocalStack may be busy.
async fn becomes(server: &Server, status: StatusCode) {
    let started = Instant::now();
    while readiness(server, "").await != status {
        assert!(started.elapsed() < Duration::from_secs(20), "not {status}: {}", server.log());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

async fn rows(db: &DatabaseConnection) -> (u64, u64) {
    let users = user::Entity::find().count(db).await.unwrap();
    (users, data_key::Entity::find().count(db).await.unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disabled_key_spares_who_is_cached_and_comes_back_without_a_restart() {
    log_everything();
    let stack = TestStack::postgres();
    let proxy = kms_proxy().await;
    let arn = localstack().create_key().await;
    let profile = format!(
        "[auth]\nmode = \"off\"\n[database]\nurl = \"{}\"\nmigrate_on_start = true\n[keys]\nactive = \"kms\"\n{}",
        stack.url(),
        kms_backend("kms", &arn, &proxy)
    );
    let sandbox = Sandbox::new().with_profile("disabled", &profile);
    let server = sandbox.start().await;
    let db = database::connect(&stack.config()).await.unwrap();
    becomes(&server, StatusCode::OK).await;
    let mut warm = Vec::new();
    for _ in 0..10 {
        let person = Person::new();
        warm.push((server.create(&person).await, person));
    }
    // The server has not seen their data keys.
    let backend =
        AwsKmsBackend::new("kms", &localstack().backend_config(&arn), KeyMetrics::default()).await.unwrap();
    let cold = populate(&db, &backend, 10).await;

    localstack().disable(&arn).await;
    becomes(&server, StatusCode::SERVICE_UNAVAILABLE).await;
    assert_eq!(readiness(&server, "?exclude=keys").await, StatusCode::OK);
    let refusal = json!({ "code": "KEY_BACKEND_UNAVAILABLE", "retryable": false });
    let before = rows(&db).await;
    assert_eq!(before, (20, 20));
    proxy.forget_counts();
    for (id, person) in &warm {
        let answer = server.read(id).await;
        assert_eq!(answer.get("errors"), None, "{answer}");
        assert_eq!(answer["data"]["user"]["email"], person.email);
        assert_eq!(answer["data"]["user"]["phone"], person.phone);
    }
    assert_eq!(proxy.calls("Decrypt"), 0, "they are served from the cache");
    for (id, person) in &cold {
        let answer = server.read(&id.to_string()).await;
        for error in answer["errors"].as_array().unwrap() {
            assert_eq!(error["extensions"], refusal, "{answer}");
        }
        let user = &answer["data"]["user"];
        assert_eq!((&user["username"], &user["email"]), (&json!(person.username), &json!(null)));
        assert_eq!(user["phone"], json!(null));
    }
    assert!(proxy.calls("Decrypt") >= cold.len(), "KMS itself was asked");
    for _ in 0..10 {
        let query = "mutation($input: CreateUserInput!) { createUser(input: $input) { id } }";
        let person = Person::new();
        let input = json!({ "username": person.username, "email": person.email, "phone": person.phone });
        let answer = server.try_graphql(query, json!({ "input": input })).await.unwrap();
        assert_eq!(answer["errors"][0]["extensions"], refusal, "{answer}");
    }
    assert_eq!(rows(&db).await, before, "no orphan is left");
    let (forgotten_warm, forgotten_cold) = (warm.pop().unwrap().0, cold[0].0.to_string());
    for id in [&forgotten_warm, &forgotten_cold] {
        assert_eq!(forget(&server, id).await["data"]["forgetUser"]["userId"], json!(id));
        assert_eq!(server.read(id).await["errors"][0]["extensions"]["code"], "FORGOTTEN");
    }
    assert_eq!(rows(&db).await, (18, 18));

    localstack().enable(&arn).await;
    becomes(&server, StatusCode::OK).await;
    for (id, person) in &cold[1..] {
        let answer = server.read(&id.to_string()).await;
        assert_eq!(answer.get("errors"), None, "{answer}");
        assert_eq!(answer["data"]["user"]["email"], person.email);
    }
    let person = Person::new();
    let id = server.create(&person).await;
    assert_eq!(server.read(&id).await["data"]["user"]["email"], person.email);
    for (id, person) in &warm {
        assert_eq!(server.read(id).await["data"]["user"]["email"], person.email);
    }
    for id in [&forgotten_warm, &forgotten_cold] {
        assert_eq!(server.read(id).await["errors"][0]["extensions"]["code"], "FORGOTTEN");
    }
    assert!(!server.log().contains("panicked"), "{}", server.log());
}
