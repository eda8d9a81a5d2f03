use std::fs;

use super::*;

fn manifest() -> Manifest {
    Manifest {
        format: FORMAT,
        program: "0".to_owned(),
        made_at: 1,
        revision: 7,
        with_images: false,
        files: BTreeMap::new(),
    }
}

fn text(name: &str, text: &str) -> Part {
    Part { name: name.to_owned(), source: Source::Text(text.to_owned()) }
}

fn backup(parts: Vec<Part>) -> Vec<u8> {
    let mut output = Vec::new();
    write(&mut output, parts, manifest()).unwrap();
    output
}

fn usual() -> Vec<Part> {
    let long = "x".repeat(300_000);
    vec![text("luna.ini", "[API]"), text("perilune.db", &long), text("plugins/a/b", "plugin")]
}

#[test]
fn what_is_written_is_restored_and_private_files_stay_private() {
    use std::os::unix::fs::PermissionsExt as _;
    let bytes = backup(usual());
    let manifest = verify(bytes.as_slice()).unwrap();
    assert_eq!((manifest.revision, manifest.files.len()), (7, 3));
    let directory = tempfile::tempdir().unwrap();
    let place = directory.path().join("new/data");
    assert_eq!(restore(bytes.as_slice(), &place).unwrap(), manifest);
    assert_eq!(fs::read_to_string(place.join("plugins/a/b")).unwrap(), "plugin");
    let mode = fs::metadata(place.join("perilune.db")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert!(!place.join(".restore").exists());
    let again = restore(bytes.as_slice(), &place).unwrap_err();
    assert!(matches!(again, Error::NotEmpty(_)), "{again}");
}

#[test]
fn a_backup_that_was_cut_off_or_changed_is_refused_and_leaves_nothing() {
    let bytes = backup(usual());
    let directory = tempfile::tempdir().unwrap();
    for length in (0..bytes.len()).step_by(1 + bytes.len() / 50) {
        let piece = &bytes[..length];
        assert!(verify(piece).is_err(), "{length}");
        assert!(restore(piece, directory.path()).is_err(), "{length}");
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0, "{length}");
    }
    for position in (0..bytes.len()).step_by(1 + bytes.len() / 50) {
        let mut changed = bytes.clone();
        changed[position] ^= 1;
        assert!(verify(changed.as_slice()).is_err(), "{position}");
    }
    // What a former try left behind is in nobody's way.
    fs::create_dir(directory.path().join(".restore")).unwrap();
    fs::write(directory.path().join(".restore/luna.ini"), "half").unwrap();
    restore(bytes.as_slice(), directory.path()).unwrap();
}

#[test]
fn members_that_lead_elsewhere_are_refused() {
    for name in ["../outside", "/etc/outside", ".restore/x"] {
        let mut archive = tar::Builder::new(zstd::Encoder::new(Vec::new(), 1).unwrap());
        let mut header = tar::Header::new_gnu();
        header.set_size(1);
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_cksum();
        archive.append(&header, b"x".as_slice()).unwrap();
        let bytes = archive.into_inner().unwrap().finish().unwrap();
        let directory = tempfile::tempdir().unwrap();
        let place = directory.path().join("data");
        let error = restore(bytes.as_slice(), &place).unwrap_err();
        assert!(error.to_string().contains("does not belong there"), "{name}: {error}");
        assert!(!directory.path().join("outside").exists());
    }
    let without = backup(vec![text("luna.ini", "")]);
    assert!(
        verify(without.as_slice()).unwrap_err().to_string().contains("'perilune.db' is missing")
    );
    let newer = Manifest { format: 9, ..manifest() };
    let mut output = Vec::new();
    write(&mut output, usual(), newer).unwrap();
    assert!(matches!(verify(output.as_slice()), Err(Error::Newer { found: 9 })));
}

#[test]
fn a_file_that_shrinks_meanwhile_fails_the_backup() {
    let mut archive = tar::Builder::new(Vec::new());
    let error = add(&mut archive, "short", 0o600, 10, b"123".as_slice()).unwrap_err();
    assert!(matches!(error, Error::Output(_)), "{error}");
}
