//! Packing an image, and taking what was made into service.

use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use perilune_boot::Environment;
use perilune_image::{ArchiveFormat, CancelFlag, Packed, Parts, Progress, Stage};
use perilune_model::image::{self, Image, ImageFiles};
use perilune_model::{Cluster, Name};

use super::blocking::blocking;
use super::context::Context;
use super::error::{Error, Failed};
use super::progress::Step;
use super::shared::Shared;
use super::taken::Milestone;
use super::trees::{Done, Pack, Task, Told};
use super::work::{Format, Mounted};
use super::{clean, site};
use crate::{clock, torrents};

/// As many notes about an image as are told one by one.
const NOTES: usize = 20;

/// Makes the files under names that no other job uses, then has the cluster name them, in one commit. Until then the files of
/// before are served; they go an hour later.
pub(super) async fn run(
    context: &Context,
    name: &Name,
    (format, mounts): (Format, Mounted),
) -> Result<(), Failed> {
    let assembling = format!("assembling osimage {name}");
    let image = context.shared.image_to_pack(&context.job, name.as_str());
    let image = image.ok_or_else(|| Error::Missing(name.to_string()).while_doing(&assembling))?;
    let request = request(context, &image, (format, mounts));
    if is_done(&request, &image) {
        return Ok(());
    }
    let files = context.shared.places.files.clone();
    let stem = format!("{}-{}", request.name, request.epoch);
    remove_leftovers(&files, &stem, &context.shared.cluster.published());
    let result = make(context, name, &image, request).await;
    if result.is_err() {
        remove_leftovers(&files, &stem, &context.shared.cluster.published());
    }
    result
}

/// What the site makes itself, and the rest of it, goes into service at once.
async fn make(
    context: &Context,
    name: &Name,
    image: &Image,
    mut request: Pack,
) -> Result<(), Failed> {
    let doing = || format!("assembling osimage {name}");
    let own =
        site::pack(context, image, &request).await.map_err(|error| error.while_doing(doing()))?;
    let left = match (&own.kernelfile, &own.imagefile) {
        (None, None) => Some(Parts::All),
        (None, Some(_)) => Some(Parts::Boot),
        (Some(_), None) => Some(Parts::Archive),
        (Some(_), Some(_)) => None,
    };
    let packed = match left {
        Some(parts) => {
            request.parts = parts;
            pack(context, name, request).await
        }
        None => Ok(Packed::default()),
    };
    let made = match packed {
        Ok(packed) => {
            context.tell(&format!("finished building osimage {name}"));
            put_into_service(context, name, image, (own.clone(), packed)).await
        }
        Err(failed) => Err(failed),
    };
    if made.is_err() {
        let (directory, cluster) =
            (&context.shared.places.files, context.shared.cluster.published());
        // The beginning of their names says nothing of whose they are.
        for file in own.names() {
            clean::remove_file(directory, file, &cluster).ok();
        }
    }
    made
}

fn request(context: &Context, image: &Image, (format, mounts): (Format, Mounted)) -> Pack {
    let places = &context.shared.places;
    Pack {
        // Names of images may have blanks; names of files that go into boot scripts may not.
        name: image.name.as_str().replace(' ', "_"),
        tree: image.tree(&places.images),
        kernel_version: image.kernelversion.clone(),
        kernel_modules: image.kernelmodules.clone().into_iter().collect(),
        epoch: context.job.epoch,
        format,
        mounts,
        readers: places.readers,
        parts: Parts::All,
    }
}

/// Whether packing makes the same of both.
pub(super) fn is_packed_alike(one: &Image, other: &Image) -> bool {
    one.path == other.path
        && one.kernelversion == other.kernelversion
        && one.kernelmodules == other.kernelmodules
}

/// Whether an earlier run of this very job came to its end, but for its record.
fn is_done(request: &Pack, image: &Image) -> bool {
    let format = ArchiveFormat::from(request.format);
    let archive = format!("{}-{}.{}", request.name, request.epoch, format.extension());
    image.files.imagefile.as_deref() == Some(archive.as_str())
}

async fn pack(context: &Context, name: &Name, request: Pack) -> Result<Packed, Failed> {
    let steps =
        Steps { context: context.clone(), name: name.clone(), step: None, stage: Stage::Kernel };
    let steps = Arc::new(Mutex::new(steps));
    let teller = Arc::clone(&steps);
    let report = move |told| {
        if let Told::Bytes(progress) = told {
            teller.lock().unwrap_or_else(PoisonError::into_inner).report(progress);
        }
    };
    let trees = &context.shared.places.trees;
    let packed = trees.perform(Task::Pack(request), Arc::new(report), &context.cancel).await;
    packed.and_then(Done::packed).map_err(|error| {
        let doing = steps.lock().unwrap_or_else(PoisonError::into_inner).doing();
        error.while_doing(doing)
    })
}

/// Tells the steps as they begin and end, and how far they are.
struct Steps {
    context: Context,
    name: Name,
    step: Option<Step>,
    stage: Stage,
}

