//! A proxy between the AWS SDK and LocalStack that counts, and answers wrongly on cue: HTTP/1.1 by hand, so
//! that it can also break off where no library would.

use std::{
    collections::BTreeMap,
    fmt,
    net::Ipv4Addr,
    sync::{Arc, Mutex},
    time::Duration,
};

use base64::{Engine, prelude::BASE64_STANDARD};
use reqwest::Client;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

/// What goes wrong with a request.
#[derive(Clone, Debug)]
pub(crate) enum Fault {
    /// Refused with one of KMS's codes.
    Refused(u16, &'static str),
    /// Not KMS's own answer: HTML.
    BadGateway,
    /// Answered, but late.
    Slow(Duration),
    /// The connection is reset.
    Reset,
    /// The connection is closed in the middle of the answer.
    Truncated,
    /// 200, and no JSON.
    Garbage,
    /// 200, and nothing in it.
    Empty,
    /// Another length of the data key, in bytes.
    WrongLength(usize),
    /// Said to be of another wrapping key.
    WrongKey,
}

impl Fault {
    /// How KMS throttles.
    pub(crate) const THROTTLED: Self = Self::Refused(400, "ThrottlingException");
}

type Script = dyn Fn(usize, &str) -> Option<Fault> + Send + Sync;

struct State {
    target: String,
    client: Client,
    script: Mutex<Arc<Script>>,
    counts: Mutex<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    by_operation: BTreeMap<String, usize>,
    /// Answers that have a plaintext in them.
    plaintexts: usize,
    in_flight: usize,
    most_in_flight: usize,
}

/// A running proxy.
pub(crate) struct KmsProxy {
    endpoint: String,
    state: Arc<State>,
    accepting: JoinHandle<()>,
}

impl KmsProxy {
    /// Passes requests on to `target`, a URL.
    pub(crate) async fn start(target: &str) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let state = Arc::new(State {
            target: target.to_owned(),
            client: Client::new(),
            script: Mutex::new(Arc::new(|_, _| None)),
            counts: Mutex::default(),
        });
        let accepting = tokio::spawn({
            let state = state.clone();
            async move {
                while let Ok((connection, _)) = listener.accept().await {
                    tokio::spawn(serve(connection, state.clone()));
                }
            }
        });
        Self { endpoint, state, accepting }
    }

    pub(crate) fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// From now on every request fails so; `None` ends it.
    pub(crate) fn fail(&self, fault: impl Into<Option<Fault>>) {
        let fault = fault.into();
        self.script(move |_| fault.clone());
    }

    /// From now on this decides about each request, by its number.
    pub(crate) fn script(&self, script: impl Fn(usize) -> Option<Fault> + Send + Sync + 'static) {
        *self.state.script.lock().unwrap() = Arc::new(move |number, _| script(number));
    }

    /// From now on every request for one operation fails so.
    pub(crate) fn fail_operation(&self, operation: &'static str, fault: Fault) {
        *self.state.script.lock().unwrap() =
            Arc::new(move |_, asked| (asked == operation).then(|| fault.clone()));
    }

    /// Requests for an operation, such as `Decrypt`.
    pub(crate) fn calls(&self, operation: &str) -> usize {
        self.state.counts.lock().unwrap().by_operation.get(operation).copied().unwrap_or_default()
    }

    /// Answers with a data key in the clear.
    pub(crate) fn plaintexts(&self) -> usize {
        self.state.counts.lock().unwrap().plaintexts
    }

    pub(crate) fn most_in_flight(&self) -> usize {
        self.state.counts.lock().unwrap().most_in_flight
    }

    pub(crate) fn forget_counts(&self) {
        let mut counts = self.state.counts.lock().unwrap();
        *counts = Counts { in_flight: counts.in_flight, ..Counts::default() };
    }
}

impl Drop for KmsProxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl fmt::Debug for KmsProxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KmsProxy").field("endpoint", &self.endpoint).finish_non_exhaustive()
    }
}

