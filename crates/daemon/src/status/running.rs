//! Which image a node runs: that of the plan by which it was installed, whatever is described since.

use std::fmt;

use perilune_model::effective::Effective;
use perilune_model::node::Node;
use perilune_model::{Cluster, Name};
use serde::{Deserialize, Serialize};

/// The image that a node was told to install.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunningImage {
    /// The image.
    pub image: Name,
    /// Its tag; without, its files as they were then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tag: Option<Name>,
    /// The file that was unpacked. Packing anew makes another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
}

impl RunningImage {
    /// What a node would be told now; `None` without an image.
    pub fn of(cluster: &Cluster, node: &Node) -> Option<Self> {
        let effective = Effective::of_node(cluster, node);
        let image = effective.image()?;
        let file = effective.files().and_then(|files| files.imagefile.clone());
        Some(Self { image: image.name.clone(), tag: effective.osimagetag().value.cloned(), file })
    }

    /// As tables show it: with a mark when the node would be told to install other files today.
    pub(crate) fn shown(&self, cluster: &Cluster, node: &Node) -> String {
        let is_current = Self::of(cluster, node).is_some_and(|now| now.file == self.file);
        if is_current { self.to_string() } else { format!("{self} (older)") }
    }
}

/// `debian12`, or `debian12:v1`
impl fmt::Display for RunningImage {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.tag {
            Some(tag) => write!(formatter, "{}:{tag}", self.image),
            None => write!(formatter, "{}", self.image),
        }
    }
}
