//! `perilune`: the daemon and the command line in one program.

use std::process::ExitCode;

use clap_complete::CompleteEnv;

mod arguments;
mod commands;
mod failure;
mod field;
mod job;
mod log;
mod output;
mod password;
mod remarks;
mod resource;
mod select;
mod serve;
mod session;
mod source;
mod worker;

use arguments::{Arguments, Command};
use commands::{
    apply, audit, backup, claim, cluster, completion, control, controller, database, dns, group,
    history, import, inventory, key, login, manual, network, node, nodes, os_user, osimage, plugin,
    rack, reservation, route, secret, service, setup, standard, status, switch, user,
};
use failure::Failure;
use output::Output;
use session::Session;

/// The C libraries' own cost a request a fifth more (glibc), or have one lock for all threads (musl).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    CompleteEnv::with_factory(completion::command).complete();
    let arguments = arguments::read(std::env::args_os());
    let arguments = arguments.unwrap_or_else(|error| arguments::refused(error).exit());
    match run(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure::report(&failure),
    }
}

/// What changes this machine, or files of it, is nothing that a daemon could try.
fn refuse_trial(arguments: &Arguments) -> Result<(), Failure> {
    let acts = match &arguments.command {
        Command::Serve(_) => "serve",
        Command::Backup(backup) if !backup.verify => "backup",
        Command::Restore(_) => "restore",
        Command::Database(_) => "database",
        Command::Login(_) => "login",
        Command::Logout => "logout",
        Command::Manual(_) => "manual",
        Command::Worker(_) => "worker",
        _ => return Ok(()),
    };
    if !arguments.options().dry_run {
        return Ok(());
    }
    Err(Failure::usage(format!("{acts} cannot be tried with --dry-run; nothing was done")))
}

fn run(arguments: Arguments) -> Result<(), Failure> {
    let options = arguments.options();
    if arguments.no_color {
        console::set_colors_enabled(false);
        console::set_colors_enabled_stderr(false);
    }
    let output = Output::new(arguments.output, arguments.quiet);
    refuse_trial(&arguments)?;
    let keep_going = arguments.keep_going;
    let reveal = arguments.reveal;
    let session = |output| {
        let session = Session::open(&options, output)?;
        Ok::<_, Failure>(session.keeping_going(keep_going).revealing(reveal))
    };
    match arguments.command {
        Command::Serve(arguments) => serve::run(&arguments),
        Command::Setup(arguments) => setup::run(&options, output, &arguments),
        Command::Status => status::run(&session(output)?),
        Command::Cluster(command) => cluster::run(&session(output)?, command),
        Command::Network(command) => network::run(&session(output)?, command),
        Command::Osimage(command) => osimage::run(&session(output)?, command),
        Command::Group(command) => group::run(&session(output)?, command),
        Command::Node(command) => node::run(&session(output)?, command),
        Command::Nodes(arguments) => nodes::run(&session(output)?, &arguments),
        Command::Bmcsetup(command) => standard::run(&session(output)?, command),
        Command::Switch(command) => switch::run(&session(output)?, command),
        Command::Otherdev(command) => standard::run(&session(output)?, command),
        Command::Plugin(command) => plugin::run(&session(output)?, &command),
        Command::Service(command) => service::run(&session(output)?, command),
        Command::Route(command) => route::run(&session(output)?, command),
        Command::Cloud(command) => standard::run(&session(output)?, command),
        Command::Dns(command) => dns::run(&session(output)?, command),
        Command::Secret(command) => secret::run(&session(output)?, command),
        Command::Key(command) => key::run(&session(output)?, &command),
        Command::Rack(command) => rack::run(&session(output)?, command),
        Command::Reservation(command) => reservation::run(&session(output)?, command),
        Command::Claim(command) => claim::run(&session(output)?, command),
        Command::Power(arguments) => control::power(&session(output)?, arguments),
        Command::Identify(command) => control::identify(&session(output)?, &command),
        Command::Sel(command) => control::sel(&session(output)?, &command),
        Command::Sensors(hosts) => control::many(&session(output)?, ("sensors", "list"), &hosts),
        Command::Inventory(arguments) => inventory::run(&session(output)?, &arguments),
        Command::Bmc(command) => control::bmc(&session(output)?, &command),
        Command::Backup(arguments) if arguments.verify => backup::verify(&arguments.file),
        Command::Backup(arguments) => backup::run(&session(output)?, &arguments),
        Command::Restore(arguments) => backup::restore(&arguments),
        Command::Controller(controller::Command::Join(arguments)) => controller::join(&arguments),
        Command::Controller(command) => controller::run(&session(output)?, command),
        Command::Database(command) => database::run(options.config, &command),
        Command::Export(arguments) => apply::export(&session(output)?, &arguments),
        Command::Apply(arguments) => apply::run(&session(output)?, &arguments),
        Command::History(arguments) => history::run(&session(output)?, arguments),
        Command::Audit(arguments) => audit::run(&session(output)?, &arguments),
        Command::Diff(arguments) => history::diff(&session(output)?, &arguments),
        Command::Undo(arguments) => history::undo(&session(output)?, &arguments),
        Command::User(command) => user::run(&session(output)?, command),
        Command::Osuser(command) => os_user::users_command(&session(output)?, command),
        Command::Osgroup(command) => os_user::groups_command(&session(output)?, command),
        Command::Import(arguments) => import::run(&session(output)?, &arguments),
        Command::Login(arguments) => login::run(&options, arguments),
        Command::Logout => login::logout(),
        Command::Completion { shell } => completion::run(shell),
        Command::Manual(arguments) => manual::run(&arguments),
        Command::Worker(arguments) => worker::run(arguments),
    }
}
