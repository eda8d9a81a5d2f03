//! `perilune node arm` and `perilune node windows`

use clap::Args;
use perilune_select::hostlist;
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::output;
use crate::output::table::{Cell, Table};
use crate::select::Exclude;
use crate::session::Session;

pub(crate) const EXAMPLES: &str = "\
Examples:
  perilune node arm node[001-016]              (for 30 minutes)
  perilune node arm node001 --for 4h
  perilune node arm node001 --for 0            (not any longer)
  perilune node windows                        (whose boots are expected now)

A node gets its secrets only while its boot is expected. Its firmware's request for an address, or a power action that its BMC
confirmed, is enough by itself; this is for nodes whose boots the controller cannot see. docs/trust.md has the whole rule.";

#[derive(Args)]
pub(crate) struct Arm {
    /// The nodes, such as node[001-016] or @compute
    #[arg(required = true)]
    names: Vec<String>,
    #[command(flatten)]
    exclude: Exclude,
    /// How long, such as 30m or 4h; 24h at most, 0 ends it
    #[arg(long = "for", value_name = "TIME", default_value = "30m", value_parser = duration)]
    length: u64,
}

/// Seconds.
pub(crate) fn duration(text: &str) -> Result<u64, String> {
    if text == "0" {
        return Ok(0);
    }
    let length =
        humantime::parse_duration(text).map_err(|error| format!("{error}; write 30m or 4h"))?;
    Ok(length.as_secs())
}

pub(crate) fn arm(session: &Session, arguments: &Arm) -> Result<(), Failure> {
    let names = session.nodes(&arguments.names, &arguments.exclude)?;
    let body = json!({ "nodes": names.join(","), "seconds": arguments.length });
    let answer = session.client.post("/boot/window", &body)?;
    if !session.output.is_table() {
        return Ok(session.output.value(&answer)?);
    }
    let nodes = hostlist::fold(&names);
    let text = if arguments.length == 0 {
        format!("{nodes}: boots are not allowed any longer")
    } else {
        let length = std::time::Duration::from_secs(arguments.length);
        format!("{nodes}: boots are allowed for {}", humantime::format_duration(length))
    };
    Ok(output::line(&text)?)
}

pub(crate) fn windows(session: &Session) -> Result<(), Failure> {
    let answer = session.client.get("/boot/window")?;
    if !session.output.is_table() {
        return Ok(session.output.value(&answer)?);
    }
    let windows = answer.get("windows").and_then(Value::as_array).cloned().unwrap_or_default();
    if windows.is_empty() {
        return Ok(output::line("none: no boot is expected at present")?);
    }
    let mut table =
        Table::new(["NODE", "EXPECTED BY", "FOR"]).whole(&["NODE", "EXPECTED BY", "FOR"]);
    for window in &windows {
        let text =
            |key: &str| window.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        let seconds = window.get("seconds_left").and_then(Value::as_u64).unwrap_or_default();
        let left = humantime::format_duration(std::time::Duration::from_secs(seconds));
        table.row([
            Cell::new(text("node")),
            Cell::new(text("evidence")),
            Cell::new(left.to_string()),
        ]);
    }
    Ok(session.output.table(&table)?)
}
