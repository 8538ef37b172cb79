use std::time::Duration;

use crate::harness::{RawConnection, Sandbox, Server};

const BODY: &str = r#"{ "query": "{ __typename }" }"#;

/// A request that the server has begun to read, and that is not complete.
async fn half_a_request(server: &Server) -> RawConnection {
    let mut connection = RawConnection::open(&server.url("/")).await;
    let length = BODY.len();
    connection
        .send(&format!(
            "POST /graphql HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Type: application/json\r\n\
             Content-Length: {length}\r\n\r\n"
        ))
        .await;
    // The server says so when it wants the body: from here on, the request is in flight.
    let answer = connection.read_until("\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 100 "), "{answer}");
    connection.send(&BODY[..10]).await;
    connection
}

async fn takes_no_more_connections(server: &Server) {
    for _ in 0..500 {
        // A client of its own each time: the pooled connections of another one prove nothing.
        let health = reqwest::Client::new().get(server.url("/healthz")).send().await;
        if health.is_err_and(|error| error.is_connect()) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("new connections are still taken");
}

#[tokio::test]
async fn a_request_in_flight_is_answered_before_the_server_stops() {
    for signal in ["TERM", "INT"] {
        let mut server = Sandbox::new().start().await;
        // An idle connection must not hold up anything.
        server.client().get(server.url("/healthz")).send().await.unwrap();
        let mut request = half_a_request(&server).await;

        server.signal(signal);
        takes_no_more_connections(&server).await;
        request.send(&BODY[10..]).await;
        let answer = request.rest().await;
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
        assert!(answer.ends_with(r#"{"data":{"__typename":"Query"}}"#), "{answer}");

        assert_eq!(server.exit().await.code(), Some(0));
        assert!(server.log().contains("\"stopped\""));
    }
}

#[tokio::test]
async fn a_request_that_does_not_end_is_cut_off_after_the_grace() {
    let mut server = Sandbox::new().start_with(&["--set", "http.shutdown_grace=200ms"]).await;
    let request = half_a_request(&server).await;
    server.signal("TERM");
    assert_eq!(server.exit().await.code(), Some(0));
    assert!(server.log().contains("they are cut off"));
    assert_eq!(request.rest().await, "");
}
