//! Passwords of BMCs and secrets are nowhere readable on the disk, whichever key, program or accident was there before.

use std::path::{Path, PathBuf};

use perilune_model::bmc_setup::BmcSetup;
use perilune_model::group::Group;
use perilune_model::identity::{HostKey, NodeIdentity};
use perilune_model::node::Node;
use perilune_model::object::GroupSecrets;
use perilune_model::secret::{Secret, Secrets};
use perilune_model::{Cluster, Draft, Name};
use perilune_store::{Commit, Error, Meta, Store};
use rusqlite::Connection;
use tempfile::TempDir;

const WORDS: [&str; 4] = ["first-password", "second-password", "first-secret", "second-secret"];
const PRIVATE: [&str; 2] = ["machine-of-the-node", "key-of-the-node"];

fn key(directory: &Path) -> PathBuf {
    directory.join("luna.key")
}

/// Opens the directory as soon as the former store has let go of it.
async fn open(directory: &Path) -> Result<(Store, Cluster), Error> {
    for _ in 0..500 {
        match Store::open(directory, &key(directory)) {
            Err(Error::Locked { .. }) => {
                tokio::time::sleep(std::time::Duration::from_millis(10)).await;
            }
            opened => return opened,
        }
    }
    panic!("the store was not let go of");
}

/// A BMC setup and a secret with these words.
fn put(draft: &mut Draft, password: &str, content: &str) {
    let name = Name::trusted("compute");
    draft.put(Group { name: name.clone(), ..Group::default() }).unwrap();
    let password = password.to_owned();
    draft.put(BmcSetup { name: name.clone(), password, ..BmcSetup::default() }).unwrap();
    let node = Name::trusted("node001");
    draft.put(Node { name: node.clone(), group: name.clone(), ..Node::default() }).unwrap();
    let key = HostKey { content: PRIVATE[1].to_owned(), ..HostKey::default() };
    let (machine_id, ssh_host_keys) = (PRIVATE[0].to_owned(), vec![key]);
    let identity =
        NodeIdentity { name: node, machine_id, ssh_host_keys, ..NodeIdentity::default() };
    draft.put(identity).unwrap();
    let secret =
        Secret { name: Name::trusted("key"), content: content.to_owned(), ..Secret::default() };
    draft.put(GroupSecrets(Secrets { name, secrets: vec![secret] })).unwrap();
}

/// A store in which everything was changed once, so that its history has more than its objects.
async fn written(directory: &Path) -> Cluster {
    let (store, mut cluster) = open(directory).await.unwrap();
    for [password, content] in [[WORDS[0], WORDS[2]], [WORDS[1], WORDS[3]]] {
        let mut draft = Draft::new(&cluster);
        put(&mut draft, password, content);
        let (next, change) = draft.finish();
        let commit = Commit { change, meta: Meta::default(), key: None };
        store.apply(cluster.revision(), vec![commit]).await.unwrap();
        cluster = next;
        cluster.set_revision(store.load().await.unwrap().revision());
    }
    assert_eq!(store.load().await.unwrap(), cluster);
    cluster
}

fn words(cluster: &Cluster) -> [String; 2] {
    let password = cluster.bmc_setup("compute").unwrap().password.clone();
    let secrets = cluster.group_secrets().values().next().unwrap();
    [password, secrets.secrets[0].content.clone()]
}

/// All bytes of the directory but those of its keys.
fn readable(directory: &Path) -> Vec<&'static str> {
    let files = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    // The copy of the former layout is kept as it was, for going back; docs/backup.md says what is in it and when to remove it.
    let is_kept = |file: &PathBuf| file.to_string_lossy().contains("perilune-layout-");
    let databases =
        files.filter(|file| file.to_string_lossy().contains("perilune") && !is_kept(file));
    let bytes: Vec<u8> = databases.flat_map(|file| std::fs::read(file).unwrap()).collect();
    let is_there = |word: &&str| bytes.windows(word.len()).any(|part| part == word.as_bytes());
    WORDS.into_iter().chain(PRIVATE).filter(is_there).collect()
}

