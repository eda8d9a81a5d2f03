//! `bootstrap.ini`: the first cluster of a site.

use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};

use ipnet::IpNet;
use perilune_model::Name;
use perilune_model::bmc_setup::BmcSetup;
use perilune_model::bootstrap::{FirstController, FirstImage, FirstNetwork, Function, Request};
use perilune_model::controller::DEFAULT_PORT;
use perilune_model::network::parse_range;
use perilune_select::hostlist;

use crate::config::reference::BOOTSTRAP_INI;
use crate::config::{self, Ini};

/// As many further controllers as the file can name.
const FURTHER_CONTROLLERS: u32 = 9;

/// The section whose keys are the site's own.
const NETWORKS: &str = "NETWORKS";

/// The file that is read, when there is one: as the command line says, else beside the configuration.
pub(crate) fn find(given: Option<&Path>, configuration: &Path) -> Option<PathBuf> {
    if let Some(given) = given {
        return Some(given.to_owned());
    }
    let beside = configuration.with_file_name("bootstrap.ini");
    beside.exists().then_some(beside)
}

/// What the file says, and what is found in the tree of the image; `images` is where trees are that say no place.
pub(crate) fn read(file: &Path, images: &Path) -> Result<Request, config::Error> {
    let unreadable = |source| config::Error::File { path: file.to_owned(), action: "read", source };
    let text = std::fs::read_to_string(file).map_err(unreadable)?;
    let request = Ini::parse(&text).and_then(|ini| from_ini(&ini, images));
    request.map_err(|reason| config::Error::Value { path: file.to_owned(), reason })
}

/// Puts the file aside, so that its reader knows that it has done its work.
pub(crate) fn put_aside(file: &Path, seconds: u64) -> Result<PathBuf, config::Error> {
    let aside = file.with_file_name(format!("bootstrap-{seconds}.ini"));
    let failed = |source| config::Error::File { path: file.to_owned(), action: "renamed", source };
    std::fs::rename(file, &aside).map_err(failed)?;
    Ok(aside)
}

/// What does not stop the first cluster, and will not be as somebody may think.
pub(crate) fn odd(request: &Request) -> Vec<String> {
    let mut odd = Vec::new();
    let default = request.networks.iter().find(|network| network.function == Function::Default);
    if let (Some(network), Some(first)) = (default, request.controllers.first())
        && !IpNet::V4(network.range).contains(&first.address)
    {
        odd.push(format!(
            "[HOSTS] CONTROLLER {} is not in the default network {} ({}): machines are sent to an address that they may not reach",
            first.address, network.name, network.range
        ));
    }
    if let [_, further @ ..] = request.controllers.as_slice()
        && !further.is_empty()
    {
        let names: Vec<&str> = further.iter().map(|known| known.name.as_str()).collect();
        odd.push(format!(
            "[HOSTS] names further controllers ({}): they are described, but this version has no high availability and nothing runs there",
            names.join(", ")
        ));
    }
    if !request.nodes.is_empty() && request.group.is_none() {
        odd.push(
            "[HOSTS] NODELIST names nodes, and [GROUPS] NAME no group for them: they are not made"
                .to_owned(),
        );
    }
    odd
}

/// Refuses what is misspelt: half a cluster has to be found and removed by hand.
fn check_words(ini: &Ini) -> Result<(), String> {
    let sections: Vec<&str> = BOOTSTRAP_INI.iter().map(|section| section.name).collect();
    for (name, section) in ini.sections() {
        let Some(known) = BOOTSTRAP_INI.iter().find(|known| known.name == name) else {
            let hint = match config::nearest(name, &sections) {
                Some(near) => format!("did you mean [{near}]?"),
                None => format!("there are {}", sections.join(", ")),
            };
            return Err(format!("the section [{name}] is not known; {hint}"));
        };
        if *name == NETWORKS {
            continue;
        }
        let keys = known.names();
        if let Some(key) = section.keys().find(|key| !keys.contains(&key.as_str())) {
            let hint = match config::nearest(key, &keys) {
                Some(near) => format!("did you mean {near}?"),
                None => format!("there are {}", keys.join(", ")),
            };
            return Err(format!("[{name}] {key} is not known; {hint}"));
        }
    }
    Ok(())
}

