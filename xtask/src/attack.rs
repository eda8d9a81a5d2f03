//! `cargo xtask attack`: a controller on its defaults is attacked by machines in namespaces of their own, with real processes and forged
//! packets. What each may get is the table of `docs/trust.md`; what must not work any more is a list of attacks that once did.

mod boot;
mod clock;
mod evidence;
mod firmware;
mod floods;
mod ground;
mod honest;
pub(crate) mod machine;
mod matrix;
pub(crate) mod request;

use anyhow::{Result, bail};
use perilune_testkit::Stop;

use crate::attack::ground::{Ground, Scheme};
use crate::attack::matrix::{Cell, Machines, Opened};
use crate::build::Programs;
use crate::lifecycle;
use crate::output::{self, Output};
use crate::site::Site;

/// How much is tried.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Extent {
    /// Everything once, as a test of each change.
    Short,
    /// Every evidence by every protocol, and larger floods.
    Whole,
}

pub(crate) fn run(programs: &Programs, extent: Extent, stop: &Stop) -> Result<()> {
    let output = Output::new();
    output.step("The controller, its cluster, and machines of several people");
    let site = Site::create()?;
    let mut ground = Ground::prepare(&site, programs, &output, stop)?;
    let result = attack(&mut ground, extent, &output);
    result.map_err(|error| lifecycle::explain_failure(&site, &ground.daemon, &output, error))
}

fn attack(ground: &mut Ground<'_>, extent: Extent, output: &Output) -> Result<()> {
    let machines = Machines::plug(ground)?;
    let mut failures = Vec::new();
    let mut note = |what: &str, result: Result<()>| {
        match &result {
            Ok(()) => output.line(&format!("holds    {what}")),
            Err(error) => output.line(&format!("BROKEN   {what}: {error:#}")),
        }
        if let Err(error) = result {
            failures.push(format!("{what}: {error:#}"));
        }
    };

    output.step("Evidence that a node boots");
    note(
        "forged requests of firmware open no window",
        evidence::forged_requests(ground, &machines),
    );
    note("firmware's own request opens it", evidence::real_request(ground, &machines));
    note("a power cycle opens it, switching on what is on does not", evidence::power(ground));
    note("claims at the menu change nothing", evidence::claims(ground, &machines));
    note(
        "headers of proxies that nobody named count for nothing",
        evidence::forwarded(ground, &machines),
    );
    note("HEAD of what acts is refused", floods::acting_heads(ground, &machines.elsewhere));

    output.step("Who gets what, outside and inside the window");
    let mut cells = Vec::new();
    for (opened, scheme) in rounds(extent) {
        let what = format!("a round with {} over {scheme:?}", opened.word());
        let round = ground
            .accept_evidence(opened.word())
            .and_then(|()| matrix::round(ground, &machines, opened, scheme));
        note(&what, round.map(|round| cells.extend(round)));
    }
    ground.accept_evidence("dhcp, power, arm")?;
    note("people with accounts, and tokens of nodes", matrix::accounts(ground, &machines));

    output.step("Honest boots");
    note(
        "the daemon is killed at each step of a boot",
        honest::survives_crashes(ground, &machines, Scheme::Https),
    );
    note("a success that was answered outlives a crash", honest::states_survive(ground, &machines));
    note("through a proxy that names nobody", honest::through_a_silent_proxy(ground, &machines));

    note("with a clock that jumps by a day", clock::jumps(ground, &machines));

    output.step("Nobody stops the others");
    let claims = if extent == Extent::Short { 2_000 } else { 20_000 };
    ground.crash()?;
    note("bodies of 15 MB, 120 at once", floods::bodies(ground, &machines));
    ground.crash()?;
    note("slow bodies from many addresses", floods::slow_bodies(ground, &machines, 40, 256));
    note("clients that do not read", floods::deaf_clients(ground, &machines));
    note("claims as fast as they go", floods::claims(ground, &machines, claims));
    note("one machine that invents others by DHCP", floods::addresses(ground, &machines));

    output.step("The table");
    output::block(&table(&cells));
    for cell in cells.iter().filter(|cell| cell.reached > cell.allowed) {
        failures.push(format!("{} gets {} {}", cell.who, cell.reached.words(), cell.when));
    }
    if !failures.is_empty() {
        bail!("{} attacks succeeded:\n  {}", failures.len(), failures.join("\n  "));
    }
    output.step("Done: nothing was to be had");
    Ok(())
}

fn rounds(extent: Extent) -> Vec<(Opened, Scheme)> {
    match extent {
        Extent::Short => vec![
            (Opened::Dhcp, Scheme::Http),
            (Opened::Arm, Scheme::Https),
            (Opened::Search, Scheme::Http),
        ],
        Extent::Whole => {
            let all = [Opened::Dhcp, Opened::Arm, Opened::Search];
            all.into_iter()
                .flat_map(|opened| [Scheme::Http, Scheme::Https].map(|scheme| (opened, scheme)))
                .collect()
        }
    }
}

fn table(cells: &[Cell]) -> String {
    let line =
        |cell: &Cell| format!("{:<40} {:<28} {}\n", cell.who, cell.when, cell.reached.words());
    cells.iter().map(line).collect()
}
