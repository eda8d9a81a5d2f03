//! A backup of a running daemon becomes the same daemon elsewhere.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use perilune_daemon::backup::{restore, verify};
use serde_json::json;

use crate::image_site::ImageSite;

const EXPORT: &str = "/config/export?secrets=true";

fn site() -> ImageSite {
    let site = ImageSite::start();
    site.describe();
    let secret = json!({ "config": { "secrets": { "node": { "node001": [{ "name": "key", "content": "c2VjcmV0", "path": "/etc/key" }] } } } });
    assert!(site.post("/config/secrets/node/node001", &secret).0 < 300);
    let data = site.directory.path().join("data");
    for (file, text) in [
        ("plugins/boot/scripts/burnin/prescript", "echo burnin"),
        ("templates/templ_boot_disk.cfg", "#!ipxe\n# own"),
    ] {
        let path = data.join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
    }
    fs::write(site.files().join("vmlinuz-1"), "kernel").unwrap();
    // Templates are looked for when the daemon starts.
    site.restart()
}

#[test]
fn a_restored_daemon_says_what_the_other_said() {
    let site = site();
    let export = site.get(EXPORT).1;
    let secrets = site.get("/config/secrets/node/node001").1;
    let (code, bytes) = site.bytes("/backup", site.token());
    assert_eq!(code, 200);
    let manifest = verify(bytes.as_slice()).unwrap();
    assert!(manifest.files.contains_key("plugins/boot/scripts/burnin/prescript"), "{manifest:?}");
    assert!(!manifest.files.contains_key("files/vmlinuz-1"), "{manifest:?}");
    let elsewhere = tempfile::tempdir().unwrap();
    let data = elsewhere.path().join("data");
    assert_eq!(restore(bytes.as_slice(), &data).unwrap(), manifest);
    let former = site.directory.path().display().to_string();
    let configuration = fs::read_to_string(data.join("luna.ini")).unwrap();
    assert!(!configuration.contains(&former), "{configuration}");
    for file in ["luna.ini", "luna.key", "perilune.db"] {
        let mode = fs::metadata(data.join(file)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{file}");
    }
    let password = site.password();
    drop(site);
    let restored = ImageSite::start_over(elsewhere);
    assert_eq!(restored.password(), password);
    assert_eq!(restored.get(EXPORT).1, export);
    assert_eq!(restored.get("/config/secrets/node/node001").1, secrets);
    assert_eq!(restored.text_from("/boot/disk", "10.141.200.7").1, "#!ipxe\n# own");
    let left: Vec<_> = fs::read_dir(restored.directory.path().join("data")).unwrap().collect();
    let names = left.iter().map(|entry| entry.as_ref().unwrap().file_name());
    assert!(!names.into_iter().any(|name| name.to_string_lossy().starts_with("backup-")));
}

#[test]
fn packed_images_are_in_a_backup_that_was_asked_for_with_them() {
    let site = site();
    let (_, bytes) = site.bytes("/backup?images=true", site.token());
    let elsewhere = tempfile::tempdir().unwrap();
    let data = elsewhere.path().join("data");
    assert!(restore(bytes.as_slice(), &data).unwrap().with_images);
    assert_eq!(fs::read_to_string(data.join("files/vmlinuz-1")).unwrap(), "kernel");
    drop(site);
    let restored = ImageSite::start_over(elsewhere);
    assert_eq!(restored.bytes("/files/vmlinuz-1", "").1, b"kernel");
}

#[test]
fn only_administrators_take_backups_and_no_copy_is_left_behind() {
    let site = site();
    assert_eq!(site.bytes("/backup", "").0, 401);
    let node = site.node_token("node001");
    assert_eq!(site.bytes("/backup", &node).0, 403);
    assert_eq!(site.bytes("/backup?images=perhaps", site.token()).0, 400);
    site.bytes("/backup", site.token());
    let entries = fs::read_dir(site.directory.path().join("data")).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned());
    let left: Vec<String> = names.filter(|name| name.starts_with("backup-")).collect();
    assert_eq!(left, [""; 0]);
}

#[test]
fn a_data_directory_that_is_moved_is_the_same_daemon() {
    let site = site();
    let export = site.get(EXPORT).1;
    let secrets = site.get("/config/secrets/node/node001").1;
    let elsewhere = tempfile::tempdir().unwrap();
    let (from, to) = (site.directory.path().join("data"), elsewhere.path().join("data"));
    let moved = site.stopped();
    fs::rename(from, to).unwrap();
    drop(moved);
    let site = ImageSite::start_over(elsewhere);
    assert_eq!(site.get(EXPORT).1, export);
    assert_eq!(site.get("/config/secrets/node/node001").1, secrets);
}
