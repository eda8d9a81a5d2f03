//! `perilune nodes`: the names that a selector means, for pipes.

use clap::Args;
use serde_json::json;

use crate::failure::Failure;
use crate::output;
use crate::select::{Exclude, printed};
use crate::session::Session;

pub(crate) const EXAMPLES: &str = "\
Examples:
  perilune nodes '*'                                        (all of them)
  perilune nodes 'rack:r[1-2]&state:install.error'
  perilune nodes @compute -x 'label:canary=yes' --fold      (prints node[003-128])
  perilune nodes 'image:debian*&!power:off' | parallel ssh {} uptime
  sinfo -h -t down -o %N | perilune nodes -

docs/selectors.md has the whole language. What matches nothing ends with exit code 4.";

#[derive(Args)]
pub(crate) struct Nodes {
    /// Nodes: names, node[001-128/2], node*, @GROUP, rack:NAME, state:install.error, label:key=value, ^FILE, …
    #[arg(required = true, value_name = "SELECTOR")]
    names: Vec<String>,
    #[command(flatten)]
    exclude: Exclude,
    /// Print them as one host list
    #[arg(long, short)]
    fold: bool,
    /// Print how many there are
    #[arg(long, conflicts_with = "fold")]
    count: bool,
}

pub(crate) fn run(session: &Session, arguments: &Nodes) -> Result<(), Failure> {
    let nodes = session.known_nodes(&arguments.names, &arguments.exclude)?;
    if arguments.count {
        return Ok(output::line(&nodes.len().to_string())?);
    }
    if !session.output.is_table() {
        return Ok(session.output.value(&json!(nodes))?);
    }
    Ok(output::line(&printed(nodes.iter(), arguments.fold))?)
}
