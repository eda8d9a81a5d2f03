//! Copying the tree of an image.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use perilune_model::{Name, image};

use super::blocking::blocking;
use super::context::Context;
use super::error::{Error, Failed, chain};
use super::pack;
use super::progress::Step;
use super::taken::Milestone;
use super::trees::{Done, Task, Told};
use super::work::{Mounted, Work};
use super::{site, tree};
use crate::clock;

/// Copies the tree under a hidden name, gives it its own, and packs it where that was asked for.
pub(super) async fn run(
    context: &Context,
    source: &Name,
    target: &Name,
    (and_pack, mounts): (bool, Mounted),
) -> Result<(), Failed> {
    match copy(context, source, target, mounts).await {
        Ok(()) => context.tell("finished copying osimage"),
        Err(error) => {
            if !context.is_put_off(&error) && !is_already_there(&error) {
                forget(context, target).await;
            }
            return Err(error.while_doing("copying osimage"));
        }
    }
    if !and_pack {
        return Ok(());
    }
    // The copy is there: a daemon that is killed from now on has only the packing to do again.
    if let Err(error) = context.only_packs(target).await {
        tracing::warn!(error = %chain(&error), "a restart will copy the image again");
    }
    pack::run(context, target, Default::default()).await
}

async fn copy(
    context: &Context,
    source: &Name,
    target: &Name,
    mounts: Mounted,
) -> Result<(), Error> {
    let step = Step::begin(format!("copying osimage {source}->{target}"));
    context.tell(step.label());
    let (from, to) = (place(context, source)?, place(context, target)?);
    let (request, teller) = (context.job.request.clone(), context.clone());
    let report = move |told| {
        if let Told::Bytes(told) = told
            && let Some(progress) = step.progress(told.bytes_done, told.bytes_total)
        {
            teller.progress(progress);
        }
    };
    let (cluster, places) = (context.shared.cluster.published(), context.shared.places.clone());
    let (owner, place) = (target.clone(), to.clone());
    let is_free = move || {
        tree::obstacle(&cluster, (&places.files, &places.images), (Some(owner.as_str()), &place))
            .is_none()
    };
    let may_replace = blocking(is_free).await?;
    if is_copied_by_site(context, (&from, &to), may_replace).await? {
        return Ok(());
    }
    let task = Task::Copy { from, to, request, mounts, may_replace };
    let trees = &context.shared.places.trees;
    let notes = trees.perform(task, Arc::new(report), &context.cancel).await?.notes()?;
    pack::tell_notes(context, &notes);
    Ok(())
}

/// The site's program, where there is one, makes the tree under a hidden name: it gets its own when it is whole.
async fn is_copied_by_site(
    context: &Context,
    (from, to): (&Path, &Path),
    may_replace: bool,
) -> Result<bool, Error> {
    let (request, trees) = (&context.job.request, &context.shared.places.trees);
    let aside = tree::unfinished(to, request);
    let remove = || Task::Remove { tree: aside.clone(), request: request.clone() };
    let is_left = may_replace && tree::is_left(to);
    if to.symlink_metadata().is_ok() && !is_left {
        // Ours says so.
        return Ok(false);
    }
    if aside.symlink_metadata().is_ok() {
        trees.at_once(remove()).await?;
    }
    match site::copy(context, from, &aside).await {
        Ok(false) => Ok(false),
        Ok(true) => {
            if is_left {
                let put = Task::PutAside { tree: to.to_owned(), request: request.clone() };
                let Done::Aside(left) = trees.at_once(put).await? else {
                    return Err(Error::Defect);
                };
                let now = clock::milliseconds();
                context.shared.clean(now, now, Work::RemoveTree { tree: left }).await;
            }
            trees.rename(&aside, to).await?;
            Ok(true)
        }
        Err(error) => {
            if aside.symlink_metadata().is_ok()
                && let Err(error) = trees.at_once(remove()).await
            {
                context.tell(&format!("note: {} stays: {}", aside.display(), chain(&error)));
            }
            Err(error)
        }
    }
}

fn place(context: &Context, name: &Name) -> Result<PathBuf, Error> {
    let cluster = context.shared.cluster.published();
    let image = cluster
        .images()
        .get(name)
        .map(Arc::clone)
        .ok_or_else(|| Error::Missing(name.to_string()))?;
    Ok(image.tree(&context.shared.places.images))
}

fn is_already_there(error: &Error) -> bool {
    matches!(error, Error::Image(perilune_image::Error::AlreadyThere { .. }) | Error::TreeThere(_))
}

/// An image without a tree is of no use, and in the way of a second try.
async fn forget(context: &Context, target: &Name) {
    let name = target.clone();
    let removed = context
        .commit(Milestone::Forgotten, move |draft| image::remove(draft, name.as_str()).map(drop));
    if let Err(error) = removed.await {
        tracing::info!(osimage = %target, error = %chain(&error), "an image without a tree stays");
    }
}
