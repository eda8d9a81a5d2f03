//! What the command line copies, by the routes that the daemon has.

use crate::kill::Daemon;
use crate::{perilune, said};

#[test]
fn every_kind_that_can_be_cloned_is() {
    let data = tempfile::tempdir().unwrap();
    let data = data.path();
    let _daemon = Daemon::start(data);
    for (kind, words) in [
        ("cloud", &["--type", "aws"][..]),
        ("bmcsetup", &["--username", "admin"]),
        ("switch", &["--network", "cluster"]),
        ("otherdev", &["--network", "cluster"]),
        ("group", &[]),
        ("node", &["--group", "one"]),
    ] {
        for words in [&[&[kind, "add", "one"], words].concat()[..], &[kind, "clone", "one", "two"]]
        {
            let output = perilune(data, words);
            assert!(output.status.success(), "{words:?}: {}", said(&output));
        }
        let output = perilune(data, &[kind, "list", "-o", "json"]);
        let list: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert!(list.get("two").is_some(), "{kind}: {list}");
    }
}
