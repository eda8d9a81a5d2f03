//! Who is shown the menu.

use perilune_boot::Site;
use perilune_model::{Draft, MacAddress};

use crate::cluster::{MAC, built_in, change_node, environment, small};

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
