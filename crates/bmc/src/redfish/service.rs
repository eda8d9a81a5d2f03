//! Finds its way through a BMC's resources, and does there what is asked.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use serde_json::{Value, json};

use super::client::{Answer, Client};
use super::deviations::{Part, Words};
use super::tls::{Authorities, Fingerprint};
use super::{Authentication, facts, host, log};
use crate::{Action, Error, PowerState, Reply, Target};

const ROOT: &str = "/redfish/v1/";
/// How often it is looked whether a machine that is cycled by hand is off.
const OFF_PAUSE: Duration = Duration::from_millis(500);

/// One BMC, logged in to, and the system that is meant.
pub(crate) struct Service {
    client: Client,
    words: Words,
    root: Value,
    system_path: String,
}

/// Whether something at the address speaks Redfish; nothing secret is told to it. None where it does and shows not even its
/// root to strangers.
async fn root(client: &mut Client) -> Result<Option<Value>, Error> {
    let answer = client.ask(ROOT).await?;
    let is_closed = matches!(answer.status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN);
    if is_closed && (answer.headers.contains_key("odata-version") || answer.body.is_object()) {
        return Ok(None);
    }
    let garbled =
        Error::Garbled { address: client.address(), reason: "its root is not one of Redfish" };
    if is_closed {
        return Err(garbled);
    }
    let body = client.checked(answer)?.body;
    let is_root = body.get("RedfishVersion").is_some() || body.get("Systems").is_some();
    if is_root { Ok(Some(body)) } else { Err(garbled) }
}

/// The root and the systems that it names, with the password in the way in which the BMC takes it.
async fn log_in(client: &mut Client, in_session: bool) -> Result<(Value, Vec<String>), Error> {
    let open = root(client).await?;
    let sessions = open.as_ref().and_then(|root| link(root, "/Links/Sessions")).map(str::to_owned);
    // A root that links to no sessions has none; who does not show it may have them.
    let has_sessions = sessions.is_some() || open.is_none();
    let in_session = in_session && has_sessions && client.use_session(sessions.as_deref()).await?;
    if in_session {
        return systems(client, open).await;
    }
    client.use_password()?;
    match systems(client, open.clone()).await {
        // Where the password is not taken with each request, it may be in a session.
        Err(refusal @ (Error::WrongPassword { .. } | Error::NotPermitted { .. }))
            if has_sessions =>
        {
            match client.use_session(sessions.as_deref()).await {
                Ok(true) => systems(client, open).await,
                Ok(false) => Err(refusal),
                Err(error) => Err(error),
            }
        }
        other => other,
    }
}

async fn systems(client: &mut Client, known: Option<Value>) -> Result<(Value, Vec<String>), Error> {
    let root = match known {
        Some(root) => root,
        None => client.get(ROOT).await?.body,
    };
    let path = link(&root, "/Systems").ok_or_else(|| client.rejected("it has no systems"))?;
    let paths = host::paths(client, path).await?;
    Ok((root, paths))
}

impl Service {
    pub(crate) async fn probe(
        target: &Target,
        pinned: Option<Fingerprint>,
        authorities: &Arc<Authorities>,
    ) -> Result<(), Error> {
        let address = SocketAddr::new(target.address, target.redfish.port);
        let mut client =
            Client::connect(address, &target.redfish, &target.credentials, pinned, authorities)
                .await?;
        root(&mut client).await.map(drop)
    }

    /// `in_session`: this BMC has refused the password before, and taken it in a session.
    pub(crate) async fn open(
        target: &Target,
        pinned: Option<Fingerprint>,
        in_session: bool,
        authorities: &Arc<Authorities>,
    ) -> Result<Self, Error> {
        let address = SocketAddr::new(target.address, target.redfish.port);
        let mut client =
            Client::connect(address, &target.redfish, &target.credentials, pinned, authorities)
                .await?;
        let in_session = in_session || target.redfish.authentication == Authentication::Session;
        let (root, systems) = log_in(&mut client, in_session).await?;
        let system = target.redfish.system.as_deref();
        let system_path = match host::choose(&mut client, &root, systems, system).await {
            Ok(path) => path,
            Err(error) => {
                client.log_out().await;
                return Err(error);
            }
        };
        let names = ["/Vendor", "/Product"].map(|path| text(&root, path));
        let oem = root.get("Oem").and_then(Value::as_object);
        let oem = oem.and_then(|oem| oem.keys().next()).map_or("", String::as_str);
        let words = Words::of(&[names[0], names[1], oem]);
        Ok(Self { client, words, root, system_path })
    }

