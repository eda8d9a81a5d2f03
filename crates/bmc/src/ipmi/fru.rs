//! What the machine is: maker, model, serial numbers (IPMI 2.0, 34, and the FRU information storage definition).

use super::garbled::Garbled;
use super::message::Command;
use super::session::Session;
use super::{completion, text};
use crate::bytes::Reader;
use crate::{Error, Item};

const GET_DEVICE: Command = Command { function: 0x06, number: 0x01 };
const GET_AREA: Command = Command { function: 0x0a, number: 0x10 };
const READ: Command = Command { function: 0x0a, number: 0x11 };
/// The machine's own inventory; further numbers are of its parts.
const MACHINE: u8 = 0;
/// How many bytes are asked for at once; fewer when the BMC cannot.
const CHUNK: u8 = 32;
const SMALLEST_CHUNK: u8 = 4;
/// Three areas of at most 255 times 8 bytes lie in this.
const LONGEST: u16 = 8192;
/// Ends an area before its end.
const NO_MORE: u8 = 0xc1;

const CHASSIS: &[&str] = &["part number", "serial number"];
const BOARD: &[&str] = &["manufacturer", "name", "serial number", "part number", "file"];
const PRODUCT: &[&str] =
    &["manufacturer", "name", "part number", "version", "serial number", "asset tag", "file"];

pub(super) async fn inventory(session: &mut Session) -> Result<Vec<Item>, Error> {
    let device = session.request(GET_DEVICE, &[]).await?;
    let mut items = decode_device(&device);
    if let Some(bytes) = read(session).await? {
        items.extend(decode(&bytes));
    }
    Ok(items)
}

/// None when the machine has no inventory.
async fn read(session: &mut Session) -> Result<Option<Vec<u8>>, Error> {
    let area = session.call(GET_AREA, &[MACHINE]).await?;
    if area.completion != completion::SUCCESS {
        return Ok(None);
    }
    let mut reader = Reader::new(&area.data);
    let size = reader
        .u16()
        .ok_or_else(|| session.garbled(Garbled("the size of the inventory cut short")))?;
    // Some count in words of two bytes.
    let width = if reader.u8().unwrap_or_default() & 1 == 1 { 2 } else { 1 };
    let size = usize::from(size.min(LONGEST));
    let mut bytes: Vec<u8> = Vec::with_capacity(size);
    let mut chunk = CHUNK;
    while bytes.len() < size {
        let [low, high] = u16::try_from(bytes.len() / width).unwrap_or(u16::MAX).to_le_bytes();
        let left = u8::try_from(size - bytes.len()).unwrap_or(u8::MAX);
        let count = left.min(chunk) / u8::try_from(width).unwrap_or(1);
        let response = session.call(READ, &[MACHINE, low, high, count.max(1)]).await?;
        match response.completion {
            completion::SUCCESS => {}
            completion::TOO_LONG | completion::NOT_PRESENT | 0xc7..=0xc9 | 0xff
                if chunk > SMALLEST_CHUNK =>
            {
                chunk /= 2;
                continue;
            }
            // What was read so far may hold all that matters.
            _ => break,
        }
        let piece = response.data.get(1..).unwrap_or_default();
        if piece.is_empty() {
            break;
        }
        bytes.extend_from_slice(piece);
    }
    Ok((!bytes.is_empty()).then_some(bytes))
}

/// What the BMC says of itself.
pub fn decode_device(data: &[u8]) -> Vec<Item> {
    let Some([_, _, major, minor, version, _, m0, m1, m2, p0, p1]) = data.first_chunk::<11>()
    else {
        return Vec::new();
    };
    let manufacturer = u32::from_le_bytes([*m0, *m1, m2 & 0x0f, 0]);
    let fields = [
        ("firmware", format!("{}.{minor:02x}", major & 0x7f)),
        ("IPMI version", format!("{}.{}", version & 0x0f, version >> 4)),
        ("manufacturer number", manufacturer.to_string()),
        ("product number", u16::from_le_bytes([*p0, *p1]).to_string()),
    ];
    fields.into_iter().map(|(field, value)| item("bmc", field, value)).collect()
}

/// The areas for chassis, board and product, as far as they are there.
pub fn decode(bytes: &[u8]) -> Vec<Item> {
    let Some([_, _, chassis, board, product, ..]) = bytes.first_chunk::<8>() else {
        return Vec::new();
    };
    let mut items = Vec::new();
    // Before the texts: version and length, then the chassis's type; or the language, with the board's date of making.
    for (part, offset, skipped, fields) in [
        ("chassis", chassis, 3, CHASSIS),
        ("board", board, 6, BOARD),
        ("product", product, 3, PRODUCT),
    ] {
        if *offset != 0 {
            items.extend(area(bytes, usize::from(*offset) * 8, skipped, (part, fields)));
        }
    }
    items
}

fn area(bytes: &[u8], offset: usize, skipped: usize, (part, fields): (&str, &[&str])) -> Vec<Item> {
    let area = bytes.get(offset..).unwrap_or_default();
    let length = area.get(1).map_or(0, |length| usize::from(*length) * 8);
    let texts = area.get(..length).unwrap_or(area).get(skipped..).unwrap_or_default();
    let mut reader = Reader::new(texts);
    let mut items = Vec::new();
    for number in 0.. {
        if reader.peek() == Some(NO_MORE) {
            break;
        }
        let Some(value) = text::read(&mut reader) else { break };
        let field = fields.get(number).map_or_else(
            || format!("extra {}", number - fields.len() + 1),
            |field| (*field).to_owned(),
        );
        if !value.is_empty() {
            items.push(item(part, &field, value));
        }
    }
    items
}

fn item(part: &str, field: &str, value: String) -> Item {
    Item { part: part.to_owned(), field: field.to_owned(), value }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_product_area_is_told_field_by_field() {
        let mut bytes = vec![1, 0, 0, 0, 1, 0, 0, 0xfe, 1, 4, 0];
        for text in ["ACME", "Node 3000", "", "1.0", "S/N 42"] {
            bytes.push(0xc0 | u8::try_from(text.len()).unwrap());
            bytes.extend(text.as_bytes());
        }
        bytes.push(NO_MORE);
        bytes.resize(8 + 32, 0);
        let lines: Vec<String> = decode(&bytes).iter().map(ToString::to_string).collect();
        let expected = [
            "product | manufacturer | ACME",
            "product | name | Node 3000",
            "product | version | 1.0",
            "product | serial number | S/N 42",
        ];
        assert_eq!(lines, expected);
    }

    #[test]
    fn a_bmc_tells_its_firmware() {
        let data = [0x20, 0x81, 0x02, 0x35, 0x02, 0xbf, 0xa2, 0x02, 0x00, 0x00, 0x01, 0, 0, 0, 0];
        let items = decode_device(&data);
        assert_eq!(items[0].to_string(), "bmc | firmware | 2.35");
        assert_eq!(items[2].to_string(), "bmc | manufacturer number | 674");
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            drop(decode(&bytes));
            drop(decode_device(&bytes));
        }
    }
}
