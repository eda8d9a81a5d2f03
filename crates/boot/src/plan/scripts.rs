//! The scripts and roles of a plan: what the node or its group says, then the site's plugin for the node, then what is named under
//! `scripts`, as the install script has them.

use perilune_model::Words;
use perilune_model::group::{DEFAULT_PARTSCRIPT, DEFAULT_POSTSCRIPT};
use perilune_plan::{Role, Script};

use crate::Error;
use crate::resolved::Resolved;
use crate::templates::{Templates, decode_if_encoded};

/// When scripts run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    Pre,
    Part,
    Post,
}

impl Stage {
    /// The name of the field of nodes and groups, and of the plugins' texts.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Pre => "prescript",
            Self::Part => "partscript",
            Self::Post => "postscript",
        }
    }
}

/// The scripts of one node.
#[derive(Clone, Copy)]
pub(super) struct Scripts<'a> {
    pub(super) templates: &'a Templates,
    pub(super) resolved: &'a Resolved<'a>,
}

impl Scripts<'_> {
    /// Those that run at one time, in their order, without those that do nothing.
    pub(super) fn of(self, stage: Stage) -> Result<Vec<Script>, Error> {
        let effective = &self.resolved.effective;
        let own = match stage {
            Stage::Pre => effective.prescript().value,
            Stage::Part => effective.partscript().value,
            Stage::Post => effective.postscript().value,
        };
        let word = stage.word();
        // Groups have it from the beginning, for the install script. It mounts a root in memory as our own installer does, who in
        // addition looks whether there is enough.
        let own = own.filter(|text| stage != Stage::Part || !is_default_partscript(text));
        let own = own.map(|text| Script { name: word.to_owned(), text: decode_if_encoded(text) });
        let of_node = self.plugin_of_node();
        let listed = effective.scripts().value.into_iter().flat_map(Words::iter);
        let named = of_node.as_deref().into_iter().chain(listed);
        let named = named.map(|plugin| {
            let text = self.templates.script_part(plugin, word);
            let text = text.ok_or_else(|| self.lacks("script", plugin))?;
            Ok(Script { name: format!("{word} of {plugin}"), text })
        });
        let all: Vec<Script> =
            own.into_iter().map(Ok).chain(named).collect::<Result<_, Error>>()?;
        Ok(all.into_iter().filter(|script| does_something(&script.text)).collect())
    }

    pub(super) fn roles(self) -> Result<Vec<Role>, Error> {
        let names = self.resolved.effective.roles().value.into_iter().flat_map(Words::iter);
        let roles = names.map(|name| {
            let texts = self.templates.role_texts(name);
            let (unit, script) = texts.ok_or_else(|| self.lacks("role", name))?;
            Ok(Role { name: name.to_owned(), unit, script })
        });
        roles.collect()
    }

    /// A plugin that is named after the node, its group or its distribution.
    fn plugin_of_node(self) -> Option<String> {
        let node = self.resolved.node;
        let image = self.resolved.effective.image();
        let distribution = image.and_then(|image| image.distribution.as_deref());
        let distribution = distribution.map(str::to_lowercase);
        let installed = self.templates.plugin_names("scripts");
        let names = [Some(node.name.to_string()), Some(node.group.to_string()), distribution];
        names.into_iter().flatten().find(|name| installed.contains(name))
    }

    fn lacks(self, kind: &str, plugin: &str) -> Error {
        let lack = format!(
            "its {kind} '{plugin}' is not installed; put it into boot/{kind}s of the plugins' directory, or take it from the node"
        );
        Error::incomplete(self.resolved.name(), lack)
    }
}

fn is_default_partscript(text: &str) -> bool {
    is_same(&decode_if_encoded(text), DEFAULT_PARTSCRIPT)
}

/// Whether it is the one that groups begin with, which writes a root in memory into the fstab.
pub(super) fn is_default_postscript(script: &Script) -> bool {
    script.name == Stage::Post.word() && is_same(&script.text, DEFAULT_POSTSCRIPT)
}

/// Whether a script is this one, whatever an editor has made of its blanks and the ends of its lines.
fn is_same(text: &str, default: &str) -> bool {
    fn lines(text: &str) -> impl Iterator<Item = &str> {
        text.lines().map(str::trim).filter(|line| !line.is_empty())
    }
    lines(text).eq(lines(&decode_if_encoded(default)))
}

/// Whether there is more in a script than comments.
fn does_something(text: &str) -> bool {
    text.lines().map(str::trim).any(|line| !line.is_empty() && !line.starts_with('#'))
}
