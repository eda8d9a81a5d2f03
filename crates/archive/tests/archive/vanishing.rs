//! Trees that change while they are read: what is missing is told, or nothing is made.

use std::{
    fs,
    ops::ControlFlow,
    path::{Path, PathBuf},
};

use perilune_archive::{Error, Options, Summary, copy, pack};

/// `a/0` to `a/9`, `b/0` to `b/9` and `z`, with the whole tree in a directory of its own.
fn tree() -> (tempfile::TempDir, PathBuf) {
    let place = tempfile::tempdir().unwrap();
    let tree = place.path().join("tree");
    for directory in ["a", "b"] {
        fs::create_dir_all(tree.join(directory)).unwrap();
        for number in 0..10 {
            fs::write(tree.join(directory).join(number.to_string()), "content").unwrap();
        }
    }
    fs::write(tree.join("z"), "last").unwrap();
    (place, tree)
}

/// Packs, and copies, a tree to which `happens` after five of its files were read.
fn read_while(happens: impl Fn(&Path)) -> [Result<Summary, Error>; 2] {
    [false, true].map(|copies| {
        let (place, tree) = tree();
        let mut told = 0;
        let mut progress = |_| {
            told += 1;
            if told == 5 {
                happens(&tree);
            }
            ControlFlow::Continue(())
        };
        if copies {
            let destination = place.path().join("copy");
            fs::create_dir(&destination).unwrap();
            copy(&tree, &destination, &Options::default(), &mut progress)
        } else {
            pack(&tree, &mut Vec::new(), &Options::default(), &mut progress)
        }
    })
}

#[test]
fn a_file_that_is_removed_is_told_and_the_others_are_there() {
    let results = read_while(|tree| {
        fs::remove_file(tree.join("a/7")).unwrap();
        fs::remove_file(tree.join("z")).unwrap();
    });
    for summary in results {
        let summary = summary.unwrap();
        assert_eq!(summary.members, 22);
        let warnings = summary.warnings.join("; ");
        assert!(summary.warnings.len() == 2 && warnings.contains("/a/7 vanished"), "{warnings}");
        assert!(warnings.contains("/z vanished"), "{warnings}");
    }
}

fn assert_vanished(results: [Result<Summary, Error>; 2], what: &str) {
    for result in results {
        let error = result.unwrap_err();
        assert!(matches!(&error, Error::Vanished { path } if path.ends_with(what)), "{error}");
        assert!(error.to_string().contains("start again"), "{error}");
    }
}

#[test]
fn a_tree_that_is_moved_away_fails() {
    let aside = |tree: &Path| fs::rename(tree, tree.with_file_name("aside")).unwrap();
    assert_vanished(read_while(aside), "tree/a");
}

#[test]
fn a_directory_that_is_removed_while_or_before_it_is_read_fails() {
    let gone =
        |name: &'static str| read_while(move |tree| fs::remove_dir_all(tree.join(name)).unwrap());
    assert_vanished(gone("a"), "tree/a");
    assert_vanished(gone("b"), "tree/b");
}

#[test]
fn another_directory_in_the_place_of_the_tree_fails_as_an_unmounted_one_does() {
    let replaced = |tree: &Path| {
        fs::rename(tree, tree.with_file_name("aside")).unwrap();
        fs::create_dir_all(tree.join("a")).unwrap();
    };
    assert_vanished(read_while(replaced), "tree/a");
}

#[test]
fn a_directory_that_is_emptied_and_goes_after_its_last_file_fails() {
    let (_place, tree) = tree();
    let mut told = 0;
    let mut progress = |_| {
        told += 1;
        match told {
            // a/5 is gone when it is looked for, the rest of the directory after its last file was read.
            5 => fs::remove_file(tree.join("a/5")).unwrap(),
            11 => fs::remove_dir_all(tree.join("a")).unwrap(),
            _ => {}
        }
        ControlFlow::Continue(())
    };
    let packed = pack(&tree, &mut Vec::new(), &Options::default(), &mut progress);
    assert!(matches!(packed, Err(Error::Vanished { .. })), "{packed:?}");
}
