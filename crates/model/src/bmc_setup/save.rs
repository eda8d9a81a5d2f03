//! Creating, changing and cloning BMC setups.

use crate::bmc_setup::{BmcSetup, Certificate, Driver, check_credentials};
use crate::provisioning::UnmanagedUsers;
use crate::{Draft, Error, Kind, Name, Patch, Saved};

/// What a client asks of a BMC setup.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Request {
    /// The new name.
    pub new_name: Option<Name>,
    /// The number of the user on the BMC.
    pub userid: Patch<u32>,
    /// The user's name.
    pub username: Patch<String>,
    /// The user's password; clearing makes it empty.
    pub password: Patch<String>,
    /// The channel of the BMC's network.
    pub netchannel: Patch<u32>,
    /// The channel that the user may use.
    pub mgmtchannel: Patch<u32>,
    /// What happens to other users.
    pub unmanaged_bmc_users: Patch<UnmanagedUsers>,
    /// The protocol that the BMCs speak.
    pub driver: Patch<Driver>,
    /// Another port than the protocol's own.
    pub port: Patch<u16>,
    /// Which certificates are believed.
    pub certificate: Patch<Certificate>,
    /// Which of several systems is the machine.
    pub system: Patch<String>,
    /// Free text.
    pub comment: Patch<String>,
}

/// Changes a BMC setup; makes it where there is none of this name, with `fresh_password` unless the request has one.
pub fn save(
    draft: &mut Draft,
    name: &Name,
    request: &Request,
    fresh_password: &str,
) -> Result<Saved, Error> {
    let known = draft.bmc_setups().get(name).map(|setup| BmcSetup::clone(setup));
    let saved = Saved::foreseen(known.is_some(), request.new_name.is_some())
        .ok_or_else(|| Error::NotFound { kind: Kind::BmcSetup, name: name.to_string() })?;
    let before = known
        .unwrap_or_else(|| BmcSetup { password: fresh_password.to_owned(), ..BmcSetup::default() });
    let mut setup = before.clone();
    request.apply(&mut setup);
    check_credentials(&setup, Some(&before))?;
    setup.name = request.new_name.as_ref().unwrap_or(name).clone();
    draft.rename(setup, name.as_str())?;
    Ok(saved)
}

/// Makes a BMC setup like another, its password included, then changes it as asked.
pub fn clone(
    draft: &mut Draft,
    source: &str,
    new_name: &Name,
    request: &Request,
) -> Result<(), Error> {
    let before = BmcSetup::clone(draft.bmc_setup(source)?);
    if draft.bmc_setups().contains_key(new_name) {
        return Err(Error::AlreadyExists { kind: Kind::BmcSetup, name: new_name.to_string() });
    }
    let mut setup = before.clone();
    request.apply(&mut setup);
    check_credentials(&setup, Some(&before))?;
    setup.name = new_name.clone();
    draft.put(setup)
}

impl Request {
    fn apply(&self, setup: &mut BmcSetup) {
        let blank = BmcSetup::default();
        self.userid.apply_or(&mut setup.userid, blank.userid);
        self.username.apply_or(&mut setup.username, String::new());
        self.password.apply_or(&mut setup.password, String::new());
        self.netchannel.apply_or(&mut setup.netchannel, blank.netchannel);
        self.mgmtchannel.apply_or(&mut setup.mgmtchannel, blank.mgmtchannel);
        self.unmanaged_bmc_users.apply(&mut setup.unmanaged_bmc_users);
        self.driver.apply(&mut setup.driver);
        self.port.apply(&mut setup.port);
        self.certificate.apply(&mut setup.certificate);
        self.system.apply(&mut setup.system);
        self.comment.apply(&mut setup.comment);
    }
}
