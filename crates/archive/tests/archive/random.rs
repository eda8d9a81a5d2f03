//! Names, sizes and holes nobody thought of.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    fs::File,
    os::unix::{ffi::OsStringExt, fs::FileExt},
};

use perilune_archive::unpack;
use proptest::prelude::*;

use crate::trees::{assert_same, go_on, packed, unpacked};

fn name() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(1u8..=255, 1..=255)
        .prop_map(|bytes| {
            bytes
                .into_iter()
                .map(|byte| if byte == b'/' { b'_' } else { byte })
                .collect::<Vec<u8>>()
        })
        .prop_filter("not a name", |bytes| bytes != b"." && bytes != b".." && bytes != b"left-out")
}

/// Data at some offsets (in sectors) of a file of some length.
fn contents() -> impl Strategy<Value = (u64, Vec<(u64, Vec<u8>)>)> {
    let piece = (0u64..4096, prop::collection::vec(any::<u8>(), 0..3000));
    (0u64..3_000_000, prop::collection::vec(piece, 0..12))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_names_and_holes_come_back(files in prop::collection::btree_map(name(), contents(), 0..8)) {
        let tree = tempfile::tempdir().unwrap();
        let files: BTreeMap<Vec<u8>, _> = files;
        for (name, (size, pieces)) in files {
            let file = File::create(tree.path().join(OsString::from_vec(name))).unwrap();
            file.set_len(size).unwrap();
            for (sector, data) in pieces {
                file.write_all_at(&data, sector * 512).unwrap();
            }
        }
        let copy = unpacked(&packed(tree.path()));
        assert_same(tree.path(), copy.path());
    }

    #[test]
    fn any_bytes_are_refused_without_a_panic(
        position in 0usize..20_000,
        change in prop::collection::vec(any::<u8>(), 1..600),
    ) {
        let tree = tempfile::tempdir().unwrap();
        std::fs::write(tree.path().join("n".repeat(200)), [1; 3000]).unwrap();
        File::create(tree.path().join("hole")).unwrap().set_len(1 << 20).unwrap();
        std::os::unix::fs::symlink("n", tree.path().join("link")).unwrap();
        let mut archive = packed(tree.path());
        for (to, from) in archive.iter_mut().skip(position).zip(change) {
            *to = from;
        }
        let target = tempfile::tempdir().unwrap();
        // Either is right: the change may be in the contents of a file.
        drop(unpack(&mut &archive[..], target.path(), &mut go_on));
    }
}
