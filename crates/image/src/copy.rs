//! Copies of images.

use std::{fs, io, path::Path};

use perilune_archive::Options;

use crate::{CancelFlag, Error, Mounts, Progress, Stage, mounts::measured, progress::Meter};

/// Copies an image's tree to `destination`, which must not exist, with everything that an archive would keep, and
/// what a running system left in its directories. When it fails, `destination` is removed again.
/// Returns sentences for the operator about what could not be kept.
pub fn copy_tree(
    source: &Path,
    destination: &Path,
    mounts: Mounts,
    report: &mut dyn FnMut(Progress),
    cancel: &CancelFlag,
) -> Result<Vec<String>, Error> {
    let tree =
        fs::canonicalize(source).map_err(|_not_there| Error::NoTree { path: source.to_owned() })?;
    if !tree.is_dir() {
        return Err(Error::NoTree { path: source.to_owned() });
    }
    fs::create_dir(destination).map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => Error::AlreadyThere { path: destination.to_owned() },
        _ => Error::write(destination, error),
    })?;
    let copied = copy(&tree, destination, mounts, report, cancel);
    if copied.is_err()
        && let Err(error) = fs::remove_dir_all(destination)
    {
        tracing::warn!(path = %destination.display(), %error, "an unfinished copy could not be removed");
    }
    copied
}

fn copy(
    tree: &Path,
    destination: &Path,
    mounts: Mounts,
    report: &mut dyn FnMut(Progress),
    cancel: &CancelFlag,
) -> Result<Vec<String>, Error> {
    let place = fs::canonicalize(destination).map_err(|error| Error::write(destination, error))?;
    if place.starts_with(tree) {
        return Err(Error::IntoItself { source_tree: tree.to_owned(), destination: place });
    }
    let mut warnings = Vec::new();
    let mut options = Options { one_file_system: true, empty_directories: Vec::new() };
    let failed = |error| Error::archive(tree, &place, error);
    let totals = measured(tree, &mut options, mounts, &mut warnings).map_err(failed)?;
    let mut meter = Meter::start(Stage::Copy, totals.bytes, report, cancel);
    let summary =
        perilune_archive::copy(tree, &place, &options, &mut |done| meter.done(done.bytes));
    let summary = summary.map_err(failed)?;
    meter.finish(summary.bytes);
    warnings.extend(summary.warnings);
    Ok(warnings)
}
