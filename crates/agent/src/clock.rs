//! The machine's clock. One that has stopped, as of a machine whose battery is empty, says that no certificate is valid yet.
#![expect(clippy::disallowed_methods, reason = "the agent is an edge, and this is its clock")]

use std::fs;
use std::time::{SystemTime, UNIX_EPOCH};

use rustix::time::{ClockId, Timespec, clock_settime};

use crate::console::Console;

/// Written by packing: when that was.
const PACKED: &str = "/etc/perilune-packed";
/// A clock may be as much behind that of the controller.
const BEHIND: u64 = 60;
/// A plan takes a moment to come; what is less than this off is left to the node's time program.
const OFF: u64 = 5;

/// Sets the clock forward to what the boot script says, or else to when the image was packed. It is never set back: then it is later than
/// anybody here knows.
pub fn set_forward(told: Option<u64>, console: &Console) {
    let packed = packed();
    let now = seconds();
    if let Some(time) = later(now, told, packed) {
        set(now, time, console);
    }
}

/// Sets the clock to what the plan says, forward or back: whoever gives the plan decides all else of the node, too. A controller that
/// believes that it is earlier than when its image was packed is not believed.
pub fn set_as_told(told: u64, console: &Console) {
    let packed = packed().unwrap_or(0);
    let now = seconds();
    if told != 0 && told >= packed && now.abs_diff(told) > OFF {
        set(now, told, console);
    }
}

fn packed() -> Option<u64> {
    fs::read_to_string(PACKED).ok().and_then(|text| text.trim().parse().ok())
}

fn set(now: u64, time: u64, console: &Console) {
    let Ok(tv_sec) = i64::try_from(time) else { return };
    let (stood, set) = (date(now), date(time));
    match clock_settime(ClockId::Realtime, Timespec { tv_sec, tv_nsec: 0 }) {
        Ok(()) => console.line(&format!("the clock stood at {stood} and is set to {set}")),
        Err(error) => {
            console.warning(&format!(
                "the clock stands at {stood} and cannot be set to {set}: {error}"
            ));
        }
    }
}

/// What the clock says, in seconds since 1970.
pub fn seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// The time that a clock is to be set to, if it is behind.
fn later(now: u64, told: Option<u64>, packed: Option<u64>) -> Option<u64> {
    let time = told.filter(|told| packed.is_none_or(|packed| *told >= packed)).or(packed)?;
    (time > now.saturating_add(BEHIND)).then_some(time)
}

/// A day and an hour in UTC, such as `1970-01-01 00:00`.
pub fn date(seconds: u64) -> String {
    let (year, month, day) = day_of(seconds / 86_400);
    let (hour, minute) = (seconds / 3600 % 24, seconds / 60 % 60);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02} UTC")
}

/// Year, month and day of a day since 1970, by the calendar's cycle of 400 years that begins in March.
fn day_of(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (cycle, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (cycle * 400 + year + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_is_set_forward_and_never_back() {
        let (told, packed) = (1_764_400_000, 1_764_000_000);
        assert_eq!(later(0, Some(told), Some(packed)), Some(told));
        assert_eq!(later(0, None, Some(packed)), Some(packed));
        assert_eq!(later(0, Some(told), None), Some(told));
        assert_eq!(later(0, None, None), None);
        // A controller whose own clock has stopped knows less than the image.
        assert_eq!(later(0, Some(86_400), Some(packed)), Some(packed));
        assert_eq!(later(told - 5, Some(told), Some(packed)), None, "it is right");
        assert_eq!(later(told + 86_400, Some(told), Some(packed)), None, "it is later than that");
    }

    #[test]
    fn dates_are_those_of_the_calendar() {
        for (seconds, expected) in [
            (0, "1970-01-01 00:00 UTC"),
            (951_782_400, "2000-02-29 00:00 UTC"),
            (1_764_426_300, "2025-11-29 14:25 UTC"),
            (4_107_542_399, "2100-02-28 23:59 UTC"),
            (4_107_542_400, "2100-03-01 00:00 UTC"),
        ] {
            assert_eq!(date(seconds), expected);
        }
    }
}
