//! A file of the image as a stream that does not break: when the connection does, or the controller goes away, it
//! goes on where it was as soon as it can.

use std::io::{self, Read};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use ureq::BodyReader;
use ureq::http::{Response, StatusCode, header};

use crate::console::Console;
use crate::controller::Controller;
use crate::wait::{self, Backoff};

/// A connection that breaks again and again without a byte between is not hurried.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(15);

pub struct Download<'a> {
    controller: &'a Controller,
    console: &'a Console,
    file: &'a str,
    /// What the file was when it was opened first; it must be the same when it is opened again.
    tag: Option<String>,
    total: u64,
    position: &'a AtomicU64,
    body: Option<BodyReader<'static>>,
    backoff: Backoff,
}

impl<'a> Download<'a> {
    /// Opens a file. `position` is kept at the number of bytes that have come.
    pub fn open(
        controller: &'a Controller,
        console: &'a Console,
        file: &'a str,
        position: &'a AtomicU64,
    ) -> anyhow::Result<Self> {
        let answer = controller.open(file, 0, None, console)?;
        let total = content_length(&answer)
            .ok_or_else(|| anyhow::anyhow!("the controller does not say how long {file} is"))?;
        position.store(0, Ordering::Relaxed);
        Ok(Self {
            controller,
            console,
            file,
            tag: tag(&answer),
            total,
            position,
            body: Some(answer.into_body().into_with_config().limit(u64::MAX).reader()),
            backoff: fresh(),
        })
    }

    /// A file of this size, read from `position` on.
    pub fn rest(
        controller: &'a Controller,
        console: &'a Console,
        file: &'a str,
        position: &'a AtomicU64,
        total: u64,
    ) -> Self {
        Self { controller, console, file, tag: None, total, position, body: None, backoff: fresh() }
    }

    /// Bytes of the file.
    pub fn total(&self) -> u64 {
        self.total
    }

    fn reopen(&mut self) -> io::Result<BodyReader<'static>> {
        let from = self.position.load(Ordering::Relaxed);
        let answer = self
            .controller
            .open(self.file, from, self.tag.as_deref(), self.console)
            .map_err(io::Error::other)?;
        let is_tagged_so = self.tag.is_none() || tag(&answer) == self.tag;
        let is_same = is_tagged_so
            && match answer.status() {
                StatusCode::PARTIAL_CONTENT => range(&answer) == Some((from, self.total)),
                _ => from == 0 && content_length(&answer) == Some(self.total),
            };
        if !is_same {
            return Err(io::Error::other(format!(
                "{} has changed on the controller while it was fetched; start the node again",
                self.file
            )));
        }
        if from > 0 {
            self.console.line(&format!("{} goes on at {}", self.file, crate::console::bytes(from)));
        }
        Ok(answer.into_body().into_with_config().limit(u64::MAX).reader())
    }
}

impl Read for Download<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            if buffer.is_empty() || self.position.load(Ordering::Relaxed) >= self.total {
                return Ok(0);
            }
            let body = match &mut self.body {
                Some(body) => body,
                None => {
                    let body = self.reopen()?;
                    self.body.insert(body)
                }
            };
            let broken = match body.read(buffer) {
                Ok(0) => "the connection was closed".to_owned(),
                Ok(count) => {
                    self.position.fetch_add(count as u64, Ordering::Relaxed);
                    self.backoff = fresh();
                    return Ok(count);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => error.to_string(),
            };
            self.body = None;
            self.console.warning(&format!("{} breaks off: {broken}", self.file));
            wait::pause(self.backoff.take());
        }
    }
}

fn fresh() -> Backoff {
    Backoff::new(FIRST_PAUSE, LONGEST_PAUSE)
}

fn text<'a, T>(answer: &'a Response<T>, name: &header::HeaderName) -> Option<&'a str> {
    answer.headers().get(name)?.to_str().ok()
}

fn content_length<T>(answer: &Response<T>) -> Option<u64> {
    text(answer, &header::CONTENT_LENGTH)?.parse().ok()
}

/// A strong tag; a weak one does not promise the same bytes.
fn tag<T>(answer: &Response<T>) -> Option<String> {
    let tag = text(answer, &header::ETAG)?;
    (!tag.starts_with("W/")).then(|| tag.to_owned())
}

/// The first byte and the length of the whole, of `bytes 5-9/10`.
fn range<T>(answer: &Response<T>) -> Option<(u64, u64)> {
    let (bytes, whole) =
        text(answer, &header::CONTENT_RANGE)?.strip_prefix("bytes ")?.split_once('/')?;
    let (first, _last) = bytes.split_once('-')?;
    Some((first.parse().ok()?, whole.parse().ok()?))
}
