//! Passwords and keys of a controller that an image has in it. An image that was made of a controller, or for another daemon, may have
//! them; every user of every node could read them, and be an administrator.

use std::fs::{self, File};
use std::io::Read as _;
use std::path::{Path, PathBuf};

use crate::Error;
use crate::progress::CancelFlag;
use crate::tree::Tree;

/// What only a running system has, and nobody's files.
const NOT_SEARCHED: [&str; 5] = ["proc", "sys", "dev", "run", "tmp"];
/// The configuration of the old daemon and of ours, and its keys that hold secrets.
const CONFIGURATION: &str = "luna.ini";
const SECRET_KEYS: [&str; 4] = ["PASSWORD", "SECRET_KEY", "PLUGINS_SECRET", "TOKEN"];
/// Files that are secret as a whole: what secrets are stored with, and what they are stored in.
const WHOLE: [(&str, &str); 3] = [
    ("luna.key", "the key that a controller stores secrets with"),
    ("perilune.db", "the database of a controller"),
    ("luna.db", "the database of a controller"),
];
/// Where programs keep a login, and how every token begins.
const LOGINS: [&str; 2] = ["token.txt", "token"];
const TOKEN: &[u8] = b"eyJ";
/// As much of a file as is looked at. No configuration is longer, and an image may have files that are made to be.
const LOOKED_AT: u64 = 1 << 20;

/// Every such file, as a sentence that says where it is and what to do. None of them is shown.
pub(crate) fn left_in(tree: &Tree, cancel: &CancelFlag) -> Result<Vec<String>, Error> {
    let mut found = Vec::new();
    let mut pending = vec![PathBuf::new()];
    while let Some(directory) = pending.pop() {
        cancel.check()?;
        let entries = fs::read_dir(tree.full(&directory)).into_iter().flatten();
        for entry in entries.filter_map(Result::ok) {
            let path = directory.join(entry.file_name());
            let is_searched = !NOT_SEARCHED.iter().any(|name| path == Path::new(name));
            // Links are not followed: what they lead to is found by itself.
            let Ok(kind) = entry.file_type() else { continue };
            if kind.is_dir() && is_searched {
                pending.push(path);
            } else if kind.is_file()
                && let Some(what) = what_is(tree, &path)
            {
                found.push((path, what));
            }
        }
    }
    found.sort();
    let sentence = |(path, what): &(PathBuf, &str)| {
        let path = path.display();
        format!(
            "/{path} has {what}, which every user of every node can read; remove it from the image"
        )
    };
    Ok(found.iter().map(sentence).collect())
}

fn what_is(tree: &Tree, path: &Path) -> Option<&'static str> {
    let name = path.file_name()?.to_str()?;
    // Copies, such as luna.ini.rpmsave, have the same in them.
    if name.starts_with(CONFIGURATION) {
        let text = beginning(&tree.full(path));
        return has_secrets(&text).then_some("a password or a signing key of a controller");
    }
    if let Some((_, what)) = WHOLE.iter().find(|(whole, _)| *whole == name) {
        return Some(what);
    }
    let is_login = LOGINS.contains(&name) && beginning(&tree.full(path)).starts_with(TOKEN);
    is_login.then_some("a login to a controller")
}

fn beginning(file: &Path) -> Vec<u8> {
    let mut bytes = Vec::new();
    if let Ok(file) = File::open(file) {
        // What cannot be read whole is looked at as far as it was.
        file.take(LOOKED_AT).read_to_end(&mut bytes).ok();
    }
    bytes
}

fn has_secrets(text: &[u8]) -> bool {
    String::from_utf8_lossy(text).lines().any(|line| {
        line.split_once(['=', ':']).is_some_and(|(key, value)| {
            SECRET_KEYS.iter().any(|secret| key.trim().eq_ignore_ascii_case(secret))
                && !value.trim().is_empty()
        })
    })
}
