//! Creating, changing and cloning other devices.

use crate::device::OtherDevice;
use crate::device::address::PlaceRequest;
use crate::{Draft, Error, Kind, Name, Patch, Saved};

/// What a client asks of a device.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Request {
    /// The new name.
    pub new_name: Option<Name>,
    /// Hardware address, as it is to be shown.
    pub macaddress: Patch<String>,
    /// Its address and its network.
    pub place: PlaceRequest,
    /// Who made it.
    pub vendor: Patch<String>,
    /// Free text.
    pub comment: Patch<String>,
}

/// Changes a device; makes it where there is none of this name.
pub fn save(draft: &mut Draft, name: &Name, request: &Request) -> Result<Saved, Error> {
    let known = draft.other_devices().get(name).map(|device| OtherDevice::clone(device));
    let saved = Saved::foreseen(known.is_some(), request.new_name.is_some()).ok_or_else(|| {
        Error::invalid(
            "newotherdevname",
            format!("there is no {} '{name}' to rename", Kind::OtherDevice),
        )
    })?;
    let mut device = known.unwrap_or_default();
    request.apply(&mut device);
    request.place.apply(draft, &mut device.network, &mut device.addresses)?;
    device.name = request.new_name.as_ref().unwrap_or(name).clone();
    draft.rename(device, name.as_str())?;
    Ok(saved)
}

/// Makes a device like another, at the next address, then changes it as asked.
pub fn clone(
    draft: &mut Draft,
    source: &str,
    new_name: &Name,
    request: &Request,
) -> Result<(), Error> {
    let mut device = OtherDevice::clone(draft.other_device(source)?);
    if draft.other_devices().contains_key(new_name) {
        return Err(Error::AlreadyExists { kind: Kind::OtherDevice, name: new_name.to_string() });
    }
    request.apply(&mut device);
    request.place.apply_to_copy(draft, &mut device.network, &mut device.addresses)?;
    device.name = new_name.clone();
    draft.put(device)
}

impl Request {
    fn apply(&self, device: &mut OtherDevice) {
        self.macaddress.apply(&mut device.macaddress);
        self.vendor.apply(&mut device.vendor);
        self.comment.apply(&mut device.comment);
    }
}
