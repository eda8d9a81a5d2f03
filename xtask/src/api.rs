//! The daemon's API, as far as a run follows it. Used on threads that live in the lab's network.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use perilune_testkit::Limit;
use perilune_testkit::process::wait_for;
use serde_json::{Value, json};
use ureq::tls::TlsConfig;

use crate::daemon::PORT;

/// How long the daemon may be away, in seconds.
const AWAY: u64 = 10;

pub(crate) struct Api {
    agent: ureq::Agent,
    token: Option<String>,
}

impl Api {
    pub(crate) fn anonymous() -> Self {
        let config = ureq::Agent::config_builder()
            .timeout_global(Some(Duration::from_secs(10)))
            .http_status_as_error(false)
            .tls_config(of_a_lab())
            .build();
        Self { agent: config.new_agent(), token: None }
    }

    /// Logs in as the administrator whose password the daemon wrote into its configuration.
    pub(crate) fn login(configuration: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(configuration).with_context(|| {
            format!("the daemon's configuration {} cannot be read", configuration.display())
        })?;
        let value = |key: &str| {
            ini_value(&text, key)
                .with_context(|| format!("no {key} in {}", configuration.display()))
        };
        let request = json!({ "username": value("USERNAME")?, "password": value("PASSWORD")? });
        let mut api = Self::anonymous();
        let answer = api
            .agent
            .post(address("/token"))
            .send_json(&request)?
            .body_mut()
            .read_json::<Value>()?;
        let token = answer.get("token").and_then(Value::as_str);
        api.token = Some(token.with_context(|| format!("no token, but {answer}"))?.to_owned());
        Ok(api)
    }

    pub(crate) fn get(&self, path: &str) -> Result<Value> {
        let mut response = self.call(path)?;
        let status = response.status();
        let body = response.body_mut().read_to_string()?;
        ensure!(status.is_success(), "GET {path}: {status} {body}");
        serde_json::from_str(&body).with_context(|| format!("GET {path}: not JSON: {body}"))
    }

    /// A daemon that was killed is back within seconds.
    fn call(&self, path: &str) -> Result<ureq::http::Response<ureq::Body>> {
        let ask = || {
            let request = self.agent.get(address(path));
            let token = self.token.iter();
            token.fold(request, |request, token| request.header("x-access-tokens", token)).call()
        };
        let answered = || match ask() {
            Err(ureq::Error::Io(_)) => None,
            answer => Some(answer),
        };
        let answer = wait_for(&Limit::seconds(AWAY), answered)?
            .with_context(|| format!("GET {path}: no answer"))?;
        Ok(answer?)
    }

    /// What a node reports of itself: its install state, and a line about how far it is.
    pub(crate) fn progress(&self, node: &str) -> Result<Progress> {
        let answer = self.get(&format!("/monitor/progress?nodes={node}"))?;
        let entry =
            answer.pointer(&format!("/monitor/progress/{node}")).cloned().unwrap_or_default();
        Ok(Progress::from(&entry))
    }

    /// Whether the daemon has seen a machine that it does not know.
    pub(crate) fn has_seen_unknown(&self, mac_address: &str) -> Result<bool> {
        let answer = self.get("/monitor/unknown")?;
        let Some(list) = answer.pointer("/monitor/unknown").and_then(Value::as_array) else {
            bail!("GET /monitor/unknown: no list in {answer}");
        };
        Ok(list
            .iter()
            .any(|machine| machine.get("macaddress").and_then(Value::as_str) == Some(mac_address)))
    }

    /// The address of a node's boot interface.
    pub(crate) fn address(&self, node: &str) -> Result<String> {
        let answer = self.get(&format!("/config/node/{node}"))?;
        let interfaces =
            answer.pointer(&format!("/config/node/{node}/interfaces")).and_then(Value::as_array);
        let text = |interface: &Value, key: &str| {
            interface.get(key).and_then(Value::as_str).map(str::to_owned)
        };
        let boots = |interface: &&Value| text(interface, "interface").as_deref() == Some("BOOTIF");
        let boot_interface = interfaces.and_then(|list| list.iter().find(boots));
        boot_interface
            .and_then(|interface| text(interface, "ipaddress"))
            .with_context(|| format!("{node} has no address on BOOTIF: {answer}"))
    }
}

/// The daemon has just made its certificate, and nobody else is in the lab's network.
fn of_a_lab() -> TlsConfig {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    TlsConfig::builder()
        .unversioned_rustls_crypto_provider(provider)
        .disable_verification(true)
        .build()
}

fn address(path: &str) -> String {
    format!("https://127.0.0.1:{PORT}{path}")
}

/// The value of a key, whatever section it is in.
fn ini_value(text: &str, key: &str) -> Option<String> {
    let pairs = text.lines().filter_map(|line| line.split_once('='));
    pairs
        .map(|(name, value)| (name.trim(), value.trim()))
        .find(|(name, _)| *name == key)
        .map(|(_, value)| value.to_owned())
}

#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Progress {
    pub(crate) state: Option<String>,
    pub(crate) status: Option<String>,
    pub(crate) done: u64,
    pub(crate) total: u64,
    pub(crate) rate: u64,
}

impl From<&Value> for Progress {
    fn from(entry: &Value) -> Self {
        let text = |key: &str| entry.get(key).and_then(Value::as_str).map(str::to_owned);
        let number = |key: &str| entry.get(key).and_then(Value::as_u64).unwrap_or_default();
        Self {
            state: text("state"),
            status: text("status"),
            done: number("bytes_done"),
            total: number("bytes_total"),
            rate: number("rate"),
        }
    }
}

impl Progress {
    /// Whether the image is being fetched and unpacked at this moment.
    pub(crate) fn is_underway(&self) -> bool {
        self.state.as_deref() == Some("install.unpack") && self.done > 0 && self.done < self.total
    }

    /// One line for a person.
    pub(crate) fn line(&self) -> String {
        let state = self.state.as_deref().unwrap_or("waiting");
        let moving = self.total > 0 && self.done < self.total;
        let bytes = moving.then(|| {
            let percent = self.done.saturating_mul(100) / self.total;
            format!(
                "  {percent:>3} %  {} of {} MB  {} MB/s",
                megabytes(self.done),
                megabytes(self.total),
                megabytes(self.rate)
            )
        });
        let status = self.status.as_ref().map(|status| format!("  {status}"));
        format!("{state:<20}{}{}", bytes.unwrap_or_default(), status.unwrap_or_default())
            .trim_end()
            .to_owned()
    }
}

fn megabytes(bytes: u64) -> u64 {
    bytes / 1_000_000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_reads_as_a_line() {
        let entry = json!({ "state": "install.unpack", "status": null, "bytes_done": 61_000_000, "bytes_total": 122_000_000, "rate": 30_000_000 });
        assert_eq!(
            Progress::from(&entry).line(),
            "install.unpack         50 %  61 of 122 MB  30 MB/s"
        );
        assert_eq!(Progress::from(&Value::Null).line(), "waiting");
        let failed = json!({ "state": "install.error", "status": "no disk" });
        assert_eq!(Progress::from(&failed).line(), "install.error         no disk");
    }

    #[test]
    fn a_password_is_found_with_whatever_characters() {
        let text = "[API]\nUSERNAME = luna\nPASSWORD = a=b c\n";
        assert_eq!(ini_value(text, "PASSWORD").as_deref(), Some("a=b c"));
        assert_eq!(ini_value(text, "SECRET_KEY"), None);
    }
}
