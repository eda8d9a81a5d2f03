//! What is asked over HTTP, and by which means: `curl`, a process like those of an attacker.

use std::io::Write as _;
use std::process::{Command, Stdio};

use anyhow::{Context, Result};
use perilune_testkit::Limit;
use perilune_testkit::process::wait_for;
use serde_json::Value;

use crate::attack::ground::Scheme;

/// Ports that only root may send from.
const PRIVILEGED: &str = "600-1023";
/// What `curl` ends with when it may not use the port, or gets no connection: nothing was asked.
const STATUS_OF_NOTHING: u16 = 0;

/// One request.
#[derive(Clone, Default)]
pub(crate) struct Request {
    method: &'static str,
    url: String,
    token: Option<String>,
    body: Option<Value>,
    privileged: bool,
    headers: Vec<String>,
}

/// What came back; status 0 when nothing did.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) text: String,
}

impl Request {
    /// What a URL has.
    pub(crate) fn at(url: &str) -> Self {
        Self { method: "GET", url: url.to_owned(), ..Self::default() }
    }

    pub(super) fn get(scheme: Scheme, path: &str) -> Self {
        Self::at(&scheme.url(path))
    }

    pub(super) fn head(scheme: Scheme, path: &str) -> Self {
        Self::get(scheme, path).only_head()
    }

    pub(super) fn post(scheme: Scheme, path: &str, body: Value) -> Self {
        Self::get(scheme, path).with(body)
    }

    /// A POST with this body.
    pub(crate) fn with(self, body: Value) -> Self {
        Self { method: "POST", body: Some(body), ..self }
    }

    /// Only what stands before the body of the answer.
    pub(crate) fn only_head(self) -> Self {
        Self { method: "HEAD", ..self }
    }

    pub(crate) fn token(self, token: &str) -> Self {
        Self { token: Some(token.to_owned()), ..self }
    }

    /// From a port that only root may use.
    pub(crate) fn privileged(self) -> Self {
        Self { privileged: true, ..self }
    }

    pub(super) fn header(mut self, line: &str) -> Self {
        self.headers.push(line.to_owned());
        self
    }

    /// Has `curl`, which the command begins with, send it.
    pub(super) fn send(&self, curl: &mut Command) -> Result<Answer> {
        curl.args(["--silent", "--insecure", "--max-time", "20", "--write-out", "\\n%{http_code}"]);
        if self.method == "HEAD" {
            curl.arg("--head");
        } else {
            curl.args(["--request", self.method]);
        }
        if self.privileged {
            curl.args(["--local-port", PRIVILEGED]);
        }
        for header in &self.headers {
            curl.args(["--header", header]);
        }
        if let Some(token) = &self.token {
            curl.args(["--header", &format!("x-access-tokens: {token}")]);
        }
        if self.body.is_some() {
            curl.args(["--header", "content-type: application/json", "--data-binary", "@-"]);
        }
        curl.arg(&self.url);
        let mut process = curl
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .context("curl does not start")?;
        if let (Some(body), Some(mut input)) = (&self.body, process.stdin.take()) {
            input.write_all(body.to_string().as_bytes())?;
        }
        let mut output = process.stdout.take().context("curl has no output")?;
        let reader = std::thread::spawn(move || {
            let mut bytes = Vec::new();
            std::io::Read::read_to_end(&mut output, &mut bytes).map(|_| bytes)
        });
        wait_for(&Limit::seconds(30), || process.try_wait().ok().flatten())?;
        perilune_testkit::process::end(&mut process);
        let bytes = reader.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        let all = String::from_utf8_lossy(&bytes).into_owned();
        let (text, status) = all.rsplit_once('\n').unwrap_or((&all, ""));
        Ok(Answer { status: status.parse().unwrap_or(STATUS_OF_NOTHING), text: text.to_owned() })
    }
}

impl Answer {
    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_default()
    }

    /// Whether it has a token.
    pub(super) fn gives_token(&self) -> bool {
        self.json().get("token").is_some_and(Value::is_string)
    }

    /// The ticket in a boot script.
    pub(crate) fn ticket(&self) -> Option<String> {
        let (_, rest) = self.text.split_once("perilune.ticket=")?;
        Some(rest.split_whitespace().next()?.to_owned())
    }
}
