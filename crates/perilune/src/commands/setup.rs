//! `perilune setup`: the first start, asked for; and the controller's address later.

use std::io::{self, BufRead as _, IsTerminal as _, Read as _};
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};

use clap::Args;
use ipnet::{IpNet, Ipv4Net};
use perilune::client::access::Options;
use perilune_daemon::config::{self, Listen};
use perilune_daemon::setup::{self, First, Served};
use perilune_daemon::standing::{self, Standing};
use perilune_model::Name;
use serde_json::{Map, Value, json};

use crate::commands::backup::{become_owner, how_to_start};
use crate::failure::Failure;
use crate::output::{self, Output, changes, note};
use crate::serve;
use crate::session::{Session, insist};

pub(crate) const EXAMPLES: &str = "\
The first time it asks a few questions, each with what this machine suggests, and makes
the configuration and the first cluster in the data directory. For scripts: all answers
as options, and --yes for what is suggested elsewhere.

Later it gives the controller of a running daemon another address. What named the old
one follows: name servers, time servers, gateways, DNS hosts, boot scripts. Where no
network has the address, the controller's network moves there, and its nodes along.

Examples:
  perilune setup --data-dir /var/lib/perilune
  perilune setup --data-dir /var/lib/perilune --interface eth1 --name lab --yes
  perilune setup --interface eth1 --address 10.141.255.254/16 --dhcp-range none --yes
  perilune setup --data-dir /var/lib/perilune --address 10.141.0.1/16      another address, later";

/// The word for no interface and no range.
const NONE: &str = "none";
/// Bytes of a line that somebody types.
const LONGEST_ANSWER: u64 = 4096;
/// Of the addresses of a network, one in so many is suggested for machines that nobody described …
const PART: u32 = 8;
/// … and not more than these.
const MOST: u32 = 256;

#[derive(Args)]
pub(crate) struct Setup {
    /// Where everything of the daemon lives
    #[arg(
        long,
        env = "PERILUNE_DATA_DIR",
        hide_env_values = true,
        value_name = "DIR",
        default_value = "./perilune-data"
    )]
    data_dir: PathBuf,
    /// Where machines boot: DHCP and TFTP are served there; none for neither
    #[arg(long, value_name = "NAME")]
    interface: Option<String>,
    /// The controller's address, with its network's prefix
    #[arg(long, value_name = "ADDRESS/PREFIX", value_parser = serve::address)]
    address: Option<Ipv4Net>,
    /// The cluster's name
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Addresses to lease to unknown machines; none: only nodes are answered
    #[arg(long, value_name = "FIRST-LAST")]
    dhcp_range: Option<String>,
    /// Do not ask: take what is suggested
    #[arg(long, short)]
    yes: bool,
}

pub(crate) fn run(options: &Options, output: Output, arguments: &Setup) -> Result<(), Failure> {
    if setup::has_cluster(&arguments.data_dir) {
        let mut options = options.clone();
        options.config = options.config.or_else(|| Some(arguments.data_dir.join("luna.ini")));
        return readdress(&Session::open(&options, output)?, arguments);
    }
    if options.dry_run {
        let message = "a first start cannot be tried with --dry-run; nothing was made";
        return Err(Failure::usage(message));
    }
    let answers = Answers::of(arguments)?;
    answers.show()?;
    if !arguments.yes {
        insist("This is made.")?;
    }
    let start = how_to_start(&arguments.data_dir);
    become_owner(&arguments.data_dir)?;
    let file = answers.make(arguments)?;
    output::line(&format!("made; the log-in is in {}", file.display()))?;
    Ok(output::line(&start)?)
}

/// What is to be made.
struct Answers {
    interface: Option<String>,
    address: Ipv4Net,
    name: Name,
    dhcp: Option<Served>,
}

