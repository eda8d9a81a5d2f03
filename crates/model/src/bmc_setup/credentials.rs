//! Names and passwords that a protocol of BMCs cannot carry: found when they are given, not at the first power off.

use super::{BmcSetup, Driver};
use crate::{Error, Violation};

/// The numbers of users and channels that IPMI 2.0 has room for; the user 0 and the channel 15 are none that is set up.
const LAST_USER: u32 = 63;
const LAST_CHANNEL: u32 = 14;
/// What IPMI 2.0 has room for, in bytes.
const LONGEST_USER: usize = 16;
const LONGEST_PASSWORD: usize = 20;

/// Refuses a user and a password that the BMCs cannot be told. What was so before and is not touched stays.
pub fn check(setup: &BmcSetup, before: Option<&BmcSetup>) -> Result<(), Error> {
    let is_ipmi = |setup: &BmcSetup| setup.driver != Some(Driver::Redfish);
    let may_differ = before.is_none_or(|before| is_ipmi(before) != is_ipmi(setup));
    let mut violations = Vec::new();
    if may_differ || before.is_some_and(|before| before.username != setup.username) {
        let reason = if is_ipmi(setup) {
            of_ipmi(&setup.username, LONGEST_USER, "names of users")
        } else {
            None
        };
        // The first colon ends the name where both go with each request.
        let has_colon = setup.username.contains(':')
            && setup.driver.is_some_and(|driver| driver != Driver::Ipmi);
        let colon = has_colon.then(|| {
            "it must not have a colon: Redfish takes what follows for the password".to_owned()
        });
        refuse(&mut violations, "username", reason.or(colon).or(control(&setup.username)));
    }
    if may_differ || before.is_some_and(|before| before.password != setup.password) {
        let reason = if is_ipmi(setup) {
            of_ipmi(&setup.password, LONGEST_PASSWORD, "passwords")
        } else {
            None
        };
        refuse(&mut violations, "password", reason.or(control(&setup.password)));
    }
    numbers(setup, before, &mut violations);
    if violations.is_empty() { Ok(()) } else { Err(Error::Invalid(violations)) }
}

/// Numbers that no BMC has, whatever it is spoken to by: nodes set theirs up by IPMI from inside.
fn numbers(setup: &BmcSetup, before: Option<&BmcSetup>, violations: &mut Vec<Violation>) {
    let is_new = before.is_none_or(|before| before.userid != setup.userid);
    if is_new && !(1..=LAST_USER).contains(&setup.userid) {
        let reason = format!("a BMC has users of the numbers 1 to {LAST_USER}");
        refuse(violations, "userid", Some(reason));
    }
    let channels = [
        ("netchannel", setup.netchannel, before.map(|before| before.netchannel)),
        ("mgmtchannel", setup.mgmtchannel, before.map(|before| before.mgmtchannel)),
    ];
    for (field, number, before) in channels {
        if before != Some(number) && number > LAST_CHANNEL {
            let reason = format!("a BMC has channels of the numbers 0 to {LAST_CHANNEL}");
            refuse(violations, field, Some(reason));
        }
    }
    if setup.port == Some(0) && before.is_none_or(|before| before.port != Some(0)) {
        let reason = "no BMC listens at port 0; leave it empty for the protocol's own".to_owned();
        refuse(violations, "port", Some(reason));
    }
}

fn refuse(violations: &mut Vec<Violation>, field: &str, reason: Option<String>) {
    violations.extend(reason.map(|reason| Violation { field: field.to_owned(), reason }));
}

fn of_ipmi(text: &str, longest: usize, what: &str) -> Option<String> {
    if text.len() > longest {
        return Some(format!(
            "it has {} bytes, and IPMI has {what} of at most {longest}; give a shorter one, or the driver redfish",
            text.len()
        ));
    }
    (!text.is_ascii()).then(|| {
        format!("it has characters that are not ASCII, and IPMI has none in {what}; give another, or the driver redfish")
    })
}

