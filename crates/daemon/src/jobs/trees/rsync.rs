//! Runs `rsync` between a tree and a node that runs, over the site's own `ssh`.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use perilune_image::CancelFlag;
use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, openat, openat2};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};
use tokio::process::{Child, Command};

use super::task::{Count, Grab, Host, Push, Report, Told};
use crate::jobs::blocking::blocking;
use crate::jobs::error::Error;
use crate::jobs::tree;

/// How `rsync` reaches nodes, unless its own variable `RSYNC_RSH` says otherwise. Nobody can answer a question here.
const REMOTE_SHELL: &str = "ssh -o BatchMode=yes -o ConnectTimeout=10 -o ServerAliveInterval=15";
/// Nothing moved for so many seconds: the node is gone.
const SILENCE: &str = "--timeout=120";
/// A node that is asked for what it has mounted has so long to answer, and says no more than this.
const ASKING: Duration = Duration::from_secs(30);
const LONGEST_MOUNTINFO: u64 = 1 << 20;
/// As many changes are kept as were said first.
const FIRST: usize = 20;
/// Longer lines than a path can be are cut.
const LONGEST_LINE: usize = 5000;
/// Whether somebody wants to stop is looked at this often.
const LOOK: Duration = Duration::from_millis(200);
/// Files that went away while they were copied are none to worry about (rsync(1), exit values).
const VANISHED: i32 = 24;
/// As much of what `rsync` complains about as is told.
const COMPLAINT: u64 = 2000;

impl Count {
    fn add(&mut self, other: Self) {
        self.files += other.files;
        self.first.extend(other.first);
        self.first.truncate(FIRST);
    }
}

/// Brings a tree to what a node has.
pub(super) async fn grab(
    grab: &Grab,
    report: &Report,
    cancel: &CancelFlag,
) -> Result<Count, Error> {
    let Grab { host, tree, places, mounts, exclude, really } = grab;
    check(places)?;
    if *really {
        let make = tokio::fs::create_dir_all(tree).await;
        make.map_err(|error| Error::files("make", tree, error))?;
    }
    let mut count = Count::default();
    for place in places {
        let mut command = rsync(exclude, *really);
        match mounts {
            Some(mounts) => {
                let mounts = mounts.iter().map(Path::new);
                command.args(mounts.filter_map(|mount| left_out_of_node(place, mount)));
            }
            None => {
                command.arg("--one-file-system");
            }
        }
        let source = format!("{}:/.{place}", reached(host));
        command.arg("--delete-after").arg("--").arg(source).arg(slash(tree));
        count.add(run(command, report, cancel).await?);
    }
    if *really {
        let tree = tree.clone();
        blocking(move || tree::keep_machine_id_open(&tree)).await??;
    }
    Ok(count)
}

/// Brings a node to what a tree has. Nothing of its own is removed.
pub(super) async fn push(
    push: &Push,
    report: &Report,
    cancel: &CancelFlag,
) -> Result<Count, Error> {
    let Push { host, tree, places, exclude, really } = push;
    check(places)?;
    let mut count = Count::default();
    for place in places {
        let (root, inner) = (tree.clone(), place.clone());
        blocking(move || stays_inside(&root, &inner)).await??;
        let mut source = tree.as_os_str().to_owned();
        source.push("/.");
        source.push(place);
        let mut command = rsync(exclude, *really);
        command.args(tree::mounts_in(tree).iter().filter_map(|mount| left_out(tree, place, mount)));
        command.arg("--").arg(source).arg(format!("{}:/", reached(host)));
        count.add(run(command, report, cancel).await?);
    }
    Ok(count)
}

/// Where a node that runs has something mounted; `None` where it does not say.
pub(super) async fn mounts_on(host: &Host) -> Option<Vec<OsString>> {
    let reached = reached(host);
    let (user, address) = reached.rsplit_once('@')?;
    let address = address.trim_start_matches('[').trim_end_matches(']');
    // As rsync does: the words of the variable, then who and where.
    let mut command = Command::new("sh");
    command.args(["-c", "exec $RSYNC_RSH \"$@\"", "sh", "-l", user, address]);
    command.args(["cat", "/proc/self/mountinfo"]);
    if std::env::var_os("RSYNC_RSH").is_none() {
        command.env("RSYNC_RSH", REMOTE_SHELL);
    }
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true);
    let mut child = command.spawn().ok()?;
    let stream = child.stdout.take()?;
    let read = async {
        let mut bytes = Vec::new();
        stream.take(LONGEST_MOUNTINFO).read_to_end(&mut bytes).await.ok()?;
        child.wait().await.ok().filter(std::process::ExitStatus::success)?;
        Some(bytes)
    };
    let bytes = tokio::time::timeout(ASKING, read).await.ok()??;
    let points = tree::mount_points_of(&bytes);
    // Every machine has its root mounted.
    let is_whole = points.iter().any(|point| point.as_os_str() == "/");
    is_whole.then(|| points.into_iter().map(OsString::from).collect())
}

