//! What the parts of the daemon share.

use std::net::{IpAddr, SocketAddr};
use std::ops::Deref;
use std::sync::Arc;

use ipnet::IpNet;
use perilune_boards::Unreadable;
use perilune_boot::{Environment, Protocol, Templates};
use perilune_model::Cluster;
use perilune_model::controller::DEFAULT_PORT;
use perilune_model::plugins::Installed;

use crate::audit::Audit;
use crate::auth::Keys;
use crate::backup::Database;
use crate::boots::Boots;
use crate::claims::Claims;
use crate::clock;
use crate::cluster::ClusterService;
use crate::config::Settings;
use crate::control::Control;
use crate::controllers::Controllers;
use crate::discovery::Discovery;
use crate::followers::Followers;
use crate::history::History;
use crate::holdings::Holdings;
use crate::hooks::Hooks;
use crate::identity;
use crate::install_logs::InstallLogs;
use crate::installations::Installations;
use crate::inventories::Inventories;
use crate::jobs::Jobs;
use crate::joining::Invitations;
use crate::leases::Leases;
use crate::metrics::Metrics;
use crate::names::Names;
use crate::os_users::OsUsers;
use crate::plugins::Runner;
use crate::prometheus::Prometheus;
use crate::servers::Servers;
use crate::sightings::Sightings;
use crate::spool::Spool;
use crate::status::Status;
use crate::swarm::Swarm;
use crate::tls::ShownCertificate;
use crate::token_uses::TokenUses;
use crate::vault::Vault;

/// What the parts of the daemon share, as clones do.
#[derive(Clone)]
pub struct State {
    parts: Arc<Parts>,
    /// The cluster, and the way to change it: that of the parts, or one that gathers several changes.
    pub cluster: ClusterService,
}

/// The parts of the state.
pub struct Parts {
    /// The configuration.
    pub settings: Settings,
    /// The cluster, and the way to change it.
    pub cluster: ClusterService,
    /// The controllers that share the database.
    pub controllers: Controllers,
    /// What new ones join with.
    pub invitations: Invitations,
    /// What each of them has, and where it is reached.
    pub holdings: Holdings,
    /// What was changed in the past.
    pub history: History,
    /// What is copied into backups.
    pub database: Database,
    /// What nodes report.
    pub status: Status,
    /// What their installers last said.
    pub install_logs: InstallLogs,
    /// Long operations.
    pub jobs: Jobs,
    /// Users and groups of the operating systems.
    pub directory: OsUsers,
    /// How far clients have read what they follow.
    pub followers: Followers,
    /// Control of machines by their BMCs.
    pub control: Control,
    /// Machines that nobody described.
    pub sightings: Sightings,
    /// What finds out which nodes they are.
    pub discovery: Discovery,
    /// Where machines are given addresses and boot programs.
    pub dhcp_interfaces: Vec<String>,
    /// What is spoken at which port of this daemon.
    pub listen: Vec<(Protocol, SocketAddr)>,
    /// The DNS server.
    pub names: Names,
    /// Servers that the site runs itself.
    pub servers: Servers,
    /// Addresses that are lent to machines.
    pub leases: Leases,
    /// What was stored and could not be read when the daemon began.
    pub unreadable: Vec<Unreadable>,
    /// Boot and install scripts.
    pub templates: Templates,
    /// What encrypts secrets.
    pub vault: Vault,
    /// What tokens are signed with.
    pub keys: Keys,
    /// Which boots are expected, and whom secrets were given to.
    pub boots: Boots,
    /// What is kept here while the database is away.
    pub spool: Spool,
    /// Which nodes are installed on their disks.
    pub installations: Installations,
    /// What machines are made of.
    pub inventories: Inventories,
    /// Programs of the site that are told what changes.
    pub hooks: Hooks,
    /// Runs the others of the site's own programs.
    pub runner: Runner,
    /// Who fetches images by torrents.
    pub swarm: Swarm,
    /// What unknown machines say that they are.
    pub claims: Claims,
    /// The certificate that https is spoken with here.
    pub certificate: ShownCertificate,
    /// Proxies that are believed about whom they speak for.
    pub proxies: Vec<IpNet>,
    /// What is counted.
    pub metrics: Metrics,
    /// The site's Prometheus.
    pub prometheus: Prometheus,
    /// Who was refused what, who was given which secret, what was changed and done.
    pub audit: Audit,
    /// When API tokens were last used.
    pub token_uses: TokenUses,
    /// What makes identities of nodes.
    pub identities: identity::Maker,
}

