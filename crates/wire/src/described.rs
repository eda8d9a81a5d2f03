//! What the document of the API shows of requests: each type stands for a reader, from which its fields come.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use perilune_model::Name;
use perilune_model::plugins::Installed;

use crate::definition::{Field, Kind, of};
use crate::described;
use crate::fields::Fields;
use crate::{
    api_token, bmc_setup, claim, cluster, device, dns, group, network, node, os_user, osimage,
    rack, requests, route, secret, user,
};

/// Whether a field of this name is base64 by convention, in whatever object it is.
pub fn is_encoded(field: &str) -> bool {
    static ENCODED: LazyLock<BTreeSet<String>> = LazyLock::new(|| {
        let resources = [of(new_node), of(new_group), of(osimage::kernel_request)];
        let mut encoded = BTreeSet::new();
        for fields in resources {
            add_encoded(fields, &mut encoded);
        }
        encoded
    });
    ENCODED.contains(field)
}

fn add_encoded(fields: Vec<Field>, encoded: &mut BTreeSet<String>) {
    for field in fields {
        match field.kind {
            Kind::Encoded => {
                encoded.insert(field.name);
            }
            Kind::Objects(fields) => add_encoded(fields, encoded),
            Kind::Text
            | Kind::Password
            | Kind::Flag
            | Kind::Number
            | Kind::Address
            | Kind::List
            | Kind::Words(_)
            | Kind::Labels => {}
        }
    }
}

/// Of several controllers each has a field of its own; the first is called so.
const CONTROLLER: &str = "controller";

