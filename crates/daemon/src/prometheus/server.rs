//! Prometheus itself: what it is asked and told over HTTP. It is the site's own, on this machine as a rule, and shows a certificate that
//! it made itself: nothing secret is told to it.

use std::sync::Arc;
use std::time::Duration;

use rustls::crypto::aws_lc_rs;
use serde_json::Value;
use ureq::tls::TlsConfig;

/// How long an answer may take.
const LONGEST: Duration = Duration::from_secs(5);
/// As large as an answer may be.
const LARGEST: u64 = 8 << 20;

pub(crate) struct Server {
    agent: ureq::Agent,
    url: String,
}

impl Server {
    pub(super) fn new(url: &str) -> Self {
        let tls = TlsConfig::builder()
            .unversioned_rustls_crypto_provider(Arc::new(aws_lc_rs::default_provider()))
            .disable_verification(true)
            .build();
        let config = ureq::Agent::config_builder()
            .timeout_global(Some(LONGEST))
            .http_status_as_error(false)
            .max_redirects(0)
            .tls_config(tls)
            .build();
        Self { agent: config.new_agent(), url: url.trim_end_matches('/').to_owned() }
    }

    /// Has it read its files of rules anew. `Err(Some)` is its own word against them, `Err(None)` that it cannot be asked.
    pub(super) fn reload(&self) -> Result<(), Option<String>> {
        let answer = self.agent.post(format!("{}/-/reload", self.url)).send_empty();
        let mut answer = answer.map_err(|error| {
            tracing::warn!(url = self.url, %error, "Prometheus could not be told to read its rules anew");
            None
        })?;
        match answer.status().as_u16() {
            200..=299 => Ok(()),
            500 => {
                let text = answer.body_mut().with_config().limit(LARGEST).read_to_string();
                Err(Some(text.unwrap_or_default().trim().to_owned()))
            }
            status => {
                tracing::warn!(
                    url = self.url,
                    status,
                    "Prometheus does not read its rules anew; it needs --web.enable-lifecycle"
                );
                Err(None)
            }
        }
    }

    /// The labels of every series that a selector names, as of now.
    pub(super) fn series(
        &self,
        selector: &str,
    ) -> Result<Vec<serde_json::Map<String, Value>>, String> {
        let asked =
            self.agent.get(format!("{}/api/v1/query", self.url)).query("query", selector).call();
        let mut answer = asked.map_err(|error| error.to_string())?;
        let status = answer.status();
        if !status.is_success() {
            return Err(format!("it answers {status}"));
        }
        let body = answer.body_mut().with_config().limit(LARGEST).read_json::<Value>();
        let body = body.map_err(|error| error.to_string())?;
        let found =
            body.pointer("/data/result").and_then(Value::as_array).cloned().unwrap_or_default();
        let labels =
            found.into_iter().filter_map(|series| series.get("metric")?.as_object().cloned());
        Ok(labels.collect())
    }
}
