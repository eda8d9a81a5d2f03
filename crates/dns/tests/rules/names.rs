//! Which names there are, and which there are not.

use hickory_proto::op::ResponseCode::{NXDomain, NoError, Refused};
use hickory_proto::rr::{RData, RecordType};
use perilune_dns::{Decision, Place, Zone};
use perilune_model::Name;

use crate::site::{self, SERVED, ask, cluster, decide, hosts, network, query, told, view_of};

#[test]
fn every_kind_of_device_is_found_in_its_network() {
    let view = view_of(cluster());
    let addresses = |name: &str, kind| told(&view, name, kind).1;
    for (name, ipv4, ipv6) in [
        ("controller.cluster.", &["10.141.255.254"][..], &["fd00:141::fe"][..]),
        ("controller.ib.cluster.", &["10.141.255.254"], &["fd00:141::fe"]),
        ("node001.cluster.", &["10.141.0.1", "10.141.1.1"], &["fd00:141::1"]),
        ("node001.ib.cluster.", &["10.149.0.1"], &[]),
        ("node001.bmc.", &["10.148.0.129"], &[]),
        ("node002.rack7.cluster.", &["10.141.0.2"], &[]),
        ("switch01.cluster.", &["10.141.200.1"], &[]),
        ("pdu01.cluster.", &["10.141.200.2"], &[]),
        ("printer.cluster.", &["10.141.210.1"], &[]),
        ("outside.cluster.", &["192.0.2.7"], &[]),
    ] {
        assert_eq!(addresses(name, RecordType::A), ipv4, "{name}");
        assert_eq!(addresses(name, RecordType::AAAA), ipv6, "{name}");
    }
}

#[test]
fn a_name_that_exists_has_no_data_and_one_that_does_not_is_not_there() {
    let view = view_of(cluster());
    for (name, kind, code) in [
        ("node001.cluster.", RecordType::TXT, NoError),
        ("node003.cluster.", RecordType::A, NoError),
        ("cluster.", RecordType::A, NoError),
        // Nothing is called so, and something below it is.
        ("rack7.cluster.", RecordType::A, NoError),
        ("node003.ib.cluster.", RecordType::A, NXDomain),
        ("node002.cluster.", RecordType::A, NXDomain),
        ("*.cluster.", RecordType::A, NXDomain),
        ("a.node001.cluster.", RecordType::A, NXDomain),
        ("node001|cluster.cluster.", RecordType::A, NXDomain),
        ("bücher.cluster.", RecordType::A, NXDomain),
        ("9.0.141.10.in-addr.arpa.", RecordType::PTR, NXDomain),
        ("x.1.0.141.10.in-addr.arpa.", RecordType::PTR, NXDomain),
        ("0.141.10.in-addr.arpa.", RecordType::PTR, NoError),
    ] {
        let message = ask(&view, name, kind);
        assert_eq!((message.response_code, message.answers.len()), (code, 0), "{name}");
        assert!(message.authoritative, "{name}");
        let [soa] = message.authorities.as_slice() else { panic!("{name}: {message:?}") };
        let RData::SOA(data) = &soa.data else { panic!("{name}: {soa:?}") };
        assert_eq!((data.serial, soa.ttl, data.minimum), (42, 60, 60), "{name}");
        assert!(soa.name.zone_of(&message.queries[0].name), "{name}: {}", soa.name);
    }
}

#[test]
fn the_case_of_a_question_does_not_matter_and_comes_back() {
    let view = view_of(cluster());
    let message = ask(&view, "NoDe001.CLUSTER.", RecordType::AAAA);
    assert_eq!(message.answers[0].name.to_ascii(), "NoDe001.CLUSTER.");
    assert_eq!(site::text(&message.answers[0]), "fd00:141::1");
}

#[test]
fn zones_begin_with_the_revision_and_the_controller() {
    let view = view_of(cluster());
    for zone in [
        "cluster.",
        "ib.cluster.",
        "0.141.10.in-addr.arpa.",
        "0.0.0.0.0.0.0.0.1.4.1.0.0.0.d.f.ip6.arpa.",
    ] {
        let message = ask(&view, zone, RecordType::SOA);
        let RData::SOA(soa) =
            &message.authorities.first().or(message.answers.first()).unwrap().data
        else {
            panic!("{zone}: {message:?}")
        };
        assert_eq!(soa.serial, 42);
        let domain = if zone == "ib.cluster." { "ib.cluster." } else { "cluster." };
        assert_eq!(soa.mname.to_ascii(), format!("controller.{domain}"));
        assert_eq!(soa.rname.to_ascii(), format!("root.controller.{domain}"));
    }
    assert_eq!(told(&view, "cluster.", RecordType::NS).1, ["controller.cluster."]);
}

#[test]
fn ipv6_zones_are_cut_at_the_next_nibble_of_the_network() {
    let view = view_of(cluster());
    let place = |name: &str| view.place(name);
    // fd00:141::/61 has eight zones of 16 nibbles.
    let last = "7.0.0.0.0.0.0.0.1.4.1.0.0.0.d.f.ip6.arpa";
    assert_eq!(place(last), Place::Ours(Zone::V6("fd00:141:0:7::/64".parse().unwrap())));
    assert_eq!(place(&last.replacen('7', "8", 1)), Place::Elsewhere);
    assert_eq!(place("0.0.0.0.0.0.0.1.4.1.0.0.0.d.f.ip6.arpa"), Place::Elsewhere);
    // Between the zone and its addresses, names exist where something is below them.
    let within = "0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.1.4.1.0.0.0.d.f.ip6.arpa.";
    assert_eq!(told(&view, within, RecordType::PTR).0, NoError);
    assert_eq!(told(&view, &within.replacen('0', "1", 1), RecordType::PTR).0, NXDomain);
}

