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
use crate::requests::comment;

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
        place: place(fields),
        macaddress: hardware_address(fields),
        oid: fields.help("SNMP object that lists MAC addresses by port").text("oid"),
        read: fields.help("SNMP community for reading (public)").secret("read"),
        rw: fields.help("SNMP community for writing (trusted)").secret("rw"),
        uplinkports: fields
            .help("Ports that lead to other switches, separated by commas")
            .text("uplinkports"),
        ztp: ztp_request(fields),
        vendor: fields.help("Who made it").text("vendor"),
        comment: comment(fields),
    }
}

/// What a request says of what a switch is told when it begins to boot.
pub(crate) fn ztp_request(fields: &mut Fields<'_>) -> ztp::Request {
    ztp::Request {
        netboot: fields
            .help("Tell it by DHCP what it sets itself up with (docs/switches.md)")
            .boolean("netboot"),
        default_url: fields
            .help("The image of its system: a path at the controller, such as files/nvos.bin")
            .text("default_url"),
        bootfile: fields
            .help("The file that it begins with, instead of its recipe")
            .text("bootfile"),
        ztpconfig: fields
            .help("Its configuration; given to the switch's own address alone")
            .encoded()
            .secret("ztpconfig"),
        ztpformat: fields.help("What that is: commands or yaml").one_of(
            "ztpformat",
            ztp::Format::ALL,
            ztp::Format::word,
        ),
        ostype: fields.help("What runs on it: nvos, cumulus, generic").one_of(
            "ostype",
            ztp::System::ALL,
            ztp::System::word,
        ),
        url_protocol: fields.help("It fetches by: secure (https), plain (http)").one_of(
            "url_protocol",
            ztp::Protocol::ALL,
            ztp::Protocol::word,
        ),
        url_server: fields
            .help("It fetches from this host instead of the controller")
            .text("url_server"),
        tftp_enable: fields
            .help("Name it a TFTP server: yes or no")
            .text("tftp_enable")
            .map(|word| word.to_ascii_lowercase()),
    }
}

/// Interfaces of a switch, in a request that is about nothing else.
pub fn switch_interfaces(fields: &mut Fields<'_>) -> Vec<switch_interface::Request> {
    crate::requests::interfaces(fields, switch_interface_request)
}

/// The request of an interface of a switch.
pub fn switch_interface_request(fields: &mut Fields<'_>) -> switch_interface::Request {
    fields.ignore(&["name", "ipaddress_ipv6"]);
    fields.require("interface", "say which interface this is about, such as swp1");
    let ipaddress = fields.help("Its address").or("ip").address("ipaddress");
    if ipaddress == Patch::Clear && !fields.has("ipaddress_ipv6") {
        fields.refuse("ipaddress", "it is empty; give an address, or remove the interface");
    }
    switch_interface::Request {
        interface: fields.new_name("interface", Name::interface).unwrap_or_default(),
        new_name: fields.new_name("newinterfacename", Name::interface),
        network: fields
            .help("The network it is in; an address is chosen if none is given")
            .of("network")
            .name("network", Name::domain)
            .value()
            .cloned(),
        ipaddress: ipaddress.value().copied(),
        macaddress: hardware_address(fields.or("mac")),
        mgmt: fields.help("The switch is managed by it, and has its name there").boolean("mgmt"),
    }
}

/// The request of another device.
pub fn other_request(fields: &mut Fields<'_>) -> other::Request {
    fields.ignore(&["name"]);
    other::Request {
        new_name: fields.new_name("newotherdevname", Name::host),
        place: place(fields),
        macaddress: hardware_address(fields),
        vendor: fields.help("Who made it").text("vendor"),
        comment: comment(fields),
    }
}

/// The request of a cloud.
pub fn cloud_request(fields: &mut Fields<'_>) -> cloud::Request {
    fields.ignore(&["name"]);
    cloud::Request {
        new_name: fields.new_name("newcloudname", Name::general),
        r#type: fields.help("Whose it is: aws, azure, …").text("type"),
        comment: comment(fields),
    }
}

/// Clients are shown the letters as they were sent, with colons between the pairs.
fn hardware_address(fields: &mut Fields<'_>) -> Patch<String> {
    fields.help("Its MAC address").converted("macaddress", |text| {
        match text.parse::<MacAddress>() {
            Ok(_) => Ok(text.replace('-', ":")),
            Err(error) => Err(error.to_string()),
        }
    })
}

fn place(fields: &mut Fields<'_>) -> PlaceRequest {
    let network = fields.help("The network it is in").of("network").name("network", Name::domain);
    let ipaddress = fields.help("Its address; the first free one without").address("ipaddress");
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
        network: network.value().cloned(),
        nonetwork: fields.help("The address is outside of all networks").flag("nonetwork"),
    }
}
