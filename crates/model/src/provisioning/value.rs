//! What is said about a setting, whatever its type.

use std::fmt::{self, Display};

use super::{
    BootOrder, Hosts, InstallPolicy, IpxeKernel, ProvisionMethod, TagChoice, UnmanagedUsers, Wipe,
};
use crate::{Name, Words};

/// What is said about a setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SettingValue<'a> {
    /// A text, a name, or a word of the API.
    Text(&'a str),
    /// Yes or no.
    Flag(bool),
    /// A list.
    Words(&'a Words),
}

/// As requests take it.
impl Display for SettingValue<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            Self::Flag(flag) => flag.fmt(f),
            Self::Words(words) => words.fmt(f),
        }
    }
}

/// The type of a setting.
pub(super) trait SettingType {
    /// The value as it is said.
    fn value(&self) -> SettingValue<'_>;
}

impl SettingType for bool {
    fn value(&self) -> SettingValue<'_> {
        SettingValue::Flag(*self)
    }
}

impl SettingType for Words {
    fn value(&self) -> SettingValue<'_> {
        SettingValue::Words(self)
    }
}

macro_rules! texts {
    ($($type:ty: $text:expr;)*) => {
        $(impl SettingType for $type {
            fn value(&self) -> SettingValue<'_> {
                let text: fn(&Self) -> &str = $text;
                SettingValue::Text(text(self))
            }
        })*
    };
}

texts! {
    String: |text| text;
    Name: Name::as_str;
    TagChoice: TagChoice::word;
    ProvisionMethod: ProvisionMethod::word;
    IpxeKernel: |kernel| kernel.word();
    UnmanagedUsers: |users| users.word();
    InstallPolicy: |policy| policy.word();
    Wipe: |wipe| wipe.word();
    BootOrder: |order| order.word();
    Hosts: |hosts| hosts.word();
}
