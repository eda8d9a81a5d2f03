//! What is counted step by step is what one finds by counting all.

use std::net::Ipv4Addr;

use proptest::prelude::*;

use super::*;

const FIRST: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 141, 0, 100));
const LAST: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 141, 0, 119));

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

fn at(last: u8) -> IpAddr {
    [10, 141, 0, last].into()
}

/// What is over is stored no longer.
fn forget(stored: &mut BTreeMap<IpAddr, Lease>, leases: &mut Leases) {
    for over in leases.take_over() {
        stored.remove(&over.address());
    }
}

proptest! {
    #[test]
    fn counts_are_right_whatever_happened(steps in prop::collection::vec(step(), 1..150)) {
        let (mut leases, mut now) = (Leases::default(), 1_000);
        let range = FIRST..=LAST;
        // As whoever stores leases knows them.
        let mut stored = BTreeMap::new();
        for step in steps {
            leases.settle(now);
            match step {
                Step::Offer(machine, last, by) => leases.offer(at(last), mac(machine), source(by), now),
                Step::Lend(machine, last, by, lasts) => {
                    let (address, until) = (at(last), now + u64::from(lasts));
                    let lease = Lease { address, mac: mac(machine), until, source: source(by), name: None };
                    leases.lend(lease.clone());
                    forget(&mut stored, &mut leases);
                    stored.insert(address, lease);
                }
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
            forget(&mut stored, &mut leases);
            let lent = leases.entries.iter().filter(|(_, entry)| entry.state == State::Lent);
            for (address, entry) in lent {
                prop_assert_eq!(stored.get(address), Some(&entry.lease));
            }
            // Nothing else that is stored runs: a restart lends nobody an address twice, and keeps none from anybody.
            let runs = |lease: &&Lease| lease.until > now;
            for lease in stored.values().filter(runs) {
                prop_assert!(leases.is_lent(lease.address, lease.mac, now), "{:?}", lease);
            }
            prop_assert!(leases.machines.iter().all(|((mac, _), address)| leases.entries[address].mac() == Some(*mac)));
        }
    }
}

#[test]
fn what_is_remembered_has_a_bound_and_what_runs_is_not_forgotten() {
    let mut leases = Leases::default();
    let machine = |number: usize| {
        let [.., a, b, c, d] = number.to_be_bytes();
        MacAddress::ethernet([2, 0, a, b, c, d])
    };
    let lease = |number: usize, until| Lease {
        address: Ipv4Addr::from(0x0a00_0000 + u32::try_from(number).unwrap()).into(),
        mac: machine(number),
        until,
        source: Source::Machine,
        name: None,
    };
    for number in 0..REMEMBERED {
        leases.lend(lease(number, if number == 0 { 1_000 } else { 10 }));
    }
    let network = Name::trusted("cluster");
    let range = FIRST..=LAST;
    let has_room = |leases: &mut Leases| {
        leases.has_room(&Cluster::default(), &network, &range, &Source::Machine)
    };
    assert!(!has_room(&mut leases), "all of them run");
    leases.settle(10);
    assert!(has_room(&mut leases));
    for number in 0..10 {
        leases.lend(lease(REMEMBERED + number, 1_000));
    }
    assert_eq!(leases.entries.len(), REMEMBERED);
    assert!(leases.is_lent(lease(0, 0).address, machine(0), 10));
    let over = |number| Edit::Over(lease(number, 0).address, machine(number));
    let over: Vec<_> = (1..=10).map(over).collect();
    assert_eq!(leases.take_over(), over);
}
