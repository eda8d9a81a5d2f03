//! The keys of `bootstrap.ini`.

use super::{Section, key};

/// `bootstrap.ini`, the first cluster of a site.
pub const BOOTSTRAP_INI: &[Section] = &[
    Section {
        name: "CLUSTER",
        about: "The cluster as a whole.",
        keys: &[
            key(
                "DOMAIN_SEARCH",
                "the networks",
                "domains that nodes look names up in, with commas",
            ),
            key("FORWARDSERVER_IP", "", "name servers that are asked for other names, with commas"),
            key("BIND_LEGACY", "no", "kept for existing tools"),
        ],
    },
    Section {
        name: "HOSTS",
        about: "Controllers and nodes.",
        keys: &[
            key("CONTROLLER", "required", "`NAME:ADDRESS[:NETWORK]`"),
            key(
                "CONTROLLER1",
                "",
                "a further controller, `NAME:ADDRESS[:NETWORK[:SHADOW]]`: described, nothing runs there; so are `CONTROLLER2` to `CONTROLLER9`",
            ),
            key("CONTROLLER2", "", "likewise"),
            key("CONTROLLER3", "", "likewise"),
            key("CONTROLLER4", "", "likewise"),
            key("CONTROLLER5", "", "likewise"),
            key("CONTROLLER6", "", "likewise"),
            key("CONTROLLER7", "", "likewise"),
            key("CONTROLLER8", "", "likewise"),
            key("CONTROLLER9", "", "likewise"),
            key("SERVERPORT", "7050", "the port of the controllers' API"),
            key(
                "NODELIST",
                "",
                "the first nodes, such as `node[001-004]`; they need `[GROUPS] NAME`",
            ),
        ],
    },
    Section {
        name: "NETWORKS",
        about: "Each key is a network's name, with `FUNCTION:TYPE:SUBNET[:DHCP:BEGIN-END[:SHARED]]`. The function is `default` (nodes boot there), `bmc`, or any \
                other word; the type is `ethernet` or `infiniband`.",
        keys: &[],
    },
    Section { name: "GROUPS", about: "The first group.", keys: &[key("NAME", "", "its name")] },
    Section {
        name: "OSIMAGE",
        about: "The first image.",
        keys: &[
            key("NAME", "", "its name"),
            key("PATH", "its name in `IMAGE_DIRECTORY`", "its tree"),
        ],
    },
    Section {
        name: "BMCSETUP",
        about: "The first BMC setup.",
        keys: &[
            key("NAME", "compute", "its name"),
            key("USERNAME", "", "a user of the BMCs"),
            key("PASSWORD", "", "the user's password"),
        ],
    },
    Section {
        name: "HA",
        about: "More than one controller. This version has no high availability.",
        keys: &[key(
            "NO_SHAREDIP",
            "no",
            "leaves out further controllers that have the address of an earlier one",
        )],
    },
];
