//! Names of those who hold an address for a time.

use hickory_proto::op::ResponseCode::{NXDomain, NoError};
use hickory_proto::rr::RecordType;
use perilune_dns::{Lent, LentNames, View};
use perilune_model::MacAddress;
use perilune_model::interface::Interface;

use crate::site::{NOW, addresses_of, cluster, interface, name_of, node, told, view_with};

fn mac(last: u8) -> MacAddress {
    MacAddress::from_bytes(&[2, 0, 0, 0, 1, last]).unwrap()
}

/// Strangers and nodes that hold addresses of 10.141.50.0/24: the last octet of each, what it says, and when it ends.
fn view(lent: &[(u8, Option<&str>, u64)]) -> View {
    let mut all = LentNames::default();
    for (last, name, until) in lent {
        let name = name.map(str::to_owned);
        let lent = Lent { mac: mac(*last), until: *until, name };
        all.put([10, 141, 50, *last].into(), lent);
    }
    let mut draft = cluster();
    let by_dhcp = Interface { macaddress: Some(mac(7)), ..interface("BOOTIF", "cluster", &[]) };
    draft.put(node("node007", vec![by_dhcp])).unwrap();
    view_with(draft, all)
}

#[test]
fn a_stranger_has_the_name_that_it_says_while_its_lease_lasts() {
    let view = view(&[(1, Some("laptop"), NOW + 1), (2, Some("gone"), NOW), (3, None, NOW + 1)]);
    assert_eq!(
        addresses_of(&view, "laptop.cluster."),
        ["10.141.50.1".parse::<std::net::IpAddr>().unwrap()]
    );
    assert_eq!(name_of(&view, [10, 141, 50, 1].into()).as_deref(), Some("laptop.cluster"));
    assert_eq!(told(&view, "laptop.ib.cluster.", RecordType::A).0, NXDomain);
    assert_eq!(told(&view, "gone.cluster.", RecordType::A).0, NXDomain);
    for last in [2, 3] {
        assert_eq!(name_of(&view, [10, 141, 50, last].into()), None);
    }
}

#[test]
fn a_node_without_an_address_of_its_own_is_where_its_lease_is_whatever_it_says() {
    let view = view(&[(7, Some("laptop"), NOW + 1)]);
    assert_eq!(
        told(&view, "node007.cluster.", RecordType::A),
        (NoError, vec!["10.141.50.7".into()])
    );
    assert_eq!(name_of(&view, [10, 141, 50, 7].into()).as_deref(), Some("node007.cluster"));
    assert_eq!(told(&view, "laptop.cluster.", RecordType::A).0, NXDomain);
}

#[test]
fn a_stranger_never_has_a_name_that_is_described_nor_adds_to_one() {
    // A node, one without an address, a switch, a DNS host, the controller, a domain below, and a name with others below it.
    let taken = ["node001", "node003", "switch01", "printer", "controller", "ib", "rack7"];
    let lent: Vec<_> =
        (20_u8..).zip(taken).map(|(last, name)| (last, Some(name), NOW + 1)).collect();
    let (with, without) = (view(&lent), view(&[]));
    for (last, name, _) in &lent {
        let name = name.unwrap();
        for domain in ["cluster.", "bmc.", "ib.cluster."] {
            for kind in [RecordType::A, RecordType::AAAA, RecordType::SOA] {
                let name = format!("{name}.{domain}");
                assert_eq!(told(&with, &name, kind), told(&without, &name, kind), "{name}");
            }
        }
        assert_eq!(name_of(&with, [10, 141, 50, *last].into()), None, "{name}");
    }
}

#[test]
fn who_comes_later_does_not_take_a_name_away() {
    let view = view(&[(9, Some("laptop"), NOW + 1), (8, Some("laptop"), NOW + 5)]);
    assert_eq!(told(&view, "laptop.cluster.", RecordType::A).1, ["10.141.50.9"]);
    assert_eq!(name_of(&view, [10, 141, 50, 8].into()), None);
}

#[test]
fn secondaries_are_given_what_is_described_alone() {
    let view = view(&[(1, Some("laptop"), NOW + 1), (7, None, NOW + 1)]);
    let records = |zone: &str| {
        let zones = view.zones();
        let zone = zones.iter().find(|own| own.name() == zone).unwrap().clone();
        view.records(&zone)
    };
    assert!(!records("cluster").iter().any(|own| own.name.starts_with("laptop")));
    assert!(!view.zones().iter().any(|zone| zone.name() == "50.141.10.in-addr.arpa"));
}