fn copy<T>(
    new_name: &'static str,
    read: impl FnOnce(&mut Fields<'_>) -> T,
) -> impl FnOnce(&mut Fields<'_>) -> T {
    move |fields| {
        fields.require(new_name, "say what the copy is called");
        read(fields)
    }
}

fn new_node(fields: &mut Fields<'_>) -> perilune_model::node::Request {
    node::request(fields, &Name::default(), &Installed::default())
}

fn new_group(fields: &mut Fields<'_>) -> perilune_model::group::Request {
    group::request(fields, &Name::default(), &Installed::default())
}

fn network(fields: &mut Fields<'_>) -> perilune_model::network::Request {
    network::request(fields, &[CONTROLLER.to_owned()])
}

described! {
    /// A node.
    pub NodeRequest, new_node,
    { "group": "compute", "interfaces": [{ "interface": "BOOTIF", "macaddress": "52:54:00:12:34:56" }] }
}
described! {
    /// A copy of a node, and what is different.
    pub NodeCopy, copy("newnodename", new_node), { "newnodename": "node002" }
}
described! {
    /// Interfaces of a node.
    pub NodeInterfaces, requests::node_interfaces,
    { "interfaces": [{ "interface": "BMC", "network": "ipmi", "ipaddress": "10.148.0.1" }] }
}
described! {
    /// A group.
    pub GroupRequest, new_group, { "osimage": "debian12", "interfaces": [{ "interface": "BOOTIF", "network": "cluster" }] }
}
described! {
    /// A copy of a group, and what is different.
    pub GroupCopy, copy("newgroupname", new_group), { "newgroupname": "gpu", "osimage": "debian12-gpu" }
}
described! {
    /// Interfaces of a group.
    pub GroupInterfaces, requests::group_interfaces,
    { "interfaces": [{ "interface": "BMC", "network": "ipmi" }] }
}
described! {
    /// A network.
    pub NetworkRequest, network, { "network": "10.141.0.0/16", "dhcp": true, "dhcp_range_begin": "10.141.200.1", "dhcp_range_end": "10.141.200.254" }
}
described! {
    /// A copy of a network, and what is different.
    pub NetworkCopy, copy("newnetname", network), { "newnetname": "storage", "network": "10.142.0.0/16" }
}
described! {
    /// Settings of the cluster.
    pub ClusterRequest, |fields| cluster::request(fields, &[CONTROLLER.to_owned()], &Installed::default()),
    { "ntp_server": "10.141.255.254", "createnode_ondemand": false }
}
described! {
    /// An OS image.
    pub ImageRequest, |fields| osimage::request(fields, &Name::default()), { "path": "/srv/images/debian12", "kernelversion": "6.1.0-28-amd64" }
}
described! {
    /// A copy of an OS image, and what is different.
    pub ImageCopy, osimage::clone_request, { "newosimage": "debian12-test", "bare": true }
}
described! {
    /// The kernel of an OS image.
    pub ImageKernel, osimage::kernel_request, { "kernelversion": "6.1.0-28-amd64", "bare": false }
}
described! {
    /// The active tag of an OS image.
    pub ImageTag, osimage::tag_request, { "tag": "stable" }
}
described! {
    /// How BMCs are set up.
    pub BmcSetupRequest, bmc_setup::request, { "username": "luna", "userid": 2, "driver": "auto" }
}
described! {
    /// A copy of a BMC setup, and what is different.
    pub BmcSetupCopy, copy("newbmcname", bmc_setup::request), { "newbmcname": "gpu", "driver": "redfish" }
}
described! {
    /// A switch.
    pub SwitchRequest, device::switch_request, { "network": "cluster", "ipaddress": "10.141.200.1", "uplinkports": "49,50" }
}
described! {
    /// A copy of a switch, and what is different.
    pub SwitchCopy, copy("newswitchname", device::switch_request), { "newswitchname": "sw02" }
}
described! {
    /// Interfaces of a switch.
    pub SwitchInterfaces, device::switch_interfaces, { "interfaces": [{ "interface": "swp1", "ipaddress": "10.141.201.1", "network": "cluster" }] }
}
described! {
    /// Another device.
    pub OtherDeviceRequest, device::other_request, { "network": "cluster", "vendor": "Acme" }
}
described! {
    /// A copy of another device, and what is different.
    pub OtherDeviceCopy, copy("newotherdevname", device::other_request), { "newotherdevname": "pdu02" }
}
described! {
    /// A cloud.
    pub CloudRequest, device::cloud_request, { "type": "aws" }
}
described! {
    /// A copy of a cloud, and what is different.
    pub CloudCopy, copy("newcloudname", device::cloud_request), { "newcloudname": "aws2" }
}
described! {
    /// A rack.
    pub RackRequest, rack::request, { "size": 42, "room": "B12", "devices": [{ "name": "node001", "type": "node", "position": 1 }] }
}
described! {
    /// A device that stands in a rack.
    pub RackDevice, rack::inventory_request, { "name": "node001", "type": "node", "height": 2 }
}
described! {
    /// A route.
    pub RouteRequest, route::request, { "destination": "10.0.0.0/8", "gateway": "10.141.0.254" }
}
described! {
    /// A secret.
    pub SecretRequest, secret::request, { "name": "munge", "content": "c2VjcmV0", "path": "/etc/munge/munge.key", "owner": "munge:munge", "mode": "400" }
}
described! {
    /// A copy of a secret, and what is different.
    pub SecretCopy, secret::copy_request, { "name": "munge", "newsecretname": "munge2", "path": "/etc/munge/munge2.key" }
}
described! {
    /// A user of the API.
    pub UserRequest, user::request, { "password": "correct horse", "role": "operator" }
}
described! {
    /// Another password.
    pub PasswordRequest, user::password_request, { "present": "correct horse", "password": "battery staple" }
}
described! {
    /// A token of the API.
    pub TokenRequest, api_token::request, { "role": "viewer", "seconds": 86400, "comment": "monitoring" }
}
described! {
    /// A host that DNS knows.
    pub HostRequest, dns::host, { "host": "printer", "ipaddress": "10.141.0.250" }
}
described! {
    /// A rule by which machines become nodes.
    pub ClaimRuleRequest, |fields| claim::rule_request(fields, &Name::default(), 0), { "group": "compute", "count": 16, "seconds": 3600 }
}
described! {
    /// A user of the nodes.
    pub OsUserRequest, os_user::user, { "uidNumber": 2001, "homeDirectory": "/home/ann", "loginShell": "/bin/bash", "memberOf": ["staff"] }
}
described! {
    /// A group of users of the nodes.
    pub OsGroupRequest, os_user::group, { "gidNumber": 3001, "member": ["ann"] }
}

#[cfg(test)]
mod tests {
    use utoipa::PartialSchema;

    use super::*;

    fn check<T>(example: &serde_json::Value, read: impl FnOnce(&mut Fields<'_>) -> T) {
        let mut fields = Fields::new(example.as_object().unwrap());
        read(&mut fields);
        assert_eq!(fields.finish(), Ok(()), "{example}");
    }

    #[test]
    fn fields_are_encoded_in_whatever_object_they_are() {
        for (field, expected) in [
            ("comment", true),
            ("grab_exclude", true),
            ("options", true),
            ("osimage_filter", true),
            ("vendor", false),
            ("interfaces", false),
        ] {
            assert_eq!(is_encoded(field), expected, "{field}");
        }
    }

    #[test]
    fn readers_take_the_examples_that_the_document_shows() {
        check(&NodeRequest::example(), new_node);
        check(&NodeCopy::example(), copy("newnodename", new_node));
        check(&NodeInterfaces::example(), requests::node_interfaces);
        check(&GroupRequest::example(), new_group);
        check(&GroupCopy::example(), copy("newgroupname", new_group));
        check(&GroupInterfaces::example(), requests::group_interfaces);
        check(&NetworkRequest::example(), network);
        check(&NetworkCopy::example(), copy("newnetname", network));
        check(&ClusterRequest::example(), |fields| {
            cluster::request(fields, &[], &Installed::default())
        });
        check(&ImageRequest::example(), |fields| osimage::request(fields, &Name::default()));
        check(&ImageCopy::example(), osimage::clone_request);
        check(&ImageKernel::example(), osimage::kernel_request);
        check(&ImageTag::example(), osimage::tag_request);
        check(&BmcSetupRequest::example(), bmc_setup::request);
        check(&BmcSetupCopy::example(), bmc_setup::request);
        check(&SwitchRequest::example(), device::switch_request);
        check(&SwitchCopy::example(), device::switch_request);
        check(&SwitchInterfaces::example(), device::switch_interfaces);
        check(&OtherDeviceRequest::example(), device::other_request);
        check(&OtherDeviceCopy::example(), device::other_request);
        check(&CloudRequest::example(), device::cloud_request);
        check(&CloudCopy::example(), device::cloud_request);
        check(&RackRequest::example(), rack::request);
        check(&RackDevice::example(), rack::inventory_request);
        check(&RouteRequest::example(), route::request);
        check(&SecretRequest::example(), secret::request);
        check(&SecretCopy::example(), secret::copy_request);
        check(&UserRequest::example(), user::request);
        check(&PasswordRequest::example(), user::password_request);
        check(&TokenRequest::example(), api_token::request);
        check(&HostRequest::example(), dns::host);
        check(&ClaimRuleRequest::example(), |fields| {
            claim::rule_request(fields, &Name::default(), 0)
        });
        check(&OsUserRequest::example(), os_user::user);
        check(&OsGroupRequest::example(), os_user::group);
    }

    #[test]
    fn a_schema_has_what_the_reader_reads_and_needs() {
        let schema = serde_json::to_value(SecretCopy::schema()).unwrap();
        assert_eq!(schema["required"], serde_json::json!(["newsecretname", "name"]));
        assert_eq!(schema["additionalProperties"], false);
        assert_eq!(schema["properties"]["mode"]["description"], "Its mode, in octal digits (600)");
        assert_eq!(
            schema["properties"]["path"]["anyOf"][1]["enum"],
            serde_json::json!([false]),
            "some clients send it for what was not given"
        );
        let schema = serde_json::to_value(NodeRequest::schema()).unwrap();
        let netboot = &schema["properties"]["netboot"];
        let bounds = (&netboot["minimum"], &netboot["maximum"]);
        assert_eq!(bounds, (&serde_json::json!(0), &serde_json::json!(1)));
        assert!(netboot["pattern"].is_string(), "{netboot}");
        assert_eq!(schema.get("required"), None, "a change may say nothing of any field");
        let interface = &schema["properties"]["interfaces"]["items"];
        assert_eq!(interface["required"], serde_json::json!(["interface"]));
        assert_eq!(
            schema["properties"]["wipe"]["enum"],
            serde_json::json!(["no", "provisioned", "all", "", null])
        );
    }
}
