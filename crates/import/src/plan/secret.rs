//! Secrets of nodes and groups, and DNS hosts of networks.

use std::collections::BTreeMap;

use perilune_model::dns::{DnsHost, DnsHosts};
use perilune_model::object::{GroupSecrets, NodeSecrets};
use perilune_model::secret::{Secret, Secrets, check_mode, check_owner, check_path};
use perilune_model::{Name, Object};

use super::planner::Planner;
use crate::reading::Reading;
use crate::report::Verdict;

/// Opens a secret's content, which may be encrypted with the key of the old site; None when it is with another one.
pub type Opener<'a> = dyn Fn(&str) -> Option<String> + 'a;

/// Opens the contents of a list of secrets with the key of the old site; names the secret that is of another key.
pub(super) fn open(object: &Object, open: &Opener<'_>) -> Result<Option<Object>, String> {
    let list = match object {
        Object::NodeSecrets(list) => &list.0,
        Object::GroupSecrets(list) => &list.0,
        _ => return Ok(None),
    };
    let mut opened = list.clone();
    for secret in &mut opened.secrets {
        let content = open(&secret.content);
        secret.content = content.ok_or_else(|| format!("{}:{}", list.name, secret.name))?;
    }
    let is_of_node = matches!(object, Object::NodeSecrets(_));
    Ok(Some(if is_of_node { NodeSecrets(opened).into() } else { GroupSecrets(opened).into() }))
}

impl Planner<'_> {
    pub(super) fn secrets(&mut self) {
        let nodes = self.secrets_of("nodesecrets", "node", "nodeid");
        let groups = self.secrets_of("groupsecrets", "group", "groupid");
        for secrets in nodes {
            self.put_list("nodesecrets", NodeSecrets(secrets));
        }
        for secrets in groups {
            self.put_list("groupsecrets", GroupSecrets(secrets));
        }
    }

    fn secrets_of(
        &mut self,
        table: &'static str,
        owner_table: &'static str,
        column: &'static str,
    ) -> Vec<Secrets> {
        let mut owners: BTreeMap<Name, Secrets> = BTreeMap::new();
        for row in self.source.rows(table) {
            let mut reading = Reading::new(table, row, &mut self.report);
            let Some(owner) = reading.owner(&self.names, owner_table, column) else { continue };
            let Some(name) = reading.own_name("name", Name::general) else { continue };
            reading.name = Some(format!("{owner}:{name}"));
            let secrets = owners
                .entry(owner.clone())
                .or_insert_with(|| Secrets { name: owner, secrets: Vec::new() });
            if secrets.secrets.iter().any(|other| other.name == name) {
                reading.refuse("name", "its owner has another secret of this name, which is taken");
                continue;
            }
            let Some(content) = reading.confidential("content") else {
                reading.refuse("content", "it has no content");
                continue;
            };
            let path = reading.checked("path", |text| check_path(text).is_ok());
            if path.is_none() {
                reading.odd("path", "it has no path; nodes do not write it to a file");
            }
            let owner = reading.checked("owner", |text| check_owner(text).is_ok());
            let mode = reading.checked("mode", |text| check_mode(text).is_ok());
            secrets.secrets.push(Secret { name, content, path, owner, mode });
        }
        owners.into_values().filter(|secrets| !secrets.secrets.is_empty()).collect()
    }

    pub(super) fn dns_hosts(&mut self) {
        let mut networks: BTreeMap<Name, DnsHosts> = BTreeMap::new();
        for row in self.source.rows("dns") {
            let mut reading = Reading::new("dns", row, &mut self.report);
            let Some(network) = reading.owner(&self.names, "network", "networkid") else {
                continue;
            };
            let Some(host) = reading.own_name("host", Name::host) else { continue };
            let Some(ipaddress) = reading.address("ipaddress") else {
                reading.refuse("ipaddress", "it has no address");
                continue;
            };
            let hosts = networks
                .entry(network.clone())
                .or_insert_with(|| DnsHosts { name: network, ..DnsHosts::default() });
            if hosts.hosts.iter().any(|other| other.host == host) {
                reading.refuse("host", "its network has another host of this name, which is taken");
                continue;
            }
            hosts.hosts.push(DnsHost { host, ipaddress });
        }
        for hosts in networks.into_values() {
            self.put_list("dns", hosts);
        }
    }

    /// Puts an object that is made of many rows.
    fn put_list(&mut self, table: &'static str, object: impl Into<Object>) {
        let object = object.into();
        let name = object.name().clone();
        if let Err(error) = self.draft.put(object) {
            self.report.table(Verdict::Refused, table, format!("those of '{name}': {error}"));
        }
    }
}
