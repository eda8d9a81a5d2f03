//! Everything that can be asked of a cluster, good and bad.

use perilune_model::bmc_setup::{self, Certificate, Driver};
use perilune_model::device::{PlaceRequest, cloud, other, switch};
use perilune_model::dns::{self, DnsHost, DnsRecord, Entry, RecordData, RecordType};
use perilune_model::identity::{self, NodeIdentity};
use perilune_model::image::{self, ImageFiles};
use perilune_model::interface::{of_group, of_node};
use perilune_model::network::{self, RangeRequest};
use perilune_model::rack::{self, DeviceType, InventoryRequest, PlacementRequest};
use perilune_model::secret::{self, CLUSTER, Owner};
use perilune_model::user::{self, Role};
use perilune_model::{Draft, Error, Family, Kind, Name, Patch, discovery, group, node, settings};
use proptest::prelude::*;

use crate::choice::{Choice, METHODS};
use crate::routes;

macro_rules! actions {
    ($($action:ident)*) => {
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum Action { $($action,)* }

        pub(crate) const ACTIONS: &[Action] = &[$(Action::$action,)*];
    };
}

// The first are those that failures shrink to.
actions! {
    SaveNode SaveGroup SaveNetwork SaveImage SaveSwitch SaveOtherDevice SaveBmcSetup SaveCloud SaveRack SaveUser SaveSettings
    SaveNodeInterface SaveNodeInterfaces RemoveNodeInterface SaveGroupInterface RemoveGroupInterface
    CloneNode CloneGroup CloneNetwork CloneImage CloneSwitch CloneOtherDevice CloneBmcSetup
    Identify SaveSecrets CloneSecret RemoveSecret SaveDns RemoveDns SaveInventory RemoveFromRack
    SaveRoute CoupleRoute DecoupleRoute ActivateTag RemoveTag RemoveImage Packed Claim Remove Undo
}

/// An action and the bytes that decide what it is asked with.
#[derive(Debug, Clone)]
pub(crate) struct Operation {
    pub(crate) action: Action,
    pub(crate) bytes: Vec<u8>,
}

pub(crate) fn operation() -> impl Strategy<Value = Operation> {
    let action = prop_oneof![12 => prop::sample::select(ACTIONS), 1 => Just(Action::Undo)];
    (action, prop::collection::vec(any::<u8>(), 0..60))
        .prop_map(|(action, bytes)| Operation { action, bytes })
}

impl Operation {
    pub(crate) fn choice(&self) -> Choice<'_> {
        Choice(self.bytes.iter())
    }

    /// Does it. Taking back needs the history, and is the caller's.
    pub(crate) fn apply(&self, draft: &mut Draft) -> Result<(), Error> {
        let choice = &mut self.choice();
        match self.action {
            Action::SaveNode | Action::CloneNode => save_node(draft, choice, self.action),
            Action::SaveGroup | Action::CloneGroup => save_group(draft, choice, self.action),
            Action::SaveNetwork | Action::CloneNetwork => save_network(draft, choice, self.action),
            Action::SaveImage
            | Action::CloneImage
            | Action::ActivateTag
            | Action::RemoveTag
            | Action::RemoveImage
            | Action::Packed => change_image(draft, choice, self.action),
            Action::SaveSwitch
            | Action::CloneSwitch
            | Action::SaveOtherDevice
            | Action::CloneOtherDevice
            | Action::SaveCloud => save_device(draft, choice, self.action),
            Action::SaveBmcSetup | Action::CloneBmcSetup => {
                save_bmc_setup(draft, choice, self.action)
            }
            Action::SaveRack | Action::SaveInventory | Action::RemoveFromRack => {
                change_rack(draft, choice, self.action)
            }
            Action::SaveUser => save_user(draft, choice),
            Action::SaveSettings => save_settings(draft, choice),
            Action::SaveNodeInterface
            | Action::SaveNodeInterfaces
            | Action::RemoveNodeInterface
            | Action::SaveGroupInterface
            | Action::RemoveGroupInterface => change_interface(draft, choice, self.action),
            Action::SaveSecrets | Action::CloneSecret | Action::RemoveSecret => {
                change_secret(draft, choice, self.action)
            }
            Action::SaveRoute | Action::CoupleRoute | Action::DecoupleRoute => {
                routes::change(draft, choice, self.action)
            }
            Action::SaveDns | Action::RemoveDns => change_dns(draft, choice, self.action),
            Action::Identify => identify(draft, choice),
            Action::Claim => {
                let group = choice.maybe(Choice::group);
                discovery::claim(draft, choice.mac(), group.as_ref()).map(drop)
            }
            Action::Remove => remove(draft, choice),
            Action::Undo => Ok(()),
        }
    }
}