#[test]
fn small_networks_have_classless_zones_in_both_spellings_and_plain_names() {
    let view = view_of(cluster());
    let expected = (NoError, vec!["node001.bmc.".to_owned()]);
    for name in [
        "129.128-255.0.148.10.in-addr.arpa.",
        "129.128/25.0.148.10.in-addr.arpa.",
        "129.0.148.10.in-addr.arpa.",
    ] {
        assert_eq!(told(&view, name, RecordType::PTR), expected, "{name}");
    }
    let soa = ask(&view, "128-255.0.148.10.in-addr.arpa.", RecordType::SOA);
    assert_eq!(soa.answers.len(), 1);
    // Not of this zone.
    let other = told(&view, "1.128-255.0.148.10.in-addr.arpa.", RecordType::PTR);
    assert_eq!(other.0, NXDomain);
    // Whoever has the other half may know.
    let half = query("1.0.148.10.in-addr.arpa.", RecordType::PTR);
    assert!(matches!(decide(&view, SERVED, &half), Decision::Forward(_)));
}

#[test]
fn a_network_whose_names_are_somebody_elses_is_asked_of_its_own_servers() {
    let mut draft = cluster();
    let mut site = network("site.example", "10.20.0.0/16", "fd20::/64");
    site.non_authoritative = true;
    site.nameserver_ip = Some("10.20.0.2, 10.20.0.3".to_owned().into());
    draft.put(site).unwrap();
    let mut silent = network("silent", "10.21.0.0/16", "");
    silent.non_authoritative = true;
    draft.put(silent).unwrap();
    let view = view_of(draft);
    let asked = |name: &str| match decide(&view, SERVED, &query(name, RecordType::A)) {
        Decision::Forward(servers) => servers.iter().map(ToString::to_string).collect(),
        other => vec![format!("{other:?}")],
    };
    for name in ["www.site.example.", "7.0.20.10.in-addr.arpa.", "0.20.10.in-addr.arpa."] {
        assert_eq!(asked(name), ["10.20.0.2", "10.20.0.3"], "{name}");
    }
    assert_eq!(asked("www.silent."), ["192.0.2.53"]);
    assert_eq!(asked("example.org."), ["192.0.2.53"]);
}

#[test]
fn this_host_is_never_asked_itself() {
    let mut draft = cluster();
    let mut settings = draft.settings().as_ref().clone();
    settings.forwardserver_ip =
        ["10.141.255.254", "127.0.0.53", "0.0.0.0"].map(|own| own.parse().unwrap()).to_vec();
    draft.put(settings).unwrap();
    let mut cluster = draft.finish().0;
    cluster.set_own_addresses([([10, 141, 255, 254].into(), "eth0".to_owned())]);
    let view = perilune_dns::View::new(
        std::sync::Arc::new(cluster),
        perilune_dns::LentNames::default(),
        None,
    );
    assert_eq!(told(&view, "example.org.", RecordType::A).0, Refused);
}

#[test]
fn a_view_shares_with_the_one_before_and_sees_every_change() {
    let before = view_of(cluster());
    let mut draft = cluster();
    draft.put(hosts("cluster", &[("scanner.rack9", "10.141.210.2")])).unwrap();
    let mut later = draft.finish().0;
    later.set_revision(43);
    let view = perilune_dns::View::new(
        std::sync::Arc::new(later),
        perilune_dns::LentNames::default(),
        Some(&before),
    );
    assert_eq!(told(&view, "scanner.rack9.cluster.", RecordType::A).1, ["10.141.210.2"]);
    assert_eq!(told(&view, "rack9.cluster.", RecordType::A).0, NoError);
    assert_eq!(told(&view, "printer.cluster.", RecordType::A).0, NXDomain);
    assert_eq!(view.serial(), 43);
    let same = perilune_dns::View::new(
        std::sync::Arc::clone(before.cluster()),
        perilune_dns::LentNames::default(),
        Some(&before),
    );
    assert_eq!(told(&same, "rack7.cluster.", RecordType::A).0, NoError);
}

#[test]
fn zones_are_those_of_networks_and_of_addresses_that_somebody_has() {
    let view = view_of(cluster());
    let names: Vec<String> = view.zones().iter().map(Zone::name).collect();
    let expected = [
        "bmc",
        "cluster",
        "ib.cluster",
        "0.141.10.in-addr.arpa",
        "1.141.10.in-addr.arpa",
        "200.141.10.in-addr.arpa",
        "210.141.10.in-addr.arpa",
        "255.141.10.in-addr.arpa",
        "0.148.10.in-addr.arpa",
        "0.149.10.in-addr.arpa",
        "128-255.0.148.10.in-addr.arpa",
        "0.0.0.0.0.0.0.0.1.4.1.0.0.0.d.f.ip6.arpa",
    ];
    assert_eq!(names, expected);
    assert!(view.zones().contains(&Zone::Forward(Name::trusted("bmc"))));
}