fn control(text: &str) -> Option<String> {
    let has_one = text.chars().any(char::is_control);
    has_one.then(|| "it has a control character, which no BMC takes".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reasons(driver: Option<Driver>, username: &str, password: &str) -> Vec<String> {
        let (username, password) = (username.to_owned(), password.to_owned());
        let setup = BmcSetup { username, password, driver, ..BmcSetup::default() };
        match check(&setup, None) {
            Ok(()) => Vec::new(),
            Err(Error::Invalid(violations)) => {
                violations.into_iter().map(|violation| violation.field).collect()
            }
            Err(error) => panic!("{error}"),
        }
    }

    #[test]
    fn what_a_protocol_cannot_carry_is_refused_and_all_else_is_taken() {
        let (name, long_name) = ("abcdefghijklmnop", "abcdefghijklmnopq");
        let (word, long_word) = ("01234567890123456789", "012345678901234567890");
        for driver in [None, Some(Driver::Ipmi), Some(Driver::Auto)] {
            assert_eq!(reasons(driver, name, word), [""; 0]);
            assert_eq!(reasons(driver, "", ""), [""; 0], "the user without a name");
            assert_eq!(reasons(driver, long_name, word), ["username"]);
            assert_eq!(reasons(driver, name, long_word), ["password"]);
            assert_eq!(reasons(driver, "müller", "pässword"), ["username", "password"]);
        }
        let redfish = Some(Driver::Redfish);
        assert_eq!(reasons(redfish, long_name, long_word), [""; 0]);
        assert_eq!(reasons(redfish, "müller", "pässword"), [""; 0]);
        assert_eq!(reasons(Some(Driver::Auto), "a:b", "c:d"), ["username"]);
        assert_eq!(reasons(redfish, "a:b", "c:d"), ["username"]);
        assert_eq!(reasons(None, "a:b", "c:d"), [""; 0]);
        for driver in [None, redfish] {
            assert_eq!(reasons(driver, "a\0", "b\n"), ["username", "password"]);
        }
    }

    #[test]
    fn numbers_that_no_bmc_has_are_refused_unless_they_were_so_before() {
        let fields = |setup: &BmcSetup, before: Option<&BmcSetup>| match check(setup, before) {
            Ok(()) => Vec::new(),
            Err(Error::Invalid(violations)) => {
                violations.into_iter().map(|violation| violation.field).collect::<Vec<_>>()
            }
            Err(error) => panic!("{error}"),
        };
        let usual = BmcSetup::default();
        for driver in [None, Some(Driver::Redfish)] {
            let wrong = BmcSetup {
                driver,
                userid: 0,
                netchannel: 15,
                mgmtchannel: u32::MAX,
                port: Some(0),
                ..usual.clone()
            };
            assert_eq!(fields(&wrong, None), ["userid", "netchannel", "mgmtchannel", "port"]);
            assert_eq!(fields(&wrong, Some(&wrong)), [""; 0]);
        }
        assert_eq!(fields(&BmcSetup { userid: 64, ..usual.clone() }, Some(&usual)), ["userid"]);
        let last = BmcSetup { userid: 63, netchannel: 14, mgmtchannel: 0, port: Some(1), ..usual };
        assert_eq!(fields(&last, None), [""; 0]);
    }

    #[test]
    fn what_was_so_before_does_not_keep_anything_else_from_being_changed() {
        let password = "a password from before that is too long".to_owned();
        let before = BmcSetup { password, ..BmcSetup::default() };
        let after = BmcSetup { comment: Some("a note".to_owned()), ..before.clone() };
        assert!(check(&after, Some(&before)).is_ok());
        let redfish = BmcSetup { driver: Some(Driver::Redfish), ..before.clone() };
        assert!(check(&redfish, Some(&before)).is_ok());
        assert!(check(&before, Some(&redfish)).is_err(), "back to IPMI it is too long");
    }
}
