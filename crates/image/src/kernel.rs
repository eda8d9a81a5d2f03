//! The kernels of an image.

use std::{
    cmp::Ordering,
    fs,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

use crate::{Error, tree::Tree};

/// The versions of the kernels in the image, the newest first.
pub fn kernel_versions(image: &Path) -> Result<Vec<String>, Error> {
    if !image.is_dir() {
        return Err(Error::NoTree { path: image.to_owned() });
    }
    let no_kernel = || Error::NoKernel { path: image.to_owned() };
    let modules = Tree::new(image).directory(Path::new("lib/modules")).ok_or_else(no_kernel)?;
    let failed = |error| Error::read(&modules, error);
    let mut versions = Vec::new();
    for entry in fs::read_dir(&modules).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        // A kernel that was removed leaves an empty directory behind now and then.
        let has_modules =
            entry.path().join("kernel").is_dir() || entry.path().join("modules.builtin").is_file();
        if let Ok(version) = entry.file_name().into_string()
            && has_modules
        {
            versions.push(version);
        }
    }
    if versions.is_empty() {
        return Err(no_kernel());
    }
    versions.sort_by(|one, other| by_version(other, one));
    Ok(versions)
}

/// The version of the kernel that is packed unless another is asked for.
pub fn newest_kernel_version(image: &Path) -> Result<String, Error> {
    choose(image, None, &mut Vec::new())
}

/// Whether the image has the kernel of this version; else which ones it has.
pub fn has_kernel(image: &Path, version: &str) -> Result<(), Error> {
    choose(image, Some(version), &mut Vec::new()).map(drop)
}

/// The version that is wanted; else the newest that is complete and no variant for a special purpose. What is passed over is told.
pub(crate) fn choose(
    image: &Path,
    wanted: Option<&str>,
    notes: &mut Vec<String>,
) -> Result<String, Error> {
    let available = kernel_versions(image)?;
    if let Some(wanted) = wanted {
        if available.iter().any(|version| version == wanted) {
            return Ok(wanted.to_owned());
        }
        return Err(Error::NoSuchKernel { wanted: wanted.to_owned(), available });
    }
    let tree = Tree::new(image);
    // Sorting is stable: within both kinds the newest stays the first.
    let mut preferred: Vec<&String> = available.iter().collect();
    preferred.sort_by_key(|version| is_variant(version));
    let lacks = |version: &str| {
        if file_of(&tree, version).is_err() {
            return Some("its vmlinuz");
        }
        let list = Path::new("lib/modules").join(version).join("modules.dep");
        tree.file(&list).is_none().then_some("modules.dep")
    };
    let Some(taken) = preferred.iter().find(|version| lacks(version).is_none()) else {
        // What it lacks is told when it is looked for.
        let first = preferred.into_iter().next().cloned();
        return first.ok_or_else(|| Error::NoKernel { path: image.to_owned() });
    };
    for version in preferred.iter().take_while(|version| version != &taken) {
        if let Some(missing) = lacks(version) {
            notes.push(format!("the kernel {version} lacks {missing} and was passed over"));
        }
    }
    if available.len() > 1 {
        notes.push(format!(
            "of the kernels {} the image packs {taken}; kernelversion chooses another",
            available.join(", ")
        ));
    }
    Ok((*taken).clone())
}

/// What makers of distributions call kernels beside their usual one.
const VARIANTS: [&str; 23] = [
    "16k",
    "64k",
    "64kb",
    "aws",
    "azure",
    "cloud",
    "dbg",
    "debug",
    "gcov",
    "gcp",
    "kasan",
    "kcsan",
    "kdump",
    "kvm",
    "kvmsmall",
    "lowlatency",
    "oracle",
    "preempt",
    "realtime",
    "rt",
    "trace",
    "xen",
    "zfcpdump",
];

/// Whether a kernel is one for a special purpose: `5.14.0-427.el9.x86_64+debug`, `6.1.0-9-rt-amd64`, `4.18.0-553.rt7.342.el8.x86_64`.
fn is_variant(version: &str) -> bool {
    let is_added = version.split_once('+').is_some_and(|(_, added)| !added.is_empty());
    let version = version.to_ascii_lowercase();
    let mut words = version.split(|character: char| !character.is_ascii_alphanumeric());
    is_added
        || words.any(|word| {
            VARIANTS.contains(&word)
                || word.strip_prefix("rt").is_some_and(|number| {
                    !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
                })
        })
}

