//! Tokens that do not name their key, of an issuer that has several: before, during and after a rotation.

use std::sync::atomic::Ordering::SeqCst;

use jsonwebtoken::{Algorithm, Header, encode};
use reqwest::StatusCode;
use serde_json::{Value, json};

use super::{Issuer, Key, claims, guarded};
use crate::harness::TestApp;

fn sign(key: &Key, number: usize) -> String {
    encode(&Header::new(key.algorithm), &claims(&json!({ "number": number })), &key.private).unwrap()
}

async fn ask(app: &TestApp, token: &str) -> StatusCode {
    app.ask(Some(token), "{ __typename }", json!({})).await.0
}

fn keys<const N: usize>(algorithm: Algorithm) -> [Key; N] {
    std::array::from_fn(|number| Key::new(&format!("{algorithm:?}-{number}"), algorithm))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whichever_key_signed_it_a_sound_token_is_let_in() {
    let ([ec, second_ec], [ed, following_ed]) = (keys(Algorithm::ES256), keys(Algorithm::EdDSA));
    let issuer = Issuer::start(&[&ec, &ed, &second_ec, &following_ed]).await;
    let app = guarded(issuer.config()).await;
    for (number, key) in [&ec, &ed, &second_ec, &following_ed].into_iter().enumerate() {
        assert_eq!(ask(&app, &sign(key, number)).await, StatusCode::OK, "{}", key.id);
    }
    assert_eq!(issuer.asked.load(SeqCst), 1);
    // A stranger's is not, and what is wrong beside the signature stays wrong.
    let stranger = Key::new("x", Algorithm::ES256);
    assert_eq!(ask(&app, &sign(&stranger, 0)).await, StatusCode::UNAUTHORIZED);
    for changes in [json!({ "aud": "other" }), json!({ "exp": 1 }), json!({ "iss": "other" })] {
        let token = encode(&Header::new(Algorithm::ES256), &claims(&changes), &second_ec.private).unwrap();
        assert_eq!(ask(&app, &token).await, StatusCode::UNAUTHORIZED, "{changes}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_that_the_issuer_began_to_use_is_asked_for() {
    let [old, new] = keys(Algorithm::EdDSA);
    let issuer = Issuer::start(&[&old]).await;
    let app = guarded(issuer.config()).await;
    assert_eq!(ask(&app, &sign(&old, 0)).await, StatusCode::OK);
    issuer.publish(&[&old, &new]);
    assert_eq!(ask(&app, &sign(&new, 0)).await, StatusCode::OK);
    assert_eq!(ask(&app, &sign(&old, 1)).await, StatusCode::OK, "both are good during the rotation");
    // However many forged ones come, the issuer is left in peace.
    let asked = issuer.asked.load(SeqCst);
    let stranger = Key::new("x", Algorithm::EdDSA);
    for number in 0..50 {
        assert_eq!(ask(&app, &sign(&stranger, number)).await, StatusCode::UNAUTHORIZED);
    }
    assert!(issuer.asked.load(SeqCst) <= asked + 3, "{} times", issuer.asked.load(SeqCst));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_for_something_else_are_neither_tried_nor_counted() {
    let signing = Key::new("signing", Algorithm::EdDSA);
    let issuer = Issuer::start(&[]).await;
    let other = |changes: &Value| {
        let mut key = Key::new("other", Algorithm::EdDSA).public();
        for (name, value) in changes.as_object().unwrap() {
            key[name] = value.clone();
        }
        key
    };
    let mut published: Vec<Value> = (0..20)
        .flat_map(|_| {
            [
                json!({ "use": "enc" }),
                json!({ "key_ops": ["deriveKey"], "use": null }),
                json!({ "alg": "ECDH-ES" }),
            ]
        })
        .map(|changes| other(&changes))
        .collect();
    published.push(signing.public());
    *issuer.keys.lock().unwrap() = published;
    let app = guarded(issuer.config()).await;
    assert_eq!(ask(&app, &sign(&signing, 0)).await, StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn at_most_sixteen_keys_are_tried() {
    let all: [Key; 17] = keys(Algorithm::EdDSA);
    let issuer = Issuer::start(&all.each_ref()).await;
    let app = guarded(issuer.config()).await;
    assert_eq!(ask(&app, &sign(&all[15], 0)).await, StatusCode::OK);
    assert_eq!(ask(&app, &sign(&all[16], 0)).await, StatusCode::UNAUTHORIZED);
    // Who names the key needs no luck.
    assert_eq!(ask(&app, &all[16].sign(&claims(&json!({})))).await, StatusCode::OK);
}
