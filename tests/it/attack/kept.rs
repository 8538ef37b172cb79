use reqwest::StatusCode;
use serde_json::json;

use super::{Target, documents::LARGEST};
use crate::harness::sized;

/// Memory that may stay, in MiB.
const MOST: u64 = 64;

/// Each of these documents is another one, of three tokens, and nearly as long as a request may be.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn documents_that_nobody_sends_again_are_not_kept() {
    let target = Target::start(&["--set", "limits.requests_per_second_per_token=0"]).await;
    let token = target.token("attacker", "users:read");
    let padding = " ".repeat(LARGEST - 16);
    let send = async |requests: std::ops::Range<usize>| {
        for number in requests {
            let query = format!("{{__typename}}{}", &padding[number..]);
            let response = target.ask(&token, &query, &json!({})).send().await.unwrap();
            assert_eq!(response.status(), StatusCode::OK);
        }
    };
    // What the server takes once, for connections and buffers.
    send(0..50).await;
    let before = target.memory().resident;
    send(50..50 + sized(600, 6000)).await;
    let grown = target.memory().resident.saturating_sub(before) / 1024;
    assert!(grown < MOST, "{grown} MiB more");
}
