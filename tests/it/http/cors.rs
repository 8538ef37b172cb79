//! Pages of other origins: none may call the API, unless it is named.

use reqwest::{Client, Method, Response, StatusCode};
use serde_json::json;

use super::started;
use crate::harness::{TestApp, TestStack};

const NAMED: &str = "https://app.example.com";
const OTHERS: [&str; 6] = [
    "https://evil.example.com",
    "http://app.example.com",
    "https://app.example.com:8443",
    "https://app.example.com.evil.com",
    "https://evil-app.example.com",
    "null",
];

/// What a browser asks before it sends a query from a page of `origin`.
async fn preflight(app: &TestApp, path: &str, origin: &str) -> Response {
    let url = app.get(path).build().unwrap().url().clone();
    Client::new()
        .request(Method::OPTIONS, url)
        .header("origin", origin)
        .header("access-control-request-method", "POST")
        .header("access-control-request-headers", "authorization,content-type")
        .send()
        .await
        .unwrap()
}

async fn query(app: &TestApp, origin: &str) -> Response {
    let body = json!({ "query": "{ __typename }" });
    app.post("/graphql").header("origin", origin).json(&body).send().await.unwrap()
}

fn header(response: &Response, name: &str) -> Option<String> {
    response.headers().get(name).map(|value| value.to_str().unwrap().to_owned())
}

/// Nothing in the answer permits another origin anything.
fn assert_nothing_permitted(response: &Response) {
    assert_eq!(header(response, "access-control-allow-origin"), None, "{response:?}");
    assert_eq!(header(response, "access-control-allow-credentials"), None, "{response:?}");
}

async fn naming_one() -> TestApp {
    TestApp::start_with(TestStack::sqlite(), |config| {
        config.http.cors_allowed_origins = vec![NAMED.to_owned().try_into().unwrap()];
    })
    .await
}

#[tokio::test]
async fn by_default_nobody_is_permitted_and_who_asks_is_refused() {
    let app = started().await;
    for origin in [NAMED, "null"] {
        for path in ["/graphql", "/readyz", "/playground"] {
            let asked = preflight(&app, path, origin).await;
            assert_eq!(asked.status(), StatusCode::METHOD_NOT_ALLOWED, "{path}");
            assert!(!asked.headers().keys().any(|name| name.as_str().starts_with("access-control-")));
        }
        let answer = query(&app, origin).await;
        assert!(!answer.headers().keys().any(|name| name.as_str().starts_with("access-control-")));
    }
}

#[tokio::test]
async fn a_named_origin_may_send_queries_with_a_token() {
    let app = naming_one().await;
    let asked = preflight(&app, "/graphql", NAMED).await;
    assert_eq!(asked.status(), StatusCode::OK);
    assert_eq!(header(&asked, "access-control-allow-origin").as_deref(), Some(NAMED));
    assert_eq!(header(&asked, "access-control-allow-methods").as_deref(), Some("POST"));
    let permitted = header(&asked, "access-control-allow-headers").unwrap();
    assert_eq!(permitted, "authorization,content-type,x-request-id");
    assert_eq!(header(&asked, "access-control-allow-credentials"), None, "no cookies are taken");

    let answer = query(&app, NAMED).await;
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(header(&answer, "access-control-allow-origin").as_deref(), Some(NAMED));
    assert_eq!(header(&answer, "access-control-expose-headers").as_deref(), Some("retry-after,x-request-id"));
    assert!(header(&answer, "vary").unwrap().contains("origin"), "caches keep the origins apart");
}

#[tokio::test]
async fn a_named_origin_reads_errors_too() {
    let app = naming_one().await;
    let refused = app.post("/graphql").header("origin", NAMED).send().await.unwrap();
    assert_eq!(refused.status(), StatusCode::UNSUPPORTED_MEDIA_TYPE);
    assert_eq!(header(&refused, "access-control-allow-origin").as_deref(), Some(NAMED));
}

#[tokio::test]
async fn beside_a_named_origin_others_are_permitted_nothing() {
    let app = naming_one().await;
    for origin in OTHERS {
        assert_nothing_permitted(&preflight(&app, "/graphql", origin).await);
        assert_nothing_permitted(&query(&app, origin).await);
    }
}

#[tokio::test]
async fn a_named_origin_may_call_the_api_and_nothing_else() {
    let app = naming_one().await;
    for path in ["/readyz", "/metrics", "/playground", "/graphql/"] {
        assert_nothing_permitted(&preflight(&app, path, NAMED).await);
        assert_nothing_permitted(&app.get(path).header("origin", NAMED).send().await.unwrap());
    }
}
