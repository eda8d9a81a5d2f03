//! `perilune backup` and `perilune restore`

use std::fs::{self, File};
use std::io::BufReader;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use clap::Args;
use perilune_daemon::backup::{self, Manifest};
use perilune_daemon::owner;

use crate::failure::Failure;
use crate::output;
use crate::session::Session;

pub(crate) const EXAMPLES: &str = "\
Examples:
  perilune backup /srv/backup/perilune.tar.zst                    database, keys, configuration, certificates, templates, plugins
  perilune backup /srv/backup/whole.tar.zst --with-images         and packed images, so that nodes boot from what is restored
  perilune backup --verify /srv/backup/perilune.tar.zst           read all of it again

The file has passwords and keys: keep it as safe as they are.";

pub(crate) const RESTORE_EXAMPLES: &str = "\
Examples:
  perilune restore /srv/backup/perilune.tar.zst --data-dir /var/lib/perilune
  perilune serve --data-dir /var/lib/perilune";

#[derive(Args)]
pub(crate) struct Backup {
    /// The file
    pub(crate) file: PathBuf,
    /// Packed images, too
    #[arg(long, conflicts_with = "verify")]
    with_images: bool,
    /// Only check that the file is a complete backup; needs no daemon
    #[arg(long)]
    pub(crate) verify: bool,
}

#[derive(Args)]
pub(crate) struct Restore {
    /// The backup
    file: PathBuf,
    /// The data directory to make; it must be empty, or not there
    #[arg(
        long,
        env = "PERILUNE_DATA_DIR",
        hide_env_values = true,
        value_name = "DIR",
        default_value = "./perilune-data"
    )]
    data_dir: PathBuf,
}

/// Writes beside the file, and puts it in its place when it is known to be whole.
pub(crate) fn run(session: &Session, arguments: &Backup) -> Result<(), Failure> {
    // It takes the place of what has its name: of an older backup, and never of a device or a directory.
    if fs::metadata(&arguments.file).is_ok_and(|known| !known.is_file()) {
        let file = arguments.file.display();
        return Err(Failure::usage(format!(
            "{file} is not a file; name one to write the backup to"
        )));
    }
    let mut unfinished = arguments.file.clone().into_os_string();
    unfinished.push(".unfinished");
    let unfinished = PathBuf::from(unfinished);
    let taken = take(session, arguments, &unfinished);
    if taken.is_err() {
        fs::remove_file(&unfinished).ok();
    }
    say(&arguments.file, &taken?)
}

fn take(session: &Session, arguments: &Backup, unfinished: &Path) -> Result<Manifest, Failure> {
    let failed = |error: std::io::Error| {
        Failure::failed(format!("{} cannot be written: {error}", unfinished.display()))
    };
    let file = File::options().write(true).create(true).truncate(true).mode(0o600).open(unfinished);
    let mut file = file.map_err(failed)?;
    let path = format!("/backup?images={}", arguments.with_images);
    session.client.download(&path, &mut file)?;
    file.sync_all().map_err(failed)?;
    let manifest = read(unfinished)?;
    fs::rename(unfinished, &arguments.file).map_err(failed)?;
    Ok(manifest)
}

pub(crate) fn verify(file: &Path) -> Result<(), Failure> {
    say(file, &read(file)?)
}

fn read(file: &Path) -> Result<Manifest, Failure> {
    let opened = open(file)?;
    backup::verify(opened).map_err(|error| told(file, error))
}

fn told(file: &Path, error: backup::Error) -> Failure {
    Failure::failed(format!("{}: {:#}", file.display(), anyhow::Error::new(error)))
}

fn open(file: &Path) -> Result<BufReader<File>, Failure> {
    let opened = File::open(file);
    let opened = opened.map_err(|error| Failure::usage(format!("{}: {error}", file.display())))?;
    Ok(BufReader::new(opened))
}

pub(crate) fn restore(arguments: &Restore) -> Result<(), Failure> {
    let opened = open(&arguments.file)?;
    let start = how_to_start(&arguments.data_dir);
    become_owner(&arguments.data_dir)?;
    let manifest = backup::restore(opened, &arguments.data_dir);
    let manifest = manifest.map_err(|error| told(&arguments.file, error))?;
    let directory = arguments.data_dir.display();
    output::line(&format!("{directory} is as of revision {}; {start}", manifest.revision))?;
    if !manifest.with_images {
        output::line(
            "packed images are not in the backup: pack them again, or copy them to where [FILES] IMAGE_FILES of its luna.ini says",
        )?;
    }
    Ok(())
}

/// What starts the daemon of a data directory.
pub(crate) fn how_to_start(data_dir: &Path) -> String {
    if owner::other_owner(data_dir).is_some() {
        return "start the controller: systemctl enable --now perilune".to_owned();
    }
    format!("start the controller: perilune serve --data-dir {}", data_dir.display())
}

/// What root makes for a daemon with a user of its own is that user's.
pub(crate) fn become_owner(data_dir: &Path) -> Result<(), Failure> {
    owner::become_owner(data_dir).map_err(|error| {
        let directory = data_dir.display();
        Failure::failed(format!("cannot become the user whom {directory} was made for: {error}"))
    })
}

fn say(file: &Path, manifest: &Manifest) -> Result<(), Failure> {
    let size: u64 = manifest.files.values().map(|sum| sum.size).sum();
    let images = if manifest.with_images { "with packed images" } else { "without packed images" };
    Ok(output::line(&format!(
        "{} is a whole backup of revision {}, {images}: {} files, {} KiB, made by Perilune {}",
        file.display(),
        manifest.revision,
        manifest.files.len(),
        size.div_ceil(1024),
        manifest.program
    ))?)
}
