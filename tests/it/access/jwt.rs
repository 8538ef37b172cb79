//! Tokens that an issuer elsewhere signs.

mod audience;
mod sizes;
mod without_kid;

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};

use aws_lc_rs::{
    encoding::{AsDer, Pkcs8V1Der},
    rand::SystemRandom,
    rsa,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair},
};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use chrono::Utc;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode, jwk::Jwk};
use oubliette::config::{AuthMode, Config, JwtAlgorithm, JwtConfig};
use reqwest::StatusCode;
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use super::{
    code,
    scopes::{REQUESTS, assert_unauthenticated},
    with_tokens,
};
use crate::harness::{Person, Sandbox, TestApp, TestStack};

const ISSUER: &str = "https://issuer.example";
const AUDIENCE: &str = "oubliette";
const QUERY: &str = "query($id: ID!) { user(id: $id) { email } }";

/// A key of the issuer's, by its `kid`.
struct Key {
    id: String,
    algorithm: Algorithm,
    private: EncodingKey,
}

impl Key {
    fn new(id: &str, algorithm: Algorithm) -> Self {
        let random = SystemRandom::new();
        let private = match algorithm {
            Algorithm::RS256 => {
                let pair = rsa::KeyPair::generate(rsa::KeySize::Rsa2048).unwrap();
                let pkcs8: Pkcs8V1Der<'_> = pair.as_der().unwrap();
                // Of this size, the RSA key itself (PKCS #1) begins at byte 26 of PKCS #8.
                EncodingKey::from_rsa_der(&pkcs8.as_ref()[26..])
            }
            Algorithm::ES256 => EncodingKey::from_ec_der(
                EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap().as_ref(),
            ),
            _ => {
                let pair = Ed25519KeyPair::generate().unwrap();
                let pkcs8: Pkcs8V1Der<'_> = pair.as_der().unwrap();
                EncodingKey::from_ed_der(pkcs8.as_ref())
            }
        };
        Self { id: id.to_owned(), algorithm, private }
    }

    fn public(&self) -> Value {
        let mut jwk = Jwk::from_encoding_key(&self.private, self.algorithm).unwrap();
        jwk.common.key_id = Some(self.id.clone());
        serde_json::to_value(jwk).unwrap()
    }

    fn sign(&self, claims: &Value) -> String {
        self.sign_with(Header::new(self.algorithm), claims)
    }

    fn sign_with(&self, mut header: Header, claims: &Value) -> String {
        header.kid = Some(self.id.clone());
        encode(&header, claims, &self.private).unwrap()
    }
}

/// Claims that are good for an hour, changed by `changes`; null takes a claim out.
fn claims(changes: &Value) -> Value {
    let mut claims = json!({
        "iss": ISSUER, "aud": AUDIENCE, "sub": "ada", "exp": Utc::now().timestamp() + 3600,
        "scope": "openid users:read pii:read",
    });
    for (name, value) in changes.as_object().unwrap() {
        claims[name] = value.clone();
    }
    claims.as_object_mut().unwrap().retain(|_, value| !value.is_null());
    claims
}

/// An issuer that publishes its keys over HTTP.
struct Issuer {
    keys: Arc<Mutex<Vec<Value>>>,
    asked: Arc<AtomicUsize>,
    address: SocketAddr,
    server: JoinHandle<()>,
}

impl Issuer {
    async fn start(keys: &[&Key]) -> Self {
        Self::start_at("127.0.0.1:0".parse().unwrap(), keys).await
    }

    async fn start_at(address: SocketAddr, keys: &[&Key]) -> Self {
        let keys = Arc::new(Mutex::new(keys.iter().map(|key| key.public()).collect::<Vec<_>>()));
        let asked = Arc::new(AtomicUsize::new(0));
        let answer = {
            let (keys, asked) = (keys.clone(), asked.clone());
            move || {
                asked.fetch_add(1, SeqCst);
                let set = json!({ "keys": *keys.lock().unwrap() });
                async move { axum::Json(set) }
            }
        };
        let listener = tokio::net::TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = axum::Router::new().route("/jwks", axum::routing::get(answer));
        let server = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { keys, asked, address, server }
    }

    fn publish(&self, keys: &[&Key]) {
        *self.keys.lock().unwrap() = keys.iter().map(|key| key.public()).collect();
    }

    fn config(&self) -> JwtConfig {
        config(self.address)
    }
}

