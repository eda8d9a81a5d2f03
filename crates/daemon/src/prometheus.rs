//! What the site's Prometheus reads of the cluster, and the files of rules that it goes by: `docs/metrics.md`.

mod files;
mod hardware;
mod rules;
mod server;
mod targets;

use std::path::PathBuf;
use std::sync::Arc;

use serde_json::{Value, json};
use tokio::sync::{Mutex, Semaphore};
use tokio::task::spawn_blocking;

use hardware::Request;
use rules::{Category, Rule, Switches};
use server::Server;
pub use targets::targets;

use crate::causes::chain;

/// As many questions as Prometheus is asked at one moment, however many nodes come up at once.
const QUESTIONS: usize = 4;

/// Where the site's Prometheus is, and what runs on its nodes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Settings {
    /// Where its files of rules are.
    pub rules: PathBuf,
    /// Where it answers, such as `https://localhost:9090`.
    pub url: String,
    /// What answers Prometheus on each node, and at which port.
    pub exporters: Vec<(String, u16)>,
}

/// Why something is not as it was asked for.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The request means nothing.
    #[error("{0}")]
    Request(String),
    /// A file cannot be read or written.
    #[error("{path} cannot be {action}")]
    File {
        /// The file.
        path: String,
        /// `read`, `written`.
        action: &'static str,
        /// Why.
        source: std::io::Error,
    },
    /// A file cannot be written.
    #[error(transparent)]
    Written(#[from] crate::config::error::Error),
    /// A file is not what it should be.
    #[error("{path}: {reason}")]
    Content {
        /// The file.
        path: String,
        /// What is wrong.
        reason: String,
    },
    /// Prometheus takes the rules not.
    #[error("Prometheus refuses the rules, and those that it had were put back: {0}")]
    Refused(String),
    /// The daemon is stopping.
    #[error("the daemon is stopping; try again in a moment")]
    Stopping,
}

/// The site's Prometheus; clones share it.
#[derive(Clone)]
pub struct Prometheus(Arc<Inner>);

struct Inner {
    settings: Settings,
    server: Server,
    /// Files are read, changed and written back by one at a time.
    writing: Mutex<()>,
    questions: Semaphore,
}

impl Inner {
    /// Replaces the rules of nodes, and answers what became of each. A file that Prometheus refuses would keep it from reading all others
    /// anew, so that none of them is left there.
    fn replace_hardware(&self, written: Vec<(String, Vec<Rule>)>, now: u64) -> Vec<Value> {
        if written.is_empty() {
            return Vec::new();
        }
        let hosts: Vec<String> = written.iter().map(|(host, _)| host.clone()).collect();
        let files: Vec<(String, Vec<Rule>)> =
            written.into_iter().map(|(host, rules)| (hardware::file(&host), rules)).collect();
        let replaced = files::replace(&self.settings.rules, &files, now, || self.server.reload());
        let failure = replaced.err().map(|error| chain(&error));
        let told = |host: &String| match &failure {
            None => outcome(host, Ok(None)),
            Some(reason) => outcome(host, Err(Error::Request(reason.clone()))),
        };
        hosts.iter().map(told).collect()
    }
}

impl Prometheus {
    pub(crate) fn new(settings: Settings) -> Self {
        let server = Server::new(&settings.url);
        let (writing, questions) = (Mutex::new(()), Semaphore::new(QUESTIONS));
        Self(Arc::new(Inner { settings, server, writing, questions }))
    }

    pub fn exporters(&self) -> &[(String, u16)] {
        &self.0.settings.exporters
    }

    /// The site's rules, but for those of single nodes: `{"groups": [{"name": "trinityx", "rules": [...]}]}`.
    pub async fn rules(&self) -> Result<Value, Error> {
        self.blocking(|inner| {
            let mut all = Vec::new();
            for category in [Category::Generic, Category::Service] {
                all.extend(
                    files::read(&inner.settings.rules, category.file())?.unwrap_or_default(),
                );
            }
            Ok(rules::document(&all))
        })
        .await
    }

    /// Replaces them. What Prometheus does not take is put back as it was.
    pub async fn replace_rules(&self, request: &Value, now: u64) -> Result<String, Error> {
        let wanted = rules::read(request).map_err(Error::Request)?;
        let _turn = self.0.writing.lock().await;
        self.blocking(move |inner| {
            let of = |category: Category| -> Vec<Rule> {
                wanted.iter().filter(|rule| rule.category() == category).cloned().collect()
            };
            let written = [Category::Generic, Category::Service]
                .map(|category| (category.file().to_owned(), of(category)));
            let told =
                files::replace(&inner.settings.rules, &written, now, || inner.server.reload())?;
            Ok(format!("Prometheus rules updated successfully{told}"))
        })
        .await
    }

