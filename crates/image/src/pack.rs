//! The whole way from a tree to the files that nodes boot from.

use std::{
    fs::{self, File},
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

use perilune_archive::{HashingWriter, Options};
use serde::{Deserialize, Serialize};

use crate::{
    ArchiveFormat, CancelFlag, Error, Mounts, Progress, Stage,
    compress::compress,
    credentials, identity, initramfs, kernel,
    mounts::measured,
    part::{Access, Part, Readers},
    progress::Meter,
    tree::Tree,
};

/// What is to be packed, and where to.
#[derive(Clone, Debug)]
pub struct Request {
    /// The image's name; the files' names begin with it.
    pub name: String,
    /// The directory of the operating system.
    pub tree: PathBuf,
    /// The newest one when not given.
    pub kernel_version: Option<String>,
    /// Modules that the initramfs shall have besides the usual ones; a leading `-` leaves one out. An
    /// entry may be a list with commas.
    pub kernel_modules: Vec<String>,
    /// The static program that becomes `/init`.
    pub agent: PathBuf,
    /// Where the files are served from. They are made there too, under hidden names.
    pub files_dir: PathBuf,
    /// Seconds since 1970; part of the files' names, so that nodes that boot the former files can go on.
    pub epoch: u64,
    pub archive_format: ArchiveFormat,
    pub parts: Parts,
    pub mounts: Mounts,
    /// Who may read the archive, which can hold what no user is to see. Kernel and initramfs are for everybody.
    pub archive_readers: Readers,
    /// The user whose files they are, where that is not the user of this process.
    pub owner: Option<u32>,
}

impl Request {
    fn access(&self, readers: Readers) -> Access {
        Access { owner: self.owner, readers }
    }
}

/// Which files are made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Parts {
    #[default]
    All,
    /// Kernel and initramfs only.
    Boot,
    /// The archive only.
    Archive,
}

/// The files that were made; those that were not asked for are `None`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Packed {
    pub boot: Option<BootFiles>,
    pub archive: Option<Archive>,
    /// Sentences for the operator: what the image lacks, what could not be read.
    pub warnings: Vec<String>,
}

/// Names within the directory of files.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BootFiles {
    pub kernel_version: String,
    pub kernel_file: String,
    pub initrd_file: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Archive {
    /// Name within the directory of files.
    pub image_file: String,
    /// BLAKE3 of the file, in hexadecimal.
    pub checksum: String,
    /// Bytes of the file.
    pub size: u64,
    /// Bytes of the contents of all files in the tree, holes left out.
    pub unpacked_size: u64,
}

/// Makes the files of an image. They appear together at the end; when anything fails before, the former files
/// are as they were and nothing else is left.
pub fn pack(
    request: &Request,
    report: &mut dyn FnMut(Progress),
    cancel: &CancelFlag,
) -> Result<Packed, Error> {
    check_name("the image's name", &request.name)?;
    if !request.tree.is_dir() {
        return Err(Error::NoTree { path: request.tree.clone() });
    }
    let mut packed = Packed::default();
    let mut parts = Vec::new();
    if request.parts != Parts::Archive {
        packed.boot =
            Some(pack_boot_files(request, &mut parts, &mut packed.warnings, report, cancel)?);
    }
    if request.parts != Parts::Boot {
        packed.archive =
            Some(pack_archive(request, &mut parts, &mut packed.warnings, report, cancel)?);
    }
    cancel.check()?;
    for part in parts {
        part.publish()?;
    }
    synchronise(&request.files_dir)?;
    Ok(packed)
}

fn pack_boot_files(
    request: &Request,
    parts: &mut Vec<Part>,
    warnings: &mut Vec<String>,
    report: &mut dyn FnMut(Progress),
    cancel: &CancelFlag,
) -> Result<BootFiles, Error> {
    let kernel_version =
        kernel::choose(&request.tree, request.kernel_version.as_deref(), warnings)?;
    check_name("the kernel version", &kernel_version)?;
    initramfs::check_agent(&request.agent)?;
    let tree = Tree::new(&request.tree);
    let prefix = format!("{}-{}", request.name, request.epoch);
    let kernel_file = format!("{prefix}-vmlinuz-{kernel_version}");
    let initrd_file = format!("{prefix}-initramfs-{kernel_version}");

    let source = kernel::file_of(&tree, &kernel_version)?;
    let everybody = request.access(Readers::Everybody);
    let (part, mut file) = Part::create(&request.files_dir, &kernel_file, everybody)?;
    let size = fs::metadata(&source).map_err(|error| Error::read(&source, error))?.len();
    let meter = Meter::start(Stage::Kernel, size, report, cancel);
    copy(&source, &mut file, part.path())?;
    file.sync_all().map_err(|error| Error::write(part.path(), error))?;
    meter.finish(size);
    parts.push(part);
    cancel.check()?;

    let wanted = initramfs::Wanted {
        tree: &tree,
        kernel_version: &kernel_version,
        kernel_modules: &request.kernel_modules,
        agent: &request.agent,
        packed: request.epoch,
    };
    let contents = initramfs::collect(&wanted, warnings, cancel)?;
    let (part, file) = Part::create(&request.files_dir, &initrd_file, everybody)?;
    let mut meter = Meter::start(Stage::Initramfs, contents.size(), report, cancel);
    let zstd = kernel::reads_zstd(&tree, &kernel_version);
    let size = initramfs::write(&contents, file, part.path(), zstd, &mut meter)?;
    meter.finish(size);
    parts.push(part);
    Ok(BootFiles { kernel_version, kernel_file, initrd_file })
}

