//! How often machines may ask that show nothing: by card or network, by address, by the port of a switch, and all together. A machine whose
//! boot is expected has a part of its own, which nobody else can use up.

use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use perilune_daemon::rate::{Debts, Rate, Wait, network};
use perilune_model::{MacAddress, Name};

use crate::connections::{Asker, Group};

/// Of one card: a machine asks a few times for each boot, and once in ten seconds while it waits for somebody.
const OF_CARD: Rate = Rate { burst: 120, refill: Duration::from_millis(500) };
/// Of a network behind a router: a room full of machines.
const OF_NETWORK: Rate = Rate { burst: 2400, refill: Duration::from_millis(20) };
/// Of one address, which a proxy or a router may have for others.
const OF_ADDRESS: Rate = Rate { burst: 240, refill: Duration::from_millis(250) };
/// Of one port of a switch: machines may be behind a switch that nobody reads.
const OF_PORT: Rate = Rate { burst: 480, refill: Duration::from_millis(100) };
/// Of all: thousands that come up together, and start from their disks.
const OF_ALL: Rate = Rate { burst: 20_000, refill: Duration::from_millis(2) };
/// Of one machine whose boot is expected.
const OF_EXPECTED: Rate = Rate { burst: 120, refill: Duration::from_millis(500) };

/// Where a switch sees a card.
pub(crate) type Port = (Name, String);

/// What was asked of late.
#[derive(Debug, Default)]
pub(crate) struct Budgets(Mutex<Tables>);

#[derive(Debug, Default)]
struct Tables {
    groups: Debts<Group>,
    addresses: Debts<IpAddr>,
    ports: Debts<Port>,
    machines: Debts<MacAddress>,
    all: Debts<()>,
    expected: Debts<Group>,
}

impl Budgets {
    /// Somebody asks once more; the port is only looked for when all else is within its bounds. `now` is in steady milliseconds, here and
    /// below.
    pub(crate) fn spend(
        &self,
        asker: &Asker,
        port: impl FnOnce() -> Option<Port>,
        now: u64,
    ) -> Result<(), Wait> {
        let Asker { group, address, is_expected } = asker;
        let mut tables = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if *is_expected {
            tables.expected.check(group, OF_EXPECTED, now)?;
            tables.expected.add(*group, OF_EXPECTED, now);
            return Ok(());
        }
        let address = network(*address);
        let of_group = if matches!(group, Group::Card(_)) { OF_CARD } else { OF_NETWORK };
        tables.all.check(&(), OF_ALL, now)?;
        tables.groups.check(group, of_group, now)?;
        tables.addresses.check(&address, OF_ADDRESS, now)?;
        let port = port();
        if let Some(port) = &port {
            tables.ports.check(port, OF_PORT, now)?;
        }
        tables.all.add((), OF_ALL, now);
        tables.groups.add(*group, of_group, now);
        tables.addresses.add(address, OF_ADDRESS, now);
        if let Some(port) = port {
            tables.ports.add(port, OF_PORT, now);
        }
        Ok(())
    }

    /// The same of somebody behind a proxy that names nobody: by the machine that they say they are, and with all others.
    pub(crate) fn spend_unnamed(&self, mac: Option<MacAddress>, now: u64) -> Result<(), Wait> {
        let mut tables = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        tables.all.check(&(), OF_ALL, now)?;
        if let Some(mac) = mac {
            tables.machines.check(&mac, OF_CARD, now)?;
            tables.machines.add(mac, OF_CARD, now);
        }
        tables.all.add((), OF_ALL, now);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_000_000;

    fn mac(number: u32) -> MacAddress {
        let [a, b, c, d] = number.to_be_bytes();
        MacAddress::ethernet([2, 0, a, b, c, d])
    }

    fn asker(card: u32, last: u8) -> Asker {
        let group = Group::Card(mac(card));
        Asker { group, address: IpAddr::from([10, 141, 201, last]), is_expected: false }
    }

    fn spend(budgets: &Budgets, asker: &Asker) -> bool {
        budgets.spend(asker, || None, NOW).is_ok()
    }

    #[test]
    fn one_card_has_one_budget_however_many_addresses_it_takes_and_others_have_theirs() {
        let budgets = Budgets::default();
        let asked = (0..=255).cycle().take(10_000);
        let answered = asked.filter(|last| spend(&budgets, &asker(1, *last))).count();
        assert_eq!(answered, 120);
        assert!(spend(&budgets, &asker(2, 9)));
        assert!(budgets.spend(&asker(1, 9), || None, NOW + 500).is_ok(), "it comes back with time");
    }

    #[test]
    fn cards_that_are_invented_behind_one_port_have_one_budget() {
        let budgets = Budgets::default();
        let port = |name: &str| Some((Name::trusted("switch1"), name.to_owned()));
        let ask = |card: u32, name: &'static str| {
            let last = u8::try_from(card % 200).unwrap();
            budgets.spend(&asker(card, last), || port(name), NOW).is_ok()
        };
        assert_eq!((0..10_000).filter(|card| ask(*card, "7")).count(), 480);
        assert!(ask(20_000, "8"));
    }

    #[test]
    fn a_machine_whose_boot_is_expected_is_answered_whatever_strangers_ask() {
        let budgets = Budgets::default();
        let cards = (0..200_u32).cycle().take(24_000);
        let address = |card: u32| u8::try_from(card).unwrap();
        let answered = cards.filter(|card| spend(&budgets, &asker(*card, address(*card)))).count();
        assert_eq!(answered, 20_000);
        assert!(!spend(&budgets, &asker(200_000, 1)));
        assert!(spend(&budgets, &Asker { is_expected: true, ..asker(200_000, 1) }));
        let again = Asker { is_expected: true, ..asker(200_001, 1) };
        assert_eq!((0..1000).filter(|_| spend(&budgets, &again)).count(), 120, "with a bound, too");
    }

    #[test]
    fn behind_a_proxy_that_names_nobody_each_machine_has_its_own() {
        let budgets = Budgets::default();
        let answered = (0..1000).filter(|_| budgets.spend_unnamed(Some(mac(1)), NOW).is_ok());
        assert_eq!(answered.count(), 120);
        assert!(budgets.spend_unnamed(Some(mac(2)), NOW).is_ok());
        assert!(budgets.spend_unnamed(None, NOW).is_ok());
    }
}
