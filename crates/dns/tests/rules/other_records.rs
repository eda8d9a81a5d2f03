//! Records beside addresses: TXT, SRV, CNAME and MX.

use hickory_proto::op::ResponseCode::{NXDomain, NoError};
use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::rdata::A;
use hickory_proto::rr::{RData, Record, RecordType};
use perilune_dns::{Decision, Question, View};
use perilune_model::dns::{self, DnsRecord, Entry, RecordData, RecordType as Of};
use perilune_model::{Draft, Name};

use crate::site::{
    SECONDARY, SERVED, ask, cluster, decide, interface, network, node, query, text, told, view_of,
};

fn entry(host: &str, of: Of, value: &str) -> Entry {
    let data = RecordData::read(of, value).unwrap();
    Entry::Record(DnsRecord { host: dns::host(host).unwrap(), data })
}

fn described() -> Draft {
    let mut draft = cluster();
    let entries = [
        entry("@", Of::Mx, "10 mail"),
        entry("@", Of::Mx, "20 mx.example.org"),
        entry("@", Of::Txt, "v=spf1 -all"),
        entry("home", Of::Cname, "portal"),
        entry("portal", Of::Cname, "node001.cluster."),
        entry("files", Of::Cname, "node001.ib.cluster"),
        entry("lost", Of::Cname, "nobody"),
        entry("away", Of::Cname, "www.example.org"),
        entry("_ldap._tcp", Of::Srv, "0 5 389 node001"),
        entry("_ldap._tcp", Of::Srv, "1 5 389 printer"),
        entry("node001", Of::Txt, "say \"no\" \\ twice"),
        entry("long", Of::Txt, &"x".repeat(600)),
    ];
    dns::save(&mut draft, "cluster", &entries).unwrap();
    draft
}

/// The records after the answers, without the extension.
fn beside(view: &View, name: &str, of: RecordType) -> Vec<String> {
    ask(view, name, of).additionals.iter().map(text).collect()
}

#[test]
fn what_is_described_of_a_name_is_answered() {
    let view = view_of(described());
    for (name, of, expected) in [
        ("cluster.", RecordType::MX, &["10 mail.cluster.", "20 mx.example.org."][..]),
        ("cluster.", RecordType::TXT, &["v=spf1 -all"]),
        (
            "_LDAP._tcp.cluster.",
            RecordType::SRV,
            &["0 5 389 node001.cluster.", "1 5 389 printer.cluster."],
        ),
        ("node001.cluster.", RecordType::TXT, &["say \"no\" \\ twice"]),
        // The name goes on as before.
        ("node001.cluster.", RecordType::AAAA, &["fd00:141::1"]),
        ("cluster.", RecordType::NS, &["controller.cluster."]),
    ] {
        assert_eq!(
            told(&view, name, of),
            (NoError, expected.iter().map(|own| (*own).to_owned()).collect()),
            "{name}"
        );
    }
    // A name that only others are below exists.
    assert_eq!(told(&view, "_tcp.cluster.", RecordType::SRV), (NoError, Vec::new()));
    let RData::TXT(data) = ask(&view, "long.cluster.", RecordType::TXT).answers[0].data.clone()
    else {
        panic!("no text");
    };
    let lengths: Vec<usize> = data.txt_data.iter().map(|piece| piece.len()).collect();
    assert_eq!(lengths, [255, 255, 90]);
}

#[test]
fn another_name_is_followed_as_far_as_it_is_ours() {
    let view = view_of(described());
    let at = |name: &str, of| told(&view, name, of);
    let texts = |all: &[&str]| all.iter().map(|own| (*own).to_owned()).collect::<Vec<_>>();
    assert_eq!(
        at("home.cluster.", RecordType::AAAA),
        (NoError, texts(&["portal.cluster.", "node001.cluster.", "fd00:141::1"]))
    );
    assert_eq!(
        at("files.cluster.", RecordType::A),
        (NoError, texts(&["node001.ib.cluster.", "10.149.0.1"])),
        "into another zone of ours"
    );
    assert_eq!(at("home.cluster.", RecordType::CNAME), (NoError, texts(&["portal.cluster."])));
    assert_eq!(at("home.cluster.", RecordType::ANY), (NoError, texts(&["portal.cluster."])));
    // RFC 6604: the code is that of the last name.
    let lost = ask(&view, "lost.cluster.", RecordType::A);
    assert_eq!((lost.response_code, lost.answers.len(), lost.authorities.len()), (NXDomain, 1, 1));
    let none = ask(&view, "portal.cluster.", RecordType::HINFO);
    assert_eq!((none.response_code, none.answers.len(), none.authorities.len()), (NoError, 1, 1));
}

