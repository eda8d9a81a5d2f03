//! A controller on a loopback port, that answers as its test says. Each connection serves one request.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, LazyLock, Mutex};
use std::thread;

use perilune_plan::Purpose;
use perilune_seal::KeyPair;

/// The key of the boot of node001.
pub(crate) fn key() -> Arc<KeyPair> {
    static KEY: LazyLock<Arc<KeyPair>> = LazyLock::new(|| Arc::new(KeyPair::generate().unwrap()));
    Arc::clone(&KEY)
}

/// What came in.
#[derive(Clone, Debug, Default)]
pub(crate) struct Request {
    /// Method and path.
    pub(crate) line: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Request {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    /// The first byte that is asked for.
    pub(crate) fn from(&self) -> usize {
        let range = self.header("range").and_then(|range| range.strip_prefix("bytes="));
        range.and_then(|range| range.strip_suffix('-')).map_or(0, |from| from.parse().unwrap())
    }
}

/// What goes out.
pub(crate) struct Answer {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
    /// Hang up after so many bytes of the body.
    cut: Option<usize>,
}

impl Answer {
    pub(crate) fn json(status: u16, text: &str) -> Self {
        let headers = vec![("content-length", text.len().to_string())];
        Self { status, headers, body: text.as_bytes().to_vec(), cut: None }
    }

    /// What the node with [`key`] alone can read.
    pub(crate) fn sealed(status: u16, text: &str, purpose: Purpose) -> Self {
        let sealed = key().public().seal(text.as_bytes(), &purpose.of("node001")).unwrap();
        Self::json(status, &serde_json::to_string(&sealed).unwrap())
    }

    pub(crate) fn nothing() -> Self {
        Self { status: 204, headers: Vec::new(), body: Vec::new(), cut: None }
    }

    /// A file from a byte on, with a tag.
    pub(crate) fn file(whole: &[u8], from: usize, tag: &str) -> Self {
        let body = whole[from..].to_vec();
        let mut headers =
            vec![("content-length", body.len().to_string()), ("etag", format!("\"{tag}\""))];
        if from > 0 {
            headers.push((
                "content-range",
                format!("bytes {from}-{}/{}", whole.len() - 1, whole.len()),
            ));
        }
        Self { status: if from > 0 { 206 } else { 200 }, headers, body, cut: None }
    }

    pub(crate) fn cut_after(self, bytes: usize) -> Self {
        Self { cut: Some(bytes), ..self }
    }
}

/// Answers until the test ends.
pub(crate) struct Controller {
    address: SocketAddr,
    requests: Arc<Mutex<Vec<Request>>>,
}

impl Controller {
    /// Answers each request, of which it is told how many came before.
    pub(crate) fn start(answer: impl Fn(usize, &Request) -> Answer + Send + 'static) -> Self {
        Self::start_on(TcpListener::bind("127.0.0.1:0").unwrap(), answer)
    }

    pub(crate) fn start_on(
        listener: TcpListener,
        answer: impl Fn(usize, &Request) -> Answer + Send + 'static,
    ) -> Self {
        let address = listener.local_addr().unwrap();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&requests);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                serve_once(stream, |request| {
                    let before = seen.lock().unwrap().len();
                    seen.lock().unwrap().push(request.clone());
                    answer(before, request)
                });
            }
        });
        Self { address, requests }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }

    /// Methods and paths of what came in.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.requests().into_iter().map(|request| request.line).collect()
    }
}

/// One with a certificate for these names, which is returned, too.
pub(crate) fn start_with_tls(
    names: &[&str],
    answer: impl Fn(&Request) -> Answer + Send + 'static,
) -> (String, String) {
    start_with_certificate(names, 1975..4096, answer)
}

/// One whose certificate is good in these years alone.
pub(crate) fn start_with_certificate(
    names: &[&str],
    years: std::ops::Range<i32>,
    answer: impl Fn(&Request) -> Answer + Send + 'static,
) -> (String, String) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    let key = rcgen::KeyPair::generate().unwrap();
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut wanted = rcgen::CertificateParams::new(names).unwrap();
    wanted.not_before = rcgen::date_time_ymd(years.start, 1, 1);
    wanted.not_after = rcgen::date_time_ymd(years.end, 1, 1);
    let certificate = wanted.self_signed(&key).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let key = rustls::pki_types::PrivatePkcs8KeyDer::from(key.serialize_der());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key.into())
        .map(Arc::new)
        .unwrap();
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let session = rustls::ServerConnection::new(Arc::clone(&config)).unwrap();
            let mut tls = rustls::StreamOwned::new(session, stream);
            serve_once(&mut tls, &answer);
            tls.conn.send_close_notify();
            tls.flush().ok();
        }
    });
    (url, certificate.pem())
}

/// Answers one request.
pub(crate) fn serve_once(mut stream: impl Read + Write, answer: impl FnOnce(&Request) -> Answer) {
    if let Some(request) = read(&mut stream) {
        write(stream, &answer(&request));
    }
}

fn read(stream: &mut impl Read) -> Option<Request> {
    let mut reader = BufReader::new(stream);
    let mut first = String::new();
    reader.read_line(&mut first).ok()?;
    let mut words = first.split(' ');
    let mut request =
        Request { line: format!("{} {}", words.next()?, words.next()?), ..Request::default() };
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(": ") else { break };
        request.headers.push((name.to_lowercase(), value.to_owned()));
    }
    let length = request.header("content-length").map_or(0, |length| length.parse().unwrap());
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    request.body = String::from_utf8(body).unwrap();
    Some(request)
}

/// A client that hung up is not interested.
fn write(mut stream: impl Write, answer: &Answer) {
    let mut head = format!("HTTP/1.1 {} Status\r\nconnection: close\r\n", answer.status);
    for (name, value) in &answer.headers {
        head.extend([name, ": ", value, "\r\n"]);
    }
    head += "\r\n";
    let body = &answer.body[..answer.cut.unwrap_or(answer.body.len()).min(answer.body.len())];
    stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body)).ok();
}
