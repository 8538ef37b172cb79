//! What is larger than it may be is refused, and the log says how large it may be.

use jsonwebtoken::Algorithm;
use reqwest::StatusCode;
use serde_json::{Value, json};

use super::{AUDIENCE, ISSUER, Issuer, Key, claims};
use crate::harness::{Sandbox, Server};

fn sandbox(place: &str, value: &str) -> Sandbox {
    Sandbox::new()
        .with_env("OUBLIETTE_AUTH__MODE", "jwt")
        .with_env("OUBLIETTE_AUTH__JWT__ISSUER", ISSUER)
        .with_env("OUBLIETTE_AUTH__JWT__AUDIENCE", AUDIENCE)
        .with_env(&format!("OUBLIETTE_AUTH__JWT__{place}"), value)
}

/// A key set of exactly this many bytes.
fn key_set(key: &Key, size: usize) -> Value {
    let padded = |padding: usize| json!({ "kty": "padding", "x": "x".repeat(padding) });
    let set = |padding: usize| json!({ "keys": [padded(padding), key.public()] });
    set(size - set(0).to_string().len())
}

async fn ask(server: &Server, token: &str) -> StatusCode {
    let post = server.client().post(server.url("/graphql")).json(&json!({ "query": "{ __typename }" }));
    post.bearer_auth(token).send().await.unwrap().status()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_set_has_at_most_256_kib() {
    let key = Key::new("a", Algorithm::EdDSA);
    for (size, fits) in [(256 * 1024, true), (256 * 1024 + 1, false)] {
        let set = key_set(&key, size);
        let issuer = Issuer::start(&[]).await;
        set["keys"].as_array().unwrap().clone_into(&mut issuer.keys.lock().unwrap());
        let server = sandbox("JWKS_URL", &format!("http://{}/jwks", issuer.address)).start().await;
        let status = ask(&server, &key.sign(&claims(&json!({})))).await;
        let expected = if fits { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
        assert_eq!(status, expected, "{size} bytes by HTTP");
        let said = "auth.jwt.jwks_url answers a key set that is larger than 256 KiB";
        assert_eq!(server.log().contains(said), !fits, "{}", server.log());

        let file = sandbox("JWKS_FILE", "keys.json");
        file.write("keys.json", &set.to_string());
        if fits {
            assert_eq!(ask(&file.start().await, &key.sign(&claims(&json!({})))).await, StatusCode::OK);
        } else {
            let said = file.refusal().await;
            assert!(said.contains("auth.jwt.jwks_file `keys.json` cannot be used"), "{said}");
            assert!(said.contains("is larger than 256 KiB"), "{said}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_has_at_most_8_kib() {
    let key = Key::new("a", Algorithm::EdDSA);
    let sandbox = sandbox("JWKS_FILE", "keys.json");
    sandbox.write("keys.json", &json!({ "keys": [key.public()] }).to_string());
    let server = sandbox.start().await;
    let of_length = |length: usize| {
        let signed = |padding: usize| key.sign(&claims(&json!({ "padding": "x".repeat(padding) })));
        // Base64 has three quarters of what it is written in.
        (4000..8000).map(signed).find(|token| token.len() >= length).unwrap()
    };
    let long = of_length(8 * 1024 + 1);
    let fitting = key.sign(&claims(&json!({ "padding": "x".repeat(5000) })));
    assert!(fitting.len() <= 8 * 1024);
    assert_eq!(ask(&server, &fitting).await, StatusCode::OK);
    assert!(!server.log().contains("the token is longer than 8 KiB"));
    assert_eq!(ask(&server, &long).await, StatusCode::UNAUTHORIZED);
    assert!(server.log().contains("not let in: the token is longer than 8 KiB"), "{}", server.log());
}
