//! A boot as the agent goes through it, from a network namespace: what a node is told, without the minutes that an emulated machine takes.

use anyhow::{Context, Result, ensure};
use perilune_plan::Purpose;
use perilune_seal::{KeyPair, Sealed};
use perilune_testkit::Limit;
use perilune_testkit::process::wait_for;
use serde_json::{Value, json};

use crate::attack::machine::{Machine, User};
use crate::attack::request::{Answer, Request};
use crate::daemon::{PLAIN_PORT, PORT};
use crate::scenario::Member;
use crate::site::Site;

/// What of the plan must be the same whichever controller tells it.
const KEPT: [&str; 3] = ["identity", "image", "secrets"];

struct Boot<'a> {
    machine: Machine,
    node: &'a str,
    controller: &'a str,
    key: KeyPair,
}

/// Boots the node up to its success; answers what of its plan must stay.
pub(super) fn through(site: &Site, member: &Member, controller: &str) -> Result<String> {
    let namespace = format!("{}-{}", site.lab.name(), member.name);
    let directory = site.path(&member.name);
    let machine = Machine::plug(&site.lab, &namespace, &member.mac_address, directory)?;
    machine.take(member.address().parse()?)?;
    machine.start_firmware()?;
    let boot = Boot { machine, node: &member.name, controller, key: KeyPair::generate()? };
    let ticket = boot.ticket(&member.mac_address)?;
    let token = boot.exchange(&ticket)?;
    let plan = boot.plan(&token)?;
    boot.fetch(&plan, &token)?;
    boot.succeed(&token)?;
    let kept: Vec<&Value> = KEPT.iter().filter_map(|part| plan.get(part)).collect();
    ensure!(kept.len() == KEPT.len(), "the plan lacks one of {KEPT:?}: {plan}");
    Ok(json!(kept).to_string())
}

impl Boot<'_> {
    fn secure(&self, path: &str) -> Request {
        Request::at(&format!("https://{}:{PORT}{path}", self.controller))
    }

    fn ask(&self, request: &Request) -> Result<Answer> {
        self.machine.ask(User::Root, request)
    }

    /// The ticket of the boot script, as soon as firmware's request for an address has opened the window.
    fn ticket(&self, mac: &str) -> Result<String> {
        let url = format!("http://{}:{PLAIN_PORT}/boot/search/mac/{mac}?again=2", self.controller);
        let given = || self.ask(&Request::at(&url)).ok().and_then(|script| script.ticket());
        wait_for(&Limit::seconds(20), given)?.context("the boot script has no ticket")
    }

    fn exchange(&self, ticket: &str) -> Result<String> {
        let body = json!({ "ticket": ticket, "key": String::from(self.key.public().clone()) });
        let request = self.secure(&format!("/boot/ticket/{}", self.node)).with(body).privileged();
        let opened = self.open(&self.ask(&request)?, 201, Purpose::Token)?;
        let token = opened.get("token").and_then(Value::as_str);
        Ok(token.context("an exchange without a token")?.to_owned())
    }

    fn plan(&self, token: &str) -> Result<Value> {
        let request = self.secure(&format!("/boot/plan/{}", self.node)).token(token);
        self.open(&self.ask(&request)?, 200, Purpose::Plan)
    }

    fn open(&self, answer: &Answer, status: u16, purpose: Purpose) -> Result<Value> {
        ensure!(answer.status == status, "refused: {} {}", answer.status, answer.text);
        let sealed: Sealed =
            serde_json::from_str(&answer.text).context("the answer is not sealed")?;
        Ok(serde_json::from_slice(&self.key.open(&sealed, &purpose.of(self.node))?)?)
    }

    /// The archive is there, as long as the plan says.
    fn fetch(&self, plan: &Value, token: &str) -> Result<()> {
        let file = plan.pointer("/image/file").and_then(Value::as_str);
        let file = file.with_context(|| format!("the plan names no archive: {plan}"))?;
        let request = self.secure(&format!("/files/{file}")).token(token).only_head();
        let answer = self.ask(&request)?;
        ensure!(answer.status == 200, "{file} is refused: {} {}", answer.status, answer.text);
        Ok(())
    }

    fn succeed(&self, token: &str) -> Result<()> {
        let state =
            json!({ "monitor": { "status": { self.node: { "state": "install.success" } } } });
        let request = self.secure(&format!("/monitor/node/{}", self.node)).token(token);
        let answer = self.ask(&request.with(state))?;
        ensure!(answer.status == 204, "the success is refused: {} {}", answer.status, answer.text);
        Ok(())
    }
}
