//! What is there, and requests that nothing is wrong with.

use serde_json::{Value, json};

use crate::image_site::{ImageSite, VERSION};

/// Makes again what requests removed.
pub(super) fn furnish(site: &ImageSite) {
    let save = |resource: &str, name: &str, fields: Value| {
        let body = json!({ "config": { resource: { name: fields } } });
        site.post(&format!("/config/{resource}/{name}"), &body);
    };
    let interface = |mac: &str, address: &str| json!([{ "interface": "BOOTIF", "network": "cluster", "macaddress": mac, "ipaddress": address }]);
    save("network", "cluster", json!({ "network": "10.141.0.0/16" }));
    save("network", "spare", json!({ "network": "10.99.0.0/16" }));
    for image in ["debian", "unused"] {
        save("osimage", image, json!({}));
    }
    for resource in ["bmcsetup", "switch", "otherdev", "cloud", "rack"] {
        save(resource, "thing", json!({}));
        save(resource, "unused", json!({}));
    }
    let of_group = json!([{ "interface": "BOOTIF", "network": "cluster" }]);
    save(
        "group",
        "compute",
        json!({ "osimage": "debian", "bmcsetupname": "thing", "interfaces": of_group }),
    );
    save("group", "unused", json!({}));
    save(
        "node",
        "node001",
        json!({ "group": "compute", "interfaces": interface("52:54:00:00:00:01", "10.141.0.1") }),
    );
    save(
        "node",
        "node002",
        json!({ "group": "compute", "interfaces": interface("52:54:00:00:00:02", "10.99.0.2") }),
    );
    save("user", "ann", json!({ "password": "long enough", "role": "viewer" }));
    site.post(
        "/config/osimage/debian/tag",
        &json!({ "config": { "osimage": { "debian": { "tag": "stable" } } } }),
    );
    let hosts = json!([{ "host": "thing", "ipaddress": "10.99.0.9" }]);
    site.post("/config/dns/spare", &json!({ "config": { "dns": { "spare": hosts } } }));
    for (owner, name) in [("node", "node001"), ("group", "compute")] {
        let secret = json!([{ "name": "key", "content": "c2VjcmV0" }]);
        let body = json!({ "config": { "secrets": { owner: { name: secret } } } });
        site.post(&format!("/config/secrets/{owner}/{name}"), &body);
    }
    let secret = json!([{ "name": "key", "content": "c2VjcmV0", "owner": "0:0", "mode": "640" }]);
    site.post(
        "/config/secrets/cluster",
        &json!({ "config": { "secrets": { "cluster": secret } } }),
    );
    let inventory = json!([{ "name": "node001", "type": "node", "height": "2" }]);
    site.post(
        "/config/rack/inventory",
        &json!({ "config": { "rack": { "inventory": inventory } } }),
    );
    let report = json!({ "monitor": { "status": { "node001": { "state": "installing" } } } });
    site.post("/monitor/node/node001", &report);
}

/// Names that are there, in the place of a parameter.
pub(super) fn names(parameter: &str, before: &str) -> Vec<&'static str> {
    match (parameter, before) {
        ("{ipaddress}", _) => vec!["10.99.0.1", "10.99.0.2", "fd00::1"],
        ("{macaddress}", _) => vec!["52:54:00:00:00:01", "52:54:00:00:00:77"],
        ("{secret}", _) => vec!["key"],
        ("{interface}", _) => vec!["BOOTIF"],
        ("{type}", _) => vec!["node", "switch"],
        ("{host}", _) => vec!["thing"],
        ("{subset}", _) => vec!["configured", "unconfigured"],
        ("{subsystem}", _) => vec!["power", "sel", "chassis"],
        ("{_action}", _) => vec!["_status", "_on", "_list"],
        ("{action}", _) => vec!["status", "reload", "stop"],
        ("{tag}", _) => vec!["stable"],
        ("{role}" | "{script}", _) => vec!["default"],
        ("{node}" | "{hostname}", _) | (_, "node" | "inventory") => vec!["node001", "node002"],
        ("{groupname}", _) | (_, "group") => vec!["compute", "compute", "unused"],
        (_, "osimage" | "osimagetag") => vec!["debian", "debian", "unused"],
        (_, "network" | "dns") => vec!["spare", "cluster"],
        (_, "user") => vec!["ann"],
        (_, "service") => vec!["luna2", "dhcp"],
        _ => vec!["thing", "unused"],
    }
}