impl Answers {
    fn of(arguments: &Setup) -> Result<Self, Failure> {
        let asks = Asker::new(arguments.yes)?;
        let all = standing::all();
        let found = standing::find(&[]);
        let suggested = found.as_ref().map_or(NONE, |found| found.interface.as_str());
        if arguments.interface.is_none() && arguments.address.is_none() {
            for Standing { interface, address } in &all {
                note(&format!("{interface} has {address}"));
            }
        }
        let interface = asks.answer(
            arguments.interface.as_deref(),
            "Interface on which machines boot (DHCP and TFTP are served there; none for neither)",
            suggested,
            |text| interface_of(text, arguments.interface.is_some()),
        )?;
        let interface = Some(interface).filter(|interface| interface != NONE);
        let served: Vec<String> = interface.iter().cloned().collect();
        let suggested = match &interface {
            Some(interface) => all.iter().find(|standing| standing.interface == *interface),
            None => found.as_ref(),
        };
        if suggested.is_none() && arguments.address.is_none() {
            let place = served.first().map_or("this machine", String::as_str);
            let told = format!("{place} has no address that others reach");
            if arguments.yes {
                return Err(Failure::usage(format!(
                    "{told}; give it one, or say which it will have: --address ADDRESS/PREFIX"
                )));
            }
            note(&told);
        }
        let suggested = suggested.map(|standing| standing.address.to_string());
        let given = arguments.address.map(|address| address.to_string());
        let address = asks.answer(
            given.as_deref(),
            "Address of this controller, with the prefix of its network",
            &suggested.unwrap_or_default(),
            |text| serve::address(text).map_err(Failure::usage),
        )?;
        let name =
            asks.answer(arguments.name.as_deref(), "Name of the cluster", "mycluster", |text| {
                Name::general(text)
                    .map_err(|error| Failure::usage(format!("'{text}' cannot be a name: {error}")))
            })?;
        let suggested = suggested_range(address)
            .map_or_else(|| NONE.to_owned(), |(first, last)| format!("{first}-{last}"));
        let dhcp = if interface.is_none() {
            if let Some(range) = arguments.dhcp_range.as_deref().filter(|range| *range != NONE) {
                return Err(Failure::usage(format!(
                    "--dhcp-range {range} needs an interface on which DHCP is served: --interface NAME"
                )));
            }
            None
        } else {
            Some(asks.answer(
                arguments.dhcp_range.as_deref(),
                "Addresses for unknown machines (none: only nodes are answered)",
                &suggested,
                |text| range_of(text, address),
            )?)
        };
        Ok(Self { interface, address, name, dhcp })
    }

    fn show(&self) -> Result<(), Failure> {
        let range = self.address.trunc();
        let dhcp = match self.dhcp {
            None => "not served".to_owned(),
            Some(Served::Nodes) => "for nodes alone".to_owned(),
            Some(Served::Strangers(first, last)) => {
                format!("for nodes, and {first} to {last} for others")
            }
        };
        let interface = self.interface.as_deref().unwrap_or(NONE);
        for (title, value) in [
            ("cluster", self.name.to_string()),
            ("controller", format!("{} in network cluster ({range})", self.address.addr())),
            ("DHCP", format!("{dhcp} (interface {interface})")),
            (
                "name server, time server",
                format!("{}, unless you choose another", self.address.addr()),
            ),
        ] {
            output::line(&format!("{title}: {value}"))?;
        }
        Ok(())
    }

    fn make(self, arguments: &Setup) -> Result<PathBuf, Failure> {
        let data_dir = std::path::absolute(&arguments.data_dir)?;
        let options = config::Options {
            config: None,
            data_dir,
            listen: Listen::first_start(),
            dhcp_interfaces: self.interface.into_iter().collect(),
            address: Some(self.address),
            bootstrap: None,
            agent: None,
            worker: None,
            database: None,
            proxies: Vec::new(),
            program: config::Program::THIS,
        };
        let first = First { title: Some(self.name), dhcp: self.dhcp };
        let runtime = tokio::runtime::Runtime::new()?;
        let made = runtime.block_on(setup::prepare(&options, first));
        made.map_err(|error| Failure::Serve(anyhow::Error::new(error)))
    }
}

/// Asks a person, where one is there and has not said --yes.
struct Asker {
    is_quiet: bool,
}

impl Asker {
    fn new(is_quiet: bool) -> Result<Self, Failure> {
        let is_somebody = io::stdin().is_terminal() && io::stderr().is_terminal();
        if is_quiet || is_somebody {
            return Ok(Self { is_quiet });
        }
        Err(Failure::usage(
            "no terminal to ask; add --yes to take what is suggested, beside what the options say",
        ))
    }

    /// What was given, else what is answered, else what is suggested. A person who is wrong is told why, and asked again.
    fn answer<T>(
        &self,
        given: Option<&str>,
        question: &str,
        suggested: &str,
        read: impl Fn(&str) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        if let Some(given) = given {
            return read(given);
        }
        if self.is_quiet {
            return read(suggested);
        }
        loop {
            note(&format!("{question} [{suggested}]:"));
            let mut answer = String::new();
            if io::stdin().lock().take(LONGEST_ANSWER).read_line(&mut answer)? == 0 {
                return Err(Failure::failed("nothing was made"));
            }
            let answer = answer.trim();
            match read(if answer.is_empty() { suggested } else { answer }) {
                Err(failure) => note(&failure.to_string()),
                answer => return answer,
            }
        }
    }
}

