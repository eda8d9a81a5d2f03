//! Whole zones, for secondary servers alone, and how soon they learn of changes.

use perilune_testkit::process::wait_for;

use super::bind::Bind;
use super::{client, dig, dig_at, site};
use crate::site::{CONTROLLER, limit};
use crate::tools::{DIG, NAMED};

const KEY: &str = "key \"transfer.cluster\" {\n\talgorithm hmac-sha256;\n\tsecret \"c2VjcmV0IG9mIGJvdGggc2lkZXM=\";\n};\n";
const KEY_WORD: &str = "hmac-sha256:transfer.cluster:c2VjcmV0IG9mIGJvdGggc2lkZXM=";
const WRONG_KEY: &str = "hmac-sha256:transfer.cluster:d3Jvbmcgc2VjcmV0";
const SECONDARY: &str = "52:54:00:00:00:82";

#[test]
fn whole_zones_are_given_to_secondaries_alone_and_with_keys_only_to_who_signs() {
    let Some(dig_program) = DIG.find() else { return };
    let mut site = site();
    let machine = client(&site);
    let secondary = site.machine(SECONDARY);
    secondary.take("10.141.0.3/16");
    let failed = |text: &str| text.contains("Transfer failed");
    let refused = dig(&secondary, &dig_program, &["cluster", "AXFR"]);
    assert!(failed(&refused), "{refused}");
    site.configure("[DNS]\nSECONDARIES = 10.141.0.3\n");
    site.restart();
    let refused = dig(&machine, &dig_program, &["cluster", "AXFR"]);
    assert!(failed(&refused), "{refused}");
    let given = dig(&secondary, &dig_program, &["cluster", "AXFR"]);
    for line in ["node001.cluster.", "printer6.cluster.", "XFR size"] {
        assert!(given.contains(line), "{line}: {given}");
    }
    assert_eq!(given.matches("SOA").count(), 2, "{given}");
    // With a key: address and key; then the key alone, from anywhere.
    site.write("tsig.key", KEY);
    site.configure("[DNS]\nSECONDARIES = 10.141.0.3\nTSIG_KEY_FILE = tsig.key\n");
    site.restart();
    let unsigned = dig(&secondary, &dig_program, &["cluster", "AXFR"]);
    assert!(failed(&unsigned), "{unsigned}");
    let wrong = dig(&secondary, &dig_program, &["-y", WRONG_KEY, "cluster", "AXFR"]);
    assert!(failed(&wrong) || wrong.contains("BADSIG"), "{wrong}");
    let elsewhere = dig(&machine, &dig_program, &["-y", KEY_WORD, "cluster", "AXFR"]);
    assert!(failed(&elsewhere), "{elsewhere}");
    let signed = dig(&secondary, &dig_program, &["-y", KEY_WORD, "cluster", "AXFR"]);
    let is_whole = signed.contains("node001.cluster.") && signed.contains("TSIG");
    assert!(is_whole && !signed.contains("verify failure"), "{signed}");
    site.configure("[DNS]\nSECONDARIES = key\nTSIG_KEY_FILE = tsig.key\n");
    site.restart();
    let signed = dig(&machine, &dig_program, &["-y", KEY_WORD, "cluster", "AXFR"]);
    assert!(signed.contains("node001.cluster."), "{signed}");
    assert!(failed(&dig(&machine, &dig_program, &["cluster", "AXFR"])));
}

#[test]
fn bind_as_secondary_takes_zones_hears_of_changes_and_takes_those() {
    let (Some(dig_program), Some(named)) = (DIG.find(), NAMED.find()) else { return };
    let mut site = site();
    let secondary = site.machine(SECONDARY);
    secondary.take("10.141.0.3/16");
    site.write("tsig.key", KEY);
    site.configure("[DNS]\nSECONDARIES = 10.141.0.3\nTSIG_KEY_FILE = tsig.key\n");
    site.restart();
    let zone = |name: &str| {
        format!(
            "zone \"{name}\" {{ type secondary; primaries {{ {CONTROLLER} key transfer.cluster; }}; file \"DIR/{}.zone\"; \
             masterfile-format text; }};\n",
            name.replace('/', "_")
        )
    };
    let zones = ["cluster", "small", "0.141.10.in-addr.arpa", "128-255.0.150.10.in-addr.arpa"];
    let zones: String = zones.into_iter().map(zone).collect();
    let bind = Bind::start(&secondary, &named, "recursion no;", &format!("{KEY}{zones}"));
    let at_bind = |words: &[&str]| {
        dig_at(&secondary, &dig_program, "10.141.0.3", &[words, &["+short"]].concat())
    };
    let has = |words: &[&str], expected: &str| {
        let is_there = || (at_bind(words).trim() == expected).then_some(());
        let found = wait_for(&limit(), is_there).unwrap();
        assert!(found.is_some(), "{words:?}: {}\n{}", at_bind(words), bind.log());
    };
    has(&["node001.cluster"], "10.141.0.1");
    has(&["-x", "10.141.0.1"], "node001.cluster.");
    has(&["130.128-255.0.150.10.in-addr.arpa", "PTR"], "node001.small.");
    has(&["www.cluster", "A"], "node001.cluster.\n10.141.0.1");
    has(&["_ldap._tcp.cluster", "SRV"], "0 5 389 node001.cluster.");
    has(&["node001.cluster", "TXT"], super::SHOWN_TEXT);
    // A refresh by itself would be 15 minutes away.
    site.cli(&["dns", "set", "cluster", "scanner", "10.141.210.9"]);
    has(&["scanner.cluster"], "10.141.210.9");
    site.cli(&["dns", "remove", "cluster", "scanner", "--yes"]);
    has(&["scanner.cluster"], "");
    assert!(bind.log().contains("received notify for zone 'cluster'"), "{}", bind.log());
    let status = site.refused_or_said(&["status"]);
    assert!(!status.contains("secondary DNS server"), "{status}");
}