fn save_node(draft: &mut Draft, choice: &mut Choice<'_>, action: Action) -> Result<(), Error> {
    let name = choice.node();
    let request = node::Request {
        group: choice.likely(Choice::group),
        new_name: choice.new_name(Choice::node),
        switch: choice.patch(Choice::other),
        cloud: choice.patch(Choice::other),
        interfaces: choice.few(Choice::node_interface),
        provisioning: choice.provisioning(),
        comment: choice.patch(Choice::text),
        labels: choice.labels(),
        ..node::Request::default()
    };
    if action == Action::CloneNode {
        return node::clone(draft, name.as_str(), &choice.fresh(Choice::node), &request);
    }
    node::save(draft, &name, &request).map(drop)
}

fn save_group(draft: &mut Draft, choice: &mut Choice<'_>, action: Action) -> Result<(), Error> {
    let name = choice.group();
    let request = group::Request {
        new_name: choice.new_name(Choice::group),
        parent: choice.patch(Choice::group),
        interfaces: choice.few(Choice::group_interface),
        provisioning: choice.provisioning(),
        domain: choice.patch(Choice::text),
        comment: choice.patch(Choice::text),
        labels: choice.labels(),
    };
    if action == Action::CloneGroup {
        return group::clone(draft, name.as_str(), &choice.fresh(Choice::group), &request);
    }
    group::save(draft, &name, &request).map(drop)
}

fn save_network(draft: &mut Draft, choice: &mut Choice<'_>, action: Action) -> Result<(), Error> {
    let name = choice.network();
    let mut request = network::Request {
        range: choice.likely(Choice::range),
        new_name: choice.new_name(Choice::network),
        shared: choice.patch(Choice::network),
        gateway: choice.patch(Choice::address),
        clear: if choice.rarely() { Some(choice.of(&Family::BOTH)) } else { None },
        comment: choice.patch(Choice::text),
        ..network::Request::default()
    };
    match choice.number() % 4 {
        2 => request.dhcp = dynamic_range(choice),
        3 => {
            let (begin, end) = choice.of(&[
                ("10.141.0.2", "10.141.0.9"),
                ("10.149.0.1", "10.149.0.3"),
                ("10.160.0.9", "10.160.200.0"),
                ("fd00:149::3", "fd00:149::5"),
            ]);
            request.dhcp.dhcp = Some(true);
            request.dhcp.begin = Patch::Set(begin.parse().unwrap());
            request.dhcp.end = Patch::Set(end.parse().unwrap());
        }
        _ => {}
    }
    if choice.yes() {
        request.controllers = vec![("controller".to_owned(), choice.address())];
    }
    if action == Action::CloneNetwork {
        return network::clone(draft, name.as_str(), &choice.fresh(Choice::network), &request);
    }
    network::save(draft, &name, &request).map(drop)
}

fn dynamic_range(choice: &mut Choice<'_>) -> RangeRequest {
    RangeRequest {
        dhcp: choice.maybe(Choice::yes),
        begin: choice.patch(Choice::address),
        end: choice.patch(Choice::address),
        nodes_in_pool: choice.maybe(Choice::yes),
        nodes_only: choice.maybe(Choice::rarely),
    }
}

fn change_interface(
    draft: &mut Draft,
    choice: &mut Choice<'_>,
    action: Action,
) -> Result<(), Error> {
    let (node, group) = (choice.node(), choice.group());
    let name = choice.interface();
    match action {
        Action::SaveNodeInterface => {
            of_node::save(draft, node.as_str(), &[choice.node_interface()])
        }
        Action::SaveNodeInterfaces => {
            let requests = [choice.node_interface(), choice.node_interface()];
            of_node::save(draft, node.as_str(), &requests)
        }
        Action::RemoveNodeInterface => of_node::remove(draft, node.as_str(), name.as_str()),
        Action::SaveGroupInterface => {
            of_group::save(draft, group.as_str(), &[choice.group_interface()]).map(drop)
        }
        _ => of_group::remove(draft, group.as_str(), name.as_str()),
    }
}

fn change_image(draft: &mut Draft, choice: &mut Choice<'_>, action: Action) -> Result<(), Error> {
    let name = choice.image();
    match action {
        Action::ActivateTag => {
            let tag = choice.patch(Choice::part);
            return image::activate_tag(draft, name.as_str(), &tag);
        }
        Action::RemoveTag => {
            return image::remove_tag(draft, name.as_str(), choice.part().as_str()).map(drop);
        }
        Action::RemoveImage => return image::remove(draft, name.as_str()).map(drop),
        Action::Packed => {
            let file = |choice: &mut Choice<'_>| choice.maybe(|choice| choice.part().to_string());
            let made = ImageFiles {
                kernelfile: file(choice),
                imagefile: file(choice),
                size: choice.maybe(|choice| u64::from(choice.number())),
                ..ImageFiles::default()
            };
            return image::packed(draft, name.as_str(), &made).map(drop);
        }
        _ => {}
    }
    let request = image::Request {
        new_name: choice.new_name(Choice::image),
        tag: choice.patch(Choice::part),
        imagefile: choice.patch(|choice| choice.part().to_string()),
        kerneloptions: choice.patch(Choice::text),
        labels: choice.labels(),
        ..image::Request::default()
    };
    if action == Action::CloneImage {
        let tag = choice.maybe(Choice::part);
        return image::clone(
            draft,
            name.as_str(),
            tag.as_ref(),
            &choice.fresh(Choice::image),
            &request,
        );
    }
    image::save(draft, &name, &request).map(drop)
}

