//! The message inside the payload: a command and its answer, each with two checksums (IPMI 2.0, 13.8).

use super::garbled::Garbled;
use crate::bytes::Reader;

const BMC: u8 = 0x20;
const CONSOLE: u8 = 0x81;

/// A command as it goes to the BMC: "chassis, get status".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Command {
    pub function: u8,
    pub number: u8,
}

pub fn encode_request(command: Command, number: u8, data: &[u8]) -> Vec<u8> {
    encode([BMC, command.function << 2], [CONSOLE, number << 2, command.number], data)
}

/// What a BMC sends back; for simulators.
pub fn encode_response(command: Command, number: u8, completion: u8, data: &[u8]) -> Vec<u8> {
    let mut answer = vec![completion];
    answer.extend_from_slice(data);
    encode([CONSOLE, (command.function | 1) << 2], [BMC, number << 2, command.number], &answer)
}

fn encode(first: [u8; 2], second: [u8; 3], data: &[u8]) -> Vec<u8> {
    let mut bytes = first.to_vec();
    bytes.push(checksum(&first));
    bytes.extend(second);
    bytes.extend_from_slice(data);
    bytes.push(checksum(bytes.get(3..).unwrap_or_default()));
    bytes
}

/// All bytes and the checksum add up to zero.
fn checksum(bytes: &[u8]) -> u8 {
    bytes.iter().fold(0_u8, |sum, byte| sum.wrapping_add(*byte)).wrapping_neg()
}

#[derive(Debug, PartialEq, Eq)]
pub struct Response {
    pub command: Command,
    /// Of the request that is answered.
    pub number: u8,
    pub completion: u8,
    pub data: Vec<u8>,
}

pub fn decode_response(bytes: &[u8]) -> Result<Response, Garbled> {
    let (command, number, data) = decode(bytes)?;
    let (completion, data) = data.split_first().ok_or(Garbled("message cut short"))?;
    if command.function & 1 == 0 {
        return Err(Garbled("a request where an answer is due"));
    }
    let command = Command { function: command.function & !1, number: command.number };
    Ok(Response { command, number, completion: *completion, data: data.to_vec() })
}

/// Command, number and data of a request; for simulators.
pub fn decode_request(bytes: &[u8]) -> Result<(Command, u8, Vec<u8>), Garbled> {
    let (command, number, data) = decode(bytes)?;
    Ok((command, number, data.to_vec()))
}

fn decode(bytes: &[u8]) -> Result<(Command, u8, &[u8]), Garbled> {
    let mut reader = Reader::new(bytes);
    let fields = (|| Some((reader.array::<3>()?, reader.array::<3>()?)))();
    let ([to, function, check], [from, number, command]) =
        fields.ok_or(Garbled("message cut short"))?;
    if checksum(&[to, function]) != check {
        return Err(Garbled("wrong checksum of the header"));
    }
    let (last, data) = reader.rest().split_last().ok_or(Garbled("message cut short"))?;
    let body = checksum(data).wrapping_add(checksum(&[from, number, command]));
    if body != *last {
        return Err(Garbled("wrong checksum of the data"));
    }
    Ok((Command { function: function >> 2, number: command }, number >> 2, data))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const CHASSIS_STATUS: Command = Command { function: 0, number: 1 };

    #[test]
    fn a_request_is_the_bytes_of_the_specification() {
        let bytes = encode_request(CHASSIS_STATUS, 1, &[]);
        assert_eq!(bytes, [0x20, 0x00, 0xe0, 0x81, 0x04, 0x01, 0x7a]);
    }

    #[test]
    fn a_wrong_checksum_is_seen() {
        let mut bytes = encode_response(CHASSIS_STATUS, 1, 0, &[1, 2, 3]);
        assert_eq!(decode_response(&bytes).unwrap().data, [1, 2, 3]);
        bytes[8] ^= 0x10;
        assert_eq!(decode_response(&bytes), Err(Garbled("wrong checksum of the data")));
    }

    proptest! {
        #[test]
        fn an_answer_comes_out_as_it_went_in(
            function in 0..31u8, number: u8, sequence in 0..64u8, completion: u8, data in proptest::collection::vec(any::<u8>(), 0..60),
        ) {
            let command = Command { function: function & !1, number };
            let response = decode_response(&encode_response(command, sequence, completion, &data));
            prop_assert_eq!(response, Ok(Response { command, number: sequence, completion, data }));
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..20)) {
            drop(decode_response(&bytes));
            drop(decode_request(&bytes));
        }
    }
}
