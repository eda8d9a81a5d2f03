//! The documented keys of `luna.ini`, and how their values are read.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;
use perilune_boot::Protocol;
use perilune_image::Readers;
use perilune_program::User;

use super::control::Control;
use super::ini::Ini;
use super::reference::LUNA_INI;
use crate::audit::Destination;
use crate::boots::Evidence;
use crate::prometheus;

/// What is built in for Prometheus.
const EXPORTERS: [&str; 4] =
    ["prometheus", "prometheus_rules", "prometheus_rules_settings", "prometheus_hw_rules"];
const GROUPS: &str = "/etc/group";
const DEFAULT_PORT: u16 = 7050;
const DAY: Duration = Duration::from_hours(24);
const LEVELS: [&str; 5] = ["debug", "info", "warning", "error", "critical"];

/// Keys that have no effect, each with the nearest that has.
pub(super) fn unknown(ini: &Ini) -> Vec<String> {
    let mut odd = Vec::new();
    for (name, section) in ini.sections() {
        let Some(known) = LUNA_INI.iter().find(|section| section.name == name) else {
            let sections: Vec<&str> = LUNA_INI.iter().map(|section| section.name).collect();
            if let Some(near) = nearest(name, &sections) {
                odd.push(format!(
                    "the section [{name}] is not known and has no effect; did you mean [{near}]?"
                ));
            }
            continue;
        };
        let known = known.names();
        for key in section.keys().filter(|key| !known.contains(&key.as_str())) {
            let hint = nearest(key, &known)
                .map_or_else(String::new, |near| format!("; did you mean {near}?"));
            odd.push(format!("[{name}] {key} is not known and has no effect{hint}"));
        }
    }
    odd
}

/// The known word that is most like this one, if any is.
pub(crate) fn nearest<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    perilune_wire::fields::nearest(word, known.iter().copied())
}

/// The first port that clients of torrents are used to.
const SEED_PORT: u16 = 6881;

/// Whom hooks run as. A daemon that is root runs them as `nobody`, unless the configuration names somebody; another runs them as itself.
pub(super) fn plugins_user(ini: &Ini) -> Result<Option<User>, String> {
    let named = ini.get("PLUGINS", "RUN_AS").filter(|name| !name.is_empty());
    if !nix::unistd::Uid::effective().is_root() {
        return Ok(None);
    }
    let name = named.unwrap_or("nobody");
    let known = nix::unistd::User::from_name(name).ok().flatten();
    match known {
        Some(user) if user.uid.is_root() => Ok(None),
        Some(user) => Ok(Some(User { user: user.uid.as_raw(), group: user.gid.as_raw() })),
        None if named.is_none() => Ok(None),
        None => {
            Err(format!("[PLUGINS] RUN_AS is '{name}'; write the name of a user of this machine"))
        }
    }
}

/// Where archives are seeded: where they have torrents, unless the port is 0.
pub(super) fn seed_port(ini: &Ini) -> Result<Option<u16>, String> {
    let has_torrents = boolean(ini, "TORRENT", "ENABLED")?.unwrap_or(false);
    let port = number(ini, "TORRENT", "SEED_PORT")?.unwrap_or(SEED_PORT);
    Ok(Some(port).filter(|port| has_torrents && *port != 0))
}