#[test]
fn another_name_that_is_not_ours_is_asked_of_others_for_who_may_ask_them() {
    let view = view_of(described());
    let asked = query("Away.cluster.", RecordType::A);
    let Decision::Follow { names, servers } = decide(&view, SERVED, &asked) else {
        panic!("it is not followed");
    };
    assert_eq!((names.len(), servers), (1, vec![[192, 0, 2, 53].into()]));
    let question = Question::read(&asked.to_vec().unwrap()).unwrap().behind(names).unwrap();
    let sent = Message::from_vec(&question.to_server(9)).unwrap();
    assert_eq!(sent.queries[0].name.to_ascii(), "www.example.org.");
    let mut theirs = sent.clone().into_response();
    let data = RData::A(A::new(192, 0, 2, 1));
    theirs.add_answer(Record::from_rdata(sent.queries[0].name.clone(), 100, data));
    let theirs = theirs.to_vec().unwrap();
    assert!(question.is_answered_by(&theirs, 9));
    let answer = Message::from_vec(&question.to_client(&theirs, true)).unwrap();
    assert_eq!((answer.id, &answer.queries), (asked.id, &asked.queries));
    assert_eq!(
        answer.answers.iter().map(text).collect::<Vec<_>>(),
        ["www.example.org.", "192.0.2.1"]
    );
    assert_eq!(answer.answers[0].name.to_ascii(), "away.cluster.");
    let failed = Message::from_vec(&question.failed()).unwrap();
    assert_eq!((failed.response_code, &failed.queries), (ResponseCode::ServFail, &asked.queries));
    // A secondary server, and who does not want others to be asked, are told what is known here.
    let mut alone = asked.clone();
    alone.metadata.recursion_desired = false;
    for (client, message) in [(SECONDARY, &asked), (SERVED, &alone)] {
        let Decision::Answer(bytes) = decide(&view, client, message) else { panic!("no answer") };
        let told = Message::from_vec(&bytes).unwrap();
        assert_eq!(
            (told.response_code, told.answers.len(), told.authorities.len()),
            (NoError, 1, 0)
        );
    }
}

#[test]
fn the_addresses_of_servers_are_told_beside_them_where_there_is_room() {
    let mut draft = described();
    let view = view_of(described());
    assert_eq!(
        beside(&view, "_ldap._tcp.cluster.", RecordType::SRV),
        ["10.141.0.1", "10.141.1.1", "fd00:141::1", "10.141.210.1"]
    );
    assert_eq!(
        beside(&view, "cluster.", RecordType::MX),
        Vec::<String>::new(),
        "nobody knows them"
    );
    assert_eq!(beside(&view, "node001.cluster.", RecordType::A), Vec::<String>::new());
    // A server with more addresses than a datagram holds.
    let interfaces = (0..200).map(|number| {
        interface(&format!("eth{number}"), "cluster", &[&format!("10.141.9.{number}")])
    });
    draft.put(node("big", interfaces.collect())).unwrap();
    dns::save(&mut draft, "cluster", &[entry("@", Of::Mx, "10 big")]).unwrap();
    let message = ask(&view_of(draft), "cluster.", RecordType::MX);
    assert!(!message.truncation && message.additionals.is_empty());
    assert_eq!(message.answers.len(), 1);
}

