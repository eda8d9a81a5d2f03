//! The kernels of an image.

use std::{
    cmp::Ordering,
    fs,
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

/// The version of the newest kernel in the image.
pub fn newest_kernel_version(image: &Path) -> Result<String, Error> {
    let versions = kernel_versions(image)?;
    versions.into_iter().next().ok_or_else(|| Error::NoKernel { path: image.to_owned() })
}

/// The version that is wanted, or the newest.
pub(crate) fn choose(image: &Path, wanted: Option<&str>) -> Result<String, Error> {
    let Some(wanted) = wanted else { return newest_kernel_version(image) };
    let available = kernel_versions(image)?;
    if available.iter().any(|version| version == wanted) {
        return Ok(wanted.to_owned());
    }
    Err(Error::NoSuchKernel { wanted: wanted.to_owned(), available })
}

/// The kernel itself.
pub(crate) fn file_of(tree: &Tree, version: &str) -> Result<PathBuf, Error> {
    let places = [
        format!("boot/vmlinuz-{version}"),
        format!("lib/modules/{version}/vmlinuz"),
        format!("boot/Image-{version}"),
        format!("lib/modules/{version}/Image"),
    ];
    let found = places.iter().find_map(|place| tree.file(Path::new(place)));
    found.ok_or_else(|| Error::NoKernelFile { version: version.to_owned() })
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
