//! The machine's management controller, set up from inside by `ipmitool`: its address, and the user that the cluster
//! manages it with.

use anyhow::{Context, Result, bail};
use ipnet::IpNet;
use perilune_plan::Bmc;

use crate::console::Console;
use crate::hardware::load_module;
use crate::tool;

const PROGRAM: &str = "ipmitool";
const DEVICES: [&str; 3] = ["/dev/ipmi0", "/dev/ipmi/0", "/dev/ipmidev/0"];
/// May do everything.
const ADMINISTRATOR: &str = "4";

/// Sets the BMC up; a machine without one is told of and goes on.
pub fn set_up(bmc: &Bmc, console: &Console) -> Result<()> {
    for module in ["ipmi_si", "ipmi_ssif", "ipmi_devintf", "ipmi_msghandler"] {
        load_module(module);
    }
    if !DEVICES.iter().any(|device| std::path::Path::new(device).exists()) {
        console.warning("this machine shows no BMC; nothing is set up");
        return Ok(());
    }
    if !tool::exists(PROGRAM) {
        bail!(
            "the BMC cannot be set up: ipmitool is not in the initramfs; install it in the image and pack it again"
        );
    }
    network(bmc)?;
    user(bmc)?;
    others(bmc, console)?;
    console.line(&format!("the BMC has {} and the user '{}'", bmc.address, bmc.username));
    Ok(())
}

fn network(bmc: &Bmc) -> Result<()> {
    let address: IpNet = bmc
        .address
        .parse()
        .with_context(|| format!("the BMC's address '{}' has no prefix", bmc.address))?;
    let IpNet::V4(address) = address else {
        bail!(
            "the BMC's address {address} is IPv6, which is not set up from inside the node; use an IPv4 address"
        );
    };
    let channel = bmc.netchannel.to_string();
    let set = |words: &[&str]| ipmi(["lan", "set", channel.as_str()].iter().chain(words));
    set(&["ipsrc", "static"])?;
    set(&["ipaddr", &address.addr().to_string()])?;
    set(&["netmask", &address.netmask().to_string()])?;
    if let Some(gateway) = bmc.gateway {
        set(&["defgw", "ipaddr", &gateway.to_string()])?;
    }
    let vlan = bmc.vlanid.map_or_else(|| "off".to_owned(), |vlan| vlan.to_string());
    set(&["vlan", "id", &vlan])?;
    set(&["access", "on"])
}

fn user(bmc: &Bmc) -> Result<()> {
    let (user, channel) = (bmc.userid.to_string(), bmc.mgmtchannel.to_string());
    ipmi(["user", "set", "name", &user, &bmc.username])?;
    // Its error would quote the command, and with it the password.
    let password = tool::run(PROGRAM, ["user", "set", "password", &user, &bmc.password]);
    if password.is_err() {
        bail!(
            "the BMC does not take the password of its user '{}'; is it longer than 16 or 20 characters?",
            bmc.username
        );
    }
    ipmi([
        "channel",
        "setaccess",
        &channel,
        &user,
        "link=on",
        "ipmi=on",
        "callin=on",
        "privilege=4",
    ])?;
    ipmi(["user", "priv", &user, ADMINISTRATOR, &channel])?;
    ipmi(["user", "enable", &user])
}

/// Users that nobody manages are a way into the BMC.
fn others(bmc: &Bmc, console: &Console) -> Result<()> {
    let Some(what) = bmc.unmanaged_users.as_deref() else { return Ok(()) };
    let channel = bmc.mgmtchannel.to_string();
    let list = tool::run(PROGRAM, ["-c", "user", "list", &channel])?;
    for number in other_users(&list, bmc.userid) {
        let number = number.to_string();
        ipmi(["user", "disable", &number])?;
        if what == "delete" && ipmi(["user", "set", "name", &number, ""]).is_err() {
            console.warning(&format!(
                "the BMC keeps the name of its user {number}, which is disabled"
            ));
        }
    }
    Ok(())
}

/// The numbers of users with a name, but for ours and the first, which is the anonymous one.
fn other_users(list: &str, ours: u32) -> Vec<u32> {
    let users = list.lines().filter_map(|line| {
        let (number, rest) = line.split_once(',')?;
        let name = rest.split(',').next()?;
        (!name.is_empty()).then(|| number.parse().ok()).flatten()
    });
    users.filter(|number| *number != ours && *number > 1).collect()
}

fn ipmi<Word: AsRef<std::ffi::OsStr>>(words: impl IntoIterator<Item = Word>) -> Result<()> {
    tool::run(PROGRAM, words)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_users_are_those_with_a_name() {
        let list = "1,,true,false,false,NO ACCESS\n2,root,true,true,true,ADMINISTRATOR\n3,luna,true,true,true,ADMINISTRATOR\n\
                    4,,true,false,false,NO ACCESS\n5,old,true,true,true,USER\nrubbish\n";
        assert_eq!(other_users(list, 3), [2, 5]);
    }
}