/// The fields of a resource as a request may give them, with a new name of this number.
pub(super) fn fields(resource: &str, number: usize) -> Value {
    let new = format!("copy{number}");
    let provisioning = json!({
        "osimage": "debian", "setupbmc": "no", "netboot": true, "bootmenu": "yes", "roles": "default", "scripts": "",
        "provision_interface": "BOOTIF", "provision_method": "http", "provision_fallback": "http", "kerneloptions": "quiet",
        "ipxe_kernel": "default", "unmanaged_bmc_users": "skip", "prescript": "YQ==", "partscript": "", "postscript": "YQ==",
        "disklayout": null, "comment": "YQ==", "boot_order": "disk", "memory_limit": "8G", "script_timeout": "90m", "hosts": "group",
        "timezone": "Europe/Rome", "locale": "C.UTF-8",
    });
    let with = |more: Value| {
        let mut all = provisioning.clone();
        all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        all
    };
    match resource {
        "node" => with(json!({
            "newnodename": new, "group": "compute", "service": "no", "switch": "thing", "switchport": "7", "cloud": "thing", "vendor": "v",
            "assettag": "a", "status": "s", "tpm_uuid": "u", "tpm_pubkey": "k", "tpm_sha256": "h", "bmcsetup": "thing",
            "interfaces": [{ "interface": "BOOTIF", "network": "cluster", "ipaddress": "10.141.0.77", "macaddress": "52:54:00:00:00:0a",
                "mtu": "9000", "vlanid": "", "bond_mode": "", "bond_slaves": "", "options": "", "dhcp": "no", "force": false }],
        })),
        "group" => with(json!({
            "newgroupname": new, "domain": "example.org", "bmcsetupname": "thing",
            "interfaces": [{ "interface": "BOOTIF", "network": "spare", "mtu": 1500, "vlanid": null, "options": "", "dhcp": true }],
        })),
        "osimage" => json!({
            "newosimage": new, "kernelversion": VERSION, "kernelmodules": "", "kerneloptions": "quiet", "grab_filesystems": "/",
            "grab_exclude": "/proc/*", "distribution": "debian", "osrelease": "12", "comment": "YQ==", "tag": "stable",
        }),
        "network" => json!({
            "newnetname": new, "network": "10.98.0.0/16", "gateway": "10.98.0.1", "gateway_metric": "101", "nameserver_ip": "10.98.0.2",
            "ntp_server": "10.98.0.3", "dhcp": "yes", "dhcp_range_begin": "10.98.1.0", "dhcp_range_end": "10.98.1.255",
            "dhcp_nodes_in_pool": "no", "zone": "internal", "type": "ethernet", "comment": "YQ==", "shared": "", "non_authoritative": "no",
        }),
        "bmcsetup" => json!({
            "newbmcname": new, "userid": "2", "username": "u", "password": "p", "netchannel": "1", "mgmtchannel": "1", "comment": "YQ==",
            "system": "System_0",
        }),
        "switch" => json!({
            "newswitchname": new, "network": "spare", "ipaddress": "10.99.0.20", "macaddress": "52:54:00:00:01:00", "oid": ".1.3.6",
            "read": "public", "rw": "private", "uplinkports": "1,2", "vendor": "v", "comment": "YQ==",
        }),
        "otherdev" => json!({
            "newotherdevname": new, "network": "spare", "ipaddress": "10.99.0.30", "macaddress": "52:54:00:00:02:00", "vendor": "v",
            "comment": "YQ==",
        }),
        "cloud" => json!({ "newcloudname": new, "type": "aws", "comment": "YQ==" }),
        "rack" => json!({
            "newrackname": new, "size": "42", "order": "ascending", "room": "r", "site": "s",
            "devices": [{ "name": "node001", "type": "node", "orientation": "front", "height": "1", "position": "3" }],
        }),
        "user" => {
            json!({ "newusername": new, "role": "viewer", "password": "long enough", "comment": "YQ==" })
        }
        _ => json!({}),
    }
}

