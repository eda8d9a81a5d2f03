//! Images as the command line handles them.

use std::fs;

use serde_json::json;

use crate::kill::Daemon;
use crate::tls::until;
use crate::{perilune, said};

#[test]
fn a_tree_goes_only_when_it_is_asked_for_and_meant() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    fs::create_dir(&data).unwrap();
    let daemon = Daemon::start(&data);
    let (tree, outside) = (data.join("images/debian"), directory.path().join("outside"));
    fs::create_dir_all(&tree).unwrap();
    fs::create_dir_all(&outside).unwrap();
    assert_eq!(daemon.config("osimage", "debian", &json!({})), Some(201));
    assert_eq!(daemon.config("osimage", "other", &json!({ "path": outside })), Some(201));

    let tried = perilune(&data, &["--dry-run", "osimage", "remove", "debian", "--tree"]);
    assert!(said(&tried).contains(&format!("the tree {} is removed, too", tree.display())));
    let tried = perilune(&data, &["--dry-run", "osimage", "remove", "debian"]);
    assert!(said(&tried).contains(&format!("the tree {} stays", tree.display())));

    let unasked = perilune(&data, &["osimage", "remove", "debian", "--tree"]);
    assert_eq!(unasked.status.code(), Some(2), "{}", said(&unasked));
    assert!(said(&unasked).contains("give --yes if it is meant"), "{}", said(&unasked));
    assert!(said(&unasked).contains(tree.to_str().unwrap()), "{}", said(&unasked));

    let refused = perilune(&data, &["osimage", "remove", "other", "--tree", "--yes"]);
    assert_eq!(refused.status.code(), Some(1), "{}", said(&refused));
    assert!(said(&refused).contains("outside of the images' directory"), "{}", said(&refused));

    let removed = perilune(&data, &["osimage", "remove", "other", "--yes"]);
    assert!(removed.status.success() && outside.exists(), "{}", said(&removed));
    let removed = perilune(&data, &["osimage", "remove", "debian", "--tree", "--yes"]);
    assert!(removed.status.success(), "{}", said(&removed));
    let queue = || daemon.get("/monitor/queue").unwrap().1["monitor"]["queue"].clone();
    until(|| queue() == json!([]));
    assert!(!tree.exists());
}
