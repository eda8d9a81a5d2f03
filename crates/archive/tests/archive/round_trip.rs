use std::{fs, io::Cursor, ops::ControlFlow, os::unix::fs::MetadataExt};

use perilune_archive::{
    Error, HashingWriter, Options, Progress, compressor, copy, decompressor, measure, pack, unpack,
    unpack_verified,
};

use crate::trees::{assert_same, full_tree, go_on, packed, unpacked};

#[test]
fn a_tree_comes_back_as_it_was() {
    let tree = full_tree();
    let copy = unpacked(&packed(tree.path()));
    assert_same(tree.path(), copy.path());
}

#[test]
fn a_tree_is_copied_as_it_is() {
    let tree = full_tree();
    let destination = tempfile::tempdir().unwrap();
    let options = Options { one_file_system: true, empty_directories: Vec::new() };
    let summary = copy(tree.path(), destination.path(), &options, &mut go_on).unwrap();
    assert_eq!(summary.warnings, Vec::<String>::new());
    assert_same(tree.path(), destination.path());
    assert!(destination.path().join("tmp/left-out").exists());
}

#[test]
fn the_same_tree_gives_the_same_archive() {
    let tree = full_tree();
    assert!(packed(tree.path()) == packed(tree.path()));
}

#[test]
fn an_archive_may_be_unpacked_over_what_is_there() {
    let tree = full_tree();
    let archive = packed(tree.path());
    let copy = unpacked(&archive);
    fs::write(copy.path().join("etc/passwd"), "changed").unwrap();
    unpack(&mut &archive[..], copy.path(), &mut go_on).unwrap();
    assert_same(tree.path(), copy.path());
}

#[test]
fn a_file_of_holes_costs_nearly_nothing() {
    let tree = full_tree();
    assert!(packed(tree.path()).len() < 2 << 20, "{}", packed(tree.path()).len());
    let copy = unpacked(&packed(tree.path()));
    assert_eq!(fs::metadata(copy.path().join("only-hole")).unwrap().blocks(), 0);
}

#[test]
fn what_only_a_running_system_fills_is_left_out() {
    let tree = full_tree();
    let copy = unpacked(&packed(tree.path()));
    for directory in ["proc", "sys", "dev", "run", "tmp"] {
        assert_eq!(fs::read_dir(copy.path().join(directory)).unwrap().count(), 0, "{directory}");
    }
    assert!(!copy.path().join("socket").exists());
}

#[test]
fn the_measure_is_what_packing_reports() {
    let tree = full_tree();
    let totals = measure(tree.path(), &Options::default()).unwrap();
    let mut last = Progress::default();
    let mut watch = |progress| {
        last = progress;
        ControlFlow::Continue(())
    };
    let summary = pack(tree.path(), &mut std::io::sink(), &Options::default(), &mut watch).unwrap();
    assert_eq!((summary.members, summary.bytes), (last.members, last.bytes));
    // The socket is counted and not packed; allocation is by blocks.
    assert_eq!(totals.members, summary.members + 1);
    assert!(totals.bytes.abs_diff(summary.bytes) < 200_000, "{totals:?} {summary:?}");
}

#[test]
fn packing_and_unpacking_stop_when_told() {
    let tree = full_tree();
    let mut stop = |_| ControlFlow::Break(());
    let packing = pack(tree.path(), &mut std::io::sink(), &Options::default(), &mut stop);
    assert!(matches!(packing, Err(Error::Cancelled)));
    let target = tempfile::tempdir().unwrap();
    let unpacking = unpack(&mut &packed(tree.path())[..], target.path(), &mut stop);
    assert!(matches!(unpacking, Err(Error::Cancelled)));
}

pub(crate) fn compressed(plain: &[u8]) -> (Vec<u8>, String) {
    let mut encoder = compressor(HashingWriter::new(Vec::new())).unwrap();
    std::io::copy(&mut Cursor::new(plain), &mut encoder).unwrap();
    let (bytes, checksum, size) = encoder.finish().unwrap().finish();
    assert_eq!(size, bytes.len() as u64);
    (bytes, checksum)
}

#[test]
fn a_compressed_archive_is_verified_while_it_is_unpacked() {
    let tree = full_tree();
    let (bytes, checksum) = compressed(&packed(tree.path()));
    let target = tempfile::tempdir().unwrap();
    unpack_verified(&mut &bytes[..], &checksum, target.path(), &mut go_on).unwrap();
    assert_same(tree.path(), target.path());
}

#[test]
fn a_stream_tells_its_compression_itself() {
    let plain = packed(full_tree().path());
    for stream in [plain.clone(), compressed(&plain).0] {
        let mut found = Vec::new();
        decompressor(&stream[..]).unwrap().read_to_end(&mut found).unwrap();
        assert!(found == plain);
    }
    for (start, name) in
        [(&b"\x1f\x8b\x08\0"[..], "gzip"), (b"BZh9", "bzip2"), (b"\xfd7zXZ\0", "xz")]
    {
        let error = decompressor(start).err().unwrap();
        assert!(error.to_string().contains(name), "{error}");
    }
}