/// A request as it came: head lines and body.
struct Request {
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

async fn serve(connection: TcpStream, state: Arc<State>) {
    let mut connection = BufReader::new(connection);
    while let Some(request) = read(&mut connection).await {
        let target = request.headers.iter().find(|(name, _)| name == "x-amz-target");
        let operation = target.map_or("", |(_, value)| value.rsplit('.').next().unwrap()).to_owned();
        let number = {
            let mut counts = state.counts.lock().unwrap();
            *counts.by_operation.entry(operation.clone()).or_default() += 1;
            counts.in_flight += 1;
            counts.most_in_flight = counts.most_in_flight.max(counts.in_flight);
            counts.by_operation.values().sum()
        };
        let script = state.script.lock().unwrap().clone();
        let goes_on = answer(connection.get_mut(), &state, request, script(number, &operation)).await;
        state.counts.lock().unwrap().in_flight -= 1;
        if goes_on.is_none() {
            return;
        }
    }
}

/// Reads one request; `None` at the end of the connection.
async fn read(connection: &mut BufReader<TcpStream>) -> Option<Request> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(connection.read_u8().await.ok()?);
    }
    let head = String::from_utf8(head).ok()?;
    let headers: Vec<_> = head
        .lines()
        .skip(1)
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_lowercase(), value.trim().to_owned()))
        .collect();
    let length = headers.iter().find(|(name, _)| name == "content-length")?.1.parse().ok()?;
    let mut body = vec![0; length];
    connection.read_exact(&mut body).await.ok()?;
    Some(Request { headers, body })
}

/// Answers; `None` if the connection is done for.
async fn answer(
    connection: &mut TcpStream,
    state: &State,
    request: Request,
    fault: Option<Fault>,
) -> Option<()> {
    let (status, body) = match fault {
        Some(Fault::Refused(status, code)) => {
            (status, json!({ "__type": code, "message": "as the test says" }).to_string().into_bytes())
        }
        Some(Fault::BadGateway) => (502, b"<html>Bad Gateway</html>".to_vec()),
        Some(Fault::Garbage) => (200, b"\x00 no JSON".to_vec()),
        Some(Fault::Empty) => (200, b"{}".to_vec()),
        Some(Fault::Reset) => {
            connection.set_zero_linger().unwrap();
            return None;
        }
        Some(Fault::Truncated) => {
            let (_, body) = forward(state, request).await;
            let half = &body[..body.len() / 2];
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
            connection.write_all(&[head.as_bytes(), half].concat()).await.ok()?;
            return None;
        }
        Some(Fault::Slow(delay)) => {
            tokio::time::sleep(delay).await;
            forward(state, request).await
        }
        Some(Fault::WrongLength(length)) => {
            let (status, body) = forward(state, request).await;
            (status, with(&body, "Plaintext", BASE64_STANDARD.encode(vec![7; length])))
        }
        Some(Fault::WrongKey) => {
            let (status, body) = forward(state, request).await;
            (status, with(&body, "KeyId", "arn:aws:kms:us-east-1:000000000000:key/another".to_owned()))
        }
        None => forward(state, request).await,
    };
    let head = format!(
        "HTTP/1.1 {status} X\r\ncontent-type: application/x-amz-json-1.1\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    connection.write_all(&[head.as_bytes(), &body].concat()).await.ok()
}

async fn forward(state: &State, request: Request) -> (u16, Vec<u8>) {
    let mut onward = state.client.post(&state.target).body(request.body);
    for (name, value) in request.headers {
        if !matches!(name.as_str(), "host" | "content-length" | "connection") {
            onward = onward.header(name, value);
        }
    }
    let response = onward.send().await.unwrap();
    let (status, body) = (response.status().as_u16(), response.bytes().await.unwrap().to_vec());
    if memchr::memmem::find(&body, b"\"Plaintext\"").is_some() {
        state.counts.lock().unwrap().plaintexts += 1;
    }
    (status, body)
}

/// The answer with another value under one name, if it has the name.
fn with(body: &[u8], name: &str, value: String) -> Vec<u8> {
    let mut json: Value = serde_json::from_slice(body).unwrap();
    if let Some(field) = json.get_mut(name) {
        *field = value.into();
    }
    json.to_string().into_bytes()
}
