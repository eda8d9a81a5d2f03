//! Who may read archives on the controller.

use std::fs;
use std::os::unix::fs::MetadataExt as _;

use crate::image_site::{ImageSite, until};

/// The mode and the group of the archive that an image has now.
fn readers(site: &ImageSite) -> (u32, u32) {
    let image = site.image("compute");
    let archive = site.files().join(image["imagefile"].as_str().unwrap());
    let found = fs::metadata(archive).unwrap();
    (found.mode() & 0o7777, found.gid())
}

/// Has the daemon go on with this group in its configuration.
fn with_group(site: ImageSite, group: &str) -> ImageSite {
    let file = site.directory.path().join("data/luna.ini");
    let text = fs::read_to_string(&file).unwrap();
    let is_group = |line: &&str| line.starts_with("GROUP = ");
    assert_eq!(text.lines().filter(is_group).count(), 1, "{text}");
    let lines = text.lines().map(|line| match Some(line).filter(is_group) {
        Some(_) => format!("GROUP = {group}\n"),
        None => format!("{line}\n"),
    });
    fs::write(&file, lines.collect::<String>()).unwrap();
    site.restart()
}

#[test]
fn archives_are_for_the_daemon_and_the_group_of_the_configuration() {
    let site = ImageSite::start();
    site.add_image("compute");
    assert_eq!(site.pack("compute").1, 200);
    let own = rustix::process::getegid().as_raw();
    assert_eq!(
        readers(&site),
        (0o640, own),
        "a configuration of ours names the daemon's own group"
    );
    if !rustix::process::geteuid().is_root() {
        assert!(std::env::var_os("CI").is_none(), "files are given to another group by root");
        eprintln!("SKIPPED: files are given to another group by root");
        return;
    }
    // One that was packed before, and one that is packed from now on.
    let site = with_group(site, "12345");
    until(|| readers(&site) == (0o640, 12345));
    assert_eq!(site.pack("compute").1, 200);
    assert_eq!(readers(&site), (0o640, 12345));
    let site = with_group(site, "");
    // What is packed within one second has one name, and is not written again.
    let archive = || site.image("compute")["imagefile"].clone();
    let former = archive();
    until(|| site.pack("compute").1 == 200 && archive() != former);
    assert_eq!(readers(&site).0, 0o644, "sites that were moved say nothing");
}