fn place(choice: &mut Choice<'_>) -> PlaceRequest {
    PlaceRequest {
        network: choice.maybe(Choice::network),
        ipaddress: if choice.rarely() { Some(choice.address()) } else { None },
        nonetwork: choice.rarely(),
    }
}

fn save_device(draft: &mut Draft, choice: &mut Choice<'_>, action: Action) -> Result<(), Error> {
    let name = choice.other();
    let new_name = choice.new_name(Choice::other);
    let comment = choice.patch(Choice::text);
    match action {
        Action::SaveCloud => {
            let request = cloud::Request { new_name, comment, ..cloud::Request::default() };
            cloud::save(draft, &name, &request).map(drop)
        }
        Action::SaveSwitch | Action::CloneSwitch => {
            let place = place(choice);
            let request =
                switch::Request { new_name, comment, place, ..switch::Request::default() };
            match action {
                Action::SaveSwitch => switch::save(draft, &name, &request).map(drop),
                _ => switch::clone(draft, name.as_str(), &choice.fresh(Choice::other), &request),
            }
        }
        _ => {
            let place = place(choice);
            let request = other::Request { new_name, comment, place, ..other::Request::default() };
            match action {
                Action::SaveOtherDevice => other::save(draft, &name, &request).map(drop),
                _ => other::clone(draft, name.as_str(), &choice.fresh(Choice::other), &request),
            }
        }
    }
}

fn save_bmc_setup(draft: &mut Draft, choice: &mut Choice<'_>, action: Action) -> Result<(), Error> {
    let name = choice.other();
    let request = bmc_setup::Request {
        new_name: choice.new_name(Choice::other),
        userid: choice.patch(|choice| u32::from(choice.number())),
        username: choice.patch(Choice::text),
        password: choice.patch(Choice::text),
        driver: choice.patch(|choice| choice.of(&[Driver::Ipmi, Driver::Redfish, Driver::Auto])),
        certificate: choice.patch(|choice| choice.of(&[Certificate::Pin, Certificate::Any])),
        system: choice.patch(|choice| choice.of(&["System_0", "1"]).to_owned()),
        comment: choice.patch(Choice::text),
        ..bmc_setup::Request::default()
    };
    if action == Action::CloneBmcSetup {
        return bmc_setup::clone(draft, name.as_str(), &choice.fresh(Choice::other), &request);
    }
    bmc_setup::save(draft, &name, &request, "fresh").map(drop)
}

/// A device that can stand in a rack; what it is may be left open.
fn device(choice: &mut Choice<'_>) -> (Option<DeviceType>, Name) {
    let device_type = choice.of(&DeviceType::ALL);
    let name = match device_type {
        DeviceType::Node => choice.node(),
        DeviceType::Switch | DeviceType::OtherDevices => choice.other(),
        DeviceType::Controller => choice.controller(),
    };
    (choice.mostly(Some(device_type), None), name)
}

fn change_rack(draft: &mut Draft, choice: &mut Choice<'_>, action: Action) -> Result<(), Error> {
    let height = |choice: &mut Choice<'_>| choice.patch(|choice| u32::from(choice.number() % 4));
    let orientation =
        |choice: &mut Choice<'_>| choice.patch(|choice| choice.of(&["front", "back"]).to_owned());
    match action {
        Action::SaveRack => {
            let name = choice.other();
            let request = rack::Request {
                new_name: choice.new_name(Choice::other),
                size: choice.patch(|choice| u32::from(choice.number())),
                room: choice.patch(Choice::text),
                labels: choice.labels(),
                devices: choice.few(|choice| {
                    let (device_type, device) = device(choice);
                    PlacementRequest {
                        device,
                        device_type,
                        position: choice.patch(|choice| u32::from(choice.number())),
                        height: height(choice),
                        orientation: orientation(choice),
                    }
                }),
                ..rack::Request::default()
            };
            rack::save(draft, &name, &request).map(drop)
        }
        Action::SaveInventory => {
            let requests = choice.few(|choice| {
                let (device_type, device) = device(choice);
                let (height, orientation) = (height(choice), orientation(choice));
                InventoryRequest { device, device_type, height, orientation }
            });
            rack::save_inventory(draft, &requests)
        }
        _ => {
            let (device_type, device) = device(choice);
            let device_type = device_type.unwrap_or(DeviceType::Node);
            rack::remove_from_rack(draft, device_type, device.as_str())
        }
    }
}

