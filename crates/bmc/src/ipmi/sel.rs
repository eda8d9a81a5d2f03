//! The system event log (IPMI 2.0, 31 and 32).

use super::garbled::Garbled;
use super::message::Command;
use super::session::Session;
use super::{completion, event_text};
use crate::bytes::{Reader, hex};
use crate::{Error, Event};

const RESERVE: Command = Command { function: 0x0a, number: 0x42 };
const GET_ENTRY: Command = Command { function: 0x0a, number: 0x43 };
const CLEAR: Command = Command { function: 0x0a, number: 0x47 };
const FIRST: u16 = 0x0000;
const LAST: u16 = 0xffff;
/// No log is longer: then a BMC leads in circles.
const MOST_ENTRIES: usize = 0x1_0000;
/// How often it is asked whether the log is empty by now, and how long between.
const CLEAR_TRIES: u32 = 20;
const CLEAR_PAUSE: std::time::Duration = std::time::Duration::from_millis(250);
/// Times before this count seconds from the start of the BMC, whose clock was not set.
const FIRST_DATE: u32 = 0x2000_0000;

pub(super) async fn list(session: &mut Session) -> Result<Vec<Event>, Error> {
    let mut events = Vec::new();
    let mut next = FIRST;
    while next != LAST && events.len() < MOST_ENTRIES {
        let [low, high] = next.to_le_bytes();
        let response = session.call(GET_ENTRY, &[0, 0, low, high, 0, 0xff]).await?;
        match response.completion {
            completion::SUCCESS => {}
            // The log is empty, or was cleared meanwhile.
            completion::NOT_PRESENT => break,
            completion::NOT_PRIVILEGED => return Err(session.not_permitted()),
            other => return Err(session.rejected(other)),
        }
        let mut reader = Reader::new(&response.data);
        let following = reader
            .u16()
            .ok_or_else(|| session.garbled(Garbled("an entry of the log cut short")))?;
        events.push(decode(reader.rest()).map_err(|garbled| session.garbled(garbled))?);
        if following == next {
            break;
        }
        next = following;
    }
    Ok(events)
}

pub(super) async fn clear(session: &mut Session) -> Result<(), Error> {
    let cut_short = Garbled("a reservation cut short");
    let reserved = session.request(RESERVE, &[]).await?;
    let reservation: [u8; 2] =
        Reader::new(&reserved).array().ok_or_else(|| session.garbled(cut_short))?;
    let [low, high] = reservation;
    let ask = |what| [low, high, b'C', b'L', b'R', what];
    let mut progress = session.request(CLEAR, &ask(0xaa)).await?;
    for _ in 0..CLEAR_TRIES {
        let is_done = progress.first().is_some_and(|progress| progress & 0x0f == 1);
        if is_done {
            return Ok(());
        }
        tokio::time::sleep(CLEAR_PAUSE).await;
        progress = session.request(CLEAR, &ask(0x00)).await?;
    }
    let reason = "it is still clearing its log after 5 s".to_owned();
    Err(Error::Rejected { address: session.peer(), reason })
}

/// One record of 16 bytes.
pub fn decode(record: &[u8]) -> Result<Event, Garbled> {
    let mut reader = Reader::new(record);
    let fields = (|| Some((reader.u16()?, reader.u8()?, reader.array::<13>()?)))();
    let (id, kind, body) = fields.ok_or(Garbled("an entry of the log cut short"))?;
    let id = format!("{id:x}");
    let [t0, t1, t2, t3, body @ ..] = body;
    let time = time(u32::from_le_bytes([t0, t1, t2, t3]));
    match kind {
        0x02 => {
            let [_, _, _, sensor_type, number, event, data @ ..] = body;
            let sensor = format!("{} #{number:#04x}", event_text::sensor_type(sensor_type));
            let text = event_text::event(sensor_type, event & 0x7f, data);
            Ok(Event { id, time, sensor, text, asserted: event & 0x80 == 0 })
        }
        0xc0..=0xdf => {
            let [m0, m1, m2, data @ ..] = body;
            let manufacturer = u32::from_le_bytes([m0, m1, m2, 0]);
            let sensor = format!("record of manufacturer {manufacturer}");
            Ok(Event { id, time, sensor, text: hex(&data, " "), asserted: true })
        }
        _ => {
            let sensor = format!("record of type {kind:#04x}");
            let mut data = vec![t0, t1, t2, t3];
            data.extend(body);
            Ok(Event {
                id,
                time: "no time".to_owned(),
                sensor,
                text: hex(&data, " "),
                asserted: true,
            })
        }
    }
}

fn time(seconds: u32) -> String {
    match seconds {
        u32::MAX => "no time".to_owned(),
        ..FIRST_DATE => format!("{seconds} s after the BMC's start"),
        _ => date(seconds),
    }
}

/// Days to year, month and day, by counting from the first of March of the year 0, when leap days come last.
fn date(seconds: u32) -> String {
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + u32::from(month <= 2);
    let (hour, minute, second) = (rest / 3600, rest / 60 % 60, rest % 60);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        assert_eq!(date(951_782_399), "2000-02-28 23:59:59");
        assert_eq!(date(951_782_400), "2000-02-29 00:00:00");
        assert_eq!(date(1_767_348_000), "2026-01-02 10:00:00");
        assert_eq!(time(77), "77 s after the BMC's start");
    }

    #[test]
    fn a_temperature_that_is_too_high_is_told_in_words() {
        let record =
            [1, 0, 2, 0x20, 0x97, 0x57, 0x69, 0x20, 0, 4, 0x01, 0x30, 0x01, 0x59, 0x5f, 0x5a];
        let event = decode(&record).unwrap();
        assert_eq!(
            event.to_string(),
            "1 | 2026-01-02 10:00:00 | Temperature #0x30 | Upper Critical going high | Asserted"
        );
    }

    #[test]
    fn a_manufacturers_record_is_shown_in_bytes() {
        let record = [2, 0, 0xc1, 0x20, 0x97, 0x57, 0x69, 0xa2, 0x02, 0, 1, 2, 3, 4, 5, 0xff];
        let event = decode(&record).unwrap();
        assert_eq!(
            (event.sensor.as_str(), event.text.as_str()),
            ("record of manufacturer 674", "01 02 03 04 05 ff")
        );
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(record in proptest::collection::vec(any::<u8>(), 0..20)) {
            drop(decode(&record));
        }
    }
}
