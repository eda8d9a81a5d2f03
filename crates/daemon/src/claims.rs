//! What unknown machines say, or seem, to be. A claim changes nothing until an administrator accepts it, or a rule does: nobody has proved
//! anything by choosing a line of a menu, or by asking from an address.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use perilune_boards::{Board, Rules, Snapshot, Update};
use perilune_model::MacAddress;
use perilune_model::discovery::Wish;

use crate::rate::{Debts, Rate, network};

/// Machines whose claims are remembered; beyond, the one that was silent for longest is forgotten. Each asks again every few seconds.
const RULES: Rules = Rules { keys: 4096, changes: 1024 };
/// New claims of one address, in what is remembered and in what rules accept. A machine has one; many may be behind one address.
const OF_ADDRESS: Rate = Rate { burst: 64, refill: Duration::from_secs(10) };
/// New claims of all together: a room full of machines at once, and never so many changes that others wait for theirs.
const OF_ALL: Rate = Rate { burst: 1024, refill: Duration::from_millis(100) };

/// What a machine wants to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// What it is to become.
    pub wish: Wish,
    /// Why, where it did not say so itself.
    pub reason: Option<String>,
    /// Where it asks from.
    pub address: IpAddr,
    /// Since when: milliseconds since 1970.
    pub since: u64,
}

/// Claims that wait; clones share them. Not stored: a machine that waits says it again.
#[derive(Debug, Clone)]
pub struct Claims {
    board: Board<MacAddress, Claim>,
    debts: Arc<Mutex<Budget>>,
}

#[derive(Debug, Default)]
struct Budget {
    addresses: Debts<IpAddr>,
    all: Debts<()>,
}

impl Claims {
    /// Without any. `life` tells the numbers of its changes from those of other lives of the daemon.
    pub fn new(life: u64) -> Self {
        Self { board: Board::volatile(life, RULES), debts: Arc::default() }
    }

    /// Whether a stranger at this address may make one more claim, which then counts. Behind a proxy that names nobody, all share what all
    /// have. `now` is in steady milliseconds, here and below.
    pub fn admit(&self, from: IpAddr, now: u64) -> bool {
        let mut budget = self.debts.lock().unwrap_or_else(PoisonError::into_inner);
        let address = network(from);
        let is_within = budget.all.check(&(), OF_ALL, now).is_ok()
            && (from.is_loopback() || budget.addresses.check(&address, OF_ADDRESS, now).is_ok());
        if is_within {
            budget.all.add((), OF_ALL, now);
            budget.addresses.add(address, OF_ADDRESS, now);
        }
        is_within
    }

    /// A machine says what it wants to be. The same again is no change and costs nothing; one too many is not remembered.
    pub fn claim(&self, mac: MacAddress, claim: Claim, now: u64) {
        let is_same = |known: &Claim| known.wish == claim.wish && known.reason == claim.reason;
        if self.of(mac).is_some_and(|known| is_same(&known)) || !self.admit(claim.address, now) {
            return;
        }
        self.board.update(&mac, |_| Update::Put(claim));
    }

    /// What a machine wants to be.
    pub fn of(&self, mac: MacAddress) -> Option<Arc<Claim>> {
        self.board.get(&mac)
    }

    /// A claim was decided.
    pub fn forget(&self, mac: MacAddress) {
        self.board.update(&mac, |_| Update::Remove);
    }

    /// All that wait.
    pub fn all(&self) -> Snapshot<MacAddress, Claim> {
        self.board.snapshot()
    }
}

#[cfg(test)]
mod tests {
    use perilune_model::Name;

    use super::*;

    fn mac(number: u32) -> MacAddress {
        let [a, b, c, d] = number.to_be_bytes();
        MacAddress::ethernet([2, 0, a, b, c, d])
    }

    fn claim(number: u32, from: [u8; 4]) -> (MacAddress, Claim) {
        let wish = Wish::NextOf(Name::trusted("compute"));
        (mac(number), Claim { wish, reason: None, address: from.into(), since: 1 })
    }

    #[test]
    fn one_address_pushes_nobody_out_and_repeating_a_claim_costs_nothing() {
        let claims = Claims::new(1);
        let (honest, of_honest) = claim(0, [10, 141, 200, 1]);
        claims.claim(honest, of_honest.clone(), 1_000);
        for number in 1..10_000 {
            let (mac, claim) = claim(number, [10, 141, 200, 2]);
            claims.claim(mac, claim, 1_000);
            claims.claim(honest, of_honest.clone(), 1_000);
        }
        assert!(claims.of(honest).is_some());
        assert_eq!(claims.all().len(), 1 + 64);
        assert!(claims.admit([10, 141, 200, 1].into(), 1_000), "repeating has cost nothing");
    }

    #[test]
    fn all_addresses_together_have_their_bound_and_it_is_given_back_with_time() {
        let claims = Claims::new(1);
        let address = |number: u32| IpAddr::from((0x0a00_0000 + number).to_be_bytes());
        let admitted = (0..20_000).filter(|number| claims.admit(address(*number), 1_000)).count();
        assert_eq!(admitted, 1024);
        assert!(!claims.admit(address(30_000), 1_000));
        assert!(claims.admit(address(30_000), 1_100));
    }
}
