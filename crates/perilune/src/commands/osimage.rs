//! `perilune osimage`

use clap::{Args, Subcommand};
use perilune::client::path;
use perilune_model::Name;
use serde_json::{Map, Value, json};

use crate::failure::Failure;
use crate::field::{FieldArguments, options};
use crate::job;
use crate::output;
use crate::output::table::{Cell, Table, Tone};
use crate::output::text::{field_text, readable};
use crate::resource::{self, List, Names, Remove, Rename, Resource};
use crate::session::{Edit, Session, ask_to_remove, expand, insist};

const RESOURCE: Resource = Resource {
    kind: "osimage",
    new_name: "newosimage",
    table,
    first: "add one with `perilune osimage add NAME --path TREE`",
};

pub(crate) struct OsimageFields;

options!(OsimageFields, |fields| perilune_wire::osimage::request(fields, &Name::default()));

#[derive(Subcommand)]
pub(crate) enum Command {
    /// List images
    #[command(visible_alias = "ls")]
    List(List),
    /// Show images in full
    Show(Names),
    /// Add images
    #[command(after_help = "Example:
  perilune osimage add debian12 --path /srv/images/debian12
  perilune osimage pack debian12")]
    Add(WithFields),
    /// Change fields of images
    #[command(after_help = "Examples:
  perilune osimage change debian12 --kernelversion 6.1.0-30-amd64
  perilune osimage change debian12 --tag \"\"      (no tag is active)")]
    Change(WithFields),
    /// Copy an image: its tree, unless --nocopy, and then pack it, unless --bare
    #[command(after_help = "Example:\n  perilune osimage clone debian12 debian12-test")]
    Clone(CloneArguments),
    /// Remove images; their trees stay, unless --tree
    #[command(
        visible_alias = "rm",
        after_help = "\
A tree is removed only when it is in the daemon's directory of images and no other image
uses it. --dry-run says what would become of it.

Examples:
  perilune osimage remove debian12-test
  perilune osimage remove debian12-test --tree --yes"
    )]
    Remove(RemoveArguments),
    /// Rename an image
    Rename(Rename),
    /// Make kernel, installer and archive of the tree, and follow it
    #[command(after_help = "Examples:
  perilune osimage pack debian12
  perilune osimage pack debian12 --format tar.bz2   (for installers that do not read zstd)
  perilune osimage pack debian12 --mounts include   (with what is mounted in the tree)
  perilune osimage pack debian12 --detach      (prints the request id; `osimage follow` goes on)")]
    Pack(Pack),
    /// Look through an image for what a node would lack, and for what should not be in it
    #[command(after_help = "\
The list: kernel, boot loaders, network, ssh, what of one machine is left in the image,
SELinux, passwords of a controller, size. It ends with 1 when there is a fault.

Example:
  perilune osimage check debian12")]
    Check {
        /// The image
        source: String,
    },
    /// Follow a job that was started before
    Follow {
        /// The request id that it was given
        request_id: String,
    },
    /// Stop packing
    Cancel {
        /// The image
        source: String,
    },
    /// Give an image the authorities of the controller's subscription (/etc/rhsm/ca)
    #[command(after_help = "\
Example:
  perilune osimage update-certificates rocky9 && perilune osimage pack rocky9")]
    UpdateCertificates {
        /// The image
        source: String,
    },
    /// Choose the kernel and pack
    #[command(
        after_help = "Example:\n  perilune osimage kernel debian12 --kernelversion 6.1.0-28-amd64"
    )]
    Kernel(Kernel),
    /// Copy a running node's system into an image
    #[command(after_help = "\
The file systems and exclusions are those of the image (grab_filesystems,
grab_exclude). What the node has not is removed from the image. The daemon must be
able to log in to the node by ssh as root. Without --commit nothing is changed.

Examples:
  perilune osimage grab node001
  perilune osimage grab node001 --osimage debian12 --commit")]
    Grab(Grab),
    /// Copy an image onto running nodes
    #[command(after_help = "\
Nothing of the nodes' own is removed. Without --commit nothing is changed.

Examples:
  perilune osimage push node001
  perilune osimage push --group compute --commit")]
    Push(Push),
    /// Keep what is packed now under a name
    #[command(subcommand)]
    Tag(TagCommand),
    /// List the nodes that use an image
    Members {
        /// The image
        source: String,
    },
}

