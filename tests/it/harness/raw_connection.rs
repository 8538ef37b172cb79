use reqwest::Url;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// A connection that speaks HTTP byte by byte: for requests that no client library sends.
#[derive(Debug)]
pub(crate) struct RawConnection(TcpStream);

impl RawConnection {
    /// Connects to the server of this URL.
    pub(crate) async fn open(url: &Url) -> Self {
        let addresses = url.socket_addrs(|| None).unwrap();
        Self(TcpStream::connect(addresses.as_slice()).await.unwrap())
    }

    pub(crate) async fn send(&mut self, text: &str) {
        self.0.write_all(text.as_bytes()).await.unwrap();
    }

    /// What the server says up to and including `end`.
    pub(crate) async fn read_until(&mut self, end: &str) -> String {
        let mut text = Vec::new();
        while !text.ends_with(end.as_bytes()) {
            text.push(self.0.read_u8().await.unwrap());
        }
        String::from_utf8(text).unwrap()
    }

    /// What the server says until it closes the connection.
    pub(crate) async fn rest(mut self) -> String {
        let mut text = String::new();
        self.0.read_to_string(&mut text).await.unwrap();
        text
    }
}
