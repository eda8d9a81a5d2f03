//! The kinds of objects that a cluster is made of.

use std::fmt;

macro_rules! kinds {
    ($($variant:ident, $word:literal, $shown:literal;)*) => {
        /// The kinds of objects.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Kind { $(#[doc = $shown] $variant,)* }

        impl Kind {
            /// All kinds, in an order in which what is referred to comes first.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The word that the store knows the kind by.
            pub fn word(self) -> &'static str {
                match self { $(Self::$variant => $word,)* }
            }

            /// The kind that the store knows by this word.
            pub fn from_word(word: &str) -> Option<Self> {
                match word { $($word => Some(Self::$variant),)* _ => None }
            }
        }

        impl fmt::Display for Kind {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.pad(match self { $(Self::$variant => $shown,)* })
            }
        }
    };
}

kinds! {
    Settings, "cluster", "cluster";
    Route, "route", "route";
    Network, "network", "network";
    Controller, "controller", "controller";
    Image, "osimage", "OS image";
    BmcSetup, "bmcsetup", "BMC setup";
    Switch, "switch", "switch";
    OtherDevice, "otherdev", "other device";
    Cloud, "cloud", "cloud";
    Group, "group", "group";
    Node, "node", "node";
    DnsHosts, "dns", "list of DNS hosts of network";
    NodeSecrets, "nodesecrets", "list of secrets of node";
    NodeIdentity, "nodeidentity", "identity of node";
    GroupSecrets, "groupsecrets", "list of secrets of group";
    ClusterSecrets, "clustersecrets", "list of secrets of";
    Rack, "rack", "rack";
    Placement, "rackinventory", "rack inventory entry";
    Reservation, "reservation", "reservation";
    ClaimRule, "claimrule", "rule for claims";
    User, "user", "user";
    ApiToken, "apitoken", "API token";
}