#[test]
fn what_zones_cannot_have_is_refused() {
    let other = "another name (CNAME)";
    for (entries, expected) in [
        (vec![entry("@", Of::Cname, "node001")], "the name of a network"),
        (vec![entry("node001", Of::Cname, "printer")], "the name of a node"),
        (vec![entry("controller", Of::Cname, "printer")], "the name of a controller"),
        (vec![entry("switch01", Of::Cname, "printer")], "the name of a switch"),
        (vec![entry("printer", Of::Cname, "node001")], "has an address as well"),
        (vec![entry("x", Of::Cname, "a"), entry("x", Of::Cname, "b")], other),
        (vec![entry("x", Of::Cname, "a"), entry("x", Of::Txt, "b")], other),
        (vec![entry("x", Of::Txt, "b"), entry("x", Of::Txt, "b")], "is there twice"),
        (vec![entry("x", Of::Cname, "x")], "in a circle"),
        (vec![entry("x", Of::Cname, "y"), entry("y", Of::Cname, "x.cluster.")], "in a circle"),
        (vec![entry("x", Of::Mx, "1 home")], "home.cluster is a CNAME"),
        (vec![entry("ldap", Of::Srv, "0 5 389 node001")], "_ldap._tcp"),
        (vec![entry("_ldap", Of::Srv, "0 5 389 node001")], "_ldap._tcp"),
        (vec![entry("a_b", Of::Mx, "1 node001")], "no underscore"),
        (vec![entry(&["a".repeat(61).as_str(); 4].join("."), Of::Txt, "x")], "253 characters"),
        ((0..21).map(|n| entry("x", Of::Txt, &n.to_string())).collect(), "more than 20"),
    ] {
        let mut draft = described();
        let error = dns::save(&mut draft, "cluster", &entries).unwrap_err().to_string();
        assert!(error.contains(expected), "{entries:?}: {error}");
    }
    // Between networks as well.
    let mut draft = described();
    dns::save(&mut draft, "bmc", &[entry("x", Of::Cname, "y.cluster")]).unwrap();
    let error = dns::save(&mut draft, "cluster", &[entry("y", Of::Cname, "x.bmc")]).unwrap_err();
    assert!(error.to_string().contains("in a circle"), "{error}");
}

#[test]
fn what_is_given_of_a_type_is_all_of_it_and_the_rest_stays() {
    let mut draft = described();
    dns::save(&mut draft, "cluster", &[entry("@", Of::Mx, "5 new")]).unwrap();
    dns::save(&mut draft, "cluster", &[Entry::None(Name::trusted("home"), Of::Cname)]).unwrap();
    let view = view_of(draft);
    assert_eq!(told(&view, "cluster.", RecordType::MX).1, ["5 new.cluster."]);
    assert_eq!(told(&view, "cluster.", RecordType::TXT).1, ["v=spf1 -all"]);
    assert_eq!(told(&view, "home.cluster.", RecordType::A).0, NXDomain);
}

#[test]
fn whoever_comes_to_have_a_name_hides_what_it_was_another_name_of() {
    let mut draft = described();
    draft.put(node("home", vec![interface("BOOTIF", "cluster", &["10.141.0.77"])])).unwrap();
    let view = view_of(draft);
    assert_eq!(
        told(&view, "home.cluster.", RecordType::A),
        (NoError, vec!["10.141.0.77".to_owned()])
    );
    assert_eq!(told(&view, "home.cluster.", RecordType::CNAME), (NoError, Vec::new()));
    // A domain that begins at a name is no other name either.
    let mut draft = described();
    draft.put(network("home.cluster", "10.9.0.0/16", "")).unwrap();
    let view = view_of(draft);
    assert_eq!(told(&view, "home.cluster.", RecordType::CNAME), (NoError, Vec::new()));
    assert_eq!(told(&view, "home.cluster.", RecordType::NS).1, ["controller.home.cluster."]);
}

#[test]
fn a_circle_that_came_later_ends() {
    let mut draft = described();
    draft.put(network("other", "10.9.0.0/16", "")).unwrap();
    dns::save(&mut draft, "other", &[entry("x", Of::Cname, "y.third")]).unwrap();
    draft.put(network("fourth", "10.8.0.0/16", "")).unwrap();
    dns::save(&mut draft, "fourth", &[entry("y", Of::Cname, "x.other")]).unwrap();
    let renamed = network("third", "10.8.0.0/16", "");
    // Whether renaming is refused or not, answers end.
    draft.rename(renamed, "fourth").ok();
    let message = ask(&view_of(draft), "x.other.", RecordType::A);
    assert!(message.answers.len() < 20);
}
