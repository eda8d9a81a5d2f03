//! `perilune node reinstall`

use clap::Args;
use perilune_select::hostlist;
use serde_json::json;

use crate::failure::Failure;
use crate::output;
use crate::select::Exclude;
use crate::session::Session;

pub(crate) const EXAMPLES: &str = "\
Examples:
  perilune node reinstall node[001-016]
  perilune node reinstall node001 --cancel     (leave it as it is)

A node with the install policy 'once' starts from its disk after it was installed. This has it installed anew at its next boot
from the network, which is not caused by this: perilune power cycle node001. docs/node.md has the policies.";

#[derive(Args)]
pub(crate) struct Reinstall {
    /// The nodes, such as node[001-016] or @compute
    #[arg(required = true)]
    names: Vec<String>,
    #[command(flatten)]
    exclude: Exclude,
    /// Take it back, as long as they were not installed
    #[arg(long)]
    cancel: bool,
}

pub(crate) fn run(session: &Session, arguments: &Reinstall) -> Result<(), Failure> {
    let names = session.nodes(&arguments.names, &arguments.exclude)?;
    let body = json!({ "nodes": names.join(","), "cancel": arguments.cancel });
    session.client.post("/boot/reinstall", &body)?;
    let nodes = hostlist::fold(&names);
    let text = if arguments.cancel {
        format!("{nodes}: not installed anew")
    } else {
        format!("{nodes}: installed anew at the next boot from the network")
    };
    Ok(output::line(&text)?)
}
