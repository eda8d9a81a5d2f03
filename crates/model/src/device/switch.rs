//! Creating, changing and cloning switches.

use crate::device::address::PlaceRequest;
use crate::device::{Switch, ztp};
use crate::{Draft, Error, Kind, Name, Patch, Saved};

/// What a client asks of a switch.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Request {
    /// The new name.
    pub new_name: Option<Name>,
    /// Hardware address, as it is to be shown.
    pub macaddress: Patch<String>,
    /// Its address and its network.
    pub place: PlaceRequest,
    /// SNMP object that lists hardware addresses by port.
    pub oid: Patch<String>,
    /// SNMP community for reading.
    pub read: Patch<String>,
    /// SNMP community for writing.
    pub rw: Patch<String>,
    /// Ports that lead to other switches.
    pub uplinkports: Patch<String>,
    /// Who made it.
    pub vendor: Patch<String>,
    /// Free text.
    pub comment: Patch<String>,
    /// What it is told when it begins to boot.
    pub ztp: ztp::Request,
}

/// Changes a switch; makes it where there is none of this name.
pub fn save(draft: &mut Draft, name: &Name, request: &Request) -> Result<Saved, Error> {
    let known = draft.switches().get(name).map(|switch| Switch::clone(switch));
    let saved = Saved::foreseen(known.is_some(), request.new_name.is_some()).ok_or_else(|| {
        Error::invalid("newswitchname", format!("there is no {} '{name}' to rename", Kind::Switch))
    })?;
    let mut switch = known.unwrap_or_default();
    request.apply(&mut switch)?;
    request.place.apply(draft, &mut switch.network, &mut switch.addresses)?;
    switch.name = request.new_name.as_ref().unwrap_or(name).clone();
    draft.rename(switch, name.as_str())?;
    Ok(saved)
}

/// Makes a switch like another, at the next address, then changes it as asked.
pub fn clone(
    draft: &mut Draft,
    source: &str,
    new_name: &Name,
    request: &Request,
) -> Result<(), Error> {
    let mut switch = Switch::clone(draft.switch(source)?);
    if draft.switches().contains_key(new_name) {
        return Err(Error::AlreadyExists { kind: Kind::Switch, name: new_name.to_string() });
    }
    request.apply(&mut switch)?;
    // Its interfaces are its own: each of them would have the addresses and hardware addresses of another switch.
    switch.interfaces.clear();
    request.place.apply_to_copy(draft, &mut switch.network, &mut switch.addresses)?;
    switch.name = new_name.clone();
    draft.put(switch)
}

impl Request {
    fn apply(&self, switch: &mut Switch) -> Result<(), Error> {
        self.macaddress.apply(&mut switch.macaddress);
        self.oid.apply(&mut switch.oid);
        self.read.apply(&mut switch.read);
        self.rw.apply(&mut switch.rw);
        self.uplinkports.apply(&mut switch.uplinkports);
        self.vendor.apply(&mut switch.vendor);
        self.comment.apply(&mut switch.comment);
        self.ztp.apply(&mut switch.ztp);
        let violations = switch.ztp.violations();
        if violations.is_empty() { Ok(()) } else { Err(Error::Invalid(violations)) }
    }
}