impl Drop for Issuer {
    fn drop(&mut self) {
        self.server.abort();
    }
}

fn config(address: SocketAddr) -> JwtConfig {
    JwtConfig {
        issuer: ISSUER.to_owned(),
        audience: AUDIENCE.to_owned(),
        audience_claim: "aud".to_owned(),
        jwks_url: Some(format!("http://{address}/jwks").parse().unwrap()),
        jwks_file: None,
        refresh: Duration::from_mins(10),
        max_age: Duration::from_hours(1),
        algorithms: vec![JwtAlgorithm::RS256, JwtAlgorithm::ES256, JwtAlgorithm::EdDSA],
        leeway: Duration::ZERO,
        scopes_claim: "scope".to_owned(),
        scopes: BTreeMap::new(),
        subject_claim: "oubliette_subject".to_owned(),
    }
}

async fn guarded(jwt: JwtConfig) -> TestApp {
    let configure = |config: &mut Config| {
        with_tokens(config);
        config.auth.mode = AuthMode::Jwt;
        config.auth.jwt = Some(jwt);
    };
    TestApp::start_with(TestStack::sqlite(), configure).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_a_token_that_is_sound_in_every_part_is_let_in() {
    let keys = [Algorithm::RS256, Algorithm::ES256, Algorithm::EdDSA]
        .map(|algorithm| Key::new(&format!("{algorithm:?}"), algorithm));
    let [rsa, ec, ed] = &keys;
    let issuer = Issuer::start(&[rsa, ec, ed]).await;
    let app = guarded(issuer.config()).await;
    let person = Person::new();
    let id = app.add(&person).await;
    let ask = async |token: &str| app.ask(Some(token), QUERY, json!({ "id": id })).await;

    for key in &keys {
        let (status, answer) = ask(&key.sign(&claims(&json!({})))).await;
        assert_eq!(status, StatusCode::OK, "{:?}: {answer}", key.algorithm);
        assert_eq!(answer["data"]["user"]["email"], person.email, "{answer}");
        let (status, _) = ask(&key.sign(&claims(&json!({ "aud": ["other", AUDIENCE] })))).await;
        assert_eq!(status, StatusCode::OK);
    }

    let unwrapped = app.backend.unwrapped();
    let now = Utc::now().timestamp();
    let mut bad = Vec::new();
    for (what, changes) in [
        ("expired", json!({ "exp": now - 5 })),
        ("no expiry", json!({ "exp": null })),
        ("an expiry that is no time", json!({ "exp": "tomorrow" })),
        ("not valid yet", json!({ "nbf": now + 600 })),
        ("another issuer", json!({ "iss": "https://issuer.example.evil" })),
        ("no issuer", json!({ "iss": null })),
        ("another audience", json!({ "aud": "something-else" })),
        ("audiences without ours", json!({ "aud": ["something-else"] })),
        ("no audience", json!({ "aud": null })),
        ("nobody", json!({ "sub": null })),
        ("a nameless one", json!({ "sub": "" })),
        ("bound to what is no user", json!({ "oubliette_subject": "everybody" })),
        ("bound to null, in vain", json!({ "oubliette_subject": [] })),
    ] {
        for key in &keys {
            bad.push((what, key.sign(&claims(&changes))));
        }
    }
    // What is signed wrongly.
    let good = rsa.sign(&claims(&json!({})));
    let parts: Vec<_> = good.split('.').collect();
    let encode_part = |value: &Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
    let more = encode_part(&claims(&json!({ "scope": "users:read users:forget" })));
    let none = |alg: &str| encode_part(&json!({ "alg": alg, "typ": "JWT", "kid": "RS256" }));
    bad.push(("changed claims", format!("{}.{more}.{}", parts[0], parts[2])));
    bad.push(("no signature", format!("{}.{}.", parts[0], parts[1])));
    bad.push(("half a signature", good[..good.len() - 40].to_owned()));
    bad.push(("alg none", format!("{}.{}.", none("none"), parts[1])));
    bad.push(("alg None", format!("{}.{}.{}", none("None"), parts[1], parts[2])));
    bad.push(("another's signature", Key::new("RS256", Algorithm::RS256).sign(&claims(&json!({})))));
    bad.push(("an unknown key", Key::new("unknown", Algorithm::ES256).sign(&claims(&json!({})))));
    let mut confused = Key::new("RS256", Algorithm::ES256);
    bad.push(("the id of a key of another kind", confused.sign(&claims(&json!({})))));
    confused.id = "EdDSA".to_owned();
    bad.push(("the id of yet another kind", confused.sign(&claims(&json!({})))));
    // Signed with what everybody knows: the public key, in each form that a library might take for a secret.
    let public = rsa.public();
    let modulus = BASE64_URL_SAFE_NO_PAD.decode(public["n"].as_str().unwrap()).unwrap();
    for secret in [modulus, public["n"].as_str().unwrap().into(), public.to_string().into_bytes()] {
        let forger = Key {
            id: "RS256".to_owned(),
            algorithm: Algorithm::HS256,
            private: EncodingKey::from_secret(&secret),
        };
        bad.push(("HS256 with the public key", forger.sign(&claims(&json!({})))));
    }
    let critical = Header { crit: Some(vec!["exp".to_owned()]), ..Header::new(Algorithm::ES256) };
    bad.push(("critical headers", ec.sign_with(critical, &claims(&json!({})))));
    bad.push(("far too long", ec.sign(&claims(&json!({ "padding": "x".repeat(9000) })))));
    bad.push((
        "a token of our own kind",
        oubliette::access::SecretToken::generate().unwrap().expose().into(),
    ));
    bad.push(("two dots", "..".to_owned()));

    for (what, token) in &bad {
        for (query, ..) in REQUESTS {
            assert_unauthenticated(&app, what, Some(token), query, id, &person).await;
        }
    }
    assert_eq!(app.backend.unwrapped(), unwrapped, "nothing was opened for them");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tokens_claims_say_what_it_allows_and_to_whom() {
    let key = Key::new("a", Algorithm::EdDSA);
    let issuer = Issuer::start(&[&key]).await;
    let meaning = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    let config = JwtConfig {
        scopes_claim: "/realm_access/roles".to_owned(),
        scopes: BTreeMap::from([
            ("support".to_owned(), meaning(&["users:read"])),
            ("dpo".to_owned(), meaning(&["users:read", "users:forget", "audit:read"])),
        ]),
        ..issuer.config()
    };
    let app = guarded(config).await;
    let [own, other] = [app.add(&Person::new()).await, app.add(&Person::new()).await];
    let roles = |roles: &[&str]| json!({ "realm_access": { "roles": roles }, "scope": "pii:read" });
    let mut bound = roles(&["dpo"]);
    bound["oubliette_subject"] = json!(own);
    for (changes, id, query, expected) in [
        (roles(&["support"]), other, "query($id: ID!) { user(id: $id) { username } }", None),
        (roles(&["support"]), other, "query($id: ID!) { user(id: $id) { email } }", Some("FORBIDDEN")),
        (roles(&["users:read"]), other, "query($id: ID!) { user(id: $id) { id } }", Some("FORBIDDEN")),
        (roles(&[]), other, "query($id: ID!) { user(id: $id) { id } }", Some("FORBIDDEN")),
        (
            roles(&["dpo", "x"]),
            other,
            "query($id: ID!) { auditEvents(subjectId: $id) { nodes { action } } }",
            None,
        ),
        (bound.clone(), other, "mutation($id: ID!) { forgetUser(id: $id) { digest } }", Some("FORBIDDEN")),
        (bound, own, "mutation($id: ID!) { forgetUser(id: $id) { digest } }", None),
        (roles(&["dpo"]), other, "mutation($id: ID!) { forgetUser(id: $id) { digest } }", None),
    ] {
        let (status, answer) = app.ask(Some(&key.sign(&claims(&changes))), query, json!({ "id": id })).await;
        assert_eq!((status, code(&answer)), (StatusCode::OK, expected), "{changes} {query}: {answer}");
    }
    let actors = "SELECT actor FROM audit_events WHERE action = 'forget' ORDER BY sequence";
    let actors: Vec<String> =
        app.rows(actors).await.iter().map(|row| row.try_get("", "actor").unwrap()).collect();
    // The refusal is written a moment later than the change that came after it.
    assert!(actors.contains(&format!("self:{own}")) && actors.contains(&"jwt:ada".to_owned()), "{actors:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn new_keys_are_learned_and_old_ones_forgotten() {
    let [old, new] = [Key::new("old", Algorithm::ES256), Key::new("new", Algorithm::ES256)];
    let issuer = Issuer::start(&[&old]).await;
    let config = JwtConfig { refresh: Duration::from_secs(7), ..issuer.config() };
    let app = guarded(config).await;
    let ask = async |token: &str| app.ask(Some(token), "{ __typename }", json!({})).await.0;
    assert_eq!(ask(&old.sign(&claims(&json!({})))).await, StatusCode::OK);
    assert_eq!(issuer.asked.load(SeqCst), 1);

    // A key that is not known is asked for, at once; and however many come, not again and again.
    issuer.publish(&[&new]);
    assert_eq!(ask(&new.sign(&claims(&json!({})))).await, StatusCode::OK);
    let asked = issuer.asked.load(SeqCst);
    for number in 0..50 {
        let forged = Key::new(&format!("forged-{number}"), Algorithm::ES256).sign(&claims(&json!({})));
        assert_eq!(ask(&forged).await, StatusCode::UNAUTHORIZED);
    }
    assert!(issuer.asked.load(SeqCst) <= asked + 3, "{} times", issuer.asked.load(SeqCst));
    assert_eq!(ask(&old.sign(&claims(&json!({ "again": 1 })))).await, StatusCode::UNAUTHORIZED);

    // A key that is withdrawn is no good after the next refresh, though nobody asks for another.
    issuer.publish(&[&old]);
    let withdrawn = Instant::now();
    let mut number = 0;
    while ask(&new.sign(&claims(&json!({ "number": number })))).await == StatusCode::OK {
        assert!(withdrawn.elapsed() < Duration::from_secs(30), "still good");
        tokio::time::sleep(Duration::from_millis(100)).await;
        number += 1;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_issuers_keys_nobody_is_let_in_until_they_are_there() {
    let key = Key::new("a", Algorithm::ES256);
    let address = {
        let reserved = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        reserved.local_addr().unwrap()
    };
    let jwt =
        JwtConfig { refresh: Duration::from_millis(500), max_age: Duration::from_secs(4), ..config(address) };
    // A server starts without them: it can be told later.
    let app = guarded(jwt).await;
    let ask = async || {
        let token = key.sign(&claims(&json!({ "number": rand::random::<u32>() })));
        let (status, answer) = app.ask(Some(&token), "{ __typename }", json!({})).await;
        if status != StatusCode::OK {
            assert_eq!((status, code(&answer)), (StatusCode::SERVICE_UNAVAILABLE, Some("UNAVAILABLE")));
        }
        status
    };
    assert_eq!(ask().await, StatusCode::SERVICE_UNAVAILABLE);
    let until = async |expected: StatusCode| {
        let started = Instant::now();
        while ask().await != expected {
            assert!(started.elapsed() < Duration::from_secs(30), "never {expected}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let issuer = Issuer::start_at(address, &[&key]).await;
    until(StatusCode::OK).await;
    // Keys that could not be read again for too long are believed no more.
    drop(issuer);
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(ask().await, StatusCode::OK);
    until(StatusCode::SERVICE_UNAVAILABLE).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_may_come_from_a_file_which_must_be_there() {
    let key = Key::new("a", Algorithm::EdDSA);
    let sandbox = Sandbox::new()
        .with_env("OUBLIETTE_AUTH__MODE", "jwt")
        .with_env("OUBLIETTE_AUTH__JWT__ISSUER", ISSUER)
        .with_env("OUBLIETTE_AUTH__JWT__AUDIENCE", AUDIENCE)
        .with_env("OUBLIETTE_AUTH__JWT__JWKS_FILE", "keys.json");
    let said = sandbox.refusal().await;
    assert!(said.contains("auth.jwt.jwks_file `keys.json` cannot be used"), "{said}");
    sandbox.write("keys.json", "{\"keys\": []}");
    let said = sandbox.refusal().await;
    assert!(said.contains("not a JSON Web Key Set with an RSA, EC or Ed25519 key"), "{said}");
    sandbox.write("keys.json", &json!({ "keys": [key.public()] }).to_string());
    let server = sandbox.start().await;
    let post = || server.client().post(server.url("/graphql")).json(&json!({ "query": "{ __typename }" }));
    let status = post().send().await.unwrap().status();
    assert_eq!(status, StatusCode::UNAUTHORIZED);
    let token = key.sign(&claims(&json!({})));
    assert_eq!(post().bearer_auth(token).send().await.unwrap().status(), StatusCode::OK);
}
