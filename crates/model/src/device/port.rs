//! Ports of switches, and how people write them.

/// A port of a switch.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Port {
    /// Its number in the switch's table of hardware addresses; unknown where only its name was told.
    pub number: Option<u32>,
    /// What the switch calls it, such as `Ethernet1/7`; the first name is the one to show.
    pub names: Vec<String>,
}

impl Port {
    /// The port that somebody writes like this: a number, or a name.
    pub fn written(text: &str) -> Self {
        let text = text.trim();
        match text.parse() {
            Ok(number) => Self { number: Some(number), names: Vec::new() },
            Err(_) if text.is_empty() => Self::default(),
            Err(_) => Self { number: None, names: vec![text.to_owned()] },
        }
    }

    /// Whether somebody who writes this means the port. A number is the number, whatever the port is called; the case of names
    /// does not matter.
    pub fn is_meant_by(&self, text: &str) -> bool {
        let other = Self::written(text);
        match other.number {
            Some(_) => other.number == self.number,
            None => other
                .names
                .iter()
                .any(|name| self.names.iter().any(|own| own.eq_ignore_ascii_case(name))),
        }
    }

    /// What it is called: its name, else its number.
    pub fn label(&self) -> String {
        let name = self.names.first().cloned();
        name.or_else(|| self.number.map(|number| number.to_string())).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_meant_by_its_number_and_by_each_of_its_names() {
        let port = Port {
            number: Some(7),
            names: vec!["Gi1/0/7".to_owned(), "GigabitEthernet1/0/7".to_owned()],
        };
        for text in ["7", " 7 ", "007", "gi1/0/7", "GIGABITETHERNET1/0/7"] {
            assert!(port.is_meant_by(text), "{text}");
        }
        for text in ["", "8", "1/0/7", "gi1/0/71"] {
            assert!(!port.is_meant_by(text), "{text}");
        }
        assert_eq!((port.label(), Port::written("7").label()), ("Gi1/0/7".into(), "7".into()));
    }

    #[test]
    fn a_number_is_never_taken_for_a_name() {
        let odd = Port { number: Some(65), names: vec!["1".to_owned()] };
        assert!(odd.is_meant_by("65") && !odd.is_meant_by("1"));
        assert!(!Port::default().is_meant_by(""));
    }
}
