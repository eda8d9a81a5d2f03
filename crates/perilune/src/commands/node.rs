//! `perilune node`

use clap::{Args, Subcommand};
use perilune_model::Name;
use perilune_model::plugins::Installed;
use perilune_wire::node;
use serde_json::{Map, Value, json};

use super::{adopt, arm, claim, identity, interface, node_import, node_list, reinstall, watch};
use crate::failure::Failure;
use crate::field::{FieldArguments, options};
use crate::output::table::{Cell, Table};
use crate::resource::{self, Names, Remove, Rename, Resource};
use crate::select::Exclude;
use crate::session::{Session, expand};

pub(crate) const RESOURCE: Resource = Resource {
    kind: "node",
    new_name: "newnodename",
    table,
    first: "add some with `perilune node add node[001-004] --group GROUP`, \
            or see with `perilune node unknown` who asks to boot",
};

pub(crate) struct NodeFields;

options!(NodeFields, |fields| node::request(fields, &Name::default(), &Installed::default()));

#[derive(Subcommand)]
pub(crate) enum Command {
    /// List nodes
    #[command(visible_alias = "ls", after_help = node_list::examples())]
    List(node_list::ListNodes),
    /// Show nodes in full, and where each value comes from
    #[command(
        after_help = "Examples:\n  perilune node show node001\n  perilune node show node[001-002] -o yaml"
    )]
    Show(Names),
    /// Add nodes
    #[command(after_help = "Examples:
  perilune node add node001 --group compute --mac 52:54:00:12:34:56
  perilune node add node[001-128] --group compute
  perilune node add login1 --group login --interface ext0,network=campus,ip=192.0.2.7

A root on disks, with swap (docs/disk-layout.md has all that can be written):
  perilune node add node001 --group compute --disklayout '{\"disks\": [{\"partitions\": [
    {\"filesystem\": \"esp\", \"size\": \"512M\", \"mount\": \"/boot/efi\"},
    {\"filesystem\": \"swap\", \"size\": \"8G\"}, {\"filesystem\": \"ext4\", \"mount\": \"/\"}]}]}'")]
    Add(Add),
    /// Change fields of nodes
    #[command(after_help = "Examples:
  perilune node change node[001-064] --osimage debian13
  perilune node change node007 --comment \"memory is being replaced\"
  perilune node change node007 --osimage \"\"      (back to the group's)
  perilune node change node[001-004] --label canary=yes --label owner=
  perilune node change node007 --disklayout @disk.json
  generate-script | perilune node change node007 --postscript -")]
    Change(Change),
    /// Copy a node; the copy gets addresses of its own
    #[command(after_help = "Examples:
  perilune node clone node001 node002 --mac 52:54:00:12:34:57
  perilune node clone node001 node[002-128]")]
    Clone(CloneArguments),
    /// Add and change nodes as a table says
    #[command(after_help = node_import::EXAMPLES)]
    Import(node_import::Import),
    /// Remove nodes
    #[command(
        visible_alias = "rm",
        after_help = "Example:\n  perilune node remove node[100-128] --yes"
    )]
    Remove(Remove),
    /// Rename a node
    #[command(after_help = "Example:\n  perilune node rename node001 login1")]
    Rename(Rename),
    /// Interfaces: addresses, MACs, networks
    #[command(subcommand, visible_alias = "interfaces")]
    Interface(interface::Command),
    /// Follow nodes while they boot and install
    #[command(after_help = watch::EXAMPLES)]
    Watch(watch::Watch),
    /// List machines that ask to boot and belong to no node
    #[command(after_help = "Make one a node with `perilune node adopt MAC NAME --group GROUP`.")]
    Unknown,
    /// Make an unknown machine a node
    #[command(after_help = adopt::EXAMPLES)]
    Adopt(adopt::Adopt),
    /// Put another machine in the place of a node's
    #[command(after_help = claim::EXAMPLES)]
    Replace(claim::Replace),
    /// Allow boots of nodes in advance, where the controller cannot see them begin
    #[command(after_help = arm::EXAMPLES)]
    Arm(arm::Arm),
    /// Have nodes that are installed once installed anew
    #[command(after_help = reinstall::EXAMPLES)]
    Reinstall(reinstall::Reinstall),
    /// List the nodes whose boots are expected now
    #[command(after_help = arm::EXAMPLES)]
    Windows,
    /// Show what the installer of a node last said
    #[command(after_help = "Example:\n  perilune node log node001 | less")]
    Log(identity::Log),
    /// Host keys and numbers that a node is known by
    #[command(subcommand)]
    Identity(identity::Command),
}

#[derive(Args)]
pub(crate) struct Add {
    /// Names or host lists, such as node[001-128,200]
    #[arg(required = true)]
    names: Vec<String>,
    #[command(flatten)]
    boot: BootInterface,
    #[command(flatten)]
    fields: FieldArguments<NodeFields>,
}

#[derive(Args)]
pub(crate) struct Change {
    /// Names, host lists or selectors, such as node[001-128,200] or 'rack:r1&@compute'
    #[arg(required = true)]
    names: Vec<String>,
    #[command(flatten)]
    exclude: Exclude,
    #[command(flatten)]
    boot: BootInterface,
    #[command(flatten)]
    fields: FieldArguments<NodeFields>,
}

#[derive(Args)]
pub(crate) struct CloneArguments {
    /// The node to copy
    source: String,
    /// The new node, or a host list of new nodes
    target: String,
    /// MAC address of the interface it boots from
    #[arg(long, value_name = "MAC")]
    mac: Option<String>,
    #[command(flatten)]
    fields: FieldArguments<NodeFields>,
}

