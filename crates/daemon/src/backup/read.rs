//! Reading a backup: to see that it is whole, and to make a data directory of it.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Component, Path, PathBuf};

use sha2::{Digest as _, Sha256};

use super::{Error, FORMAT, MANIFEST, Manifest, PRIVATE, Sum, hexadecimal};

/// Where members are put until all of them are known to be whole.
const UNFINISHED: &str = ".restore";
/// As large as a manifest may be: that of a hundred thousand files has some ten megabytes.
const LARGEST_MANIFEST: u64 = 64 << 20;
/// At the end, so that a directory with a database has all that belongs to it.
const LAST: &str = "perilune.db";

/// Reads a whole backup; what is in it, when nothing is missing and nothing was changed.
pub fn verify(input: impl Read) -> Result<Manifest, Error> {
    read(input, |_, _, entry| {
        io::copy(entry, &mut io::sink()).map(drop).map_err(|error| broken(&error))
    })
}

/// Makes a data directory of a backup. The directory must be empty, or not there. Nothing is in its place before all is known to be
/// whole.
pub fn restore(input: impl Read, data_dir: &Path) -> Result<Manifest, Error> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true).mode(0o755);
    let made = |path: &Path| builder.create(path).map_err(|source| failed(path, "made", source));
    made(data_dir)?;
    let unfinished = data_dir.join(UNFINISHED);
    // What a former try left behind.
    if unfinished.exists() {
        fs::remove_dir_all(&unfinished).map_err(|source| failed(&unfinished, "removed", source))?;
    }
    let mut entries = fs::read_dir(data_dir).map_err(|source| failed(data_dir, "read", source))?;
    // Packages make two directories beforehand; trees of images may be there, since no backup has them.
    let is_ours = |entry: io::Result<fs::DirEntry>| {
        entry.is_ok_and(|entry| match entry.file_name().to_str() {
            Some("lost+found" | "images") => true,
            Some("files") => {
                fs::read_dir(entry.path()).is_ok_and(|mut files| files.next().is_none())
            }
            _ => false,
        })
    };
    if !entries.all(is_ours) {
        return Err(Error::NotEmpty(data_dir.to_owned()));
    }
    made(&unfinished)?;
    let manifest = read(input, |name, mode, entry| {
        let path = unfinished.join(name);
        if let Some(parent) = path.parent() {
            made(parent)?;
        }
        write(&path, mode, entry)
    });
    let moved = manifest.and_then(|manifest| place(&unfinished, data_dir).map(|()| manifest));
    fs::remove_dir_all(&unfinished).ok();
    moved
}

fn write(path: &Path, mode: u32, content: &mut dyn Read) -> Result<(), Error> {
    let file = File::options().write(true).create_new(true).mode(mode).open(path);
    let mut file = file.map_err(|source| failed(path, "written", source))?;
    let mut buffer = vec![0; 256 << 10];
    loop {
        let count = content.read(&mut buffer).map_err(|error| broken(&error))?;
        let piece = buffer.get(..count).unwrap_or_default();
        if piece.is_empty() {
            break;
        }
        file.write_all(piece).map_err(|source| failed(path, "written", source))?;
    }
    file.sync_all().map_err(|source| failed(path, "written", source))
}

/// Moves all that was written to its place.
fn place(from: &Path, to: &Path) -> Result<(), Error> {
    let mut names = Vec::new();
    for entry in fs::read_dir(from).map_err(|source| failed(from, "read", source))? {
        names.push(entry.map_err(|source| failed(from, "read", source))?.file_name());
    }
    names.sort_by_key(|name| name == LAST);
    for name in names {
        let path = to.join(&name);
        fs::rename(from.join(&name), &path).map_err(|source| failed(&path, "written", source))?;
    }
    // The images' directory is where a first start would have made it.
    for name in ["files", "images"] {
        let path = to.join(name);
        fs::create_dir_all(&path).map_err(|source| failed(&path, "made", source))?;
    }
    let directory = File::open(to).and_then(|directory| directory.sync_all());
    directory.map_err(|source| failed(to, "written", source))
}

