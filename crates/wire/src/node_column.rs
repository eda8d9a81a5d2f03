//! What tables say of nodes: a few texts of each, for lists of thousands.

use crate::fields::nearest;

macro_rules! columns {
    ($($variant:ident, $word:literal, $title:literal, $about:literal;)*) => {
        /// A column of a table of nodes.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum NodeColumn { $(#[doc = $about] $variant,)* }

        impl NodeColumn {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The word of requests and of the command line.
            pub fn word(self) -> &'static str {
                match self { $(Self::$variant => $word,)* }
            }

            /// The title over it.
            pub fn title(self) -> &'static str {
                match self { $(Self::$variant => $title,)* }
            }

            /// What it says.
            pub fn about(self) -> &'static str {
                match self { $(Self::$variant => $about,)* }
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
    Port, "port", "PORT", "The port of that switch.";
    Vendor, "vendor", "VENDOR", "Who made it.";
    Assettag, "assettag", "ASSETTAG", "The site's own number of it.";
    Labels, "labels", "LABELS", "Its labels, and those of its group.";
    Comment, "comment", "COMMENT", "The note.";
    Remark, "remark", "REMARK", "Why its installation failed; else the note.";
}

impl NodeColumn {
    /// The column of this word; else what was meant.
    pub fn read(word: &str) -> Result<Self, String> {
        let found = Self::ALL.iter().find(|column| column.word() == word);
        found.copied().ok_or_else(|| {
            match nearest(word, Self::ALL.iter().map(|column| column.word())) {
                Some(near) => format!("there is no column '{word}'; did you mean '{near}'?"),
                None => {
                    let all: Vec<&str> = Self::ALL.iter().map(|column| column.word()).collect();
                    format!("there is no column '{word}'; there are {}", all.join(", "))
                }
            }
        })
    }
}
