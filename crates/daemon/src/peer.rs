//! Requests to another controller. It is believed to be that by the certificate that it told the others by the database, whoever signed it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt as _;
use http::{HeaderName, Method, Request, StatusCode, Uri, header};
use http_body_util::{BodyDataStream, BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, SignatureScheme};
use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

const CONNECT_TIME: Duration = Duration::from_secs(5);
/// How long it may think, and how long an answer may stand still.
const ANSWER_TIME: Duration = Duration::from_secs(30);
/// As much is read of an answer that is not a file.
const LARGEST: usize = 16 << 20;

/// Why another controller does not give what it was asked for.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// Nothing is there.
    #[error("{place} cannot be reached")]
    Unreachable { place: String, source: std::io::Error },
    /// It is somebody else, or nobody knows who it should be.
    #[error("who answers at {place} is not believed to be the controller: {reason}")]
    NotBelieved { place: String, reason: String },
    /// It takes too long.
    #[error("{place} does not answer in time")]
    TimedOut { place: String },
    /// The answer broke off.
    #[error("the connection to {place} broke off")]
    Broken { place: String, source: hyper::Error },
    /// What it speaks is no HTTP.
    #[error("what {place} speaks cannot be understood")]
    Http { place: String, source: hyper::Error },
    /// It refuses.
    #[error("{place} answers {status}: {message}")]
    Refused { place: String, status: StatusCode, message: String },
}

/// Where another controller is asked.
#[derive(Debug, Clone)]
pub(crate) struct Peer {
    /// `https://10.141.255.253:7050`.
    pub(crate) url: String,
    /// The SHA-256 of the certificate that it shows, in hexadecimal digits.
    pub(crate) certificate: Option<String>,
}

/// An answer that is being read. Its connection ends with it.
pub(crate) struct Answer {
    place: String,
    pub(crate) status: StatusCode,
    body: BodyDataStream<Incoming>,
    _connection: JoinSet<()>,
}

impl Peer {
    /// Sends a request; answers what came back when it is a success.
    pub(crate) async fn ask(
        &self,
        method: Method,
        path: &str,
        headers: &[(HeaderName, String)],
        body: Bytes,
    ) -> Result<Answer, Error> {
        let answer = self.send(method, path, headers, body).await?;
        if answer.status.is_success() {
            return Ok(answer);
        }
        let (place, status) = (answer.place.clone(), answer.status);
        let text = answer.text().await.unwrap_or_default();
        let told = serde_json::from_slice::<serde_json::Value>(&text).ok();
        let told = told.and_then(|told| told.get("message")?.as_str().map(str::to_owned));
        let usual = || status.canonical_reason().unwrap_or("no reason is given").to_owned();
        Err(Error::Refused { place, status, message: told.unwrap_or_else(usual) })
    }

    /// The same, whatever the answer is: for somebody else.
    pub(crate) async fn pass(
        &self,
        method: Method,
        path: &str,
        headers: &[(HeaderName, String)],
        body: Bytes,
    ) -> Result<(StatusCode, Vec<u8>), Error> {
        let answer = self.send(method, path, headers, body).await?;
        let status = answer.status;
        Ok((status, answer.text().await?))
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(HeaderName, String)],
        body: Bytes,
    ) -> Result<Answer, Error> {
        let place = || self.url.clone();
        let unusable =
            |reason: &str| Error::NotBelieved { place: place(), reason: reason.to_owned() };
        let uri: Uri = self.url.parse().map_err(|_odd| unusable("its address is none"))?;
        let host = uri.host().ok_or_else(|| unusable("its address is none"))?;
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let is_https = uri.scheme_str() == Some("https");
        let port = uri.port_u16().unwrap_or(if is_https { 443 } else { 80 });
        let connecting = TcpStream::connect((host.as_str(), port));
        let stream = match timeout(CONNECT_TIME, connecting).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(source)) => return Err(Error::Unreachable { place: place(), source }),
            Err(_elapsed) => return Err(Error::TimedOut { place: place() }),
        };
        let authority = uri.authority().map(ToString::to_string).unwrap_or_default();
        let mut request =
            Request::builder().method(method).uri(path).header(header::HOST, authority);
        for (name, value) in headers {
            request = request.header(name, value);
        }
        let request =
            request.body(Full::new(body)).map_err(|error| unusable(&error.to_string()))?;
        if !is_https {
            return self.exchange(stream, request).await;
        }
        let connector =
            self.connector().ok_or_else(|| unusable("its certificate is not known yet"))?;
        let name = ServerName::try_from(host).map_err(|_odd| unusable("its address is none"))?;
        match timeout(CONNECT_TIME, connector.connect(name, stream)).await {
            Ok(Ok(stream)) => self.exchange(stream, request).await,
            Ok(Err(error)) => Err(unusable(&error.to_string())),
            Err(_elapsed) => Err(Error::TimedOut { place: place() }),
        }
    }

    async fn exchange<S>(&self, stream: S, request: Request<Full<Bytes>>) -> Result<Answer, Error>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let failed = |source| Error::Http { place: self.url.clone(), source };
        let (mut sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(failed)?;
        let mut running = JoinSet::new();
        // What becomes of the connection, whoever reads the answer learns by it.
        running.spawn(async move { drop(connection.await) });
        let answered = timeout(ANSWER_TIME, sender.send_request(request)).await;
        let elapsed = || Error::TimedOut { place: self.url.clone() };
        let response = answered.map_err(|_elapsed| elapsed())?.map_err(failed)?;
        let (parts, body) = response.into_parts();
        let body = body.into_data_stream();
        Ok(Answer { place: self.url.clone(), status: parts.status, body, _connection: running })
    }

    fn connector(&self) -> Option<TlsConnector> {
        let certificate = self.certificate.clone()?;
        let provider = Arc::new(aws_lc_rs::default_provider());
        let only = Only { certificate, provider: Arc::clone(&provider) };
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .ok()?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(only))
            .with_no_client_auth();
        Some(TlsConnector::from(Arc::new(config)))
    }
}

impl Answer {
    /// The next piece; `None` at the end.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        let Ok(piece) = timeout(ANSWER_TIME, self.body.next()).await else {
            return Err(Error::TimedOut { place: self.place.clone() });
        };
        piece.transpose().map_err(|source| Error::Broken { place: self.place.clone(), source })
    }

    /// All of it.
    pub(crate) async fn text(mut self) -> Result<Vec<u8>, Error> {
        let mut text = Vec::new();
        while let Some(piece) = self.next().await? {
            text.extend_from_slice(&piece);
            if text.len() > LARGEST {
                break;
            }
        }
        Ok(text)
    }
}

/// Believes one certificate.
#[derive(Debug)]
struct Only {
    certificate: String,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Only {
    fn verify_server_cert(
        &self,
        shown: &CertificateDer<'_>,
        _others: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let digest = Sha256::digest(shown);
        let digits = digest.iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}"));
        if digits == self.certificate {
            return Ok(ServerCertVerified::assertion());
        }
        Err(CertificateError::ApplicationVerificationFailure.into())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
