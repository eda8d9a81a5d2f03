//! Grabbing an image from a node that runs, and pushing one to nodes that run: `rsync` over the site's own `ssh`.

use std::ffi::OsString;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use perilune_model::image::{self, Image};
use perilune_model::node::Node;
use perilune_model::{Cluster, Name, Patch};
use tokio::task::JoinSet;

use super::context::Context;
use super::error::{Error, Failed, chain};
use super::pack;
use super::taken::Milestone;
use super::trees::{Count, Done, Grab, Host, HostName, Push, Task};
use super::work::Receiver;
use super::{site, tree};

/// As many nodes are pushed to at once.
const AT_ONCE: usize = 9;

/// As many mounts of a node as are told one by one: one that runs containers has hundreds.
const MOUNTS_TOLD: usize = 20;

/// Brings the tree of an image to what a node has; then packs it, where that was asked for.
pub(super) async fn grab(
    context: &Context,
    node: &Name,
    image: &Name,
    (really, and_pack): (bool, bool),
) -> Result<(), Failed> {
    let run = if really { "REAL/NODRY RUN" } else { "DRY RUN" };
    let doing = format!("grabbing osimage {image}");
    context.tell(&format!("{doing} [{run}]"));
    let failed = |error: Error| error.while_doing(&doing);
    let cluster = context.shared.cluster.published();
    let found = image_of(&cluster, image).map_err(failed)?;
    let described = site::node(&cluster, node).map_err(failed)?;
    let tree = tree_of(context, &found).map_err(failed)?;
    let places = places(&found).map_err(failed)?;
    let exclude = words(found.grab_exclude.as_deref());
    let asked = site::grab(context, &found, &described, (&tree, &places, &exclude), really).await;
    if let Some(kernel) = asked.map_err(failed)? {
        if really {
            keep_kernel_version(context, &found, &tree, kernel).await.map_err(failed)?;
        }
        context.tell(&format!("finished {doing}: Success."));
        return pack_grabbed(context, image, really && and_pack).await;
    }
    let host = host_of(&described).map_err(failed)?;
    let trees = &context.shared.places.trees;
    let asked = trees.at_once(Task::Mounts { host: host.clone() }).await;
    let Done::Mounts(mounts) = asked.map_err(failed)? else {
        return Err(failed(Error::Defect));
    };
    tell_of_mounts(context, node, &places, mounts.as_deref());
    let task = Grab { host, tree: tree.clone(), places, mounts, exclude, really };
    let report = context.counting(&doing);
    let grabbed = trees.perform(Task::Grab(task), report, &context.cancel).await;
    let count = grabbed.and_then(Done::count).map_err(failed)?;
    tell_changes(context, &count, really);
    if really {
        keep_kernel_version(context, &found, &tree, None).await.map_err(failed)?;
    }
    context.tell(&format!("finished {doing}: Success. {} files differ", count.files));
    pack_grabbed(context, image, really && and_pack).await
}

async fn pack_grabbed(context: &Context, image: &Name, is_wanted: bool) -> Result<(), Failed> {
    if !is_wanted {
        return Ok(());
    }
    if let Err(error) = context.only_packs(image).await {
        tracing::warn!(error = %chain(&error), "a restart will grab the image again");
    }
    pack::run(context, image, Default::default()).await
}

/// Names what a node has mounted and is not grabbed with it.
fn tell_of_mounts(context: &Context, node: &Name, places: &[String], mounts: Option<&[OsString]>) {
    let Some(mounts) = mounts else {
        context.tell(&format!(
            "note: {node} does not tell what it has mounted, so subvolumes and whatever else is on another device are not grabbed"
        ));
        return;
    };
    let is_place = |mount: &Path| places.iter().any(|place| Path::new(place) == mount);
    let is_inside = |mount: &Path| places.iter().any(|place| mount.starts_with(place));
    let mut told = mounts.iter().map(Path::new).collect::<Vec<_>>();
    told.retain(|mount| {
        let below = mount.strip_prefix("/").unwrap_or(mount);
        is_inside(mount) && !is_place(mount) && !is_of_running(below)
    });
    told.dedup();
    for mount in told.iter().take(MOUNTS_TOLD) {
        context.tell(&format!(
            "note: what is mounted at {} on {node} is not grabbed; name it among the grab_filesystems of the image to have it",
            mount.display()
        ));
    }
    if let Some(more) = told.len().checked_sub(MOUNTS_TOLD).filter(|more| *more > 0) {
        context.tell(&format!("note: {more} more mounts on {node} are not grabbed"));
    }
}