/// The kernel itself. One without anything in it is what an installation leaves that broke off.
pub(crate) fn file_of(tree: &Tree, version: &str) -> Result<PathBuf, Error> {
    let has_contents = |found: &PathBuf| fs::metadata(found).is_ok_and(|found| found.len() > 0);
    let modules = Path::new("lib/modules").join(version);
    let usual = [
        Path::new("boot").join(format!("vmlinuz-{version}")),
        modules.join("vmlinuz"),
        Path::new("boot").join(format!("Image-{version}")),
        modules.join("Image"),
        Path::new("boot").join(format!("kernel-{version}")),
        Path::new("boot").join(format!("vmlinux-{version}")),
    ];
    let found = usual
        .iter()
        .find_map(|place| tree.file(place).filter(has_contents))
        .or_else(|| of_boot_loader_specification(tree, version))
        .or_else(|| without_version(tree, version));
    found.filter(has_contents).ok_or_else(|| Error::NoKernelFile { version: version.to_owned() })
}

/// Where the partition for boot loaders is mounted in a system, or would be.
const BOOT_DIRECTORIES: [&str; 3] = ["boot", "boot/efi", "efi"];

/// The kernel by the Boot Loader Specification: named by an entry, or at `TOKEN/VERSION/linux`.
fn of_boot_loader_specification(tree: &Tree, version: &str) -> Option<PathBuf> {
    for boot in BOOT_DIRECTORIES.map(Path::new) {
        for file in names_in(tree, &boot.join("loader/entries")) {
            let text = tree.file(&file).and_then(|file| fs::read_to_string(file).ok());
            let text = text.unwrap_or_default();
            let value = |key: &str| {
                let mut lines =
                    text.lines().filter_map(|line| line.split_once(char::is_whitespace));
                lines.find(|(found, _)| *found == key).map(|(_, value)| value.trim())
            };
            if value("version") != Some(version) {
                continue;
            }
            // Paths start at the partition; where that is the root itself, at the root.
            let place = value("linux").map(|place| place.trim_start_matches('/'));
            let found = place.and_then(|place| {
                tree.file(&boot.join(place)).or_else(|| tree.file(Path::new(place)))
            });
            if found.is_some() {
                return found;
            }
        }
        for token in names_in(tree, boot) {
            if let Some(found) = tree.file(&token.join(version).join("linux")) {
                return Some(found);
            }
        }
    }
    None
}

/// A kernel whose file name has no version, as Arch and Alpine name theirs. It tells its version itself, or its modules tell the name; one
/// that tells nothing belongs to the only kernel there is.
fn without_version(tree: &Tree, version: &str) -> Option<PathBuf> {
    let modules = Path::new("lib/modules").join(version);
    let base = tree.file(&modules.join("pkgbase")).and_then(|file| fs::read_to_string(file).ok());
    if let Some(base) = base {
        let place = Path::new("boot").join(format!("vmlinuz-{}", base.trim()));
        if let Some(found) =
            tree.file(&place).filter(|found| told_version(found).is_none_or(|told| told == version))
        {
            return Some(found);
        }
    }
    let is_only = names_in(tree, Path::new("lib/modules")).len() == 1;
    names_in(tree, Path::new("boot")).iter().find_map(|place| {
        let name = place.file_name()?.to_str()?;
        let is_kernel = ["vmlinuz", "bzImage", "Image"].iter().any(|start| name.starts_with(start));
        // A version in the name is that of another kernel.
        let has_version = name.bytes().any(|byte| byte.is_ascii_digit());
        let found = tree.file(place).filter(|_| is_kernel)?;
        match told_version(&found) {
            Some(told) => (told == version).then_some(found),
            None => (is_only && !has_version).then_some(found),
        }
    })
}

/// The version in the header of a kernel for x86 (Documentation/arch/x86/boot.rst).
fn told_version(file: &Path) -> Option<String> {
    let file = fs::File::open(file).ok()?;
    let mut header = [0; 0x210];
    file.read_exact_at(&mut header, 0).ok()?;
    if header.get(0x202..0x206) != Some(b"HdrS") {
        return None;
    }
    let at = u16::from_le_bytes(header.get(0x20e..0x210)?.try_into().ok()?);
    let mut text = [0; 128];
    let count = file.read_at(&mut text, 0x200 + u64::from(at)).ok()?;
    let text = text.get(..count)?.split(|byte| *byte == 0 || *byte == b' ').next()?;
    Some(String::from_utf8_lossy(text).into_owned())
}