pub(crate) fn from_ini(ini: &Ini, images: &Path) -> Result<Request, String> {
    check_words(ini)?;
    let list = |section: &str, key: &str| -> Vec<String> {
        let words = ini.get(section, key).unwrap_or_default().split([',', ' ']);
        words.filter(|word| !word.is_empty()).map(str::to_owned).collect()
    };
    let name = |section: &str, key: &str| {
        let text = ini.get(section, key);
        text.map(|text| {
            Name::general(text).map_err(|error| format!("[{section}] {key} '{text}': {error}"))
        })
        .transpose()
    };
    let forward = list("CLUSTER", "FORWARDSERVER_IP").into_iter().map(|word| {
        word.parse()
            .map_err(|_error| format!("[CLUSTER] FORWARDSERVER_IP: '{word}' is not an IP address"))
    });
    let networks =
        ini.section(NETWORKS).into_iter().flatten().map(|(name, value)| network(name, value));
    let nodes = ini.get("HOSTS", "NODELIST").map_or(Ok(Vec::new()), hostlist::expand);
    let nodes = nodes.map_err(|error| format!("[HOSTS] NODELIST: {error}"))?;
    let nodes = nodes.iter().map(|node| {
        Name::host(node).map_err(|error| format!("[HOSTS] NODELIST '{node}': {error}"))
    });
    Ok(Request {
        domain_search: list("CLUSTER", "DOMAIN_SEARCH"),
        forwardserver_ip: forward.collect::<Result<_, _>>()?,
        bind_legacy: is_yes(ini, "CLUSTER", "BIND_LEGACY")?,
        controllers: controllers(ini)?,
        serverport: match ini.get("HOSTS", "SERVERPORT") {
            None => DEFAULT_PORT,
            Some(text) => text
                .parse()
                .map_err(|_error| format!("[HOSTS] SERVERPORT '{text}' is not a port"))?,
        },
        nodes: nodes.collect::<Result<_, _>>()?,
        networks: networks.collect::<Result<_, _>>()?,
        group: name("GROUPS", "NAME")?,
        image: name("OSIMAGE", "NAME")?.map(|name| image(name, ini.get("OSIMAGE", "PATH"), images)),
        bmc_setup: bmc_setup(ini)?,
    })
}

fn is_yes(ini: &Ini, section: &str, key: &str) -> Result<bool, String> {
    let Some(text) = ini.get(section, key).filter(|text| !text.is_empty()) else {
        return Ok(false);
    };
    perilune_plan::boolean(text)
        .ok_or_else(|| format!("[{section}] {key} is '{text}'; write yes or no"))
}

fn controllers(ini: &Ini) -> Result<Vec<FirstController>, String> {
    let text = ini
        .get("HOSTS", "CONTROLLER")
        .ok_or("[HOSTS] CONTROLLER is missing; write NAME:ADDRESS")?;
    let mut controllers = vec![controller("CONTROLLER", text)?];
    for number in 1..=FURTHER_CONTROLLERS {
        let key = format!("CONTROLLER{number}");
        let Some(text) = ini.get("HOSTS", &key) else { continue };
        let further = controller(&key, text)?;
        let alone = is_yes(ini, "HA", "NO_SHAREDIP")?;
        if !(alone && controllers.iter().any(|known| known.address == further.address)) {
            controllers.push(further);
        }
    }
    Ok(controllers)
}

fn controller(key: &str, text: &str) -> Result<FirstController, String> {
    let wrong = |reason: String| {
        format!("[HOSTS] {key} '{text}': {reason}; write NAME:ADDRESS[:NETWORK[:SHADOW]]")
    };
    let mut parts = text.split(':').map(str::trim);
    let host = parts.next().unwrap_or_default();
    let host = host.split('.').next().unwrap_or(host).to_ascii_lowercase();
    let name = Name::host(&host).map_err(|error| wrong(error.to_string()))?;
    let address = parts.next().unwrap_or_default();
    let address: Ipv4Addr =
        address.parse().map_err(|_error| wrong(format!("'{address}' is not an IPv4 address")))?;
    let network = parts.next().filter(|network| !network.is_empty());
    let network =
        network.map(Name::domain).transpose().map_err(|error| wrong(error.to_string()))?;
    let shadow = parts.next().is_some_and(|word| word.eq_ignore_ascii_case("shadow"));
    Ok(FirstController { name, address: IpAddr::V4(address), network, shadow })
}

