//! What a booting machine fetches: iPXE scripts, the install script, and the plan for our own installer.
//!
//! Everything here is a projection of the published cluster: the same cluster and the same question give the same
//! text. Only templates and plugins are read from files, and again when they change.

mod context;
mod environment;
mod error;
mod install;
mod ipxe;
mod lists;
mod obstacle;
mod plan;
mod plugins;
mod resolved;
mod site;
mod templates;
pub mod tftp;

pub use context::{ControllerContext, KernelArguments, MenuContext, NodeContext};
pub use environment::{Environment, Protocol, Settings};
pub use error::Error;
pub use install::{BmcContext, InstallContext, InterfaceContext, Interfaces};
pub use plugins::{NamedScript, Role};
pub use site::{Machine, NodeScript, OnDisk, Site};
pub use templates::{Directories, Templates, percent_encode};
