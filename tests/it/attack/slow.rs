use std::time::{Duration, Instant};

use futures::future::join_all;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::{Bystander, Target, bodies::head};

/// How many connections send as slowly as they can.
const CONNECTIONS: usize = 200;
/// `http.header_timeout` and `http.request_timeout`, as shipped.
const LIMIT: Duration = Duration::from_secs(10);
/// And how much later a busy machine may come to it.
const GRACE: Duration = Duration::from_secs(10);

/// Sends `beginning`, then a byte now and then, and gives what the server says until it closes the connection.
async fn drip(target: &Target, beginning: &str, byte: &[u8]) -> String {
    let (mut reader, mut writer) = TcpStream::connect(target.address()).await.unwrap().into_split();
    writer.write_all(beginning.as_bytes()).await.unwrap();
    let dripping = async {
        while writer.write_all(byte).await.is_ok() {
            tokio::time::sleep(LIMIT / 50).await;
        }
        std::future::pending::<()>().await;
    };
    let read = async {
        let mut said = Vec::new();
        // A reset after the answer leaves what came before it.
        let _ = reader.read_to_end(&mut said).await;
        String::from_utf8(said).unwrap()
    };
    tokio::select! { said = read => said, () = dripping => unreachable!("it drips for ever") }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_heads_and_bodies_are_cut_off_while_others_are_served() {
    let target = Target::start(&[]).await;
    let token = target.token("attacker", "users:read,pii:read");
    let bystander = Bystander::start(&target).await;
    let memory = target.memory();

    let body = head(&token, "Content-Type: application/json\r\nContent-Length: 100000\r\n");
    let unfinished = "POST /graphql HTTP/1.1\r\nHost: localhost\r\nX: ";
    let began = Instant::now();
    let (bodies, heads) = tokio::join!(
        join_all((0..CONNECTIONS).map(|_| drip(&target, &body, b" "))),
        join_all((0..CONNECTIONS).map(|_| drip(&target, unfinished, b"x"))),
    );
    let took = began.elapsed();

    let served = bystander.stop().await;
    served.assert_well();
    for said in bodies {
        assert!(said.starts_with("HTTP/1.1 408 ") && said.contains(r#""code":"TIMEOUT""#), "{said}");
    }
    // There is no request to answer.
    assert_eq!(heads, vec![String::new(); CONNECTIONS]);
    assert!(took > LIMIT / 2 && took < LIMIT + GRACE, "{took:?}");
    target.assert_unharmed();
    let grown = target.memory().peak.saturating_sub(memory.resident) / 1024;
    assert!(grown < 64, "the server took {grown} MiB more");
}