/// What is in a directory of the image, in order.
fn names_in(tree: &Tree, directory: &Path) -> Vec<PathBuf> {
    let entries = tree.directory(directory).and_then(|found| fs::read_dir(found).ok());
    let names = entries.into_iter().flatten().filter_map(|entry| Some(entry.ok()?.file_name()));
    let mut places: Vec<PathBuf> = names.map(|name| directory.join(name)).collect();
    places.sort();
    places
}

/// Whether the kernel can unpack an initramfs that is compressed with zstd. All can since 5.9, so a kernel whose
/// configuration is not at hand is taken for one that can.
pub(crate) fn reads_zstd(tree: &Tree, version: &str) -> bool {
    let places = [format!("boot/config-{version}"), format!("lib/modules/{version}/config")];
    let configuration =
        places.iter().find_map(|place| fs::read_to_string(tree.file(Path::new(place))?).ok());
    configuration.is_none_or(|text| text.lines().any(|line| line.trim() == "CONFIG_RD_ZSTD=y"))
}

/// Numbers compare as numbers: 5.14.0-70 is older than 5.14.0-427.
fn by_version(one: &str, other: &str) -> Ordering {
    pieces(one).cmp(pieces(other))
}

/// A word is older than a number: 6.12.0-rc3 came before 6.12.0-1.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Piece<'a> {
    Word(&'a str),
    /// How many digits there are without leading zeros, and those digits.
    Number(usize, &'a str),
}

fn pieces(version: &str) -> impl Iterator<Item = Piece<'_>> {
    let mut rest = version;
    std::iter::from_fn(move || {
        rest = rest.trim_start_matches(|character: char| !character.is_alphanumeric());
        let is_number = rest.starts_with(|character: char| character.is_ascii_digit());
        let end = rest.find(|character: char| {
            !character.is_alphanumeric() || character.is_ascii_digit() != is_number
        });
        let (piece, tail) = rest.split_at(end.unwrap_or(rest.len()));
        rest = tail;
        let digits = piece.trim_start_matches('0');
        let piece =
            if is_number { Piece::Number(digits.len(), digits) } else { Piece::Word(piece) };
        (piece != Piece::Word("")).then_some(piece)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variants_are_told_from_usual_kernels() {
        for usual in [
            "5.14.0-427.el9.x86_64",
            "4.18.0-553.el8_10.x86_64",
            "6.1.0-9-amd64",
            "6.8.0-45-generic",
            "6.4.0-150600.21-default",
            "6.9.1-arch1-1",
            "6.9.1-1.el9.elrepo.x86_64",
            "6.1.0+",
            "5.15.0-207.156.6.el9uek.x86_64",
            "6.12.0-rc3",
            "6.1.0-art1",
        ] {
            assert!(!is_variant(usual), "{usual}");
        }
        for variant in [
            "5.14.0-427.el9.x86_64+debug",
            "5.14.0-427.el9.aarch64+64k",
            "6.1.0-9-cloud-amd64",
            "6.1.0-9-rt-amd64",
            "4.18.0-553.rt7.342.el8.x86_64",
            "6.4.0-150600.21-debug",
            "5.14.0-427.el9.x86_64+rt-debug",
            "3.10.0-1160.el7.x86_64.debug",
            "6.8.0-45-lowlatency",
            "6.9.1-DEBUG",
            "5.3.18-150300.59-trace",
            "6.9.1_kasan",
            "6.1.0-RT12",
        ] {
            assert!(is_variant(variant), "{variant}");
        }
    }

    #[test]
    fn versions_are_ordered_as_their_makers_mean_them() {
        let in_order = [
            "4.18.0-553.el8_10.x86_64",
            "5.14.0-70.13.1.el9_0.x86_64",
            "5.14.0-427.el9.x86_64",
            "5.14.0-427.13.1.el9.x86_64",
            "6.1.0-9-cloud-amd64",
            "6.1.0-10-cloud-amd64",
            "6.1.0-010-generic",
            "6.12.1",
        ];
        for pair in in_order.windows(2) {
            assert_eq!(by_version(pair[0], pair[1]), Ordering::Less, "{pair:?}");
            assert_eq!(by_version(pair[1], pair[0]), Ordering::Greater, "{pair:?}");
            assert_eq!(by_version(pair[0], pair[0]), Ordering::Equal);
        }
    }
}
