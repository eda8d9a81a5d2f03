//! One whole run: image, daemon, description, machines, table.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result, anyhow};
use perilune_testkit::machine::{self, Accelerator};
use perilune_testkit::process::{command, run as run_command};
use perilune_testkit::{Limit, Stop};

use crate::api::Api;
use crate::build::Programs;
use crate::cluster::CommandLine;
use crate::daemon::Daemon;
use crate::follow::{Follower, Powered};
use crate::image;
use crate::output::{self, Output};
use crate::report::{Timeline, table};
use crate::scenario::Member;
use crate::site::Site;

/// The outcome of one machine.
struct Arrived {
    member: Member,
    timeline: Timeline,
    /// None when it was switched off again.
    powered: Option<Powered>,
}

pub(crate) fn run(programs: &Programs, members: &[Member], keep: bool, stop: &Stop) -> Result<()> {
    let output = Output::new();
    output.step("An operating system image from the distribution's packages");
    let image = image::make(image::Kind::Usual, stop)?;
    output.line(&format!("{} in {}", image.name, image.tree.display()));

    output.step("The daemon, in a network namespace of its own");
    let mut site = Site::create()?;
    let mut daemon = Daemon::start(&site, programs, &output, stop)?;
    let result = bring_up_cluster(&site, &daemon, members, &image, &output, (keep, stop));
    let mut arrived = match result {
        Ok(arrived) => arrived,
        Err(error) => return Err(explain_failure(&site, &daemon, &output, error)),
    };
    output.step("Done: every machine is the node that was described");
    arrived.sort_by(|one, other| one.member.name.cmp(&other.member.name));
    let rows: Vec<_> = arrived.iter().map(|arrived| (&arrived.member, &arrived.timeline)).collect();
    output::block(&format!("\nSeconds from the power button:\n{}\n", table(&rows)));
    if keep {
        site.keep()?;
        daemon.keep();
        for powered in arrived.iter_mut().filter_map(|arrived| arrived.powered.as_mut()) {
            powered.machine.keep();
            if let Some(bmc) = &mut powered.bmc {
                bmc.keep();
            }
        }
        output::block(&how_to_look(&site, &daemon));
    }
    Ok(())
}

/// Keeps what consoles and logs say, and adds the end of the daemon's log to the error.
pub(crate) fn explain_failure(
    site: &Site,
    daemon: &Daemon,
    output: &Output,
    error: anyhow::Error,
) -> anyhow::Error {
    let log = daemon.log_tail();
    match site.save_logs() {
        Ok(directory) => {
            output.line(&format!("consoles and logs are in {}", directory.display()));
        }
        Err(error) => output.line(&format!("consoles and logs could not be saved: {error:#}")),
    }
    error.context(format!("the run failed. The end of the daemon's log:\n{log}"))
}

/// Makes a key; answers its file, and its public part.
pub(crate) fn make_key(site: &Site) -> Result<(String, String)> {
    let key = site.path("key").display().to_string();
    let make_key = ["-q", "-t", "ed25519", "-N", "", "-C", "demo", "-f", &key];
    run_command(command("ssh-keygen").args(make_key), &Limit::seconds(20))?;
    let public_key = std::fs::read_to_string(format!("{key}.pub"))?;
    Ok((key, public_key.trim().to_owned()))
}

/// Describes the cluster and the members that are known beforehand. Answers the key that opens the nodes.
pub(crate) fn describe(
    perilune: &CommandLine<'_>,
    image: &image::Image,
    members: &[Member],
) -> Result<String> {
    let (key, public_key) = make_key(perilune.site)?;
    perilune.describe(image, &public_key)?;
    for member in members.iter().filter(|member| member.known) {
        perilune.add(member)?;
    }
    Ok(key)
}

fn bring_up_cluster(
    site: &Site,
    daemon: &Daemon,
    members: &[Member],
    image: &image::Image,
    output: &Output,
    (keep, stop): (bool, &Stop),
) -> Result<Vec<Arrived>> {
    let perilune = CommandLine { site, daemon, output, stop };
    output.step("The cluster, described");
    let key = describe(&perilune, image, members)?;
    perilune.perilune(&["node", "list"])?;

    let accelerator = machine::accelerator();
    let at_once = machines_at_once(accelerator, members.len());
    output.step(&format!(
        "{} machines, {accelerator:?} virtualization, {at_once} at a time",
        members.len()
    ));
    let queue = Mutex::new(members.iter().cloned().collect::<VecDeque<Member>>());
    let worker = || -> Result<Vec<Arrived>> {
        let api = Api::login(&daemon.configuration())?;
        let follower = Follower { perilune: &perilune, api: &api, accelerator, key: &key };
        let mut arrived = Vec::new();
        while let Some(member) = next(&queue) {
            let mut timeline = Timeline::new();
            let powered =
                follower.bring_up(&member, &mut timeline).inspect_err(|_| stop.request())?;
            let powered =
                if keep { Some(powered) } else { follower.switch_off(&member, powered)? };
            arrived.push(Arrived { member, timeline, powered });
        }
        Ok(arrived)
    };
    let results: Vec<Result<Vec<Arrived>>> = std::thread::scope(|scope| {
        let start = || {
            scope.spawn(|| {
                site.lab.inside(worker).context("no thread in the lab").and_then(|result| result)
            })
        };
        let threads: Vec<_> = (0..at_once).map(|_| start()).collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap_or_else(|_| Err(anyhow!("a thread panicked"))))
            .collect()
    });
    let arrived = first_cause(results)?;
    perilune.perilune(&["node", "list"])?;
    Ok(arrived)
}

/// The lock is held for this one step only: as the condition of a loop it would be held through the loop's body.
fn next(queue: &Mutex<VecDeque<Member>>) -> Option<Member> {
    queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
}

/// A failure stops the others: their "interrupted" is a consequence, and is told only when it is all there is.
fn first_cause(results: Vec<Result<Vec<Arrived>>>) -> Result<Vec<Arrived>> {
    let mut arrived = Vec::new();
    let mut errors = Vec::new();
    for result in results {
        match result {
            Ok(list) => arrived.extend(list),
            Err(error) => errors.push(error),
        }
    }
    let is_interruption = |error: &anyhow::Error| {
        error
            .chain()
            .any(|cause| matches!(cause.downcast_ref(), Some(perilune_testkit::Error::Interrupted)))
    };
    errors.sort_by_key(is_interruption);
    match errors.into_iter().next() {
        Some(error) => Err(error),
        None => Ok(arrived),
    }
}

/// Emulated machines with two processors each take turns on few cores; too many at once only wait for each other.
fn machines_at_once(accelerator: Accelerator, machines: usize) -> usize {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    match accelerator {
        Accelerator::Hardware => machines,
        Accelerator::Software => cores.min(machines),
    }
}

fn how_to_look(site: &Site, daemon: &Daemon) -> String {
    let lab = site.lab.name();
    let directory = site.directory.path().display();
    let program = daemon.program();
    let configuration = daemon.configuration().display().to_string();
    let log = daemon.log_file().display();
    let programs =
        std::path::Path::new(&program).parent().unwrap_or(std::path::Path::new("")).display();
    format!(
        "The cluster stays up. As root, a shell beside the controller:\n  \
           ip netns exec {lab} bash\n  \
           export PERILUNE_CONFIG={configuration} PATH={programs}:$PATH\n  \
           perilune node list\n  \
           ssh -i {directory}/key root@10.141.0.1\n\
         What the daemon does, and what a machine shows on its serial port:\n  \
           tail -f {log}\n  \
           tail -f {directory}/node001.console\n\
         End it:\n  \
           ./run --down"
    )
}
