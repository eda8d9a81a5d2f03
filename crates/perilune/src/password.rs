//! Passwords: typed where nobody sees them, or read from where they are kept. On the command line everybody on the machine reads them.

use std::io::{self, BufRead as _, IsTerminal as _};

use console::Term;

use crate::failure::Failure;
use crate::field::content;
use crate::output::note;

/// What an option that is given without a value stands for. No password has this character.
pub(crate) const ASK: &str = "\0";
/// How such an option is written in help pages.
pub(crate) const FORMS: &str = "TEXT|@FILE|-";

/// The password that an option says: the text, that of a file, a line of standard input, or what is typed when it has no value.
pub(crate) fn given(option: &str, value: &str) -> Result<String, Failure> {
    match value {
        ASK => new(),
        "-" => line(),
        value => {
            let bytes = content(option, value)?;
            let text = String::from_utf8(bytes);
            let text = text
                .map_err(|_error| Failure::usage(format!("--{option} {value}: it is not text")))?;
            Ok(text.trim_end_matches(['\r', '\n']).to_owned())
        }
    }
}

/// Asked for twice, since nobody sees what is typed.
pub(crate) fn new() -> Result<String, Failure> {
    let terminal = Term::stderr();
    if !terminal.is_term() || !io::stdin().is_terminal() {
        return Err(Failure::usage(
            "no terminal to ask for a password; give --password @FILE, or --password - for standard input",
        ));
    }
    let first = present(&terminal)?;
    note("Once more:");
    if present(&terminal)? == first {
        Ok(first)
    } else {
        Err(Failure::failed("the two are not the same; nothing was changed"))
    }
}

/// One that is there already.
pub(crate) fn present(terminal: &Term) -> Result<String, Failure> {
    typed(terminal, "Password: ")
}

/// Not shown while it is typed; a line of standard input where nobody types.
pub(crate) fn typed(terminal: &Term, question: &str) -> Result<String, Failure> {
    if terminal.is_term() && io::stdin().is_terminal() {
        terminal.write_str(question)?;
        return Ok(terminal.read_secure_line()?);
    }
    line()
}

/// The first line of standard input.
pub(crate) fn line() -> Result<String, Failure> {
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line)?;
    let line = line.trim_end_matches(['\n', '\r']).to_owned();
    if line.is_empty() { Err(Failure::usage("standard input is empty")) } else { Ok(line) }
}

#[cfg(test)]
mod tests {
    use super::{ASK, given};

    #[test]
    fn a_password_comes_from_the_line_or_a_file_and_is_asked_for_of_people_only() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "geheim \r\n").unwrap();
        assert_eq!(given("password", &format!("@{}", file.path().display())).unwrap(), "geheim ");
        assert_eq!(given("password", "a b").unwrap(), "a b");
        std::fs::write(file.path(), [0xff]).unwrap();
        assert!(given("password", &format!("@{}", file.path().display())).is_err());
        assert_eq!(given("password", ASK).unwrap_err().code(), 2);
    }
}
