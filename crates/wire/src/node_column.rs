//! What tables say of nodes: a few texts of each, for lists of thousands.

use perilune_model::node::Node;

use crate::fields::nearest;

/// A column that says what stands in a node, as it stands.
#[derive(Debug)]
pub struct Plain {
    word: &'static str,
    title: &'static str,
    /// What it says of a node.
    pub of: fn(&Node) -> Option<&str>,
}

/// There are no two of one word.
impl PartialEq for Plain {
    fn eq(&self, other: &Self) -> bool {
        self.word == other.word
    }
}

impl Eq for Plain {}

static PLAIN: [Plain; 3] = [
    Plain { word: "port", title: "PORT", of: |node| node.switchport.as_deref() },
    Plain { word: "vendor", title: "VENDOR", of: |node| node.vendor.as_deref() },
    Plain { word: "assettag", title: "ASSETTAG", of: |node| node.assettag.as_deref() },
];

macro_rules! columns {
    ($($variant:ident, $word:literal, $title:literal, $about:literal;)*) => {
        /// A column of a table of nodes.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum NodeColumn {
            $(#[doc = $about] $variant,)*
            /// What stands in the node.
            Plain(&'static Plain),
        }

        impl NodeColumn {
            /// All of them.
            pub fn all() -> impl Iterator<Item = Self> {
                [$(Self::$variant,)*].into_iter().chain(PLAIN.iter().map(Self::Plain))
            }

            /// The word of requests and of the command line.
            pub fn word(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)*
                    Self::Plain(plain) => plain.word,
                }
            }

            /// The title over it.
            pub fn title(self) -> &'static str {
                match self {
                    $(Self::$variant => $title,)*
                    Self::Plain(plain) => plain.title,
                }
            }
        }
    };
}

columns! {
    Name, "name", "NAME", "The name.";
    Status, "status", "STATUS", "The state that it last reported.";
    Since, "since", "SINCE", "Since when it is in this state, RFC 3339.";
    Failure, "failure", "FAILURE", "Why its installation failed, where it did.";
    Power, "power", "POWER", "`on` or `off`, as it was last seen.";
    Group, "group", "GROUP", "The group.";
    Image, "osimage", "OSIMAGE", "The image that it gets, its own or its group's.";
    Tag, "tag", "TAG", "The tag of that image.";
    Runs, "runs", "RUNS", "The image, and its tag, that it has installed; `older` when it would be told to install other files today.";
    Address, "address", "ADDRESS", "The address of the interface that it boots from.";
    Mac, "mac", "MAC", "The hardware address of that interface.";
    Bmc, "bmc", "BMC", "The address of its BMC.";
    Rack, "rack", "RACK", "The rack that it stands in.";
    Position, "position", "POSITION", "The unit there.";
    Switch, "switch", "SWITCH", "The switch that it hangs on.";
    Labels, "labels", "LABELS", "Its labels, and those of its group.";
    Comment, "comment", "COMMENT", "The note.";
    Remark, "remark", "REMARK", "Why its installation failed; else the note.";
}

impl NodeColumn {
    /// The column of this word; else what was meant.
    pub fn read(word: &str) -> Result<Self, String> {
        Self::all().find(|column| column.word() == word).ok_or_else(|| {
            match nearest(word, Self::all().map(Self::word)) {
                Some(near) => format!("there is no column '{word}'; did you mean '{near}'?"),
                None => format!("there is no column '{word}'; there are {}", Self::words()),
            }
        })
    }

    /// The words of all columns, with commas between them.
    pub fn words() -> String {
        Self::all().map(Self::word).collect::<Vec<_>>().join(", ")
    }
}
