use std::time::{Duration, Instant};

use futures::future::join_all;
use oubliette::config::Config;
use reqwest::{StatusCode, Url};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::{FOREVER, soon};
use crate::harness::{RawConnection, Sandbox, TestApp, TestStack};

const LIMIT: Duration = Duration::from_secs(1);
const HEALTH: &str = "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n";
const HTTP2: &str = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

async fn started(configure: impl FnOnce(&mut Config)) -> TestApp {
    TestApp::start_with(TestStack::sqlite(), configure).await
}

fn url(app: &TestApp) -> Url {
    app.get("/").build().unwrap().url().clone()
}

async fn connect(url: &Url) -> TcpStream {
    TcpStream::connect(url.socket_addrs(|| None).unwrap().as_slice()).await.unwrap()
}

/// Waits until the server closes the connection.
async fn closed(stream: &mut TcpStream) {
    let mut buffer = [0; 1024];
    while !matches!(stream.read(&mut buffer).await, Ok(0) | Err(_)) {}
}

/// Asks on a connection of its own.
async fn healthy(url: &Url) -> Duration {
    let started = Instant::now();
    let response = soon(reqwest::Client::new().get(url.join("/healthz").unwrap()).send()).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    started.elapsed()
}

#[tokio::test]
async fn a_connection_without_a_request_is_closed() {
    let app = started(|config| config.http.header_timeout = LIMIT).await;
    let beginnings = ["", "G", "GET /healthz HTTP/1.1\r\nHost: loc", HTTP2, &HTTP2[..10]];
    join_all(beginnings.map(async |beginning| {
        let mut stream = connect(&url(&app)).await;
        stream.write_all(beginning.as_bytes()).await.unwrap();
        let started = Instant::now();
        soon(closed(&mut stream)).await;
        assert!(started.elapsed() > LIMIT / 2, "{beginning}: not at once");
    }))
    .await;
}

#[tokio::test]
async fn a_head_that_comes_byte_by_byte_is_not_waited_for() {
    let app = started(|config| config.http.header_timeout = LIMIT).await;
    let (mut reader, mut writer) = connect(&url(&app)).await.into_split();
    let dripping = tokio::spawn(async move {
        writer.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n").await.unwrap();
        while writer.write_all(b"X: x\r\n").await.is_ok() {
            tokio::time::sleep(LIMIT / 10).await;
        }
    });
    let mut buffer = [0; 1024];
    soon(async { while !matches!(reader.read(&mut buffer).await, Ok(0) | Err(_)) {} }).await;
    drop(reader);
    soon(dripping).await.unwrap();
}

#[tokio::test]
async fn a_body_that_comes_byte_by_byte_is_not_waited_for() {
    let app = started(|config| config.http.request_timeout = LIMIT).await;
    let (mut reader, mut writer) = connect(&url(&app)).await.into_split();
    let dripping = tokio::spawn(async move {
        let head = "POST /graphql HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
                    Content-Length: 100000\r\n\r\n";
        writer.write_all(head.as_bytes()).await.unwrap();
        while writer.write_all(b" ").await.is_ok() {
            tokio::time::sleep(LIMIT / 10).await;
        }
    });
    let mut answer = vec![0; 12];
    soon(reader.read_exact(&mut answer)).await.unwrap();
    assert_eq!(answer, b"HTTP/1.1 408");
    soon(async { while !matches!(reader.read(&mut answer).await, Ok(0) | Err(_)) {} }).await;
    drop(reader);
    soon(dripping).await.unwrap();
}

#[tokio::test]
async fn an_idle_connection_stays_for_a_while() {
    let app = started(|config| {
        config.http.header_timeout = LIMIT;
        config.http.idle_timeout = 4 * LIMIT;
    })
    .await;
    let mut connection = RawConnection::open(&url(&app)).await;
    for _ in 0..3 {
        connection.send(HEALTH).await;
        let answer = soon(connection.read_until("}")).await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        // Longer than a first request may take, and all together longer than one pause may last.
        tokio::time::sleep(LIMIT * 2).await;
    }
    let started = Instant::now();
    assert_eq!(soon(connection.rest()).await, "");
    assert!(started.elapsed() < FOREVER / 2);
}

