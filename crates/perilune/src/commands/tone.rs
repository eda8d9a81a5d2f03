//! How the states of nodes look.

use crate::output::table::Tone;

/// Good, bad, or on its way.
pub(crate) fn tone(state: &str) -> Tone {
    match state {
        "install.success" => Tone::Good,
        "install.error" => Tone::Bad,
        "" => Tone::Faint,
        state if state.starts_with("install.") => Tone::Busy,
        _ => Tone::Plain,
    }
}
