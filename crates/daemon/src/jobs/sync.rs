//! Grabbing an image from a node that runs, and pushing one to nodes that run: `rsync` over the site's own `ssh`.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use perilune_model::image::{self, Image};
use perilune_model::{Cluster, Name, Patch};
use tokio::task::JoinSet;

use super::error::{Error, Failed, chain};
use super::pack;
use super::rsync::{Count, mounts_on, rsync, run_one};
use super::run::Context;
use super::tree;

/// As many nodes are pushed to at once.
const AT_ONCE: usize = 9;

/// As many mounts of a node as are told one by one: one that runs containers has hundreds.
const MOUNTS_TOLD: usize = 20;

/// Which nodes an image is pushed to.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Receiver {
    /// One node.
    Node(Name),
    /// The nodes of a group.
    Group(Name),
}

impl Receiver {
    /// Its name.
    pub fn name(&self) -> &Name {
        match self {
            Self::Node(name) | Self::Group(name) => name,
        }
    }
}

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
    let host = host_of(&cluster, node).map_err(failed)?;
    let tree = tree_of(context, &found).map_err(failed)?;
    if really {
        tokio::fs::create_dir_all(&tree)
            .await
            .map_err(|error| failed(Error::files("make", &tree, error)))?;
    }
    let mut count = Count::default();
    let places = places(&found).map_err(failed)?;
    let mounts = mounts_on(&host).await;
    tell_of_mounts(context, node, &places, mounts.as_deref());
    for place in &places {
        let mut command = rsync(&words(found.grab_exclude.as_deref()), really);
        match &mounts {
            Some(mounts) => {
                command.args(mounts.iter().filter_map(|mount| left_out_of_node(place, mount)));
            }
            None => {
                command.arg("--one-file-system");
            }
        }
        command.arg("--delete-after").arg(format!("{host}:/.{place}")).arg(slash(&tree));
        count.add(run_one(context, command, &doing).await.map_err(failed)?);
    }
    count.tell(context, really);
    if really {
        let place = tree.clone();
        let kept = super::run::blocking(move || keep_machine_id_open(&place)).await;
        kept.and_then(|kept| kept).map_err(failed)?;
        keep_kernel_version(context, &found, &tree).await.map_err(failed)?;
    }
    context.tell(&format!("finished {doing}: Success. {} files differ", count.files));
    if !really || !and_pack {
        return Ok(());
    }
    if let Err(error) = context.only_packs(image).await {
        tracing::warn!(error = %chain(&error), "a restart will grab the image again");
    }
    pack::run(context, image, Default::default()).await
}

