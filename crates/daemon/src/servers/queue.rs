//! What is asked of the servers, in order, and how they fare.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use super::command;
use crate::config::ServerSettings;

/// As long as an answer about a server is good: whoever may ask needs no token, and each question is a process.
const FRESH: Duration = Duration::from_secs(2);

/// A server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Dhcp,
    Dhcp6,
    Dns,
}

impl Kind {
    pub(super) const ALL: [Self; 3] = [Self::Dhcp, Self::Dhcp6, Self::Dns];
}

/// What a server is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    Start,
    Stop,
    Reload,
    Restart,
    /// Without writing anything before.
    OnlyStart,
}

impl Action {
    /// The action with this name.
    pub fn read(word: &str) -> Option<Self> {
        Some(match word {
            "start" => Self::Start,
            "stop" => Self::Stop,
            "reload" => Self::Reload,
            "restart" => Self::Restart,
            "only_start" => Self::OnlyStart,
            _ => return None,
        })
    }

    /// What `[SERVICES] COMMAND` calls it.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Start | Self::OnlyStart => "start",
            Self::Stop => "stop",
            Self::Reload => "reload",
            Self::Restart => "restart",
        }
    }
}

/// Something that was asked for.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    pub(super) kind: Kind,
    pub(super) action: Action,
    /// The words of the request, for its messages.
    pub(super) words: String,
    pub(super) user: String,
    pub(super) request: String,
}

/// What became of a request.
#[derive(Debug)]
pub struct Queued {
    /// The request to poll.
    pub request: String,
    /// Whether it is new; else the same waits already.
    pub is_new: bool,
}

/// The servers of the site; clones share them.
#[derive(Clone)]
pub struct Servers(Arc<Shared>);

struct Shared {
    settings: Arc<ServerSettings>,
    state: Mutex<State>,
    asked: Notify,
    /// Held by whoever asks the system, so that many do not.
    looks: tokio::sync::Mutex<BTreeMap<Kind, Look>>,
}

/// When the system was asked of a server, and whether it runs.
type Look = (Instant, Result<(), String>);

#[derive(Default)]
struct State {
    waiting: VecDeque<Asked>,
    last: u64,
    /// What somebody should look at.
    failures: BTreeMap<Kind, String>,
}

impl Servers {
    pub(super) fn new(settings: ServerSettings) -> Self {
        Self(Arc::new(Shared {
            settings: Arc::new(settings),
            state: Mutex::default(),
            asked: Notify::new(),
            looks: tokio::sync::Mutex::default(),
        }))
    }

    pub(super) fn settings(&self) -> Arc<ServerSettings> {
        Arc::clone(&self.0.settings)
    }

    /// The server with this name: the usual one, or that of the system.
    pub fn find(&self, name: &str) -> Option<Kind> {
        let unit = |kind| self.0.settings.unit(kind).is_some_and(|unit| unit == name);
        let usual = match name {
            "dhcp" => Some(Kind::Dhcp),
            "dhcp6" => Some(Kind::Dhcp6),
            "dns" => Some(Kind::Dns),
            _ => None,
        };
        let there = usual.filter(|kind| self.0.settings.unit(*kind).is_some());
        there.or_else(|| Kind::ALL.into_iter().find(|kind| unit(*kind)))
    }

    /// Asks for an action, unless the same waits already. `begin` begins the messages of a new request with its number, and answers
    /// its name.
    pub fn ask(
        &self,
        kind: Kind,
        action: Action,
        (words, user): (String, String),
        begin: impl FnOnce(u64) -> String,
    ) -> Queued {
        let mut state = self.lock();
        let same = state.waiting.iter().find(|own| own.kind == kind && own.action == action);
        if let Some(same) = same {
            return Queued { request: same.request.clone(), is_new: false };
        }
        state.last += 1;
        // Nobody takes it before its first message is there.
        let request = begin(state.last);
        state.waiting.push_back(Asked { kind, action, words, user, request: request.clone() });
        self.0.asked.notify_one();
        Queued { request, is_new: true }
    }

    /// What is to be done next.
    pub(super) fn next(&self) -> Option<Asked> {
        self.lock().waiting.pop_front()
    }

    /// Waits until something is asked for.
    pub(super) async fn asked(&self) {
        self.0.asked.notified().await;
    }

    /// Whether the system says that a server runs; else why not.
    pub async fn runs(&self, kind: Kind) -> Result<(), String> {
        let mut looks = self.0.looks.lock().await;
        if let Some((at, said)) = looks.get(&kind)
            && at.elapsed() < FRESH
        {
            return said.clone();
        }
        let said = command::status(&self.0.settings, kind).await;
        looks.insert(kind, (Instant::now(), said.clone()));
        said
    }

    /// Forgets what the system said of a server, which has just acted.
    pub(super) async fn forget(&self, kind: Kind) {
        self.0.looks.lock().await.remove(&kind);
    }

    /// Notes how a server fares; answers whether that is new.
    pub(super) fn note(&self, kind: Kind, failure: Option<String>) -> bool {
        let mut state = self.lock();
        let is_new = state.failures.get(&kind) != failure.as_ref();
        match failure {
            Some(failure) => state.failures.insert(kind, failure),
            None => state.failures.remove(&kind),
        };
        is_new
    }

    /// The servers of the site, and whether each does not know the cluster as it is.
    pub(crate) fn behind(&self) -> Vec<(String, bool)> {
        let state = self.lock();
        let units = Kind::ALL.into_iter().filter_map(|kind| {
            let unit = self.0.settings.unit(kind)?;
            Some((unit.to_owned(), state.failures.contains_key(&kind)))
        });
        units.collect()
    }

    /// What somebody should look at.
    pub(crate) fn warnings(&self) -> Vec<String> {
        self.lock().failures.values().cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // What a panicking holder left is still what was asked for.
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ServerSettings {
    /// What the system calls a server that is the site's.
    pub(super) fn unit(&self, kind: Kind) -> Option<&str> {
        match kind {
            Kind::Dhcp => self.dhcp.as_ref().map(|own| own.unit.as_str()),
            Kind::Dhcp6 => self.dhcp6.as_ref().map(|own| own.unit.as_str()),
            Kind::Dns => self.dns.as_ref().map(|own| own.unit.as_str()),
        }
    }
}
