//! Which packets of a session have been seen: a packet that comes twice, or very late, is dropped (IPMI 2.0, 6.12.13).

/// How far behind the newest a packet may come.
const WIDTH: u32 = 32;

#[derive(Clone, Debug, Default)]
pub struct Window {
    newest: u32,
    /// Bit n: whether `newest - n` was seen.
    seen: u32,
}

impl Window {
    /// Whether a packet with this number is new; notes it.
    pub fn accept(&mut self, number: u32) -> bool {
        // Zero is for packets outside sessions.
        if number == 0 {
            return false;
        }
        if number > self.newest {
            self.seen = self.seen.checked_shl(number - self.newest).unwrap_or(0) | 1;
            self.newest = number;
            return true;
        }
        let behind = self.newest - number;
        let bit = 1_u32.checked_shl(behind).unwrap_or(0);
        let is_new = behind < WIDTH && self.seen & bit == 0;
        self.seen |= bit;
        is_new
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn packets_may_come_out_of_order_but_once() {
        let mut window = Window::default();
        let accepted: Vec<bool> =
            [1, 3, 2, 2, 3, 40, 8, 9, 0].into_iter().map(|number| window.accept(number)).collect();
        assert_eq!(accepted, [true, true, true, false, false, true, false, true, false]);
    }

    proptest! {
        #[test]
        fn nothing_is_accepted_twice(numbers in proptest::collection::vec(0..80u32, 0..200)) {
            let mut window = Window::default();
            let mut accepted = BTreeSet::new();
            for number in numbers {
                if window.accept(number) {
                    prop_assert!(accepted.insert(number));
                }
            }
        }
    }
}
