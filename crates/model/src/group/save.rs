//! Creating, changing and cloning groups.

use std::sync::Arc;

use crate::effective::Effective;
use crate::group::Group;
use crate::interface::{BMC_INTERFACE, BOOT_INTERFACE, GroupInterface, of_group};
use crate::object::GroupSecrets;
use crate::provisioning::{IpxeKernel, Provisioning};
use crate::{Draft, Error, Kind, Name, Patch, Saved, Violation, image, label, provisioning};

/// Mounts a RAM root; what a new group lays its nodes' disks out with. Base64 of one line of shell.
pub const DEFAULT_PARTSCRIPT: &str =
    "bW91bnQgLW8gbXBvbD1pbnRlcmxlYXZlIC10IHRtcGZzIHRtcGZzIC9zeXNyb290Cg==";
/// Writes the RAM root into the image's table of file systems. Base64 of one line of shell.
pub const DEFAULT_POSTSCRIPT: &str =
    "ZWNobyAndG1wZnMgLyB0bXBmcyBtcG9sPWludGVybGVhdmUgMCAwJyA+PiAvc3lzcm9vdC9ldGMvZnN0YWIK";

/// What a client asks of a group.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Request {
    /// The new name.
    pub new_name: Option<Name>,
    /// The group whose values it has where it says nothing itself.
    pub parent: Patch<Name>,
    /// What its nodes inherit.
    pub provisioning: provisioning::Request,
    /// DNS domain.
    pub domain: Patch<String>,
    /// Free text.
    pub comment: Patch<String>,
    /// Labels; those that are not named stay.
    pub labels: label::Request,
    /// Interfaces; those that are not named stay.
    pub interfaces: Vec<of_group::Request>,
}

/// Changes a group; makes it where there is none of this name.
pub fn save(draft: &mut Draft, name: &Name, request: &Request) -> Result<Saved, Error> {
    match (draft.groups().get(name).map(Arc::clone), &request.new_name) {
        (Some(group), None) => {
            update(draft, Group::clone(&group), request).map(|()| Saved::Updated)
        }
        (Some(group), Some(new_name)) => {
            let renamed = Group { name: new_name.clone(), ..Group::clone(&group) };
            draft.rename(renamed.clone(), name.as_str())?;
            update(draft, renamed, request).map(|()| Saved::Renamed)
        }
        (None, None) => create(draft, name, request).map(|()| Saved::Created),
        (None, Some(_)) => Err(Error::invalid(
            "newgroupname",
            format!("there is no {} '{name}' to rename", Kind::Group),
        )),
    }
}

/// Makes a group with the settings, secrets and interfaces of another, then changes it as asked.
pub fn clone(
    draft: &mut Draft,
    source: &str,
    new_name: &Name,
    request: &Request,
) -> Result<(), Error> {
    let source = Arc::clone(draft.group(source)?);
    if draft.groups().contains_key(new_name) {
        return Err(Error::AlreadyExists { kind: Kind::Group, name: new_name.to_string() });
    }
    let mut group = Group { name: new_name.clone(), ..Group::clone(&source) };
    if group.parent.is_none() {
        group.provisioning.netboot.get_or_insert(true);
    }
    draft.put(group)?;
    if let Some(secrets) = draft.group_secrets().get(&source.name).map(Arc::clone) {
        let mut secrets = GroupSecrets::clone(&secrets);
        secrets.0.name = new_name.clone();
        draft.put(secrets)?;
    }
    let mut request = Request { new_name: None, ..request.clone() };
    let image = Effective::of_group(draft, &source).osimage().value;
    request.provisioning = request.provisioning.of_copy(&source.provisioning, image, None);
    save(draft, new_name, &request).map(drop)
}

