//! The site's own programs that work on images in place of the daemon: packing, grabbing, pushing, copying, and removing files (docs/plugins.md).
//! What they answer is checked like anything from outside.

use std::collections::BTreeSet;
use std::fs::File;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use perilune_boot::Environment;
use perilune_image::CancelFlag;
use perilune_model::image::{self, Image, ImageFiles};
use perilune_model::node::Node;
use perilune_model::provisioning::ProvisionMethod;
use perilune_model::{Cluster, Name};
use perilune_program::Limits;
use serde_json::{Value, json};

use super::blocking::blocking;
use super::context::Context;
use super::error::{Error, Failed, chain};
use super::places::Site;
use super::trees::Pack;
use crate::plugins::names;

/// A pack of a large image, or a grab over a slow network, takes this long at most.
const WORK: Limits = Limits::of(Duration::from_hours(4), 1 << 20);
const REMOVAL: Limits = Limits::of(Duration::from_mins(5), 1 << 20);
/// This often it is looked whether somebody cancelled the job.
const LOOK: Duration = Duration::from_millis(200);
/// As much of what a program has to say is told.
const LONGEST_NOTE: usize = 1000;

const IMAGE: &str = "osimage/operations/image";
const GRAB: &str = "osimage/operations/osgrab";
const PUSH: &str = "osimage/operations/ospush";
const FILE_SYSTEM: &str = "osimage/filesystem";
const OTHER: &str = "osimage/other";
const PROVISION: &str = "boot/provision";
/// What archives have in their names, and kernels and initramfs have not.
const ARCHIVE: &str = ".tar";

/// What a program answers: an object, or nothing.
#[derive(Debug)]
struct Answer {
    plugin: String,
    value: Value,
}

impl Answer {
    fn error(&self, reason: String) -> Error {
        Error::Plugin { plugin: self.plugin.clone(), reason }
    }

    /// A text that it may name.
    fn text(&self, key: &str) -> Result<Option<String>, Error> {
        match self.value.get(key) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) if text.is_empty() => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(_) => Err(self.error(format!("{key} of its answer is not text"))),
        }
    }

    /// A file of the directory that nodes boot from, which it has made.
    fn file(&self, context: &Context, key: &str) -> Result<Option<String>, Error> {
        let Some(name) = self.text(key)? else { return Ok(None) };
        let refused = |reason: &str| {
            self.error(format!("{key} of its answer is '{}': {reason}", name.escape_debug()))
        };
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "-._+~".contains(c);
        if name.starts_with('.') || name.len() > 200 || !name.chars().all(is_plain) {
            return Err(refused("that is not a plain name of a file in files_path"));
        }
        if image::uses_file(&context.shared.cluster.published(), &name) {
            return Err(refused("nodes boot from that already; make a new file each time"));
        }
        match open(&context.shared.places.files.join(&name)) {
            Ok(file) if file.metadata().is_ok_and(|file| file.is_file() && file.len() > 0) => {
                Ok(Some(name))
            }
            Ok(_) => Err(refused("that is empty, or no file")),
            Err(error) => Err(refused(&format!("it cannot be read: {error}"))),
        }
    }
}

/// Not through a link, and without waiting for the other end of a pipe.
fn open(path: &Path) -> std::io::Result<File> {
    let flags = (rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK).bits();
    let flags = i32::try_from(flags).map_err(std::io::Error::other)?;
    File::options().read(true).custom_flags(flags).open(path)
}

/// Has the first of these programs work; `None` where there is none. Who cancels the job ends it.
async fn ask(
    site: &Site,
    (kind, names): (&str, &[String]),
    operation: &str,
    mut question: Value,
    (limits, cancel): (Limits, &CancelFlag),
) -> Result<Option<Answer>, Error> {
    let Some(working) = site.runner.find_working(kind, names) else { return Ok(None) };
    if let Some(question) = question.as_object_mut() {
        question.insert("plugin".to_owned(), kind.into());
        question.insert("operation".to_owned(), operation.into());
    }
    let plugin = working.plugin.clone();
    let cancelled = async {
        while !cancel.is_cancelled() {
            tokio::time::sleep(LOOK).await;
        }
    };
    let value = tokio::select! {
        value = site.runner.work(&working, &question, limits) => value,
        () = cancelled => return Err(Error::Image(perilune_image::Error::Cancelled)),
    };
    let value = value.map_err(|reason| Error::Plugin { plugin: plugin.clone(), reason })?;
    let answer = Answer { plugin, value };
    if !answer.value.is_object() && !answer.value.is_null() {
        return Err(answer.error("its answer is no JSON object".to_owned()));
    }
    match answer.text("error")? {
        Some(reason) => Err(answer.error(reason)),
        None => Ok(Some(answer)),
    }
}

