//! Who is shown the menu, and what it lists.

use std::fs;

use perilune_boot::{Directories, Site, Templates};
use perilune_model::{Cluster, Draft, MacAddress};

use crate::cluster::{MAC, built_in, change_node, environment, node, small};

fn past_the_menu(draft: &Draft, asker: &str) -> Option<MacAddress> {
    let (templates, environment) = (built_in(), environment(draft));
    let site = Site { templates: &templates, environment: &environment, cluster: draft };
    site.past_the_menu(asker.parse().unwrap())
}

#[test]
fn a_node_that_asks_from_its_address_goes_past_the_menu() {
    assert_eq!(past_the_menu(&small(), "10.141.0.1"), Some(MAC.parse().unwrap()));
}

#[test]
fn a_node_that_wants_the_menu_and_whoever_is_unknown_gets_it() {
    let mut draft = small();
    change_node(&mut draft, |node| node.provisioning.bootmenu = Some(true));
    for asker in ["10.141.0.1", "10.141.0.2", "10.141.255.254", "10.141.3.1"] {
        assert_eq!(past_the_menu(&draft, asker), None, "{asker}");
    }
}

/// What a template of the site makes of the cluster.
fn rendered(cluster: &Cluster, template: &str) -> String {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("templ_boot_ipxe.cfg"), template).unwrap();
    let templates = Directories { templates: Some(directory.path().to_owned()), plugins: None };
    let (templates, environment) = (Templates::new(templates), environment(cluster));
    Site { templates: &templates, environment: &environment, cluster }.menu().unwrap()
}

#[test]
fn a_template_of_a_site_may_do_with_the_lists_what_it_can_with_any_list() {
    let mut draft = small();
    for (name, address, mac) in [
        ("a1", "10.141.0.3", Some("52:54:00:00:00:03")),
        ("n1", "10.141.0.4", None),
        ("z1", "10.141.0.5", Some("52:54:00:00:00:05")),
    ] {
        draft.put(node(name, address, mac)).unwrap();
    }
    for name in ["b1", "z0"] {
        let mut without = node(name, "10.141.0.6", None);
        without.interfaces.clear();
        draft.put(without).unwrap();
    }
    // Those with an interface BOOTIF come first, each kind in name order.
    for (template, expected) in [
        ("{{ NODES|join(' ') }}", "a1 n1 node001 node002 z1 b1 z0"),
        ("{{ AVAILABLE_NODES|join(' ') }}", "n1 node002 b1 z0"),
        ("{{ GROUPS|join(' ') }}", "compute"),
        ("{{ NODES|length }} {{ AVAILABLE_NODES|length }} {{ GROUPS|length }}", "7 4 1"),
        ("{{ NODES[0] }} {{ NODES[-1] }} {{ NODES[6] }}{{ NODES[7] }}", "a1 z0 z0"),
        ("{{ NODES|first }} {{ NODES|last }}", "a1 z0"),
        ("{{ NODES[4:6]|join(' ') }} {{ NODES[-2:]|join(' ') }}", "z1 b1 b1 z0"),
        ("{{ NODES[::-1]|join(' ') }}", "z0 b1 z1 node002 node001 n1 a1"),
        ("{{ NODES|reverse|join(' ') }}", "z0 b1 z1 node002 node001 n1 a1"),
        ("{{ NODES|sort|join(' ') }}", "a1 b1 n1 node001 node002 z0 z1"),
        ("{{ 'n1' in NODES }} {{ 'n2' in NODES }}", "True False"),
        ("{{ AVAILABLE_NODES }}", "['n1', 'node002', 'b1', 'z0']"),
        ("{{ AVAILABLE_NODES|tojson }}", r#"["n1", "node002", "b1", "z0"]"#),
        (
            "{% for n in NODES %}{{ loop.index }}/{{ loop.length }}{{ n if loop.last }} {% endfor %}",
            "1/7 2/7 3/7 4/7 5/7 6/7 7/7z0 ",
        ),
        ("{% if AVAILABLE_NODES %}yes{% endif %}", "yes"),
    ] {
        assert_eq!(rendered(&draft, template), expected, "{template}");
    }
    assert_eq!(rendered(&Cluster::default(), "{% if NODES %}yes{% else %}no{% endif %}"), "no");
}