/// An option may name an interface that is yet to come; whoever types a name has one in mind that is there.
fn interface_of(text: &str, is_option: bool) -> Result<String, Failure> {
    let is_name = !text.is_empty() && !text.contains('/') && !text.starts_with('.');
    let is_here = is_name && Path::new("/sys/class/net").join(text).exists();
    if is_option || text == NONE || is_here {
        return Ok(text.to_owned());
    }
    Err(Failure::usage(format!("this machine has no interface '{text}'; write a name, or none")))
}

/// The last addresses of a network, below the controller where it has one of them.
fn suggested_range(controller: Ipv4Net) -> Option<(Ipv4Addr, Ipv4Addr)> {
    let (network, broadcast) = (u32::from(controller.network()), u32::from(controller.broadcast()));
    let own = u32::from(controller.addr());
    let size = ((broadcast - network) / PART).min(MOST);
    let last = broadcast - 1;
    let last = if own > last.saturating_sub(size) { own - 1 } else { last };
    let first = (last + 1).checked_sub(size).filter(|first| *first > network && size > 0)?;
    // One that has the controller in its middle is none.
    (!(first..=last).contains(&own)).then_some((first.into(), last.into()))
}

fn range_of(text: &str, controller: Ipv4Net) -> Result<Served, Failure> {
    if text == NONE {
        return Ok(Served::Nodes);
    }
    let ends = text
        .split_once('-')
        .and_then(|(first, last)| Some((first.trim().parse().ok()?, last.trim().parse().ok()?)));
    let range = ends.filter(|(first, last): &(Ipv4Addr, Ipv4Addr)| {
        first <= last && controller.contains(first) && controller.contains(last)
    });
    range.map(|(first, last)| Served::Strangers(first, last)).ok_or_else(|| {
        Failure::usage(format!(
            "'{text}' is not a range of addresses in {}; write FIRST-LAST, or none",
            controller.trunc()
        ))
    })
}

/// Gives the controller of a running daemon another address.
fn readdress(session: &Session, arguments: &Setup) -> Result<(), Failure> {
    if arguments.interface.is_some() || arguments.dhcp_range.is_some() || arguments.name.is_some() {
        return Err(Failure::usage(
            "there is a cluster already: only --address can be given; perilune network change and perilune cluster change do the rest",
        ));
    }
    let answer = session.client.get("/config/cluster")?;
    let old = answer.pointer("/config/cluster/controller/ipaddress").and_then(Value::as_str);
    let old: Option<IpAddr> = old.and_then(|text| text.parse().ok());
    let new = match arguments.address {
        Some(address) => address,
        None => suggestion(old, arguments.yes)?,
    };
    if old == Some(IpAddr::V4(new.addr())) {
        return Ok(output::line(&format!("nothing to do: the controller is at {}", new.addr()))?);
    }
    let networks = session.client.objects("network")?;
    if networks.is_empty() {
        return give_network(session, new, arguments.yes);
    }
    let (path, body) = request(&networks, old, new)?;
    if session.client.only_tries() {
        let answer = session.client.post(&path, &body)?;
        return session.say(&answer);
    }
    session.client.post(&format!("{path}?dry_run=true"), &body)?;
    output::write(&changes::render(&session.client.take_tried(), session.output.canvas.colour))?;
    if !arguments.yes {
        insist("All of this changes.")?;
    }
    session.client.post(&path, &body)?;
    Ok(output::line(&format!(
        "the controller is at {}, and boot scripts say so. Running nodes have what they were told when they booted",
        new.addr()
    ))?)
}

/// A cluster that began on a machine without an address gets its network, as the first start would have made it.
fn give_network(session: &Session, new: Ipv4Net, is_quiet: bool) -> Result<(), Failure> {
    let (address, range) = (new.addr().to_string(), new.trunc().to_string());
    if !is_quiet {
        insist(&format!("The controller is at {address}, in a new network cluster ({range})."))?;
    }
    let network = json!({ "network": range, "type": "ethernet" });
    let body = json!({ "config": { "network": { "cluster": network } } });
    session.client.post("/config/network/cluster", &body)?;
    let told = json!({
        "controller": address,
        "nameserver_ip": address,
        "ntp_server": address,
        "domain_search": "cluster",
    });
    let answer =
        session.client.post("/config/cluster", &json!({ "config": { "cluster": told } }))?;
    if session.client.only_tries() {
        return session.say(&answer);
    }
    Ok(output::line(&format!("the controller is at {address}, in the network cluster ({range})"))?)
}

