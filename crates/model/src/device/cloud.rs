//! Creating and changing clouds.

use crate::device::Cloud;
use crate::{Draft, Error, Kind, Name, Patch, Saved};

/// What a client asks of a cloud.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Request {
    /// The new name.
    pub new_name: Option<Name>,
    /// Whose it is: `aws`, `azure`, …
    pub r#type: Patch<String>,
    /// Free text.
    pub comment: Patch<String>,
}

/// Changes a cloud; makes it where there is none of this name.
pub fn save(draft: &mut Draft, name: &Name, request: &Request) -> Result<Saved, Error> {
    let known = draft.clouds().get(name).map(|cloud| Cloud::clone(cloud));
    let saved = Saved::foreseen(known.is_some(), request.new_name.is_some()).ok_or_else(|| {
        Error::invalid("newcloudname", format!("there is no {} '{name}' to rename", Kind::Cloud))
    })?;
    let mut cloud = known.unwrap_or_default();
    request.apply(&mut cloud);
    cloud.name = request.new_name.as_ref().unwrap_or(name).clone();
    draft.rename(cloud, name.as_str())?;
    Ok(saved)
}

/// Makes another cloud like this one.
pub fn clone(
    draft: &mut Draft,
    source: &str,
    new_name: &Name,
    request: &Request,
) -> Result<(), Error> {
    let mut cloud = Cloud::clone(draft.cloud(source)?);
    if draft.clouds().contains_key(new_name) {
        return Err(Error::AlreadyExists { kind: Kind::Cloud, name: new_name.to_string() });
    }
    request.apply(&mut cloud);
    cloud.name = new_name.clone();
    draft.put(cloud)
}

impl Request {
    fn apply(&self, cloud: &mut Cloud) {
        self.r#type.apply(&mut cloud.r#type);
        self.comment.apply(&mut cloud.comment);
    }
}