/// Words with commas or blanks between them.
pub(super) fn words(ini: &Ini, section: &str, key: &str) -> Vec<String> {
    let text = ini.get(section, key).unwrap_or_default();
    text.split([',', ' ', '\t', '\n']).filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

pub(super) fn protocol(ini: &Ini, section: &str) -> Result<Option<Protocol>, String> {
    match ini.get(section, "PROTOCOL") {
        None => Ok(None),
        Some("http") => Ok(Some(Protocol::Http)),
        Some("https") => Ok(Some(Protocol::Https)),
        Some(other) => Err(format!("[{section}] PROTOCOL is '{other}'; write http or https")),
    }
}

pub(super) fn number<T: std::str::FromStr>(
    ini: &Ini,
    section: &str,
    key: &str,
) -> Result<Option<T>, String> {
    let Some(text) = ini.get(section, key) else { return Ok(None) };
    let number = text.parse().ok();
    number
        .map(Some)
        .ok_or_else(|| format!("[{section}] {key} is '{text}'; write a whole number in its range"))
}

pub(super) fn boolean(ini: &Ini, section: &str, key: &str) -> Result<Option<bool>, String> {
    let Some(text) = ini.get(section, key) else { return Ok(None) };
    let value = perilune_plan::boolean(text);
    value.map(Some).ok_or_else(|| format!("[{section}] {key} is '{text}'; write yes or no"))
}

pub(super) fn seconds(ini: &Ini, section: &str, key: &str) -> Result<Option<Duration>, String> {
    let Some(text) = ini.get(section, key) else { return Ok(None) };
    let number = text.trim_end_matches('s').parse().ok().map(Duration::from_secs);
    number
        .map(Some)
        .ok_or_else(|| format!("[{section}] {key} is '{text}'; write seconds, such as 2s"))
}

/// What is configured of the limits of control: how many BMCs at once, how many begun with in a second, how many of a rack
/// switched on within how many seconds (`5/2s`), and how long a request may take.
pub(super) fn control(ini: &Ini) -> Result<Control, String> {
    let section = "BMCCONTROL";
    let inrush = match ini.get(section, "BMC_RACK_INRUSH") {
        None => None,
        Some(text) => {
            let wrong = || {
                format!(
                    "[{section}] BMC_RACK_INRUSH is '{text}'; write machines/seconds, such as 5/2s"
                )
            };
            let (machines, within) = text.split_once('/').ok_or_else(wrong)?;
            let within = within.trim_end_matches('s').parse().ok();
            let within = within.map(Duration::from_secs).ok_or_else(wrong)?;
            Some((machines.parse().ok().ok_or_else(wrong)?, within))
        }
    };
    Ok(Control {
        batch_size: number(ini, section, "BMC_BATCH_SIZE")?,
        batch_delay: seconds(ini, section, "BMC_BATCH_DELAY")?.unwrap_or_default(),
        concurrent: number(ini, section, "BMC_CONCURRENT")?,
        ramp: number(ini, section, "BMC_RAMP")?,
        rack_inrush: inrush,
        deadline: seconds(ini, section, "BMC_DEADLINE")?,
        authorities: ini.get(section, "BMC_AUTHORITIES").map(PathBuf::from),
    })
}

/// Who may read archives: one group by its name or number, or everybody.
pub(super) fn readers(ini: &Ini) -> Result<Readers, String> {
    let Some(text) = ini.get("FILES", "GROUP").map(str::trim).filter(|text| !text.is_empty())
    else {
        return Ok(Readers::Everybody);
    };
    let groups = std::fs::read_to_string(GROUPS).unwrap_or_default();
    let number = text.parse().ok().or_else(|| number_of(&groups, text));
    number.map(Readers::Group).ok_or_else(|| {
        format!("[FILES] GROUP is '{text}', which is no group of {GROUPS}; write its name, or the number of a group that is elsewhere")
    })
}

fn number_of(groups: &str, name: &str) -> Option<u32> {
    let mut lines = groups.lines().map(|line| line.split(':'));
    lines.find_map(|mut fields| {
        let is_meant = fields.next() == Some(name);
        fields.nth(1).filter(|_| is_meant)?.parse().ok()
    })
}

/// Addresses and networks, with commas.
pub(super) fn networks(ini: &Ini, section: &str, key: &str) -> Result<Vec<IpNet>, String> {
    let text = ini.get(section, key).unwrap_or_default();
    let words = text.split(',').map(str::trim).filter(|word| !word.is_empty());
    let read = |word: &str| {
        let network = word.parse().ok();
        network.or_else(|| word.parse().ok().map(|address: IpAddr| IpNet::from(address)))
    };
    let networks = words.map(|word| {
        read(word).ok_or_else(|| {
            format!(
                "[{section}] {key} has '{word}'; write addresses or networks, such as 127.0.0.1, 10.141.255.0/24"
            )
        })
    });
    networks.collect()
}

/// What `/export` tells: what the site says, or all that is built in and reveals no plugin.
pub(super) fn exporters(ini: &Ini) -> Vec<String> {
    listed(ini, "ALLOWED_EXPORTERS", &EXPORTERS)
}

/// What `/import` takes.
pub(super) fn importers(ini: &Ini) -> Vec<String> {
    // Targets are told and never taken.
    listed(ini, "ALLOWED_IMPORTERS", &EXPORTERS[1..])
}

fn listed(ini: &Ini, key: &str, usual: &[&str]) -> Vec<String> {
    match ini.get("PLUGINS", key) {
        Some(_) => words(ini, "PLUGINS", key),
        None => usual.iter().map(|word| (*word).to_owned()).collect(),
    }
}

/// Where the site's Prometheus is, and what runs on its nodes.
pub(super) fn prometheus(ini: &Ini) -> Result<prometheus::Settings, String> {
    let given = |key: &str, usual: &str| ini.get("PROMETHEUS", key).unwrap_or(usual).to_owned();
    let url = given("URL", "https://localhost:9090");
    if !url.starts_with("http://") && !url.starts_with("https://") {
        return Err(format!(
            "[PROMETHEUS] URL is '{url}'; write http:// or https://, a host and its port"
        ));
    }
    let exporter = |word: &str| {
        let exporter = word
            .split_once(':')
            .and_then(|(name, port)| Some((name.to_owned(), port.parse().ok()?)));
        exporter.ok_or_else(|| {
            format!("[PROMETHEUS] EXPORTERS has '{word}'; write names with ports, such as node:14200, ipmi:14202")
        })
    };
    let exporters =
        given("EXPORTERS", "node:14200, ipmi:14202, nvidia:14203, slurm_job:14207, lshw:14208");
    let exporters =
        exporters.split(',').map(str::trim).filter(|word| !word.is_empty()).map(exporter);
    Ok(prometheus::Settings {
        rules: PathBuf::from(given("RULES", "/trinity/local/etc/prometheus_server/rules")),
        url,
        exporters: exporters.collect::<Result<_, _>>()?,
    })
}

/// What shows that a boot is expected; `None` where the site does not say.
pub(super) fn evidence(ini: &Ini) -> Result<Option<BTreeSet<Evidence>>, String> {
    let Some(text) = ini.get("BOOT", "EVIDENCE") else { return Ok(None) };
    let words = Evidence::ALL.map(Evidence::word).join(", ");
    let wrong = |word: &str| format!("[BOOT] EVIDENCE has '{word}'; write some of {words}");
    let read = |word: &str| {
        let kind = Evidence::ALL.into_iter().find(|kind| kind.word().eq_ignore_ascii_case(word));
        kind.ok_or_else(|| wrong(word))
    };
    let kinds = text.split(',').map(str::trim).filter(|word| !word.is_empty()).map(read);
    let kinds: BTreeSet<Evidence> = kinds.collect::<Result<_, _>>()?;
    if kinds.is_empty() { Err(wrong("")) } else { Ok(Some(kinds)) }
}

/// Where the audit goes for collectors: `journal`, or the path of a file.
pub(super) fn audit(ini: &Ini) -> Result<Option<Destination>, String> {
    match ini.get("AUDIT", "LOG") {
        None => Ok(None),
        Some(word) if word.eq_ignore_ascii_case("journal") => Ok(Some(Destination::Journal)),
        Some(path) if path.starts_with('/') => Ok(Some(Destination::File(path.into()))),
        Some(other) => {
            Err(format!("[AUDIT] LOG is '{other}'; write journal, or the whole path of a file"))
        }
    }
}

/// How long a login is good for: `30m`, `1h`, `3600s`; a bare number is hours; nothing is a day.
pub(super) fn expiry(ini: &Ini) -> Result<Duration, String> {
    let Some(text) = ini.get("API", "EXPIRY") else { return Ok(DAY) };
    let (digits, factor) = match text.chars().last() {
        Some('s') => (text.trim_end_matches('s'), 1),
        Some('m') => (text.trim_end_matches('m'), 60),
        Some('h') => (text.trim_end_matches('h'), 3600),
        _ => (text, 3600),
    };
    let seconds =
        digits.parse::<u32>().ok().and_then(|number| u64::from(number).checked_mul(factor));
    seconds.filter(|seconds| *seconds > 0).map(Duration::from_secs).ok_or_else(|| {
        format!("[API] EXPIRY is '{text}'; write a number with h, m or s, such as 1h")
    })
}

pub(super) fn endpoint_port(ini: &Ini) -> Result<u16, String> {
    let Some(text) = ini.get("API", "ENDPOINT") else { return Ok(DEFAULT_PORT) };
    let Some((_, port)) = text.rsplit_once(':').filter(|(_, port)| !port.contains(']')) else {
        return Ok(DEFAULT_PORT);
    };
    let number = port.parse().ok();
    number.ok_or_else(|| {
        format!("[API] ENDPOINT is '{text}'; write host:port, such as controller:7050")
    })
}

/// The host of `ENDPOINT`, without the brackets of IPv6.
pub(super) fn endpoint_host(ini: &Ini) -> Option<String> {
    let text = ini.get("API", "ENDPOINT")?;
    let host = text.rsplit_once(':').filter(|(_, port)| !port.contains(']'));
    let host = host.map_or(text, |(host, _)| host).trim_matches(['[', ']']);
    (!host.is_empty()).then(|| host.to_owned())
}

pub(super) fn log_level(ini: &Ini) -> Result<String, String> {
    let level = ini.get("LOGGER", "LEVEL").unwrap_or("info").to_ascii_lowercase();
    if LEVELS.contains(&level.as_str()) {
        Ok(level)
    } else {
        Err(format!("[LOGGER] LEVEL is '{level}'; write one of {}", LEVELS.join(", ")))
    }
}
