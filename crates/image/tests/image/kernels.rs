//! Which kernel is packed, and where it is found.

use std::{fs, path::Path};

use crate::trees::{Bench, VERSION};

/// Adds a kernel of this version with modules; the kernel's file is at `place`, where there is one.
fn add(bench: &Bench, version: &str, place: Option<&str>) {
    let base = bench.image.path().join("usr/lib/modules").join(version);
    fs::create_dir_all(base.join("kernel")).unwrap();
    fs::write(base.join("modules.dep"), "").unwrap();
    if let Some(place) = place {
        let file = bench.image.path().join(place);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, version).unwrap();
    }
}

/// The version that is packed, what its file has in it, and what is said about kernels.
fn packed(bench: &Bench) -> (String, String, String) {
    let packed = bench.pack().unwrap();
    let boot = packed.boot.unwrap();
    let file = fs::read_to_string(bench.files.path().join(boot.kernel_file)).unwrap();
    let notes: Vec<String> =
        packed.warnings.into_iter().filter(|note| note.contains("kernel")).collect();
    (boot.kernel_version, file, notes.join("; "))
}

#[test]
fn variants_of_a_newer_version_are_never_taken_unless_asked_for() {
    let mut bench = Bench::new();
    for version in ["6.2.0-1.x86_64+debug", "6.2.0-1-rt-amd64", "6.1.0-10-cloud-amd64"] {
        add(&bench, version, Some(&format!("boot/vmlinuz-{version}")));
    }
    let (version, _, notes) = packed(&bench);
    assert_eq!(version, VERSION);
    assert!(notes.contains(&format!("6.2.0-1.x86_64+debug, 6.2.0-1-rt-amd64, 6.1.0-10-cloud-amd64, {VERSION} the image packs {VERSION};")), "{notes}");
    bench.request.kernel_version = Some("6.2.0-1.x86_64+debug".to_owned());
    let (version, file, notes) = packed(&bench);
    assert_eq!(
        (version.as_str(), file.as_str(), notes.as_str()),
        ("6.2.0-1.x86_64+debug", "6.2.0-1.x86_64+debug", "")
    );
}

#[test]
fn a_variant_is_taken_when_there_is_nothing_else() {
    let bench = Bench::new();
    fs::remove_dir_all(bench.image.path().join("usr/lib/modules")).unwrap();
    add(&bench, "6.2.0-1-rt-amd64", Some("boot/vmlinuz-6.2.0-1-rt-amd64"));
    let (version, _, notes) = packed(&bench);
    assert_eq!((version.as_str(), notes.as_str()), ("6.2.0-1-rt-amd64", ""));
}

#[test]
fn newer_kernels_that_are_not_complete_are_passed_over_and_told() {
    let bench = Bench::new();
    add(&bench, "6.1.0-12-test", None);
    add(&bench, "6.1.0-11-test", Some("boot/vmlinuz-6.1.0-11-test"));
    fs::remove_file(bench.image.path().join("usr/lib/modules/6.1.0-11-test/modules.dep")).unwrap();
    add(&bench, "6.1.0-13-test", Some("boot/vmlinuz-6.1.0-13-test"));
    fs::write(bench.image.path().join("boot/vmlinuz-6.1.0-13-test"), "").unwrap();
    let (version, _, notes) = packed(&bench);
    assert_eq!(version, VERSION);
    assert!(notes.contains("6.1.0-13-test lacks its vmlinuz and was passed over"), "{notes}");
    assert!(notes.contains("6.1.0-12-test lacks its vmlinuz and was passed over"), "{notes}");
    assert!(notes.contains("6.1.0-11-test lacks modules.dep and was passed over"), "{notes}");
}

#[test]
fn kernels_are_found_where_distributions_have_them() {
    let new = "6.5.0-1-test";
    for place in [
        "usr/lib/modules/6.5.0-1-test/vmlinuz",
        "boot/0f4ac1cd/6.5.0-1-test/linux",
        "boot/efi/debian/6.5.0-1-test/linux",
        "efi/fedora/6.5.0-1-test/linux",
        "boot/kernel-6.5.0-1-test",
    ] {
        let bench = Bench::new();
        add(&bench, new, Some(place));
        let (version, file, _) = packed(&bench);
        assert_eq!((version.as_str(), file.as_str()), (new, new), "{place}");
    }
}

#[test]
fn an_entry_of_the_boot_loader_specification_names_the_kernel() {
    let bench = Bench::new();
    add(&bench, "6.5.0-1-test", Some("boot/kernels/linux.efi"));
    let entries = bench.image.path().join("boot/loader/entries");
    fs::create_dir_all(&entries).unwrap();
    let entry =
        "title Test\nversion 6.5.0-1-test\nlinux   /kernels/linux.efi\ninitrd /kernels/initrd\n";
    fs::write(entries.join("test.conf"), entry).unwrap();
    assert_eq!(packed(&bench).1, "6.5.0-1-test");
}

/// The beginning of a kernel for x86 that says this version.
fn kernel_image(version: &str) -> Vec<u8> {
    let mut image = vec![0; 0x400];
    image[0x202..0x206].copy_from_slice(b"HdrS");
    image[0x20e..0x210].copy_from_slice(&0x100u16.to_le_bytes());
    image.extend(vec![0; 0x200]);
    let text = format!("{version} (builder@host) #1 SMP");
    image[0x300..0x300 + text.len()].copy_from_slice(text.as_bytes());
    image
}

#[test]
fn a_kernel_without_a_version_in_its_name_is_that_of_its_modules() {
    let bench = Bench::new();
    let boot = bench.image.path().join("boot");
    add(&bench, "6.9.1-arch1-1", None);
    fs::write(boot.join("vmlinuz-linux"), kernel_image("6.9.1-arch1-1")).unwrap();
    assert_eq!(packed_version(&bench), "6.9.1-arch1-1");
    // It is that of another kernel.
    fs::write(boot.join("vmlinuz-linux"), kernel_image("6.9.2-arch1-1")).unwrap();
    assert_eq!(packed_version(&bench), VERSION);
    // Its modules name it.
    fs::write(boot.join("vmlinuz-linux"), "no header").unwrap();
    assert_eq!(packed_version(&bench), VERSION);
    let base = bench.image.path().join("usr/lib/modules/6.9.1-arch1-1/pkgbase");
    fs::write(base, "linux\n").unwrap();
    assert_eq!(packed_version(&bench), "6.9.1-arch1-1");
}

#[test]
fn the_only_kernel_may_have_a_name_that_says_nothing() {
    let bench = Bench::new();
    fs::remove_dir_all(bench.image.path().join("usr/lib/modules")).unwrap();
    fs::remove_dir_all(bench.image.path().join("boot")).unwrap();
    add(&bench, "6.9.1-arch1-1", Some("boot/vmlinuz-linux"));
    assert_eq!(packed_version(&bench), "6.9.1-arch1-1");
}

fn packed_version(bench: &Bench) -> String {
    assert!(Path::new(bench.image.path()).is_dir());
    bench.pack().unwrap().boot.unwrap().kernel_version
}
