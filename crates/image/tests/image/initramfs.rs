//! What is in the initramfs.

use std::{collections::BTreeMap, fs, path::Path};

use crate::trees::{Bench, Entry, VERSION, loaded_by, module};

fn modules_in(contents: &BTreeMap<String, Entry>) -> Vec<&str> {
    let files = contents.keys().filter_map(|path| path.rsplit('/').next());
    files.filter(|name| Path::new(name).extension().is_some_and(|end| end == "ko")).collect()
}

#[test]
fn the_agent_is_init() {
    let bench = Bench::new();
    let contents = bench.initramfs(&bench.pack().unwrap());
    assert_eq!(contents["init"].data, fs::read(&bench.request.agent).unwrap());
    assert_eq!(contents["init"].mode, 0o100_755);
    assert_eq!((contents["dev/console"].mode, contents["dev/console"].device), (0o020_600, (5, 1)));
}

#[test]
fn modules_for_network_and_disk_come_with_what_they_need_and_expanded() {
    let bench = Bench::new();
    let contents = bench.initramfs(&bench.pack().unwrap());
    assert_eq!(modules_in(&contents), ["crc-thing.ko", "card.ko", "ext4.ko", "card-helper.ko"]);
    let base = format!("usr/lib/modules/{VERSION}/kernel");
    let card = &contents[&format!("{base}/drivers/net/ethernet/maker/card.ko")];
    assert_eq!(card.data, module("card", &["net/card.bin", "net/none.bin"]));
    assert_eq!(contents[&format!("{base}/lib/card-helper.ko")].data, module("card_helper", &[]));
    assert_eq!(contents[&format!("{base}/fs/ext4/ext4.ko")].data, module("ext4", &[]));
}

#[test]
fn the_lists_of_modules_name_what_is_there() {
    let bench = Bench::new();
    let contents = bench.initramfs(&bench.pack().unwrap());
    let list =
        |name: &str| contents[&format!("usr/lib/modules/{VERSION}/{name}")].text().to_owned();
    assert_eq!(
        list("modules.dep"),
        "kernel/drivers/net/ethernet/maker/card.ko: kernel/lib/card-helper.ko\nkernel/lib/card-helper.ko:\n\
         kernel/crypto/crc-thing.ko:\nkernel/fs/ext4/ext4.ko:\n"
    );
    assert_eq!(list("modules.alias"), "alias pci:v00008086d* card\nalias crypto-crc crc_thing\n");
    assert_eq!(list("modules.softdep"), "softdep ext4 pre: crypto-crc post: nothing\n");
    assert_eq!(list("modules.order"), "kernel/fs/ext4/ext4.ko\n");
    assert_eq!(list("modules.builtin"), "kernel/drivers/char/built-in.ko\n");
}

#[test]
fn firmware_that_modules_name_goes_in_as_it_is() {
    let bench = Bench::new();
    let contents = bench.initramfs(&bench.pack().unwrap());
    assert_eq!(contents["usr/lib/firmware/net/card.bin.xz"].text(), "firmware");
    assert_eq!(contents.keys().filter(|name| name.contains("none.bin")).count(), 0);
}

#[test]
fn modules_are_added_and_left_out_as_asked() {
    let mut bench = Bench::new();
    bench.request.kernel_modules =
        ["noise, -card_helper", "built-in", "absent", ""].map(str::to_owned).to_vec();
    let packed = bench.pack().unwrap();
    // Without its helper the card's module is of no use either.
    assert_eq!(modules_in(&bench.initramfs(&packed)), ["crc-thing.ko", "ext4.ko", "noise.ko"]);
    let about_modules: Vec<_> =
        packed.warnings.iter().filter(|warning| warning.contains("module")).collect();
    assert_eq!(about_modules, ["the kernel of the image has no module absent"]);
}

#[test]
fn tools_bring_the_libraries_that_the_loader_would_load() {
    let bench = Bench::new();
    let contents = bench.initramfs(&bench.pack().unwrap());
    assert!(contents.contains_key("usr/bin/bash"));
    let expected = loaded_by(&fs::canonicalize("/bin/bash").unwrap());
    assert!(expected.len() >= 3, "{expected:?}");
    for library in expected {
        // The image of the test is merged, as its links say.
        let name = library.strip_prefix("/").unwrap().to_str().unwrap();
        let merged = format!("usr/{}", name.strip_prefix("usr/").unwrap_or(name));
        let found = contents
            .get(name)
            .or_else(|| contents.get(&merged))
            .unwrap_or_else(|| panic!("{name}"));
        assert_eq!(found.data, fs::read(&library).unwrap());
    }
}

#[test]
fn links_of_the_image_stay_links() {
    let bench = Bench::new();
    let contents = bench.initramfs(&bench.pack().unwrap());
    let links = [
        ("bin", "usr/bin"),
        ("lib", "usr/lib"),
        ("usr/bin/sh", "bash"),
        ("usr/bin/awk", "/etc/alternatives/awk"),
        ("etc/alternatives/awk", "/usr/bin/gawk"),
    ];
    for (link, target) in links {
        assert_eq!((contents[link].mode, contents[link].text()), (0o120_777, target), "{link}");
    }
    assert_eq!(contents["usr/bin/gawk"].text(), "#!/usr/bin/bash\n");
}

#[test]
fn what_the_image_lacks_is_told() {
    let packed = Bench::new().pack().unwrap();
    let [warning] = packed.warnings.as_slice() else { panic!("{:?}", packed.warnings) };
    assert!(warning.contains("sfdisk") && warning.contains("mkfs.ext4"), "{warning}");
    assert!(!warning.contains("bash") && !warning.contains("awk"), "{warning}");
}

#[test]
fn a_library_that_is_missing_is_told() {
    let bench = Bench::new();
    let bash = loaded_by(Path::new("/bin/bash"));
    let library = bash.iter().find(|path| path.to_str().unwrap().contains("libc.so")).unwrap();
    fs::remove_file(bench.image.path().join(library.strip_prefix("/").unwrap())).unwrap();
    let warnings = bench.pack().unwrap().warnings;
    assert!(
        warnings.iter().any(|warning| warning.contains("libc.so.6, which /usr/bin/bash needs")),
        "{warnings:?}"
    );
}

#[test]
fn an_old_kernel_gets_gzip() {
    let bench = Bench::new();
    let configuration = bench.image.path().join(format!("boot/config-{VERSION}"));
    fs::write(configuration, "CONFIG_RD_GZIP=y\n# CONFIG_RD_ZSTD is not set\n").unwrap();
    let packed = bench.pack().unwrap();
    let file = bench.files.path().join(&packed.boot.as_ref().unwrap().initrd_file);
    assert_eq!(fs::read(file).unwrap()[..2], [0x1f, 0x8b]);
    assert!(bench.initramfs(&packed).contains_key("init"));
}

#[test]
fn the_same_image_gives_the_same_initramfs() {
    let bench = Bench::new();
    let read = || {
        let packed = bench.pack().unwrap();
        fs::read(bench.files.path().join(packed.boot.unwrap().initrd_file)).unwrap()
    };
    assert!(read() == read());
}