    pub(crate) fn wants_session(&self) -> bool {
        self.client.is_in_session()
    }

    pub(crate) fn certificate(&self) -> Fingerprint {
        self.client.certificate
    }

    pub(crate) async fn close(self) {
        self.client.log_out().await;
    }

    pub(crate) async fn perform(&mut self, action: Action) -> Result<Reply, Error> {
        match action {
            Action::PowerStatus => Ok(Reply::Power(self.power().await?)),
            Action::PowerOn
            | Action::PowerOff
            | Action::PowerCycle
            | Action::PowerReset
            | Action::PowerSoft => self.reset(action).await.map(|()| Reply::Done),
            Action::Identify => self.identify(action, true).await.map(|()| Reply::Done),
            Action::NoIdentify => self.identify(action, false).await.map(|()| Reply::Done),
            Action::SelList => {
                let service = self.log(action).await?;
                log::list(&mut self.client, &service).await.map(Reply::Events)
            }
            Action::SelClear => {
                let service = self.log(action).await?;
                log::clear(&mut self.client, &service).await.map(|()| Reply::Done)
            }
            Action::Sensors => {
                let chassis = self.chassis(action).await?;
                facts::sensors(&mut self.client, &chassis).await.map(Reply::Sensors)
            }
            Action::Inventory => {
                let system = self.system().await?.body;
                let manager = self.linked(&system, host::MANAGER).await;
                Ok(Reply::Inventory(facts::inventory(&system, manager.as_ref())))
            }
        }
    }

    async fn system(&mut self) -> Result<Answer, Error> {
        self.client.get(&self.system_path).await
    }

    async fn power(&mut self) -> Result<PowerState, Error> {
        let system = self.system().await?.body;
        match text(&system, "/PowerState") {
            // What is on its way has not arrived.
            "On" | "PoweringOff" | "Paused" => Ok(PowerState::On),
            "Off" | "PoweringOn" => Ok(PowerState::Off),
            _ => Err(self.client.rejected("it does not say whether the power is on")),
        }
    }

    async fn reset(&mut self, action: Action) -> Result<(), Error> {
        let system = self.system().await?.body;
        let described = system.pointer("/Actions/#ComputerSystem.Reset");
        let offered = match described {
            Some(described) => self.offered(described).await?,
            None => None,
        };
        let usual =
            format!("{}/Actions/ComputerSystem.Reset", self.system_path.trim_end_matches('/'));
        let path = described.map_or("", |described| text(described, "/target"));
        let path = if path.is_empty() { usual.as_str() } else { path };
        let kinds: Vec<String> =
            self.words.resets(action, offered.as_deref()).into_iter().map(str::to_owned).collect();
        let mut refusal = None;
        for kind in kinds {
            match self.try_reset(action, path, &kind).await? {
                Tried::Done => return Ok(()),
                // This kind it does not have; the next one may do the same.
                Tried::Unknown(error) => {
                    tracing::debug!(bmc = %self.client.address(), kind, %error, "another kind of reset is tried");
                    refusal = Some(error);
                }
            }
        }
        if action == Action::PowerCycle {
            return self.cycle_by_hand(path).await;
        }
        let by = format!("this BMC (its resets: {})", list(offered));
        Err(refusal.unwrap_or(Error::Unsupported { action, by }))
    }

    /// One kind of reset. What must not be done twice is sent once: only a BMC that says that it does not know this kind
    /// is asked for another one, and where its answer is odd somebody has to look.
    async fn try_reset(&mut self, action: Action, path: &str, kind: &str) -> Result<Tried, Error> {
        let body = json!({ "ResetType": kind });
        let unconfirmed = Error::Unconfirmed { action, address: self.client.address() };
        let answer = if action.must_not_repeat() {
            match self.client.post_once(path, &body).await {
                Err(error) if error.is_passing() => return Err(unconfirmed),
                other => other?,
            }
        } else {
            self.client.post_often(path, &body).await?
        };
        if answer.status.is_success() {
            return match self.client.finished(answer).await {
                Err(error @ Error::Rejected { .. }) => Err(error),
                Err(_) if action.must_not_repeat() => Err(unconfirmed),
                // It was accepted; whether it was done shows in the power.
                Ok(_) | Err(_) => Ok(Tried::Done),
            };
        }
        if is_unknown_kind(&answer, action) {
            return Ok(Tried::Unknown(self.client.failure(&answer)));
        }
        if answer.status.is_server_error() && action.must_not_repeat() {
            return Err(unconfirmed);
        }
        Err(self.client.failure(&answer))
    }

