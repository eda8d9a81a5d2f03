use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt as _, chown, symlink};

use super::*;

const SOMEBODY: u32 = 65534;

/// A directory of images with a tree `compute`; nothing where this is not root, who alone can own one.
fn fence() -> Option<(tempfile::TempDir, Fence)> {
    let is_root = rustix::process::geteuid().is_root();
    assert!(is_root || std::env::var_os("CI").is_none(), "this test needs root");
    let directory = tempfile::tempdir().unwrap();
    // What is there may be somebody else's, as long as root's own stays in its place.
    fs::set_permissions(directory.path(), Permissions::from_mode(0o1777)).unwrap();
    let images = directory.path().join("images");
    fs::create_dir_all(images.join("site/compute/usr")).unwrap();
    fs::create_dir(images.join("compute")).unwrap();
    is_root.then_some((directory, Fence { images, user: SOMEBODY }))
}

fn refused(fence: &Fence, path: &Path) -> String {
    fence.check(path).unwrap_err().to_string()
}

#[test]
fn trees_below_the_directory_of_images_are_worked_on_and_new_ones_made() {
    let Some((_directory, fence)) = fence() else { return };
    for path in ["compute", "site/compute", "new", "site/new", "new/below/new"] {
        fence.check(&fence.images.join(path)).unwrap();
    }
}

#[test]
fn nothing_else_is() {
    let Some((_directory, fence)) = fence() else { return };
    let images = &fence.images;
    let outside = [
        PathBuf::from("/"),
        PathBuf::from("/etc"),
        PathBuf::from("images/compute"),
        PathBuf::new(),
        images.clone(),
        images.join("../images"),
        images.join("compute/../../other"),
        images.join(".."),
        images.parent().unwrap().join("images-of-others"),
    ];
    for path in outside {
        assert!(refused(&fence, &path).contains("it is not below"), "{}", path.display());
    }
}

#[test]
fn a_link_is_not_followed_wherever_it_is() {
    let Some((_directory, fence)) = fence() else { return };
    symlink("/etc", fence.images.join("link")).unwrap();
    symlink("compute", fence.images.join("inner")).unwrap();
    for path in ["link", "link/ssh", "inner", "inner/usr"] {
        let reason = refused(&fence, &fence.images.join(path));
        assert!(reason.contains("a link is not followed"), "{reason}");
    }
    let moved = fence.images.with_file_name("moved");
    fs::rename(&fence.images, &moved).unwrap();
    symlink(&moved, &fence.images).unwrap();
    let reason = refused(&fence, &fence.images.join("compute"));
    assert!(reason.contains("a link is not followed"), "{reason}");
}

#[test]
fn what_others_than_root_could_replace_is_left_alone() {
    let Some((directory, fence)) = fence() else { return };
    let tree = fence.images.join("site/compute");
    chown(fence.images.join("site"), Some(SOMEBODY), None).unwrap();
    let reason = refused(&fence, &tree);
    assert!(reason.contains("belongs to the user 65534"), "{reason}");
    chown(fence.images.join("site"), Some(0), Some(SOMEBODY)).unwrap();
    for mode in [0o775, 0o757] {
        fs::set_permissions(fence.images.join("site"), Permissions::from_mode(mode)).unwrap();
        let reason = refused(&fence, &tree);
        assert!(reason.contains("others than root can write to"), "{reason}");
    }
    fs::set_permissions(fence.images.join("site"), Permissions::from_mode(0o755)).unwrap();
    fence.check(&tree).unwrap();
    // The directory of images itself can be another in no time when its own directory is not sticky.
    fs::set_permissions(directory.path(), Permissions::from_mode(0o777)).unwrap();
    let reason = refused(&fence, &tree);
    assert!(reason.contains("others than root can write to"), "{reason}");
    fs::set_permissions(directory.path(), Permissions::from_mode(0o1777)).unwrap();
    // In a place of everybody, nothing new is made: it could be there in the next moment.
    fs::rename(&fence.images, directory.path().join("gone")).unwrap();
    assert!(refused(&fence, &tree).contains("others than root can write to"));
}

#[test]
fn numbers_of_requests_are_no_paths() {
    for number in ["1767348000.123", "1-2_3"] {
        plain(number).unwrap();
    }
    for number in ["", "../1", "1/2", "1 2", "ü", &"1".repeat(65)] {
        assert!(plain(number).is_err(), "{number}");
    }
}