#[derive(Subcommand)]
pub(crate) enum TagCommand {
    /// List the tags of an image
    #[command(visible_alias = "ls")]
    List {
        /// The image
        source: String,
    },
    /// Make a tag the active one; a new one keeps what is packed now
    #[command(after_help = "Examples:
  perilune osimage tag set debian12 stable                       (keeps the files of now)
  perilune group change compute --osimagetag stable              (its nodes boot them)")]
    Set {
        /// The image
        source: String,
        /// The tag; "" for none
        tag: String,
    },
    /// Remove a tag and its files
    #[command(visible_alias = "rm")]
    Remove {
        /// The image
        source: String,
        /// The tag
        tag: String,
        /// Do not ask
        #[arg(long, short)]
        yes: bool,
    },
}

#[derive(Args)]
pub(crate) struct WithFields {
    /// Names, separated by commas
    #[arg(required = true)]
    names: Vec<String>,
    #[command(flatten)]
    fields: FieldArguments<OsimageFields>,
}

/// They are a failure that names them, stay out, or belong to the image.
const MOUNTS: [&str; 3] = ["refuse", "leave-out", "include"];

#[derive(Args)]
pub(crate) struct CloneArguments {
    /// The image to copy
    source: String,
    /// The new image
    target: String,
    /// Copy the tree and do not pack it
    #[arg(long)]
    bare: bool,
    /// Describe the image only; copy no tree
    #[arg(long)]
    nocopy: bool,
    /// What becomes of file systems that are mounted in the tree
    #[arg(long, value_parser = MOUNTS, default_value = "refuse")]
    mounts: String,
    /// Do not wait for the end
    #[arg(long, short)]
    detach: bool,
    #[command(flatten)]
    fields: FieldArguments<OsimageFields>,
}

#[derive(Args)]
pub(crate) struct RemoveArguments {
    #[command(flatten)]
    remove: Remove,
    /// Remove the directory with the tree, too
    #[arg(long)]
    tree: bool,
}

#[derive(Args)]
pub(crate) struct Pack {
    /// The image
    source: String,
    /// The form of the archive
    #[arg(long, value_parser = ["tar.zst", "tar.gz", "tar.bz2"], default_value = "tar.zst")]
    format: String,
    /// What becomes of file systems that are mounted in the tree
    #[arg(long, value_parser = MOUNTS, default_value = "refuse")]
    mounts: String,
    /// Do not wait for the end
    #[arg(long, short)]
    detach: bool,
}

#[derive(Args)]
pub(crate) struct Grab {
    /// The node that it is taken from
    node: String,
    /// The image, where it is not the node's own
    #[arg(long)]
    osimage: Option<String>,
    /// Do it (default: only print what would change)
    #[arg(long)]
    commit: bool,
    /// Do not pack afterwards
    #[arg(long)]
    bare: bool,
    /// Do not wait for the end
    #[arg(long, short)]
    detach: bool,
}

#[derive(Args)]
pub(crate) struct Push {
    /// The node
    #[arg(required_unless_present = "group", conflicts_with = "group")]
    node: Option<String>,
    /// All nodes of this group
    #[arg(long, short)]
    group: Option<String>,
    /// The image, where it is not the node's or the group's own
    #[arg(long)]
    osimage: Option<String>,
    /// Do it (default: only print what would change)
    #[arg(long)]
    commit: bool,
    /// Do not wait for the end
    #[arg(long, short)]
    detach: bool,
}

#[derive(Args)]
pub(crate) struct Kernel {
    /// The image
    source: String,
    /// Change the fields and do not pack
    #[arg(long)]
    bare: bool,
    /// Do not wait for the end
    #[arg(long, short)]
    detach: bool,
    #[command(flatten)]
    fields: FieldArguments<OsimageFields>,
}

