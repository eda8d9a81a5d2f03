//! The command line as it is typed.

use std::path::PathBuf;

use clap::error::{ContextKind, ContextValue};
use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};
use perilune::client::access::Options;
use perilune_wire::fields::nearest;

use crate::commands::{
    apply, audit, backup, claim, cluster, completion, control, controller, database, dns, group,
    history, import, inventory, key, login, manual, network, node, nodes, os_user, osimage, plugin,
    rack, reservation, route, secret, service, setup, standard, switch, user,
};
use crate::failure::EXIT_CODES;
use crate::output::Format;
use crate::serve::ServeArgs;

const EXAMPLES: &str = "\
Examples:
  perilune serve --data-dir ./perilune-data            start a controller
  perilune osimage add debian12 --path /srv/debian12   describe an image …
  perilune osimage pack debian12                       … and pack it
  perilune group add compute --osimage debian12
  perilune node add node[001-128] --group compute
  perilune node unknown                                who asks to boot and is not known?
  perilune node adopt 52:54:00:12:34:56 node001        give that machine its name
  perilune node watch --until success                  follow them all";

/// Turns racks of blank machines into a running cluster.
#[expect(clippy::struct_excessive_bools, reason = "each is an option that is given or not")]
#[derive(Parser)]
#[command(name = "perilune", version, max_term_width = 100, after_help = format!("{EXAMPLES}\n\n{EXIT_CODES}"))]
pub(crate) struct Arguments {
    #[arg(
        help = "Where the daemon is, such as http://controller:7050",
        long,
        global = true,
        env = "PERILUNE_URL",
        hide_env_values = true,
        value_name = "URL",
        help_heading = "Connection"
    )]
    url: Option<String>,
    /// A luna.ini to take the daemon's address and password from
    #[arg(
        long,
        global = true,
        env = "PERILUNE_CONFIG",
        hide_env_values = true,
        value_name = "FILE",
        help_heading = "Connection"
    )]
    config: Option<PathBuf>,
    /// A token to use instead of logging in
    #[arg(
        long,
        global = true,
        env = "PERILUNE_TOKEN",
        hide_env_values = true,
        value_name = "TOKEN",
        help_heading = "Connection"
    )]
    token: Option<String>,
    /// A certificate (PEM) to trust: the daemon's own, or that of an authority
    #[arg(
        long,
        global = true,
        env = "PERILUNE_CERTIFICATE",
        hide_env_values = true,
        value_name = "FILE",
        help_heading = "Connection"
    )]
    certificate: Option<PathBuf>,
    /// Print what would change, and change nothing
    #[arg(long, global = true)]
    dry_run: bool,
    /// Go on with the other names when one fails; without it a command is one change or none
    #[arg(long, global = true)]
    pub(crate) keep_going: bool,
    /// Show passwords and contents of secrets; who was shown one is in the audit
    #[arg(long, global = true)]
    pub(crate) reveal: bool,
    /// Print nothing on success
    #[arg(long, short, global = true)]
    pub(crate) quiet: bool,
    /// Write without colours, as with the variable `NO_COLOR`
    #[arg(long, global = true)]
    pub(crate) no_color: bool,
    /// How results are written: a table for people, objects for programs, with comments and scripts as text
    #[arg(long, short, global = true, value_enum, default_value = "table", value_name = "FORMAT")]
    pub(crate) output: Format,
    #[command(subcommand)]
    pub(crate) command: Command,
}

impl Arguments {
    pub(crate) fn options(&self) -> Options {
        // An environment variable that is set to nothing is not set.
        let text = |value: &Option<String>| value.clone().filter(|value| !value.is_empty());
        let file =
            |path: &Option<PathBuf>| path.clone().filter(|path| !path.as_os_str().is_empty());
        Options {
            url: text(&self.url),
            config: file(&self.config),
            token: text(&self.token),
            certificate: file(&self.certificate),
            dry_run: self.dry_run,
        }
    }
}

