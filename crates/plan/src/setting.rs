//! Texts of settings that the installer acts on, each with what it may be.

use std::str::FromStr;
use std::time::Duration;

use crate::whole_number;

/// How long something may take: a number and `s`, `m`, `h` or `d`, such as `90m`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span(pub Duration);

/// Why a text is no setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotASetting(String);

impl std::fmt::Display for NotASetting {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl std::error::Error for NotASetting {}

const LONGEST_SPAN: u64 = 7 * 24 * 60 * 60;
const LONGEST_NAME: usize = 64;

impl FromStr for Span {
    type Err = NotASetting;

    fn from_str(text: &str) -> Result<Self, NotASetting> {
        let refuse = || {
            let text: String = text.chars().take(LONGEST_NAME).collect();
            NotASetting(format!(
                "'{text}' is not a time; write a number and s, m, h or d, such as 90m, up to 7d"
            ))
        };
        let lower = text.trim().to_ascii_lowercase();
        let units = [('s', 1), ('m', 60), ('h', 3600), ('d', 86_400)];
        let found = units.into_iter().find_map(|(unit, factor)| {
            lower.strip_suffix(unit).map(|digits| (digits.trim_end().to_owned(), factor))
        });
        let (digits, factor) = found.ok_or_else(refuse)?;
        let number = whole_number(&digits).ok_or_else(refuse)?;
        let seconds = number.checked_mul(factor).filter(|all| (1..=LONGEST_SPAN).contains(all));
        seconds.map(|seconds| Self(Duration::from_secs(seconds))).ok_or_else(refuse)
    }
}

/// Whether a text can be the name of a time zone: a path below `/usr/share/zoneinfo`, such as `Europe/Amsterdam`.
pub fn check_timezone(text: &str) -> Result<(), String> {
    let is_fit = |part: &str| {
        let plain = |c: char| c.is_ascii_alphanumeric() || "_-+".contains(c);
        !part.is_empty() && part.chars().all(plain)
    };
    if text.len() <= LONGEST_NAME && text.split('/').all(is_fit) {
        return Ok(());
    }
    Err("it must be a time zone, such as UTC or Europe/Amsterdam".to_owned())
}

/// Whether a text can be the name of a locale, such as `en_US.UTF-8`.
pub fn check_locale(text: &str) -> Result<(), String> {
    let is_fit = |c: char| c.is_ascii_alphanumeric() || "_.@-".contains(c);
    let begins = text.chars().next().is_some_and(|c| c.is_ascii_alphabetic());
    if begins && text.len() <= LONGEST_NAME && text.chars().all(is_fit) {
        return Ok(());
    }
    Err("it must be a locale, such as C.UTF-8 or en_US.UTF-8".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_numbers_with_a_unit() {
        let seconds = |text: &str| text.parse::<Span>().map(|span| span.0.as_secs()).ok();
        let read = ["90m", "2h", "1d", "30s", " 5 M "].map(seconds);
        assert_eq!(read, [5400, 7200, 86_400, 30, 300].map(Some));
        for wrong in ["", "h", "2", "0s", "-1h", "8d", "99999999999999999999d", "2h30m", "\u{e9}"] {
            assert_eq!(seconds(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn names_lead_nowhere_else() {
        for good in ["UTC", "Europe/Amsterdam", "America/Argentina/Buenos_Aires", "Etc/GMT+5"] {
            assert!(check_timezone(good).is_ok(), "{good}");
        }
        for wrong in ["", "/etc/passwd", "../passwd", "a//b", "a/..", "UTC\n", "a b", "a;b"] {
            assert!(check_timezone(wrong).is_err(), "{wrong}");
        }
        for good in ["C", "POSIX", "C.UTF-8", "en_US.UTF-8", "de_DE@euro"] {
            assert!(check_locale(good).is_ok(), "{good}");
        }
        for wrong in ["", "-x", "en US", "a\nLD_PRELOAD=x", "$(x)", "../x"] {
            assert!(check_locale(wrong).is_err(), "{wrong}");
        }
    }
}
