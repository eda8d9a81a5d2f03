//! Plugins that are texts: pieces of the install script, which stand where the template has a marker, and the
//! scripts and roles that installers fetch. A site's own come before the built-in ones.

use std::path::Path;

use super::{Directories, INSTALL, INSTALL_KICKSTART, Sources};

/// Stands between the parts of a composition's name; no template's file has it.
pub(super) const SEPARATOR: char = '\u{1f}';

/// The built-in texts: kind, plugin, attribute.
const BUILT_IN: &[(&str, &str, &str, &str)] = &[
    ("provision", "http", "fetch", include_str!("../../plugins/boot/provision/http/fetch")),
    ("provision", "torrent", "fetch", include_str!("../../plugins/boot/provision/torrent/fetch")),
    (
        "provision",
        "kickstart",
        "fetch",
        include_str!("../../plugins/boot/provision/kickstart/fetch"),
    ),
    ("provision", DEFAULT, "fetch", include_str!("../../plugins/boot/provision/http/fetch")),
    ("bmc", DEFAULT, "config", include_str!("../../plugins/boot/bmc/default/config")),
    ("scripts", DEFAULT, "prescript", include_str!("../../plugins/boot/scripts/default/prescript")),
    (
        "scripts",
        DEFAULT,
        "partscript",
        include_str!("../../plugins/boot/scripts/default/partscript"),
    ),
    (
        "scripts",
        DEFAULT,
        "postscript",
        include_str!("../../plugins/boot/scripts/default/postscript"),
    ),
    ("roles", "bond", "unit", include_str!("../../plugins/boot/roles/bond/unit")),
    ("roles", "bond", "script", include_str!("../../plugins/boot/roles/default/script")),
    ("roles", DEFAULT, "unit", include_str!("../../plugins/boot/roles/default/unit")),
    ("roles", DEFAULT, "script", include_str!("../../plugins/boot/roles/default/script")),
];
const DEFAULT: &str = "default";

const REDHAT: &str = include_str!("../../plugins/boot/network/redhat.templ");
const UBUNTU: &str = include_str!("../../plugins/boot/network/ubuntu.templ");
const DEBIAN: &str = include_str!("../../plugins/boot/network/debian.templ");

/// Distributions that configure their network with NetworkManager.
const NETWORK_MANAGER: &[&str] = &[
    "redhat",
    "rocky",
    "alma",
    "almalinux",
    "centos",
    "fedora",
    "oracle",
    "opensuse",
    "suse",
    "sles",
];

/// One text of a plugin, such as the `partscript` of the script `raid1`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plugin<'a> {
    pub(crate) kind: &'a str,
    pub(crate) name: &'a str,
    pub(crate) attribute: &'a str,
}

impl Plugin<'_> {
    /// The site's text, else the built-in one.
    pub(super) fn text(self, directories: &Directories, sources: &mut Sources) -> Option<String> {
        let Self { kind, name, attribute } = self;
        let own = directories.plugins.as_ref().filter(|_| is_plain(name));
        let own = own.and_then(|directory| {
            let directory = directory.join("boot").join(kind);
            let text = sources.read(directory.join(name).join(attribute));
            text.or_else(|| {
                let python = sources.read(directory.join(format!("{name}.py")))?;
                super::python::attribute(&python, attribute)
            })
        });
        own.or_else(|| {
            let wanted = (kind, name, attribute);
            let found = BUILT_IN.iter().find(|(a, b, c, _)| (*a, *b, *c) == wanted);
            found.map(|(_, _, _, text)| (*text).to_owned())
        })
    }
}

/// The names of the built-in plugins of a kind.
pub(crate) fn built_in_plugins(kind: &str) -> impl Iterator<Item = &'static str> {
    BUILT_IN.iter().filter(move |(of, _, _, _)| *of == kind).map(|(_, name, _, _)| *name)
}

/// The first of these plugins that there is, else the default one, which needs no look.
fn first<'a>(directories: &Directories, kind: &str, names: &[&'a str]) -> &'a str {
    let own = directories.plugins.as_ref().map(|plugins| plugins.join("boot").join(kind));
    // Most sites have none of their own.
    let own = own.filter(|own| own.is_dir());
    let exists = |plugin: &str| {
        BUILT_IN.iter().any(|(a, b, _, _)| (*a, *b) == (kind, plugin))
            || own.as_ref().filter(|_| is_plain(plugin)).is_some_and(|own| {
                own.join(plugin).is_dir() || own.join(format!("{plugin}.py")).is_file()
            })
    };
    names.iter().copied().find(|name| exists(name)).unwrap_or(DEFAULT)
}

/// A name that is one step of a path, and a harmless one.
fn is_plain(name: &str) -> bool {
    !name.is_empty() && !name.starts_with('.') && !name.contains(['/', '\\', '\0'])
}

/// Which plugins an install script is put together from. Nodes with the same ones share a compiled template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Composition {
    parts: Vec<String>,
}

