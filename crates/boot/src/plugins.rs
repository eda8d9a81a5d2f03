//! Scripts and roles that an installer fetches by name: `GET /boot/scripts/{script}`, `GET /boot/roles/{role}`.

use std::collections::BTreeSet;
use std::fs;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;

use crate::templates::{Plugin, Templates, decode_if_encoded};

/// The parts of a named script, each base64 and none empty: installers take an answer apart with `grep`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NamedScript {
    pub prescript: String,
    pub partscript: String,
    pub postscript: String,
}

/// A role's unit for systemd and what it runs, each base64 and not empty.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Role {
    pub unit: String,
    pub script: String,
}

/// What a role's unit says in place of the role's name.
const ROLE: &str = "__LUNA_ROLE__";

impl Templates {
    /// A named script as installers take it; `None` when there is no plugin of this name.
    pub fn named_script(&self, name: &str) -> Option<NamedScript> {
        let part = |part| self.script_part(name, part).map(|text| encoded(&text));
        Some(NamedScript {
            prescript: part("prescript")?,
            partscript: part("partscript")?,
            postscript: part("postscript")?,
        })
    }

    /// A part of a named script, plain; `None` when there is no plugin of this name.
    pub(crate) fn script_part(&self, name: &str, part: &str) -> Option<String> {
        let is_there = self.plugin_names("scripts").contains(name);
        is_there.then(|| decode_if_encoded(&self.attribute("scripts", name, part)))
    }

    /// A role as installers take it; `None` when there is no plugin of this name.
    pub fn role(&self, name: &str) -> Option<Role> {
        let (unit, script) = self.role_texts(name)?;
        Some(Role { unit: encoded(&unit), script: encoded(&script) })
    }

    /// A role's unit and script, plain; `None` when there is no plugin of this name.
    pub(crate) fn role_texts(&self, name: &str) -> Option<(String, String)> {
        self.plugin_names("roles").contains(name).then(|| {
            let unit = decode_if_encoded(&self.attribute("roles", name, "unit"));
            let script = decode_if_encoded(&self.attribute("roles", name, "script"));
            (unit.replace(ROLE, name), script)
        })
    }

    /// The plugins of a kind (`scripts`, `roles`, `provision`, `bmc`): the built-in ones and the site's.
    pub fn plugin_names(&self, kind: &str) -> BTreeSet<String> {
        let built_in = crate::templates::built_in_plugins(kind).map(str::to_owned);
        let directory =
            self.directories().plugins.as_ref().map(|plugins| plugins.join("boot").join(kind));
        let own = directory.and_then(|directory| fs::read_dir(directory).ok());
        let own = own.into_iter().flatten().flatten().filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            let is_directory = entry.path().is_dir();
            if is_directory { Some(name) } else { Some(name.strip_suffix(".py")?.to_owned()) }
        });
        built_in.chain(own.filter(|name| !name.starts_with(['.', '_']))).collect()
    }

    fn attribute(&self, kind: &str, plugin: &str, attribute: &str) -> String {
        self.plugin(Plugin { kind, name: plugin, attribute }).unwrap_or_default()
    }
}

fn encoded(text: &str) -> String {
    STANDARD.encode(if text.is_empty() { "\n" } else { text })
}
