//! A revoked access token stays revoked: it is an entry of the ledger, too.

use super::*;
use crate::harness::on_both_databases;

on_both_databases!(a_token_that_was_revoked_is_not_good_again_after_a_restore);

async fn is_good(server: &Server, token: &str) -> bool {
    let request = server.client().post(server.url("/graphql")).json(&json!({ "query": "{ __typename }" }));
    request.bearer_auth(token).send().await.unwrap().status() == StatusCode::OK
}

async fn a_token_that_was_revoked_is_not_good_again_after_a_restore(stack: TestStack) {
    let mut scene = Scene::new(stack);
    scene.sandbox = scene.sandbox.with_env("OUBLIETTE_AUTH__MODE", "tokens");
    scene.sandbox.admin_ok(&["migrate"]);
    let make = |name: &str| {
        let made = scene.sandbox.admin(&["tokens", "create", "--name", name, "--scopes", "users:read"]);
        made.stdout.trim().to_owned()
    };
    let (leaked, older, billing) = (make("leaked"), make("older"), make("billing"));
    stop(scene.start().await).await;
    let backup = scene.backup();

    let server = scene.start().await;
    scene.sandbox.admin_ok(&["tokens", "revoke", "leaked"]);
    // Those that were made before a moment, of which one has its entry already.
    let now = chrono::Utc::now().to_rfc3339();
    scene.sandbox.admin_ok(&["tokens", "revoke", "--all-made-before", &now, "--yes", "--json"]);
    let billing = (make("billing-2"), billing).0;
    scene.published_all(3).await;
    stop(server).await;
    let before = scene.exported();
    let entries: Vec<Value> = before.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(entries.iter().all(|entry| entry["token_id"].is_string() && entry.get("subject_id").is_none()));
    let shown = scene.sandbox.admin_ok(&["ledger", "export"]);
    let token = format!("\ttoken {}\t", entries[0]["token_id"].as_str().unwrap());
    assert!(shown.lines().next().unwrap().contains(&token), "{shown}");

    scene.restore(&backup);
    let server = scene.start().await;
    // From the first request on.
    assert!(!is_good(&server, &leaked).await && !is_good(&server, &older).await);
    assert!(!is_good(&server, &billing).await, "made after the backup");
    assert_eq!(scene.exported(), before);
    let log = server.log();
    assert!(log.contains("\"entries\":3,\"forgotten_again\":0,\"moved\":0,\"revoked_again\":3"), "{log}");
    let trail = scene.sandbox.admin_ok(&["audit", "export"]);
    let told = trail.lines().filter(|line| line.contains("system:sinks") && line.contains("token_revoke"));
    assert_eq!(told.count(), 3, "{trail}");
    assert!(scene.sandbox.admin_ok(&["ledger", "verify"]).starts_with("3 entries, and nothing is wrong"));
    // Nobody takes a token's id for a person's.
    let id = entries[0]["token_id"].as_str().unwrap();
    let refused = scene.sandbox.admin(&["ledger", "receipt", id]);
    assert!(refused.stderr.contains(&format!("nobody with the id {id} was forgotten")), "{}", refused.stderr);
    let refused = scene.sandbox.admin(&["users", "forget", id, "--yes"]);
    assert!(refused.status == Some(1) && refused.stderr.contains("there is no user"), "{}", refused.stderr);
    stop(server).await;

    // The database's own ledger is enough where only the tokens are those of another time.
    scene.sql(&["UPDATE access_tokens SET revoked_at = NULL"]).await;
    let server = scene.start().await;
    assert!(!is_good(&server, &leaked).await);
    let log = server.log();
    assert!(log.contains("access tokens that had been revoked were good again"), "{log}");
}
