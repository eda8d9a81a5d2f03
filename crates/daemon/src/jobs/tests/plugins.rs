//! The site's own programs that work on images, real ones, and what comes of those that lie.

use std::os::unix::fs::PermissionsExt as _;

use perilune_model::group::Group;
use perilune_model::node::Node;

use super::*;
use crate::jobs::places::Site as Own;
use crate::plugins::Runner;

/// A site whose plugins' directory has these files; what ends with `.py` is a class.
async fn site(files: &[(&str, &str)]) -> Site {
    let mut site = Site::new().await;
    let plugins = site.directory.path().join("plugins");
    for (name, text) in files {
        let path = plugins.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        let mode = if path.extension().is_some() { 0o644 } else { 0o755 };
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    }
    let runner = Runner::new(Some(plugins), "/usr/bin/python3".into(), None)
        .with(Vec::new(), vec!["osimage/operations".to_owned()]);
    site.plugins = Own { runner, file_system: Some("reflink".to_owned()) };
    site
}

async fn add_node(site: &Site) {
    let add = site.cluster.commit(Meta::default(), |draft| {
        draft.put(Group { name: Name::trusted("compute"), ..Group::default() })?;
        let (name, group) = (Name::trusted("node001"), Name::trusted("compute"));
        draft.put(Node { name, group, ..Node::default() }).map(drop)
    });
    add.await.unwrap();
}

/// Packs in its own way.
const PACK: &str = r#"#!/bin/sh -e
q=$(cat)
field() { printf '%s' "$q" | python3 -c "import json,sys; print(json.load(sys.stdin)['$1'])"; }
files=$(field files_path)
prefix=$(field file_prefix)
case $(field operation) in
pack)
    echo kernel > $files/$prefix-k; echo ramdisk > $files/$prefix-r
    echo '{"kernelfile": "'$prefix-k'", "initrdfile": "'$prefix-r'", "kernelversion": "9.9", "message": "by hand"}' ;;
build) tar -C $(field image_path) -czf $files/$prefix.tar.gz . ; echo '{"imagefile": "'$prefix.tar.gz'"}' ;;
esac
"#;

#[tokio::test]
async fn the_sites_own_program_packs_and_what_it_leaves_out_is_packed_by_us() {
    let mut whole = site(&[("osimage/operations/image/default", PACK)]).await;
    let jobs = whole.start().await;
    let (texts, statuses) = do_it(&jobs, pack("compute")).await;
    assert!(statuses.iter().all(|status| *status == OK), "{texts:?}");
    assert!(texts.iter().any(|text| text == "note: by hand"), "{texts:?}");
    let files = whole.image("compute").files;
    assert_eq!(files.kernelversion.as_deref(), Some("9.9"));
    let archive = whole.directory.path().join("files").join(files.imagefile.as_ref().unwrap());
    assert!(archive.to_str().unwrap().ends_with(".tar.gz"));
    assert_eq!(files.size, Some(fs::metadata(&archive).unwrap().len()));
    assert_eq!(whole.names_in("files").len(), 3);
    assert_eq!(files.checksum.map(|sum| sum.len()), Some(64), "nodes check what they fetch");

    let archive_alone = PACK.replace("pack)", "never)");
    let mut half = site(&[("osimage/operations/image/default", &archive_alone)]).await;
    let jobs = half.start().await;
    do_it(&jobs, pack("compute")).await;
    let files = half.image("compute").files;
    assert_eq!(files.kernelversion.as_deref(), Some(VERSION), "ours");
    assert!(files.imagefile.unwrap().ends_with(".tar.gz"));
    assert_eq!(half.names_in("files").len(), 3);
}

