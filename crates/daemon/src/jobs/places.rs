//! Where images and their files are, and who works on them.

use std::path::PathBuf;

use perilune_image::Readers;

use super::trees::Trees;
use crate::plugins::Runner;

/// Where images and their files are.
#[derive(Debug, Clone)]
pub struct Places {
    /// What packing makes, and the daemon serves.
    pub files: PathBuf,
    /// The trees of images that do not say where theirs is.
    pub images: PathBuf,
    /// Who works on the trees.
    pub trees: Trees,
    /// Who may read archives.
    pub readers: Readers,
    /// How the controller is reached.
    pub reached: perilune_boot::Settings,
    /// What torrents say, where archives get them.
    pub torrents: Option<Torrents>,
    /// What the site does itself.
    pub(crate) site: Site,
}

/// What torrents say.
#[derive(Debug, Clone, Copy)]
pub struct Torrents {
    /// Whether they name the controller's web server, since nobody seeds.
    pub names_web_server: bool,
}

/// What the site has of its own.
#[derive(Debug, Clone, Default)]
pub(crate) struct Site {
    pub(crate) runner: Runner,
    /// `[PLUGINS] IMAGE_FILESYSTEM`: which program copies trees.
    pub(crate) file_system: Option<String>,
}
