//! Images, BMC setups, groups and nodes in documents.

use perilune_model::bmc_setup::{BmcSetup, Certificate, Driver, check_credentials};
use perilune_model::group::Group;
use perilune_model::image::{self, Image};
use perilune_model::interface::{
    GroupInterface, Interface, Link, circular, impossible, oversized_vlan,
};
use perilune_model::node::{Node, Reported, TEXTS};
use perilune_model::plugins::Installed;
use perilune_model::provisioning::{Provisioning, SETTINGS, SettingValue, UnmanagedUsers};
use perilune_model::{Error, Name, Object, Text, Violation};
use serde_json::Value;

use super::devices::{addresses, show_addresses};
use super::site::unique;
use super::{Said, stored, text};
use crate::fields::Fields;
use crate::{label, node, osimage, provisioning, requests, route};

/// The files and tags of an image are what packing made, and stay.
pub(super) fn image(fields: &mut Fields<'_>, name: Name, own: Option<&Object>) -> Object {
    let own = match own {
        Some(Object::Image(own)) => Image::clone(own),
        _ => Image::default(),
    };
    let mut image = Image {
        name,
        labels: label::of_document(fields),
        files: own.files,
        tag: own.tag,
        tags: own.tags,
        ..Image::default()
    };
    osimage::described(fields).write(&mut image);
    image.into()
}

pub(super) fn show_image(image: &Image) -> Said {
    said_texts(Said::default(), image::TEXTS, image)
        .put("labels", label::in_document(&image.labels))
}

/// A password that is not given stays as it is.
pub(super) fn bmc_setup(fields: &mut Fields<'_>, name: Name, own: Option<&Object>) -> Object {
    let usual = BmcSetup::default();
    let own = match own {
        Some(Object::BmcSetup(own)) => Some(own.as_ref()),
        _ => None,
    };
    let request = crate::bmc_setup::request(fields);
    let stored = own.map(|own| own.password.clone()).unwrap_or_default();
    let setup = BmcSetup {
        name,
        userid: request.userid.value().copied().unwrap_or(usual.userid),
        username: request.username.value().cloned().unwrap_or(usual.username),
        password: request.password.value().cloned().unwrap_or(stored),
        netchannel: request.netchannel.value().copied().unwrap_or(usual.netchannel),
        mgmtchannel: request.mgmtchannel.value().copied().unwrap_or(usual.mgmtchannel),
        unmanaged_bmc_users: request.unmanaged_bmc_users.value().copied(),
        driver: request.driver.value().copied(),
        port: request.port.value().copied(),
        certificate: request.certificate.value().copied(),
        system: request.system.value().cloned(),
        comment: request.comment.value().cloned(),
    };
    if let Err(Error::Invalid(violations)) = check_credentials(&setup, own) {
        for Violation { field, reason } in violations {
            fields.refuse(&field, reason);
        }
    }
    setup.into()
}

pub(super) fn show_bmc_setup(setup: &BmcSetup, with_password: bool) -> Said {
    Said::default()
        .put("userid", Some(setup.userid))
        .put("username", Some(setup.username.clone()))
        .put("password", with_password.then(|| setup.password.clone()))
        .put("netchannel", Some(setup.netchannel))
        .put("mgmtchannel", Some(setup.mgmtchannel))
        .put("unmanaged_bmc_users", setup.unmanaged_bmc_users.map(UnmanagedUsers::word))
        .put("driver", setup.driver.map(Driver::word))
        .put("port", setup.port)
        .put("certificate", setup.certificate.map(Certificate::word))
        .put("system", setup.system.clone())
        .put("comment", setup.comment.clone())
}

pub(super) fn group(fields: &mut Fields<'_>, name: Name, installed: &Installed) -> Object {
    let request = provisioning::request(fields, "bmcsetup", installed);
    let provisioning = stored_scripts(request.alone());
    let interfaces = fields.objects("interfaces", |fields| {
        let name = interface_name(fields);
        fields.require("network", "an interface of a group must be in a network");
        let network = fields.new_name("network", Name::domain).unwrap_or_default();
        let dhcp = fields.boolean("dhcp").value().copied();
        let numbering = requests::numbering(fields).value().cloned().unwrap_or_default();
        GroupInterface { name, network, dhcp, numbering, link: link(fields) }
    });
    let interfaces = interfaces.unwrap_or_default();
    unique(fields, interfaces.iter().map(|interface| &interface.name));
    check_vlans(fields, interfaces.iter().map(|interface| (&interface.name, &interface.link)));
    if let Some((place, reason)) = impossible(&interfaces) {
        fields.refuse(&format!("interfaces[{place}].addressing"), reason);
    }
    let (domain, comment) = (text(fields, "domain"), text(fields, "comment"));
    let labels = label::of_document(fields);
    let parent = fields.name("parent", Name::general).value().cloned();
    Group { name, parent, provisioning, domain, comment, labels, interfaces }.into()
}

pub(super) fn show_group(group: &Group) -> Said {
    let interface = |interface: &GroupInterface| {
        let said = Said::default()
            .text("interface", Some(&interface.name))
            .text("network", Some(&interface.network))
            .put("dhcp", interface.dhcp)
            .put("addressing", addressing(interface));
        Value::Object(show_link(said, &interface.link).0)
    };
    let said = Said::default().text("parent", group.parent.as_ref());
    show_provisioning(said, &group.provisioning)
        .put("domain", group.domain.clone())
        .put("comment", group.comment.clone())
        .put("labels", label::in_document(&group.labels))
        .put("interfaces", interfaces(&group.interfaces, interface))
}

