//! Who may see what.

mod budget;
mod commands;
mod jwt;
mod refusals;
mod scopes;
mod tokens;
mod trail;

use oubliette::config::{AuthMode, Config};
use serde_json::Value;

use crate::harness::{TestApp, TestStack};

/// An app that wants tokens, whose cache keeps nothing: each value that is opened costs a call.
async fn guarded(stack: TestStack) -> TestApp {
    TestApp::start_with(stack, with_tokens).await
}

fn with_tokens(config: &mut Config) {
    config.auth.mode = AuthMode::Tokens;
    config.limits.requests_per_second_per_token = 0;
    config.keys.cache.max_entries = 0;
}

/// The code of the first error in an answer.
fn code(answer: &Value) -> Option<&str> {
    answer["errors"][0]["extensions"]["code"].as_str()
}
