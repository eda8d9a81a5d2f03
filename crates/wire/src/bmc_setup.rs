//! BMC setups, as clients read and ask for them.

use perilune_model::Name;
use perilune_model::bmc_setup::{BmcSetup, Certificate, Driver, Request};
use perilune_model::provisioning::UnmanagedUsers;
use serde::Serialize;
use utoipa::ToSchema;

use crate::fields::Fields;
use crate::hidden::View;
use crate::provisioning::unmanaged_users;
use crate::requests::comment;

const LONGEST_SYSTEM: usize = 255;

/// A BMC setup. Administrators see the password, others `(hidden)`.
#[derive(Serialize, ToSchema)]
pub struct BmcSetupKeys<'a> {
    name: &'a str,
    userid: u32,
    username: &'a str,
    password: &'a str,
    netchannel: u32,
    mgmtchannel: u32,
    comment: Option<&'a str>,
    unmanaged_bmc_users: Option<&'a str>,
    /// `ipmi` unless it is shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    driver: Option<&'static str>,
    /// The protocol's own unless it is shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    port: Option<u16>,
    /// `pin` unless it is shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    certificate: Option<&'static str>,
    /// The one that looks like the machine unless it is shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    system: Option<&'a str>,
}

impl<'a> BmcSetupKeys<'a> {
    /// The BMC setup.
    pub fn new(setup: &'a BmcSetup, view: View) -> Self {
        Self {
            name: setup.name.as_str(),
            userid: setup.userid,
            username: &setup.username,
            password: view.secret(&setup.password),
            netchannel: setup.netchannel,
            mgmtchannel: setup.mgmtchannel,
            comment: setup.comment.as_deref(),
            unmanaged_bmc_users: setup.unmanaged_bmc_users.map(UnmanagedUsers::word),
            driver: setup.driver.map(Driver::word),
            port: setup.port,
            certificate: setup.certificate.map(Certificate::word),
            system: setup.system.as_deref(),
        }
    }
}

/// The request of a BMC setup.
pub fn request(fields: &mut Fields<'_>) -> Request {
    fields.ignore(&["name"]);
    Request {
        new_name: fields.new_name("newbmcname", Name::general),
        username: fields.help("The user on the BMCs (luna)").text("username"),
        password: fields
            .help("The user's password; made up for a new setup without one")
            .password()
            .secret("password"),
        userid: fields.help("The user's number (2)").number("userid"),
        netchannel: fields.help("Channel of the BMC's network (2)").number("netchannel"),
        mgmtchannel: fields.help("Channel that the user may use (2)").number("mgmtchannel"),
        unmanaged_bmc_users: unmanaged_users(
            fields.help("Other users: disable or delete; \"\" leaves them"),
        ),
        driver: fields
            .help("What the BMCs speak: ipmi, redfish or auto (ipmi)")
            .words(&["ipmi", "redfish", "auto"])
            .converted("driver", |text| {
                Driver::from_word(text).ok_or_else(|| "it must be ipmi, redfish or auto".to_owned())
            }),
        port: fields.help("Another port than the protocol's own").number("port"),
        certificate: fields
            .help("Redfish certificates: pin, verify or any (pin)")
            .words(&["pin", "verify", "any"])
            .converted("certificate", |text| {
                Certificate::from_word(text)
                    .ok_or_else(|| "it must be pin, verify or any".to_owned())
            }),
        system: fields
            .help("The machine among several Redfish systems, such as System_0")
            .converted("system", system),
        comment: comment(fields),
    }
}

fn system(text: &str) -> Result<String, String> {
    let is_odd = |character: char| character.is_control() || character.is_whitespace();
    if text.len() > LONGEST_SYSTEM || text.contains(is_odd) {
        return Err(format!(
            "it must be the name of a Redfish system, such as System_0: no spaces, at most {LONGEST_SYSTEM} bytes"
        ));
    }
    Ok(text.to_owned())
}
