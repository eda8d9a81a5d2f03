//! Giving an image the controller's authorities of a subscription.

use std::sync::Arc;

use perilune_model::Name;

use super::context::Context;
use super::error::{Error, Failed};
use super::trees::{Done, Task};

pub(super) async fn run(context: &Context, name: &Name) -> Result<(), Failed> {
    let doing = format!("refreshing certificates of osimage {name}");
    context.tell(&doing);
    let cluster = context.shared.cluster.published();
    let image = cluster.images().get(name).map(Arc::clone);
    let image = image.ok_or_else(|| Error::Missing(name.to_string()).while_doing(&doing))?;
    let task = Task::Certificates { tree: image.tree(&context.shared.places.images) };
    let trees = &context.shared.places.trees;
    let done = trees.at_once(task).await.map_err(|error| error.while_doing(&doing))?;
    let Done::Notes(names) = done else { return Err(Error::Defect.while_doing(&doing)) };
    context.tell(&format!(
        "finished refreshing {} certificates of osimage {name} ({}); pack it, so that nodes get them",
        names.len(),
        names.join(", ")
    ));
    Ok(())
}
