use reqwest::{Client, StatusCode, header::CONTENT_TYPE};
use serde_json::Value;

use crate::harness::{Sandbox, Server, TestApp, TestStack};

/// Where the server's log says that metrics are.
fn metrics_url(server: &Server, path: &str) -> String {
    let log = server.log();
    let events = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let mut addresses = events.filter_map(|event| Some(event["metrics_address"].as_str()?.to_owned()));
    format!("http://{}{path}", addresses.next().expect("the log says so"))
}

#[tokio::test]
async fn metrics_have_a_listener_of_their_own() {
    let sandbox = Sandbox::new();
    let server = sandbox.start().await;
    let client = Client::new();
    let response = client.get(metrics_url(&server, "/metrics")).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    let media_type = response.headers()[CONTENT_TYPE].to_str().unwrap();
    assert!(media_type.starts_with("application/openmetrics-text"), "{media_type}");
    assert!(response.text().await.unwrap().contains("oubliette_key_cache_entries"));
    for path in ["/healthz", "/readyz", "/readyz?exclude=keys"] {
        let response = client.get(metrics_url(&server, path)).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::OK, "{path}");
    }
    for path in ["/graphql", "/playground", "/"] {
        let response = client.post(metrics_url(&server, path)).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::NOT_FOUND, "{path}");
    }
    let response = client.get(server.url("/metrics")).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::NOT_FOUND);

    let foreign = client.get(metrics_url(&server, "/metrics")).header("host", "evil.example");
    assert_eq!(foreign.send().await.unwrap().status(), StatusCode::MISDIRECTED_REQUEST);
}

#[tokio::test]
async fn metrics_are_not_on_the_main_listener() {
    let app = TestApp::start(TestStack::sqlite()).await;
    assert_eq!(app.get("/metrics").send().await.unwrap().status(), StatusCode::NOT_FOUND);
    assert!(app.metrics().await.contains("oubliette_key_cache_entries"));
}

#[test]
fn each_profile_says_where_metrics_are() {
    let listen = |profile: &str| {
        let arguments = ["config", "--json", "--profile", profile, "--set", "database.url=sqlite://x"];
        let lines: Value = serde_json::from_str(&Sandbox::new().admin_ok(&arguments)).unwrap();
        let mut lines = lines.as_array().unwrap().iter();
        lines.find(|line| line["key"] == "metrics.listen").map(|line| line["value"].clone())
    };
    assert_eq!(listen("local"), None);
    assert_eq!(listen("localstack"), Some("127.0.0.1:9464".into()));
    assert_eq!(listen("aws"), Some("127.0.0.1:9464".into()));
}

#[tokio::test]
async fn an_address_in_use_is_named_with_its_key() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let arguments = ["--set", &format!("metrics.listen={address}")];
    let finished = crate::harness::finish(Sandbox::new().server_command().args(arguments));
    assert_eq!(finished.status, Some(1));
    let expected = format!("cannot listen on {address} (metrics.listen)");
    assert!(finished.stderr.contains(&expected), "{}", finished.stderr);
}