    /// What kinds of reset it says that it has; None when it does not say.
    async fn offered(&mut self, described: &Value) -> Result<Option<Vec<String>>, Error> {
        if let Some(values) = strings(described.get("ResetType@Redfish.AllowableValues")) {
            return Ok(Some(values));
        }
        let Some(path) = described.get("@Redfish.ActionInfo").and_then(Value::as_str) else {
            return Ok(None);
        };
        let info = self.client.get(path).await?.body;
        let parameters = info.get("Parameters").and_then(Value::as_array).map(Vec::as_slice);
        let reset = parameters
            .unwrap_or_default()
            .iter()
            .find(|parameter| text(parameter, "/Name") == "ResetType");
        Ok(strings(reset.and_then(|reset| reset.get("AllowableValues"))))
    }

    /// For a BMC that cannot cycle: off, and on again once it is off.
    async fn cycle_by_hand(&mut self, path: &str) -> Result<(), Error> {
        let unconfirmed =
            Error::Unconfirmed { action: Action::PowerCycle, address: self.client.address() };
        if self.power().await? == PowerState::Off {
            return Err(self.client.rejected("it cannot cycle the power of a machine that is off"));
        }
        match self.client.post(path, &json!({ "ResetType": "ForceOff" })).await {
            Ok(_) => {}
            // Begun anew, the machine would be found off and left so.
            Err(error) if error.is_passing() => return Err(unconfirmed),
            Err(error) => return Err(error),
        }
        // Whoever waits for this sets the limit.
        while self.power().await.unwrap_or(PowerState::On) == PowerState::On {
            tokio::time::sleep(OFF_PAUSE).await;
        }
        self.client.post(path, &json!({ "ResetType": "On" })).await.map(drop).or(Err(unconfirmed))
    }

    async fn identify(&mut self, action: Action, on: bool) -> Result<(), Error> {
        let system = self.system().await?;
        let chassis = self.chassis(action).await.ok();
        let mut refusal = None;
        for indicator in self.words.indicators().to_vec() {
            let (path, etag, resource) = match (indicator.of, &chassis) {
                (Part::System, _) => (self.system_path.clone(), system.etag(), &system.body),
                (Part::Chassis, Some(chassis)) => {
                    (text(chassis, "/@odata.id").to_owned(), None, chassis)
                }
                (Part::Chassis, None) => continue,
            };
            if resource.get(&indicator.property).is_none() {
                continue;
            }
            let value = if on { &indicator.on } else { &indicator.off };
            match self.client.patch(&path, &json!({ &indicator.property: value }), etag).await {
                Err(error @ Error::Rejected { .. }) => {
                    // It may refuse because the light is so already.
                    let now = self.client.get(&path).await.map(|answer| answer.body);
                    if now.is_ok_and(|now| now.get(&indicator.property) == Some(value)) {
                        return Ok(());
                    }
                    refusal.get_or_insert(error);
                }
                other => return other.map(drop),
            }
        }
        Err(refusal.unwrap_or(Error::Unsupported { action, by: "this BMC".to_owned() }))
    }

    /// The chassis that the system is in.
    async fn chassis(&mut self, action: Action) -> Result<Value, Error> {
        let system = self.system().await?.body;
        let chassis = self.linked(&system, host::CHASSIS).await;
        chassis.ok_or(Error::Unsupported {
            action,
            by: "this BMC, which tells of no chassis".to_owned(),
        })
    }

    async fn linked(&mut self, system: &Value, kind: host::Linked) -> Option<Value> {
        host::linked(&mut self.client, &self.root, (&self.system_path, system), kind).await
    }