impl Steps {
    fn report(&mut self, progress: Progress) {
        if self.step.is_none() || progress.stage != self.stage {
            self.begin(progress.stage);
        }
        let told = self
            .step
            .as_ref()
            .and_then(|step| step.progress(progress.bytes_done, progress.bytes_total));
        // Copying a kernel is not worth a bar.
        if progress.stage != Stage::Kernel
            && let Some(told) = told
        {
            self.context.progress(told);
        }
    }

    fn begin(&mut self, stage: Stage) {
        let (name, assembling) =
            (&self.name, format!("assembling kernel and ramdisk for osimage {}", self.name));
        let label = if stage == Stage::Archive {
            format!("building osimage {name}")
        } else {
            assembling.clone()
        };
        if stage == Stage::Archive {
            self.context.tell(&format!("finished {assembling}"));
        }
        if self.step.as_ref().is_none_or(|step| step.label() != label) {
            self.context.tell(&label);
        }
        self.step = Some(Step::begin(label));
        self.stage = stage;
    }

    fn doing(&self) -> String {
        let verb = if self.stage == Stage::Archive { "building" } else { "assembling" };
        format!("{verb} osimage {}", self.name)
    }
}

async fn put_into_service(
    context: &Context,
    name: &Name,
    former: &Image,
    (own, packed): (ImageFiles, Packed),
) -> Result<(), Failed> {
    tell_notes(context, &packed.warnings);
    context.tell(&format!("creating provisioning for osimage {name}"));
    let made = files_of(own, packed);
    if let Some(archive) = &made.imagefile {
        make_torrent(context, name, archive).await?;
        site::provide(context, name, archive).await?;
    }
    let new: Vec<String> = made.names().map(str::to_owned).collect();
    context.shared.holdings.made(&context.shared.places.files, &new).await;
    // Asked for before the files change: should the daemon be killed in between, the files are still in use then and stay.
    let files = former.files.names().map(str::to_owned).collect();
    context.shared.remove_files(clock::milliseconds(), files).await;
    let image = name.clone();
    let commit = context.commit(Milestone::Packed, move |draft| {
        image::packed(draft, image.as_str(), &made).map(drop)
    });
    commit.await.map_err(|error| error.while_doing(format!("packing osimage {name}")))?;
    context.tell(&format!("created http provisioning for osimage {name}"));
    Ok(())
}

/// Before the archive is in service, so that no node asks for a torrent that comes in a moment.
async fn make_torrent(context: &Context, name: &Name, archive: &str) -> Result<(), Failed> {
    let doing = || format!("creating torrent provisioning for osimage {name}");
    let made = torrent(&context.shared, archive, context.cancel.clone()).await;
    if made.map_err(|error| error.while_doing(doing()))? {
        context.tell(&format!("created torrent provisioning for osimage {name}"));
    }
    Ok(())
}

/// Writes the torrent of an archive beside it, where archives get them.
pub(super) async fn torrent(
    shared: &Shared,
    archive: &str,
    cancel: CancelFlag,
) -> Result<bool, Error> {
    let Some(told) = shared.places.torrents else { return Ok(false) };
    let environment = Environment::of(&shared.cluster.published(), &shared.places.reached);
    let announce = format!("{}/announce", environment.api_url());
    let seed = told.names_web_server.then(|| format!("{}/files/{archive}", environment.web_url()));
    let (files, archive) = (shared.places.files.clone(), archive.to_owned());
    let path = files.join(format!("{archive}{}", torrents::ENDING));
    let urls = torrents::Addresses { announce, seed };
    let write = move || torrents::write(&files, &archive, &urls, &|| cancel.is_cancelled());
    blocking(write).await?.map_err(|error| Error::files("write", &path, error))?;
    Ok(true)
}

fn files_of(mut files: ImageFiles, packed: Packed) -> ImageFiles {
    if let Some(boot) = packed.boot {
        files.kernelversion = Some(boot.kernel_version);
        files.kernelfile = Some(boot.kernel_file);
        files.initrdfile = Some(boot.initrd_file);
    }
    if let Some(archive) = packed.archive {
        files.imagefile = Some(archive.image_file);
        files.checksum = Some(archive.checksum);
        files.size = Some(archive.size);
        files.unpacked_size = Some(archive.unpacked_size);
    }
    files
}

pub(super) fn tell_notes(context: &Context, notes: &[String]) {
    for note in notes.iter().take(NOTES) {
        context.tell(&format!("note: {note}"));
    }
    if let Some(more @ 1..) = notes.len().checked_sub(NOTES) {
        context.tell(&format!("note: and {more} more of the kind"));
    }
}

/// Removes what an earlier run of this job made and did not take into service.
fn remove_leftovers(directory: &Path, stem: &str, cluster: &Cluster) {
    let entries = fs::read_dir(directory).into_iter().flatten().filter_map(Result::ok);
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    let is_ours =
        |name: &String| name.strip_prefix(stem).is_some_and(|rest| rest.starts_with(['-', '.']));
    for name in names.filter(is_ours) {
        if let Err(error) = clean::remove_file(directory, &name, cluster) {
            tracing::warn!(error = %super::error::chain(&error), "an unused file cannot be removed");
        }
    }
}
