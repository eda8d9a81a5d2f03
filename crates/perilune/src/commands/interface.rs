//! `perilune node interface` and `perilune group interface`

use clap::{Args, Subcommand};
use perilune_select::hostlist;
use serde_json::{Map, Value, json};

use crate::failure::Failure;
use crate::field::{FieldArguments, InterfaceFields};
use crate::output;
use crate::output::object;
use crate::output::text::{field_text, readable};
use crate::resource::{carry_out, or_unknown, remove_all};
use crate::select::Exclude;
use crate::session::{Edit, Session};

#[derive(Subcommand)]
pub(crate) enum Command {
    /// List interfaces
    #[command(visible_alias = "ls")]
    List {
        /// Names or host lists; nodes by selectors, too
        #[arg(required = true)]
        names: Vec<String>,
        #[command(flatten)]
        exclude: Exclude,
    },
    /// Add an interface, or change fields of one
    #[command(visible_aliases = ["add", "change"], after_help = "Examples:
  perilune node interface set node001 BOOTIF --mac 52:54:00:12:34:56
  perilune node interface set node[001-128] ib0 --network ib
  perilune node interface set node001 eth0.100 --network storage --vlanid 100 --vlan-parent eth0
  perilune group interface set compute BMC --network ipmi --addressing \"like BOOTIF\"")]
    Set(Set),
    /// Rename an interface
    Rename {
        /// Names or host lists; nodes by selectors, too
        names: String,
        #[command(flatten)]
        exclude: Exclude,
        /// The interface
        interface: String,
        /// The name it gets
        target: String,
    },
    /// Remove an interface
    #[command(visible_alias = "rm")]
    Remove {
        /// Names or host lists; nodes by selectors, too
        names: String,
        #[command(flatten)]
        exclude: Exclude,
        /// The interface
        interface: String,
        /// Do not ask
        #[arg(long, short)]
        yes: bool,
    },
}

#[derive(Args)]
pub(crate) struct Set {
    /// Names or host lists; nodes by selectors, too
    names: String,
    #[command(flatten)]
    exclude: Exclude,
    /// The interface, such as BOOTIF, BMC or eth1
    interface: String,
    /// Take the address away from another node that has it
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    fields: FieldArguments<InterfaceFields>,
}

/// `kind` is `node` or `group`.
pub(crate) fn run(session: &Session, kind: &str, command: Command) -> Result<(), Failure> {
    match command {
        Command::List { names, exclude } => {
            list(session, kind, &session.named(kind, &names, &exclude)?)
        }
        Command::Set(arguments) => set(session, kind, arguments),
        Command::Rename { names, exclude, interface, target } => {
            let names = session.named(kind, &[names], &exclude)?;
            let change = json!({ "interface": interface, "newinterfacename": target });
            let done = format!("has {interface} renamed to {target}");
            carry_out(session, kind, &done, &edits(kind, &names, &change))
        }
        Command::Remove { names, exclude, interface, yes } => {
            let names = session.named(kind, &[names], &exclude)?;
            let done = format!("has no {interface} any more");
            let edit = |name: &String| {
                let path = ["config", kind, name, "interfaces", &interface, "_delete"];
                Edit::get(name, &perilune::client::path(path))
            };
            let edits: Vec<Edit> = names.iter().map(edit).collect();
            let what = format!("the interface {interface} of {kind} {}", hostlist::fold(&names));
            remove_all(session, kind, (&what, &done), &edits, yes)
        }
    }
}

/// One interface in a word, for lists.
pub(crate) fn brief(interface: &Value) -> String {
    let text =
        |key: &str| interface.get(key).map(|value| field_text(key, value)).unwrap_or_default();
    format!("{}:{}", text("interface"), text("network"))
}

fn list(session: &Session, kind: &str, names: &[String]) -> Result<(), Failure> {
    let mut all = Map::new();
    for name in names {
        let object = session.client.object(kind, name);
        let object = object.map_err(|error| or_unknown(session, kind, name, error))?;
        let interfaces = object.get("interfaces").cloned().unwrap_or_else(|| json!([]));
        all.insert(name.clone(), interfaces);
    }
    if !session.output.is_table() {
        let mut all = Value::Object(all);
        readable(&mut all);
        return Ok(session.output.value(&all)?);
    }
    for (position, (name, interfaces)) in all.iter().enumerate() {
        if names.len() > 1 {
            output::line(&format!("{}{name}", if position > 0 { "\n" } else { "" }))?;
        }
        let table =
            object::interfaces(interfaces.as_array().map(Vec::as_slice).unwrap_or_default());
        if table.is_empty() {
            output::line(&format!(
                "none; add one with `perilune {kind} interface set {name} BOOTIF --network NETWORK`"
            ))?;
        } else {
            session.output.table(&table)?;
        }
    }
    Ok(())
}

fn set(session: &Session, kind: &str, arguments: Set) -> Result<(), Failure> {
    let Set { names, exclude, interface, force, fields } = arguments;
    let names = session.named(kind, &[names], &exclude)?;
    if fields.is_empty() {
        return Err(Failure::usage("nothing to set is given; --help lists the fields"));
    }
    let mut change = fields.into_object()?;
    let one_only = ["macaddress", "ipaddress"]
        .iter()
        .any(|key| change.get(*key).and_then(Value::as_str).is_some_and(|value| !value.is_empty()));
    if one_only && names.len() > 1 {
        let message = format!("--mac and --ip are for one node; {} are named", names.len());
        return Err(Failure::usage(message));
    }
    change.insert("interface".to_owned(), interface.as_str().into());
    if force {
        change.insert("force".to_owned(), true.into());
    }
    let change: Value = change.into();
    let edits = edits(kind, &names, &change);
    carry_out(session, kind, &format!("has {interface} set"), &edits)
}

/// What changes one interface of each.
fn edits(kind: &str, names: &[String], change: &Value) -> Vec<Edit> {
    let edit = |name: &String| {
        let body = json!({ "config": { kind: { name: { "interfaces": [change] } } } });
        Edit::post(name, &perilune::client::path(["config", kind, name, "interfaces"]), &body)
    };
    names.iter().map(edit).collect()
}
