//! Controllers, switches, other devices, clouds, racks and reservations in documents.

use std::fmt::Display;
use std::str::FromStr;

use perilune_model::controller::{Controller, DEFAULT_PORT};
use perilune_model::device::ztp::{Format, Protocol, System};
use perilune_model::device::{Cloud, OtherDevice, Switch, SwitchInterface, Ztp, switch_interface};
use perilune_model::rack::{DeviceType, Placement, Rack};
use perilune_model::reservation::Reservation;
use perilune_model::{Addresses, MacAddress, Name, Object, Patch};

use serde_json::Value;

use super::site::unique;
use super::{Said, text};
use crate::device::ztp_request;
use crate::fields::Fields;
use crate::label;

/// Reads the addresses of a device.
pub(super) fn addresses(fields: &mut Fields<'_>) -> Addresses {
    Addresses {
        ipv4: fields.parsed("ipaddress").value().copied(),
        ipv6: fields.parsed("ipaddress_ipv6").value().copied(),
    }
}

/// Adds the addresses of a device.
pub(super) fn show_addresses(said: Said, addresses: &Addresses) -> Said {
    said.text("ipaddress", addresses.ipv4).text("ipaddress_ipv6", addresses.ipv6)
}

fn network(fields: &mut Fields<'_>) -> Option<Name> {
    fields.name("network", Name::domain).value().cloned()
}

fn mac(fields: &mut Fields<'_>) -> Option<String> {
    fields.parsed::<MacAddress>("macaddress").value().map(ToString::to_string)
}

/// A field that new objects have: absent means as new, empty means unset.
fn text_or(fields: &mut Fields<'_>, field: &str, usual: Option<String>) -> Option<String> {
    match fields.text(field) {
        Patch::Keep => usual,
        Patch::Clear => None,
        Patch::Set(text) => Some(text),
    }
}

pub(super) fn controller(fields: &mut Fields<'_>, name: Name, own: Option<&Object>) -> Object {
    let own = match own {
        Some(Object::Controller(own)) => Controller::clone(own),
        _ => Controller::default(),
    };
    let beacon = fields.boolean("beacon").value().copied().unwrap_or(own.beacon);
    Controller {
        name,
        beacon,
        shadow: fields.flag("shadow"),
        network: network(fields),
        addresses: addresses(fields),
        serverport: fields.number("serverport").value().copied().unwrap_or(DEFAULT_PORT),
        vendor: text(fields, "vendor"),
        status: own.status,
    }
    .into()
}

pub(super) fn show_controller(controller: &Controller) -> Said {
    let said = Said::default()
        .put("beacon", Some(controller.beacon))
        .flag("shadow", controller.shadow, false)
        .text("network", controller.network.as_ref());
    show_addresses(said, &controller.addresses)
        .put("serverport", (controller.serverport != DEFAULT_PORT).then_some(controller.serverport))
        .put("vendor", controller.vendor.clone())
}

/// A configuration that is not given stays as it is.
pub(super) fn switch(fields: &mut Fields<'_>, name: Name, own: Option<&Object>) -> Object {
    let usual = Switch::default();
    let mut ztp = Ztp::default();
    if let Some(Object::Switch(own)) = own {
        ztp.ztpconfig.clone_from(&own.ztp.ztpconfig);
    }
    ztp_request(fields).apply(&mut ztp);
    for violation in ztp.violations() {
        fields.refuse(&violation.field, violation.reason);
    }
    let interfaces = fields.objects("interfaces", |fields| SwitchInterface {
        name: fields.new_name("interface", Name::interface).unwrap_or_default(),
        network: network(fields),
        addresses: addresses(fields),
        macaddress: mac(fields),
        mgmt: fields.flag("mgmt"),
    });
    let interfaces = interfaces.unwrap_or_default();
    unique(fields, interfaces.iter().map(|interface| &interface.name));
    if interfaces.len() > switch_interface::MOST {
        let reason = format!("a switch has at most {} interfaces", switch_interface::MOST);
        fields.refuse("interfaces", reason);
    }
    if interfaces.iter().filter(|interface| interface.mgmt).count() > 1 {
        fields.refuse("interfaces", "a switch is managed by one of its interfaces; keep one mgmt");
    }
    Switch {
        ztp,
        interfaces,
        name,
        macaddress: mac(fields),
        network: network(fields),
        addresses: addresses(fields),
        oid: text_or(fields, "oid", usual.oid),
        read: text_or(fields, "read", usual.read),
        rw: text_or(fields, "rw", usual.rw),
        uplinkports: text(fields, "uplinkports"),
        vendor: text(fields, "vendor"),
        comment: text(fields, "comment"),
    }
    .into()
}

