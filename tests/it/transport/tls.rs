use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::body::Body;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use reqwest::{StatusCode, Version};
use rustls::{
    ClientConfig,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
    version::{TLS12, TLS13},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::soon;
use crate::harness::{Authority, Pair, RawConnection, Sandbox, Server};

const NAMES: [&str; 2] = ["localhost", "127.0.0.1"];
const HEALTH: &str = "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n";

fn write(sandbox: &Sandbox, pair: &Pair) {
    sandbox.write("certificate.pem", &pair.certificate);
    sandbox.write("key.pem", &pair.key);
}

/// A sandbox whose server speaks TLS.
fn sandbox(pair: &Pair) -> Sandbox {
    let sandbox = Sandbox::new()
        .with_env("OUBLIETTE_HTTP__TLS__CERTIFICATE", "certificate.pem")
        .with_env("OUBLIETTE_HTTP__TLS__KEY", "key.pem");
    write(&sandbox, pair);
    sandbox
}

/// A TLS connection to the server.
async fn connect(server: &Server, config: ClientConfig) -> std::io::Result<TlsStream<TcpStream>> {
    let stream = TcpStream::connect(server.url("/").socket_addrs(|| None).unwrap().as_slice()).await?;
    let name = ServerName::try_from("localhost").unwrap();
    TlsConnector::from(Arc::new(config)).connect(name, stream).await
}

/// The certificate that the server shows to a new client.
async fn shown(server: &Server, trusted: &[&Authority]) -> CertificateDer<'static> {
    let stream = soon(connect(server, Authority::trusted(trusted, &[&TLS13]))).await.unwrap();
    stream.get_ref().1.peer_certificates().unwrap()[0].clone().into_owned()
}

fn der(pair: &Pair) -> CertificateDer<'static> {
    CertificateDer::from_pem_slice(pair.certificate.as_bytes()).unwrap()
}

