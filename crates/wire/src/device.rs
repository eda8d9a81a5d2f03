//! Switches, other devices and clouds, as clients read and ask for them.

use std::net::{Ipv4Addr, Ipv6Addr};

use perilune_model::device::{
    Cloud, OtherDevice, PlaceRequest, Switch, SwitchInterface, Ztp, cloud, other, switch,
    switch_interface, ztp,
};
use perilune_model::{Addresses, MacAddress, Name, Patch};
use serde::Serialize;
use utoipa::ToSchema;

use crate::fields::Fields;
use crate::hidden::View;

/// Where a device is; absent while it has no address.
#[derive(Debug, Serialize, ToSchema)]
struct PlaceKeys<'a> {
    #[schema(value_type = Option<String>)]
    ipaddress: Option<Ipv4Addr>,
    #[schema(value_type = Option<String>)]
    ipaddress_ipv6: Option<Ipv6Addr>,
    network: Option<&'a str>,
}

impl<'a> PlaceKeys<'a> {
    fn new(network: Option<&'a Name>, addresses: &Addresses) -> Option<Self> {
        (!addresses.is_empty()).then(|| Self {
            ipaddress: addresses.ipv4,
            ipaddress_ipv6: addresses.ipv6,
            network: network.map(Name::as_str),
        })
    }
}

/// A switch.
#[derive(Serialize, ToSchema)]
pub struct SwitchKeys<'a> {
    name: &'a str,
    macaddress: Option<&'a str>,
    oid: Option<&'a str>,
    read: Option<&'a str>,
    rw: Option<&'a str>,
    uplinkports: Option<&'a str>,
    vendor: Option<&'a str>,
    comment: Option<&'a str>,
    #[serde(flatten)]
    #[schema(value_type = ZtpKeys)]
    ztp: ZtpKeys<'a>,
    /// The interface that it is managed by; absent without one.
    #[serde(skip_serializing_if = "Option::is_none")]
    mgmt_interface: Option<&'a str>,
    #[serde(flatten)]
    #[schema(value_type = PlaceKeys)]
    place: Option<PlaceKeys<'a>>,
}

/// What a switch is told when it begins to boot.
#[derive(Serialize, ToSchema)]
struct ZtpKeys<'a> {
    netboot: Option<bool>,
    default_url: Option<&'a str>,
    bootfile: Option<&'a str>,
    /// Base64 by convention; hidden from who sees no secrets.
    ztpconfig: Option<&'a str>,
    ztpformat: Option<&'static str>,
    ostype: Option<&'static str>,
    url_protocol: Option<&'static str>,
    url_server: Option<&'a str>,
    tftp_enable: Option<&'a str>,
}

impl<'a> ZtpKeys<'a> {
    fn new(ztp: &'a Ztp, view: View) -> Self {
        Self {
            netboot: ztp.netboot,
            default_url: ztp.default_url.as_deref(),
            bootfile: ztp.bootfile.as_deref(),
            ztpconfig: view.optional(ztp.ztpconfig.as_deref()),
            ztpformat: ztp.ztpformat.map(ztp::Format::word),
            ostype: ztp.ostype.map(ztp::System::word),
            url_protocol: ztp.url_protocol.map(ztp::Protocol::word),
            url_server: ztp.url_server.as_deref(),
            tftp_enable: ztp.tftp_enable.as_deref(),
        }
    }
}

/// A port of a switch with addresses of its own.
#[derive(Serialize, ToSchema)]
pub struct SwitchInterfaceKeys<'a> {
    interface: &'a str,
    mgmt: bool,
    #[schema(value_type = Option<String>)]
    ipaddress: Option<Ipv4Addr>,
    #[schema(value_type = Option<String>)]
    ipaddress_ipv6: Option<Ipv6Addr>,
    macaddress: Option<&'a str>,
    network: Option<&'a str>,
}

impl<'a> SwitchInterfaceKeys<'a> {
    /// The interface.
    pub fn new(interface: &'a SwitchInterface) -> Self {
        Self {
            interface: interface.name.as_str(),
            mgmt: interface.mgmt,
            ipaddress: interface.addresses.ipv4,
            ipaddress_ipv6: interface.addresses.ipv6,
            macaddress: interface.macaddress.as_deref(),
            network: interface.network.as_ref().map(Name::as_str),
        }
    }
}

impl<'a> SwitchKeys<'a> {
    /// The switch.
    pub fn new(switch: &'a Switch, view: View) -> Self {
        Self {
            name: switch.name.as_str(),
            macaddress: switch.macaddress.as_deref(),
            oid: switch.oid.as_deref(),
            read: view.optional(switch.read.as_deref()),
            rw: view.optional(switch.rw.as_deref()),
            uplinkports: switch.uplinkports.as_deref(),
            vendor: switch.vendor.as_deref(),
            comment: switch.comment.as_deref(),
            ztp: ZtpKeys::new(&switch.ztp, view),
            mgmt_interface: switch.management().map(|own| own.name.as_str()),
            place: PlaceKeys::new(switch.network.as_ref(), &switch.addresses),
        }
    }
}

/// A device that has an address and is not provisioned.
#[derive(Debug, Serialize, ToSchema)]
pub struct OtherDeviceKeys<'a> {
    name: &'a str,
    macaddress: Option<&'a str>,
    vendor: Option<&'a str>,
    comment: Option<&'a str>,
    #[serde(flatten)]
    #[schema(value_type = PlaceKeys)]
    place: Option<PlaceKeys<'a>>,
}