fn network(key: &str, text: &str) -> Result<FirstNetwork, String> {
    let wrong = |reason: &str| {
        format!(
            "[NETWORKS] {key} = '{text}': {reason}; write FUNCTION:TYPE:SUBNET[:DHCP:BEGIN-END[:SHARED]]"
        )
    };
    let parts: Vec<&str> = text.split(':').map(str::trim).collect();
    let part = |position: usize| parts.get(position).copied().filter(|part| !part.is_empty());
    let function = match part(0).ok_or_else(|| wrong("the function is missing"))? {
        "default" => Function::Default,
        "bmc" => Function::Bmc,
        _ => Function::Other,
    };
    let range = part(2).ok_or_else(|| wrong("the subnet is missing"))?;
    let range = match parse_range(range).map_err(|reason| wrong(&reason))? {
        IpNet::V4(range) => range,
        IpNet::V6(_) => return Err(wrong("the subnet is one of IPv6")),
    };
    let dhcp = part(3).filter(|word| word.eq_ignore_ascii_case("dhcp")).map(|_| {
        let (begin, end) = part(4)
            .and_then(|range| range.split_once('-'))
            .ok_or_else(|| wrong("the DHCP range is missing"))?;
        let parse = |text: &str| {
            text.trim().parse().map_err(|_error| wrong("the DHCP range has a wrong address"))
        };
        Ok::<_, String>((parse(begin)?, parse(end)?))
    });
    let shared =
        part(5).map(Name::domain).transpose().map_err(|error| wrong(&error.to_string()))?;
    Ok(FirstNetwork {
        name: Name::domain(&key.to_ascii_lowercase()).map_err(|error| wrong(&error.to_string()))?,
        function,
        r#type: part(1).unwrap_or("ethernet").to_owned(),
        range,
        dhcp: dhcp.transpose()?,
        shared,
    })
}

fn image(name: Name, path: Option<&str>, images: &Path) -> FirstImage {
    let tree = images.join(path.unwrap_or(name.as_str()));
    FirstImage {
        kernelversion: perilune_image::newest_kernel_version(&tree).ok(),
        distribution: perilune_image::distribution(&tree),
        path: path.map(str::to_owned),
        name,
    }
}

fn bmc_setup(ini: &Ini) -> Result<Option<BmcSetup>, String> {
    if ini.section("BMCSETUP").is_none() {
        return Ok(None);
    }
    let name = ini.get("BMCSETUP", "NAME").unwrap_or("compute");
    let name = Name::general(name).map_err(|error| format!("[BMCSETUP] NAME '{name}': {error}"))?;
    Ok(Some(BmcSetup {
        name,
        userid: 2,
        username: ini.get("BMCSETUP", "USERNAME").unwrap_or_default().to_owned(),
        password: ini.get("BMCSETUP", "PASSWORD").unwrap_or_default().to_owned(),
        netchannel: 1,
        mgmtchannel: 1,
        ..BmcSetup::default()
    }))
}

#[cfg(test)]
mod tests {
    use perilune_model::{Cluster, Draft, Family, bootstrap};

    use super::*;

    const SITE: &str = "[CLUSTER]\nDOMAIN_SEARCH = cluster, ipmi\nFORWARDSERVER_IP = 8.8.8.8\n\
        [HOSTS]\nCONTROLLER = Controller1.example.org:10.141.255.254\nCONTROLLER1 = controller2:10.141.255.253::SHADOW\n\
        SERVERPORT = 7051\nNODELIST = node[001-004]\n\
        [NETWORKS]\ncluster = default:ethernet:10.141.0.0/16:DHCP:10.141.155.0-10.141.165.0\n\
        ipmi = bmc:ethernet:10.148.0.0/16:DHCP:10.148.155.0-10.148.165.0:cluster\nib = ib:infiniband:10.149.0.0/16\n\
        [GROUPS]\nNAME = compute\n[OSIMAGE]\nNAME = compute\nPATH = /no/such/tree\n\
        [BMCSETUP]\nNAME = compute\nUSERNAME = admin\nPASSWORD = pass\n";

    fn made(text: &str) -> Result<Cluster, String> {
        let request = from_ini(&Ini::parse(text)?, Path::new("/no/images"))?;
        let mut draft = Draft::new(&Cluster::default());
        bootstrap::first_cluster(&mut draft, &request).map_err(|error| error.to_string())?;
        Ok(draft.finish().0)
    }