/// The definition of the command line, with all that its pages of help say.
pub(crate) fn command() -> clap::Command {
    examples::complete(Arguments::command())
}

/// Reads a line as it was typed.
pub(crate) fn read<I, T>(line: I) -> Result<Arguments, clap::Error>
where
    I: IntoIterator<Item = T>,
    T: Into<std::ffi::OsString> + Clone,
{
    let mut matches = command().try_get_matches_from(line)?;
    Arguments::from_arg_matches_mut(&mut matches).map_err(|error| error.format(&mut command()))
}

/// A number as people write it: `010` is eight to some programs and ten to others.
pub(crate) fn number<T: std::str::FromStr>(text: &str) -> Result<T, String> {
    let is_plain = !text.is_empty() && text.bytes().all(|digit| digit.is_ascii_digit());
    if !is_plain {
        return Err("it must be a whole number".to_owned());
    }
    if text.len() > 1 && text.starts_with('0') {
        return Err(format!("write {} without the zero before it", text.trim_start_matches('0')));
    }
    text.parse().map_err(|_error| "the number is too large".to_owned())
}

/// The refusal of a line, with suggestions that are near to what was typed only: `--position` is no slip for `--provision-method`.
pub(crate) fn refused(mut error: clap::Error) -> clap::Error {
    for (given, suggested) in [
        (ContextKind::InvalidArg, ContextKind::SuggestedArg),
        (ContextKind::InvalidSubcommand, ContextKind::SuggestedSubcommand),
        (ContextKind::InvalidValue, ContextKind::SuggestedValue),
    ] {
        let Some(ContextValue::String(given)) = error.get(given) else { continue };
        let given = given.trim_start_matches('-').to_owned();
        let is_near = |known: &str| {
            let known = known.trim_start_matches('-').split(' ').next().unwrap_or_default();
            nearest(&given, std::iter::once(known)).is_some()
        };
        let is_kept = match error.get(suggested) {
            Some(ContextValue::String(known)) => is_near(known),
            Some(ContextValue::Strings(known)) => known.iter().any(|known| is_near(known)),
            _ => true,
        };
        if !is_kept {
            error.remove(suggested);
        }
    }
    error
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Run the daemon
    Serve(ServeArgs),
    /// Set this machine up as the controller, or move the controller
    #[command(after_help = setup::EXAMPLES)]
    Setup(setup::Setup),
    /// Show whether the daemon answers, and the state of the cluster
    Status,
    /// The cluster as a whole, and its controllers
    #[command(subcommand)]
    Cluster(cluster::Command),
    /// Networks: ranges, gateways, DHCP
    #[command(subcommand)]
    Network(network::Command),
    /// Operating system images: describe, pack, tag
    #[command(subcommand)]
    Osimage(osimage::Command),
    /// Groups: what many nodes have in common
    #[command(subcommand)]
    Group(group::Command),
    /// Nodes: the machines of the cluster
    #[command(subcommand)]
    Node(node::Command),
    /// Print the names of the nodes that a selector means
    #[command(after_help = nodes::EXAMPLES)]
    Nodes(nodes::Nodes),
    /// BMC setups: users, passwords and protocols of BMCs
    #[command(subcommand)]
    Bmcsetup(standard::Command<standard::BmcSetup>),
    /// Switches, and who is connected to them
    #[command(subcommand)]
    Switch(switch::Command),
    /// Other devices that have an address
    #[command(subcommand)]
    Otherdev(standard::Command<standard::OtherDevice>),
    /// Static routes, and whom they are for
    #[command(subcommand)]
    Route(route::Command),
    /// Clouds that nodes live in
    #[command(subcommand)]
    Cloud(standard::Command<standard::Cloud>),
    /// Whether DHCP and DNS run, and servers of the site that are to act
    #[command(subcommand, after_help = service::EXAMPLES)]
    Service(service::Command),
    /// DNS hosts that are not devices of the cluster
    #[command(subcommand, after_help = dns::EXAMPLES)]
    Dns(dns::Command),
    /// Secrets that the installer writes into nodes
    #[command(subcommand, after_help = secret::EXAMPLES)]
    Secret(secret::Command),
    /// The key that passwords of BMCs and secrets are stored with
    #[command(subcommand, after_help = key::EXAMPLES)]
    Key(key::Command),
    /// Racks, and what stands in them
    #[command(subcommand, after_help = rack::EXAMPLES)]
    Rack(rack::Command),
    /// Machines that an import refused, until an administrator decides about them
    #[command(subcommand, after_help = reservation::EXAMPLES)]
    Reservation(reservation::Command),
    /// Machines that say which node they are, and wait for approval
    #[command(subcommand, after_help = claim::EXAMPLES)]
    Claim(claim::Command),
    /// Switch machines on and off
    #[command(after_help = control::POWER_EXAMPLES)]
    Power(control::Power),
    /// Blink the identify lights of machines
    #[command(subcommand, after_help = control::EXAMPLES)]
    Identify(control::Identify),
    /// Event logs of machines
    #[command(subcommand, after_help = control::EXAMPLES)]
    Sel(control::Sel),
    /// Temperatures, fans and voltages of machines
    #[command(after_help = control::EXAMPLES)]
    Sensors(control::Hosts),
    /// The hardware of machines
    #[command(after_help = inventory::EXAMPLES)]
    Inventory(inventory::Inventory),
    /// What the daemon remembers of BMCs
    #[command(subcommand)]
    Bmc(control::Bmc),
    /// Programs of the site that the daemon calls
    #[command(subcommand, after_help = plugin::EXAMPLES)]
    Plugin(plugin::Command),
    /// Take a backup of the whole daemon, or check one
    #[command(after_help = backup::EXAMPLES)]
    Backup(backup::Backup),
    /// Make a data directory of a backup
    #[command(after_help = backup::RESTORE_EXAMPLES)]
    Restore(backup::Restore),
    /// The controllers that share a database
    #[command(subcommand, after_help = controller::EXAMPLES)]
    Controller(controller::Command),
    /// The PostgreSQL database that several controllers share
    #[command(subcommand, after_help = database::EXAMPLES)]
    Database(database::Command),
    /// Write the configuration as one document
    #[command(after_help = apply::EXPORT_EXAMPLES)]
    Export(apply::Export),
    /// Change the cluster to match a document
    #[command(after_help = apply::EXAMPLES)]
    Apply(apply::Apply),
    /// Who changed what, when and from where
    #[command(after_help = history::EXAMPLES)]
    History(history::History),
    /// Who was refused what, was given which secret, and changed or did what
    #[command(after_help = audit::EXAMPLES)]
    Audit(audit::Audit),
    /// What lies between two revisions
    #[command(after_help = history::DIFF_EXAMPLES)]
    Diff(history::Diff),
    /// Undo a commit
    #[command(after_help = history::UNDO_EXAMPLES)]
    Undo(history::Undo),
    /// Users: who may log in, and what they may do
    #[command(subcommand, after_help = user::EXAMPLES)]
    User(user::Command),
    /// Users of the nodes' operating systems
    #[command(subcommand)]
    Osuser(os_user::UserCommand),
    /// Groups of the nodes' operating systems
    #[command(subcommand)]
    Osgroup(os_user::GroupCommand),
    /// Take over an existing site from its database
    #[command(after_help = import::EXAMPLES)]
    Import(import::Import),
    /// Log in to a daemon, and keep the token
    #[command(after_help = login::EXAMPLES)]
    Login(login::Login),
    /// Log out: forget the token
    Logout,
    /// Print the completion script for a shell
    #[command(after_help = completion::EXAMPLES)]
    Completion {
        /// The shell
        shell: completion::Shell,
    },
    /// Write manual pages, for a package
    #[command(hide = true)]
    Manual(manual::Manual),
    /// Work on trees of operating systems for a daemon that is not root; the service manager starts it
    #[command(hide = true)]
    Worker(crate::worker::Worker),
}

