//! The first process of the initramfs.

use std::fs;
use std::net::IpAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use perilune_plan::Plan;
use perilune_seal::KeyPair;
use rustix::system::RebootCommand;
use serde_json::{Map, Value, json};

use crate::console::Console;
use crate::controller::{self, Controller};
use crate::hardware::Drivers;
use crate::install::{Install, ROOT};
use crate::kernel_arguments::{Boot, KernelArguments};
use crate::network::Joined;
use crate::trust::Trust;
use crate::wait::Backoff;
use crate::{clock, disk_boot, facts, hardware, inventory, mounts, network, service};

/// Brings the machine to the init of its image, however long that takes. Never returns: the kernel would stop.
pub fn run() -> ! {
    let console = Console::standard();
    mounts::kernel_file_systems(&console);
    let text = fs::read_to_string("/proc/cmdline").unwrap_or_default();
    let arguments = KernelArguments::parse(&text);
    mounts::usual_directories();
    hardware::provide_modprobe();
    mounts::quieten(arguments.get("debug").is_some());
    console.phase(concat!("Perilune ", env!("CARGO_PKG_VERSION")));
    let mut machine = Machine {
        arguments,
        drivers: Drivers::default(),
        was_served: false,
        key: None,
        had_token: false,
    };
    let mut pauses = Pauses::default();
    let begun = Instant::now();
    loop {
        // The kernel stops when its first process ends, for whatever reason.
        let started = catch_unwind(AssertUnwindSafe(|| machine.start(&console)));
        let (reason, is_over) = match started {
            Ok(Ok(())) => continue,
            Ok(Err(error)) => {
                let refused = is_refused(&error);
                (reason(&error), refused && is_over(machine.had_token, begun.elapsed()))
            }
            Err(_panic) => {
                let fault = "the agent has a fault, which is described above; please report it";
                (fault.to_owned(), false)
            }
        };
        let next = if is_over { "starting anew" } else { "trying again" };
        let pause = pauses.after(&reason);
        let lines = [machine.title().to_owned(), reason];
        service::pause_for_person(&lines, pause, next, &console);
        if is_over {
            restart(&console);
        }
    }
}

/// Whether the controller takes the ticket of this boot no longer, or never took it.
fn is_refused(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref(), Some(controller::Error::TicketRefused { .. }))
}

/// Whether a boot whose ticket is refused cannot be gone on with, so that the machine starts anew and gets another ticket. A young ticket
/// that was never taken is refused for what the machine is (its TPM, its address): the next one would be refused as well.
fn is_over(had_token: bool, begun: Duration) -> bool {
    had_token || begun >= TICKET_LIFE
}

fn restart(console: &Console) {
    console.line("restarting, so that the controller serves a new boot");
    mounts::unmount_all(Path::new(ROOT)).ok();
    rustix::fs::sync();
    if let Err(error) = rustix::system::reboot(RebootCommand::Restart) {
        console.warning(&format!("the machine does not restart: {error}"));
    }
}

/// How long a failed node waits. What can mend itself does so soon, or takes long.
struct Pauses {
    reason: String,
    next: Backoff,
}

/// As long as the controller takes a ticket; it is given before the kernel starts.
const TICKET_LIFE: Duration = Duration::from_mins(30);
const FIRST_PAUSE: Duration = Duration::from_secs(30);
const LONGEST_PAUSE: Duration = Duration::from_mins(5);

impl Default for Pauses {
    fn default() -> Self {
        Self { reason: String::new(), next: Backoff::new(FIRST_PAUSE, LONGEST_PAUSE) }
    }
}

impl Pauses {
    /// The pause after a failure: longer each time that it is the same one.
    fn after(&mut self, reason: &str) -> Duration {
        if self.reason != reason {
            *self = Self { reason: reason.to_owned(), ..Self::default() };
        }
        self.next.take()
    }
}

struct Machine {
    arguments: KernelArguments,
    drivers: Drivers,
    /// Whether a person has had the shell that service mode asks for.
    was_served: bool,
    /// The key of this boot, once it is needed. The ticket is good for the first key that it is shown with: all tries have one.
    key: Option<Arc<KeyPair>>,
    /// Whether the ticket of this boot was taken once.
    had_token: bool,
}

