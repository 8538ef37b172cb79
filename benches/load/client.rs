//! Just enough HTTP/1.1 to ask and be answered over a kept-alive connection, at little cost.

use std::net::{IpAddr, SocketAddr};

use anyhow::{Context, bail};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

/// Room for any page at the first attempt; grows if an answer is larger.
const BUFFER: usize = 128 * 1024;

/// No answer of these loads comes near; so much means that something is wrong.
const LONGEST_ANSWER: usize = 16 * 1024 * 1024;

/// One connection, one request at a time.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer<'connection> {
    pub(crate) status: u16,
    pub(crate) body: &'connection [u8],
}

impl Connection {
    /// Connects.
    pub(crate) async fn open(address: SocketAddr) -> anyhow::Result<Self> {
        Self::over(TcpStream::connect(address).await?)
    }

    /// Connects from another address of this machine.
    pub(crate) async fn open_from(local: IpAddr, address: SocketAddr) -> anyhow::Result<Self> {
        let socket = TcpSocket::new_v4()?;
        socket.bind(SocketAddr::new(local, 0))?;
        Self::over(socket.connect(address).await?)
    }

    fn over(stream: TcpStream) -> anyhow::Result<Self> {
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: vec![0; BUFFER] })
    }

    /// Sends a whole request and waits for the whole answer.
    pub(crate) async fn ask(&mut self, request: &[u8]) -> anyhow::Result<Answer<'_>> {
        self.stream.write_all(request).await?;
        let mut filled = 0;
        let mut head = None;
        loop {
            if filled == self.buffer.len() {
                self.buffer.resize(2 * filled, 0);
            }
            let read = self.stream.read(&mut self.buffer[filled..]).await?;
            if read == 0 {
                bail!("the server closed the connection instead of answering");
            }
            filled += read;
            if head.is_none() {
                head = Head::parse(&self.buffer[..filled])?;
            }
            let Some(Head { status, body, end }) = head else { continue };
            if filled > end {
                bail!("the server sent more than it had announced");
            }
            if filled == end {
                return Ok(Answer { status, body: &self.buffer[body..end] });
            }
        }
    }

    /// Asks a question in GraphQL and returns `data`; anything but a clean answer is an error.
    pub(crate) async fn graphql(
        &mut self,
        credential: Option<&str>,
        query: &str,
        variables: &Value,
    ) -> anyhow::Result<Value> {
        let answer = self.ask(&graphql_request(credential, query, variables)).await?;
        let mut body: Value = serde_json::from_slice(answer.body).with_context(|| answer.text())?;
        if answer.status != 200 || body.get("errors").is_some() {
            bail!("status {}: {body}", answer.status);
        }
        Ok(body["data"].take())
    }
}

impl Answer<'_> {
    /// The body for a person to read.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(self.body).into_owned()
    }
}

/// The bytes of a request without a body.
pub(crate) fn get_request(path: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n").into_bytes()
}

/// The bytes of a GraphQL request, with a bearer credential if there is one.
pub(crate) fn graphql_request(credential: Option<&str>, query: &str, variables: &Value) -> Vec<u8> {
    let authorization =
        credential.map(|token| format!("authorization: Bearer {token}\r\n")).unwrap_or_default();
    let body = serde_json::json!({ "query": query, "variables": variables }).to_string();
    let length = body.len();
    format!(
        "POST /graphql HTTP/1.1\r\n\
         host: localhost\r\n\
         content-type: application/json\r\n\
         accept: application/json\r\n\
         {authorization}\
         content-length: {length}\r\n\
         \r\n\
         {body}"
    )
    .into_bytes()
}

/// What an answer's head says: its status, where the body begins and where it ends.
#[derive(Clone, Copy, Debug)]
struct Head {
    status: u16,
    body: usize,
    end: usize,
}

impl Head {
    /// `None` as long as the head is not complete.
    fn parse(bytes: &[u8]) -> anyhow::Result<Option<Self>> {
        let Some(length) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else {
            return Ok(None);
        };
        let head = str::from_utf8(&bytes[..length])?;
        let mut lines = head.split("\r\n");
        let status = lines
            .next()
            .and_then(|line| line.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok())
            .with_context(|| format!("no status: {head}"))?;
        let content_length: usize = lines
            .filter_map(|line| line.split_once(':'))
            .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
            .and_then(|(_, value)| value.trim().parse().ok())
            .filter(|length| *length <= LONGEST_ANSWER)
            .with_context(|| format!("no usable content-length (chunks are not understood): {head}"))?;
        let body = length + 4;
        Ok(Some(Self { status, body, end: body + content_length }))
    }
}
