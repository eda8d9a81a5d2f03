//! The image: from the network straight into its decompressor and onto the root, verified on the way.

use std::io::Read;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context, Result};
use perilune_archive::{Summary, unpack_compressed, unpack_verified, while_reading};
use perilune_plan::{Image, Phase};

use crate::console::{Console, bytes};
use crate::controller::Controller;
use crate::download::Download;
use crate::progress;
use crate::torrent::{self, Swarm};

/// As much of the archive waits to be decompressed: a network stands still now and then.
const AHEAD_MEBIBYTES: usize = 16;
/// As many warnings of the archive are shown.
const SHOWN: usize = 5;

/// Fetches and unpacks the image below `root`. When its checksum is not that of the plan, nothing of it may be used.
pub fn image(image: &Image, root: &Path, controller: &Controller, console: &Console) -> Result<()> {
    let into = Into { image, root, controller, console };
    let swarm = Swarm::of(image, root, controller, console, torrent::PATIENCE);
    let summary = match swarm {
        Some(swarm) => {
            let total = swarm.total();
            console.line(&format!("{}, {}, from other nodes", image.file, bytes(total)));
            swarm.while_reading(|input, done| into.plant(input, total, done))?
        }
        None => {
            let position = AtomicU64::new(0);
            let mut download = Download::open(controller, console, &image.file, &position)?;
            let total = download.total();
            console.line(&format!("{}, {}", image.file, bytes(total)));
            into.plant(&mut download, total, &|| position.load(Ordering::Relaxed))
        }
    }?;
    for warning in summary.warnings.iter().take(SHOWN) {
        console.warning(warning);
    }
    let left = summary.warnings.len().saturating_sub(SHOWN);
    if left > 0 {
        console.warning(&format!("and {left} more of the kind"));
    }
    let checked =
        if image.checksum.is_some() { "checksum verified" } else { "no checksum to verify" };
    console.line(&format!("{} files, {}, {checked}", summary.members, bytes(summary.bytes)));
    Ok(())
}

/// What is unpacked where, and who hears of it.
struct Into<'a> {
    image: &'a Image,
    root: &'a Path,
    controller: &'a Controller,
    console: &'a Console,
}

impl Into<'_> {
    /// Unpacks the archive while it comes.
    fn plant(
        &self,
        input: &mut (dyn Read + Send),
        total: u64,
        done: &(dyn Fn() -> u64 + Sync),
    ) -> Result<Summary> {
        let Self { image, root, controller, console } = *self;
        controller.report("unpack", None, console);
        let unpacked = progress::follow(controller, console, Phase::Unpack, total, done, || {
            plant(input, image.checksum.as_deref(), root)
        });
        unpacked.with_context(|| format!("the image {} was not unpacked", image.name))
    }
}

/// The network, the decompressor and the file system are at work at the same time.
fn plant(
    input: &mut (dyn Read + Send),
    checksum: Option<&str>,
    root: &Path,
) -> Result<Summary, perilune_archive::Error> {
    let mut proceed = |_| ControlFlow::Continue(());
    while_reading(input, AHEAD_MEBIBYTES, |mut input| match checksum {
        Some(checksum) => unpack_verified(&mut input, checksum, root, &mut proceed),
        None => unpack_compressed(&mut input, root, &mut proceed),
    })
}
