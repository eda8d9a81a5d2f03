//! A controller for one installation: answers what the install script asks, and remembers it.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

/// What was asked, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) token: String,
    pub(crate) body: String,
}

#[derive(Clone, Default)]
pub(crate) struct Controller {
    requests: Arc<Mutex<Vec<Request>>>,
    answers: Arc<BTreeMap<String, Vec<u8>>>,
}

impl Controller {
    /// Serves these answers until the process ends; everything else is not found, but every POST is fine.
    pub(crate) fn start(answers: BTreeMap<String, Vec<u8>>) -> (Self, SocketAddr) {
        let controller = Self { answers: Arc::new(answers), ..Self::default() };
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let serving = controller.clone();
        thread::spawn(move || {
            for stream in listener.incoming() {
                serving.answer(&stream.unwrap());
            }
        });
        (controller, address)
    }

    pub(crate) fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }

    /// The states that were reported, in order.
    pub(crate) fn states(&self) -> Vec<String> {
        let is_state = |request: &Request| request.path == "/monitor/node/node001";
        let state = |request: Request| {
            let body: serde_json::Value = serde_json::from_str(&request.body).unwrap();
            let state = body.pointer("/monitor/status/node001/state");
            state.unwrap().as_str().unwrap().to_owned()
        };
        self.requests().into_iter().filter(is_state).map(state).collect()
    }

    fn answer(&self, mut stream: &TcpStream) {
        let mut reader = BufReader::new(stream);
        let mut head = Vec::new();
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).unwrap_or(0) == 0 {
                return;
            }
            if line.trim().is_empty() {
                break;
            }
            head.push(line.trim().to_owned());
        }
        let header = |name: &str| {
            let found = head.iter().find_map(|line| line.strip_prefix(name));
            found.map(|value| value.trim_start_matches(':').trim().to_owned()).unwrap_or_default()
        };
        let length: usize = header("Content-Length").parse().unwrap_or(0);
        let mut body = vec![0; length];
        reader.read_exact(&mut body).unwrap();
        let mut words = head[0].split(' ').map(str::to_owned);
        let request = Request {
            method: words.next().unwrap(),
            path: words.next().unwrap(),
            token: header("x-access-tokens"),
            body: String::from_utf8(body).unwrap(),
        };
        let found = self.answers.get(&request.path);
        let (status, body) = match found {
            Some(body) => ("200 OK", body.as_slice()),
            None if request.method == "POST" => ("204 No Content", &b""[..]),
            None => ("404 Not Found", &b"{\"message\": \"no such thing\"}"[..]),
        };
        self.requests.lock().unwrap().push(request);
        let head = format!(
            "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
            body.len()
        );
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(body).unwrap();
    }
}
