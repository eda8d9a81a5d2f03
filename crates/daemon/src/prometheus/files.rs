//! Files of rules: YAML, in Prometheus' own directory. Each is replaced as a whole, and what it was is kept beside it.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use perilune_notation::{read_yaml, write_yaml};
use serde_json::json;

use super::rules::{self, Rule, Switches};
use super::{Error, hardware};
use crate::config::whole::write_whole;

/// Prometheus is another user.
const READABLE: u32 = 0o644;
const SWITCHES: &str = "rules_settings.yaml";
/// As many files as are kept of what a file was, the newest.
const KEPT: usize = 20;

fn failed(path: &Path, action: &'static str) -> impl FnOnce(std::io::Error) -> Error {
    let path = path.display().to_string();
    move |source| Error::File { path, action, source }
}

/// What a file has; `None` where there is none.
fn text(path: &Path) -> Result<Option<String>, Error> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failed(path, "read")(error)),
    }
}

/// The rules of a file; `None` where there is none.
pub(super) fn read(directory: &Path, file: &str) -> Result<Option<Vec<Rule>>, Error> {
    let path = directory.join(file);
    let Some(text) = text(&path)? else { return Ok(None) };
    let content = |reason: String| Error::Content { path: path.display().to_string(), reason };
    let document = read_yaml(&text).map_err(|error| content(error.to_string()))?;
    if document.is_null() {
        return Ok(Some(Vec::new()));
    }
    rules::read(&document).map(Some).map_err(content)
}

/// Writes a file, and keeps what it was.
fn write(directory: &Path, file: &str, rules: &[Rule], now: u64) -> Result<(), Error> {
    let path = directory.join(file);
    if let Some(former) = text(&path)? {
        keep(directory, file, &former, now)?;
    }
    put(&path, &write_yaml(&rules::file(rules)))
}

/// Replaces whole files and has Prometheus read them; what it refuses is put back. Answers what else there is to say.
pub(super) fn replace(
    directory: &Path,
    written: &[(String, Vec<Rule>)],
    now: u64,
    reload: impl Fn() -> Result<(), Option<String>>,
) -> Result<&'static str, Error> {
    let mut former = Vec::new();
    for (file, _) in written {
        let path = directory.join(file);
        former.push((text(&path)?, path));
    }
    let put_all =
        || written.iter().try_for_each(|(file, rules)| write(directory, file, rules, now));
    let put_back = |former: &[(Option<String>, PathBuf)]| {
        for (text, path) in former {
            let restored = match text {
                Some(text) => put(path, text),
                None => fs::remove_file(path).map_err(failed(path, "removed")),
            };
            if let Err(error) = restored {
                tracing::error!(%error, "a file of rules could not be put back");
            }
        }
    };
    if let Err(error) = put_all() {
        put_back(&former);
        return Err(error);
    }
    match reload() {
        Ok(()) => Ok(""),
        Err(None) => Ok("; Prometheus could not be told, and has them when it starts anew"),
        Err(Some(reason)) => {
            put_back(&former);
            reload().ok();
            Err(Error::Refused(reason))
        }
    }
}

fn put(path: &Path, text: &str) -> Result<(), Error> {
    Ok(write_whole(path, text, READABLE)?)
}

/// Keeps what a file was, under the time.
fn keep(directory: &Path, file: &str, former: &str, now: u64) -> Result<(), Error> {
    let kept = directory.join("backup");
    fs::create_dir_all(&kept).map_err(failed(&kept, "made"))?;
    put(&kept.join(format!("{file}.{now}")), former)?;
    let beginning = format!("{file}.");
    let mut others: Vec<(u64, PathBuf)> = names(&kept)?
        .into_iter()
        .filter_map(|name| {
            let time = name.strip_prefix(&beginning)?.parse().ok()?;
            Some((time, kept.join(name)))
        })
        .collect();
    others.sort_unstable();
    let many = others.len().saturating_sub(KEPT);
    for (_, path) in others.into_iter().take(many) {
        fs::remove_file(&path).map_err(failed(&path, "removed"))?;
    }
    Ok(())
}

/// The names in a directory; none where there is none.
fn names(directory: &Path) -> Result<Vec<String>, Error> {
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed(directory, "read")(error)),
    };
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    Ok(names.collect())
}

/// The nodes that have rules of their own.
pub(super) fn hosts(directory: &Path) -> Result<Vec<String>, Error> {
    let mut hosts: Vec<String> = names(directory)?
        .iter()
        .filter_map(|name| hardware::host_of(name).map(str::to_owned))
        .collect();
    hosts.sort();
    Ok(hosts)
}

/// What counts for all rules of single nodes.
pub(super) fn switches(directory: &Path) -> Result<Switches, Error> {
    let path = directory.join(SWITCHES);
    let Some(text) = text(&path)? else { return Ok(Switches::default()) };
    let content = |reason: String| Error::Content { path: path.display().to_string(), reason };
    let document = read_yaml(&text).map_err(|error| content(error.to_string()))?;
    let said =
        document.get("hw").map(|hw| Switches::read(hw, "hw")).transpose().map_err(content)?;
    Ok(Switches::default().changed_by(said.unwrap_or_default()))
}

pub(super) fn write_switches(directory: &Path, switches: Switches) -> Result<(), Error> {
    put(&directory.join(SWITCHES), &write_yaml(&json!({ "hw": switches })))
}