/// Tells what it has to say.
fn tell(context: &Context, answer: &Answer) -> Result<(), Error> {
    context.tell(&format!("{} has done it", answer.plugin));
    if let Some(message) = answer.text("message")? {
        let message: String =
            message.chars().filter(|c| !c.is_control()).take(LONGEST_NOTE).collect();
        context.tell(&format!("note: {message}"));
    }
    Ok(())
}

/// What the site's program makes of an image: kernel and initramfs, the archive, both or none of them. The rest is for us to make.
pub(super) async fn pack(
    context: &Context,
    image: &Image,
    pack: &Pack,
) -> Result<ImageFiles, Error> {
    let places = &context.shared.places;
    let names = names::of_release(image.distribution.as_deref(), image.osrelease.as_deref());
    let program = (IMAGE, names.as_slice());
    let mut made = ImageFiles::default();
    let common = json!({
        "osimage": image.name.as_str(), "distribution": image.distribution, "osrelease": image.osrelease,
        "image_path": pack.tree, "files_path": places.files,
        // What begins like this is removed when the job fails.
        "file_prefix": format!("{}-{}", pack.name, pack.epoch),
        "kernel_version": pack.kernel_version, "kernel_modules": pack.kernel_modules,
    });
    let limits = (WORK, &context.cancel);
    if let Some(answer) = ask(&places.site, program, "pack", common.clone(), limits).await? {
        made.kernelfile = answer.file(context, "kernelfile")?;
        made.initrdfile = answer.file(context, "initrdfile")?;
        made.kernelversion = answer.text("kernelversion")?.or_else(|| pack.kernel_version.clone());
        if made.kernelfile.is_some() != made.initrdfile.is_some() {
            let reason = "its answer names one of kernelfile and initrdfile; name both or none";
            return Err(answer.error(reason.to_owned()));
        }
        if made.kernelfile.is_some() {
            tell(context, &answer)?;
        }
    }
    if let Some(answer) = ask(&places.site, program, "build", common, limits).await? {
        made.imagefile = answer.file(context, "imagefile")?;
        if let Some(archive) = made.imagefile.clone() {
            let (path, readers) = (places.files.join(archive), places.readers);
            let looked = blocking(move || perilune_image::archive_sum(&path, readers)).await?;
            let (checksum, size) = looked?;
            (made.checksum, made.size) = (Some(checksum), Some(size));
            tell(context, &answer)?;
        }
    }
    Ok(made)
}

/// Whether the site's program has brought the tree to what the node has; the kernel version that it names.
pub(super) async fn grab(
    context: &Context,
    image: &Image,
    node: &Node,
    (tree, places, exclude): (&Path, &[String], &[String]),
    really: bool,
) -> Result<Option<Option<String>>, Error> {
    let question = transfer(image, node, (tree, places, exclude), really);
    let names = names_of(image, node);
    let limits = (WORK, &context.cancel);
    let answer = ask(&context.shared.places.site, (GRAB, &names), "grab", question, limits).await?;
    let Some(answer) = answer else { return Ok(None) };
    tell(context, &answer)?;
    answer.text("kernelversion").map(Some)
}

/// Whether the site's program has brought the node to what the tree has.
pub(super) async fn push(
    context: &Context,
    image: &Image,
    node: &Node,
    (tree, places, exclude): (&Path, &[String], &[String]),
    really: bool,
) -> Result<bool, Error> {
    let question = transfer(image, node, (tree, places, exclude), really);
    let names = names_of(image, node);
    let limits = (WORK, &context.cancel);
    let answer = ask(&context.shared.places.site, (PUSH, &names), "push", question, limits).await?;
    Ok(answer.is_some())
}

fn names_of(image: &Image, node: &Node) -> Vec<String> {
    names::each([
        Some(node.name.as_str()),
        image.distribution.as_deref(),
        Some(image.name.as_str()),
        Some(node.group.as_str()),
    ])
}

fn transfer(
    image: &Image,
    node: &Node,
    (tree, places, exclude): (&Path, &[String], &[String]),
    really: bool,
) -> Value {
    let addresses = node.boot_interface().map(|interface| interface.addresses).unwrap_or_default();
    json!({
        "osimage": image.name.as_str(), "distribution": image.distribution, "image_path": tree,
        "node": node.name.as_str(), "group": node.group.as_str(), "ipaddress": addresses.ipv4, "ipaddress_ipv6": addresses.ipv6,
        "grab_filesystems": places, "grab_exclude": exclude, "nodry": really,
    })
}

