//! The order in which people count: `n2` before `n10`.

use std::cmp::Ordering;

/// Compares as people do: runs of digits by their value, everything else by its characters. Equal only where the texts are.
pub fn compare(one: &str, other: &str) -> Ordering {
    let (mut left, mut right) = (one.as_bytes(), other.as_bytes());
    loop {
        match (left.split_first(), right.split_first()) {
            (None, None) => return one.cmp(other),
            (None, Some(_)) => return Ordering::Less,
            (Some(_), None) => return Ordering::Greater,
            (Some((a, rest_of_left)), Some((b, rest_of_right))) => {
                if a.is_ascii_digit() && b.is_ascii_digit() {
                    let (number, after) = leading_number(left);
                    let (other_number, other_after) = leading_number(right);
                    let order =
                        number.len().cmp(&other_number.len()).then(number.cmp(other_number));
                    if order.is_ne() {
                        return order;
                    }
                    (left, right) = (after, other_after);
                } else if a == b {
                    (left, right) = (rest_of_left, rest_of_right);
                } else {
                    return a.cmp(b);
                }
            }
        }
    }
}

/// The digits at the start, without zeros before them, and what follows. However long: no number is too large to be compared.
fn leading_number(text: &[u8]) -> (&[u8], &[u8]) {
    let end = text.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(text.len());
    let (digits, rest) = text.split_at(end);
    let zeros = digits.iter().position(|byte| *byte != b'0').unwrap_or(digits.len());
    (digits.split_at(zeros).1, rest)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::compare;

    #[test]
    fn numbers_count_by_their_value() {
        let mut names = [
            "n10",
            "n2",
            "n1",
            "n002",
            "m9",
            "n2b",
            "n2a",
            "n",
            "99999999999999999999",
            "100000000000000000000",
        ];
        names.sort_by(|one, other| compare(one, other));
        assert_eq!(
            names,
            [
                "99999999999999999999",
                "100000000000000000000",
                "m9",
                "n",
                "n1",
                "n002",
                "n2",
                "n2a",
                "n2b",
                "n10"
            ]
        );
    }

    proptest! {
        #[test]
        fn it_is_an_order(texts in prop::collection::vec("[a0-2é]{0,5}", 3)) {
            let [a, b, c] = [&texts[0], &texts[1], &texts[2]];
            prop_assert_eq!(compare(a, b), compare(b, a).reverse());
            prop_assert_eq!(compare(a, b).is_eq(), a == b);
            if compare(a, b).is_le() && compare(b, c).is_le() {
                prop_assert!(compare(a, c).is_le(), "{} {} {}", a, b, c);
            }
        }
    }
}
