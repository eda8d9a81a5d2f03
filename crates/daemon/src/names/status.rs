//! Whether names are answered, and what keeps them from being: for `status`, for monitors, and for what machines are told.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use imbl::OrdSet;

/// The only port that machines ask at.
pub(super) const PORT: u16 = 53;

/// What is known of the DNS server; clones share it.
#[derive(Debug, Clone)]
pub struct Names(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    /// Why it is not to serve; `None` when it is.
    off: Option<String>,
    port: u16,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Each address that is to be served, with why it is not.
    places: BTreeMap<IpAddr, Option<String>>,
    /// Secondary servers that do not answer.
    silent: BTreeMap<IpAddr, String>,
}

/// How the server is, in one word and a reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Service {
    /// It answers at one address at least.
    Running,
    /// It does not; why, and what to do.
    Absent(String),
}

impl Names {
    /// A server that is to serve at this port.
    pub(super) fn wanted(port: u16) -> Self {
        Self(Arc::new(Shared { off: None, port, state: Mutex::default() }))
    }

    /// A server that is not to serve.
    pub(super) fn off(reason: String) -> Self {
        Self(Arc::new(Shared { off: Some(reason), port: PORT, state: Mutex::default() }))
    }

    pub(super) fn is_wanted(&self) -> bool {
        self.0.off.is_none()
    }

    /// How it is.
    pub fn service(&self) -> Service {
        if let Some(reason) = &self.0.off {
            return Service::Absent(reason.clone());
        }
        let state = self.lock();
        if state.places.values().any(Option::is_none) {
            return Service::Running;
        }
        let reason = state.places.values().flatten().next();
        Service::Absent(reason.cloned().unwrap_or_else(|| {
            "no interface that is served has an address; give it one, or name addresses in [DNS] LISTEN of luna.ini".to_owned()
        }))
    }

    /// The addresses at which machines are answered; `None` where another server may be at those of this host.
    pub(super) fn answering(&self) -> Option<OrdSet<IpAddr>> {
        self.is_wanted().then(|| {
            let state = self.lock();
            let answers = state.places.iter().filter(|(_, failure)| failure.is_none());
            answers.filter(|_| self.0.port == PORT).map(|(address, _)| *address).collect()
        })
    }

    /// Whether this server answers there.
    pub(crate) fn answers_at(&self, address: IpAddr) -> bool {
        self.answering().is_some_and(|answering| answering.contains(&address))
    }

    /// What somebody should look at.
    pub(crate) fn warnings(&self) -> Vec<String> {
        if !self.is_wanted() {
            return Vec::new();
        }
        let state = self.lock();
        let nowhere = match (state.places.is_empty(), self.0.port) {
            (true, _) => Some(
                "DNS is to be served, and no interface that is served has an address".to_owned(),
            ),
            (false, PORT) => None,
            (false, port) => Some(format!(
                "DNS is served at port {port}, where no node asks: no node uses it. [DNS] PORT of luna.ini says so"
            )),
        };
        let failed = state.places.values().flatten().cloned();
        nowhere.into_iter().chain(failed).chain(state.silent.values().cloned()).collect()
    }

    /// Notes how an address fares; answers whether that is new.
    pub(super) fn note(&self, address: SocketAddr, failure: Option<&str>) -> bool {
        let failure = failure.map(str::to_owned);
        let mut state = self.lock();
        let is_new = state.places.get(&address.ip()) != Some(&failure);
        state.places.insert(address.ip(), failure);
        is_new
    }

    /// Forgets addresses that are not to be served any more.
    pub(super) fn keep(&self, is_wanted: impl Fn(IpAddr) -> bool) {
        self.lock().places.retain(|address, _| is_wanted(*address));
    }

    /// Notes whether a secondary server answers.
    pub(super) fn note_secondary(&self, address: IpAddr, failure: Option<String>) {
        let mut state = self.lock();
        match failure {
            Some(failure) => state.silent.insert(address, failure),
            None => state.silent.remove(&address),
        };
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // What a panicking holder left is still what was known.
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_that_is_answered_at_is_a_service_and_one_that_is_not_is_told() {
        let names = Names::wanted(PORT);
        assert!(matches!(names.service(), Service::Absent(_)));
        let at = |last: u8| SocketAddr::from(([10, 9, 0, last], PORT));
        assert!(names.note(at(1), Some("taken")));
        assert!(!names.note(at(1), Some("taken")));
        assert_eq!(names.service(), Service::Absent("taken".to_owned()));
        assert_eq!(names.answering(), Some(OrdSet::new()));
        names.note(at(2), None);
        assert_eq!(names.service(), Service::Running);
        assert!(names.answers_at(at(2).ip()) && !names.answers_at(at(1).ip()));
        assert_eq!(names.warnings(), ["taken"]);
        names.keep(|address| address == at(2).ip());
        assert_eq!(names.warnings(), Vec::<String>::new());
    }

    #[test]
    fn a_server_that_is_off_says_why_and_nothing_of_this_hosts_addresses() {
        let names = Names::off("another serves".to_owned());
        assert_eq!(names.service(), Service::Absent("another serves".to_owned()));
        assert_eq!(names.answering(), None);
        assert_eq!(names.warnings(), Vec::<String>::new());
    }

    #[test]
    fn nobody_is_told_to_ask_at_another_port() {
        let names = Names::wanted(5353);
        names.note(([10, 9, 0, 1], 5353).into(), None);
        assert_eq!(names.service(), Service::Running);
        assert_eq!(names.answering(), Some(OrdSet::new()));
        assert!(names.warnings()[0].contains("port 5353"));
    }
}