fn save_user(draft: &mut Draft, choice: &mut Choice<'_>) -> Result<(), Error> {
    let name = choice.other();
    let request = user::Request {
        new_name: choice.new_name(Choice::other),
        password_hash: choice.mostly(Some("$argon2id$".to_owned()), None),
        role: choice.maybe(|choice| choice.of(&Role::ALL)),
        comment: choice.patch(Choice::text),
    };
    user::save(draft, &name, &request).map(drop)
}

fn save_settings(draft: &mut Draft, choice: &mut Choice<'_>) -> Result<(), Error> {
    let request = settings::Request {
        user: choice.patch(Choice::text),
        debug: choice.patch(Choice::yes),
        provision_method: choice.patch(|choice| choice.of(&METHODS).to_owned().into()),
        nameserver_ip: choice.patch(|choice| choice.few(Choice::address)),
        controller_network: choice.maybe(Choice::network),
        controllers: choice.few(|choice| (choice.controller().to_string(), choice.address())),
        ..settings::Request::default()
    };
    settings::save(draft, &request).map(drop)
}

fn change_secret(draft: &mut Draft, choice: &mut Choice<'_>, action: Action) -> Result<(), Error> {
    let owner = choice.of(&[Owner::Node, Owner::Group, Owner::Cluster]);
    let name = match owner {
        Owner::Node => choice.node(),
        Owner::Group => choice.group(),
        Owner::Cluster => Name::trusted(CLUSTER),
    };
    let request = |choice: &mut Choice<'_>| secret::Request {
        name: choice.part(),
        content: if choice.rarely() { None } else { Some(choice.text()) },
        path: choice.maybe(Choice::path),
        owner: choice.patch(|choice| choice.of(&["munge", "munge:munge", "0:0"]).to_owned()),
        mode: choice.patch(|choice| choice.of(&["400", "0640"]).to_owned()),
    };
    match action {
        Action::SaveSecrets => {
            let requests = [request(choice), request(choice)];
            let requests = choice.mostly(&requests[..1], &requests);
            secret::save(draft, owner, name.as_str(), requests).map(drop)
        }
        Action::CloneSecret => {
            let request = request(choice);
            secret::clone(draft, owner, name.as_str(), &choice.fresh(Choice::part), &request)
        }
        _ => secret::remove(draft, owner, name.as_str(), choice.part().as_str()),
    }
}

fn change_dns(draft: &mut Draft, choice: &mut Choice<'_>, action: Action) -> Result<(), Error> {
    let network = choice.network();
    if action == Action::RemoveDns {
        return dns::remove(draft, network.as_str(), choice.part().as_str());
    }
    let entries = choice.few(|choice| {
        let host = choice.part();
        let word = choice.part();
        match choice.number() % 5 {
            0 => dns_record(host, RecordType::Cname, word.as_str()),
            1 => dns_record(host, RecordType::Mx, &format!("10 {word}")),
            2 => Entry::None(host, RecordType::Cname),
            _ => Entry::Address(DnsHost { host, ipaddress: choice.address() }),
        }
    });
    dns::save(draft, network.as_str(), &entries)
}

fn dns_record(host: Name, of: RecordType, value: &str) -> Entry {
    match RecordData::read(of, value) {
        Ok(data) => Entry::Record(DnsRecord { host, data }),
        Err(_) => Entry::None(host, of),
    }
}

/// Removes something, or tries to.
fn remove(draft: &mut Draft, choice: &mut Choice<'_>) -> Result<(), Error> {
    let (kind, name) = match choice.number() % 10 {
        0 => (Kind::Node, choice.node()),
        1 => (Kind::Group, choice.group()),
        2 => (Kind::Network, choice.network()),
        3 => (Kind::Switch, choice.other()),
        4 => (Kind::OtherDevice, choice.other()),
        5 => (Kind::BmcSetup, choice.other()),
        6 => (Kind::Cloud, choice.other()),
        7 => (Kind::Rack, choice.other()),
        8 => (Kind::Route, choice.other()),
        _ => (Kind::User, choice.other()),
    };
    draft.remove(kind, name.as_str())
}

fn identify(draft: &mut Draft, choice: &mut Choice<'_>) -> Result<(), Error> {
    let name = choice.node();
    let host_uuid = choice.part().to_string();
    let identity = NodeIdentity { name, host_uuid, ..NodeIdentity::default() };
    identity::complete(draft, identity).map(drop)
}
