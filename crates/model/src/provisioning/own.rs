//! What a node says for itself, without a cost for the many that say nothing.

use std::ops::{Deref, DerefMut};
use std::sync::LazyLock;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::provisioning::Provisioning;

static NOTHING: LazyLock<Provisioning> = LazyLock::new(Provisioning::default);

/// What a node says for itself. It reads and is changed as [`Provisioning`]; of 50,000 nodes that leave all to their group, each would else
/// hold 400 bytes of nothing.
#[derive(Debug, Clone, Default)]
pub struct Own(Option<Box<Provisioning>>);

impl Own {
    /// What it says, to be changed; nothing when it says nothing.
    pub fn said(&mut self) -> Option<&mut Provisioning> {
        self.0.as_deref_mut()
    }
}

impl Deref for Own {
    type Target = Provisioning;

    fn deref(&self) -> &Provisioning {
        self.0.as_deref().unwrap_or(&NOTHING)
    }
}

impl DerefMut for Own {
    fn deref_mut(&mut self) -> &mut Provisioning {
        self.0.get_or_insert_default()
    }
}

impl From<Provisioning> for Own {
    fn from(said: Provisioning) -> Self {
        Self((said != *NOTHING).then(|| Box::new(said)))
    }
}

impl PartialEq for Own {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for Own {}

impl Serialize for Own {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (**self).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Own {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Provisioning::deserialize(deserializer).map(Self::from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_read_and_written_as_what_it_says_and_nothing_takes_no_memory() {
        let mut own = Own::default();
        let nothing = serde_json::to_string(&own).unwrap();
        assert_eq!(nothing, serde_json::to_string(&Provisioning::default()).unwrap());
        own.netboot = Some(false);
        let text = serde_json::to_string(&own).unwrap();
        assert_eq!(serde_json::from_str::<Own>(&text).unwrap(), own);
        own.netboot = None;
        assert_eq!(own, Own::default());
        assert!(serde_json::from_str::<Own>(&nothing).unwrap().0.is_none());
        assert!(Own::from(Provisioning::clone(&own)).0.is_none());
        assert!(size_of::<Own>() <= size_of::<usize>());
    }
}