impl Deref for State {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.parts
    }
}

impl State {
    /// Shares the parts.
    pub fn new(parts: Parts) -> Self {
        Self { cluster: parts.cluster.clone(), parts: Arc::new(parts) }
    }

    /// The parts, for what is done later.
    pub fn parts(&self) -> Arc<Parts> {
        Arc::clone(&self.parts)
    }

    /// The same, with changes of the cluster only gathered.
    #[must_use]
    pub fn gathering(&self) -> Self {
        Self { parts: Arc::clone(&self.parts), cluster: self.cluster.gathering() }
    }

    /// The plugins that requests may name, as of now.
    pub fn installed_plugins(&self) -> Installed {
        Installed {
            provision_methods: self.templates.plugin_names("provision"),
            roles: self.templates.plugin_names("roles"),
            scripts: self.templates.plugin_names("scripts"),
        }
    }

    /// Where machines find the controller by this cluster, as of now.
    pub fn environment(&self, cluster: &Cluster) -> Environment {
        self.environment_at(cluster, None)
    }

    /// Where a machine at this address finds it.
    pub fn environment_at(&self, cluster: &Cluster, at: Option<IpAddr>) -> Environment {
        let settings = self.settings.of_boot(&self.listen);
        let told = self.with_certificate(Environment::for_machine(cluster, &settings, at));
        if !self.controllers.is_shared() {
            return told;
        }
        // Whoever is asked here goes on here, unless the address that all are told moves between the controllers.
        let own = at.filter(|_| !self.controllers.have_a_shared_address(cluster));
        let own = own.and_then(|at| self.holdings.own_place(at));
        let told = own.map_or(told.clone(), |place| place.environment(&told));
        self.holdings.with_others(&self.controllers, told, at)
    }

    /// Where machines find this very controller, at each of its addresses.
    pub(crate) fn own_environments(&self, cluster: &Cluster) -> Vec<Environment> {
        let described = cluster.controllers().get(self.controllers.name());
        let port = described.map_or(DEFAULT_PORT, |one| one.serverport);
        let settings = self.settings.of_boot(&self.listen);
        let at = |address| Environment::at(cluster, &settings, (address, port));
        let addresses = self.controllers.addresses();
        addresses.into_iter().map(|address| self.with_certificate(at(address))).collect()
    }

    fn with_certificate(&self, environment: Environment) -> Environment {
        // Where the site's authorities vouch for it, they do; behind another port, another program shows its own.
        let verifies = perilune_plan::boolean(&environment.verify_certificate) != Some(false);
        let told = (Protocol::Https, environment.api_port);
        let is_ours = environment.api_protocol == Protocol::Https
            && self.listen.iter().any(|(protocol, at)| (*protocol, at.port()) == told);
        // No authority has signed the daemon's own: nodes are told which one it is, and not to ask authorities.
        let is_own = self.settings.certificate.is_none();
        let shown = Some(&self.certificate).filter(|_| is_ours && (is_own || !verifies));
        let certificate = shown.and_then(ShownCertificate::fingerprint);
        let public_key = shown.and_then(ShownCertificate::public_key);
        let verify_certificate = match &certificate {
            Some(_) if verifies => "no".to_owned(),
            _ => environment.verify_certificate,
        };
        let time = clock::seconds();
        Environment { time, certificate, public_key, verify_certificate, ..environment }
    }
}
