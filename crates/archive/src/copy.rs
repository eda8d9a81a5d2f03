//! A tree to another place, with the same fidelity as through an archive.

use std::{ops::ControlFlow, path::Path};

use crate::{
    Error, Options, Progress, Summary,
    members::Members,
    plant::{Data, Planter},
    walk::walk,
};

/// Copies the tree into `destination`, an existing directory. Data is shared where the file system can.
pub fn copy(
    tree: &Path,
    destination: &Path,
    options: &Options,
    progress: &mut dyn FnMut(Progress) -> ControlFlow<()>,
) -> Result<Summary, Error> {
    let mut planter = Planter::new(destination, progress)?;
    let mut members = Members::new(tree);
    let lost = walk(tree, options, &mut |found| match members.read(found)? {
        Some((mut member, file)) => {
            if member.path.is_empty() {
                member.path = b".".to_vec();
            }
            planter.plant(member, &mut Data::File(file.as_ref()))
        }
        None => Ok(()),
    })?;
    let mut summary = planter.finish()?;
    summary.warnings.extend(lost);
    Ok(summary)
}