#[tokio::test]
async fn whoever_was_idle_for_longest_gives_way() {
    let app = started(|config| {
        config.http.max_connections = 50.try_into().unwrap();
        config.http.header_timeout = 10 * FOREVER;
        config.http.idle_timeout = 10 * FOREVER;
    })
    .await;
    let url = url(&app);
    let mut used = RawConnection::open(&url).await;
    let mut idle = Vec::new();
    for _ in 0..200 {
        idle.push(connect(&url).await);
        // In use all the time, so that it is never the one that waited for longest.
        used.send(HEALTH).await;
        let answer = soon(used.read_until("}")).await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    }
    for _ in 0..5 {
        healthy(&url).await;
    }
    for stream in &mut idle[..140] {
        soon(closed(stream)).await;
    }
    used.send(HEALTH).await;
    assert!(soon(used.read_until("}")).await.starts_with("HTTP/1.1 200 "));
}

#[tokio::test]
async fn a_request_in_flight_does_not_give_way() {
    let app = started(|config| config.http.max_connections = 2.try_into().unwrap()).await;
    let url = url(&app);
    let body = r#"{ "query": "{ __typename }" }"#;
    let mut busy = Vec::new();
    for _ in 0..2 {
        let mut connection = RawConnection::open(&url).await;
        let length = body.len();
        let head = format!(
            "POST /graphql HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\n\
             Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
        );
        connection.send(&head).await;
        soon(connection.read_until("\r\n\r\n")).await;
        busy.push(connection);
    }
    let waiting = tokio::spawn({
        let url = url.clone();
        async move { healthy(&url).await }
    });
    tokio::time::sleep(3 * LIMIT / 2).await;
    assert!(!waiting.is_finished(), "there is no room");
    for mut connection in busy {
        connection.send(body).await;
        let answer = soon(connection.read_until("}}")).await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        drop(connection);
    }
    soon(waiting).await.unwrap();
}

#[tokio::test]
async fn ten_thousand_idle_connections_keep_nobody_out() {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }).unwrap();
    let files = limit.maximum.map_or(usize::MAX, |files| usize::try_from(files).unwrap());
    let connections = 10_000.min(files.saturating_sub(1_000));
    let server = Sandbox::new().start_with(&["--set", "http.header_timeout=10m"]).await;
    let url = server.url("/");
    let mut idle = Vec::new();
    while idle.len() < connections {
        idle.push(connect(&url).await);
    }
    let mut slowest = Duration::ZERO;
    for _ in 0..20 {
        slowest = slowest.max(healthy(&url).await);
    }
    assert!(slowest < Duration::from_secs(5), "{slowest:?} with {connections} idle connections");
    // And with more, which the server has no room for.
    if files > connections + 2_000 {
        while idle.len() < connections + 1_000 {
            idle.push(connect(&url).await);
        }
        healthy(&url).await;
    }
}

#[tokio::test]
async fn too_many_open_files_do_not_end_the_server() {
    let server = Sandbox::new().start().await;
    let limit = |files: &str| {
        let files = format!("--nofile={files}:");
        let mut prlimit = std::process::Command::new("prlimit");
        assert!(prlimit.args(["--pid", &server.pid().to_string(), &files]).status().unwrap().success());
    };
    limit("1");
    let mut waiting = RawConnection::open(&server.url("/")).await;
    waiting.send(HEALTH).await;
    soon(async {
        while !server.log().contains("no connection can be taken") {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await;
    limit("1024");
    healthy(&server.url("/")).await;
    let answer = soon(waiting.read_until("}")).await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
}

#[tokio::test]
async fn half_a_head_does_not_hold_up_a_stop() {
    let mut server = Sandbox::new().start_with(&["--set", "http.shutdown_grace=10m"]).await;
    let mut half = RawConnection::open(&server.url("/")).await;
    half.send("GET /healthz HTTP/1.1\r\nHost: loc").await;
    healthy(&server.url("/")).await;
    server.signal("TERM");
    assert_eq!(server.exit().await.code(), Some(0));
}
