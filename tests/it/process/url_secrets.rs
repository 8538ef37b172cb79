//! Passwords in URLs of services stay out of the log, at every level.

use jsonwebtoken::{EncodingKey, Header, encode};
use oubliette::keys::local::KeyFile;
use reqwest::StatusCode;
use serde_json::json;

use crate::harness::{Person, Sandbox, TestStack, local_backend};

const PASSWORD: &str = "s3cr3t-pa55";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_issuer_that_does_not_answer_is_told_without_its_password() {
    // Whoever answers 404, and a port on which nobody listens.
    let other = Sandbox::new().start().await;
    let answers = other.url("/nothing").to_string();
    for (url, why) in [(answers.as_str(), "404"), ("http://127.0.0.1:1/jwks", "onnect")] {
        let url = url.replace("//", &format!("//ada:{PASSWORD}@"));
        let server = Sandbox::new()
            .with_env("OUBLIETTE_AUTH__MODE", "jwt")
            .with_env("OUBLIETTE_AUTH__JWT__ISSUER", "https://issuer.example")
            .with_env("OUBLIETTE_AUTH__JWT__AUDIENCE", "x")
            .with_env("OUBLIETTE_AUTH__JWT__REFRESH", "100ms")
            .with_env("OUBLIETTE_AUTH__JWT__JWKS_URL", &format!("{url}?token={PASSWORD}"))
            .start()
            .await;
        let mut header = Header::new(jsonwebtoken::Algorithm::HS256);
        header.alg = jsonwebtoken::Algorithm::HS256;
        let token = encode(&header, &json!({}), &EncodingKey::from_secret(b"x")).unwrap();
        let token = token.replacen(token.split('.').next().unwrap(), "eyJhbGciOiJFZERTQSJ9", 1);
        let post = server.client().post(server.url("/graphql")).bearer_auth(token);
        let status = post.json(&json!({ "query": "{ __typename }" })).send().await.unwrap().status();
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
        let log = server.log();
        let told =
            log.lines().any(|line| line.contains("auth.jwt.jwks_url does not answer") && line.contains(why));
        assert!(told, "{log}");
        let lines: Vec<_> = log.lines().filter(|line| line.contains(PASSWORD)).collect();
        assert!(lines.is_empty(), "{lines:#?}");
    }
    assert!(!other.log().contains(PASSWORD));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kms_that_does_not_answer_is_told_without_its_password() {
    let profile = format!(
        "[database]\nurl = \"sqlite://x.db?mode=rwc\"\nmigrate_on_start = true\n[auth]\nmode = \"off\"\n\
         [keys]\nactive = \"aws\"\n[keys.backends.aws]\nkind = \"aws-kms\"\nkey_id = \"alias/x\"\n\
         region = \"eu-central-1\"\ncredentials = \"test\"\nmax_attempts = 1\n\
         endpoint_url = \"http://ada:{PASSWORD}@127.0.0.1:1/kms?token={PASSWORD}\"\n"
    );
    let server = Sandbox::new().with_profile("staging", &profile).start().await;
    let person = Person::new();
    let input = json!({ "username": person.username, "email": person.email, "phone": person.phone });
    let query = "mutation($input: CreateUserInput!) { createUser(input: $input) { id } }";
    let answer = server.try_graphql(query, json!({ "input": input })).await.unwrap();
    assert_eq!(answer["errors"][0]["extensions"]["code"], "KEY_BACKEND_UNAVAILABLE", "{answer}");
    assert!(!answer.to_string().contains(PASSWORD));
    server.client().get(server.url("/readyz")).send().await.unwrap();
    let log = server.log();
    let lines: Vec<_> = log.lines().filter(|line| line.contains(PASSWORD)).collect();
    assert!(lines.is_empty(), "{lines:#?}");
}

/// The driver would warn of what it does not know in a URL, with its value; at `trace`, the URL itself would be told.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_servers_log_at_trace_has_no_password_of_its_database() {
    let stack = TestStack::postgres();
    let url: url::Url = stack.url().parse().unwrap();
    let profile = format!(
        "[auth]\nmode = \"off\"\n[database]\nurl = \"{url}?sslpassword=s3cret-parameter\"\nmigrate_on_start = true\n\
         [keys]\nactive = \"local\"\n{}",
        local_backend("local")
    );
    let sandbox = Sandbox::new().with_profile("password", &profile);
    KeyFile::create(&sandbox.path("data/local.toml")).unwrap();
    let server = sandbox.start().await;
    server.create(&Person::new()).await;
    let log = server.log();
    assert!(log.contains("\"TRACE\""), "{log}");
    for secret in [url.password().unwrap(), "s3cret-parameter"] {
        let told = log.lines().find(|line| line.contains(secret));
        assert_eq!(told, None);
    }
}
