//! When each machine reached what, and the table at the end.

use std::time::Instant;

use crate::scenario::Member;

/// What is waited for, in the order in which a machine gets there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    Adopted,
    Discovered,
    Download,
    Unpack,
    Configure,
    Success,
    Running,
    FromDisk,
}

const COLUMNS: &[(Phase, &str)] = &[
    (Phase::Adopted, "adopted"),
    (Phase::Discovered, "asked"),
    (Phase::Download, "download"),
    (Phase::Unpack, "unpack"),
    (Phase::Configure, "configure"),
    (Phase::Success, "success"),
    (Phase::Running, "ssh"),
    (Phase::FromDisk, "from disk"),
];

/// The moments of one machine.
#[derive(Debug)]
pub(crate) struct Timeline {
    started: Instant,
    reached: Vec<(Phase, f64)>,
}

impl Timeline {
    pub(crate) fn new() -> Self {
        Self { started: Instant::now(), reached: Vec::new() }
    }

    /// The machine is switched on now.
    pub(crate) fn start(&mut self) {
        self.started = Instant::now();
    }

    pub(crate) fn reached(&mut self, phase: Phase) {
        if !self.reached.iter().any(|(known, _)| *known == phase) {
            self.reached.push((phase, self.started.elapsed().as_secs_f64()));
        }
    }

    fn cell(&self, phase: Phase) -> String {
        let at = self.reached.iter().find(|(reached, _)| *reached == phase);
        at.map_or_else(|| "-".to_owned(), |(_, seconds)| format!("{seconds:.1} s"))
    }

    /// A state that the node reported.
    pub(crate) fn state(&mut self, state: &str) {
        let phase = match state.strip_prefix("install.") {
            Some("discovered") => Phase::Discovered,
            Some("download") => Phase::Download,
            Some("unpack") => Phase::Unpack,
            Some("setnet" | "secrets" | "postscript") => Phase::Configure,
            Some("success") => Phase::Success,
            _ => return,
        };
        self.reached(phase);
    }
}

/// The table: for each machine, the seconds from its power button to each phase.
pub(crate) fn table(rows: &[(&Member, &Timeline)]) -> String {
    let headings = COLUMNS.iter().map(|(_, heading)| (*heading).to_owned()).collect();
    let mut lines = vec![line(["node", "firmware", "root"], headings)];
    for (member, timeline) in rows {
        let cells = COLUMNS.iter().map(|(phase, _)| timeline.cell(*phase)).collect();
        let (firmware, root) = (format!("{:?}", member.firmware), format!("{:?}", member.root));
        lines.push(line([&member.name, &firmware, &root], cells));
    }
    lines.join("\n")
}

fn line([node, firmware, root]: [&str; 3], cells: Vec<String>) -> String {
    let first = format!("{node:<9}{firmware:<16}{root:<6}");
    cells.into_iter().fold(first, |line, cell| format!("{line}{cell:>11}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::vmtest;

    #[test]
    fn a_phase_counts_from_the_power_button_and_once() {
        let mut timeline = Timeline::new();
        timeline.state("install.unpack");
        let first = timeline.reached[0].1;
        timeline.state("install.unpack");
        timeline.state("install.unheard-of");
        assert_eq!(timeline.reached, [(Phase::Unpack, first)]);
    }

    #[test]
    fn the_table_has_a_row_for_each_machine_and_a_dash_for_what_does_not_apply() {
        let members = vmtest();
        let timeline = Timeline { started: Instant::now(), reached: vec![(Phase::Success, 12.34)] };
        let rows: Vec<_> = members.iter().map(|member| (member, &timeline)).collect();
        let text = table(&rows);
        assert_eq!(text.lines().count(), 1 + members.len());
        let row = text.lines().nth(1).unwrap();
        assert!(
            row.starts_with("node001") && row.contains("12.3 s") && row.ends_with('-'),
            "{row}"
        );
    }
}
