//! Templates in Jinja2's syntax: a site's own from its directory, else the built-in one of the same name.
//!
//! A file that is edited takes effect with the next script; nothing has to be restarted.

mod filters;
mod python;
mod segments;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Serde, ValueKind};
use minijinja::{Environment, ErrorKind, Output, State, TemplateSource, Value};
use serde::Serialize;

use crate::Error;
pub use filters::percent_encode;
pub(crate) use perilune_plan::decode_if_encoded;
pub(crate) use segments::{Choice, Composition, Plugin, built_in_plugins, word};

/// The built-in templates of what machines are told.
const BUILT_IN: BuiltIn = &[
    (MENU, include_str!("../templates/templ_boot_ipxe.cfg")),
    (SHORT, include_str!("../templates/templ_boot_ipxe_short.cfg")),
    (DISK, include_str!("../templates/templ_boot_disk.cfg")),
    (FAILED, include_str!("../templates/templ_boot_failed.cfg")),
    (NODE, include_str!("../templates/templ_nodeboot.cfg")),
    (NODE_KICKSTART, include_str!("../templates/templ_nodeboot_kickstart.cfg")),
    (INSTALL, include_str!("../templates/templ_install.cfg")),
    (INSTALL_KICKSTART, include_str!("../templates/templ_install_kickstart.cfg")),
];

pub(crate) const MENU: &str = "templ_boot_ipxe.cfg";
pub(crate) const SHORT: &str = "templ_boot_ipxe_short.cfg";
pub(crate) const DISK: &str = "templ_boot_disk.cfg";
pub(crate) const FAILED: &str = "templ_boot_failed.cfg";
pub(crate) const NODE: &str = "templ_nodeboot.cfg";
pub(crate) const NODE_KICKSTART: &str = "templ_nodeboot_kickstart.cfg";
pub(crate) const INSTALL: &str = "templ_install.cfg";
pub(crate) const INSTALL_KICKSTART: &str = "templ_install_kickstart.cfg";

/// What one rendering may cost: a menu of ten thousand nodes takes less than a hundredth of it, and a template
/// that loops for ever ends within a second or so.
const FUEL: u64 = 50_000_000;

/// Where a site keeps its own templates and plugins; both may be absent.
#[derive(Clone, Debug, Default)]
pub struct Directories {
    /// `[TEMPLATES] TEMPLATE_FILES`.
    pub templates: Option<PathBuf>,
    /// `[PLUGINS] PLUGINS_DIRECTORY`.
    pub plugins: Option<PathBuf>,
}

/// The templates, compiled when first used.
#[derive(Debug)]
pub struct Templates {
    environment: Environment<'static>,
    directories: Directories,
    built_in: BuiltIn,
}

/// Built-in templates, by the names that the site's own have, too.
type BuiltIn = &'static [(&'static str, &'static str)];

impl Templates {
    /// Templates and plugins of these directories before the built-in ones.
    pub fn new(directories: Directories) -> Self {
        Self::with(directories, BUILT_IN)
    }

    /// The same with other built-in templates: those of files for other servers.
    pub fn with(directories: Directories, built_in: BuiltIn) -> Self {
        let mut environment = Environment::new();
        environment.set_fuel(Some(FUEL));
        let syntax = SyntaxConfig::builder().keep_trailing_newline(true).build();
        environment.set_syntax(syntax.expect("the markers of the syntax are Jinja2's own"));
        // These are scripts: nothing in them is HTML.
        environment.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
        environment
            .set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
        environment.set_formatter(format_as_python);
        filters::register(&mut environment);
        let places = directories.clone();
        environment.set_loader(move |name| Ok(load(&places, built_in, name)));
        Self { environment, directories, built_in }
    }

    /// The site's own templates that cannot be parsed, for a warning at start.
    pub fn broken(&self) -> Vec<Error> {
        let names = self.built_in.iter().map(|(name, _)| *name);
        names
            .filter_map(|name| {
                self.environment.get_template(name).err().map(|error| Error::template(name, error))
            })
            .collect()
    }