/// A request that renames nothing.
pub(super) fn remove_new_name(fields: &mut Value) {
    if let Value::Object(fields) = fields {
        fields.retain(|field, _| !field.starts_with("new"));
    }
}

/// Bodies that are not the fields of one resource.
pub(super) fn body(template: &str, name: &str) -> Option<Value> {
    let config =
        |resource: &str, fields: Value| json!({ "config": { resource: { name: fields } } });
    let secret = |owner: &str| {
        let clone = json!({ "name": "key", "newsecretname": "copy" });
        let plain = json!({ "name": "key", "content": "YQ==", "path": "/etc/key" });
        let fields = if template.ends_with("_clone") { clone } else { plain };
        let list = if owner == "cluster" { json!([fields]) } else { json!({ name: [fields] }) };
        json!({ "config": { "secrets": { owner: list } } })
    };
    let resource = template.split('/').nth(2).unwrap_or_default();
    Some(match template {
        "/token" => json!({ "username": "ann", "password": "long enough" }),
        "/boot/ticket/{node}" => {
            json!({ "ticket": "a.b.c", "key": "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=" })
        }
        "/boot/claim/{macaddress}/_accept" => json!({ "replace": true }),
        "/boot/log/{node}" => json!({ "text": "== Network" }),
        "/config/identity/_renew" => json!({ "nodes": "node001" }),
        "/boot/reinstall" => json!({ "nodes": "node001", "cancel": true }),
        "/bulk" => json!({ "edits": [
            { "path": "/config/node/node001", "body": { "config": { "node": { "node001": { "vendor": "Acme" } } } }, "expect": "known" },
            { "path": "/config/group/unused", "body": { "config": { "group": { "unused": { "comment": "YQ==" } } } } },
        ] }),
        "/select/node" => json!({ "selector": "node00*&@compute" }),
        "/boot/window" => json!({ "nodes": "node001", "seconds": 60 }),
        "/boot/progress/{node}" => {
            json!({ "phase": "unpack", "bytes_done": 1, "bytes_total": 2, "message": "text" })
        }
        "/config/cluster" => {
            json!({ "config": { "cluster": { "technical_contacts": "root", "debug": "yes", "ntp_server": "10.141.0.9",
                "nameserver_ip": "10.141.0.9", "domain_search": "a.org,b.org", "createnode_ondemand": false } } })
        }
        "/config/dns/{network}" => {
            config("dns", json!([{ "host": "thing", "ipaddress": "10.99.0.9" }]))
        }
        "/config/rack/inventory" => {
            json!({ "config": { "rack": { "inventory": [{ "name": "node001", "type": "node", "height": "2", "orientation": "back" }] } } })
        }
        "/config/osimage/{name}/kernel" => {
            config("osimage", json!({ "kernelversion": VERSION, "bare": true }))
        }
        "/config/osimage/{name}/tag" => config("osimage", json!({ "tag": "stable" })),
        "/config/osimage/{name}/_clone" => {
            config("osimage", json!({ "newosimage": "copy", "nocopy": true }))
        }
        "/config/user/{name}/_password" => {
            config("user", json!({ "password": "long enough", "present": "long enough" }))
        }
        "/control/action/{subsystem}/{_action}" => {
            json!({ "control": { "power": { "status": { "hostlist": "node[001-002]" } } } })
        }
        "/control/check" => json!({ "control": { "check": { "hostlist": "node001" } } }),
        "/control/forget" => json!({ "control": { "forget": { "hostlist": "node001" } } }),
        "/monitor/node/{node}" | "/monitor/status/{node}" => {
            json!({ "monitor": { "status": { name: { "state": "installing", "status": "200" } } } })
        }
        "/monitor/status" => {
            json!({ "monitor": { "status": { "request_id": "1", "messages": [{ "message": "x" }] } } })
        }
        template if template.ends_with("/interfaces") => {
            let of_node = json!([{ "interface": "BOOTIF", "network": "cluster", "mtu": "9000" }, { "interface": "eth1", "network": "spare" }]);
            config(resource, json!({ "interfaces": of_node }))
        }
        template if template.contains("/secrets/node/") => secret("node"),
        template if template.contains("/secrets/group/") => secret("group"),
        template if template.contains("/secrets/cluster") => secret("cluster"),
        template if !template.starts_with("/config/") => json!({}),
        _ => return None,
    })
}
