//! Layouts, and what sfdisk makes of them.

use perilune_agent::disk::Firmware;
use perilune_agent::disk::devices::Disk;
use perilune_agent::disk::layout::{Target, decide};
use perilune_agent::tool;
use perilune_plan::DiskLayout;

const GIBIBYTE: u64 = 1 << 30;

fn disks(size: u64) -> Vec<Disk> {
    vec![Disk::new("vda", size), Disk::new("vdb", size)]
}

fn layout(json: &str) -> DiskLayout {
    serde_json::from_str(json).unwrap()
}

fn refusal(json: &str, size: u64, firmware: Firmware) -> String {
    decide(&layout(json), &disks(size), firmware, Some(GIBIBYTE)).unwrap_err().to_string()
}

/// Has sfdisk carry a script out on a file, and returns each partition's type and size in MiB.
fn carried_out(target: &Target<'_>) -> Vec<(String, u64)> {
    let file = tempfile::NamedTempFile::new().unwrap();
    file.as_file().set_len(target.disk.size).unwrap();
    let words = ["--quiet".as_ref(), file.path().as_os_str()];
    tool::feed("sfdisk", words, &target.script()).unwrap();
    let words = ["--json".as_ref(), file.path().as_os_str()];
    let table: serde_json::Value =
        serde_json::from_str(&tool::run("sfdisk", words).unwrap()).unwrap();
    assert_eq!(table["partitiontable"]["label"], "gpt");
    let partitions = table["partitiontable"]["partitions"].as_array().unwrap();
    partitions
        .iter()
        .map(|partition| {
            let kind = partition["type"].as_str().unwrap();
            (kind.split('-').next().unwrap().to_owned(), partition["size"].as_u64().unwrap() >> 11)
        })
        .collect()
}

#[test]
fn the_default_layout_fits_the_firmware() {
    let disks = disks(8 * GIBIBYTE);
    let uefi = decide(&DiskLayout::default(), &disks, Firmware::Uefi, Some(GIBIBYTE)).unwrap();
    assert_eq!(uefi[0].disk.name, "vda");
    let made = carried_out(&uefi[0]);
    assert_eq!(made[0], ("C12A7328".to_owned(), 512));
    assert!(made[1].0 == "0FC63DAF" && (7600..7700).contains(&made[1].1), "{made:?}");
    let bios = decide(&DiskLayout::default(), &disks, Firmware::Bios, None).unwrap();
    assert_eq!(carried_out(&bios[0])[0], ("21686148".to_owned(), 1));
}

#[test]
fn a_layout_over_two_disks_is_carried_out() {
    let text = r#"{"disks": [
        {"device": "/dev/vda", "partitions": [
            {"size": "256M", "filesystem": "esp"}, {"size": "2G", "filesystem": "swap"},
            {"filesystem": "xfs", "mount": "/", "label": "root"}]},
        {"device": "/dev/vdb", "partitions": [{"filesystem": "ext4", "mount": "/scratch", "options": "noatime"}]}]}"#;
    let disks = disks(16 * GIBIBYTE);
    let targets = decide(&layout(text), &disks, Firmware::Uefi, Some(GIBIBYTE)).unwrap();
    let kinds: Vec<String> = carried_out(&targets[0]).into_iter().map(|(kind, _)| kind).collect();
    assert_eq!(kinds, ["C12A7328", "0657FD6D", "0FC63DAF"]);
    assert_eq!(carried_out(&targets[0])[1].1, 2048);
    assert_eq!(targets[1].partitions[0].options.as_deref(), Some("noatime"));
}

#[test]
fn what_is_named_is_not_chosen_for_another_place() {
    let text = r#"{"disks": [
        {"pick": "largest", "partitions": [
            {"size": "1M", "filesystem": "bios"}, {"filesystem": "ext4", "mount": "/"}]},
        {"device": "/dev/vda", "partitions": [{"filesystem": "ext4", "mount": "/scratch"}]}]}"#;
    let disks = disks(16 * GIBIBYTE);
    let targets = decide(&layout(text), &disks, Firmware::Bios, None).unwrap();
    let names: Vec<&str> = targets.iter().map(|target| target.disk.name.as_str()).collect();
    assert_eq!(names, ["vdb", "vda"]);
}

#[test]
fn what_cannot_be_is_refused_before_anything_is_touched() {
    let small = refusal(r#"{"disks": []}"#, 400 << 20, Firmware::Uefi);
    assert!(small.contains("/dev/vda is too small: it has 400 MiB"), "{small}");
    let xfs = r#"{"disks": [{"partitions": [{"size": "64M", "filesystem": "esp"}, {"filesystem": "xfs", "mount": "/"}]}]}"#;
    let least = decide(&layout(xfs), &disks(300 << 20), Firmware::Uefi, None).unwrap_err();
    assert!(least.to_string().contains("the layout needs 368 MiB"), "{least}");
    let root = refusal(r#"{"disks": []}"#, GIBIBYTE, Firmware::Uefi);
    assert!(root.contains("the root on /dev/vda is too small"), "{root}");
    let only_root = r#"{"disks": [{"partitions": [{"filesystem": "ext4", "mount": "/"}]}]}"#;
    assert!(refusal(only_root, 8 * GIBIBYTE, Firmware::Uefi).contains("'esp'"));
    assert!(refusal(only_root, 8 * GIBIBYTE, Firmware::Bios).contains("'bios'"));
    let none = r#"{"disks": [{"device": "/dev/sdz", "partitions": [{"filesystem": "ext4", "mount": "/"}]}]}"#;
    assert!(refusal(none, 8 * GIBIBYTE, Firmware::Uefi).contains("no disk /dev/sdz"));
    let huge = r#"{"disks": [{"partitions": [{"size": "16000000T", "filesystem": "ext4", "mount": "/"},
                              {"size": "16000000T", "filesystem": "swap"}]}]}"#;
    assert!(refusal(huge, GIBIBYTE, Firmware::Uefi).contains("too small"));
}

#[test]
fn every_partition_has_an_identity_of_its_own() {
    let disks = disks(8 * GIBIBYTE);
    let first = decide(&DiskLayout::default(), &disks, Firmware::Uefi, None).unwrap();
    let second = decide(&DiskLayout::default(), &disks, Firmware::Uefi, None).unwrap();
    let root = &first[0].partitions[1];
    assert_ne!(root.identity, second[0].partitions[1].identity);
    let esp = first[0].partitions[0].table_identity();
    assert!(esp.len() == 9 && esp.contains('-'), "{esp}");
}