/// Whether the site's program has copied a tree to a place where nothing is.
pub(super) async fn copy(context: &Context, from: &Path, to: &Path) -> Result<bool, Error> {
    let site = &context.shared.places.site;
    let names = names::each([site.file_system.as_deref()]);
    let question = json!({ "source": from, "destination": to });
    let limits = (WORK, &context.cancel);
    let answer = ask(site, (FILE_SYSTEM, &names), "clone", question, limits).await?;
    let Some(answer) = answer else { return Ok(false) };
    if !to.symlink_metadata().is_ok_and(|place| place.is_dir()) {
        return Err(answer.error(format!("it made no directory {}", to.display())));
    }
    tell(context, &answer)?;
    Ok(true)
}

/// Whether the site's program has removed, or put away, a file that nodes no longer boot from.
pub(super) async fn clean(
    context: &Context,
    directory: &Path,
    file: &str,
    cluster: &Cluster,
) -> Result<bool, Error> {
    let path: PathBuf = directory.join(file);
    if !super::clean::may_be_removed(file, cluster) || !path.is_file() {
        return Ok(false);
    }
    if file.contains(ARCHIVE) {
        withdraw(context, file, cluster).await?;
    }
    let question = json!({ "files_path": directory, "file_to_remove": file });
    let names = ["cleanup".to_owned()];
    let limits = (REMOVAL, &context.cancel);
    let site = &context.shared.places.site;
    let answer = ask(site, (OTHER, &names), "cleanup", question, limits).await?;
    Ok(answer.is_some())
}

/// Has the site's ways to give images to nodes, of those that the cluster names, made ready for an archive. One that fails is told, and its
/// nodes take the image by the other.
pub(super) async fn provide(context: &Context, image: &Name, archive: &str) -> Result<(), Failed> {
    let (cluster, places) = (context.shared.cluster.published(), &context.shared.places);
    let environment = Environment::of(&cluster, &places.reached);
    let question = json!({
        "image_file": archive, "files_path": places.files, "server_ipaddress": environment.beacon,
        "server_port": environment.api_port, "server_protocol": environment.api_protocol.to_string(),
    });
    for method in methods(&cluster) {
        let asked = ask_method(context, &method, "create", question.clone(), WORK).await;
        let what = format!("{method} provisioning for osimage {image}");
        match asked {
            Ok(true) => context.tell(&format!("created {what}")),
            Ok(false) => {}
            Err(error @ Error::Image(perilune_image::Error::Cancelled)) => {
                return Err(error.while_doing(format!("creating {what}")));
            }
            Err(error) => context.tell(&format!("failed creating {what}: {}", chain(&error))),
        }
    }
    Ok(())
}

/// Has them put away what they made for an archive that goes.
async fn withdraw(context: &Context, archive: &str, cluster: &Cluster) -> Result<(), Error> {
    let question = json!({ "files_path": context.shared.places.files, "image_file": archive });
    for method in methods(cluster) {
        ask_method(context, &method, "cleanup", question.clone(), REMOVAL).await?;
    }
    Ok(())
}

/// The ways of the cluster, each once.
fn methods(cluster: &Cluster) -> BTreeSet<String> {
    let settings = cluster.settings();
    let named = [&settings.provision_method, &settings.provision_fallback].into_iter().flatten();
    let words = named.map(ProvisionMethod::word);
    // An older version took any text.
    words.filter(|method| names::is_plain(method)).map(str::to_owned).collect()
}

/// Whether the site has a program of its own for this way, and it has done what it is asked.
async fn ask_method(
    context: &Context,
    method: &str,
    operation: &str,
    question: Value,
    limits: Limits,
) -> Result<bool, Error> {
    let site = &context.shared.places.site;
    let named = [method.to_owned()];
    let program = (PROVISION, named.as_slice());
    let answer = ask(site, program, operation, question, (limits, &context.cancel)).await?;
    Ok(answer.is_some())
}

/// The node of a job, which may be gone by now.
pub(super) fn node(cluster: &Cluster, name: &Name) -> Result<std::sync::Arc<Node>, Error> {
    cluster.nodes().get(name).cloned().ok_or_else(|| Error::NoNode(name.to_string()))
}
