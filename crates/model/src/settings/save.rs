//! Changing the settings of the cluster.

use std::net::IpAddr;

use crate::provisioning::{InstallPolicy, ProvisionMethod};
use crate::settings::Settings;
use crate::{Draft, Error, Name, Patch, Saved, controller};

/// What a client asks of the cluster's settings.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Request {
    /// The cluster's name.
    pub title: Option<Name>,
    /// Free text.
    pub user: Patch<String>,
    /// DNS search domains.
    pub domain_search: Patch<Vec<String>>,
    /// Name servers of nodes.
    pub nameserver_ip: Patch<Vec<IpAddr>>,
    /// Name servers that the cluster's own ask.
    pub forwardserver_ip: Patch<Vec<IpAddr>>,
    /// Time servers.
    pub ntp_server: Patch<Vec<IpAddr>>,
    /// Whom to ask.
    pub technical_contacts: Patch<String>,
    /// How nodes fetch their image.
    pub provision_method: Patch<ProvisionMethod>,
    /// How, when that fails.
    pub provision_fallback: Patch<ProvisionMethod>,
    /// When nodes are installed.
    pub install_policy: Patch<InstallPolicy>,
    /// More messages.
    pub debug: Patch<bool>,
    /// Nodes must prove who they are.
    pub security: Patch<bool>,
    /// Machines wait while their image is packed.
    pub packing_bootpause: Patch<bool>,
    /// Unknown machines become new nodes.
    pub createnode_ondemand: Patch<bool>,
    /// … named by their hardware address.
    pub createnode_macashost: Patch<bool>,
    /// Unknown machines become the next free node.
    pub nextnode_discover: Patch<bool>,
    /// Old name servers.
    pub bind_legacy: Patch<bool>,
    /// DNSSEC of old name servers.
    pub dnssec_enable: Patch<bool>,
    /// DNSSEC answers are validated.
    pub dnssec_validation: Patch<bool>,
    /// The network of the controllers that get a new address.
    pub controller_network: Option<Name>,
    /// New addresses of controllers, by the keys that clients use for them.
    pub controllers: Vec<(String, IpAddr)>,
}

impl Request {
    fn sets_something(&self) -> bool {
        let addresses = Self {
            controller_network: self.controller_network.clone(),
            controllers: self.controllers.clone(),
            ..Self::default()
        };
        *self != addresses
    }
}

/// Changes the settings and the controllers' addresses; all or nothing. `Created` means that there was nothing to do.
pub fn save(draft: &mut Draft, request: &Request) -> Result<Saved, Error> {
    let before = draft.clone();
    for (key, address) in &request.controllers {
        controller::set_address(draft, key, *address, request.controller_network.as_ref())?;
    }
    let mut settings = Settings::clone(draft.settings());
    apply(request, &mut settings);
    draft.put(settings)?;
    let moved = before.controllers() != draft.controllers();
    Ok(if moved || request.sets_something() { Saved::Updated } else { Saved::Created })
}

/// The settings of a new cluster of which this is said and nothing else.
pub fn alone(request: &Request) -> Settings {
    let mut settings = Settings::default();
    apply(request, &mut settings);
    settings
}

fn apply(request: &Request, settings: &mut Settings) {
    let factory = Settings::default();
    if let Some(title) = &request.title {
        settings.title = title.to_string();
    }
    request.user.apply(&mut settings.user);
    request.domain_search.apply_or(&mut settings.domain_search, Vec::new());
    request.nameserver_ip.apply_or(&mut settings.nameserver_ip, Vec::new());
    request.forwardserver_ip.apply_or(&mut settings.forwardserver_ip, Vec::new());
    request.ntp_server.apply_or(&mut settings.ntp_server, Vec::new());
    request.technical_contacts.apply(&mut settings.technical_contacts);
    request.provision_method.apply(&mut settings.provision_method);
    request.provision_fallback.apply(&mut settings.provision_fallback);
    request.install_policy.apply(&mut settings.install_policy);
    request.debug.apply_or(&mut settings.debug, factory.debug);
    request.security.apply_or(&mut settings.security, factory.security);
    request.packing_bootpause.apply_or(&mut settings.packing_bootpause, factory.packing_bootpause);
    request.createnode_ondemand.apply_or(&mut settings.createnode_ondemand, true);
    request.createnode_macashost.apply_or(&mut settings.createnode_macashost, true);
    request.nextnode_discover.apply_or(&mut settings.nextnode_discover, false);
    request.bind_legacy.apply_or(&mut settings.bind_legacy, false);
    request.dnssec_enable.apply(&mut settings.dnssec_enable);
    request.dnssec_validation.apply(&mut settings.dnssec_validation);
}