    #[test]
    fn a_sites_file_makes_its_cluster() {
        let cluster = made(SITE).unwrap();
        let beacon = cluster.beacon().unwrap();
        assert_eq!((beacon.name.as_str(), beacon.serverport), ("controller1", 7051));
        assert!(cluster.controller("controller2").unwrap().shadow);
        let network = cluster.network("cluster").unwrap();
        assert!(network.dhcp);
        assert_eq!(
            (network.gateway, network.gateway_metric),
            ("10.141.255.254".parse().ok(), Some(101))
        );
        assert_eq!(cluster.network("ib").unwrap().r#type.as_deref(), Some("infiniband"));
        let node = cluster.node("node004").unwrap();
        let address = |interface: &str| {
            node.interface(interface).and_then(|known| known.addresses.get(Family::V4))
        };
        assert_eq!(address("BOOTIF"), "10.141.0.4".parse().ok());
        assert_eq!(address("BMC"), "10.148.0.4".parse().ok());
        assert_eq!(cluster.group("compute").unwrap().provisioning.setupbmc, Some(true));
        assert_eq!(cluster.image("compute").unwrap().path.as_deref(), Some("/no/such/tree"));
    }

    #[test]
    fn the_image_is_known_by_its_tree_and_the_group_says_no_more_than_the_file() {
        let images = tempfile::tempdir().unwrap();
        let tree = images.path().join("compute");
        for version in ["6.1.0-9-test", "6.1.0-10-test"] {
            std::fs::create_dir_all(tree.join("lib/modules").join(version).join("kernel")).unwrap();
        }
        std::fs::create_dir(tree.join("etc")).unwrap();
        std::fs::write(tree.join("etc/os-release"), "ID=debian\n").unwrap();
        // With its place, and without: then it is in the images' directory.
        let place = format!("PATH = {}", tree.display());
        for text in [
            SITE.replace("PATH = /no/such/tree", &place),
            SITE.replace("PATH = /no/such/tree\n", ""),
        ] {
            let request = from_ini(&Ini::parse(&text).unwrap(), images.path()).unwrap();
            let mut draft = Draft::new(&Cluster::default());
            bootstrap::first_cluster(&mut draft, &request).unwrap();
            let image = draft.image("compute").unwrap();
            assert_eq!(image.distribution.as_deref(), Some("debian"));
            assert_eq!(image.kernelversion.as_deref(), Some("6.1.0-10-test"));
            let group = &draft.group("compute").unwrap().provisioning;
            assert_eq!((group.bootmenu, group.kernel_arguments()), (None, None));
        }
    }

    #[test]
    fn what_is_wrong_is_told_with_its_section_and_key() {
        for (from, to, expected) in [
            (
                "CONTROLLER = Controller1.example.org:10.141.255.254\n",
                "",
                "[HOSTS] CONTROLLER is missing",
            ),
            ("10.141.0.0/16", "10.141.0.0/99", "[NETWORKS] CLUSTER"),
            ("10.141.155.0-10.141.165.0", "10.142.0.1-10.142.0.9", "dhcp_range_begin"),
            ("node[001-004]", "node[001-", "[HOSTS] NODELIST"),
            ("SERVERPORT = 7051", "SERVERPORT = seven", "[HOSTS] SERVERPORT"),
            ("NODELIST", "NODELST", "[HOSTS] NODELST is not known; did you mean NODELIST?"),
            ("[NETWORKS]", "[NETWROKS]", "[NETWROKS] is not known; did you mean [NETWORKS]?"),
            ("[HOSTS]", "[ZZZ]", "[ZZZ] is not known; there are CLUSTER, HOSTS"),
        ] {
            let error = made(&SITE.replace(from, to)).unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn what_may_not_be_meant_is_told() {
        let odd_of = |text: &str| {
            odd(&from_ini(&Ini::parse(text).unwrap(), Path::new("/no/images")).unwrap())
        };
        let alone = SITE.replace("CONTROLLER1 = controller2:10.141.255.253::SHADOW\n", "");
        assert_eq!(odd_of(&alone), Vec::<String>::new());
        let [further] = odd_of(SITE).try_into().unwrap();
        assert!(further.contains("controller2") && further.contains("availability"), "{further}");
        let [outside] = odd_of(&alone.replace("10.141.255.254", "10.1.1.1")).try_into().unwrap();
        assert!(outside.contains("10.1.1.1 is not in the default network cluster"), "{outside}");
        let [nobody] = odd_of(&alone.replace("[GROUPS]\nNAME = compute\n", "")).try_into().unwrap();
        assert!(nobody.contains("NODELIST"), "{nobody}");
    }
}