/// Brings nodes that run to what an image has. Nothing of theirs is removed.
pub(super) async fn push(
    context: &Context,
    to: &Receiver,
    image: &Name,
    really: bool,
) -> Result<(), Failed> {
    let run = if really { "REAL/NODRY RUN" } else { "DRY RUN" };
    let what = match to {
        Receiver::Node(_) => "node",
        Receiver::Group(_) => "group",
    };
    context.tell(&format!("pushing osimage {image}->{what} {} [{run}]", to.name()));
    let doing = "pushing osimage";
    let failed = |error: Error| error.while_doing(doing);
    let cluster = context.shared.cluster.published();
    let found = image_of(&cluster, image).map_err(failed)?;
    let tree = tree_of(context, &found).map_err(failed)?;
    if !tree.is_dir() {
        return Err(failed(Error::NoTree(tree)));
    }
    let places = places(&found).map_err(failed)?;
    for mount in tree::mounts_in(&tree).iter().filter(|mount| !is_of_running(mount)) {
        context.tell(&format!(
            "note: what is mounted at /{} in the tree is not pushed",
            mount.display()
        ));
    }
    match to {
        Receiver::Node(node) => {
            let node = site::node(&cluster, node).map_err(failed)?;
            let count = push_to(context, &found, &node, (&tree, &places), really);
            if let Some(count) = count.await.map_err(failed)? {
                tell_changes(context, &count, really);
                context.tell(&format!("finished {doing}: Success. {} files differ", count.files));
            } else {
                context.tell(&format!("finished {doing}: Success."));
            }
            Ok(())
        }
        Receiver::Group(group) => {
            let nodes = cluster.members(group.as_str()).map(|node| node.name.clone()).collect();
            let bad = push_to_all(context, &found, (tree, places), nodes, really).await;
            if bad == 0 { Ok(()) } else { Err(failed(Error::SomeNodes(bad))) }
        }
    }
}

/// A line for each node as it ends; answers how many were not reached.
async fn push_to_all(
    context: &Context,
    image: &Arc<Image>,
    (tree, places): (PathBuf, Vec<String>),
    nodes: Vec<Name>,
    really: bool,
) -> usize {
    let cluster = context.shared.cluster.published();
    let mut waiting = nodes.into_iter();
    let mut running = JoinSet::new();
    let mut bad = 0;
    loop {
        while running.len() < AT_ONCE
            && let Some(node) = waiting.next()
        {
            let (context, image, tree, places) =
                (context.clone(), Arc::clone(image), tree.clone(), places.clone());
            let found = site::node(&cluster, &node);
            running.spawn(async move {
                let result = match found {
                    Ok(found) => push_to(&context, &image, &found, (&tree, &places), really).await,
                    Err(error) => Err(error),
                };
                (node, result)
            });
        }
        let Some(ended) = running.join_next().await else { break bad };
        match ended {
            Ok((node, Ok(_))) => context.tell(&format!("{node}:success")),
            Ok((node, Err(error))) => {
                bad += 1;
                context.tell(&format!("{node}:Failed -> {}", chain(&error)));
            }
            Err(error) => {
                tracing::error!(%error, "pushing to a node panicked");
                bad += 1;
            }
        }
    }
}

/// What differed; `None` where the site's program has done it.
async fn push_to(
    context: &Context,
    image: &Image,
    node: &Node,
    (tree, places): (&Path, &[String]),
    really: bool,
) -> Result<Option<Count>, Error> {
    let exclude = words(image.grab_exclude.as_deref());
    if site::push(context, image, node, (tree, places, &exclude), really).await? {
        return Ok(None);
    }
    let host = host_of(node)?;
    let task = Push { host, tree: tree.to_owned(), places: places.to_vec(), exclude, really };
    let report = context.counting(&format!("pushing osimage {}", image.name));
    let trees = &context.shared.places.trees;
    trees.perform(Task::Push(task), report, &context.cancel).await?.count().map(Some)
}

