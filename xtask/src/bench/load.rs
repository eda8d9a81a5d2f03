//! Requests over connections that stay open, one at a time on each: as clients do, and light enough to leave the cores to the daemon.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};

/// A request, ready to be sent.
pub(super) struct Request(Vec<u8>);

impl Request {
    /// Reads something; `from` is the address that a proxy on this machine would name.
    pub(super) fn get_from(path: &str, token: &str, from: &str) -> Self {
        let forwarded =
            if from.is_empty() { String::new() } else { format!("x-forwarded-for: {from}\r\n") };
        Self(
            format!(
                "GET {path} HTTP/1.1\r\nhost: x\r\nx-access-tokens: {token}\r\n{forwarded}\r\n"
            )
            .into_bytes(),
        )
    }

    /// Sends something.
    pub(super) fn post(path: &str, token: &str, body: &Value) -> Self {
        let body = body.to_string();
        let length = body.len();
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: x\r\nx-access-tokens: {token}\r\ncontent-length: {length}\r\n\r\n"
        );
        Self((head + &body).into_bytes())
    }
}

/// A connection.
pub(super) struct Client {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Client {
    pub(super) fn connect(port: u16) -> Result<Self> {
        let stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(30)))?;
        Ok(Self { stream, buffer: vec![0; 1 << 16] })
    }

    /// Sends a request and reads the whole answer; another status than the expected is an error.
    pub(super) fn exchange(&mut self, request: &Request, expected: u16) -> Result<Vec<u8>> {
        self.stream.write_all(&request.0)?;
        let mut answer = Vec::new();
        loop {
            let count = self.stream.read(&mut self.buffer)?;
            ensure!(count > 0, "the daemon closed the connection");
            answer.extend_from_slice(self.buffer.get(..count).unwrap_or_default());
            let Some(head) = answer.windows(4).position(|window| window == b"\r\n\r\n") else {
                continue;
            };
            let text = String::from_utf8_lossy(answer.get(..head).unwrap_or_default())
                .to_ascii_lowercase();
            let length = text.lines().find_map(|line| line.strip_prefix("content-length: "));
            let length: usize = length.map_or(Ok(0), str::parse)?;
            let mut rest = (head + 4 + length).saturating_sub(answer.len());
            while rest > 0 {
                let count = self.stream.read(&mut self.buffer)?;
                ensure!(count > 0, "the daemon closed the connection");
                answer.extend_from_slice(self.buffer.get(..count).unwrap_or_default());
                rest = rest.saturating_sub(count);
            }
            let status =
                text.get(9..12).and_then(|code| code.parse::<u16>().ok()).context("no status")?;
            let body = answer.split_off(head + 4);
            if status != expected {
                bail!("status {status}: {}", String::from_utf8_lossy(&body));
            }
            return Ok(body);
        }
    }
}

pub(super) fn get(port: u16, path: &str, token: &str) -> Result<Vec<u8>> {
    Client::connect(port)?.exchange(&Request::get_from(path, token, ""), 200)
}

/// Creates an object.
pub(super) fn config(
    port: u16,
    token: &str,
    resource: &str,
    name: &str,
    fields: &Value,
) -> Result<()> {
    let body = json!({ "config": { resource: { name: fields } } });
    let request = Request::post(&format!("/config/{resource}/{name}"), token, &body);
    Client::connect(port)?.exchange(&request, 201).map(drop)
}

/// Sends each request once, over so many connections; requests per second.
pub(super) fn all(port: u16, requests: &[Request], clients: usize, expected: u16) -> Result<f64> {
    let next = AtomicUsize::new(0);
    let started = Instant::now();
    on_connections(port, clients, |client| {
        while let Some(request) = requests.get(next.fetch_add(1, Ordering::Relaxed)) {
            client.exchange(request, expected)?;
        }
        Ok(())
    })?;
    #[expect(clippy::cast_precision_loss, reason = "thousands")]
    Ok(requests.len() as f64 / started.elapsed().as_secs_f64())
}

/// Sends the requests again and again for a time; requests per second.
pub(super) fn repeat(
    port: u16,
    requests: &[Request],
    clients: usize,
    time: Duration,
) -> Result<f64> {
    let count = AtomicUsize::new(0);
    let started = Instant::now();
    on_connections(port, clients, |client| {
        while started.elapsed() < time {
            let number = count.fetch_add(1, Ordering::Relaxed);
            let Some(request) = requests.get(number % requests.len().max(1)) else { break };
            client.exchange(request, 200)?;
        }
        Ok(())
    })?;
    #[expect(clippy::cast_precision_loss, reason = "millions at most")]
    Ok(count.into_inner() as f64 / started.elapsed().as_secs_f64())
}

fn on_connections(
    port: u16,
    clients: usize,
    work: impl Fn(&mut Client) -> Result<()> + Sync,
) -> Result<()> {
    std::thread::scope(|scope| {
        let threads: Vec<_> =
            (0..clients).map(|_| scope.spawn(|| work(&mut Client::connect(port)?))).collect();
        for thread in threads {
            let Ok(result) = thread.join() else { bail!("a client failed") };
            result?;
        }
        Ok(())
    })
}