/// Where a node is reached, as `ssh` reads it; IPv6 in brackets.
fn reached(host: &Host) -> String {
    match host {
        Host::Address(std::net::IpAddr::V6(address)) => format!("root@[{address}]"),
        Host::Address(address) => format!("root@{address}"),
        Host::Name(name) => format!("root@{name}"),
    }
}

/// Directories from the root, and out of no tree.
fn check(places: &[String]) -> Result<(), Error> {
    let is_plain =
        |place: &&String| place.starts_with('/') && !place.split('/').any(|part| part == "..");
    match places.iter().find(|place| !is_plain(place)) {
        Some(place) => Err(Error::NoPlace(place.clone())),
        None => Ok(()),
    }
}

/// A link on the way to a place could lead out of the tree, to files of this machine that no node is to have.
fn stays_inside(tree: &Path, place: &str) -> Result<(), Error> {
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    let root = openat(CWD, tree, flags | OFlags::DIRECTORY, Mode::empty());
    let root = root.map_err(|_absent| Error::NoTree(tree.to_owned()))?;
    let inner = place.trim_matches('/');
    let inner = if inner.is_empty() { "." } else { inner };
    let beneath = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
    match openat2(&root, inner, flags, Mode::empty(), beneath) {
        Ok(_) => Ok(()),
        Err(error) => Err(Error::files("push", &tree.join(inner), error.into())),
    }
}

/// What is the same for both directions. File names are not read by the shell of the other side. What is mounted is
/// left to the caller: rsync's own `--one-file-system` takes a subvolume for another file system.
fn rsync(exclude: &[String], really: bool) -> Command {
    let mut command = Command::new("rsync");
    command.args(["-aHAXRs", "--numeric-ids", "--itemize-changes", SILENCE]);
    if !really {
        command.arg("-n");
    }
    if std::env::var_os("RSYNC_RSH").is_none() {
        command.args(["-e", REMOTE_SHELL]);
    }
    // What only one machine may have: neither an image nor another node gets it.
    for pattern in perilune_image::identity_patterns() {
        command.arg(format!("--exclude={pattern}"));
    }
    for pattern in exclude {
        command.arg(format!("--exclude={pattern}"));
    }
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    command
}

async fn run(mut command: Command, report: &Report, cancel: &CancelFlag) -> Result<Count, Error> {
    let mut child = command.spawn().map_err(Error::NoRsync)?;
    let complaints = child.stderr.take().map(|stream| {
        let mut stream = stream.take(COMPLAINT);
        async move {
            let mut bytes = Vec::new();
            // What is not read is only not told.
            stream.read_to_end(&mut bytes).await.ok();
            tokio::io::copy(&mut stream.into_inner(), &mut tokio::io::sink()).await.ok();
            String::from_utf8_lossy(&bytes).trim().replace('\n', "; ")
        }
    });
    let changes = changes(report, &mut child);
    let read = async {
        match complaints {
            Some(complaints) => tokio::join!(changes, complaints),
            None => (changes.await, String::new()),
        }
    };
    let (count, complaint) = tokio::select! {
        read = read => read,
        () = cancelled(cancel) => return Err(Error::Image(perilune_image::Error::Cancelled)),
    };
    let status = child.wait().await.map_err(Error::NoRsync)?;
    match status.code() {
        Some(0) => Ok(count),
        Some(VANISHED) => {
            tracing::info!(complaint, "files went away while they were copied");
            Ok(count)
        }
        code => Err(Error::Rsync { code, complaint }),
    }
}

/// Reads what `rsync` says that it changes, a line for each.
async fn changes(report: &Report, child: &mut Child) -> Count {
    let mut count = Count::default();
    let Some(stream) = child.stdout.take() else { return count };
    let mut lines = BufReader::new(stream).split(b'\n');
    while let Ok(Some(line)) = lines.next_segment().await {
        count.files += 1;
        if count.first.len() < FIRST {
            let line = line.get(..LONGEST_LINE).unwrap_or(&line);
            count.first.push(String::from_utf8_lossy(line).into_owned());
        }
        report(Told::Files(count.files));
    }
    count
}

/// Returns when somebody wants to stop.
pub(super) async fn cancelled(flag: &CancelFlag) {
    while !flag.is_cancelled() {
        tokio::time::sleep(LOOK).await;
    }
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
    fn nothing_is_pushed_that_a_link_leads_to() {
        let tree = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(tree.path().join("usr/bin")).unwrap();
        std::os::unix::fs::symlink("/etc", tree.path().join("link")).unwrap();
        std::os::unix::fs::symlink("usr/bin", tree.path().join("bin")).unwrap();
        for place in ["/", "/usr", "/usr/bin/", "//usr"] {
            stays_inside(tree.path(), place).unwrap();
        }
        for place in ["/link", "/link/ssh", "/link/.", "/bin", "/none"] {
            assert!(stays_inside(tree.path(), place).is_err(), "{place}");
        }
    }

    #[test]
    fn file_systems_are_places_from_the_root() {
        let checked = |place: &str| check(&["/".to_owned(), place.to_owned()]);
        assert!(checked("/boot").is_ok());
        for wrong in ["boot", "/var/../etc", "-e", ""] {
            assert!(checked(wrong).is_err(), "{wrong}");
        }
    }
}