pub(super) fn show_switch(switch: &Switch, with_secrets: bool) -> Said {
    let interface = |own: &SwitchInterface| {
        let said = Said::default()
            .text("interface", Some(&own.name))
            .text("network", own.network.as_ref())
            .put("macaddress", own.macaddress.clone());
        Value::Object(show_addresses(said, &own.addresses).flag("mgmt", own.mgmt, false).0)
    };
    let interfaces: Vec<Value> = switch.interfaces.iter().map(interface).collect();
    let ztp = &switch.ztp;
    let usual = Switch::default();
    let unlike = |own: &Option<String>, usual: &Option<String>| {
        (own != usual).then(|| own.clone().unwrap_or_default())
    };
    let said = Said::default()
        .put("macaddress", switch.macaddress.clone())
        .text("network", switch.network.as_ref());
    show_addresses(said, &switch.addresses)
        .put("oid", unlike(&switch.oid, &usual.oid))
        .put("read", unlike(&switch.read, &usual.read))
        .put("rw", unlike(&switch.rw, &usual.rw))
        .put("uplinkports", switch.uplinkports.clone())
        .put("vendor", switch.vendor.clone())
        .put("comment", switch.comment.clone())
        .put("netboot", ztp.netboot)
        .put("default_url", ztp.default_url.clone())
        .put("bootfile", ztp.bootfile.clone())
        .put("ztpconfig", ztp.ztpconfig.clone().filter(|_| with_secrets))
        .put("ztpformat", ztp.ztpformat.map(Format::word))
        .put("ostype", ztp.ostype.map(System::word))
        .put("url_protocol", ztp.url_protocol.map(Protocol::word))
        .put("url_server", ztp.url_server.clone())
        .put("tftp_enable", ztp.tftp_enable.clone())
        .put("interfaces", (!interfaces.is_empty()).then_some(interfaces))
}

pub(super) fn other(fields: &mut Fields<'_>, name: Name) -> Object {
    OtherDevice {
        name,
        macaddress: mac(fields),
        network: network(fields),
        addresses: addresses(fields),
        vendor: text(fields, "vendor"),
        comment: text(fields, "comment"),
    }
    .into()
}

pub(super) fn show_other(device: &OtherDevice) -> Said {
    let said = Said::default()
        .put("macaddress", device.macaddress.clone())
        .text("network", device.network.as_ref());
    show_addresses(said, &device.addresses)
        .put("vendor", device.vendor.clone())
        .put("comment", device.comment.clone())
}

pub(super) fn cloud(fields: &mut Fields<'_>, name: Name) -> Object {
    let (r#type, comment) = (text(fields, "type"), text(fields, "comment"));
    Cloud { name, r#type, comment }.into()
}

pub(super) fn show_cloud(cloud: &Cloud) -> Said {
    Said::default().put("type", cloud.r#type.clone()).put("comment", cloud.comment.clone())
}

pub(super) fn rack(fields: &mut Fields<'_>, name: Name) -> Object {
    let size = fields.number("size").value().copied();
    if size == Some(0) {
        fields.refuse("size", "a rack has at least one unit");
    }
    let order = one_of(fields, "order", ["ascending", "descending"]);
    let (room, site) = (text(fields, "room"), text(fields, "site"));
    let labels = label::of_document(fields);
    Rack { name, size, order, room, site, labels }.into()
}

pub(super) fn show_rack(rack: &Rack) -> Said {
    Said::default()
        .put("size", rack.size)
        .put("order", rack.order.clone())
        .put("room", rack.room.clone())
        .put("site", rack.site.clone())
        .put("labels", label::in_document(&rack.labels))
}

/// Where a device stands; its name in a document is `type/device`.
pub(super) fn placement(fields: &mut Fields<'_>, name: &Name) -> Object {
    let parts = name.as_str().split_once('/');
    let parts = parts
        .and_then(|(word, device)| Some((DeviceType::from_word(word)?, Name::host(device).ok()?)));
    let rack = fields.name("rack", Name::general).value().cloned();
    let position = fields.number("position").value().copied();
    let height = fields.number("height").value().copied();
    let orientation = one_of(fields, "orientation", ["front", "back"]);
    let Some((device_type, device)) = parts else {
        fields.refuse(
            "",
            "it must be called by the type and the name of a device, such as node/node001",
        );
        return Placement::nowhere(DeviceType::Node, name).into();
    };
    let nowhere = Placement::nowhere(device_type, &device);
    Placement {
        rack,
        position,
        height: height.unwrap_or(nowhere.height),
        orientation: orientation.unwrap_or_else(|| nowhere.orientation.clone()),
        ..nowhere
    }
    .into()
}

pub(super) fn show_placement(placement: &Placement) -> Said {
    let nowhere = Placement::nowhere(placement.device_type, &placement.device);
    Said::default()
        .text("rack", placement.rack.as_ref())
        .put("position", placement.position)
        .put("height", (placement.height != nowhere.height).then_some(placement.height))
        .put(
            "orientation",
            (placement.orientation != nowhere.orientation).then(|| placement.orientation.clone()),
        )
}

fn one_of(fields: &mut Fields<'_>, field: &str, words: [&str; 2]) -> Option<String> {
    let word = fields.converted(field, |text| {
        if words.contains(&text) {
            Ok(text.to_owned())
        } else {
            Err(format!("'{text}' must be '{}'", words.join("' or '")))
        }
    });
    word.value().cloned()
}

pub(super) fn reservation(fields: &mut Fields<'_>, name: Name) -> Object {
    Reservation {
        name,
        reason: text(fields, "reason").unwrap_or_default(),
        macaddresses: parsed_list(fields, "macaddresses"),
        addresses: parsed_list(fields, "addresses"),
    }
    .into()
}

fn parsed_list<T: FromStr<Err: Display>>(fields: &mut Fields<'_>, field: &str) -> Vec<T> {
    let mut list = Vec::new();
    for word in fields.list(field).value().into_iter().flatten() {
        match word.parse() {
            Ok(value) => list.push(value),
            Err(error) => fields.refuse(field, format!("'{word}': {error}")),
        }
    }
    list
}

pub(super) fn show_reservation(reservation: &Reservation) -> Said {
    Said::default()
        .put("reason", Some(reservation.reason.clone()))
        .list("macaddresses", &reservation.macaddresses)
        .list("addresses", &reservation.addresses)
}
