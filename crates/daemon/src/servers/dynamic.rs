//! Zones that the site's DHCP server changes as well: BIND is told by dynamic update (RFC 2136), signed (RFC 8945), with `nsupdate`.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use perilune_render::DhcpKeys;

use super::command;

/// Name, type and value of each record.
pub(super) type Records = BTreeSet<(String, String, String)>;

/// Records in one message: those of a message take effect together, and it has 64 KiB at most.
const TOGETHER: usize = 400;
const TTL: u32 = 3600;

/// Tells BIND on this host what is new and what is no more in a zone.
pub(super) async fn tell(
    zone: &str,
    before: &Records,
    now: &Records,
    keys: &DhcpKeys,
) -> Result<(), String> {
    let words = words(zone, before, now, keys);
    let program = ["nsupdate".to_owned(), "-v".to_owned()];
    command::feed(&program, &words).await
}

/// What `nsupdate` reads. The key is among it: arguments of a program are seen by everybody.
fn words(zone: &str, before: &Records, now: &Records, keys: &DhcpKeys) -> String {
    let key = match (&keys.tsig, &keys.omapi) {
        (Some((secret, algorithm)), _) => format!("{algorithm}:tsig_key {secret}"),
        (None, Some(secret)) => format!("hmac-md5:omapi_key {secret}"),
        (None, None) => return String::new(),
    };
    let mut text = format!("server 127.0.0.1\nkey {key}\nzone {zone}.\n");
    let gone = before
        .difference(now)
        .map(|(name, kind, value)| format!("update delete {name} {kind} {value}\n"));
    let new = now
        .difference(before)
        .map(|(name, kind, value)| format!("update add {name} {TTL} {kind} {value}\n"));
    for (number, line) in gone.chain(new).enumerate() {
        if number > 0 && number % TOGETHER == 0 {
            text.push_str("send\n");
        }
        text.push_str(&line);
    }
    writeln!(text, "send").expect("a text takes all");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn records(all: &[(&str, &str)]) -> Records {
        let record = |(name, value): &(&str, &str)| {
            ((*name).to_owned(), "A".to_owned(), (*value).to_owned())
        };
        all.iter().map(record).collect()
    }

    #[test]
    fn only_what_differs_is_told_with_the_key_of_the_site() {
        let before = records(&[("a.cluster.", "10.0.0.1"), ("b.cluster.", "10.0.0.2")]);
        let now = records(&[("a.cluster.", "10.0.0.1"), ("c.cluster.", "10.0.0.3")]);
        let keys = DhcpKeys { omapi: Some("aGVs".to_owned()), tsig: None };
        let told = words("cluster", &before, &now, &keys);
        assert_eq!(
            told,
            "server 127.0.0.1\nkey hmac-md5:omapi_key aGVs\nzone cluster.\n\
             update delete b.cluster. A 10.0.0.2\nupdate add c.cluster. 3600 A 10.0.0.3\nsend\n"
        );
    }
}
