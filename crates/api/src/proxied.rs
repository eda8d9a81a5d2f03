//! Boot requests that come from this machine itself and name no client: a proxy stands between, and hides who asks. A request from the
//! node's own address is then no evidence of its boot; this says so where somebody looks.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::source::Source;

/// What the configuration of the proxy lacks, as nginx writes it.
pub(crate) const LINE: &str = "proxy_set_header X-Forwarded-For $remote_addr;";
/// What our own configuration lacks for that to count.
pub(crate) const CONFIGURATION: &str = "[API] PROXIES = 127.0.0.1";
/// How long such a request is told of.
const TOLD: u64 = 24 * 60 * 60 * 1000;
/// How often it is logged at most: machines that cannot boot ask every few seconds.
const LOGGED: u64 = 60 * 60 * 1000;

/// When a proxy last hid who asked for a boot script. Two booting machines may write at once; either time will do.
#[derive(Debug, Default)]
pub(crate) struct HiddenBoots {
    /// Milliseconds since 1970; 0 when there was none, or when the proxy has learnt to say for whom it asks.
    last: AtomicU64,
    logged: AtomicU64,
}

impl HiddenBoots {
    /// A boot script was asked for.
    pub(crate) fn asked(&self, source: &Source, now: u64) {
        if !source.is_anybody() {
            if source.is_told() {
                self.last.store(0, Ordering::Relaxed);
            }
            return;
        }
        self.last.store(now, Ordering::Relaxed);
        let logged = self.logged.load(Ordering::Relaxed);
        if now.saturating_sub(logged) >= LOGGED {
            self.logged.store(now, Ordering::Relaxed);
            tracing::warn!("{}", text());
        }
    }

    /// What to tell people as of now.
    pub(crate) fn warning(&self, now: u64) -> Option<String> {
        let last = self.last.load(Ordering::Relaxed);
        (last != 0 && now.saturating_sub(last) < TOLD).then(text)
    }
}

fn text() -> String {
    format!(
        "a boot script was asked for from this machine itself, by no client that is named: a proxy hides who asks. Nodes that boot through \
         it can install only where the controller sees the DHCP requests of their firmware, or when their boots are allowed (perilune \
         node arm). Write {CONFIGURATION} into luna.ini, and this line into the proxy's 'location /boot', and reload both: {LINE}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_told_for_a_day_or_until_the_proxy_names_who_asks() {
        let own = Source::for_test("127.0.0.1:40000", None);
        let node = Source::for_test("10.141.0.1:40000", None);
        let told = Source::for_test("127.0.0.1:40000", Some("10.141.0.1"));
        let hidden = HiddenBoots::default();
        assert_eq!(hidden.warning(1_000), None);
        hidden.asked(&own, 1_000);
        assert!(hidden.warning(2_000).unwrap().ends_with(LINE));
        // A machine that asks without the proxy says nothing about it.
        hidden.asked(&node, 3_000);
        assert!(hidden.warning(4_000).is_some());
        assert_eq!(hidden.warning(1_000 + TOLD), None);
        hidden.asked(&told, 5_000);
        assert_eq!(hidden.warning(6_000), None);
    }
}
