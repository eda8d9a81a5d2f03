//! What was said already, so that a machine that asks again and again does not fill the log.

use std::collections::{BTreeSet, VecDeque};

/// As much is remembered; what was said first is forgotten first.
const REMEMBERED: usize = 1024;

/// What was said already.
#[derive(Debug, Default)]
pub(crate) struct Told {
    known: BTreeSet<String>,
    order: VecDeque<String>,
}

impl Told {
    /// Whether this was not said before. From now on it was.
    pub(crate) fn is_new(&mut self, what: String) -> bool {
        if self.known.contains(&what) {
            return false;
        }
        if self.order.len() >= REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
        self.order.push_back(what.clone());
        self.known.insert(what)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thing_is_told_once_and_memory_is_bounded() {
        let mut told = Told::default();
        assert!(told.is_new("a".to_owned()));
        assert!(!told.is_new("a".to_owned()));
        for number in 0..REMEMBERED {
            assert!(told.is_new(number.to_string()));
        }
        assert_eq!(told.known.len(), REMEMBERED);
        assert!(told.is_new("a".to_owned()), "it was forgotten");
    }
}
