use std::fs::{self, Permissions};
use std::io::{Read as _, Write as _};
use std::net::Shutdown;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::os::unix::net::UnixStream;
use std::path::Path;

use perilune_image::{Parts, Readers};
use rustix::thread::{set_thread_gid, set_thread_uid};

use super::*;
use crate::jobs::tests::smallest_program;
use crate::jobs::trees::{Done, Pack, Trees};
use crate::jobs::{Format, Mounted};

const VERSION: &str = "6.1.0-test";
/// The user that the worker works for: not root, so that what it makes shows whose it is.
const DAEMON: u32 = 65533;
const STRANGER: u32 = 65534;

/// A worker with a tree; nothing where this is not root.
struct Site {
    directory: tempfile::TempDir,
    tasks: JoinSet<io::Result<()>>,
}

impl Site {
    fn new() -> Option<Self> {
        let is_root = rustix::process::geteuid().is_root();
        assert!(is_root || std::env::var_os("CI").is_none(), "this test needs root");
        let directory = tempfile::tempdir().unwrap();
        fs::set_permissions(directory.path(), Permissions::from_mode(0o1777)).unwrap();
        let mut site = Self { directory, tasks: JoinSet::new() };
        make_tree(&site.at("images/compute"));
        fs::create_dir(site.at("files")).unwrap();
        std::os::unix::fs::chown(site.at("files"), Some(DAEMON), None).unwrap();
        fs::write(site.at("agent"), smallest_program()).unwrap();
        let listener = StdListener::bind(site.at("socket")).unwrap();
        fs::set_permissions(site.at("socket"), Permissions::from_mode(0o666)).unwrap();
        let ground = Ground {
            images: site.at("images"),
            files: site.at("files"),
            user: DAEMON,
            agent: Some(site.at("agent")),
            plugins: Plugins {
                directory: Some(site.at("plugins")),
                privileged: vec!["hooks/config".to_owned()],
                python: "/usr/bin/python3".into(),
            },
        };
        site.tasks.spawn(work(listener, ground, CancellationToken::new()));
        is_root.then_some(site)
    }

