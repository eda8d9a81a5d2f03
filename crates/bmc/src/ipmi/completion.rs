//! Why a BMC did not do a command (IPMI 2.0, 5.2).

pub(crate) const SUCCESS: u8 = 0x00;
pub(crate) const RESERVATION_LOST: u8 = 0xc5;
pub(crate) const TOO_LONG: u8 = 0xca;
pub(crate) const NOT_PRESENT: u8 = 0xcb;
pub(crate) const NOT_PRIVILEGED: u8 = 0xd4;

/// Whether the command may have been done all the same: it took too long, cannot be answered, or it is not said why.
pub(crate) fn leaves_open(code: u8) -> bool {
    matches!(code, 0xc3 | 0xce | 0xcf | 0xff)
}

pub(crate) fn text(code: u8) -> String {
    let meaning = match code {
        0xc0 => "it is busy",
        0xc1 => "it does not know this command",
        0xc2 => "it does not know this command for this part",
        0xc3 => "it took too long itself",
        0xc4 => "it is out of space",
        RESERVATION_LOST => "somebody else has changed it meanwhile",
        0xc6..=0xc8 => "the length of the request is wrong for it",
        0xc9 => "a value is out of its range",
        TOO_LONG => "it cannot return so many bytes at once",
        NOT_PRESENT => "there is no such thing",
        0xcc => "a field of the request is wrong for it",
        0xcd => "this command is not for that part",
        0xce => "it can give no answer",
        0xcf => "it has done this request already",
        0xd0 => "its sensor records are being updated",
        0xd1 => "its firmware is being updated",
        0xd2 => "it is just starting",
        0xd3 => "that part does not answer",
        NOT_PRIVILEGED => "the user has not enough privilege",
        0xd5 => "that is not possible in its present state",
        0xd6 => "that command is switched off",
        _ => "it gives no known reason",
    };
    format!("{meaning} (completion code {code:#04x})")
}
