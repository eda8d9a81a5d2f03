//! Boot requests that come from this machine itself and name no client: a proxy stands between, and hides who asks. A node is known by
//! its address, so none that boots in this way can install; this says so where somebody looks.

use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};

/// What the configuration of the proxy lacks, as nginx writes it.
pub(crate) const LINE: &str = "proxy_set_header X-Forwarded-For $remote_addr;";
/// How long such a request is told of.
const TOLD: u64 = 24 * 60 * 60 * 1000;
/// How often it is logged at most: machines that cannot boot ask every few seconds.
const LOGGED: u64 = 60 * 60 * 1000;

/// When a proxy last hid who asked for a boot script. Two booting machines may write at once; either time will do.
#[derive(Debug, Default)]
pub struct HiddenBoots {
    /// Milliseconds since 1970; 0 when there was none, or when the proxy has learnt to say for whom it asks.
    last: AtomicU64,
    logged: AtomicU64,
}

/// Whether nobody knows where a request came from: no machine but this one has such an address.
pub(crate) fn is_hidden(asker: IpAddr) -> bool {
    asker.is_loopback()
}

impl HiddenBoots {
    /// A boot script was asked for. `through_proxy` says that a proxy of this machine told for whom.
    pub(crate) fn asked(&self, asker: IpAddr, through_proxy: bool, now: u64) {
        if !is_hidden(asker) {
            if through_proxy {
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
        "a boot script was asked for from this machine itself, by no client that is named: a proxy hides who asks, and nodes that boot \
         through it cannot install. Write this line into its 'location /boot', and reload it: {LINE}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_told_for_a_day_or_until_the_proxy_names_who_asks() {
        let [own, node] = ["127.0.0.1", "10.141.0.1"].map(|text| text.parse().unwrap());
        let hidden = HiddenBoots::default();
        assert_eq!(hidden.warning(1_000), None);
        hidden.asked(own, false, 1_000);
        assert!(hidden.warning(2_000).unwrap().ends_with(LINE));
        // A machine that asks without the proxy says nothing about it.
        hidden.asked(node, false, 3_000);
        assert!(hidden.warning(4_000).is_some());
        assert_eq!(hidden.warning(1_000 + TOLD), None);
        hidden.asked(node, true, 5_000);
        assert_eq!(hidden.warning(6_000), None);
    }
}
