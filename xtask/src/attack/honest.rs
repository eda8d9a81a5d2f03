//! Honest boots where something goes wrong on the way, or stands in between: each must succeed.

use std::fs;
use std::process::Child;

use anyhow::{Context, Result, ensure};
use perilune_testkit::Limit;
use perilune_testkit::process::{end, wait_for};

use crate::attack::boot::Boot;
use crate::attack::ground::{Ground, NODE, NODE_MAC, Scheme};
use crate::attack::machine::User;
use crate::attack::matrix::Machines;
use crate::attack::request::Request;
use crate::daemon::PLAIN_PORT;
use crate::site::CONTROLLER;

/// Where an old site's web server waits for firmware (`wire/trinityx.md`).
const PROXY_PORT: u16 = 7052;

/// The node's firmware asks for an address, and its boot is expected.
fn expect_by_firmware(ground: &Ground<'_>, machines: &Machines) -> Result<()> {
    machines.node.start_firmware()?;
    ensure!(ground.becomes_expected(NODE)?, "firmware's request opens no window");
    Ok(())
}

/// The daemon is killed after the address was given, after the script was given, and between exchange and plan.
pub(super) fn survives_crashes(
    ground: &mut Ground<'_>,
    machines: &Machines,
    scheme: Scheme,
) -> Result<()> {
    expect_by_firmware(ground, machines)?;
    ground.crash()?;
    let boot = Boot::new(&machines.node, User::Root, scheme)?;
    let ticket = match boot.ticket(NODE_MAC)? {
        Some(ticket) => Some(ticket),
        // What was noted in the moment of the kill may be lost: the script has the machine ask for an address once more.
        None => {
            expect_by_firmware(ground, machines)?;
            boot.ticket(NODE_MAC)?
        }
    };
    let ticket = ticket.context("no ticket after a crash between address and script")?;
    ground.crash()?;
    let token = boot.exchange(&ticket)?.ok().context("the ticket is refused after a crash")?;
    ground.crash()?;
    boot.plan(&token).context("the plan after a crash")?;
    boot.install(&ticket)
}

/// Node states that were answered are there after a crash.
pub(super) fn states_survive(ground: &mut Ground<'_>, machines: &Machines) -> Result<()> {
    ground.arm(NODE, 600)?;
    let boot = Boot::new(&machines.node, User::Root, Scheme::Http)?;
    let ticket = boot.ticket(NODE_MAC)?.context("no ticket")?;
    boot.install(&ticket)?;
    ground.crash()?;
    let shown = ground.get(&format!("/monitor/node/{NODE}"))?;
    anyhow::ensure!(
        shown.to_string().contains("install.success"),
        "after a crash the node's success is gone: {shown}"
    );
    Ok(())
}

/// Firmware asks through a proxy that names nobody, as old sites have it; the agent speaks with the controller itself.
pub(super) fn through_a_silent_proxy(ground: &Ground<'_>, machines: &Machines) -> Result<()> {
    let proxy = Proxy::start(ground)?;
    machines.node.start_firmware()?;
    ground.becomes_expected(NODE)?;
    let boot = Boot::new(&machines.node, User::Root, Scheme::Http)?;
    let path = format!("/boot/search/mac/{NODE_MAC}?again=2");
    let script = boot.ask(&Request::at(&format!("http://{CONTROLLER}:{PROXY_PORT}{path}")))?;
    let ticket =
        script.ticket().with_context(|| format!("no ticket through the proxy: {}", script.text))?;
    // Others ask through the same proxy: what they read is bound to the node's address.
    let stranger = Boot::new(&machines.stranger, User::Root, Scheme::Http)?;
    let read =
        stranger.ask(&Request::at(&format!("http://{CONTROLLER}:{PROXY_PORT}{path}")))?.ticket();
    if let Some(read) = read {
        anyhow::ensure!(
            stranger.exchange(&read)?.is_err(),
            "a ticket that a stranger got through the proxy is taken from his address"
        );
    }
    boot.install(&ticket)?;
    drop(proxy);
    Ok(())
}

/// nginx, as an old site has it.
struct Proxy(Child);

impl Proxy {
    fn start(ground: &Ground<'_>) -> Result<Self> {
        let directory = ground.site.path("nginx");
        fs::create_dir_all(&directory)?;
        let at = directory.display();
        let configuration = format!(
            "daemon off;\nworker_processes 1;\npid {at}/pid;\nerror_log {at}/error.log;\nevents {{}}\nhttp {{\n  access_log off;\n  \
             client_body_temp_path {at}/body;\n  proxy_temp_path {at}/proxy;\n  fastcgi_temp_path {at}/fastcgi;\n  uwsgi_temp_path {at}/uwsgi;\n  \
             scgi_temp_path {at}/scgi;\n  server {{\n    listen {PROXY_PORT};\n    location / {{ proxy_pass http://127.0.0.1:{PLAIN_PORT}; }}\n  }}\n}}\n"
        );
        let file = directory.join("nginx.conf");
        fs::write(&file, configuration)?;
        let mut nginx = ground.site.lab.command("nginx");
        let process = nginx.arg("-c").arg(&file).arg("-e").arg(directory.join("error.log")).spawn();
        let proxy = Self(process.context("nginx does not start")?);
        let answers = || {
            let request = Request::at(&format!("http://{CONTROLLER}:{PROXY_PORT}/version"));
            ground.ask(&request).is_ok_and(|answer| answer.status == 200).then_some(())
        };
        wait_for(&Limit::seconds(10), answers)?.context("nginx does not answer")?;
        Ok(proxy)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        end(&mut self.0);
    }
}
