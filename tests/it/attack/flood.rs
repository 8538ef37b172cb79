use reqwest::{Client, StatusCode};
use serde_json::{Value, json};

use super::{Bystander, Target};

/// So few that a debug build on a busy machine can send more.
const LIMITS: [&str; 4] = [
    "--set",
    "limits.requests_per_second_per_token=40",
    "--set",
    "limits.requests_per_second_per_address=60",
];
/// As many requests as are let through in a few seconds.
const FLOOD: usize = 1000;

/// Sends many requests from one address, and gives how many were answered, and how many refused as too many.
async fn flood(target: &Target, address: &str, token: &str, otherwise: StatusCode) -> (usize, usize) {
    let client = Client::builder().local_address(Some(address.parse().unwrap())).build().unwrap();
    let request = client.post(target.server.url("/graphql")).bearer_auth(token);
    let request = request.json(&json!({ "query": "{ __typename }" }));
    let (mut let_in, mut refused) = (0, 0);
    for _ in 0..FLOOD {
        let response = request.try_clone().unwrap().send().await.unwrap();
        if response.status() != StatusCode::TOO_MANY_REQUESTS {
            assert_eq!(response.status(), otherwise);
            let_in += 1;
            continue;
        }
        refused += 1;
        let wait = response.headers()["retry-after"].to_str().unwrap().to_owned();
        let answer: Value = response.json().await.unwrap();
        let extensions = &answer["errors"][0]["extensions"];
        assert_eq!(extensions["code"], "RATE_LIMITED", "{answer}");
        assert_eq!(extensions["retryAfter"].to_string(), wait, "{answer}");
        assert!(wait.parse::<u64>().unwrap() <= 1, "{wait}");
    }
    (let_in, refused)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_is_refused_while_others_are_served() {
    let target = Target::start(&LIMITS).await;
    let token = target.token("attacker", "users:read");
    let bystander = Bystander::start(&target).await;
    let calls = target.backend_calls().await;

    // One with a token, one who guesses; and the normal client comes from a third address.
    let ((let_in, refused), (guessed, turned_away)) = tokio::join!(
        flood(&target, "127.0.0.2", &token, StatusCode::OK),
        flood(&target, "127.0.0.3", "oub_guess", StatusCode::UNAUTHORIZED),
    );

    bystander.stop().await.assert_well();
    assert!(let_in >= 80 && guessed >= 120, "what is allowed is let in: {let_in}, {guessed}");
    assert!(refused > 50 && turned_away > 50, "{refused} and {turned_away} of {FLOOD} were refused");
    assert_eq!(target.backend_calls().await, calls);
    target.assert_unharmed();
}
