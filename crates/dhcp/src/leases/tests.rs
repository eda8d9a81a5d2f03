//! What is counted step by step is what one finds by counting all.

use proptest::prelude::*;

use super::*;

const FIRST: Ipv4Addr = Ipv4Addr::new(10, 141, 0, 100);
const LAST: Ipv4Addr = Ipv4Addr::new(10, 141, 0, 119);

#[derive(Debug, Clone)]
enum Step {
    Offer(u8, u8, u8),
    Lend(u8, u8, u8, u32),
    Release(u8, u8),
    Decline(u8),
    Wait(u32),
}

fn step() -> impl Strategy<Value = Step> {
    let (machine, last, source) = (0..12_u8, 95..125_u8, 0..5_u8);
    prop_oneof![
        3 => (machine.clone(), last.clone(), source.clone()).prop_map(|(machine, last, source)| Step::Offer(machine, last, source)),
        3 => (machine.clone(), last.clone(), source, 1..2_000_000_u32)
            .prop_map(|(machine, last, source, lasts)| Step::Lend(machine, last, source, lasts)),
        1 => (machine, last.clone()).prop_map(|(machine, last)| Step::Release(machine, last)),
        2 => last.prop_map(Step::Decline),
        2 => (0..1_000_000_u32).prop_map(Step::Wait),
    ]
}

fn source(number: u8) -> Source {
    match number {
        0 => Source::Node,
        1 => Source::Machine,
        2 => Source::Relay(FIRST),
        3 => Source::Port("1".to_owned()),
        _ => Source::Ethernet(mac(99)),
    }
}

fn mac(last: u8) -> MacAddress {
    MacAddress::ethernet([2, 0, 0, 0, 0, last])
}

fn at(last: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 141, 0, last)
}

proptest! {
    #[test]
    fn counts_are_right_whatever_happened(steps in prop::collection::vec(step(), 1..150)) {
        let (mut leases, mut now) = (Leases::default(), 1_000);
        let range = FIRST..=LAST;
        for step in steps {
            leases.settle(now);
            match step {
                Step::Offer(machine, last, by) => leases.offer(at(last), mac(machine), source(by), now),
                Step::Lend(machine, last, by, lasts) => leases.lend(Lease {
                    address: at(last),
                    mac: mac(machine),
                    until: now + u64::from(lasts),
                    source: source(by),
                }),
                Step::Release(machine, last) => drop(leases.release(at(last), mac(machine))),
                Step::Decline(last) => leases.decline(at(last), &range, now),
                Step::Wait(milliseconds) => now += u64::from(milliseconds),
            }
            leases.settle(now);
            let counted = leases.pool(&range).clone();
            let mut anew = Leases { pools: BTreeMap::new(), ..leases.clone() };
            prop_assert_eq!(&counted, anew.pool(&range));
            prop_assert!(counted.declined <= 5, "a quarter of the range");
            let kept = leases.running.len() + leases.ended.len();
            prop_assert_eq!(kept, leases.entries.len());
            prop_assert!(leases.entries.values().all(|entry| entry.runs == (entry.lease.until > now)));
            prop_assert!(leases.machines.iter().all(|(mac, address)| leases.entries[address].mac() == Some(*mac)));
        }
    }
}
