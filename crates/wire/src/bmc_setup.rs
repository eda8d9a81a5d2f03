//! BMC setups, as clients read and ask for them.

use perilune_model::Name;
use perilune_model::bmc_setup::{BmcSetup, Certificate, Driver, Request};
use perilune_model::provisioning::UnmanagedUsers;
use serde::Serialize;
use utoipa::ToSchema;

use crate::fields::Fields;
use crate::hidden::View;
use crate::requests::unmanaged_users;

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
        userid: fields.number("userid"),
        username: fields.text("username"),
        password: fields.secret("password"),
        netchannel: fields.number("netchannel"),
        mgmtchannel: fields.number("mgmtchannel"),
        unmanaged_bmc_users: unmanaged_users(fields),
        driver: fields.converted("driver", |text| {
            Driver::from_word(text).ok_or_else(|| "it must be ipmi, redfish or auto".to_owned())
        }),
        port: fields.number("port"),
        certificate: fields.converted("certificate", |text| {
            Certificate::from_word(text).ok_or_else(|| "it must be pin, verify or any".to_owned())
        }),
        system: fields.converted("system", system),
        comment: fields.text("comment"),
    }
}

/// The name of a system is the last part of its path: `System_0`.
fn system(text: &str) -> Result<String, String> {
    let is_odd = |character: char| character.is_control() || character.is_whitespace();
    if text.len() > LONGEST_SYSTEM || text.contains(is_odd) {
        return Err(format!(
            "it must be the name of a Redfish system, such as System_0: no spaces, at most {LONGEST_SYSTEM} bytes"
        ));
    }
    Ok(text.to_owned())
}