    pub(crate) fn directories(&self) -> &Directories {
        &self.directories
    }

    /// A text of a plugin.
    pub(crate) fn plugin(&self, plugin: Plugin<'_>) -> Option<String> {
        plugin.text(&self.directories, &mut Sources::default())
    }

    /// Renders a template that is not about a machine.
    pub fn render_file(&self, name: &str, context: impl Serialize) -> Result<String, Error> {
        self.render(name, context)
    }

    /// Renders a template, or one that was composed of a template and plugins.
    pub(crate) fn render(&self, name: &str, context: impl Serialize) -> Result<String, Error> {
        let file = name.split(segments::SEPARATOR).next().unwrap_or(name);
        let template =
            self.environment.get_template(name).map_err(|error| Error::template(file, error))?;
        template.render(Value::from(Serde(context))).map_err(|error| Error::template(file, error))
    }
}

/// What a file was when it was read; `None` when it was not there.
type Stamp = Option<(SystemTime, u64)>;

fn stamp(path: &Path) -> Stamp {
    let metadata = fs::metadata(path).ok()?;
    Some((metadata.modified().ok()?, metadata.len()))
}

/// A text and the files that decide whether it is still the right one.
#[derive(Default)]
struct Sources {
    files: Vec<(PathBuf, Stamp)>,
}

impl Sources {
    /// The file's text, when it is there.
    fn read(&mut self, path: PathBuf) -> Option<String> {
        let stamp = stamp(&path);
        if stamp.is_none() {
            // If the directory is missing, none of its files needs to be looked for.
            let is_missing = |path: &&Path| !path.as_os_str().is_empty() && !path.exists();
            let missing = path.ancestors().take_while(is_missing).last();
            let missing = (missing.unwrap_or(&path).to_owned(), None);
            if !self.files.contains(&missing) {
                self.files.push(missing);
            }
            return None;
        }
        let text = fs::read_to_string(&path).ok();
        self.files.push((path, stamp));
        text
    }

    fn attach_to(self, text: String) -> TemplateSource {
        let source = TemplateSource::new(text);
        if self.files.is_empty() {
            return source;
        }
        let files = self.files;
        source.with_uptodate_check(move || files.iter().all(|(path, seen)| stamp(path) == *seen))
    }
}

fn load(directories: &Directories, built_in: BuiltIn, name: &str) -> Option<TemplateSource> {
    let mut sources = Sources::default();
    if let Some(composition) = Composition::from_name(name) {
        let text = load_file(directories, built_in, &mut sources, composition.template())?;
        let text = composition.compose(directories, &mut sources, text);
        return Some(sources.attach_to(text));
    }
    let text = load_file(directories, built_in, &mut sources, name)?;
    Some(sources.attach_to(text))
}

fn load_file(
    directories: &Directories,
    built_in: BuiltIn,
    sources: &mut Sources,
    name: &str,
) -> Option<String> {
    // Templates may include others, of the same directory only.
    let is_plain = !name.contains(['/', '\\']) && !name.starts_with('.');
    let own = directories.templates.as_ref().filter(|_| is_plain);
    let own = own.and_then(|directory| sources.read(directory.join(name)));
    own.or_else(|| {
        let (_, text) = built_in.iter().find(|(own, _)| *own == name)?;
        Some((*text).to_owned())
    })
}

/// Values are shown as Python shows them, because that is what sites' templates were written for.
fn format_as_python(
    output: &mut Output,
    state: &mut State,
    value: &Value,
) -> Result<(), minijinja::Error> {
    let word = if value.is_none() {
        "None"
    } else if *value == Value::from(true) && value.kind() == ValueKind::Bool {
        "True"
    } else if value.kind() == ValueKind::Bool {
        "False"
    } else {
        return minijinja::escape_formatter(output, state, value);
    };
    output.write_str(word).map_err(|error| {
        minijinja::Error::new(ErrorKind::WriteFailure, "the output ended").with_source(error)
    })
}