/// Makes the store one of the time when passwords lay open, and secrets were as `token` makes them.
async fn make_old(directory: &Path, token: &dyn Fn(&str) -> String) {
    let connection = until_free(directory).await;
    let text = |sql: &str| -> Vec<(String, String)> {
        let mut select = connection.prepare(sql).unwrap();
        let rows = select.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
        rows.map(Result::unwrap).collect()
    };
    let setup = |word: &str| format!(r#"{{"name":"compute","password":"{word}"}}"#);
    let list = |word: &str| {
        let content = token(word);
        format!(r#"{{"name":"compute","secrets":[{{"name":"key","content":"{content}"}}]}}"#)
    };
    // There were no identities of nodes then.
    connection.execute("DELETE FROM object WHERE kind = 'nodeidentity'", []).unwrap();
    for (kind, _) in text("SELECT kind, name FROM object") {
        let body = match kind.as_str() {
            "bmcsetup" => setup(WORDS[1]),
            "groupsecrets" => list(WORDS[3]),
            _ => continue,
        };
        let sql = "UPDATE object SET body = ?1 WHERE kind = ?2";
        connection.execute(sql, [&body, &kind]).unwrap();
    }
    let mut edits = vec![
        serde_json::json!({ "kind": "bmcsetup", "name": "compute", "body": setup(WORDS[0]) }),
        serde_json::json!({ "kind": "groupsecrets", "name": "compute", "body": list(WORDS[2]) }),
        serde_json::json!({ "kind": "group", "name": "gone" }),
    ];
    let others = "SELECT kind || ' ' || name, body FROM object WHERE kind NOT IN ('bmcsetup', 'groupsecrets')";
    for (object, body) in text(others) {
        let (kind, name) = object.split_once(' ').unwrap();
        edits.push(serde_json::json!({ "kind": kind, "name": name, "body": body }));
    }
    let edits = serde_json::Value::from(edits);
    connection.execute("UPDATE history SET edits = ?1, inverse = ?1", [edits.to_string()]).unwrap();
    connection.execute("DELETE FROM meta WHERE key = 'key'", []).unwrap();
    connection.pragma_update(None, "user_version", 2).unwrap();
}

async fn until_free(directory: &Path) -> Connection {
    drop(open(directory).await);
    let lock = std::fs::File::options().write(true).open(directory.join("perilune.lock")).unwrap();
    lock.lock().unwrap();
    Connection::open(directory.join("perilune.db")).unwrap()
}

#[tokio::test]
async fn nothing_secret_is_readable_on_the_disk_and_all_of_it_is_there_again() {
    let directory = tempfile::tempdir().unwrap();
    let cluster = written(directory.path()).await;
    let (store, loaded) = open(directory.path()).await.unwrap();
    assert_eq!(loaded, cluster);
    assert_eq!(words(&loaded), [WORDS[1], WORDS[3]]);
    assert_eq!(readable(directory.path()), [""; 0]);
    let past = format!("{:?}", store.history(None, 10).await.unwrap().len());
    assert_eq!(past, "2");
    let inverse = store.history(None, 1).await.unwrap()[0].inverse.clone();
    let mut before = cluster.clone();
    for edit in &inverse {
        before.apply(edit);
    }
    assert_eq!(words(&before), [WORDS[0], WORDS[2]], "what takes a change back has them, too");
}

#[tokio::test]
async fn a_store_of_before_is_sealed_with_its_history_and_nothing_readable_stays_behind() {
    for is_encrypted in [false, true] {
        let directory = tempfile::tempdir().unwrap();
        written(directory.path()).await;
        let (store, _) = open(directory.path()).await.unwrap();
        let keys = std::sync::Arc::clone(store.keys());
        drop(store);
        let token = |word: &str| {
            if is_encrypted { keys.seal(word).unwrap() } else { word.to_owned() }
        };
        make_old(directory.path(), &token).await;
        assert!(!readable(directory.path()).is_empty());
        let (store, loaded) = open(directory.path()).await.unwrap();
        assert_eq!(words(&loaded), [WORDS[1], WORDS[3]]);
        let past = store.history(None, 10).await.unwrap();
        let mut before = loaded.clone();
        for edit in &past[0].edits {
            before.apply(edit);
        }
        assert_eq!(words(&before), [WORDS[0], WORDS[2]]);
        assert_eq!(readable(directory.path()), [""; 0]);
    }
}

#[tokio::test]
async fn a_key_that_does_not_open_the_store_is_refused_with_the_one_that_is_meant() {
    let directory = tempfile::tempdir().unwrap();
    let cluster = written(directory.path()).await;
    let file = key(directory.path());
    let own = open(directory.path()).await.unwrap().0.keys().id().to_string();
    let text = std::fs::read(&file).unwrap();
    std::fs::remove_file(&file).unwrap();
    let error = open(directory.path()).await.unwrap_err().to_string();
    assert!(error.contains(&own) && error.contains("is not there"), "{error}");
    assert!(!file.exists(), "no other key is made in its place");
    std::fs::write(&file, "cw_0x689RpI-jtRR7oE8h_eQsKImvJapLeSbXpwF4e4=\n").unwrap();
    let error = open(directory.path()).await.unwrap_err().to_string();
    assert!(error.contains(&own) && error.contains("holds the key"), "{error}");
    std::fs::write(&file, text).unwrap();
    assert_eq!(open(directory.path()).await.unwrap().1, cluster);
}

#[tokio::test]
async fn a_store_of_before_whose_tokens_are_of_another_key_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    written(directory.path()).await;
    let foreign = "gAAAAAAdwJ6wAAECAwQFBgcICQoLDA0ODy021cpGVWKZ_eEwCGM4BLLF_5CV9dOPmrhuVUPgJobwOz7JcbmrR64jVmpU4IwqDA==";
    make_old(directory.path(), &|_| foreign.to_owned()).await;
    let error = open(directory.path()).await.unwrap_err();
    assert!(matches!(error, Error::ForeignSecret { .. }), "{error}");
    let text = std::fs::read(key(directory.path())).unwrap();
    std::fs::remove_file(key(directory.path())).unwrap();
    let error = open(directory.path()).await.unwrap_err();
    assert!(matches!(error, Error::NoKeyFile { .. }), "{error}");
    std::fs::write(key(directory.path()), text).unwrap();
    // The key of the specification's examples opens it.
    let file = key(directory.path());
    std::fs::write(&file, "cw_0x689RpI-jtRR7oE8h_eQsKImvJapLeSbXpwF4e4=\n").unwrap();
    let (_, loaded) = open(directory.path()).await.unwrap();
    assert_eq!(words(&loaded), [WORDS[1], "hello"]);
}

#[tokio::test]
async fn a_key_that_has_sealed_nothing_gives_way_to_another() {
    let directory = tempfile::tempdir().unwrap();
    let (store, cluster) = open(directory.path()).await.unwrap();
    let mut draft = Draft::new(&cluster);
    draft.put(Group { name: Name::trusted("compute"), ..Group::default() }).unwrap();
    let commit = Commit { change: draft.finish().1, meta: Meta::default(), key: None };
    store.apply(0, vec![commit]).await.unwrap();
    let former = store.keys().id();
    drop(store);
    std::fs::write(key(directory.path()), "cw_0x689RpI-jtRR7oE8h_eQsKImvJapLeSbXpwF4e4=\n")
        .unwrap();
    for _ in 0..2 {
        let (store, loaded) = open(directory.path()).await.unwrap();
        assert_ne!(store.keys().id(), former);
        assert!(loaded.group("compute").is_ok());
    }
}

#[tokio::test]
async fn a_rotated_key_opens_everything_and_the_former_one_opens_backups() {
    let directory = tempfile::tempdir().unwrap();
    let cluster = written(directory.path()).await;
    let (store, _) = open(directory.path()).await.unwrap();
    let backup = tempfile::tempdir().unwrap();
    store.backup(backup.path().join("perilune.db")).await.unwrap();
    let former = store.keys().id();
    let new = store.rotate_key().await.unwrap();
    assert_ne!(new, former);
    assert_eq!(store.load().await.unwrap(), cluster);
    assert_eq!(store.history(None, 10).await.unwrap().len(), 2);
    drop(store);
    let (store, loaded) = open(directory.path()).await.unwrap();
    assert_eq!((loaded, store.keys().id()), (cluster.clone(), new));
    let old = directory.path().join("luna.key.old");
    assert_eq!(Store::open(backup.path(), &old).unwrap().1, cluster);
    assert!(Store::open(backup.path(), &key(directory.path())).is_err());
    assert_eq!(readable(directory.path()), [""; 0]);
}

/// What of the two keys lies where when a rotation is cut off, once before and twice after the store has the new key.
#[tokio::test]
async fn a_rotation_that_was_cut_off_anywhere_is_found_and_finished() {
    let file =
        |directory: &TempDir, ending: &str| directory.path().join(format!("luna.key{ending}"));
    for (moves, is_new) in
        [(&[("", ".next"), (".old", "")][..], true), (&[("", ".next")], true), (&[], true)]
    {
        let directory = tempfile::tempdir().unwrap();
        let cluster = written(directory.path()).await;
        let (store, _) = open(directory.path()).await.unwrap();
        let former = store.keys().id();
        let new = store.rotate_key().await.unwrap();
        drop(store);
        drop(open(directory.path()).await);
        for (from, to) in moves {
            std::fs::rename(file(&directory, from), file(&directory, to)).unwrap();
        }
        let (store, loaded) = open(directory.path()).await.unwrap();
        assert_eq!(loaded, cluster);
        assert_eq!(store.keys().id(), if is_new { new } else { former });
        assert!(!file(&directory, ".next").exists() && file(&directory, "").exists());
    }
    // Before: a key that seals nothing yet is taken away.
    let directory = tempfile::tempdir().unwrap();
    let cluster = written(directory.path()).await;
    std::fs::write(file(&directory, ".next"), "cw_0x689RpI-jtRR7oE8h_eQsKImvJapLeSbXpwF4e4=\n")
        .unwrap();
    assert_eq!(open(directory.path()).await.unwrap().1, cluster);
    assert!(!file(&directory, ".next").exists());
}
