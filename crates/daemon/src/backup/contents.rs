//! What belongs to a daemon, and its configuration as it is elsewhere: what is in the backup, or lies in the data directory, is named
//! relative to that.

use std::path::{Path, PathBuf};

use super::{Error, Part, Source};
use crate::config::{DirectoryChoice, Settings};

/// As deep as directories of templates and plugins are looked into.
const DEEPEST: usize = 16;

/// The parts of a backup, but for the database, which is a copy somewhere.
pub fn contents(
    settings: &Settings,
    database: &Path,
    with_images: bool,
) -> Result<Vec<Part>, Error> {
    let mut collected = Collected::default();
    collected.file("perilune.db", database);
    collected.key("luna.key", &settings.key_file, "FILES", "KEYFILE");
    if let Some(directory) = &settings.template_files {
        collected.tree("templates", directory, "TEMPLATES", "TEMPLATE_FILES")?;
    }
    if let Some(directory) = &settings.plugins {
        collected.tree("plugins", directory, "PLUGINS", "PLUGINS_DIRECTORY")?;
    }
    collected.directory("tftp", &settings.data_dir.join("tftp"), 0)?;
    match &settings.certificate {
        Some(files) => {
            collected.key("tls.crt", &files.certificate, "API", "CERTIFICATE");
            collected.key("tls.key", &files.key, "API", "CERTIFICATE_KEY");
        }
        None => {
            for name in ["tls.crt", "tls.key"] {
                collected.file(name, &settings.data_dir.join(name));
            }
        }
    }
    if let Some(file) = &settings.control.authorities {
        collected.key("bmc-authorities.pem", file, "BMCCONTROL", "BMC_AUTHORITIES");
    }
    if let DirectoryChoice::Ldap(place) = &settings.directory {
        if let Some(file) = &place.password_file {
            collected.key("ldap-password", file, "OSUSER", "LDAP_PASSWORD_FILE");
        }
        if let Some(file) = &place.security.authorities {
            collected.key("ldap-ca.pem", file, "OSUSER", "LDAP_CA");
        }
    }
    if with_images {
        collected.tree("files", &settings.image_files, "FILES", "IMAGE_FILES")?;
    } else {
        collected.stays(&settings.data_dir, &settings.image_files, "IMAGE_FILES");
    }
    collected.stays(&settings.data_dir, &settings.image_directory, "IMAGE_DIRECTORY");
    let failed = |source| Error::File { path: settings.file.clone(), action: "read", source };
    let text = std::fs::read_to_string(&settings.file).map_err(failed)?;
    let configuration = Source::Text(rewritten(&text, &collected.places));
    collected.parts.push(Part { name: "luna.ini".to_owned(), source: configuration });
    Ok(collected.parts)
}

/// A place that the configuration names: section, key, value.
type Place = (&'static str, &'static str, String);

#[derive(Default)]
struct Collected {
    parts: Vec<Part>,
    places: Vec<Place>,
}

impl Collected {
    /// A file, where it is there.
    fn file(&mut self, name: &str, path: &Path) -> bool {
        let is_there = path.is_file();
        if is_there {
            self.parts.push(Part { name: name.to_owned(), source: Source::File(path.to_owned()) });
        }
        is_there
    }

    /// A file that a key of the configuration names.
    fn key(&mut self, name: &str, path: &Path, section: &'static str, key: &'static str) {
        if self.file(name, path) {
            self.places.push((section, key, name.to_owned()));
        }
    }

    /// A directory that a key of the configuration names.
    fn tree(
        &mut self,
        name: &str,
        directory: &Path,
        section: &'static str,
        key: &'static str,
    ) -> Result<(), Error> {
        if directory.is_dir() {
            self.places.push((section, key, name.to_owned()));
        }
        self.directory(name, directory, 0)
    }

    /// The files below a directory. Hidden ones are what somebody is writing.
    fn directory(&mut self, name: &str, directory: &Path, depth: usize) -> Result<(), Error> {
        if depth > DEEPEST || !directory.is_dir() {
            return Ok(());
        }
        let failed = |source| Error::File { path: directory.to_owned(), action: "read", source };
        let mut paths: Vec<PathBuf> = Vec::new();
        for entry in std::fs::read_dir(directory).map_err(failed)? {
            paths.push(entry.map_err(failed)?.path());
        }
        paths.sort();
        for path in paths {
            let Some(own) = path.file_name().and_then(|own| own.to_str()) else { continue };
            if own.starts_with('.') {
                continue;
            }
            let below = format!("{name}/{own}");
            // A link to a directory could lead anywhere, and back.
            if path.is_dir() && !path.is_symlink() {
                self.directory(&below, &path, depth + 1)?;
            } else {
                self.file(&below, &path);
            }
        }
        Ok(())
    }

    /// What is not in the backup stays where it is, or in the data directory.
    fn stays(&mut self, data_dir: &Path, path: &Path, key: &'static str) {
        let absolute = |path: &Path| std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        let path = absolute(path);
        let place = path.strip_prefix(absolute(data_dir)).unwrap_or(&path);
        self.places.push(("FILES", key, place.display().to_string()));
    }
}

/// The configuration with these values. What it did not say is as usual, which is in the data directory.
fn rewritten(text: &str, places: &[Place]) -> String {
    let mut section = "";
    let mut skips = false;
    let mut lines = Vec::new();
    for line in text.lines() {
        let trimmed = line.trim();
        if skips && line.starts_with([' ', '\t']) {
            continue;
        }
        skips = false;
        if let Some(name) = trimmed.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            section = name;
        }
        let key = trimmed.split_once(['=', ':']).map(|(key, _)| key.trim());
        let is_remark = trimmed.starts_with([';', '#']);
        let place = places.iter().find(|(of, wanted, _)| {
            let is_key = key.is_some_and(|key| key.eq_ignore_ascii_case(wanted));
            is_key && !is_remark && *of == section
        });
        match place {
            Some((_, key, value)) => {
                lines.push(format!("{key} = {value}"));
                skips = true;
            }
            None => lines.push(line.to_owned()),
        }
    }
    lines.join("\n") + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_places_change_in_a_configuration() {
        let text = "; KEYFILE = remark\n[API]\nUSERNAME = luna\nKEYFILE = not this\n[FILES]\nkeyfile: /old/luna.key\nIMAGE_FILES = /srv/files\n  more\n[EXTRA]\nX = 1\n";
        let places = [
            ("FILES", "KEYFILE", "luna.key".to_owned()),
            ("FILES", "IMAGE_FILES", "files".to_owned()),
            ("PLUGINS", "PLUGINS_DIRECTORY", "plugins".to_owned()),
        ];
        assert_eq!(
            rewritten(text, &places),
            "; KEYFILE = remark\n[API]\nUSERNAME = luna\nKEYFILE = not this\n[FILES]\nKEYFILE = luna.key\nIMAGE_FILES = files\n[EXTRA]\nX = 1\n"
        );
    }
}
