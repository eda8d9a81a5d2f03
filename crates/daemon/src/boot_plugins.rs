//! The site's own roles and scripts as one document, as existing controllers exchange them.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use perilune_model::Name;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::config::write_whole;

const KINDS: [&str; 2] = ["roles", "scripts"];
const VERSION: u32 = 1;
/// As large as one of them may be, and as many as there may be of a kind.
const LARGEST: usize = 1 << 20;
const MOST: usize = 1000;

/// All of them.
#[derive(Debug, Serialize, Deserialize)]
pub struct Document {
    #[serde(flatten)]
    kinds: BTreeMap<String, BTreeMap<String, File>>,
    version: u32,
}

/// One of them.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    content_b64: String,
    /// Its permissions, as a decimal number.
    mode: u32,
    /// Of its content, in hexadecimal digits.
    sha256: String,
}

/// What is there.
pub fn read(plugins: &Path) -> std::io::Result<Document> {
    let mut kinds = BTreeMap::new();
    for kind in KINDS {
        let directory = plugins.join("boot").join(kind);
        let mut files = BTreeMap::new();
        for name in names(&directory)? {
            let path = directory.join(&name);
            let content = fs::read(&path)?;
            let mode = fs::metadata(&path)?.permissions().mode() & 0o777;
            let (sha256, content_b64) = (digest(&content), STANDARD.encode(&content));
            files.insert(name, File { content_b64, mode, sha256 });
        }
        kinds.insert(kind.to_owned(), files);
    }
    Ok(Document { kinds, version: VERSION })
}

/// Makes what is there what the document has, each kind that it names. Nothing is changed when any of it cannot be.
pub fn write(plugins: &Path, document: &Document) -> Result<(), String> {
    let mut contents = Vec::new();
    for (kind, files) in &document.kinds {
        if !KINDS.contains(&kind.as_str()) {
            return Err(format!(
                "'{}' is not known; there are {}",
                kind.escape_debug(),
                KINDS.join(" and ")
            ));
        }
        if files.len() > MOST {
            return Err(format!("{kind} has {} files; {MOST} are the most", files.len()));
        }
        for (name, file) in files {
            contents.push((kind, name, file.content(kind, name)?, file.mode));
        }
    }
    for (kind, name, content, mode) in contents {
        let directory = plugins.join("boot").join(kind);
        fs::create_dir_all(&directory)
            .map_err(|error| format!("{}: {error}", directory.display()))?;
        let text =
            String::from_utf8(content).map_err(|_not_one| format!("{kind}.{name} is not text"))?;
        write_whole(&directory.join(name), &text, mode)
            .map_err(|error| crate::causes::chain(&error))?;
    }
    for (kind, files) in &document.kinds {
        let directory = plugins.join("boot").join(kind);
        let there =
            names(&directory).map_err(|error| format!("{}: {error}", directory.display()))?;
        for name in there.iter().filter(|name| !files.contains_key(*name)) {
            let path = directory.join(name);
            fs::remove_file(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        }
    }
    Ok(())
}

impl File {
    fn content(&self, kind: &str, name: &str) -> Result<Vec<u8>, String> {
        let place = format!("{kind}.{}", name.escape_debug());
        let is_plain =
            Name::general(name).is_ok() && !name.starts_with('.') && !name.contains(['/', '\\']);
        // What is written is called so until it is whole.
        let is_of_a_write = Path::new(name).extension().is_some_and(|end| end == "new");
        if !is_plain || is_of_a_write {
            return Err(format!("{place} is not a plain name of a file"));
        }
        if self.mode > 0o777 {
            return Err(format!(
                "{place}.mode is {}; write permissions alone, such as 420 (octal 644)",
                self.mode
            ));
        }
        let content = STANDARD.decode(&self.content_b64);
        let content =
            content.map_err(|error| format!("{place}.content_b64 is no base64: {error}"))?;
        if content.len() > LARGEST {
            return Err(format!("{place} has {} bytes; {LARGEST} are the most", content.len()));
        }
        if digest(&content) != self.sha256.to_ascii_lowercase() {
            return Err(format!("{place}.sha256 is not that of its content"));
        }
        if std::str::from_utf8(&content).is_err() {
            return Err(format!("{place} is not text"));
        }
        Ok(content)
    }
}

fn digest(content: &[u8]) -> String {
    format!("{:x}", Sha256::digest(content))
}

/// The names of ordinary files, but for hidden ones.
fn names(directory: &Path) -> std::io::Result<Vec<String>> {
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name().into_string().ok();
        let is_ordinary = entry.path().is_file();
        names.extend(name.filter(|name| is_ordinary && !name.starts_with('.')));
    }
    names.sort();
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(name: &str, content: &str) -> Document {
        let file = File {
            content_b64: STANDARD.encode(content),
            mode: 0o644,
            sha256: digest(content.as_bytes()),
        };
        let kinds = [("roles".to_owned(), [(name.to_owned(), file)].into())].into();
        Document { kinds, version: VERSION }
    }

    #[test]
    fn what_is_read_can_be_written_elsewhere_and_what_is_not_in_it_goes() {
        let [one, other] = [(); 2].map(|()| tempfile::tempdir().unwrap());
        write(one.path(), &document("lustre", "[Unit]\n")).unwrap();
        write(other.path(), &document("old", "x")).unwrap();
        write(other.path(), &read(one.path()).unwrap()).unwrap();
        let names = names(&other.path().join("boot/roles")).unwrap();
        assert_eq!(names, ["lustre"]);
        assert_eq!(fs::read_to_string(other.path().join("boot/roles/lustre")).unwrap(), "[Unit]\n");
    }

    #[test]
    fn nothing_is_written_outside_and_nothing_of_what_is_wrong() {
        let place = tempfile::tempdir().unwrap();
        write(place.path(), &document("kept", "x")).unwrap();
        for bad in ["../x", "a/b", ".hidden", "", "a\nb", "a.new"] {
            assert!(write(place.path(), &document(bad, "x")).is_err(), "{bad:?}");
        }
        let mut wrong = document("new", "x");
        for file in wrong.kinds.get_mut("roles").unwrap().values_mut() {
            file.sha256 = digest(b"y");
        }
        assert!(write(place.path(), &wrong).unwrap_err().contains("sha256"));
        assert_eq!(names(&place.path().join("boot/roles")).unwrap(), ["kept"]);
    }
}