/// The address that this machine has now, where the controller's is none of its.
fn suggestion(old: Option<IpAddr>, is_quiet: bool) -> Result<Ipv4Net, Failure> {
    let is_here = |standing: &Standing| old == Some(IpAddr::V4(standing.address.addr()));
    if let Some(standing) = standing::all().iter().find(|standing| is_here(standing)) {
        return Ok(standing.address);
    }
    let found = standing::find(&[]).map(|found| found.address.to_string()).unwrap_or_default();
    let question = "Address of this controller, with the prefix of its network";
    let read = |text: &str| serve::address(text).map_err(Failure::usage);
    Asker::new(is_quiet)?.answer(None, question, &found, read)
}

/// What is asked of the daemon: in a network that has the address the controller alone moves; else its network does.
fn request(
    networks: &Map<String, Value>,
    old: Option<IpAddr>,
    new: Ipv4Net,
) -> Result<(String, Value), Failure> {
    let having = |address: IpAddr| {
        let has = |entry: &Value| {
            let range = entry.get("network").and_then(Value::as_str)?.parse::<IpNet>().ok()?;
            Some(range.contains(&address))
        };
        networks.iter().find(|(_, entry)| has(entry) == Some(true)).map(|(name, _)| name)
    };
    let address = new.addr().to_string();
    if having(IpAddr::V4(new.addr())).is_some() {
        let body = json!({ "config": { "cluster": { "controller": address } } });
        return Ok(("/config/cluster".to_owned(), body));
    }
    let range = new.trunc().to_string();
    match old.and_then(having) {
        Some(name) => {
            let wanted = json!({ "network": range, "controller": address });
            let body = json!({ "config": { "network": { name.clone(): wanted } } });
            Ok((format!("/config/network/{name}"), body))
        }
        None => Err(Failure::failed(format!(
            "no network has {address}, and the controller is in none; make one: perilune network add cluster --network {range}"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_range_that_is_suggested_leaves_the_controller_alone() {
        for (controller, range) in [
            ("10.141.255.254/16", Some("10.141.254.254-10.141.255.253")),
            ("10.141.0.1/16", Some("10.141.254.255-10.141.255.254")),
            ("192.168.7.1/24", Some("192.168.7.224-192.168.7.254")),
            ("192.168.7.240/24", Some("192.168.7.209-192.168.7.239")),
            ("192.168.7.1/30", None),
        ] {
            let suggested = suggested_range(controller.parse().unwrap());
            let suggested = suggested.map(|(first, last)| format!("{first}-{last}"));
            assert_eq!(suggested.as_deref(), range, "{controller}");
        }
    }

    #[test]
    fn a_range_that_is_none_of_the_network_is_refused() {
        let controller = "10.141.255.254/16".parse().unwrap();
        assert_eq!(range_of("none", controller).unwrap(), Served::Nodes);
        assert!(range_of("10.141.200.1 - 10.141.200.9", controller).is_ok());
        for text in
            ["", "10.141.200.1", "10.141.200.9-10.141.200.1", "10.142.0.1-10.142.0.9", "a-b"]
        {
            assert!(range_of(text, controller).is_err(), "{text}");
        }
    }

    #[test]
    fn the_controller_moves_within_its_networks_and_else_takes_its_network_along() {
        let networks = json!({ "cluster": { "network": "10.141.0.0/16" }, "ipmi": { "network": "10.148.0.0/16" }, "v6": { "network": null } });
        let networks = networks.as_object().unwrap();
        let old = "10.141.255.254".parse().ok();
        let to = |text: &str| request(networks, old, text.parse().unwrap()).unwrap();
        assert_eq!(to("10.148.0.9/16").0, "/config/cluster");
        let (path, body) = to("192.168.7.1/24");
        assert_eq!(path, "/config/network/cluster");
        let wanted = json!({ "network": "192.168.7.0/24", "controller": "192.168.7.1" });
        assert_eq!(body["config"]["network"]["cluster"], wanted);
        let nowhere = request(networks, None, "192.168.7.1/24".parse().unwrap());
        assert!(nowhere.unwrap_err().to_string().contains("perilune network add"));
    }
}