/// Names what a node has mounted and is not grabbed with it.
fn tell_of_mounts(context: &Context, node: &Name, places: &[String], mounts: Option<&[PathBuf]>) {
    let Some(mounts) = mounts else {
        context.tell(&format!(
            "note: {node} does not tell what it has mounted, so subvolumes and whatever else is on another device are not grabbed"
        ));
        return;
    };
    let is_place = |mount: &Path| places.iter().any(|place| Path::new(place) == mount);
    let is_inside = |mount: &Path| places.iter().any(|place| mount.starts_with(place));
    let mut told = mounts.iter().map(PathBuf::as_path).collect::<Vec<_>>();
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
            let host = host_of(&cluster, node).map_err(failed)?;
            let count = push_to(context, &found, (&tree, &places), &host, really);
            let count = count.await.map_err(failed)?;
            count.tell(context, really);
            context.tell(&format!("finished {doing}: Success. {} files differ", count.files));
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
            let host = host_of(&cluster, &node);
            running.spawn(async move {
                let result = match host {
                    Ok(host) => push_to(&context, &image, (&tree, &places), &host, really).await,
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

async fn push_to(
    context: &Context,
    image: &Image,
    (tree, places): (&Path, &[String]),
    host: &str,
    really: bool,
) -> Result<Count, Error> {
    let mut count = Count::default();
    for place in places {
        let mut source = tree.as_os_str().to_owned();
        source.push("/.");
        source.push(place);
        let mut command = rsync(&words(image.grab_exclude.as_deref()), really);
        command.args(tree::mounts_in(tree).iter().filter_map(|mount| left_out(tree, place, mount)));
        command.arg(source).arg(format!("{host}:/"));
        let step = format!("pushing osimage {}", image.name);
        count.add(run_one(context, command, &step).await?);
    }
    Ok(count)
}

/// The option that leaves out what a node has mounted below a place, also where a place of its own is below that.
fn left_out_of_node(place: &str, mount: &Path) -> Option<OsString> {
    left_out_as(place, mount.strip_prefix("/").ok()?, true)
}

/// The option that leaves out what is mounted below a place.
fn left_out(tree: &Path, place: &str, mount: &Path) -> Option<OsString> {
    left_out_as(place, mount, tree.join(mount).is_dir())
}

/// Both are paths from the root, the mount without its first slash.
fn left_out_as(place: &str, mount: &Path, is_directory: bool) -> Option<OsString> {
    let below = mount.strip_prefix(place.trim_start_matches('/')).ok()?;
    if below.as_os_str().is_empty() {
        return None;
    }
    let mut option = b"--exclude=/".to_vec();
    for byte in mount.as_os_str().as_bytes() {
        if b"*?[\\".contains(byte) {
            option.push(b'\\');
        }
        option.push(*byte);
    }
    if is_directory {
        option.extend(b"/*");
    }
    Some(OsString::from_vec(option))
}

/// Where only a running system has files, mounts are nothing to speak of.
fn is_of_running(mount: &Path) -> bool {
    ["proc", "sys", "dev", "run", "tmp"].iter().any(|name| mount.starts_with(name))
}

/// A system without the file takes its first start for the first of all, and enables services anew; with an empty one it only makes
/// itself an identity (machine-id(5)).
fn keep_machine_id_open(tree: &Path) -> Result<(), Error> {
    let file = tree.join("etc/machine-id");
    if file.symlink_metadata().is_ok() || !tree.join("etc").is_dir() {
        return Ok(());
    }
    std::fs::write(&file, "").map_err(|error| Error::files("make", &file, error))
}

/// The kernel of the image from now on is the newest usual one that the node has.
async fn keep_kernel_version(context: &Context, image: &Image, tree: &Path) -> Result<(), Error> {
    let tree = tree.to_owned();
    // A tree without a kernel is told when it is packed.
    let newest =
        super::run::blocking(move || perilune_image::newest_kernel_version(&tree).ok()).await?;
    let Some(newest) = newest.filter(|newest| image.kernelversion.as_ref() != Some(newest)) else {
        return Ok(());
    };
    let name = image.name.clone();
    let request = image::Request { kernelversion: Patch::Set(newest), ..image::Request::default() };
    let decide = move |draft: &mut perilune_model::Draft| image::save(draft, &name, &request);
    context.shared.cluster.commit(context.meta(), decide).await?;
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

/// Where the node is reached: the address that it boots from, for its name may not be known here; IPv6 in brackets.
fn host_of(cluster: &Cluster, name: &Name) -> Result<String, Error> {
    let node = cluster.nodes().get(name).ok_or_else(|| Error::NoNode(name.to_string()))?;
    let addresses = node.boot_interface().map(|interface| interface.addresses).unwrap_or_default();
    let host = match (addresses.ipv4, addresses.ipv6) {
        (Some(address), _) => address.to_string(),
        (None, Some(address)) => format!("[{address}]"),
        (None, None) => name.to_string(),
    };
    Ok(format!("root@{host}"))
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

fn slash(path: &Path) -> OsString {
    let mut path = path.as_os_str().to_owned();
    path.push("/");
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_mounted_below_a_place_is_left_out_and_the_place_itself_is_not() {
        let tree = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(tree.path().join("var/a*")).unwrap();
        let option = |place, mount: &str| left_out(tree.path(), place, Path::new(mount));
        assert_eq!(option("/", "var/a*"), Some(r"--exclude=/var/a\*/*".into()));
        assert_eq!(option("/var", "var/file"), Some("--exclude=/var/file".into()));
        assert_eq!(option("/var", "var"), None);
        assert_eq!(option("/boot", "var"), None);
        let of_node = |place, mount: &str| left_out_of_node(place, Path::new(mount));
        assert_eq!(of_node("/", "/var/a*"), Some(r"--exclude=/var/a\*/*".into()));
        assert_eq!(of_node("/var", "/var/lib/nfs"), Some("--exclude=/var/lib/nfs/*".into()));
        for (place, mount) in [("/", "/"), ("/var", "/var"), ("/var", "/variety"), ("/boot", "/")] {
            assert_eq!(of_node(place, mount), None, "{place} {mount}");
        }
    }

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