impl<'a> OtherDeviceKeys<'a> {
    /// The device.
    pub fn new(device: &'a OtherDevice) -> Self {
        Self {
            name: device.name.as_str(),
            macaddress: device.macaddress.as_deref(),
            vendor: device.vendor.as_deref(),
            comment: device.comment.as_deref(),
            place: PlaceKeys::new(device.network.as_ref(), &device.addresses),
        }
    }
}

/// A cloud that nodes live in.
#[derive(Debug, Serialize, ToSchema)]
pub struct CloudKeys<'a> {
    name: &'a str,
    r#type: Option<&'a str>,
    comment: Option<&'a str>,
}

impl<'a> CloudKeys<'a> {
    /// The cloud.
    pub fn new(cloud: &'a Cloud) -> Self {
        Self {
            name: cloud.name.as_str(),
            r#type: cloud.r#type.as_deref(),
            comment: cloud.comment.as_deref(),
        }
    }
}

/// The request of a switch.
pub fn switch_request(fields: &mut Fields<'_>) -> switch::Request {
    // What answers say of interfaces, which have a route of their own.
    fields.ignore(&["name", "mgmt_interface", "interfaces"]);
    switch::Request {
        new_name: fields.new_name("newswitchname", Name::host),
        macaddress: hardware_address(fields),
        place: place(fields),
        oid: fields.text("oid"),
        read: fields.secret("read"),
        rw: fields.secret("rw"),
        uplinkports: fields.text("uplinkports"),
        vendor: fields.text("vendor"),
        comment: fields.text("comment"),
        ztp: ztp_request(fields),
    }
}

/// What a request says of what a switch is told when it begins to boot.
pub(crate) fn ztp_request(fields: &mut Fields<'_>) -> ztp::Request {
    ztp::Request {
        netboot: fields.boolean("netboot"),
        default_url: fields.text("default_url"),
        bootfile: fields.text("bootfile"),
        ztpconfig: fields.secret("ztpconfig"),
        ztpformat: one_of(fields, "ztpformat", ztp::Format::ALL, ztp::Format::word),
        ostype: one_of(fields, "ostype", ztp::System::ALL, ztp::System::word),
        url_protocol: one_of(fields, "url_protocol", ztp::Protocol::ALL, ztp::Protocol::word),
        url_server: fields.text("url_server"),
        tftp_enable: fields.text("tftp_enable").map(|word| word.to_ascii_lowercase()),
    }
}

/// One of some words, in any case.
fn one_of<T: Copy>(
    fields: &mut Fields<'_>,
    field: &str,
    all: &[T],
    word: fn(T) -> &'static str,
) -> Patch<T> {
    fields.converted(field, |text| {
        let found = all.iter().find(|one| word(**one).eq_ignore_ascii_case(text));
        let words: Vec<&str> = all.iter().map(|one| word(*one)).collect();
        found.copied().ok_or_else(|| format!("it must be one of {}, or empty", words.join(", ")))
    })
}

/// The request of an interface of a switch.
pub fn switch_interface_request(fields: &mut Fields<'_>) -> switch_interface::Request {
    fields.ignore(&["name", "ipaddress_ipv6"]);
    if !fields.has("interface") {
        fields.refuse("interface", "say which interface this is about, such as swp1");
    }
    let ipaddress = fields.address("ipaddress");
    if ipaddress == Patch::Clear && !fields.has("ipaddress_ipv6") {
        fields.refuse("ipaddress", "it is empty; give an address, or remove the interface");
    }
    switch_interface::Request {
        interface: fields.new_name("interface", Name::interface).unwrap_or_default(),
        new_name: fields.new_name("newinterfacename", Name::interface),
        network: fields.name("network", Name::domain).value().cloned(),
        ipaddress: ipaddress.value().copied(),
        macaddress: hardware_address(fields),
        mgmt: fields.boolean("mgmt"),
    }
}

/// The request of another device.
pub fn other_request(fields: &mut Fields<'_>) -> other::Request {
    fields.ignore(&["name"]);
    other::Request {
        new_name: fields.new_name("newotherdevname", Name::host),
        macaddress: hardware_address(fields),
        place: place(fields),
        vendor: fields.text("vendor"),
        comment: fields.text("comment"),
    }
}

/// The request of a cloud.
pub fn cloud_request(fields: &mut Fields<'_>) -> cloud::Request {
    fields.ignore(&["name"]);
    cloud::Request {
        new_name: fields.new_name("newcloudname", Name::general),
        r#type: fields.text("type"),
        comment: fields.text("comment"),
    }
}

/// Clients are shown the letters as they were sent, with colons between the pairs.
fn hardware_address(fields: &mut Fields<'_>) -> Patch<String> {
    fields.converted("macaddress", |text| match text.parse::<MacAddress>() {
        Ok(_) => Ok(text.replace('-', ":")),
        Err(error) => Err(error.to_string()),
    })
}

fn place(fields: &mut Fields<'_>) -> PlaceRequest {
    let ipaddress = fields.address("ipaddress");
    // Whoever sends an answer back sends both; the one that is not said stays.
    let ipv6 = fields.address("ipaddress_ipv6");
    let ipaddress =
        if ipaddress.is_given() && (ipaddress.value().is_some() || ipv6.value().is_none()) {
            ipaddress
        } else {
            ipv6
        };
    if ipaddress == Patch::Clear && fields.has("ipaddress") && !fields.has("ipaddress_ipv6") {
        let reason = "it is empty; give an address, or remove the device and make it again";
        fields.refuse("ipaddress", reason);
    }
    PlaceRequest {
        ipaddress: ipaddress.value().copied(),
        network: fields.name("network", Name::domain).value().cloned(),
        nonetwork: fields.flag("nonetwork"),
    }
}