/// Goes through the members, and compares them with the manifest.
fn read(
    input: impl Read,
    mut member: impl FnMut(&Path, u32, &mut dyn Read) -> Result<(), Error>,
) -> Result<Manifest, Error> {
    let decoder = zstd::Decoder::new(input).map_err(|error| broken(&error))?;
    let mut archive = tar::Archive::new(decoder);
    let mut found: BTreeMap<String, Sum> = BTreeMap::new();
    let mut manifest: Option<Manifest> = None;
    for entry in archive.entries().map_err(|error| broken(&error))? {
        let entry = entry.map_err(|error| broken(&error))?;
        let path = entry.path().map_err(|error| broken(&error))?.into_owned();
        let is_file = entry.header().entry_type().is_file();
        let name = plain(&path)
            .filter(|_| is_file && manifest.is_none())
            .ok_or_else(|| Error::Broken(format!("'{}' does not belong there", path.display())))?;
        let size = entry.size();
        let mode = entry.header().mode().unwrap_or(0o600) & 0o777;
        if name == MANIFEST {
            let mut text = Vec::new();
            entry.take(LARGEST_MANIFEST).read_to_end(&mut text).map_err(|error| broken(&error))?;
            let parsed: Manifest = serde_json::from_slice(&text)
                .map_err(|error| Error::Broken(format!("its manifest cannot be read: {error}")))?;
            if parsed.format > FORMAT {
                return Err(Error::Newer { found: parsed.format });
            }
            manifest = Some(parsed);
            continue;
        }
        let mode = if PRIVATE.contains(&name.as_str()) { 0o600 } else { mode };
        let mut reader = Summing { inner: entry, sum: Sha256::new() };
        member(&path, mode, &mut reader)?;
        let sum = Sum { size, sha256: hexadecimal(reader.sum) };
        if found.insert(name.clone(), sum).is_some() {
            return Err(Error::Broken(format!("'{name}' is in it twice")));
        }
    }
    // What follows the archive's end belongs to the compressed stream, whose checksum comes last.
    io::copy(&mut archive.into_inner(), &mut io::sink()).map_err(|error| broken(&error))?;
    let Some(manifest) = manifest else {
        return Err(Error::Broken("its end is missing".to_owned()));
    };
    compare(&manifest, &found)?;
    Ok(manifest)
}

fn compare(manifest: &Manifest, found: &BTreeMap<String, Sum>) -> Result<(), Error> {
    for (name, sum) in &manifest.files {
        match found.get(name) {
            None => return Err(Error::Broken(format!("'{name}' is missing"))),
            Some(other) if other != sum => {
                return Err(Error::Broken(format!("'{name}' is not what it was")));
            }
            Some(_) => {}
        }
    }
    if let Some(name) = found.keys().find(|name| !manifest.files.contains_key(*name)) {
        return Err(Error::Broken(format!("'{name}' does not belong there")));
    }
    for needed in ["luna.ini", LAST] {
        if !found.contains_key(needed) {
            return Err(Error::Broken(format!("'{needed}' is missing")));
        }
    }
    Ok(())
}

/// The name of a member that stays where it is put.
fn plain(path: &Path) -> Option<String> {
    let mut parts = path.components().peekable();
    parts.peek()?;
    let is_plain = parts.all(|part| matches!(part, Component::Normal(_)));
    path.to_str().filter(|name| is_plain && !name.starts_with(UNFINISHED)).map(str::to_owned)
}

struct Summing<R> {
    inner: R,
    sum: Sha256,
}

impl<R: Read> Read for Summing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.sum.update(buffer.get(..count).unwrap_or_default());
        Ok(count)
    }
}

fn broken(error: &io::Error) -> Error {
    Error::Broken(error.to_string())
}

fn failed(path: &Path, action: &'static str, source: io::Error) -> Error {
    Error::File { path: PathBuf::from(path), action, source }
}
