//! Resources that are listed, shown, added, changed, cloned, removed and renamed, and no more.

use clap::{Args, Subcommand};
use serde_json::{Map, Value};

use crate::failure::Failure;
use perilune_wire::device;

use crate::field::{FieldArguments, Fields, options};
use crate::output::table::{Cell, Table};
use crate::output::text::field_text;
use crate::resource::{self, List, Names, Remove, Rename, Resource};
use crate::session::{Session, expand};

/// Such a resource.
pub(crate) trait Standard: Fields {
    const RESOURCE: Resource;
    /// What `--help` of `add` ends with.
    const ADD: &'static str;
    /// What `--help` of `change` ends with.
    const CHANGE: &'static str;
}

#[derive(Subcommand)]
pub(crate) enum Command<F: Standard> {
    /// List them
    #[command(visible_alias = "ls")]
    List(List),
    /// Show objects in full
    Show(Names),
    /// Add objects
    #[command(after_help = F::ADD)]
    Add(WithFields<F>),
    /// Change fields
    #[command(after_help = F::CHANGE)]
    Change(WithFields<F>),
    /// Copy one
    Clone(CloneArguments<F>),
    /// Remove objects
    #[command(visible_alias = "rm")]
    Remove(Remove),
    /// Rename one
    Rename(Rename),
}

#[derive(Args)]
pub(crate) struct WithFields<F: Standard> {
    /// Names or host lists
    #[arg(required = true)]
    names: Vec<String>,
    #[command(flatten)]
    fields: FieldArguments<F>,
}

#[derive(Args)]
pub(crate) struct CloneArguments<F: Standard> {
    /// The one to copy
    source: String,
    /// The new one
    target: String,
    #[command(flatten)]
    fields: FieldArguments<F>,
}

pub(crate) fn run<F: Standard>(session: &Session, command: Command<F>) -> Result<(), Failure> {
    let resource = &F::RESOURCE;
    match command {
        Command::List(arguments) => resource::list(session, resource, &arguments),
        Command::Show(arguments) => resource::show(session, resource, &arguments),
        Command::Add(WithFields { names, fields }) => {
            resource::add(session, resource, &expand(&names)?, &fields.into_object()?)
        }
        Command::Change(WithFields { names, fields }) => {
            resource::change(session, resource, &expand(&names)?, &fields.into_object()?)
        }
        Command::Clone(CloneArguments { source, target, fields }) => {
            let answer =
                resource::clone(session, resource, &source, &target, fields.into_object()?)?;
            session.say(&answer)
        }
        Command::Remove(arguments) => resource::remove(session, resource, &arguments),
        Command::Rename(arguments) => resource::rename(session, resource, &arguments),
    }
}

/// A table with a column for each of these fields, after that of the names.
pub(crate) fn columns(
    objects: &Map<String, Value>,
    titles: &[&'static str],
    fields: &[&'static str],
) -> Table {
    let mut table = Table::new(titles.to_vec());
    for (name, object) in objects {
        let text =
            |key: &&str| object.get(*key).map(|value| field_text(key, value)).unwrap_or_default();
        let cells = fields.iter().map(|field| Cell::new(text(field)));
        table.row(std::iter::once(Cell::new(name)).chain(cells).collect::<Vec<_>>());
    }
    table
}

pub(crate) struct BmcSetup;

options!(BmcSetup, perilune_wire::bmc_setup::request);

impl Standard for BmcSetup {
    const RESOURCE: Resource = Resource {
        kind: "bmcsetup",
        new_name: "newbmcname",
        table: |objects| {
            columns(
                objects,
                &["NAME", "USER", "USERID", "DRIVER", "NETCHANNEL", "OTHER USERS", "COMMENT"],
                &["username", "userid", "driver", "netchannel", "unmanaged_bmc_users", "comment"],
            )
        },
        first: "add one with `perilune bmcsetup add compute`",
    };
    const ADD: &'static str = "Examples:
  perilune bmcsetup add compute                       (a password is made up)
  perilune bmcsetup add gpu --driver redfish --username admin --password @bmc.password
  perilune group change compute --bmcsetup compute";
    const CHANGE: &'static str =
        "Example:\n  perilune bmcsetup change compute --unmanaged-bmc-users disable";
}

pub(crate) struct Switch;

options!(Switch, device::switch_request);

impl Standard for Switch {
    const RESOURCE: Resource = Resource {
        kind: "switch",
        new_name: "newswitchname",
        table: |objects| {
            columns(
                objects,
                &["NAME", "ADDRESS", "NETWORK", "MAC", "UPLINKS", "VENDOR", "COMMENT"],
                &["ipaddress", "network", "macaddress", "uplinkports", "vendor", "comment"],
            )
        },
        first: "add one with `perilune switch add sw01 --network cluster`",
    };
    const ADD: &'static str = "Examples:
  perilune switch add sw01 --network cluster --ipaddress 10.141.200.1
  perilune switch add sw[02-16] --network cluster      (each gets a free address)";
    const CHANGE: &'static str = "Examples:
  perilune switch change sw01 --uplinkports 49,50
  perilune switch change sw01 --netboot yes --default-url files/nvos.bin --ztpconfig @sw01.nv";
}

pub(crate) struct OtherDevice;

options!(OtherDevice, device::other_request);

impl Standard for OtherDevice {
    const RESOURCE: Resource = Resource {
        kind: "otherdev",
        new_name: "newotherdevname",
        table: |objects| {
            columns(
                objects,
                &["NAME", "ADDRESS", "NETWORK", "MAC", "VENDOR", "COMMENT"],
                &["ipaddress", "network", "macaddress", "vendor", "comment"],
            )
        },
        first: "add one with `perilune otherdev add pdu01 --network cluster`",
    };
    const ADD: &'static str = "Examples:
  perilune otherdev add pdu01 --network cluster --ipaddress 10.141.200.2
  perilune otherdev add chiller --ipaddress 192.0.2.7 --nonetwork yes";
    const CHANGE: &'static str = "Example:\n  perilune otherdev change pdu01 --vendor Acme";
}

pub(crate) struct Cloud;

options!(Cloud, device::cloud_request);

impl Standard for Cloud {
    const RESOURCE: Resource = Resource {
        kind: "cloud",
        new_name: "newcloudname",
        table: |objects| columns(objects, &["NAME", "TYPE", "COMMENT"], &["type", "comment"]),
        first: "add one with `perilune cloud add aws --type aws`",
    };
    const ADD: &'static str = "Example:\n  perilune cloud add aws --type aws";
    const CHANGE: &'static str = "Example:\n  perilune cloud change aws --comment \"Frankfurt\"";
}
