//! Sensors: what they are, from the repository of sensor data records, and what they read (IPMI 2.0, 33, 35 and 43).

use super::garbled::Garbled;
use super::message::Command;
use super::session::Session;
use super::{completion, event_text, text};
use crate::bytes::Reader;
use crate::{Error, Sensor};

const RESERVE: Command = Command { function: 0x0a, number: 0x22 };
const GET_RECORD: Command = Command { function: 0x0a, number: 0x23 };
const GET_READING: Command = Command { function: 0x04, number: 0x2d };
const FIRST: u16 = 0x0000;
const LAST: u16 = 0xffff;
/// More than any machine has.
const MOST_RECORDS: usize = 4096;
const HEADER: usize = 5;
const OWN_CONTROLLER: u8 = 0x20;
/// How many bytes are asked for at once; fewer when the BMC cannot.
const CHUNK: u8 = 24;
const SMALLEST_CHUNK: u8 = 4;
/// How often a record is begun anew because somebody else reads as well.
const TRIES: u32 = 5;

/// How a sensor's byte becomes a value (36.3): `(m·x + b·10^b_exponent)·10^exponent`.
#[derive(Clone, Debug, PartialEq)]
pub struct Formula {
    factor: f64,
    offset: f64,
    exponent: i32,
    format: Format,
    linearization: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Unsigned,
    OnesComplement,
    TwosComplement,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    pub name: String,
    pub number: u8,
    pub sensor_type: u8,
    pub reading_type: u8,
    pub unit: &'static str,
    /// None for a sensor that has states instead of a value.
    pub formula: Option<Formula>,
}

pub(super) async fn list(session: &mut Session) -> Result<Vec<Sensor>, Error> {
    let mut sensors = Vec::new();
    let mut next = FIRST;
    for _ in 0..MOST_RECORDS {
        let Some((following, bytes)) = read_record(session, next).await? else { break };
        if let Some(record) = decode(&bytes) {
            sensors.push(read_sensor(session, record).await?);
        }
        if following == LAST || following == next {
            break;
        }
        next = following;
    }
    Ok(sensors)
}

/// A record in pieces, and the number of the one that follows; None when there is none.
async fn read_record(session: &mut Session, id: u16) -> Result<Option<(u16, Vec<u8>)>, Error> {
    let mut chunk = CHUNK;
    for _ in 0..TRIES {
        let reserved = session.request(RESERVE, &[]).await?;
        let [low, high] = Reader::new(&reserved)
            .array()
            .ok_or_else(|| session.garbled(Garbled("a reservation cut short")))?;
        let mut bytes = Vec::new();
        let mut wanted = HEADER;
        let mut following = LAST;
        while bytes.len() < wanted {
            let [id_low, id_high] = id.to_le_bytes();
            let offset = u8::try_from(bytes.len()).unwrap_or(u8::MAX);
            let count = u8::try_from(wanted - bytes.len()).unwrap_or(u8::MAX).min(chunk);
            let request = [low, high, id_low, id_high, offset, count];
            let response = session.call(GET_RECORD, &request).await?;
            match response.completion {
                completion::SUCCESS => {}
                completion::NOT_PRESENT => return Ok(None),
                completion::RESERVATION_LOST => break,
                completion::TOO_LONG | 0xff | 0xc8 if chunk > SMALLEST_CHUNK => {
                    chunk /= 2;
                    continue;
                }
                other => return Err(session.rejected(other)),
            }
            let mut reader = Reader::new(&response.data);
            let cut_short = || Garbled("a sensor record cut short");
            following = reader.u16().ok_or_else(|| session.garbled(cut_short()))?;
            let piece = reader.rest();
            if piece.is_empty() {
                return Err(session.garbled(cut_short()));
            }
            bytes.extend_from_slice(piece);
            if let Some(length) = bytes.get(HEADER - 1) {
                wanted = HEADER + usize::from(*length);
            }
        }
        if bytes.len() >= wanted && wanted > HEADER {
            return Ok(Some((following, bytes)));
        }
    }
    Err(session.rejected(completion::RESERVATION_LOST))
}

async fn read_sensor(session: &mut Session, record: Record) -> Result<Sensor, Error> {
    let unit = record.unit.to_owned();
    let response = session.call(GET_READING, &[record.number]).await?;
    let absent = |name, state: &str| Sensor {
        name,
        value: None,
        unit: String::new(),
        state: state.to_owned(),
    };
    if response.completion != completion::SUCCESS {
        return Ok(absent(record.name, "not there"));
    }
    let mut reader = Reader::new(&response.data);
    let (Some(raw), Some(flags)) = (reader.u8(), reader.u8()) else {
        return Err(session.garbled(Garbled("a reading cut short")));
    };
    let is_scanned = flags & 0x40 != 0 && flags & 0x20 == 0;
    if !is_scanned {
        return Ok(absent(record.name, "not read at the moment"));
    }
    let low = reader.u8().unwrap_or_default();
    let high = reader.u8().unwrap_or_default();
    let Some(formula) = &record.formula else {
        let bits = u16::from_le_bytes([low, high & 0x7f]);
        let state = event_text::states(record.sensor_type, record.reading_type, bits);
        return Ok(absent(record.name, &state));
    };
    let value = formula.value(raw);
    Ok(Sensor { name: record.name, value, unit, state: threshold_state(low).to_owned() })
}

/// The worst that the comparison with the thresholds says.
fn threshold_state(bits: u8) -> &'static str {
    const STATES: [(u8, &str); 6] = [
        (0x20, "upper non-recoverable"),
        (0x04, "lower non-recoverable"),
        (0x10, "upper critical"),
        (0x02, "lower critical"),
        (0x08, "upper non-critical"),
        (0x01, "lower non-critical"),
    ];
    STATES.iter().find(|(bit, _)| bits & bit != 0).map_or("ok", |(_, state)| state)
}