pub(crate) fn run(session: &Session, command: Command) -> Result<(), Failure> {
    match command {
        Command::List(arguments) => resource::list(session, &RESOURCE, &arguments),
        Command::Show(arguments) => resource::show(session, &RESOURCE, &arguments),
        Command::Add(WithFields { names, fields }) => {
            resource::add(session, &RESOURCE, &expand(&names)?, &fields.into_object()?)
        }
        Command::Change(WithFields { names, fields }) => {
            resource::change(session, &RESOURCE, &expand(&names)?, &fields.into_object()?)
        }
        Command::Clone(arguments) => clone(session, arguments),
        Command::Remove(arguments) => remove(session, &arguments),
        Command::Rename(arguments) => resource::rename(session, &RESOURCE, &arguments),
        Command::Pack(Pack { source, format, mounts, detach }) => {
            known(session, &source)?;
            let path = path(["config", "osimage", &source, "_pack"]);
            let answer = session.client.get(&format!("{path}?format={format}&mounts={mounts}"))?;
            job::finish(session, &answer, detach)
        }
        Command::Check { source } => check(session, &source),
        Command::Follow { request_id } => job::follow(session, &request_id),
        Command::Cancel { source } => {
            known(session, &source)?;
            session.say(&session.client.get(&path(["config", "osimage", &source, "_cancel"]))?)
        }
        Command::UpdateCertificates { source } => {
            known(session, &source)?;
            let path = path(["config", "osimage", &source, "_updatecerts"]);
            job::finish(session, &session.client.get(&path)?, false)
        }
        Command::Grab(Grab { node, osimage, commit, bare, detach }) => {
            let fields = json!({ "osimage": osimage, "nodry": commit, "bare": bare });
            synchronize(session, ("node", &node, "_osgrab"), fields, detach)
        }
        Command::Push(Push { node, group, osimage, commit, detach }) => {
            let fields = json!({ "osimage": osimage, "nodry": commit });
            let (kind, name) = match (&group, &node) {
                (Some(group), _) => ("group", group.as_str()),
                (None, node) => ("node", node.as_deref().unwrap_or_default()),
            };
            synchronize(session, (kind, name, "_ospush"), fields, detach)
        }
        Command::Kernel(arguments) => kernel(session, arguments),
        Command::Tag(command) => tag(session, &command),
        Command::Members { source } => members(session, &source),
    }
}