/// Waits until the server shows this certificate.
async fn shows(server: &Server, trusted: &[&Authority], pair: &Pair) {
    soon(async {
        while shown(server, trusted).await != der(pair) {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await;
}

async fn logged(server: &Server, text: &str) {
    soon(async {
        while !server.log().contains(text) {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await;
}

/// Asks on an open connection.
async fn ask(stream: &mut TlsStream<TcpStream>) -> std::io::Result<String> {
    stream.write_all(HEALTH.as_bytes()).await?;
    let mut answer = Vec::new();
    while !answer.ends_with(b"}") {
        answer.push(stream.read_u8().await?);
    }
    Ok(String::from_utf8(answer).unwrap())
}

#[tokio::test]
async fn http_2_and_http_1_are_spoken_over_tls_1_2_and_1_3() {
    let authority = Authority::new();
    let server = sandbox(&authority.issue(&NAMES)).start().await;
    let url: axum::http::Uri = server.url("/healthz").as_str().replace("http:", "https:").parse().unwrap();
    for version in [&TLS12, &TLS13] {
        let connector =
            || HttpsConnectorBuilder::new().with_tls_config(Authority::trusted(&[&authority], &[version]));
        for (connector, expected) in [
            (connector().https_only().enable_http1().build(), Version::HTTP_11),
            (connector().https_only().enable_all_versions().build(), Version::HTTP_2),
        ] {
            let client: Client<HttpsConnector<HttpConnector>, Body> =
                Client::builder(TokioExecutor::new()).build(connector);
            let response = soon(client.get(url.clone())).await.unwrap();
            assert_eq!((response.status(), response.version()), (StatusCode::OK, expected), "{version:?}");
            assert_eq!(response.headers()["strict-transport-security"], "max-age=31536000");
        }
    }
    assert!(server.log().contains("serving https://"));
}

#[tokio::test]
async fn a_client_who_does_not_trust_the_authority_is_not_connected() {
    let (authority, other) = (Authority::new(), Authority::new());
    let server = sandbox(&authority.issue(&NAMES)).start().await;
    soon(connect(&server, Authority::trusted(&[&other], &[&TLS13]))).await.unwrap_err();
    soon(connect(&server, Authority::trusted(&[&authority], &[&TLS13]))).await.unwrap();
}

#[tokio::test]
async fn a_renewed_certificate_is_shown_and_nobody_is_cut_off() {
    let (old_authority, new_authority) = (Authority::new(), Authority::new());
    let (old, new) = (old_authority.issue(&NAMES), new_authority.issue(&NAMES));
    let sandbox = sandbox(&old);
    let server = Arc::new(sandbox.start().await);
    let config = Authority::trusted(&[&old_authority, &new_authority], &[&TLS12, &TLS13]);
    let mut open = connect(&server, config.clone()).await.unwrap();

    let (stop, answers) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let load: Vec<_> = (0..4)
        .map(|_| {
            let (server, config) = (server.clone(), config.clone());
            let (stop, answers) = (stop.clone(), answers.clone());
            tokio::spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    let mut stream = soon(connect(&server, config.clone())).await.unwrap();
                    for _ in 0..5 {
                        let answer = soon(ask(&mut stream)).await.unwrap();
                        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
                        answers.fetch_add(1, Ordering::Relaxed);
                    }
                }
            })
        })
        .collect();
    let trusted = [&old_authority, &new_authority];
    for pair in [&new, &old, &new] {
        let before = answers.load(Ordering::Relaxed);
        write(&sandbox, pair);
        shows(&server, &trusted, pair).await;
        assert!(answers.load(Ordering::Relaxed) > before, "there was load");
    }
    stop.store(true, Ordering::Relaxed);
    for task in load {
        task.await.unwrap();
    }
    assert!(ask(&mut open).await.unwrap().starts_with("HTTP/1.1 200 "), "it was opened before");
}

#[tokio::test]
async fn a_pair_that_cannot_be_used_leaves_the_one_before_in_use() {
    let authority = Authority::new();
    let (old, new, other) = (authority.issue(&NAMES), authority.issue(&NAMES), authority.issue(&NAMES));
    let sandbox = sandbox(&old);
    let server = sandbox.start().await;

    sandbox.write("key.pem", "not a key");
    logged(&server, "http.tls.key `key.pem` holds no private key").await;
    assert_eq!(shown(&server, &[&authority]).await, der(&old));

    sandbox.write("key.pem", &other.key);
    logged(&server, "http.tls.key `key.pem` is not the key of the first certificate").await;
    assert_eq!(shown(&server, &[&authority]).await, der(&old));

    std::fs::remove_file(sandbox.path("certificate.pem")).unwrap();
    logged(&server, "http.tls.certificate `certificate.pem` cannot be read").await;
    assert_eq!(shown(&server, &[&authority]).await, der(&old));

    write(&sandbox, &new);
    shows(&server, &[&authority], &new).await;
    let log = server.log();
    assert_eq!(log.matches("holds no private key").count(), 1, "said once");
    assert!(!log.contains(&other.key) && !log.contains("not a key"));
}

#[tokio::test]
async fn files_that_cannot_be_used_are_named_at_the_start() {
    let authority = Authority::new();
    let (pair, other) = (authority.issue(&NAMES), authority.issue(&NAMES));
    for (certificate, key, expected) in [
        (None, Some(&pair.key), "http.tls.certificate `certificate.pem` cannot be read"),
        (Some(&pair.certificate), None, "http.tls.key `key.pem` cannot be read"),
        (
            Some(&String::new()),
            Some(&pair.key),
            "http.tls.certificate `certificate.pem` holds no certificates",
        ),
        (Some(&pair.key), Some(&pair.key), "http.tls.certificate `certificate.pem` holds no certificates"),
        (Some(&pair.certificate), Some(&pair.certificate), "http.tls.key `key.pem` holds no private key"),
        (Some(&pair.certificate), Some(&other.key), "http.tls.key `key.pem` is not the key of"),
    ] {
        let sandbox = sandbox(&pair);
        for (name, text) in [("certificate.pem", certificate), ("key.pem", key)] {
            match text {
                Some(text) => sandbox.write(name, text),
                None => std::fs::remove_file(sandbox.path(name)).unwrap(),
            }
        }
        let log = sandbox.refusal().await;
        assert!(log.contains(expected), "{expected}: {log}");
    }
    let half = Sandbox::new().with_env("OUBLIETTE_HTTP__TLS__CERTIFICATE", "certificate.pem");
    let error = half.admin_error(&["config"]);
    assert!(error.contains("http.tls") && error.contains("missing field `key`"), "{error}");
}

#[tokio::test]
async fn plain_http_on_a_tls_port_is_told_so() {
    let server = sandbox(&Authority::new().issue(&NAMES)).start().await;
    let mut connection = RawConnection::open(&server.url("/")).await;
    connection.send(HEALTH).await;
    let answer = soon(connection.rest()).await;
    assert!(answer.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{answer}");
    assert!(answer.ends_with("This port speaks HTTPS: use https:// in the URL.\r\n"), "{answer}");
}

#[tokio::test]
async fn a_handshake_that_does_not_end_is_cut_off() {
    let authority = Authority::new();
    let pair = authority.issue(&NAMES);
    let server = sandbox(&pair).start_with(&["--set", "http.header_timeout=1s"]).await;
    for beginning in [&[][..], &[22], &[22, 3, 1, 2, 0, 1], &[22, 3, 1, 0xff, 0xff]] {
        let mut stream =
            TcpStream::connect(server.url("/").socket_addrs(|| None).unwrap().as_slice()).await.unwrap();
        stream.write_all(beginning).await.unwrap();
        let mut buffer = [0; 1024];
        soon(async { while !matches!(stream.read(&mut buffer).await, Ok(0) | Err(_)) {} }).await;
    }
    // And one that ends, but is followed by nothing.
    let mut stream = connect(&server, Authority::trusted(&[&authority], &[&TLS13])).await.unwrap();
    let mut buffer = [0; 1024];
    soon(async { while !matches!(stream.read(&mut buffer).await, Ok(0) | Err(_)) {} }).await;
}
