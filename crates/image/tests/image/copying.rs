//! Copies of images.

use std::{fs, os::unix::fs::MetadataExt};

use perilune_image::{CancelFlag, Error, Mounts, copy_tree};

use crate::trees::image;

#[test]
fn a_copy_has_everything() {
    let image = image();
    fs::hard_link(image.path().join("etc/hostname"), image.path().join("etc/again")).unwrap();
    let place = tempfile::tempdir().unwrap();
    let destination = place.path().join("copy");
    let mut last = None;
    let warnings = copy_tree(
        image.path(),
        &destination,
        Mounts::Refuse,
        &mut |progress| last = Some(progress),
        &CancelFlag::default(),
    )
    .unwrap();
    assert_eq!(warnings, Vec::<String>::new());
    let last = last.unwrap();
    assert!(last.bytes_done > 0 && last.bytes_done == last.bytes_total, "{last:?}");
    let inode = |name: &str| fs::metadata(destination.join(name)).unwrap().ino();
    assert_eq!(inode("etc/hostname"), inode("etc/again"));
    let kernel = |root: &std::path::Path| fs::read(root.join("usr/bin/bash")).unwrap();
    assert!(kernel(image.path()) == kernel(&destination));
    assert_eq!(
        fs::read_link(destination.join("lib")).unwrap(),
        fs::read_link(image.path().join("lib")).unwrap()
    );
}

#[test]
fn a_copy_that_is_cancelled_is_removed() {
    let (image, place) = (image(), tempfile::tempdir().unwrap());
    let cancel = CancelFlag::default();
    let copied = copy_tree(
        image.path(),
        &place.path().join("copy"),
        Mounts::Refuse,
        &mut |_| cancel.cancel(),
        &cancel,
    );
    assert!(matches!(copied, Err(Error::Cancelled)));
    assert_eq!(fs::read_dir(place.path()).unwrap().count(), 0);
}

#[test]
fn what_is_there_is_never_touched() {
    let (image, place) = (image(), tempfile::tempdir().unwrap());
    fs::write(place.path().join("mine"), "").unwrap();
    let copied =
        copy_tree(image.path(), place.path(), Mounts::Refuse, &mut |_| (), &CancelFlag::default());
    assert!(matches!(copied, Err(Error::AlreadyThere { .. })));
    assert!(place.path().join("mine").exists());
}

#[test]
fn a_tree_is_not_copied_into_itself() {
    let image = image();
    let copied = copy_tree(
        image.path(),
        &image.path().join("var/copy"),
        Mounts::Refuse,
        &mut |_| (),
        &CancelFlag::default(),
    );
    assert!(matches!(copied, Err(Error::IntoItself { .. })));
    assert!(!image.path().join("var/copy").exists());
}
