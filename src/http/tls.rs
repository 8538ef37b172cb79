//! TLS: who the server is, read again when its files change.
//!
//! TLS 1.2 and 1.3, with the ciphers that rustls holds for safe; HTTP/2 and HTTP/1.1 by ALPN.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use rustls::{
    InconsistentKeys, ServerConfig,
    crypto::{CryptoProvider, aws_lc_rs},
    pki_types::{CertificateDer, PrivateKeyDer, pem, pem::PemObject},
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::watch,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use zeroize::Zeroizing;

use crate::{
    causes,
    config::TlsConfig,
    secret_file::{self, Unreadable},
};

/// How often the files are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// How every TLS connection begins: the content type of a handshake record (RFC 8446, section 5.1).
const HANDSHAKE: u8 = 22;

/// For a client that takes an `https` port for an `http` one.
const PLAIN_HTTP: &[u8] = b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nConnection: close\r\n\
    Content-Length: 50\r\n\r\nThis port speaks HTTPS: use https:// in the URL.\r\n";

/// Shakes hands.
#[derive(Clone, Debug)]
pub(super) struct Tls(Arc<ServerConfig>);

/// Follows the files.
#[derive(Debug)]
pub(super) struct Renewal {
    files: TlsConfig,
    provider: Arc<CryptoProvider>,
    /// What was found last, if it could be read.
    seen: Option<Pair>,
    current: watch::Sender<Arc<CertifiedKey>>,
}

/// What stands in the files.
#[derive(PartialEq, Eq)]
struct Pair {
    certificate: Vec<u8>,
    key: Zeroizing<Vec<u8>>,
}

/// What is shown to clients now.
#[derive(Debug)]
struct Current(watch::Receiver<Arc<CertifiedKey>>);

impl Tls {
    pub(super) async fn open(files: &TlsConfig) -> Result<(Self, Renewal), TlsError> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let pair = Pair::read(files).await?;
        secret_file::warn_if_open("http.tls.key", &files.key);
        let current = watch::Sender::new(Arc::new(pair.certify(files, &provider)?));
        let mut config = ServerConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .map_err(TlsError::Versions)?
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(Current(current.subscribe())));
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let renewal = Renewal { files: files.clone(), provider, seen: Some(pair), current };
        Ok((Self(Arc::new(config)), renewal))
    }

    pub(super) async fn accept(&self, mut stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        let mut first = [0];
        if stream.peek(&mut first).await? == 1 && first != [HANDSHAKE] {
            // What was not read when the connection is closed makes the answer get lost.
            let _ = stream.read(&mut [0; 4096]).await?;
            stream.write_all(PLAIN_HTTP).await?;
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the client does not speak TLS"));
        }
        TlsAcceptor::from(self.0.clone()).accept(stream).await
    }
}

impl Renewal {
    /// Looks at the files again and again. What cannot be used leaves the one before in place.
    pub(super) async fn follow(mut self) {
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            match self.look().await {
                Ok(false) => {}
                Ok(true) => tracing::info!("the TLS certificate was renewed"),
                Err(error) => tracing::error!(
                    "the changed TLS certificate cannot be used, and the one before stays in use: {}",
                    causes::line(&error)
                ),
            }
        }
    }

    /// Whether there was something new. Says the same of the same files only once.
    async fn look(&mut self) -> Result<bool, TlsError> {
        let pair = match Pair::read(&self.files).await {
            Ok(pair) => pair,
            Err(error) => return self.seen.take().map_or(Ok(false), |_| Err(error)),
        };
        if self.seen.as_ref() == Some(&pair) {
            return Ok(false);
        }
        let pair = self.seen.insert(pair);
        self.current.send_replace(Arc::new(pair.certify(&self.files, &self.provider)?));
        Ok(true)
    }
}

impl Pair {
    async fn read(files: &TlsConfig) -> Result<Self, TlsError> {
        let certificate = read("http.tls.certificate", &files.certificate).await?;
        let key = read("http.tls.key", &files.key).await?.into();
        Ok(Self { certificate, key })
    }

    fn certify(&self, files: &TlsConfig, provider: &CryptoProvider) -> Result<CertifiedKey, TlsError> {
        let no_certificate = |source| TlsError::Certificate { path: files.certificate.clone(), source };
        let no_key = |source| TlsError::Key { path: files.key.clone(), source };
        let chain: Vec<_> = CertificateDer::pem_slice_iter(&self.certificate)
            .collect::<Result<_, _>>()
            .map_err(|error| no_certificate(error.into()))?;
        if chain.is_empty() {
            return Err(no_certificate(pem::Error::NoItemsFound.into()));
        }
        let key = PrivateKeyDer::from_pem_slice(&self.key).map_err(|error| no_key(error.into()))?;
        let key = provider.key_provider.load_private_key(key).map_err(|error| no_key(error.into()))?;
        let certified = CertifiedKey::new(chain, key);
        match certified.keys_match() {
            Ok(()) | Err(rustls::Error::InconsistentKeys(InconsistentKeys::Unknown)) => Ok(certified),
            Err(rustls::Error::InconsistentKeys(_)) => {
                Err(TlsError::Mismatch { certificate: files.certificate.clone(), key: files.key.clone() })
            }
            Err(error) => Err(no_certificate(error.into())),
        }
    }
}

impl std::fmt::Debug for Pair {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pair").finish_non_exhaustive()
    }
}

impl ResolvesServerCert for Current {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.borrow().clone())
    }
}

async fn read(config_key: &'static str, path: &Path) -> Result<Vec<u8>, TlsError> {
    let read = tokio::fs::read(path).await;
    let read = read.map_err(|error| secret_file::explain(path, error));
    read.map_err(|source| TlsError::Read { config_key, path: path.to_owned(), source })
}

/// TLS cannot be spoken.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("{config_key} `{}` cannot be read", path.display())]
    Read {
        /// The configuration key that names it.
        config_key: &'static str,
        path: PathBuf,
        source: Unreadable,
    },
    /// The file is no certificate.
    #[error("http.tls.certificate `{}` holds no certificates in PEM form", path.display())]
    Certificate { path: PathBuf, source: PemError },
    /// The file is no private key.
    #[error("http.tls.key `{}` holds no private key in PEM form, of a kind that TLS knows", path.display())]
    Key { path: PathBuf, source: PemError },
    /// The key is another certificate's.
    #[error(
        "http.tls.key `{}` is not the key of the first certificate in http.tls.certificate `{}`",
        key.display(), certificate.display()
    )]
    Mismatch {
        /// The certificate's file.
        certificate: PathBuf,
        /// The key's.
        key: PathBuf,
    },
    /// The crypto provider knows no version of TLS.
    #[error("no version of TLS can be spoken")]
    Versions(#[source] rustls::Error),
}

/// What is wrong with the contents of a file.
#[derive(Debug, thiserror::Error)]
pub enum PemError {
    /// Its form.
    #[error(transparent)]
    Form(#[from] pem::Error),
    /// What is in it.
    #[error(transparent)]
    Content(#[from] rustls::Error),
}
