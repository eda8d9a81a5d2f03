//! Names of the plugins that come with the program.

/// How an image can be fetched.
pub const PROVISION_METHODS: &[&str] = &["default", "http", "kickstart", "torrent"];
/// Roles that can be installed.
pub const ROLES: &[&str] = &["default", "bond"];
/// Named scripts that can run at install.
pub const SCRIPTS: &[&str] = &["default", "diskfull", "nodhcp", "raid1"];
