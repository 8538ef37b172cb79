//! What answers tell a browser.

use reqwest::{Response, StatusCode};
use serde_json::json;

use super::started;

/// On every answer, whatever it is.
const ALWAYS: [(&str, &str); 5] = [
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
    ("referrer-policy", "no-referrer"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
];

/// On every answer that is not the playground.
const DATA: [(&str, &str); 2] = [
    ("content-security-policy", "default-src 'none'; frame-ancestors 'none'"),
    ("cache-control", "no-store"),
];

fn assert_headers(response: &Response, expected: &[(&str, &str)]) {
    for (name, value) in expected {
        let values: Vec<_> = response.headers().get_all(*name).iter().collect();
        assert_eq!(values, [value], "{name} of {}", response.url());
    }
    assert!(!response.headers().contains_key("strict-transport-security"), "this came without TLS");
}

/// Checks an answer that is not the playground.
pub(super) fn assert_data(response: &Response) {
    assert_headers(response, &ALWAYS);
    assert_headers(response, &DATA);
}

#[tokio::test]
async fn every_route_answers_with_them() {
    let app = started().await;
    let query = json!({ "query": "{ users(first: 1) { nodes { id email } } }" });
    for (request, status) in [
        (app.post("/graphql").json(&query), StatusCode::OK),
        (app.post("/graphql").json(&json!([])), StatusCode::BAD_REQUEST),
        (app.post("/graphql"), StatusCode::UNSUPPORTED_MEDIA_TYPE),
        (app.get("/graphql"), StatusCode::METHOD_NOT_ALLOWED),
        (app.get("/healthz"), StatusCode::OK),
        (app.get("/readyz"), StatusCode::OK),
        (app.get("/metrics"), StatusCode::NOT_FOUND),
        (app.get("/nothing"), StatusCode::NOT_FOUND),
        (app.get("/playground/assets/nothing.js"), StatusCode::NOT_FOUND),
    ] {
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), status, "{}", response.url());
        assert_data(&response);
    }
    assert_headers(&app.get("/playground").send().await.unwrap(), &ALWAYS);
}