/// What decides which plugins a node's install script gets.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Choice<'a> {
    pub node: &'a str,
    pub group: &'a str,
    pub distribution: &'a str,
    pub osrelease: &'a str,
    pub methods: [&'a str; 2],
}

impl Composition {
    pub(crate) fn install(directories: &Directories, choice: Choice<'_>) -> Self {
        Self::new(INSTALL, directories, choice)
    }

    pub(crate) fn kickstart(directories: &Directories, choice: Choice<'_>) -> Self {
        Self::new(INSTALL_KICKSTART, directories, choice)
    }

    fn new(template: &str, directories: &Directories, choice: Choice<'_>) -> Self {
        let [method, fallback] = choice.methods;
        let parts = vec![
            template.to_owned(),
            choice.distribution.to_owned(),
            choice.osrelease.to_owned(),
            method.to_owned(),
            fallback.to_owned(),
            first(directories, "bmc", &[choice.node, choice.group]).to_owned(),
            first(directories, "scripts", &[choice.node, choice.group, choice.distribution])
                .to_owned(),
        ];
        Self { parts: parts.into_iter().map(|part| part.replace(SEPARATOR, "")).collect() }
    }

    /// The name under which the engine keeps the compiled template.
    pub(crate) fn name(&self) -> String {
        self.parts.join(&SEPARATOR.to_string())
    }

    pub(super) fn from_name(name: &str) -> Option<Self> {
        let parts: Vec<String> = name.split(SEPARATOR).map(str::to_owned).collect();
        (parts.len() == 7).then_some(Self { parts })
    }

    pub(super) fn template(&self) -> &str {
        self.part(0)
    }

    fn part(&self, position: usize) -> &str {
        self.parts.get(position).map_or("", String::as_str)
    }

    /// Puts the plugins' texts where the template's markers are.
    pub(super) fn compose(
        &self,
        directories: &Directories,
        sources: &mut Sources,
        template: String,
    ) -> String {
        let mut text = template;
        let fetch = self.fetch_functions(directories, sources);
        text = text.replace("## FETCH CODE SEGMENT", &fetch);
        if let Some(network) = network_template(directories, sources, self.part(1), self.part(2)) {
            text = text.replace("## INTERFACE TEMPLATE SEGMENT", network.trim_end());
        }
        let mut put = |marker: &str, (kind, name, attribute): (&str, &str, &str)| {
            if let Some(segment) = (Plugin { kind, name, attribute }).text(directories, sources) {
                text = text.replace(marker, segment.trim_end());
            }
        };
        put("## BMC CODE SEGMENT", ("bmc", self.part(5), "config"));
        let scripts = self.part(6);
        put("## SCRIPT PRESCRIPT CODE SEGMENT", ("scripts", scripts, "prescript"));
        put("## SCRIPT PARTSCRIPT CODE SEGMENT", ("scripts", scripts, "partscript"));
        put("## SCRIPT POSTSCRIPT CODE SEGMENT", ("scripts", scripts, "postscript"));
        text
    }

    /// A function for each way to fetch the image; an unknown way is the default one.
    fn fetch_functions(&self, directories: &Directories, sources: &mut Sources) -> String {
        let mut methods = vec![self.part(3), self.part(4)];
        methods.dedup();
        let methods = methods.into_iter().filter(|method| !method.is_empty());
        let functions = methods.map(|method| {
            let fetch = |name| Plugin { kind: "provision", name, attribute: "fetch" };
            let own = fetch(method).text(directories, sources);
            let body = own.or_else(|| fetch(DEFAULT).text(directories, sources));
            let body = body.unwrap_or_default();
            format!("function download_{} {{\n{}\n}}\n", word(method), body.trim_end())
        });
        functions.collect()
    }
}

/// The name of a method as part of a function's name.
pub(crate) fn word(method: &str) -> String {
    method.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect()
}

/// The network template of a distribution: the site's for the release, for the distribution, then the built-in one.
fn network_template(
    directories: &Directories,
    sources: &mut Sources,
    distribution: &str,
    osrelease: &str,
) -> Option<String> {
    let names = [
        format!("{distribution}{osrelease}.templ"),
        format!("{distribution}/{osrelease}.templ"),
        format!("{distribution}/default.templ"),
        format!("{distribution}.templ"),
    ];
    if let Some(plugins) = directories.plugins.as_ref().filter(|_| is_plain(distribution)) {
        let directory = plugins.join("boot/network");
        let is_inside = |name: &&String| !name.contains("..") && Path::new(name).is_relative();
        for name in names.iter().filter(is_inside) {
            let own = sources.read(directory.join(name));
            if own.is_some() {
                return own;
            }
        }
    }
    let built_in = match distribution {
        "ubuntu" => UBUNTU,
        distribution if NETWORK_MANAGER.contains(&distribution) => REDHAT,
        // Whatever else it is: it has ifupdown, or systemd-networkd.
        _ => DEBIAN,
    };
    Some(built_in.to_owned())
}
