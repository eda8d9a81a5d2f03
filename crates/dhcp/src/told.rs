//! What was said already, so that machines that ask again and again do not fill the log.

use std::collections::{BTreeMap, VecDeque};

/// As much is remembered; what was said first is forgotten first.
const REMEMBERED: usize = 1024;

/// What was said already.
#[derive(Debug, Default)]
pub(crate) struct Told {
    known: BTreeMap<String, u64>,
    order: VecDeque<String>,
}

impl Told {
    /// Whether this was not logged within this many milliseconds. Notes that it is logged now.
    pub(crate) fn is_new(&mut self, what: String, now: u64, again_after: u64) -> bool {
        if let Some(said) = self.known.get_mut(&what) {
            let is_old = now.saturating_sub(*said) >= again_after;
            if is_old {
                *said = now;
            }
            return is_old;
        }
        if self.order.len() >= REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
        self.order.push_back(what.clone());
        self.known.insert(what, now);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thing_is_told_once_in_a_time_and_memory_is_bounded() {
        let mut told = Told::default();
        assert!(told.is_new("a".to_owned(), 5, 10));
        assert!(!told.is_new("a".to_owned(), 14, 10));
        assert!(told.is_new("a".to_owned(), 15, 10));
        for number in 0..REMEMBERED {
            assert!(told.is_new(number.to_string(), 15, 10));
        }
        assert_eq!(told.known.len(), REMEMBERED);
        assert!(told.is_new("a".to_owned(), 15, 10), "it was forgotten");
    }
}
