//! A boot as a machine goes through it, honest or not: script, ticket, token, plan, archive, success.

use anyhow::{Context, Result, bail, ensure};
use perilune_plan::Purpose;
use perilune_seal::{KeyPair, Sealed};
use serde_json::{Value, json};

use crate::attack::ground::{ARCHIVE, NODE, SECRETS, Scheme, secrets_in};
use crate::attack::machine::{Machine, User};
use crate::attack::request::{Answer, Request};

/// How far somebody got.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Reached {
    Nothing,
    /// A ticket, with which nothing else was to be had.
    Ticket,
    /// The node's token.
    Token,
    /// Secrets, and the archive of the image.
    Everything,
}

impl Reached {
    pub(super) fn words(self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::Ticket => "a ticket that is worth nothing",
            Self::Token => "the node's token",
            Self::Everything => "token, secrets, archive",
        }
    }
}

/// Somebody at a machine who wants to boot as [`NODE`].
pub(super) struct Boot<'a> {
    pub(super) machine: &'a Machine,
    pub(super) user: User,
    pub(super) scheme: Scheme,
    pub(super) key: KeyPair,
}

impl<'a> Boot<'a> {
    pub(super) fn new(machine: &'a Machine, user: User, scheme: Scheme) -> Result<Self> {
        Ok(Self { machine, user, scheme, key: KeyPair::generate()? })
    }

    pub(super) fn ask(&self, request: &Request) -> Result<Answer> {
        self.machine.ask(self.user, request)
    }

    /// The ticket in the script for a MAC address. Boot scripts are asked for as firmware asks: in the clear.
    pub(super) fn ticket(&self, mac: &str) -> Result<Option<String>> {
        let script =
            self.ask(&Request::get(Scheme::Http, &format!("/boot/search/mac/{mac}?again=2")))?;
        Ok(script.ticket())
    }

    /// What the exchange of a ticket is answered, opened with this boot's key.
    pub(super) fn exchange(&self, ticket: &str) -> Result<Result<String, Answer>> {
        let body = json!({ "ticket": ticket, "key": String::from(self.key.public().clone()) });
        let answer = self
            .ask(&Request::post(self.scheme, &format!("/boot/ticket/{NODE}"), body).privileged())?;
        if answer.status != 201 {
            return Ok(Err(answer));
        }
        let opened = self.open(&answer, Purpose::Token)?;
        let token = opened
            .pointer("/token")
            .and_then(Value::as_str)
            .context("an exchange without a token")?;
        Ok(Ok(token.to_owned()))
    }

    /// The plan for a token.
    pub(super) fn plan(&self, token: &str) -> Result<Value> {
        let answer =
            self.ask(&Request::get(self.scheme, &format!("/boot/plan/{NODE}")).token(token))?;
        ensure!(answer.status == 200, "the plan is refused: {} {}", answer.status, answer.text);
        ensure!(
            secrets_in(&answer.text).is_empty(),
            "the plan shows secrets to whoever reads the network"
        );
        self.open(&answer, Purpose::Plan)
    }

    fn open(&self, answer: &Answer, purpose: Purpose) -> Result<Value> {
        let sealed: Sealed =
            serde_json::from_str(&answer.text).context("the answer is not sealed")?;
        let text = self.key.open(&sealed, &purpose.of(NODE))?;
        Ok(serde_json::from_slice(&text)?)
    }

    /// Tells that the installation succeeded.
    pub(super) fn succeed(&self, token: &str) -> Result<()> {
        let state = json!({ "monitor": { "status": { NODE: { "state": "install.success" } } } });
        let answer = self.ask(
            &Request::post(self.scheme, &format!("/monitor/node/{NODE}"), state).token(token),
        )?;
        ensure!(answer.status == 204, "the success is refused: {} {}", answer.status, answer.text);
        Ok(())
    }

    /// A whole honest boot from its ticket on: everything that the node has is there, an answer that got lost is given again, and the end
    /// of it is the end.
    pub(super) fn install(&self, ticket: &str) -> Result<()> {
        let exchanged = |what: &str| -> Result<String> {
            match self.exchange(ticket)? {
                Ok(token) => Ok(token),
                Err(answer) => {
                    bail!("{what}: the ticket is refused: {} {}", answer.status, answer.text)
                }
            }
        };
        let token = exchanged("the first exchange")?;
        ensure!(
            exchanged("the answer was lost")? == token,
            "the repeated exchange gives another token"
        );
        let plan = self.plan(&token)?.to_string();
        let missing: Vec<_> = SECRETS.iter().filter(|(_, secret)| !plan.contains(secret)).collect();
        ensure!(missing.is_empty(), "the plan lacks {missing:?}");
        ensure!(self.archive(&token)?, "the archive is refused");
        self.succeed(&token)?;
        let late = self.exchange(ticket)?;
        ensure!(late.is_err(), "after its success the ticket is taken again");
        Ok(())
    }

    pub(super) fn archive(&self, token: &str) -> Result<bool> {
        let request = Request::get(self.scheme, "/files/compute.tar.zst");
        let request = if token.is_empty() { request } else { request.token(token) };
        Ok(self.ask(&request)?.text.contains(ARCHIVE))
    }

    /// Tries all that somebody without an account can try to boot as the node.
    pub(super) fn grab(&self) -> Result<Reached> {
        let own = &self.machine.mac;
        let mut texts = Vec::new();
        for path in [
            format!("/boot/install/{NODE}"),
            format!("/boot/plan/{NODE}"),
            format!("/kickstart/install/{NODE}"),
            format!("/config/node/{NODE}"),
            format!("/config/secrets/node/{NODE}"),
            format!("/boot/manual/hostname/{NODE}/{own}"),
            format!("/boot/manual/group/compute/{own}"),
            format!("/monitor/node/{NODE}"),
            "/export".to_owned(),
            "/config/bmcsetup/kept".to_owned(),
        ] {
            texts.push(self.ask(&Request::get(self.scheme, &path))?);
        }
        for body in [
            json!({}),
            json!({ "tpm_sha256": "0".repeat(64) }),
            json!({ "username": "admin", "password": "admin" }),
        ] {
            texts.push(self.ask(&Request::post(self.scheme, &format!("/tpm/{NODE}"), body))?);
        }
        for text in &texts {
            if !secrets_in(&text.text).is_empty() || text.gives_token() || self.archive("")? {
                return Ok(Reached::Everything);
            }
        }
        let offered = texts.iter().find_map(Answer::ticket);
        let Some(ticket) = offered.map_or_else(
            || self.ticket(crate::attack::ground::NODE_MAC),
            |ticket| Ok(Some(ticket)),
        )?
        else {
            return Ok(Reached::Nothing);
        };
        // From a port of root where the kernel lets it; else from any.
        let body = json!({ "ticket": ticket, "key": String::from(self.key.public().clone()) });
        let any_port =
            self.ask(&Request::post(self.scheme, &format!("/boot/ticket/{NODE}"), body))?;
        if any_port.status == 201 {
            return Ok(Reached::Token);
        }
        let Ok(token) = self.exchange(&ticket)? else { return Ok(Reached::Ticket) };
        let plan = self.plan(&token).map(|plan| plan.to_string()).unwrap_or_default();
        let has_all = !secrets_in(&plan).is_empty() || self.archive(&token)?;
        Ok(if has_all { Reached::Everything } else { Reached::Token })
    }
}
