//! A set of numbers kept as merged intervals, so that the first gap is found in logarithmic time.

use imbl::OrdMap;

/// A set of numbers as disjoint, non-adjacent intervals: first → last, both inclusive.
#[derive(Clone, Default, Debug, PartialEq, Eq)]
pub(crate) struct Intervals(OrdMap<u128, u128>);

impl Intervals {
    /// Adds a number.
    pub(crate) fn insert(&mut self, number: u128) {
        if self.around(number).is_some() {
            return;
        }
        let (mut first, mut last) = (number, number);
        if let Some((begin, _)) = number.checked_sub(1).and_then(|left| self.around(left)) {
            self.0.remove(&begin);
            first = begin;
        }
        if let Some((begin, end)) = number.checked_add(1).and_then(|right| self.around(right)) {
            self.0.remove(&begin);
            last = end;
        }
        self.0.insert(first, last);
    }

    /// Removes a number.
    pub(crate) fn remove(&mut self, number: u128) {
        let Some((first, last)) = self.around(number) else { return };
        self.0.remove(&first);
        if first < number {
            self.0.insert(first, number - 1);
        }
        if number < last {
            self.0.insert(number + 1, last);
        }
    }

    /// The last number of the interval that contains `number`.
    pub(crate) fn end_of_run(&self, number: u128) -> Option<u128> {
        self.around(number).map(|(_, last)| last)
    }

    /// The lowest and the highest number.
    pub(crate) fn bounds(&self) -> Option<(u128, u128)> {
        let ((first, _), (_, last)) = self.0.get_min().zip(self.0.get_max())?;
        Some((*first, *last))
    }

    /// Whether there are no numbers.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many numbers there are.
    pub(crate) fn count(&self) -> u128 {
        self.0.iter().map(|(first, last)| last - first + 1).sum()
    }

    fn around(&self, number: u128) -> Option<(u128, u128)> {
        let (first, last) = self.0.get_prev(&number)?;
        (number <= *last).then_some((*first, *last))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_is_a_set_of_numbers(steps in prop::collection::vec((any::<bool>(), 0_u128..40), 0..120)) {
            let mut intervals = Intervals::default();
            let mut oracle = BTreeSet::new();
            for (add, number) in steps {
                if add {
                    intervals.insert(number);
                    oracle.insert(number);
                } else {
                    intervals.remove(number);
                    oracle.remove(&number);
                }
                prop_assert_eq!(intervals.count(), oracle.len() as u128);
                let bounds = oracle.first().copied().zip(oracle.last().copied());
                prop_assert_eq!(intervals.bounds(), bounds);
                for number in 0..41 {
                    let run = (number..41).take_while(|n| oracle.contains(n)).last();
                    prop_assert_eq!(intervals.end_of_run(number), run);
                }
            }
        }
    }
}
