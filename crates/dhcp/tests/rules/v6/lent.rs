//! Reserved and lent addresses, from the first message to the last.

use dhcproto::v6::{DhcpOption, IAPD, IATA, MessageType, OptionCode, Status};

use super::*;

const DAY: u64 = 86_400_000;

#[test]
fn a_node_gets_its_address_at_once_and_for_long() {
    let mut site = Site::new();
    let expected = vec![(ip("fd00:141::1"), 28_800)];
    let solicit = Asker::new(1, MessageType::Solicit);
    let offer = site.answer(&solicit).unwrap();
    assert_eq!((offer.msg_type(), addresses(&offer)), (MessageType::Advertise, expected.clone()));
    assert_eq!(offer.opts().get(OptionCode::Preference), Some(&DhcpOption::Preference(255)));
    assert_eq!(offer.opts().get(OptionCode::ServerId), Some(&DhcpOption::ServerId(DUID.to_vec())));
    assert_eq!(
        offer.opts().get(OptionCode::ClientId),
        solicit.message.opts().get(OptionCode::ClientId)
    );
    for kind in [MessageType::Request, MessageType::Renew, MessageType::Rebind] {
        let asker = Asker::new(1, kind).wants(&["fd00:141::1"]);
        assert_eq!(site.outcome(&asker), Some((MessageType::Reply, expected.clone())), "{kind:?}");
    }
    let rapid = Asker::new(1, MessageType::Solicit).with(DhcpOption::RapidCommit);
    let reply = site.answer(&rapid).unwrap();
    assert_eq!((reply.msg_type(), addresses(&reply)), (MessageType::Reply, expected));
    assert!(reply.opts().get(OptionCode::RapidCommit).is_some());
    // An address that it may not have any longer ends.
    let moved = Asker::new(1, MessageType::Renew).wants(&["fd00:141::9"]);
    let ended = vec![(ip("fd00:141::1"), 28_800), (ip("fd00:141::9"), 0)];
    assert_eq!(site.outcome(&moved), Some((MessageType::Reply, ended)));
    assert_eq!(site.leases.lent(site.now), 0, "what is reserved is not lent");
}

#[test]
fn strangers_share_the_range_and_keep_what_they_had() {
    let mut site = Site::new();
    let lent: Vec<_> = (10..13)
        .map(|last| {
            let (kind, offered) = site.outcome(&Asker::new(last, MessageType::Solicit)).unwrap();
            assert_eq!(kind, MessageType::Advertise);
            let wanted = offered[0].0.to_string();
            let request = Asker::new(last, MessageType::Request).wants(&[&wanted]);
            let (kind, given) = site.outcome(&request).unwrap();
            assert_eq!((kind, &given), (MessageType::Reply, &vec![(offered[0].0, 900)]));
            given[0].0
        })
        .collect();
    let mut all = lent;
    all.dedup();
    assert_eq!(all.len(), 3);
    let expected = ["fd00:141::100", "fd00:141::101", "fd00:141::102", "fd00:141::103"].map(ip);
    assert!(all.iter().all(|own| expected.contains(own)), "{all:?}");
}

#[test]
fn a_lease_is_told_again_as_it_is_until_a_quarter_of_its_time_is_over() {
    let mut site = Site::new();
    let begun = site.now;
    let mut given = |after: u64| {
        site.now = begun + after * 1000;
        let rapid = Asker::new(10, MessageType::Solicit).with(DhcpOption::RapidCommit);
        let (kind, given) = site.outcome(&rapid).unwrap();
        assert_eq!(kind, MessageType::Reply);
        given[0].1
    };
    assert_eq!([0, 60, 225, 226, 230].map(&mut given), [900, 840, 675, 900, 896]);
}

#[test]
fn strangers_leave_what_nodes_need_and_nodes_are_told_when_nothing_is_left() {
    let mut site = Site::new();
    let join = |site: &mut Site, last: u8| {
        let rapid = Asker::new(last, MessageType::Solicit).with(DhcpOption::RapidCommit);
        site.outcome(&rapid).map(|(_, given)| given[0].0)
    };
    let given: Vec<_> = (10..20).filter_map(|last| join(&mut site, last)).collect();
    assert_eq!(given.len(), 3, "the fourth is for node002");
    assert!(join(&mut site, 2).is_some());
    let Decision::Unserved(reason) = site.ask(&Asker::new(30, MessageType::Solicit)) else {
        panic!("it is served");
    };
    assert!(reason.contains("fd00:141::100 to fd00:141::103"), "{reason}");
    // An old lease is another's when somebody needs it, and its machine's own until then.
    site.now += DAY;
    assert_eq!(join(&mut site, 10), Some(given[0]));
    assert!(join(&mut site, 30).is_some());
}

