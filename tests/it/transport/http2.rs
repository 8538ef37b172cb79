//! HTTP/2 in clear text, as frames (RFC 9113): a client that knows that the server speaks it.

use axum::body::Body;
use hyper_util::rt::{TokioExecutor, TokioIo};
use reqwest::StatusCode;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::soon;
use crate::harness::{TestApp, TestStack};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const GOAWAY: u8 = 7;
const END_STREAM_AND_HEADERS: u8 = 0x5;
const CANCEL: u32 = 8;
const ENHANCE_YOUR_CALM: u32 = 11;
const MAX_CONCURRENT_STREAMS: u16 = 3;

/// `GET / ` of `http://localhost`, compressed.
const REQUEST: &[u8] = b"\x82\x86\x84\x41\x09localhost";

async fn connect(app: &TestApp) -> TcpStream {
    let url = app.get("/").build().unwrap().url().clone();
    TcpStream::connect(url.socket_addrs(|| None).unwrap().as_slice()).await.unwrap()
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// The next frame of a kind.
async fn next(stream: &mut TcpStream, wanted: u8) -> std::io::Result<Vec<u8>> {
    loop {
        let mut head = [0; 9];
        stream.read_exact(&mut head).await?;
        let mut payload = vec![0; usize::from(head[1]) << 8 | usize::from(head[2])];
        stream.read_exact(&mut payload).await?;
        if head[3] == wanted {
            return Ok(payload);
        }
    }
}

#[tokio::test]
async fn the_requests_of_one_connection_are_limited() {
    let app = TestApp::start(TestStack::sqlite()).await;
    let mut stream = connect(&app).await;
    stream.write_all(&[PREFACE, &frame(SETTINGS, 0, 0, &[])].concat()).await.unwrap();
    let settings = soon(next(&mut stream, SETTINGS)).await.unwrap();
    let limit: Vec<_> =
        settings.chunks(6).filter(|entry| entry[..2] == MAX_CONCURRENT_STREAMS.to_be_bytes()).collect();
    assert_eq!(limit, [[0, 3, 0, 0, 0, 64]]);
}

#[tokio::test]
async fn a_flood_of_resets_ends_the_connection() {
    let app = TestApp::start(TestStack::sqlite()).await;
    let mut stream = connect(&app).await;
    let mut flood = [PREFACE, &frame(SETTINGS, 0, 0, &[])].concat();
    for id in (1..2_000).step_by(2) {
        flood.extend(frame(HEADERS, END_STREAM_AND_HEADERS, id, REQUEST));
        flood.extend(frame(RST_STREAM, 0, id, &CANCEL.to_be_bytes()));
    }
    // The server may have closed before all of it is sent.
    let (mut reader, mut writer) = stream.split();
    let _ = soon(writer.write_all(&flood)).await;
    let mut said = Vec::new();
    let _ = soon(reader.read_to_end(&mut said)).await;
    let calm = ENHANCE_YOUR_CALM.to_be_bytes();
    let mut frames = said.as_slice();
    let mut ended = false;
    while let [_, high, low, kind, _, _, _, _, _, rest @ ..] = frames {
        let (payload, others) = rest.split_at(usize::from(*high) << 8 | usize::from(*low));
        ended |= *kind == GOAWAY && payload[4..8] == calm;
        frames = others;
    }
    assert!(ended, "{said:?}");
    assert_eq!(app.get("/healthz").send().await.unwrap().status(), StatusCode::OK);
}

#[tokio::test]
async fn the_name_of_a_request_is_its_authority() {
    let app = TestApp::start(TestStack::sqlite()).await;
    let stream = TokioIo::new(connect(&app).await);
    let (mut client, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), stream).await.unwrap();
    tokio::spawn(connection);
    for (name, expected) in
        [("localhost:8000", StatusCode::OK), ("evil.example", StatusCode::MISDIRECTED_REQUEST)]
    {
        let request = hyper::Request::get(format!("http://{name}/playground")).body(Body::empty()).unwrap();
        let response = soon(client.send_request(request)).await.unwrap();
        assert_eq!(response.status(), expected, "{name}");
    }
}