    fn at(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    async fn ask(&self, task: Task) -> Result<Done, Error> {
        Trees::Worker(self.at("socket")).at_once(task).await
    }

    fn pack(tree: &Path) -> Task {
        Task::Pack(Pack {
            name: "compute".to_owned(),
            tree: tree.to_owned(),
            kernel_version: None,
            kernel_modules: Vec::new(),
            epoch: 7,
            format: Format::Zstd,
            mounts: Mounted::Refuse,
            readers: Readers::Everybody,
            parts: Parts::All,
        })
    }

    /// What the worker says to these bytes, after which nothing comes, when this user sends them.
    async fn says(&self, user: u32, bytes: Vec<u8>) -> String {
        let socket = self.at("socket");
        let speak = move || {
            set_thread_gid(rustix::fs::Gid::from_raw(user)).unwrap();
            set_thread_uid(rustix::fs::Uid::from_raw(user)).unwrap();
            let mut stream = UnixStream::connect(socket).unwrap();
            // Whoever is not heard may be cut off in the middle.
            stream.write_all(&bytes).ok();
            stream.shutdown(Shutdown::Write).ok();
            let mut said = String::new();
            stream.read_to_string(&mut said).ok();
            said
        };
        // A thread of its own: it is another user until it ends.
        let speaking = std::thread::spawn(speak);
        tokio::task::spawn_blocking(move || speaking.join().unwrap()).await.unwrap()
    }
}

fn make_tree(tree: &Path) {
    let modules = tree.join("lib/modules").join(VERSION);
    fs::create_dir_all(modules.join("kernel")).unwrap();
    fs::create_dir_all(tree.join("boot")).unwrap();
    fs::create_dir_all(tree.join("etc")).unwrap();
    fs::write(tree.join("boot").join(format!("vmlinuz-{VERSION}")), "kernel").unwrap();
    fs::write(tree.join("etc/shadow"), "root:x").unwrap();
    fs::set_permissions(tree.join("etc/shadow"), Permissions::from_mode(0o600)).unwrap();
    for list in
        ["modules.dep", "modules.alias", "modules.softdep", "modules.order", "modules.builtin"]
    {
        fs::write(modules.join(list), "").unwrap();
    }
}

#[tokio::test]
async fn what_is_packed_is_the_daemons_and_what_root_alone_may_read_is_in_it() {
    let Some(site) = Site::new() else { return };
    let done = site.ask(Site::pack(&site.at("images/compute"))).await.unwrap();
    let Done::Packed(packed) = done else { panic!("{done:?}") };
    let archive = site.at("files").join(packed.archive.unwrap().image_file);
    let names: Vec<_> = fs::read_dir(site.at("files")).unwrap().map(Result::unwrap).collect();
    assert_eq!(names.len(), 3, "{names:?}");
    for file in names {
        assert_eq!(file.metadata().unwrap().uid(), DAEMON, "{file:?}");
    }
    let archive = zstd::decode_all(&*fs::read(archive).unwrap()).unwrap();
    assert!(archive.windows(6).any(|bytes| bytes == b"root:x"));
}

#[tokio::test]
async fn a_link_that_the_daemon_put_in_a_files_place_is_not_written_through() {
    let Some(site) = Site::new() else { return };
    fs::write(site.at("victim"), "kept").unwrap();
    for name in ["compute-7.tar.zst", &format!("compute-7-vmlinuz-{VERSION}")] {
        for name in [name.to_owned(), format!(".perilune-{name}.part")] {
            symlink(site.at("victim"), site.at("files").join(name)).unwrap();
        }
    }
    site.ask(Site::pack(&site.at("images/compute"))).await.unwrap();
    assert_eq!(fs::read(site.at("victim")).unwrap(), b"kept");
    fs::rename(site.at("files"), site.at("moved")).unwrap();
    symlink("/etc", site.at("files")).unwrap();
    let error = site.ask(Site::pack(&site.at("images/compute"))).await.unwrap_err().to_string();
    assert!(error.contains("cannot be opened"), "{error}");
}

#[tokio::test]
async fn trees_elsewhere_stay_as_they_are() {
    let Some(site) = Site::new() else { return };
    make_tree(&site.at("other"));
    symlink(site.at("other"), site.at("images/link")).unwrap();
    let request = "1.2".to_owned();
    for tree in [site.at("other"), site.at("images/link"), site.at("images/../other")] {
        let (inside, free) = (site.at("images/compute"), site.at("images/new"));
        let copy = |from: &Path, to: &Path| Task::Copy {
            from: from.to_owned(),
            to: to.to_owned(),
            request: request.clone(),
            mounts: Mounted::Refuse,
            may_replace: true,
        };
        for task in [
            Site::pack(&tree),
            Task::Remove { tree: tree.clone(), request: request.clone() },
            Task::PutAside { tree: tree.clone(), request: request.clone() },
            Task::Leave { tree: tree.clone() },
            Task::Move { from: tree.clone(), to: free.clone() },
            Task::Move { from: inside.clone(), to: tree.join("new") },
            copy(&tree, &free),
            copy(&inside, &tree.join("new")),
            Task::Check { tree: tree.clone(), kernel_version: None, kernel_modules: Vec::new() },
        ] {
            let verb = task.verb();
            let error = site.ask(task).await.unwrap_err().to_string();
            assert!(
                error.contains("not below") || error.contains("not followed"),
                "{verb}: {error}"
            );
        }
    }
    assert!(site.at("other/etc/shadow").exists() && site.at("images/compute/etc").exists());
    assert!(!site.at("images/new").exists() && !site.at("other/new").exists());
}

#[tokio::test]
async fn a_tree_is_copied_moved_left_and_removed() {
    let Some(site) = Site::new() else { return };
    let (from, to) = (site.at("images/compute"), site.at("images/copy"));
    let copy = |may_replace| Task::Copy {
        from: from.clone(),
        to: to.clone(),
        request: "1.2".to_owned(),
        mounts: Mounted::Refuse,
        may_replace,
    };
    assert!(matches!(site.ask(copy(false)).await.unwrap(), Done::Notes(_)));
    assert_eq!(fs::metadata(to.join("etc/shadow")).unwrap().mode() & 0o777, 0o600);
    let again = site.ask(copy(true)).await.unwrap_err();
    assert!(matches!(again, Error::TreeThere(_)), "{again}");
    site.ask(Task::Leave { tree: to.clone() }).await.unwrap();
    site.ask(copy(true)).await.unwrap();
    let moved = site.at("images/moved");
    site.ask(Task::Move { from: to.clone(), to: moved.clone() }).await.unwrap();
    let taken = site.ask(Task::Move { from: moved.clone(), to: from.clone() }).await;
    assert!(taken.unwrap_err().to_string().contains("cannot move"));
    site.ask(Task::Remove { tree: moved.clone(), request: "1.2".to_owned() }).await.unwrap();
    assert!(!moved.exists() && from.exists() && !to.exists());
}

#[tokio::test]
async fn nobody_but_the_daemon_is_heard() {
    let Some(site) = Site::new() else { return };
    let task = Task::Remove { tree: site.at("images/compute"), request: "1.2".to_owned() };
    let bytes = line(&task).unwrap();
    assert_eq!(site.says(STRANGER, bytes.clone()).await, "");
    assert!(site.at("images/compute").exists());
    assert!(site.says(DAEMON, bytes).await.contains("done"));
    assert!(!site.at("images/compute").exists());
}

#[tokio::test]
async fn what_is_no_task_is_refused_and_the_next_is_done() {
    let Some(site) = Site::new() else { return };
    let tree = site.at("images/compute").display().to_string();
    for text in [
        "{}\n".to_owned(),
        "[]\n".to_owned(),
        "\u{0}\n".to_owned(),
        r#"{"verb": "run", "program": "/bin/sh"}"#.to_owned() + "\n",
        format!(r#"{{"verb": "leave", "tree": "{tree}", "more": 1}}"#) + "\n",
        r#"{"verb": "mounts", "host": {"name": "-oProxyCommand=x"}}"#.to_owned() + "\n",
        r#"{"verb": "mounts", "host": {"address": "x"}}"#.to_owned() + "\n",
    ] {
        let said = site.says(DAEMON, text.clone().into_bytes()).await;
        assert!(said.contains("does not know what is asked"), "{text} {said}");
    }
    let huge = format!(r#"{{"verb": "leave", "tree": "{}"}}"#, "/x".repeat(1 << 20));
    for bytes in [huge.into_bytes(), vec![b'x'; 3 << 20], b"{\"verb\"".to_vec(), Vec::new()] {
        assert_eq!(site.says(DAEMON, bytes).await, "");
    }
    site.ask(Site::pack(&site.at("images/compute"))).await.unwrap();
}

#[tokio::test]
async fn who_hangs_up_cancels_and_nothing_is_left() {
    let Some(site) = Site::new() else { return };
    let said = site.says(DAEMON, line(&Site::pack(&site.at("images/compute"))).unwrap()).await;
    assert!(said.contains("cancelled"), "{said}");
    assert_eq!(fs::read_dir(site.at("files")).unwrap().count(), 0);
}

#[tokio::test]
async fn plugins_that_the_worker_names_are_run_as_root_and_no_others() {
    let Some(site) = Site::new() else { return };
    let place = |name: &str| site.at("plugins").join(name);
    let write = |name: &str, text: &str, mode: u32| {
        fs::create_dir_all(place(name).parent().unwrap()).unwrap();
        fs::write(place(name), text).unwrap();
        fs::set_permissions(place(name), Permissions::from_mode(mode)).unwrap();
    };
    write("hooks/config/node", "#!/bin/sh\nid -u; cat; echo \"$1\"\n", 0o755);
    write(
        "hooks/config/group.py",
        "class Plugin:\n    def bulk(self, all):\n        print(len(all))\n",
        0o644,
    );
    write("hooks/luna/default", "#!/bin/sh\nid -u\n", 0o755);
    let runner = Runner::new(Some(site.at("plugins")), "/usr/bin/python3".into(), None)
        .with(vec!["hooks".to_owned()], Vec::new())
        .by_worker(Trees::Worker(site.at("socket")).plugins());
    let ask = async |plugin: &str, question: serde_json::Value| {
        let answer = runner.call(plugin, &question).await.unwrap();
        answer.map(|answer| String::from_utf8(answer).unwrap())
    };
    let question = serde_json::json!({ "hook": "hooks/config/node" });
    assert_eq!(
        ask("hooks/config/node", question).await.unwrap(),
        "0\n{\"hook\":\"hooks/config/node\"}\n\n"
    );
    let question = serde_json::json!({ "hook": "hooks/config/group", "groups": [{ "name": "a", "nodes": [] }], "changes": [] });
    assert_eq!(ask("hooks/config/group", question).await.unwrap(), "1\n");
    // The daemon believes what it is told of PRIVILEGED, the worker what its own file says.
    let refused = ask("hooks/luna/default", serde_json::json!({})).await.unwrap_err();
    assert!(refused.contains("PERILUNE_PRIVILEGED"), "{refused}");
    let run = async |plugin: &str| {
        let (path, question) = (plugin.to_owned(), String::new());
        let (seconds, output, arguments) = (5, 1024, Vec::new());
        let task =
            Task::Plugin(crate::jobs::trees::Plugin { path, arguments, question, seconds, output });
        match site.ask(task).await {
            Ok(Done::Said(said)) => Ok(said),
            Ok(other) => panic!("{other:?}"),
            Err(error) => Err(error.to_string()),
        }
    };
    for odd in
        ["../hooks/config/node", "/bin/sh", "hooks/config/../luna/default", "hooks/config", ""]
    {
        assert!(run(odd).await.is_err(), "{odd}");
    }
    // What somebody else could have put there is not run: neither the file, nor a way to it, nor where a link leads.
    let chmod =
        |path: PathBuf, mode| fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    chmod(place("hooks/config"), 0o777);
    assert!(run("hooks/config/node").await.unwrap_err().contains("others than root can write"));
    chmod(place("hooks/config"), 0o755);
    assert!(run("hooks/config/node").await.is_ok());
    std::os::unix::fs::chown(place("hooks/config/node"), Some(DAEMON), None).unwrap();
    assert!(run("hooks/config/node").await.unwrap_err().contains("others than root can write"));
    let elsewhere = site.at("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    std::os::unix::fs::chown(&elsewhere, Some(DAEMON), None).unwrap();
    fs::copy("/bin/true", elsewhere.join("program")).unwrap();
    symlink(elsewhere.join("program"), place("hooks/config/dns")).unwrap();
    assert!(run("hooks/config/dns").await.unwrap_err().contains("others than root can write"));
}
