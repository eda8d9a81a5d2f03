//! A disk without room: what is refused, what is still stored, and that it goes on when there is room again.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use perilune_testkit::Limit;
use perilune_testkit::process::{command, run};
use serde_json::json;

use crate::image_site::ImageSite;

/// A small file system; gone when this is dropped.
struct Disk(PathBuf);

impl Disk {
    fn mount(place: &Path) -> Self {
        std::fs::create_dir_all(place).unwrap();
        let mut mount = command("mount");
        mount.args(["-t", "tmpfs", "-o", "size=128m", "none"]).arg(place);
        run(&mut mount, &Limit::seconds(10)).unwrap();
        Self(place.to_owned())
    }

    fn fill(&self) {
        let mut filler = File::create(self.0.join("filler")).unwrap();
        for size in [1 << 20, 4096, 1] {
            while filler.write_all(&vec![7; size]).is_ok() {}
        }
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        run(command("umount").arg("--lazy").arg(&self.0), &Limit::seconds(10)).ok();
    }
}

#[test]
fn a_full_disk_refuses_changes_and_loses_nothing_that_was_answered() {
    let directory = tempfile::tempdir().unwrap();
    let disk = Disk::mount(&directory.path().join("data"));
    let site = ImageSite::start_over(directory);
    site.describe();
    let token = site.node_token("node001");
    assert!(!site.get("/monitor/warnings").1.to_string().contains("(507)"));

    disk.fill();
    let late = json!({ "config": { "group": { "late": {} } } });
    let (code, answer) = site.post("/config/group/late", &late);
    assert_eq!((code, &answer["code"]), (507, &json!("disk_full")), "{answer}");
    assert!(answer["message"].as_str().unwrap().contains("make room"), "{answer}");
    assert_eq!(site.get("/config/group/late").0, 404, "nothing is half done");
    let success = json!({ "monitor": { "status": { "node001": { "state": "install.success" } } } });
    let (code, answer) = site.post_as("/monitor/node/node001", &success, &token);
    assert_eq!(code, 204, "{answer}");
    let warnings = site.get("/monitor/warnings").1.to_string();
    assert!(warnings.contains("(507)") && warnings.contains("MiB left"), "{warnings}");

    // What was answered outlives a restart, also while there is no room.
    let site = site.restart();
    let state =
        site.get("/monitor/node/node001").1["monitor"]["status"]["node001"]["state"].clone();
    assert_eq!(state, "install.success");
    assert_eq!(site.post("/config/group/late", &late).0, 507);
    std::fs::remove_file(disk.0.join("filler")).unwrap();
    assert_eq!(site.post("/config/group/late", &late).0, 201, "there is room again");
    assert!(!site.get("/monitor/warnings").1.to_string().contains("(507)"));
    let directory = site.stopped();
    drop(disk);
    drop(directory);
}
