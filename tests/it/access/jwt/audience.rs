//! Issuers that say in another claim than `aud` whom a token is for, such as AWS Cognito.

use jsonwebtoken::Algorithm;
use oubliette::config::JwtConfig;
use reqwest::StatusCode;
use serde_json::json;

use super::{AUDIENCE, ISSUER, Issuer, Key, claims, guarded};
use crate::harness::Sandbox;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_configured_claim_must_hold_the_audience() {
    let key = Key::new("a", Algorithm::EdDSA);
    let issuer = Issuer::start(&[&key]).await;
    for (claim, at) in [("client_id", "client_id"), ("/app/client", "app")] {
        let app = guarded(JwtConfig { audience_claim: claim.to_owned(), ..issuer.config() }).await;
        let value = |audience: serde_json::Value| {
            if at == "app" { json!({ "client": audience }) } else { audience }
        };
        for (audience, aud, expected) in [
            (Some(json!(AUDIENCE)), json!(null), StatusCode::OK),
            (Some(json!(["other", AUDIENCE])), json!(null), StatusCode::OK),
            // An `aud` that is there has its say.
            (Some(json!(AUDIENCE)), json!(["other", AUDIENCE]), StatusCode::OK),
            (Some(json!(AUDIENCE)), json!("other"), StatusCode::UNAUTHORIZED),
            (Some(json!(AUDIENCE)), json!([]), StatusCode::UNAUTHORIZED),
            (Some(json!("other")), json!(null), StatusCode::UNAUTHORIZED),
            (Some(json!("other")), json!(AUDIENCE), StatusCode::UNAUTHORIZED),
            (Some(json!([])), json!(null), StatusCode::UNAUTHORIZED),
            (Some(json!(7)), json!(null), StatusCode::UNAUTHORIZED),
            (Some(json!({ AUDIENCE: AUDIENCE })), json!(null), StatusCode::UNAUTHORIZED),
            (Some(json!(format!("{AUDIENCE} other"))), json!(null), StatusCode::UNAUTHORIZED),
            (None, json!(null), StatusCode::UNAUTHORIZED),
            (None, json!(AUDIENCE), StatusCode::UNAUTHORIZED),
        ] {
            let mut changes = json!({ "aud": aud, "token_use": "access" });
            if let Some(audience) = audience {
                changes[at] = value(audience);
            }
            let (status, answer) =
                app.ask(Some(&key.sign(&claims(&changes))), "{ __typename }", json!({})).await;
            assert_eq!(status, expected, "{claim} {changes}: {answer}");
        }
    }
}

#[test]
fn a_claim_that_cannot_be_meant_is_refused_at_the_start() {
    let jwt = |key: &str, claim: &str| {
        Sandbox::new()
            .with_env("OUBLIETTE_AUTH__MODE", "jwt")
            .with_env("OUBLIETTE_AUTH__JWT__ISSUER", ISSUER)
            .with_env("OUBLIETTE_AUTH__JWT__AUDIENCE", AUDIENCE)
            .with_env("OUBLIETTE_AUTH__JWT__JWKS_FILE", "keys.json")
            .with_env(&format!("OUBLIETTE_AUTH__JWT__{key}"), claim)
    };
    for key in ["audience_claim", "scopes_claim", "subject_claim"] {
        for claim in ["", "/", "/a//b", "/a~2"] {
            let error = jwt(&key.to_uppercase(), claim).admin_error(&["config"]);
            let expected = format!(
                "`auth.jwt.{key}` in OUBLIETTE_AUTH__JWT__{}: \"{claim}\" is neither a claim's name",
                key.to_uppercase()
            );
            assert!(error.contains(&expected), "{error}");
        }
    }
    for claim in ["iss", "sub", "jti"] {
        let error = jwt("AUDIENCE_CLAIM", claim).admin_error(&["config"]);
        assert!(error.contains(&format!("AUDIENCE_CLAIM: \"{claim}\" does not tell whom")), "{error}");
    }
    let printed = jwt("AUDIENCE_CLAIM", "client_id").admin_ok(&["config"]);
    assert!(printed.contains("auth.jwt.audience_claim"), "{printed}");
}
