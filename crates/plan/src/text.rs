//! Texts as clients send them, and as boot scripts take them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// A boolean in any spelling of programs, people and HTML forms, which send `on` for a ticked box. Every boolean that is written as a
/// text is read by this, so that no place refuses, or takes for a no, what another takes for a yes.
pub fn boolean(text: &str) -> Option<bool> {
    match text.trim().to_ascii_lowercase().as_str() {
        "true" | "yes" | "y" | "on" | "1" => Some(true),
        "false" | "no" | "n" | "off" | "0" => Some(false),
        _ => None,
    }
}

/// A whole number as everybody reads it alike: without a sign before it, and without zeros, which to some make it one of base eight.
pub fn whole_number(text: &str) -> Option<u64> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| is_plain && !has_leading_zero(text))
}

/// Whether digits are written that do not tell their number to everybody: `010` is ten to some, and eight to others.
pub fn has_leading_zero(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    digits.len() > 1 && digits.starts_with('0') && digits.bytes().all(|byte| byte.is_ascii_digit())
}

/// A text that is base64 by the clients' convention, or plain when it does not look like it.
pub fn decode_if_encoded(text: &str) -> String {
    let is_digit = |byte: u8| byte.is_ascii_alphanumeric() || b"+/".contains(&byte);
    let body = text.trim_end_matches('=');
    let looks_encoded =
        !text.is_empty() && text.len().is_multiple_of(4) && body.bytes().all(is_digit);
    if !looks_encoded {
        return text.to_owned();
    }
    let bytes = STANDARD.decode(text).ok();
    let decoded = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
    let is_text = |text: &String| !text.chars().any(|c| c.is_control() && !"\n\r\t".contains(c));
    decoded.filter(is_text).unwrap_or_else(|| text.to_owned())
}

/// Whether iPXE takes the text as it is. It knows no quotes: a line's words are separated by blanks, some words
/// end a command, and `${` is expanded wherever it stands, as often as it appears.
pub fn check_script_text(text: &str) -> Result<(), &'static str> {
    if text.chars().any(char::is_control) {
        return Err("it contains a line break or another control character; remove it");
    }
    if text.contains("${") {
        return Err("iPXE would replace what follows '${'; remove it");
    }
    if text.split_whitespace().any(ends_script_command) {
        return Err(
            "the words ';', '&&', '||' and those that begin with '#' end a command; remove them",
        );
    }
    Ok(())
}

/// Whether iPXE takes a word for the end of its command.
pub fn ends_script_command(word: &str) -> bool {
    word.starts_with('#') || matches!(word, ";" | "&&" | "||")
}

/// Arguments of a kernel on one line, as a boot script has them; they may come in base64.
pub fn kernel_arguments(text: &str) -> String {
    decode_if_encoded(text).replace('\r', "").replace('\n', " ").trim().to_owned()
}

/// Has the kernel restart the machine this many seconds after it has stopped, unless the options say something else of it: a node that
/// waits for ever is worse than one that tries again, and the console keeps the reason for as long.
pub fn with_restart(options: &str) -> String {
    const RESTART: &str = "panic=30";
    let says_so = options.split_whitespace().any(|word| word.starts_with("panic="));
    if says_so { options.to_owned() } else { format!("{RESTART} {options}").trim_end().to_owned() }
}

/// As long as the line may be that a kernel is given (`COMMAND_LINE_SIZE` of x86-64 and arm64 is 2,048 with the byte that ends it): what
/// is beyond is cut off without a word.
pub const LONGEST_KERNEL_LINE: usize = 2047;
/// As long as options may be that somebody gives: the rest of the line is for what a boot script says itself, with long names.
pub const LONGEST_KERNEL_ARGUMENTS: usize = 1279;

/// Refuses options with which the kernel's line would not be read to its end.
pub fn check_kernel_arguments(options: &str) -> Result<(), String> {
    if options.len() <= LONGEST_KERNEL_ARGUMENTS {
        return Ok(());
    }
    Err(format!(
        "it has {} bytes, and at most {LONGEST_KERNEL_ARGUMENTS} can be: a kernel reads {LONGEST_KERNEL_LINE} bytes in all, and the boot script has words of its own",
        options.len()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn booleans_are_read_in_every_spelling_and_case() {
        for word in ["true", "True", "TRUE", "tRuE", "yes", "YES", "y", "Y", "on", "On", "ON", "1"]
        {
            assert_eq!(boolean(word), Some(true), "{word}");
        }
        for word in ["false", "FALSE", "no", "No", "n", "N", "off", "Off", "OFF", "0", " off "] {
            assert_eq!(boolean(word), Some(false), "{word}");
        }
        for word in ["", " ", "2", "-1", "maybe", "onn", "yes no", "null", "None"] {
            assert_eq!(boolean(word), None, "{word}");
        }
    }

    #[test]
    fn whole_numbers_are_those_that_everybody_reads_alike() {
        for (text, number) in [("0", 0), ("8", 8), ("10", 10), ("18446744073709551615", u64::MAX)] {
            assert_eq!(whole_number(text), Some(number), "{text}");
        }
        for text in [
            "",
            "00",
            "010",
            "08",
            "-0",
            "-1",
            "+5",
            "1_000",
            "0x10",
            "1e3",
            " 1",
            "١",
            "18446744073709551616",
        ] {
            assert_eq!(whole_number(text), None, "{text}");
        }
        for (text, expected) in [
            ("010", true),
            ("-010", true),
            ("00", true),
            ("0", false),
            ("-1", false),
            ("0x1", false),
            ("0.5", false),
        ] {
            assert_eq!(has_leading_zero(text), expected, "{text}");
        }
    }

    #[test]
    fn plain_options_are_not_mistaken_for_base64() {
        assert_eq!(decode_if_encoded("_net.ifnames=0"), "_net.ifnames=0");
        assert_eq!(decode_if_encoded("X25ldC5pZm5hbWVzPTA="), "_net.ifnames=0");
        assert_eq!(decode_if_encoded("quiet"), "quiet");
    }

    #[test]
    fn a_kernel_that_stops_restarts_the_machine_unless_the_site_says_otherwise() {
        assert_eq!(with_restart("quiet"), "panic=30 quiet");
        assert_eq!(with_restart(""), "panic=30");
        for options in ["panic=0", "quiet panic=-1", "panic=5 quiet"] {
            assert_eq!(with_restart(options), options);
        }
        assert_eq!(with_restart("panic_on_oops=1"), "panic=30 panic_on_oops=1");
    }

    #[test]
    fn options_that_are_encoded_are_judged_by_what_they_say() {
        assert_eq!(kernel_arguments("cXVpZXQKcm8="), "quiet ro");
        assert!(check_script_text(&kernel_arguments("JHtuZXQwL21hY30=")).is_err());
        assert!(check_script_text(&kernel_arguments("console=ttyS0\r\nquiet\n")).is_ok());
    }
}