/// The state of a node is what it reported, and stays.
pub(super) fn node(
    fields: &mut Fields<'_>,
    name: Name,
    own: Option<&Object>,
    installed: &Installed,
) -> Object {
    fields.require("group", "a node needs a group; give one");
    let (status, reported, former) = match own {
        Some(Object::Node(own)) => (own.status.clone(), own.reported.clone(), own.former.clone()),
        _ => (None, Reported::default(), Vec::new()),
    };
    let interfaces = fields.objects("interfaces", |fields| Interface {
        name: interface_name(fields),
        macaddress: requests::hardware_address(fields).value().copied(),
        network: fields.name("network", Name::domain).value().cloned(),
        addresses: addresses(fields),
        dhcp: fields.flag("dhcp"),
        link: link(fields),
    });
    let interfaces = interfaces.unwrap_or_default();
    unique(fields, interfaces.iter().map(|interface| &interface.name));
    check_vlans(fields, interfaces.iter().map(|interface| (&interface.name, &interface.link)));
    let request = node::described(fields, installed);
    let mut node = Node {
        name,
        group: fields.new_name("group", Name::general).unwrap_or_default(),
        provisioning: stored_scripts(request.provisioning.alone()).into(),
        labels: label::of_document(fields),
        reported,
        interfaces,
        former,
        ..Node::default()
    };
    request.write(&mut node);
    Node { status, ..node }.into()
}

pub(super) fn show_node(node: &Node) -> Said {
    let interface = |interface: &Interface| {
        let said = Said::default()
            .text("interface", Some(&interface.name))
            .text("macaddress", interface.macaddress)
            .text("network", interface.network.as_ref());
        let said = show_addresses(said, &interface.addresses).flag("dhcp", interface.dhcp, false);
        Value::Object(show_link(said, &interface.link).0)
    };
    let said = Said::default().text("group", Some(&node.group));
    let said = show_provisioning(said, &node.provisioning)
        .flag("service", node.service, false)
        .text("switch", node.switch.as_ref())
        .put("switchport", node.switchport.clone())
        .text("cloud", node.cloud.as_ref())
        .put("labels", label::in_document(&node.labels));
    said_texts(said, TEXTS, node)
        // Without the field a node would get the interfaces of its group.
        .put("interfaces", Some(node.interfaces.iter().map(interface).collect::<Vec<Value>>()))
}

fn addressing(interface: &GroupInterface) -> Option<String> {
    (!interface.numbering.is_usual()).then(|| interface.numbering.to_string())
}

fn interfaces<T>(list: &[T], show: impl Fn(&T) -> Value) -> Option<Vec<Value>> {
    (!list.is_empty()).then(|| list.iter().map(show).collect())
}

fn interface_name(fields: &mut Fields<'_>) -> Name {
    fields.require("interface", "say which interface this is, such as BOOTIF");
    fields.new_name("interface", Name::interface).unwrap_or_default()
}

/// Documents have scripts as people write them.
fn stored_scripts(mut said: Provisioning) -> Provisioning {
    for script in said.scripts_mut() {
        *script = script.as_deref().map(stored);
    }
    said
}

fn show_provisioning(said: Said, own: &Provisioning) -> Said {
    let mut own = own.clone();
    for script in own.scripts_mut() {
        *script = script.as_deref().map(super::script);
    }
    let said = SETTINGS.iter().fold(said, |said, setting| {
        let value = (setting.of)(&own).map(|value| match value {
            SettingValue::Flag(flag) => Value::from(flag),
            text @ (SettingValue::Text(_) | SettingValue::Words(_)) => text.to_string().into(),
        });
        said.put(setting.name, value)
    });
    said.put("routes", route::in_document(&own.routes))
}

fn said_texts<O, R>(said: Said, texts: &[Text<O, R>], object: &O) -> Said {
    texts.iter().fold(said, |said, text| said.put(text.name, (text.of)(object)))
}

fn link(fields: &mut Fields<'_>) -> Link {
    let link = Link {
        mtu: fields.number("mtu").value().copied(),
        vlanid: fields.number("vlanid").value().copied(),
        vlan_parent: text(fields, "vlan_parent"),
        bond_mode: text(fields, "bond_mode"),
        bond_slaves: fields.list("bond_slaves").value().cloned().unwrap_or_default(),
        options: text(fields, "options"),
    };
    for violation in link.violations() {
        fields.refuse(&violation.field, violation.reason);
    }
    link
}

fn check_vlans<'a>(
    fields: &mut Fields<'_>,
    interfaces: impl Iterator<Item = (&'a Name, &'a Link)>,
) {
    let interfaces: Vec<_> = interfaces.collect();
    if let Some((place, reason)) = oversized_vlan(&interfaces) {
        fields.refuse(&format!("interfaces[{place}].mtu"), reason);
    }
    if let Some((place, field, reason)) = circular(&interfaces) {
        fields.refuse(&format!("interfaces[{place}].{field}"), reason);
    }
}

fn show_link(said: Said, link: &Link) -> Said {
    said.put("mtu", link.mtu)
        .put("vlanid", link.vlanid)
        .put("vlan_parent", link.vlan_parent.clone())
        .put("bond_mode", link.bond_mode.clone())
        .list("bond_slaves", &link.bond_slaves)
        .put("options", link.options.clone())
}
