use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::{SOON, target::Target};

/// What a server said before it closed the connection.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    /// Of all of it, in bytes.
    pub(super) length: usize,
    pub(super) body: String,
}

/// Sends a request on a connection of its own, `endless` after it again and again, and gives the answer if there
/// is one in time. A server that has answered may close the connection before it has read everything.
pub(super) async fn exchange(target: &Target, request: &[u8], endless: Option<&[u8]>) -> Option<Answer> {
    let (mut reader, mut writer) = TcpStream::connect(target.address()).await.unwrap().into_split();
    let send = async {
        if writer.write_all(request).await.is_ok()
            && let Some(more) = endless
        {
            while writer.write_all(more).await.is_ok() {}
        }
        std::future::pending::<()>().await;
    };
    let read = async {
        let mut bytes = Vec::new();
        // A reset after the answer leaves what came before it.
        let _ = reader.read_to_end(&mut bytes).await;
        bytes
    };
    let bytes = tokio::select! {
        bytes = read => bytes,
        () = send => Vec::new(),
        () = tokio::time::sleep(2 * SOON) => Vec::new(),
    };
    Answer::parse(&bytes)
}

impl Answer {
    fn parse(bytes: &[u8]) -> Option<Self> {
        let text = String::from_utf8_lossy(bytes);
        let (head, body) = text.split_once("\r\n\r\n")?;
        let status = head.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()?;
        Some(Self { status, length: bytes.len(), body: body.to_owned() })
    }
}
