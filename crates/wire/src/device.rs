//! Switches, other devices and clouds, as clients read and ask for them.

use std::net::{Ipv4Addr, Ipv6Addr};

use perilune_model::device::{Cloud, OtherDevice, PlaceRequest, Switch, cloud, other, switch};
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
    #[schema(value_type = PlaceKeys)]
    place: Option<PlaceKeys<'a>>,
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
    fields.ignore(&["name"]);
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
    if ipaddress == Patch::Clear {
        let reason = "it is empty; give an address, or remove the device and make it again";
        fields.refuse("ipaddress", reason);
    }
    PlaceRequest {
        ipaddress: ipaddress.value().copied(),
        network: fields.name("network", Name::domain).value().cloned(),
        nonetwork: fields.flag("nonetwork"),
    }
}
