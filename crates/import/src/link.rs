//! What an interface is, beside its addresses: of nodes and of groups.

use perilune_model::interface::Link;

use crate::reading::Reading;

/// Reads MTU, VLAN, bond and options. What cannot be together is taken apart, and noted.
pub(crate) fn link(reading: &mut Reading<'_>) -> Link {
    let mut link = Link {
        mtu: reading.number("mtu"),
        vlanid: reading.number("vlanid"),
        vlan_parent: reading.text("vlan_parent"),
        bond_mode: reading.text("bond_mode"),
        bond_slaves: reading.list("bond_slaves"),
        options: reading.text("options"),
    };
    // Every round unsets a field that was set, so that there are few.
    while let Some(violation) = link.violations().into_iter().next() {
        match violation.field.as_str() {
            "mtu" => link.mtu = None,
            "vlanid" => link.vlanid = None,
            "vlan_parent" => link.vlan_parent = None,
            _ => {
                link.bond_mode = None;
                link.bond_slaves.clear();
            }
        }
        reading.odd(&violation.field, format!("{}; read as unset", violation.reason));
    }
    link
}