/// A full or a compact sensor record of the BMC itself; None for any other.
pub fn decode(record: &[u8]) -> Option<Record> {
    let mut reader = Reader::new(record);
    let [_, _, _, kind, _] = reader.array::<HEADER>()?;
    let [owner, lun, number, _, _, _, _, sensor_type, reading_type] = reader.array::<9>()?;
    if owner != OWN_CONTROLLER || lun & 0x03 != 0 {
        return None;
    }
    reader.take(6)?;
    let [units, base_unit, _] = reader.array()?;
    let formula = match kind {
        0x01 => {
            let [linearization, m, m_high, b, b_high, _, exponents] = reader.array()?;
            reader.take(17)?;
            let format = match units >> 6 {
                0 => Some(Format::Unsigned),
                1 => Some(Format::OnesComplement),
                2 => Some(Format::TwosComplement),
                _ => None,
            };
            // Only a sensor with thresholds has a value.
            format.filter(|_| reading_type == 0x01).map(|format| Formula {
                factor: ten_bits(m, m_high),
                offset: ten_bits(b, b_high) * 10_f64.powi(nibble(exponents & 0x0f)),
                exponent: nibble(exponents >> 4),
                format,
                linearization: linearization & 0x7f,
            })
        }
        0x02 => {
            reader.take(8)?;
            None
        }
        _ => return None,
    };
    let name = text::read(&mut reader).unwrap_or_default();
    let unit = if units & 1 == 1 { "%" } else { unit(base_unit) };
    Some(Record { name, number, sensor_type, reading_type, unit, formula })
}

/// Ten bits with a sign; the upper two are the highest of the second byte.
fn ten_bits(low: u8, high: u8) -> f64 {
    let bits = i16::from(high >> 6) << 8 | i16::from(low);
    f64::from(if bits >= 512 { bits - 1024 } else { bits })
}

/// Four bits with a sign.
fn nibble(bits: u8) -> i32 {
    let bits = i32::from(bits);
    if bits >= 8 { bits - 16 } else { bits }
}

fn unit(number: u8) -> &'static str {
    const UNITS: [&str; 22] = [
        "",
        "degrees C",
        "degrees F",
        "degrees K",
        "Volts",
        "Amps",
        "Watts",
        "Joules",
        "Coulombs",
        "VA",
        "Nits",
        "lumen",
        "lux",
        "Candela",
        "kPa",
        "PSI",
        "Newton",
        "CFM",
        "RPM",
        "Hz",
        "microsecond",
        "millisecond",
    ];
    UNITS.get(usize::from(number)).copied().unwrap_or("")
}

impl Formula {
    /// None when only the BMC knows how to convert it.
    pub fn value(&self, raw: u8) -> Option<f64> {
        let raw = match self.format {
            Format::OnesComplement if raw >= 0x80 => -f64::from(!raw),
            Format::Unsigned | Format::OnesComplement => f64::from(raw),
            Format::TwosComplement => f64::from(raw.cast_signed()),
        };
        let linear = (self.factor * raw + self.offset) * 10_f64.powi(self.exponent);
        let value = match self.linearization {
            0 => linear,
            1 => linear.ln(),
            2 => linear.log10(),
            3 => linear.log2(),
            4 => linear.exp(),
            5 => 10_f64.powf(linear),
            6 => linear.exp2(),
            7 => linear.recip(),
            8 => linear.powi(2),
            9 => linear.powi(3),
            10 => linear.sqrt(),
            11 => linear.cbrt(),
            _ => return None,
        };
        value.is_finite().then_some(value)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A voltage: 0.06 V a step, two's complement or not.
    fn record(units: u8) -> Vec<u8> {
        let mut record = vec![1, 0, 0x51, 0x01, 0];
        record.extend([0x20, 0, 0x30, 7, 1, 0x7f, 0x68, 0x02, 0x01]);
        record.extend([0; 6]);
        record.extend([units, 4, 0]);
        record.extend([0, 6, 0, 0, 0, 0, 0xe0]);
        record.extend([0; 17]);
        record.push(0xc5);
        record.extend(b"12V_A");
        record
    }

    #[test]
    fn a_full_record_gives_name_unit_and_formula() {
        let record = decode(&record(0)).unwrap();
        assert_eq!((record.name.as_str(), record.unit, record.number), ("12V_A", "Volts", 0x30));
        let value = record.formula.unwrap().value(200).unwrap();
        assert!((value - 12.0).abs() < 1e-9, "{value}");
    }

    #[test]
    fn negative_readings_are_negative() {
        let value = decode(&record(0x80)).unwrap().formula.unwrap().value(0xff).unwrap();
        assert!((value + 0.06).abs() < 1e-9, "{value}");
    }

    #[test]
    fn the_worst_state_is_told() {
        assert_eq!(threshold_state(0xc0), "ok");
        assert_eq!(threshold_state(0x18), "upper critical");
    }

    #[test]
    fn what_is_no_sensor_of_the_bmc_is_none() {
        let mut other = record(0);
        other[5] = 0x2c;
        assert_eq!(decode(&other), None);
        other[3] = 0x11;
        assert_eq!(decode(&other), None);
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(record in proptest::collection::vec(any::<u8>(), 0..80), raw: u8) {
            if let Some(formula) = decode(&record).and_then(|record| record.formula) {
                prop_assert!(formula.value(raw).is_none_or(f64::is_finite));
            }
        }
    }
}
