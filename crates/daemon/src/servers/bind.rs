//! Writes the files of BIND: zones that say something else, the list of zones, and `named.conf`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use perilune_boot::Templates;
use perilune_render::{DhcpKeys, Names, NamesFile, ZoneFile};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use tokio::task::spawn_blocking;

use super::fence::Fence;
use super::files::{self, Replaced};
use super::{command, dynamic};
use crate::causes::chain;
use crate::clock;
use crate::config::NameServer;
use crate::state::State;

/// What was written of each zone, so that numbers go up and only our files are removed; in the data directory.
const KNOWN: &str = "zones-of-bind.json";

/// Zones that were written, by their files.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Known(BTreeMap<String, Zone>);

/// A zone that was written.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Zone {
    /// The SHA-256 of its text without the number.
    digest: String,
    /// The number.
    serial: u64,
    /// What BIND was told of a zone that others change as well.
    #[serde(default, skip_serializing_if = "dynamic::Records::is_empty")]
    told: dynamic::Records,
}

/// What is to be written.
struct Rendered {
    files: NamesFile,
    zones: Vec<(ZoneFile, String)>,
}

/// Writes what BIND is to serve; answers whether there was anything to write.
pub(super) async fn write(
    state: &State,
    server: &NameServer,
    (keys, templates): (&DhcpKeys, &Arc<Templates>),
    fence: &Fence,
) -> Result<bool, String> {
    let rendered = render(state, server, keys, templates).await?;
    let file = state.settings.data_dir.join(KNOWN);
    let known = read(&file)?;
    let mut next = Known::default();
    let directory = PathBuf::from(&server.paths.directory);
    let refused = |words: String| format!("{} config file has errors: {words}", server.unit);
    let mut staged = Vec::new();
    for (zone, digest) in &rendered.zones {
        let place = directory.join(&zone.file);
        let before = known.0.get(&zone.file).filter(|_| place.exists());
        if let Some(before) = before.filter(|before| before.digest == *digest) {
            next.0.insert(zone.file.clone(), before.clone());
            continue;
        }
        let told = if zone.is_dynamic { zone.updates() } else { dynamic::Records::new() };
        if let Some(before) = before.filter(|before| zone.is_dynamic && !before.told.is_empty()) {
            fence.check()?;
            // The file is BIND's own now: it has what the DHCP server told it.
            dynamic::tell(&zone.zone, &before.told, &told, keys).await.map_err(&refused)?;
            let zone_now = Zone { digest: digest.clone(), serial: before.serial, told };
            next.0.insert(zone.file.clone(), zone_now);
            continue;
        }
        let serial = known.0.get(&zone.file).map_or(0, |before| before.serial + 1);
        let serial = serial.max(clock::milliseconds() / 1000);
        let text = zone.render(templates, serial).map_err(|error| chain(&error))?;
        let new = files::stage(&place, text, false)?;
        command::check(&server.test_zone, &[&zone.zone], new.file()).await.map_err(&refused)?;
        staged.push(new);
        next.0.insert(zone.file.clone(), Zone { digest: digest.clone(), serial, told });
    }
    let zones = staged.len();
    let list = PathBuf::from(&server.paths.zones);
    let has_list = files::has(&list, &rendered.files.zones);
    let has_main = files::has(&server.file, &rendered.files.main);
    let gone: Vec<&String> = known.0.keys().filter(|file| !next.0.contains_key(*file)).collect();
    if zones == 0 && has_list && has_main && gone.is_empty() {
        save(&file, &next)?;
        return Ok(false);
    }
    if !has_list {
        staged.push(files::stage(&list, rendered.files.zones, false)?);
    }
    let has_keys = keys.omapi.is_some() || keys.tsig.is_some();
    let main = files::stage(&server.file, rendered.files.main, has_keys)?;
    // `named.conf` is checked with the list in place, since it includes that.
    let mut replaced: Vec<Replaced> = Vec::new();
    let mut outcome = Ok(());
    for new in staged {
        outcome = fence.check().and_then(|()| new.replace()).map(|former| replaced.push(former));
        if outcome.is_err() {
            break;
        }
    }
    if outcome.is_ok() {
        outcome = command::check(&server.test, &[], main.file()).await.map_err(&refused);
    }
    let outcome = outcome.and_then(|()| fence.check());
    let outcome = outcome.and_then(|()| if has_main { Ok(()) } else { main.replace().map(drop) });
    if let Err(reason) = outcome {
        // Who may not write any more does not put back either: another writes all of it.
        let replaced = if fence.is_open() { replaced } else { Vec::new() };
        let failed: Vec<String> =
            replaced.into_iter().filter_map(|former| former.put_back().err()).collect();
        return Err([vec![reason], failed].concat().join("; "));
    }
    save(&file, &next)?;
    remove(&directory, &gone);
    Ok(true)
}

async fn render(
    state: &State,
    server: &NameServer,
    keys: &DhcpKeys,
    templates: &Arc<Templates>,
) -> Result<Rendered, String> {
    let (cluster, keys) = (state.cluster.published(), keys.clone());
    let (paths, templates) = (server.paths.clone(), Arc::clone(templates));
    let rendered = spawn_blocking(move || {
        let names = Names::new(cluster, keys, paths);
        let files = names.render(&templates)?;
        let zones = names.zones().map(|zone| {
            let digest = Sha256::digest(zone.render(&templates, 0)?);
            Ok((zone, format!("{digest:x}")))
        });
        let zones = zones.collect::<Result<Vec<_>, perilune_boot::Error>>()?;
        Ok(Rendered { files, zones })
    });
    let rendered: Result<Rendered, perilune_boot::Error> =
        rendered.await.map_err(|error| format!("{} was not made: {error}", server.unit))?;
    rendered.map_err(|error| chain(&error))
}

fn read(file: &Path) -> Result<Known, String> {
    match std::fs::read(file) {
        // What cannot be read is as if nothing had been written: all zones are written again.
        Ok(bytes) => Ok(serde_json::from_slice(&bytes).unwrap_or_default()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Known::default()),
        Err(error) => Err(format!("{} cannot be read: {error}", file.display())),
    }
}

fn save(file: &Path, known: &Known) -> Result<(), String> {
    let text = serde_json::to_string(known).map_err(|error| error.to_string())?;
    if files::has(file, &text) {
        return Ok(());
    }
    let staged = files::stage(file, text, true)?;
    std::fs::rename(staged.file(), file)
        .map_err(|error| format!("{} cannot be replaced: {error}", file.display()))
}

/// Removes the files of zones that are no more, with what BIND wrote beside them.
fn remove(directory: &Path, files: &[&String]) {
    for file in files {
        for ending in ["", ".jnl"] {
            let file = directory.join(format!("{file}{ending}"));
            match std::fs::remove_file(&file) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    tracing::warn!(file = %file.display(), %error, "the file of a former zone stays");
                }
                Ok(()) | Err(_) => {}
            }
        }
    }
}