/// What one most often says of the interface that a node boots from.
#[derive(Args)]
pub(crate) struct BootInterface {
    /// MAC address of the interface it boots from
    #[arg(long, value_name = "MAC")]
    mac: Option<String>,
    /// IP address of the interface it boots from
    #[arg(long, value_name = "ADDRESS")]
    ip: Option<String>,
}

pub(crate) fn run(session: &Session, command: Command) -> Result<(), Failure> {
    match command {
        Command::List(arguments) => node_list::run(session, &arguments),
        Command::Show(arguments) => resource::show(session, &RESOURCE, &arguments),
        Command::Add(Add { names, boot, fields }) => {
            let names = expand(&names)?;
            let fields = boot.merge(&names, fields.into_object()?)?;
            if !fields.contains_key("group") {
                return Err(needs_group(session));
            }
            resource::add(session, &RESOURCE, &names, &fields)
        }
        Command::Change(Change { names, exclude, boot, fields }) => {
            let names = session.nodes(&names, &exclude)?;
            let fields = boot.merge(&names, fields.into_object()?)?;
            resource::change(session, &RESOURCE, &names, &fields)
        }
        Command::Clone(arguments) => clone(session, arguments),
        Command::Import(arguments) => node_import::run(session, &arguments),
        Command::Remove(arguments) => resource::remove(session, &RESOURCE, &arguments),
        Command::Rename(arguments) => resource::rename(session, &RESOURCE, &arguments),
        Command::Interface(command) => interface::run(session, "node", command),
        Command::Watch(arguments) => watch::run(session, &arguments),
        Command::Unknown => adopt::unknown(session),
        Command::Adopt(arguments) => adopt::run(session, arguments),
        Command::Replace(arguments) => claim::replace(session, &arguments),
        Command::Arm(arguments) => arm::arm(session, &arguments),
        Command::Reinstall(arguments) => reinstall::run(session, &arguments),
        Command::Windows => arm::windows(session),
        Command::Log(arguments) => identity::log(session, &arguments),
        Command::Identity(command) => identity::run(session, command),
    }
}

/// The MAC is set afterwards: an interface given with the request would replace that of the source.
fn clone(session: &Session, arguments: CloneArguments) -> Result<(), Failure> {
    let CloneArguments { source, target, mac, fields } = arguments;
    let targets = expand(&[target])?;
    let fields = fields.into_object()?;
    let [target] = targets.as_slice() else {
        if mac.is_some() {
            let message = format!("--mac is for one node; {} are named", targets.len());
            return Err(Failure::usage(message));
        }
        return resource::clone_to_many(session, &RESOURCE, &source, &targets, &fields);
    };
    let answer = resource::clone(session, &RESOURCE, &source, target, fields)?;
    if let Some(mac) = mac {
        let node = session.client.object("node", target)?;
        let interface = json!([{ "interface": boot_interface(&node), "macaddress": mac }]);
        let fields = Map::from_iter([("interfaces".to_owned(), interface)]);
        session.client.act("node", target, "interfaces", &fields)?;
    }
    session.say(&answer)
}

/// The interface that a node boots from.
pub(crate) fn boot_interface(node: &Map<String, Value>) -> String {
    let name =
        node.get("provision_interface").and_then(Value::as_str).filter(|name| !name.is_empty());
    name.unwrap_or("BOOTIF").to_owned()
}

pub(crate) fn needs_group(session: &Session) -> Failure {
    let groups = session.client.objects("group").unwrap_or_default();
    let known: Vec<&str> = groups.keys().map(String::as_str).collect();
    Failure::usage(if known.is_empty() {
        "a node needs a group: add one first, with `perilune group add compute --osimage IMAGE`"
            .to_owned()
    } else {
        format!("a node needs a group: --group NAME, one of {}", known.join(", "))
    })
}

impl BootInterface {
    /// Adds the interface to the fields. An address is for one node only.
    fn merge(
        self,
        names: &[String],
        mut fields: Map<String, Value>,
    ) -> Result<Map<String, Value>, Failure> {
        if self.mac.is_none() && self.ip.is_none() {
            return Ok(fields);
        }
        if names.len() > 1 {
            let message = format!("--mac and --ip are for one node; {} are named", names.len());
            return Err(Failure::usage(message));
        }
        let name = boot_interface(&fields);
        let mut interface = Map::from_iter([("interface".to_owned(), Value::from(name))]);
        interface.extend(self.mac.map(|mac| ("macaddress".to_owned(), mac.into())));
        interface.extend(self.ip.map(|ip| ("ipaddress".to_owned(), ip.into())));
        let interfaces = fields.entry("interfaces").or_insert_with(|| json!([]));
        if let Value::Array(interfaces) = interfaces {
            interfaces.insert(0, interface.into());
        }
        Ok(fields)
    }
}

/// The names alone; `node list` makes its table of the columns that are asked for.
fn table(nodes: &Map<String, Value>) -> Table {
    let mut table = Table::new(["NAME"]);
    nodes.keys().for_each(|name| table.row([Cell::new(name)]));
    table
}

#[cfg(test)]
mod tests {
    use serde_json::{Map, json};

    use super::BootInterface;

    #[test]
    fn a_mac_address_is_for_one_node() {
        let boot = || BootInterface { mac: Some("52:54:00:12:34:56".to_owned()), ip: None };
        let names =
            |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let fields = boot().merge(&names(&["node001"]), Map::new()).unwrap();
        assert_eq!(
            json!(fields),
            json!({"interfaces": [{"interface": "BOOTIF", "macaddress": "52:54:00:12:34:56"}]})
        );
        let refusal = boot().merge(&names(&["node001", "node002"]), Map::new()).unwrap_err();
        assert!(refusal.to_string().contains("for one node; 2 are named"), "{refusal}");
    }
}