mod examples;

#[cfg(test)]
mod documents;
#[cfg(test)]
mod walk;

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::Arguments;

    fn help(path: &[&str]) -> String {
        let words = std::iter::once("perilune").chain(path.iter().copied()).chain(["--help"]);
        super::command().term_width(90).try_get_matches_from(words).unwrap_err().to_string()
    }

    #[test]
    fn the_command_line_holds_together() {
        super::command().debug_assert();
        crate::commands::completion::command().debug_assert();
    }

    #[test]
    fn help_teaches() {
        insta::assert_snapshot!("help", help(&[]));
        insta::assert_snapshot!("help-node", help(&["node"]));
        insta::assert_snapshot!("help-node-add", help(&["node", "add"]));
        insta::assert_snapshot!("help-network-add", help(&["network", "add"]));
    }

    #[test]
    fn every_command_that_takes_fields_shows_an_example() {
        for kind in ["node", "group", "network", "osimage"] {
            for verb in ["add", "change", "clone"] {
                assert!(help(&[kind, verb]).contains("Example"), "{kind} {verb}");
            }
        }
    }

    #[test]
    fn only_options_and_commands_that_are_near_are_suggested() {
        let said = |words: &[&str]| {
            let words = std::iter::once("perilune").chain(words.iter().copied());
            let Err(error) = Arguments::try_parse_from(words) else { panic!("it is taken") };
            super::refused(error).to_string()
        };
        for (words, suggested) in [
            (&["node", "change", "a", "--position", "3"][..], None),
            (&["node", "change", "a", "--commnet", "x"], Some("--comment")),
            (&["node", "change", "a", "--provision", "x"], Some("--provision-")),
            (&["node", "chagne", "a"], Some("change")),
            (&["status", "--colour"], None),
        ] {
            let said = said(words);
            assert_eq!(suggested.is_some(), said.contains("similar"), "{said}");
            assert!(suggested.is_none_or(|suggested| said.contains(suggested)), "{said}");
        }
    }

    #[test]
    fn a_number_with_a_zero_before_it_is_refused() {
        for (text, number) in [("0", Some(0)), ("10", Some(10)), ("010", None), ("00", None)] {
            assert_eq!(super::number::<u32>(text).ok(), number, "{text}");
        }
        for text in ["", "-1", "+1", "1.0", "4294967296", " 1"] {
            assert!(super::number::<u32>(text).is_err(), "{text}");
        }
        for line in [
            &["perilune", "history", "-n", "010"][..],
            &["perilune", "audit", "--limit", "007"],
            &["perilune", "power", "on", "a", "--ask-above", "08"],
            &["perilune", "rack", "place", "r1", "a", "--position", "01"],
            &["perilune", "undo", "--to", "012"],
        ] {
            assert!(super::read(line).is_err(), "{line:?}");
        }
    }

    #[test]
    fn global_options_may_come_last() {
        let words = ["perilune", "node", "list", "-o", "json", "--url", "http://a:1"];
        let arguments =
            Arguments::try_parse_from(words).map_err(|error| error.to_string()).unwrap();
        assert_eq!(arguments.options().url.as_deref(), Some("http://a:1"));
    }

    #[test]
    fn the_configuration_of_the_daemon_is_not_taken_for_that_of_the_command_line() {
        let words =
            ["perilune", "serve", "--config", "/etc/luna.ini", "--listen", "127.0.0.1:7050"];
        let arguments =
            Arguments::try_parse_from(words).map_err(|error| error.to_string()).unwrap();
        let super::Command::Serve(serve) = arguments.command else { panic!("not serve") };
        assert_eq!(serve.config.as_deref(), Some(std::path::Path::new("/etc/luna.ini")));
        assert_eq!(serve.listen.len(), 1);
    }
}
