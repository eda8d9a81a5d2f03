//! Requests over connections that stay open, one at a time on each: as clients do, and light enough to leave the cores to the daemon.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
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
        Self::post_from(path, token, "", body)
    }

    /// The same, `from` the address that a proxy on this machine would name.
    pub(super) fn post_from(path: &str, token: &str, from: &str, body: &Value) -> Self {
        let body = body.to_string();
        let length = body.len();
        let forwarded =
            if from.is_empty() { String::new() } else { format!("x-forwarded-for: {from}\r\n") };
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: x\r\nx-access-tokens: {token}\r\n{forwarded}content-length: {length}\r\n\r\n"
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
            let rest = answer.split_off(head + 4);
            let body = if text.lines().any(|line| line == "transfer-encoding: chunked") {
                self.pieces(rest)?
            } else {
                let length = text.lines().find_map(|line| line.strip_prefix("content-length: "));
                let mut body = rest;
                self.fill(&mut body, length.map_or(Ok(0), str::parse)?)?;
                body
            };
            let status =
                text.get(9..12).and_then(|code| code.parse::<u16>().ok()).context("no status")?;
            if status != expected {
                bail!("status {status}: {}", String::from_utf8_lossy(&body));
            }
            return Ok(body);
        }
    }

    /// Reads until so much is there.
    fn fill(&mut self, bytes: &mut Vec<u8>, length: usize) -> Result<()> {
        while bytes.len() < length {
            let count = self.stream.read(&mut self.buffer)?;
            ensure!(count > 0, "the daemon closed the connection");
            bytes.extend_from_slice(self.buffer.get(..count).unwrap_or_default());
        }
        Ok(())
    }

    /// A body in chunks (RFC 9112, section 7.1), of which the beginning is there.
    fn pieces(&mut self, mut raw: Vec<u8>) -> Result<Vec<u8>> {
        let (mut body, mut at) = (Vec::new(), 0);
        loop {
            let rest = raw.get(at..).unwrap_or_default();
            let Some(end) = rest.windows(2).position(|window| window == b"\r\n") else {
                let wanted = raw.len() + 1;
                self.fill(&mut raw, wanted)?;
                continue;
            };
            let size = std::str::from_utf8(rest.get(..end).unwrap_or_default())?;
            let size = usize::from_str_radix(size, 16)?;
            let begin = at + end + 2;
            self.fill(&mut raw, begin + size + 2)?;
            body.extend_from_slice(raw.get(begin..begin + size).unwrap_or_default());
            if size == 0 {
                return Ok(body);
            }
            at = begin + size + 2;
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

/// How long each of many took, and how many there were in a second.
pub(super) struct Times {
    milliseconds: Vec<f64>,
    pub(super) per_second: f64,
}

impl Times {
    /// Of what took so long each, one after the other or at once, and so long altogether.
    pub(super) fn new(each: &[Duration], together: Duration) -> Self {
        let mut milliseconds: Vec<f64> =
            each.iter().map(|duration| duration.as_secs_f64() * 1000.0).collect();
        milliseconds.sort_by(f64::total_cmp);
        #[expect(clippy::cast_precision_loss, reason = "thousands")]
        let per_second = each.len() as f64 / together.as_secs_f64();
        Self { milliseconds, per_second }
    }

    /// The time in milliseconds that so many of a hundred did not exceed.
    pub(super) fn percentile(&self, percent: usize) -> f64 {
        let rank = (self.milliseconds.len() * percent).div_ceil(100).saturating_sub(1);
        self.milliseconds.get(rank).copied().unwrap_or_default()
    }
}

/// Sends each request once, over so many connections, and takes the time of each.
pub(super) fn timed(
    port: u16,
    requests: &[Request],
    clients: usize,
    expected: u16,
) -> Result<Times> {
    let next = AtomicUsize::new(0);
    let each = Mutex::new(Vec::with_capacity(requests.len()));
    let started = Instant::now();
    on_connections(port, clients, |client| {
        let mut own = Vec::new();
        while let Some(request) = requests.get(next.fetch_add(1, Ordering::Relaxed)) {
            let sent = Instant::now();
            client.exchange(request, expected)?;
            own.push(sent.elapsed());
        }
        each.lock().unwrap_or_else(PoisonError::into_inner).append(&mut own);
        Ok(())
    })?;
    let together = started.elapsed();
    let each = each.into_inner().unwrap_or_else(PoisonError::into_inner);
    Ok(Times::new(&each, together))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_a_time_that_was_taken() {
        let each: Vec<_> = (1..=100).rev().map(Duration::from_millis).collect();
        let times = Times::new(&each, Duration::from_secs(10));
        assert_eq!(
            [50, 99, 100].map(|percent| times.percentile(percent).to_string()),
            ["50", "99", "100"]
        );
        assert!((times.per_second - 10.0).abs() < 1e-9);
        let one = Times::new(&[Duration::from_millis(7)], Duration::from_millis(7));
        assert_eq!([50, 99].map(|percent| one.percentile(percent).to_string()), ["7", "7"]);
    }
}