#[test]
fn a_lease_is_extended_released_and_declined() {
    let mut site = Site::new();
    let rapid = Asker::new(10, MessageType::Solicit).with(DhcpOption::RapidCommit);
    let (_, given) = site.outcome(&rapid).unwrap();
    let own = given[0].0.to_string();
    site.now += 600_000;
    for kind in [MessageType::Renew, MessageType::Rebind] {
        let again = Asker::new(10, kind).wants(&[&own]);
        assert_eq!(site.outcome(&again), Some((MessageType::Reply, given.clone())));
    }
    // Another machine cannot give it back, nor have it by renewing it.
    let other = Asker::new(11, MessageType::Release).wants(&[&own]);
    assert_eq!(status(&site.answer(&other).unwrap()), Some(Status::Success));
    assert_eq!(site.leases.lent(site.now), 1);
    let thief = Asker::new(11, MessageType::Renew).wants(&[&own]);
    let (_, others) = site.outcome(&thief).unwrap();
    assert!(others.contains(&(given[0].0, 0)) && others[0].0 != given[0].0, "{others:?}");
    let release = Asker::new(10, MessageType::Release).wants(&[&own]);
    assert_eq!(status(&site.answer(&release).unwrap()), Some(Status::Success));
    assert!(!site.leases.is_lent(given[0].0.into(), mac(10), site.now));
    // One that is in use by another rests.
    let (_, next) = site.outcome(&rapid).unwrap();
    let decline = Asker::new(10, MessageType::Decline).wants(&[&next[0].0.to_string()]);
    assert_eq!(status(&site.answer(&decline).unwrap()), Some(Status::Success));
    let (_, after) = site.outcome(&rapid).unwrap();
    assert_ne!(after[0].0, next[0].0);
}

#[test]
fn a_machine_learns_whether_its_address_is_still_of_its_network() {
    let mut site = Site::new();
    let mut told = |address: &str| {
        let confirm = Asker::new(10, MessageType::Confirm).wants(&[address]);
        status(&site.answer(&confirm).unwrap())
    };
    assert_eq!(told("fd00:141::100"), Some(Status::Success));
    assert_eq!(told("fd00:150::100"), Some(Status::NotOnLink));
    assert!(site.answer(&Asker::new(10, MessageType::Confirm)).is_none());
}

#[test]
fn what_is_anothers_is_left_to_that_one() {
    let mut site = Site::new();
    let other = DhcpOption::ServerId(vec![0, 3, 0, 1, 9, 9, 9, 9, 9, 9]);
    for kind in [
        MessageType::Request,
        MessageType::Renew,
        MessageType::Release,
        MessageType::Decline,
        MessageType::InformationRequest,
    ] {
        let asker = Asker::new(1, kind).without(OptionCode::ServerId).with(other.clone());
        assert!(site.answer(&asker).is_none(), "{kind:?}");
    }
    // A server is named where none may be; the machine does not say who it is.
    assert!(site.answer(&Asker::new(1, MessageType::Solicit).with(other)).is_none());
    let nobody = Asker::new(1, MessageType::Solicit).without(OptionCode::ClientId);
    assert!(site.answer(&nobody).is_none());
    let foreign = Asker::new(10, MessageType::Rebind).wants(&["fd00:141::5"]);
    assert!(site.answer(&foreign).is_none(), "it may be another server's");
    let renewed = site.answer(&Asker::new(10, MessageType::Renew).wants(&["fd00:141::5"])).unwrap();
    assert_eq!(status(&renewed), Some(Status::NoBinding));
}

#[test]
fn what_is_not_given_is_told() {
    let mut site = Site::new();
    let prefix = IAPD { id: 3, t1: 0, t2: 0, opts: DhcpOptions::new() };
    let temporary = IATA { id: 4, opts: DhcpOptions::new() };
    let second = IANA { id: 8, t1: 0, t2: 0, opts: DhcpOptions::new() };
    let asker = Asker::new(1, MessageType::Solicit)
        .with(DhcpOption::IAPD(prefix))
        .with(DhcpOption::IATA(temporary))
        .with(DhcpOption::IANA(second));
    let offer = site.answer(&asker).unwrap();
    assert_eq!(addresses(&offer).len(), 1);
    let codes = offer.opts().iter().filter_map(|option| match option {
        DhcpOption::IAPD(own) => own.opts.get(OptionCode::StatusCode),
        DhcpOption::IATA(own) => own.opts.get(OptionCode::StatusCode),
        DhcpOption::IANA(own) => own.opts.get(OptionCode::StatusCode),
        _ => None,
    });
    let mut codes: Vec<String> = codes.map(|code| format!("{code:?}")).collect();
    codes.sort();
    assert_eq!(codes.len(), 3, "{codes:?}");
    assert!(codes[0].contains("NoAddrsAvail") && codes[2].contains("NoPrefixAvail"), "{codes:?}");
}

#[test]
fn where_nothing_is_served_nobody_hears_anything() {
    let cluster = draft().finish().0;
    let network = Network { dhcp: false, ..Network::clone(&cluster.networks()["cluster"]) };
    let mut draft = Draft::new(&cluster);
    draft.put(network).unwrap();
    let mut site = Site { cluster: draft.finish().0, ..Site::new() };
    assert!(site.answer(&Asker::new(1, MessageType::Solicit)).is_none());
    assert!(site.answer(&Asker::new(10, MessageType::InformationRequest)).is_none());
}