fn create(draft: &mut Draft, name: &Name, request: &Request) -> Result<(), Error> {
    let mut group = Group {
        name: name.clone(),
        // One that has a parent begins as that.
        provisioning: if request.parent.value().is_some() {
            Provisioning::default()
        } else {
            usual_provisioning()
        },
        interfaces: boot_interface(draft, request)?,
        ..Group::default()
    };
    let has_bmc_setup = request.provisioning.bmcsetup.value().is_some();
    let mut violations = Vec::new();
    if has_bmc_setup
        && group.interface(BMC_INTERFACE).is_none()
        && !request.interfaces.iter().any(|interface| interface.interface == BMC_INTERFACE)
    {
        let reason = format!(
            "a BMC setup needs an interface '{BMC_INTERFACE}'; give it in the same request"
        );
        violations.push(Violation { field: "bmcsetupname".to_owned(), reason });
    }
    let inherits = request.parent.value().is_some();
    if request.provisioning.setupbmc.value() == Some(&true) && !has_bmc_setup && !inherits {
        let reason = "the BMC cannot be set up without a BMC setup; give bmcsetupname".to_owned();
        violations.push(Violation { field: "setupbmc".to_owned(), reason });
    }
    set_fields(draft, &mut group, request, violations)?;
    if has_bmc_setup {
        group.provisioning.setupbmc = Some(true);
    }
    draft.put(group)?;
    save_interfaces(draft, name, request)
}

fn usual_provisioning() -> Provisioning {
    Provisioning {
        netboot: Some(true),
        ipxe_kernel: Some(IpxeKernel::Default),
        partscript: Some(DEFAULT_PARTSCRIPT.to_owned()),
        postscript: Some(DEFAULT_POSTSCRIPT.to_owned()),
        ..Provisioning::default()
    }
}

/// A new group has an interface to boot from, in the controller's network unless the request says where. One that has a parent begins with
/// all of that one's.
fn boot_interface(draft: &Draft, request: &Request) -> Result<Vec<GroupInterface>, Error> {
    if let Some(parent) = request.parent.value().and_then(|parent| draft.groups().get(parent)) {
        return Ok(parent.interfaces.clone());
    }
    if request.interfaces.iter().any(|interface| interface.interface == BOOT_INTERFACE) {
        return Ok(Vec::new());
    }
    let network = draft.beacon().and_then(|controller| controller.network.clone());
    let unknown = || {
        let reason =
            format!("the controller is in no network, so say which one {BOOT_INTERFACE} is in");
        Error::invalid("interfaces", reason)
    };
    let network = network.ok_or_else(unknown)?;
    Ok(vec![GroupInterface {
        name: Name::trusted(BOOT_INTERFACE),
        network,
        ..GroupInterface::default()
    }])
}

fn update(draft: &mut Draft, mut group: Group, request: &Request) -> Result<(), Error> {
    let name = group.name.clone();
    let image = |draft: &Draft| {
        let group = draft.groups().get(&name)?;
        Effective::of_group(draft, group).osimage().value.cloned()
    };
    let former = image(draft);
    set_fields(draft, &mut group, request, Vec::new())?;
    draft.put(group)?;
    if image(draft) != former {
        image::leave_tags(draft, &name)?;
    }
    save_interfaces(draft, &name, request)
}

fn save_interfaces(draft: &mut Draft, group: &Name, request: &Request) -> Result<(), Error> {
    if request.interfaces.is_empty() {
        return Ok(());
    }
    of_group::save(draft, group.as_str(), &request.interfaces).map(drop)
}

fn set_fields(
    draft: &Draft,
    group: &mut Group,
    request: &Request,
    mut violations: Vec<Violation>,
) -> Result<(), Error> {
    request.parent.apply(&mut group.parent);
    let parent = group.parent.as_ref().and_then(|parent| draft.groups().get(parent));
    let inherited = parent.and_then(|parent| Effective::of_group(draft, parent).osimage().value);
    violations.extend(request.provisioning.apply(draft, &mut group.provisioning, inherited));
    violations.extend(group.labels.apply(&request.labels).err());
    request.domain.apply(&mut group.domain);
    request.comment.apply(&mut group.comment);
    if violations.is_empty() { Ok(()) } else { Err(Error::Invalid(violations)) }
}