/// A trial tells what would change.
fn tell_changes(context: &Context, count: &Count, really: bool) {
    if really {
        return;
    }
    for line in &count.first {
        context.tell(&format!("would change: {line}"));
    }
    let told = count.first.len().try_into().unwrap_or(u64::MAX);
    if let Some(more) = count.files.checked_sub(told).filter(|more| *more > 0) {
        context.tell(&format!("would change: {more} more"));
    }
}

/// Where only a running system has files, mounts are nothing to speak of.
fn is_of_running(mount: &Path) -> bool {
    ["proc", "sys", "dev", "run", "tmp"].iter().any(|name| mount.starts_with(name))
}

/// The kernel of the image from now on is the newest usual one that the node has.
async fn keep_kernel_version(
    context: &Context,
    image: &Image,
    tree: &Path,
    named: Option<String>,
) -> Result<(), Error> {
    let tree = tree.to_owned();
    // A tree without a kernel is told when it is packed.
    let look = move || named.or_else(|| perilune_image::newest_kernel_version(&tree).ok());
    let newest = super::blocking::blocking(look).await?;
    let Some(newest) = newest.filter(|newest| image.kernelversion.as_ref() != Some(newest)) else {
        return Ok(());
    };
    let name = image.name.clone();
    let request = image::Request { kernelversion: Patch::Set(newest), ..image::Request::default() };
    let decide =
        move |draft: &mut perilune_model::Draft| image::save(draft, &name, &request).map(drop);
    context.commit(Milestone::Kernel, decide).await?;
    Ok(())
}

fn image_of(cluster: &Cluster, name: &Name) -> Result<Arc<Image>, Error> {
    cluster.images().get(name).map(Arc::clone).ok_or_else(|| Error::Missing(name.to_string()))
}

/// The tree; one that is the controller's own root is none.
fn tree_of(context: &Context, image: &Image) -> Result<PathBuf, Error> {
    let tree = image.tree(&context.shared.places.images);
    if tree.components().count() > 2 { Ok(tree) } else { Err(Error::NoTree(tree)) }
}

/// Where the node is reached: the address that it boots from, for its name may not be known here.
fn host_of(node: &Node) -> Result<Host, Error> {
    let addresses = node.boot_interface().map(|interface| interface.addresses).unwrap_or_default();
    let ipv4 = addresses.ipv4.map(IpAddr::V4);
    let address = ipv4.or(addresses.ipv6.map(IpAddr::V6));
    match address {
        Some(address) => Ok(Host::Address(address)),
        None => HostName::try_from(node.name.to_string()).map(Host::Name).map_err(Error::NoNode),
    }
}

/// The file systems, each with a slash before it: `/` alone where none is named.
fn places(image: &Image) -> Result<Vec<String>, Error> {
    let places = words(image.grab_filesystems.as_deref());
    if places.is_empty() {
        return Ok(vec!["/".to_owned()]);
    }
    let wrong = places
        .iter()
        .find(|place| !place.starts_with('/') || place.split('/').any(|part| part == ".."));
    match wrong {
        None => Ok(places),
        Some(place) => Err(Error::NoPlace(place.clone())),
    }
}

/// A list as clients send it: base64 or plain, with commas, blanks or line ends.
fn words(list: Option<&str>) -> Vec<String> {
    use base64::Engine as _;
    let list = list.unwrap_or_default();
    let decoded = base64::engine::general_purpose::STANDARD.decode(list.trim()).ok();
    let decoded = decoded.and_then(|bytes| String::from_utf8(bytes).ok());
    let text = decoded.as_deref().unwrap_or(list);
    let words = text.split([',', ' ', '\n', '\t', '\r']).filter(|word| !word.is_empty());
    words.map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_read_however_clients_send_them() {
        for list in ["/, /boot,/var", "/ /boot\n/var\n", "LywgL2Jvb3QsL3Zhcg=="] {
            assert_eq!(words(Some(list)), ["/", "/boot", "/var"], "{list}");
        }
        assert_eq!(words(None), [""; 0]);
    }

    #[test]
    fn file_systems_are_places_from_the_root() {
        let image =
            |list: &str| Image { grab_filesystems: Some(list.to_owned()), ..Image::default() };
        assert_eq!(places(&image("/boot")).unwrap(), ["/boot"]);
        assert_eq!(places(&Image::default()).unwrap(), ["/"]);
        for wrong in ["boot", "/var/../etc", "-e,/boot"] {
            assert!(places(&image(wrong)).is_err(), "{wrong}");
        }
    }
}