/// Shows the check list, and fails when a node could not use the image.
fn check(session: &Session, source: &str) -> Result<(), Failure> {
    known(session, source)?;
    let answer = session.client.get(&path(["config", "osimage", source, "_check"]))?;
    let findings = answer
        .pointer(&format!("/config/osimage/{source}/findings"))
        .and_then(Value::as_array)
        .cloned()
        .unwrap_or_default();
    let text = |finding: &Value, key: &str| {
        finding.get(key).and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    if session.output.is_table() {
        for finding in &findings {
            let [level, subject, text] = ["level", "subject", "text"].map(|key| text(finding, key));
            output::line(&format!("{level:<8} {subject:<12} {text}"))?;
        }
    } else {
        session.output.value(&answer)?;
    }
    let faults = findings.iter().filter(|finding| text(finding, "level") == "fault").count();
    if faults == 0 {
        return Ok(());
    }
    Err(Failure::failed(format!(
        "no node can use the image {source} before what is a fault above is mended"
    )))
}

fn synchronize(
    session: &Session,
    (kind, name, action): (&str, &str, &str),
    mut fields: Value,
    detach: bool,
) -> Result<(), Failure> {
    if let Some(fields) = fields.as_object_mut() {
        fields.retain(|_, value| !value.is_null());
    }
    let body = json!({ "config": { kind: { name: fields } } });
    let answer = session.client.post(&path(["config", kind, name, action]), &body)?;
    job::finish(session, &answer, detach)
}

/// The API answers an unknown image with a job that fails; this says it before.
fn known(session: &Session, name: &str) -> Result<Map<String, Value>, Failure> {
    let object = session.client.object("osimage", name);
    object.map_err(|error| resource::or_unknown(session, "osimage", name, error))
}

fn clone(session: &Session, arguments: CloneArguments) -> Result<(), Failure> {
    let CloneArguments { source, target, bare, nocopy, mounts, detach, fields } = arguments;
    let mut fields = fields.into_object()?;
    for (key, flag) in [("bare", bare), ("nocopy", nocopy)] {
        if flag {
            fields.insert(key.to_owned(), true.into());
        }
    }
    let query = format!("?mounts={mounts}");
    let answer = resource::clone_as(session, &RESOURCE, (&source, &target), &query, fields)?;
    job::finish(session, &answer, detach)
}

/// A directory that is gone does not come back: that is asked for even for a single one.
fn remove(session: &Session, arguments: &RemoveArguments) -> Result<(), Failure> {
    let RemoveArguments { remove, tree } = arguments;
    if !tree {
        return resource::remove(session, &RESOURCE, remove);
    }
    let names = session.named("osimage", &remove.names, &remove.exclude)?;
    if !remove.yes && !session.client.only_tries() {
        let mut lost = Vec::new();
        for name in &names {
            let image = known(session, name)?;
            let tree = image.get("path").map(|value| field_text("path", value));
            lost.push(format!("the image {name} and the directory {}", tree.unwrap_or_default()));
        }
        insist(&format!("This removes {}.", lost.join(", ")))?;
    }
    resource::each_known(session, RESOURCE.kind, "removed", &names, |name| {
        let path = path(["config", "osimage", name, "_delete"]);
        Ok(session.client.get(&format!("{path}?tree=true")).map(drop)?)
    })
}

fn kernel(session: &Session, arguments: Kernel) -> Result<(), Failure> {
    let Kernel { source, bare, detach, fields } = arguments;
    let mut fields = fields.into_object()?;
    if fields.is_empty() {
        return Err(Failure::usage("which kernel? --kernelversion VERSION"));
    }
    known(session, &source)?;
    if bare {
        fields.insert("bare".to_owned(), true.into());
    }
    let answer = session.client.act("osimage", &source, "kernel", &fields)?;
    if answer.is_null() {
        return session.done(&format!("{source} changed"));
    }
    job::finish(session, &answer, detach)
}

fn tag(session: &Session, command: &TagCommand) -> Result<(), Failure> {
    match command {
        TagCommand::List { source } => tags(session, source),
        TagCommand::Set { source, tag } => {
            known(session, source)?;
            let fields = Map::from_iter([("tag".to_owned(), tag.as_str().into())]);
            session.client.act("osimage", source, "tag", &fields)?;
            let tag = if tag.is_empty() { "no tag" } else { tag };
            session.done(&format!("{source} has {tag} active"))
        }
        TagCommand::Remove { source, tag, yes } => {
            known(session, source)?;
            let path = path(["config", "osimage", source, "osimagetag", tag, "_delete"]);
            let edit = Edit::get(tag, &path);
            if !yes && !session.client.only_tries() {
                session.tried(&edit)?;
                ask_to_remove(&format!("the tag {tag} of the image {source} and its files"), &[])?;
            }
            session.one(&edit)?;
            session.done(&format!("{source} has no tag {tag} any more"))
        }
    }
}

fn tags(session: &Session, name: &str) -> Result<(), Failure> {
    known(session, name)?;
    let tags = match session.client.get(&path(["config", "osimagetag", name])) {
        Err(perilune::client::Error::NotFound { .. }) => Map::new(),
        answer => answer?
            .pointer("/config/osimagetag")
            .and_then(Value::as_object)
            .cloned()
            .unwrap_or_default(),
    };
    if !session.output.is_table() {
        let mut tags = Value::Object(tags);
        readable(&mut tags);
        return Ok(session.output.value(&tags)?);
    }
    if tags.is_empty() {
        return Ok(output::line(&format!(
            "none; make one with `perilune osimage tag set {name} TAG`"
        ))?);
    }
    let mut table = Table::new(["TAG", "IMAGEFILE", "KERNELFILE", "GROUPS", "NODES"]);
    for (tag, fields) in &tags {
        let text = |key: &str| {
            Cell::new(fields.get(key).map(|value| field_text(key, value)).unwrap_or_default())
        };
        table.row([
            Cell::new(tag),
            text("imagefile"),
            text("kernelfile"),
            text("groups"),
            text("nodes"),
        ]);
    }
    Ok(session.output.table(&table)?)
}

fn members(session: &Session, name: &str) -> Result<(), Failure> {
    known(session, name)?;
    let members = match session.client.get(&path(["config", "osimage", name, "_member"])) {
        Err(perilune::client::Error::NotFound { .. }) => Vec::new(),
        answer => answer?
            .pointer(&format!("/config/osimage/{name}/members"))
            .and_then(Value::as_array)
            .cloned()
            .unwrap_or_default(),
    };
    if !session.output.is_table() {
        return Ok(session.output.value(&members.into())?);
    }
    for member in members.iter().filter_map(Value::as_str) {
        output::line(member)?;
    }
    Ok(())
}

fn table(images: &Map<String, Value>) -> Table {
    let mut table = Table::new(["NAME", "KERNEL", "IMAGEFILE", "TAG", "PATH", "COMMENT"]);
    for (name, image) in images {
        let text =
            |key: &str| image.get(key).map(|value| field_text(key, value)).unwrap_or_default();
        let imagefile = text("imagefile");
        let imagefile = if imagefile.is_empty() {
            Cell::toned("not packed", Tone::Faint)
        } else if imagefile.ends_with("(missing)") {
            Cell::toned(imagefile, Tone::Bad)
        } else {
            Cell::new(imagefile)
        };
        table.row([
            Cell::new(name),
            Cell::new(text("kernelversion")),
            imagefile,
            Cell::new(text("tag")),
            Cell::new(text("path")),
            Cell::new(text("comment")),
        ]);
    }
    table
}