    /// Whether rules of single nodes alert at all, and whether they count for node health checks: `{"hw": {"disabled": false, "nhc": true}}`.
    pub async fn switches(&self) -> Result<Value, Error> {
        let switches = self.blocking(|inner| files::switches(&inner.settings.rules)).await?;
        Ok(json!({ "hw": switches }))
    }

    /// Changes that, for the rules that are there as well; answers for each node whose rules are.
    pub async fn set_switches(&self, request: &Value, now: u64) -> Result<Value, Error> {
        let wanted = Switches::read(request.get("hw").unwrap_or(&Value::Null), "hw")
            .map_err(Error::Request)?;
        let _turn = self.0.writing.lock().await;
        self.blocking(move |inner| {
            let directory = &inner.settings.rules;
            let switches = files::switches(directory)?.changed_by(wanted);
            files::write_switches(directory, switches)?;
            let (mut written, mut outcomes) = (Vec::new(), Vec::new());
            for host in files::hosts(directory)? {
                match hardware::switched(directory, &host, switches) {
                    Ok(rules) => written.push((host, rules)),
                    Err(error) => outcomes.push(outcome(&host, Err(error))),
                }
            }
            outcomes.extend(inner.replace_hardware(written, now));
            Ok(json!(outcomes))
        })
        .await
    }

    /// The rules of single nodes.
    pub async fn hardware(&self, hosts: Vec<String>) -> Result<Value, Error> {
        self.blocking(move |inner| {
            let outcomes = hosts.iter().map(|host| {
                let read = hardware::read(&inner.settings.rules, host);
                outcome(host, read.map(Some))
            });
            Ok(json!(outcomes.collect::<Vec<_>>()))
        })
        .await
    }

    /// Whether rules of single nodes are there.
    pub async fn has_hardware(&self, hosts: Vec<String>) -> Result<Value, Error> {
        self.blocking(move |inner| {
            let all = hosts.iter().map(|host| {
                let is_there = hardware::is_there(&inner.settings.rules, host);
                json!({ "hostname": host, "status": is_there })
            });
            Ok(json!(all.collect::<Vec<_>>()))
        })
        .await
    }

    /// Makes rules of single nodes by what Prometheus knows to be in them.
    pub async fn make_hardware(&self, requests: Vec<Request>, now: u64) -> Result<Value, Error> {
        let mut found = Vec::with_capacity(requests.len());
        for request in requests {
            let _question = self.0.questions.acquire().await.map_err(|_closed| Error::Stopping)?;
            let host = request.hostname.clone();
            let rules = self
                .blocking(move |inner| {
                    hardware::find(&inner.settings.rules, &inner.server, &request)
                })
                .await;
            found.push((host, rules));
        }
        let _turn = self.0.writing.lock().await;
        self.blocking(move |inner| {
            let (mut written, mut outcomes) = (Vec::new(), Vec::new());
            for (host, rules) in found {
                match rules {
                    Ok(rules) => written.push((host, rules)),
                    Err(error) => outcomes.push(outcome(&host, Err(error))),
                }
            }
            outcomes.extend(inner.replace_hardware(written, now));
            Ok(json!(outcomes))
        })
        .await
    }

    /// What one node's rules have, as a request of existing clients says it.
    pub fn hardware_requests(request: &Value) -> Result<Vec<Request>, Error> {
        Request::read(request).map_err(Error::Request)
    }

    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Inner) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let inner = Arc::clone(&self.0);
        spawn_blocking(move || work(&inner)).await.map_err(|_panicked| Error::Stopping)?
    }
}

/// A text of somebody else's in a message.
fn shown(text: &str) -> String {
    text.chars().take(80).flat_map(char::escape_debug).collect()
}

/// What became of one node's rules, as existing clients read it.
fn outcome(host: &str, outcome: Result<Option<Value>, Error>) -> Value {
    match outcome {
        Ok(None) => json!({ "hostname": host, "status": true }),
        Ok(Some(data)) => json!({ "hostname": host, "status": true, "data": data }),
        Err(error) => {
            json!({ "hostname": host, "status": false, "message": chain(&error) })
        }
    }
}