impl Machine {
    /// What a person reads first when a try has failed.
    fn title(&self) -> &'static str {
        match self.arguments.disk_root() {
            Ok(None) => "THIS NODE IS NOT INSTALLED",
            Ok(Some(_)) | Err(_) => "THIS NODE DOES NOT START FROM ITS DISK",
        }
    }

    /// One try. It returns only when something failed, or a person in service mode wants to go on.
    fn start(&mut self, console: &Console) -> Result<()> {
        if let Some(uuid) = self.arguments.disk_root()? {
            return disk_boot::start(&uuid, &self.arguments, &mut self.drivers, console);
        }
        let boot = self.arguments.boot()?;
        console.line(&format!("{}, from {}", boot.hostname, boot.url));
        rustix::system::sethostname(boot.hostname.as_bytes()).ok();
        console.phase("Network");
        let joined = network::bring_up(&boot, &mut self.drivers, console)?;
        if boot.service && !self.was_served {
            self.was_served = true;
            service::wait_for_person(
                &[
                    format!("{} IS IN SERVICE MODE", boot.node),
                    "Nothing has been changed on it. Leave this shell with 'exit' to install the node.".to_owned(),
                ],
                console,
            );
        }
        clock::set_forward(boot.time, console);
        let trust = Trust::new(boot.verify, boot.certificate);
        let key = self.key()?;
        let controller =
            Controller::new(&boot.url, &boot.node, boot.ticket.as_deref(), &trust, key);
        controller.learn(&boot.others);
        let result = self.install(&boot, &joined, &controller, console);
        self.had_token |= controller.token().is_some();
        if let Err(error) = &result {
            let reason = reason(error);
            console.line(&format!("FAILED: {reason}"));
            if !matches!(
                error.downcast_ref(),
                Some(controller::Error::NotServed { .. } | controller::Error::TicketRefused { .. })
            ) {
                controller.report("error", Some(&reason), console);
                controller.send_log(console);
            }
        }
        result
    }

    fn key(&mut self) -> Result<Arc<KeyPair>> {
        let key = match &self.key {
            Some(key) => Arc::clone(key),
            None => Arc::new(KeyPair::generate()?),
        };
        self.key = Some(Arc::clone(&key));
        Ok(key)
    }

    fn install(
        &self,
        boot: &Boot,
        joined: &Joined,
        controller: &Controller,
        console: &Console,
    ) -> Result<()> {
        console.phase("Plan");
        let plan = controller
            .plan(console)
            .with_context(|| format!("there is no plan for {}", boot.node))?;
        if plan.node != boot.node {
            anyhow::bail!("the controller's plan is for {}, not for {}", plan.node, boot.node);
        }
        console.line(&format!("image {}, host name {}", plan.image.name, plan.hostname));
        clock::set_as_told(plan.time, console);
        network::write_resolver(&plan.nameservers, &plan.search);
        controller.describe(&record(&plan, joined.lent), console);
        controller.send_inventory(&inventory::of_this_machine(), console);
        let Joined { link, lent } = joined;
        let install = Install { boot, link, lent: *lent, plan: &plan, controller, console };
        let installation = install.run()?;
        install.finish(self.arguments.get("init"), installation.as_ref())
    }
}

/// What the controller does not know of this node: what it is, and the address that it was lent where that is not its own.
fn record(plan: &Plan, lent: Option<IpAddr>) -> Map<String, Value> {
    let mut record = facts::of_this_machine();
    let boot = plan.interfaces.iter().find(|interface| interface.name == plan.boot_interface);
    let is_known = |lent: &IpAddr| {
        let mut own = boot.into_iter().flat_map(|boot| &boot.addresses);
        own.any(|own| own.split('/').next() == Some(lent.to_string().as_str()))
    };
    if let Some(lent) = lent.filter(|lent| !is_known(lent)) {
        let boot = json!({ "interface": plan.boot_interface, "force": true, "ipaddress": lent.to_string() });
        record.insert("interfaces".to_owned(), json!([boot]));
    }
    record
}

/// An error with its causes, in one line.
fn reason(error: &anyhow::Error) -> String {
    let causes: Vec<String> = error.chain().map(ToString::to_string).collect();
    causes.join(": ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_that_is_refused_from_the_start_does_not_restart_in_a_loop() {
        let minutes = Duration::from_mins;
        assert!(!is_over(false, minutes(1)), "its TPM, or its address");
        assert!(is_over(false, minutes(31)), "the cable was out for so long");
        assert!(is_over(true, minutes(1)), "the boot was served, and is over");
    }

    #[test]
    fn pauses_grow_while_it_is_the_same_failure() {
        let mut pauses = Pauses::default();
        let seconds: Vec<u64> = ["a", "a", "a", "a", "a", "a", "b", "a"]
            .map(|reason| pauses.after(reason).as_secs())
            .to_vec();
        assert_eq!(seconds, [30, 60, 120, 240, 300, 300, 30, 30]);
    }
}