fn pack_archive(
    request: &Request,
    parts: &mut Vec<Part>,
    warnings: &mut Vec<String>,
    report: &mut dyn FnMut(Progress),
    cancel: &CancelFlag,
) -> Result<Archive, Error> {
    let mut options = Options::default();
    let tree = Tree::new(&request.tree);
    warnings.extend(credentials::left_in(&tree, cancel)?);
    warnings.extend(identity::left_in(&tree));
    let image_file =
        format!("{}-{}.{}", request.name, request.epoch, request.archive_format.extension());
    let access = request.access(request.archive_readers);
    let (part, file) = Part::create(&request.files_dir, &image_file, access)?;
    let failed = |error| Error::archive(&request.tree, part.place(), error);
    let totals = measured(&request.tree, &mut options, request.mounts, warnings).map_err(failed)?;
    let mut meter = Meter::start(Stage::Archive, totals.bytes, report, cancel);
    let mut unpacked_size = 0;
    let written = compress(file, request.archive_format, |output| {
        let summary = perilune_archive::pack(&request.tree, output, &options, &mut |done| {
            meter.done(done.bytes)
        })?;
        unpacked_size = summary.bytes;
        warnings.extend(summary.warnings);
        Ok(())
    });
    let written = written.map_err(|failure: Failure| match failure {
        Failure::Archive(error) => failed(error),
        Failure::Output(error) => Error::write(part.place(), error),
    })?;
    meter.finish(unpacked_size);
    parts.push(part);
    Ok(Archive { image_file, checksum: written.checksum, size: written.size, unpacked_size })
}

enum Failure {
    Archive(perilune_archive::Error),
    Output(io::Error),
}

impl From<perilune_archive::Error> for Failure {
    fn from(error: perilune_archive::Error) -> Self {
        Self::Archive(error)
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}

fn check_name(what: &'static str, value: &str) -> Result<(), Error> {
    let is_plain =
        |character: char| character.is_ascii_alphanumeric() || ".-_+~".contains(character);
    if value.is_empty() || value.starts_with('.') || !value.chars().all(is_plain) {
        return Err(Error::InvalidName { what, value: value.to_owned() });
    }
    Ok(())
}

fn copy(source: &Path, output: &mut File, place: &Path) -> Result<(), Error> {
    let mut input = File::open(source).map_err(|error| Error::read(source, error))?;
    let mut buffer = vec![0; 1 << 20];
    loop {
        let count = input.read(&mut buffer).map_err(|error| Error::read(source, error))?;
        let Some(data) = buffer.get(..count).filter(|data| !data.is_empty()) else { return Ok(()) };
        output.write_all(data).map_err(|error| Error::write(place, error))?;
    }
}

/// Makes the renames last.
fn synchronise(directory: &Path) -> Result<(), Error> {
    let synchronised = File::open(directory).and_then(|directory| directory.sync_all());
    synchronised.map_err(|error| Error::write(directory, error))
}

/// The checksum and the bytes of an archive that somebody else has made, which these may read from now on.
pub fn archive_sum(path: &Path, readers: Readers) -> Result<(String, u64), Error> {
    let file = File::open(path).map_err(|error| Error::read(path, error))?;
    readers.admit(&file).map_err(|error| Error::write(path, error))?;
    drop(file);
    file_sum(path)
}

/// The checksum and the bytes of a file.
pub fn file_sum(path: &Path) -> Result<(String, u64), Error> {
    let file = File::open(path).map_err(|error| Error::read(path, error))?;
    let mut writer = HashingWriter::new(io::sink());
    io::copy(&mut &file, &mut writer).map_err(|error| Error::read(path, error))?;
    let (_, checksum, size) = writer.finish();
    Ok((checksum, size))
}
