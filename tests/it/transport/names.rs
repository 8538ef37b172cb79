use std::net::{Ipv4Addr, SocketAddr};

use oubliette::config::Config;
use reqwest::StatusCode;

use crate::harness::{RawConnection, TestApp, TestStack};

const ANYWHERE: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);

async fn started(configure: impl FnOnce(&mut Config)) -> TestApp {
    TestApp::start_with(TestStack::sqlite(), configure).await
}

/// The first line of what is answered to a head.
async fn status(app: &TestApp, target: &str, headers: &str) -> String {
    let mut connection = RawConnection::open(app.get("/").build().unwrap().url()).await;
    let request = format!("GET {target} HTTP/1.1\r\nConnection: close\r\n{headers}\r\n");
    connection.send(&request).await;
    connection.rest().await.lines().next().unwrap_or_default().to_owned()
}

async fn assert_answers(app: &TestApp, names: &[&str], expected: StatusCode) {
    for name in names {
        let response = app.get("/playground").header("host", *name).send().await.unwrap();
        assert_eq!(response.status(), expected, "{name}");
    }
}

#[tokio::test]
async fn on_loopback_only_names_of_this_machine_are_answered() {
    let app = started(|config| config.http.allowed_hosts = vec!["Oubliette.test".to_owned()]).await;
    let own =
        ["localhost", "localhost:8000", "LOCALHOST", "127.0.0.1", "127.1.2.3:80", "[::1]", "[::1]:8000"];
    assert_answers(&app, &own, StatusCode::OK).await;
    assert_answers(&app, &["oubliette.test", "OUBLIETTE.TEST:443"], StatusCode::OK).await;
    let foreign = [
        "evil.example",
        "evil.example:8000",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "oubliette.test.evil.example",
        "localhost@evil.example",
        "evil.example@localhost",
        "192.0.2.1",
        "0.0.0.0",
        "[2001:db8::1]",
        "",
    ];
    assert_answers(&app, &foreign, StatusCode::MISDIRECTED_REQUEST).await;

    let body = app.get("/playground").header("host", "evil.example").send().await.unwrap();
    let answer: serde_json::Value = body.json().await.unwrap();
    let message = answer["errors"][0]["message"].as_str().unwrap();
    assert!(message.contains("http.allowed_hosts") && !message.contains("evil"), "{message}");
}

#[tokio::test]
async fn every_name_in_a_request_counts() {
    let app = started(|_| {}).await;
    for (target, headers, expected) in [
        ("/playground", "Host: localhost\r\n", "HTTP/1.1 200 OK"),
        ("http://localhost/playground", "Host: localhost\r\n", "HTTP/1.1 200 OK"),
        ("http://evil.example/playground", "Host: localhost\r\n", "HTTP/1.1 421 Misdirected Request"),
        ("http://localhost/playground", "Host: evil.example\r\n", "HTTP/1.1 421 Misdirected Request"),
        ("/playground", "Host: localhost\r\nHost: evil.example\r\n", "HTTP/1.1 421 Misdirected Request"),
        ("/playground", "", "HTTP/1.1 421 Misdirected Request"),
    ] {
        assert_eq!(status(&app, target, headers).await, expected, "{target} {headers:?}");
    }
}

#[tokio::test]
async fn health_is_answered_under_any_name() {
    let app = started(|_| {}).await;
    for path in ["/healthz", "/readyz"] {
        let response = app.get(path).header("host", "192.0.2.1").send().await.unwrap();
        assert_eq!(response.status(), StatusCode::OK, "{path}");
    }
}

#[tokio::test]
async fn elsewhere_names_are_checked_if_there_are_some() {
    let app = started(|config| config.http.listen = ANYWHERE).await;
    assert_answers(&app, &["oubliette.test", "192.0.2.1", "localhost"], StatusCode::OK).await;
    let app = started(|config| {
        config.http.listen = ANYWHERE;
        config.http.allowed_hosts = vec!["oubliette.test".to_owned(), "192.0.2.1".to_owned()];
    })
    .await;
    assert_answers(&app, &["oubliette.test", "192.0.2.1:8000"], StatusCode::OK).await;
    assert_answers(&app, &["evil.example", "localhost", "127.0.0.1"], StatusCode::MISDIRECTED_REQUEST).await;
}

#[tokio::test]
async fn nonsense_of_a_trusted_proxy_is_refused_and_of_others_ignored() {
    let forwarded = |app: &TestApp| app.get("/healthz").header("x-forwarded-for", "198.51.100.1, unknown");
    let app = started(|_| {}).await;
    assert_eq!(forwarded(&app).send().await.unwrap().status(), StatusCode::OK);
    let app = started(|config| config.http.trusted_proxies = vec!["192.0.2.0/24".parse().unwrap()]).await;
    assert_eq!(forwarded(&app).send().await.unwrap().status(), StatusCode::OK);
    let app = started(|config| config.http.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()]).await;
    assert_eq!(forwarded(&app).send().await.unwrap().status(), StatusCode::BAD_REQUEST);
    assert_eq!(app.get("/healthz").send().await.unwrap().status(), StatusCode::OK);
}
