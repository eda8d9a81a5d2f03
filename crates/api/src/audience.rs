//! Who is answered at a port. Firmware knows no certificate of a site, so that it is answered in clear; it alone is, since a client that
//! took the wrong port would show its password or token to whoever listens on the network.

use std::fmt;

use axum::http::{Method, Request};
use axum::response::{IntoResponse as _, Response};
use perilune_boot::Protocol;
use perilune_daemon::archives::is_protected;
use perilune_daemon::config::{Listen, Settings};

use super::problem::ApiError;
use crate::slashes::single;

/// Who is answered at a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Audience {
    /// Whoever asks, as the routes say.
    Everybody,
    /// Firmware and iPXE. Others are told where the API is.
    Firmware { api: (Protocol, u16) },
}

impl fmt::Display for Audience {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Everybody => "everybody",
            Self::Firmware { .. } => "firmware",
        })
    }
}

impl Audience {
    /// Those of a port.
    pub(crate) fn at(listen: &Listen, settings: &Settings) -> Self {
        if listen.is_for_firmware(settings) {
            Self::Firmware { api: (settings.protocol, settings.port) }
        } else {
            Self::Everybody
        }
    }

    /// The answer to who asks for what is not answered here.
    pub(crate) fn refusal<B>(self, request: &Request<B>) -> Option<Response> {
        let Self::Firmware { api: (protocol, port) } = self else { return None };
        if is_of_firmware(request.method(), request.uri().path()) {
            return None;
        }
        let message = format!(
            "this port answers firmware alone ([API] FIRMWARE_PORT); ask port {port} by {protocol} for everything else"
        );
        Some(ApiError::Forbidden(message).into_response())
    }
}

/// Whether firmware and iPXE ask for this: scripts, and files that need no token.
fn is_of_firmware(method: &Method, path: &str) -> bool {
    if ![Method::GET, Method::HEAD].contains(method) {
        return false;
    }
    let path = single(path);
    let mut parts = path.strip_prefix('/').unwrap_or(&path).split('/');
    match (parts.next(), parts.next(), parts.next()) {
        (Some("boot"), None | Some("short" | "disk"), None)
        | (Some("boot"), Some("search"), Some("mac"))
        | (Some("boot"), Some("manual"), Some("group" | "hostname"))
        | (Some("boot"), Some("switch"), Some(_)) => true,
        (Some("files"), Some(name), None) => !name.is_empty() && !is_protected(name),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn firmware_has_scripts_and_open_files_and_nothing_else() {
        for path in [
            "/boot",
            "//boot",
            "/boot/short",
            "/boot/disk",
            "/boot/search/mac/52:54:00:00:00:01",
            "/boot/manual/group/compute/52:54:00:00:00:01",
            "/boot/manual/hostname/node001/52:54:00:00:00:01",
            "/boot/switch/sw01",
            "/boot/switch/sw01/commands",
            "/files/ipxe.efi",
            "/files//debian-1-vmlinuz-6.1",
        ] {
            assert!(is_of_firmware(&Method::GET, path), "{path}");
            assert!(is_of_firmware(&Method::HEAD, path), "{path}");
            assert!(!is_of_firmware(&Method::POST, path), "{path}");
        }
        for path in [
            "/",
            "",
            "/token",
            "/config/node",
            "/boot/install/node001",
            "/boot/plan/node001",
            "/boot/ticket/node001",
            "/boot/roles/x",
            "/boot/scripts/x",
            "/boot/search",
            "/boot/switch",
            "/bootx",
            "/kickstart/install/node001",
            "/files",
            "/files/",
            "/files/debian-1.tar.zst",
            "/files//debian-1.TAR.ZST",
            "/files/debian-1.tar.zs%74",
            "/files/debian-1.tar.bz2.torrent",
            "/filesauth",
            "/docs",
            "/openapi.json",
            "/boot/../config/node",
        ] {
            assert!(!is_of_firmware(&Method::GET, path), "{path}");
        }
    }
}
