//! Whose file a secret becomes, and who may read it.

/// The longest name of a user or a group that systems take.
const LONGEST: usize = 32;

/// Whether this can be the owner of a secret's file: a user, or a user and a group, each a name or a number; else why not.
pub fn check_owner(text: &str) -> Result<(), String> {
    let (user, group) = text.split_once(':').unwrap_or((text, "root"));
    if !is_account(user) || !is_account(group) {
        return Err(format!(
            "'{text}' must be a user, or a user and a group, such as munge or munge:munge"
        ));
    }
    // One character alone would mislead installers of before.
    if text.len() < 2 {
        return Err(format!("'{text}' must be written with its group, such as {text}:{text}"));
    }
    Ok(())
}

/// Whether a secret can be written here: a whole path, without a way up, and with nothing that installers who read it out of JSON by hand
/// would have to undo; else why not.
pub fn check_path(text: &str) -> Result<(), String> {
    if !text.starts_with('/') || text.split('/').any(|part| part == "..") {
        return Err(format!("'{text}' must be the whole path of a file, without '..'"));
    }
    if !needs_no_escape(text) {
        return Err("it contains a quote, a backslash or a line end".to_owned());
    }
    Ok(())
}

/// Whether a text is the same inside JSON: some installers take it out of there by hand.
pub fn needs_no_escape(text: &str) -> bool {
    !text.chars().any(|c| c.is_control() || matches!(c, '"' | '\'' | '\\'))
}

/// Whether this can be the mode of a secret's file: three octal digits, or four of which the first is zero; else why not.
pub fn check_mode(text: &str) -> Result<(), String> {
    let is_octal = text.bytes().all(|digit| (b'0'..=b'7').contains(&digit));
    if !is_octal || !(3..=4).contains(&text.len()) {
        return Err(format!("'{text}' must be three octal digits, such as 600 or 0640"));
    }
    // What they mean for programs and directories, a secret never needs; a file that runs as its owner by mistake is a way in.
    if text.len() == 4 && !text.starts_with('0') {
        return Err(format!(
            "'{text}' has a set-user, set-group or sticky bit, which a secret cannot have; give three digits, such as 640"
        ));
    }
    Ok(())
}

fn is_account(name: &str) -> bool {
    let is_number = name.bytes().all(|digit| digit.is_ascii_digit()) && name.parse::<u32>().is_ok();
    let begins = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    name.len() <= LONGEST && (is_number || (begins && name.chars().all(is_part)))
}

#[cfg(test)]
mod tests {
    use super::{check_mode, check_owner, check_path};

    #[test]
    fn only_what_chown_and_chmod_take_is_an_owner_and_a_mode() {
        for owner in ["root", "munge:munge", "0:0", "1000", "_chrony", "a-b.c:d", "u:g"] {
            assert!(check_owner(owner).is_ok(), "{owner}");
        }
        for owner in ["", ":", "a", "7", "a:", ":b", "a b", "a:b:c", "-x", "4294967296", "äb"] {
            assert!(check_owner(owner).is_err(), "{owner}");
        }
        for mode in ["600", "0600", "000", "777", "0777"] {
            assert!(check_mode(mode).is_ok(), "{mode}");
        }
        for mode in ["", "60", "00600", "680", "4755", "1777", "2750", "7777", "-644", "+644"] {
            assert!(check_mode(mode).is_err(), "{mode}");
        }
    }

    #[test]
    fn a_secret_is_written_to_a_whole_path_that_needs_no_escape() {
        for path in ["/etc/munge/munge.key", "/a", "/etc/..key", "/ä b"] {
            assert!(check_path(path).is_ok(), "{path}");
        }
        for path in
            ["", "etc/key", "../key", "/etc/../key", "/..", "/a\nb", "/a'b", "/a\"b", "/a\\b"]
        {
            assert!(check_path(path).is_err(), "{path}");
        }
    }
}
