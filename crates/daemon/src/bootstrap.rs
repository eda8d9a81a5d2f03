//! `bootstrap.ini`: the first cluster of a site.

use std::path::{Path, PathBuf};

use crate::config::Ini;

/// The file that is read, when there is one: as the command line says, else beside the configuration.
pub(crate) fn find(given: Option<&Path>, configuration: &Path) -> Option<PathBuf> {
    if let Some(given) = given {
        return Some(given.to_owned());
    }
    let beside = configuration.with_file_name("bootstrap.ini");
    beside.exists().then_some(beside)
}

/// The sections and keys of a file.
pub(crate) fn read(file: &Path) -> Result<Ini, crate::config::Error> {
    let text = std::fs::read_to_string(file).map_err(|source| crate::config::Error::File {
        path: file.to_owned(),
        action: "read",
        source,
    })?;
    Ini::parse(&text)
        .map_err(|reason| crate::config::Error::Value { path: file.to_owned(), reason })
}
