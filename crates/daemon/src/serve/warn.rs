//! What a configuration says of this daemon's own addresses, and clients and machines will not find.

use std::net::{IpAddr, SocketAddr};

use perilune_boot::{Environment, Protocol};
use perilune_model::Cluster;

use crate::config::{Listen, Settings};

/// The command line on this machine goes where the made configuration says; another daemon may be there.
pub(super) fn of_endpoint(settings: &Settings, listen: &[Listen]) {
    let host: Option<IpAddr> = settings.host.as_deref().and_then(|host| host.parse().ok());
    let leads_here = |listen: &Listen| {
        let told = host.unwrap_or_else(|| listen.address.ip());
        listen.covers(SocketAddr::new(told, settings.port))
    };
    if listen.iter().any(leads_here) {
        return;
    }
    let addresses: Vec<String> = listen.iter().map(|listen| listen.address.to_string()).collect();
    let told = format!("{}:{}", settings.host.as_deref().unwrap_or("localhost"), settings.port);
    let Some(right) = listen.first().map(Listen::endpoint) else { return };
    tracing::warn!(
        file = %settings.file.display(),
        "the configuration says [API] ENDPOINT = {told}, and the daemon listens on {}: the command line on this machine does not find it, \
         or finds another; write ENDPOINT = {right} there, or start with --listen {told}",
        addresses.join(", ")
    );
}

/// What clients and machines are told, and will not find or not like.
pub(super) fn of_protocols(
    settings: &Settings,
    listen: &[Listen],
    spoken: &[(Protocol, SocketAddr)],
    cluster: &Cluster,
) {
    let told = [(settings.protocol, settings.port)].into_iter().chain(settings.web_server);
    for (protocol, port) in told {
        let there = listen.iter().find(|listen| listen.address.port() == port);
        let spoken = there.map(|listen| listen.protocol(settings));
        if let Some(spoken) = spoken.filter(|spoken| *spoken != protocol) {
            tracing::warn!(port, %spoken, told = %protocol, "--listen and the configuration do not agree on what is spoken at this port; clients and machines go by PROTOCOL");
        }
    }
    let told = Environment::of(cluster, &settings.of_boot(spoken));
    // Firmware and iPXE know no certificate that a site has made for itself.
    if [told.boot_protocol, told.firmware_files.0].contains(&Protocol::Https) {
        tracing::warn!(
            "machines are sent to https for their boot files, and most firmware trusts no certificate of a site; serve those by http: [API] FIRMWARE_PORT = 7051"
        );
    }
}