#[tokio::test]
async fn a_program_that_lies_about_an_image_changes_nothing_and_is_told_by_name() {
    for (said, expected) in [
        ("nonsense", "its answer is no JSON"),
        ("[1]", "its answer is no JSON object"),
        (r#"{"error": "no space"}"#, "no space"),
        (r#"{"kernelfile": 7}"#, "kernelfile of its answer is not text"),
        (r#"{"kernelfile": "absent"}"#, "it cannot be read"),
        (r#"{"kernelfile": "../luna.key"}"#, "not a plain name"),
        (r#"{"kernelfile": ".hidden"}"#, "not a plain name"),
        (r#"{"kernelfile": "used"}"#, "make a new file each time"),
        (r#"{"kernelfile": "empty"}"#, "empty, or no file"),
        (r#"{"kernelfile": "directory"}"#, "empty, or no file"),
        (r#"{"kernelfile": "link"}"#, "it cannot be read"),
        (r#"{"kernelfile": "pipe"}"#, "empty, or no file"),
        (r#"{"kernelfile": "new"}"#, "name both or none"),
    ] {
        let program = format!("#!/bin/sh\ncat >/dev/null\ncat <<'END'\n{said}\nEND\n");
        let mut site = site(&[("osimage/operations/image/default", &program)]).await;
        let files = site.directory.path().join("files");
        for (name, text) in [("used", "x"), ("new", "x"), ("empty", "")] {
            fs::write(files.join(name), text).unwrap();
        }
        fs::create_dir(files.join("directory")).unwrap();
        std::os::unix::fs::symlink("../luna.key", files.join("link")).unwrap();
        let pipe = files.join("pipe");
        rustix::fs::mknodat(
            rustix::fs::CWD,
            &pipe,
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::RUSR,
            0,
        )
        .unwrap();
        let in_use = image::Request::default();
        let save = site.cluster.commit(Meta::default(), move |draft| {
            let name = Name::trusted("other");
            image::save(draft, &name, &in_use)?;
            let files = image::ImageFiles {
                kernelfile: Some("used".to_owned()),
                ..image::ImageFiles::default()
            };
            image::packed(draft, "other", &files).map(drop)
        });
        save.await.unwrap();
        let before = site.names_in("files");
        let jobs = site.start().await;
        let (texts, statuses) = do_it(&jobs, pack("compute")).await;
        let last = texts.last().unwrap();
        assert!(
            last.contains("osimage/operations/image/default: ") && last.contains(expected),
            "{said}: {last}"
        );
        assert!(statuses.contains(&error::FAILED));
        assert_eq!(site.image("compute").files, image::ImageFiles::default());
        assert_eq!(site.names_in("files"), before, "{said}");
    }
}

#[tokio::test]
async fn a_job_that_is_cancelled_ends_the_program_and_all_that_it_has_started() {
    let program = "#!/bin/sh\nsleep 1000 &\necho $! > $(dirname $0)/started\nwait\n";
    let mut site = site(&[("osimage/operations/image/default", program)]).await;
    let started = site.directory.path().join("plugins/osimage/operations/image/started");
    let jobs = site.start().await;
    let submitted = jobs.submit(now(), "luna", pack("compute")).await.unwrap();
    let id = || fs::read_to_string(&started).ok().filter(|text| text.ends_with('\n'));
    until(|| id().is_some()).await;
    assert_eq!(jobs.cancel(now(), "compute").await.unwrap(), 1);
    let (texts, _) = follow(&jobs, &submitted.request).await;
    assert!(texts.last().unwrap().contains("cancelled"), "{texts:?}");
    let state = format!("/proc/{}/stat", id().unwrap().trim());
    until(|| {
        let text = fs::read_to_string(&state).unwrap_or_default();
        text.rsplit(')').next().is_none_or(|rest| rest.is_empty() || rest.starts_with(" Z"))
    })
    .await;
}

#[tokio::test]
async fn grabbing_pushing_copying_and_cleaning_are_the_sites_own_where_it_has_a_program() {
    let tell = "#!/bin/sh\ncat >> $(dirname $0)/../../../told\n";
    let copy = r#"#!/bin/sh -e
cat | tee -a $(dirname $0)/../../told | python3 -c 'import json,sys,shutil; q=json.load(sys.stdin); shutil.copytree(q["source"], q["destination"])'
echo '{"message": "in no time"}'
"#;
    let clean = "#!/bin/sh\ncat >> $(dirname $0)/../../told\n";
    let mut site = site(&[
        ("osimage/operations/osgrab/node001", tell),
        ("osimage/operations/ospush/default", tell),
        ("osimage/filesystem/reflink", copy),
        ("osimage/other/cleanup", clean),
    ])
    .await;
    add_node(&site).await;
    let jobs = site.start().await;
    let image = Name::trusted("compute");
    let node = Name::trusted("node001");
    let grab =
        Work::GrabImage { node: node.clone(), image: image.clone(), really: true, pack: false };
    let (texts, _) = do_it(&jobs, grab).await;
    assert!(texts.last().unwrap().ends_with("Success."), "{texts:?}");
    for to in [Receiver::Node(node), Receiver::Group(image.clone())] {
        let (texts, _) =
            do_it(&jobs, Work::PushImage { to, image: image.clone(), really: false }).await;
        assert!(texts.last().unwrap().to_lowercase().contains("success"), "{texts:?}");
    }
    site.add_image("copy").await;
    let (texts, _) = do_it(&jobs, clone("copy", false)).await;
    assert!(texts.contains(&"note: in no time".to_owned()), "{texts:?}");
    assert_eq!(fs::read(site.directory.path().join("images/copy/etc/hostname")).unwrap(), b"image");
    fs::write(site.directory.path().join("files/old"), "x").unwrap();
    let files = ["old", "../precious", "absent"].map(str::to_owned).to_vec();
    jobs.shared.clean(now(), now(), Work::RemoveFiles { files }).await;
    until(|| jobs.list().is_empty()).await;
    let told = fs::read_to_string(site.directory.path().join("plugins/told")).unwrap();
    let told: Vec<serde_json::Value> =
        told.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let operations: Vec<&str> = told.iter().map(|one| one["operation"].as_str().unwrap()).collect();
    assert_eq!(operations, ["grab", "push", "push", "clone", "cleanup"]);
    assert_eq!(
        (&told[0]["nodry"], &told[0]["grab_filesystems"]),
        (&true.into(), &serde_json::json!(["/", "/boot", "/var"]))
    );
    assert_eq!((&told[1]["nodry"], &told[1]["node"]), (&false.into(), &"node001".into()));
    assert_eq!(told[4]["file_to_remove"], "old");
    assert_eq!(site.names_in("images"), ["compute", "copy"], "no hidden tree is left");
}

#[tokio::test]
async fn python_classes_work_where_the_configuration_says_so() {
    let class = r#"
class Plugin:
    def grab(self, osimage, image_path, node, grab_filesystems, grab_exclude, nodry):
        print("this is no part of the answer")
        if nodry:
            open(image_path + "/etc/hostname", "w").write(node)
        return True, "grabbed " + osimage, "5.14.0"
"#;
    let says_no =
        "class Plugin:\n    def push(self, *arguments):\n        return False, 'no rsync'\n";
    let mut site = site(&[
        ("osimage/operations/osgrab/default.py", class),
        ("osimage/operations/ospush/default.py", says_no),
        ("osimage/other/cleanup.py", "import utils.log\n"),
    ])
    .await;
    add_node(&site).await;
    let jobs = site.start().await;
    let (node, image) = (Name::trusted("node001"), Name::trusted("compute"));
    let grab =
        Work::GrabImage { node: node.clone(), image: image.clone(), really: true, pack: false };
    let (texts, _) = do_it(&jobs, grab).await;
    assert!(texts.contains(&"note: grabbed compute".to_owned()), "{texts:?}");
    assert_eq!(site.image("compute").kernelversion.as_deref(), Some("5.14.0"));
    assert_eq!(
        fs::read(site.directory.path().join("images/compute/etc/hostname")).unwrap(),
        b"node001"
    );
    let push = Work::PushImage { to: Receiver::Node(node), image, really: true };
    let (texts, _) = do_it(&jobs, push).await;
    assert!(texts.last().unwrap().contains("push answered (False, no rsync)"), "{texts:?}");
    // A kind that the configuration does not name is the daemon's own, whatever file is there.
    fs::write(site.directory.path().join("files/old"), "x").unwrap();
    jobs.shared.clean(now(), now(), Work::RemoveFiles { files: vec!["old".to_owned()] }).await;
    until(|| jobs.list().is_empty()).await;
    assert_eq!(site.names_in("files"), [""; 0]);
}

#[tokio::test]
async fn ways_of_the_site_to_give_images_to_nodes_are_made_ready_and_put_away() {
    let class = r#"
import os
class Plugin:
    fetch = "ipfs get"
    def create(self, image_file, files_path, server_ipaddress, server_port, server_protocol):
        os.link(files_path + "/" + image_file, files_path + "/" + image_file + ".ipfs")
        return True, "pinned"
    def cleanup(self, files_path, image_file):
        os.unlink(files_path + "/" + image_file + ".ipfs")
        return True, "unpinned"
"#;
    let fails = "#!/bin/sh\necho no peers >&2; exit 1\n";
    let mut site =
        site(&[("boot/provision/ipfs.py", class), ("boot/provision/flute", fails)]).await;
    let named = site.cluster.commit(Meta::default(), |draft| {
        let mut settings = perilune_model::settings::Settings::clone(draft.settings());
        settings.provision_method = Some("ipfs".to_owned().into());
        settings.provision_fallback = Some("flute".to_owned().into());
        draft.put(settings).map(drop)
    });
    named.await.unwrap();
    let jobs = site.start().await;
    let (texts, _) = do_it(&jobs, pack("compute")).await;
    let told = |text: &str| texts.iter().any(|told| told == text);
    assert!(told("created ipfs provisioning for osimage compute"), "{texts:?}");
    assert!(told("created http provisioning for osimage compute"), "one that fails stops nothing");
    let failure = texts.iter().find(|text| text.starts_with("failed creating flute")).unwrap();
    assert!(failure.ends_with("no peers"), "{failure}");
    let archive = site.image("compute").files.imagefile.unwrap();
    let made = format!("{archive}.ipfs");
    assert!(site.names_in("files").contains(&made));
    do_it(&jobs, pack("compute")).await;
    let gone = Work::RemoveFiles { files: vec![archive.clone()] };
    fs::remove_file(site.directory.path().join("plugins/boot/provision/flute")).unwrap();
    jobs.shared.clean(now(), now(), gone).await;
    until(|| !site.names_in("files").contains(&archive)).await;
    assert!(!site.names_in("files").contains(&made));
}