    /// The log service that holds the system's events.
    async fn log(&mut self, action: Action) -> Result<Value, Error> {
        let system = self.system().await?.body;
        let manager = self.linked(&system, host::MANAGER).await;
        let chassis = self.linked(&system, host::CHASSIS).await;
        let mut paths: Vec<String> = Vec::new();
        for resource in [Some(&system), manager.as_ref(), chassis.as_ref()].into_iter().flatten() {
            let Some(services) = link(resource, "/LogServices") else { continue };
            // A part without logs may link to none.
            if let Ok(services) = self.client.get(services).await {
                paths.extend(members(&services.body).map(str::to_owned));
            }
        }
        let names: Vec<&str> = paths.iter().map(|path| last_part(path)).collect();
        let chosen = self.words.log(&names).and_then(|place| paths.get(place));
        let path = chosen.ok_or(Error::Unsupported {
            action,
            by: "this BMC, which tells of no log".to_owned(),
        })?;
        self.client.get(path).await.map(|answer| answer.body)
    }
}

enum Tried {
    Done,
    /// The BMC does not know this kind of reset.
    Unknown(Error),
}

/// A refusal of the kind of reset, not of the reset. For what may be done twice a vague one is enough.
fn is_unknown_kind(answer: &Answer, action: Action) -> bool {
    let is_vague = matches!(answer.status.as_u16(), 400 | 422) && !action.must_not_repeat();
    let ids = [
        "ActionNotSupported",
        "ActionParameterNotSupported",
        "ActionParameterUnknown",
        "ActionParameterValueError",
        "ActionParameterValueFormatError",
        "ActionParameterValueNotInList",
        "ActionParameterValueTypeError",
        "PropertyValueNotInList",
    ];
    is_vague || answer.status == StatusCode::NOT_IMPLEMENTED || answer.says(&ids)
}

/// For people, on a terminal.
pub(super) fn printable(text: &str) -> String {
    text.chars().filter(|character| !character.is_control()).collect::<String>().trim().to_owned()
}

pub(super) fn text<'a>(value: &'a Value, path: &str) -> &'a str {
    value.pointer(path).and_then(Value::as_str).unwrap_or_default()
}

/// Where a link leads.
pub(super) fn link<'a>(value: &'a Value, path: &str) -> Option<&'a str> {
    value.pointer(path)?.get("@odata.id")?.as_str()
}

pub(super) fn members(collection: &Value) -> impl Iterator<Item = &str> {
    let members = collection.get("Members").and_then(Value::as_array).map(Vec::as_slice);
    members.unwrap_or_default().iter().filter_map(|member| member.get("@odata.id")?.as_str())
}

pub(super) fn last_part(path: &str) -> &str {
    path.trim_end_matches('/').rsplit('/').next().unwrap_or_default()
}

fn strings(value: Option<&Value>) -> Option<Vec<String>> {
    let values = value?.as_array()?.iter();
    Some(values.filter_map(Value::as_str).map(str::to_owned).collect())
}

fn list(offered: Option<Vec<String>>) -> String {
    offered.map_or_else(|| "it does not say".to_owned(), |offered| offered.join(", "))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Objects whose keys are those that are looked for, with values of any type.
    fn resources() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            ".{0,8}".prop_map(Value::from),
        ];
        let keys = proptest::sample::select(vec![
            "Id",
            "Created",
            "Message",
            "Members",
            "@odata.id",
            "Status",
            "Health",
            "Name",
            "Reading",
            "Model",
            "error",
            "@Message.ExtendedInfo",
            "Messages",
            "ProcessorSummary",
            "Count",
            "EntryCode",
            "Links",
            "Chassis",
            "0",
        ]);
        leaf.prop_recursive(4, 32, 6, move |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                proptest::collection::vec((keys.clone(), inner), 0..6).prop_map(|pairs| {
                    Value::Object(
                        pairs.into_iter().map(|(key, value)| (key.to_owned(), value)).collect(),
                    )
                }),
            ]
        })
    }

    proptest! {
        #[test]
        fn no_resource_makes_it_panic_or_write_control_characters(resource in resources()) {
            let clean = |text: &str| !text.chars().any(char::is_control);
            prop_assert!(clean(&log::event(&resource).to_string()));
            for item in facts::inventory(&resource, Some(&resource)) {
                prop_assert!(clean(&item.to_string()), "{:?}", item);
            }
            prop_assert!(clean(&facts::sensor(&resource, "Reading", "").to_string()));
            prop_assert!(super::super::client::reason(&resource).is_none_or(|reason| clean(&reason)));
            for path in members(&resource) {
                last_part(path);
            }
            link(&resource, "/Links/Chassis/0");
            strings(Some(&resource));
        }
    }
}
