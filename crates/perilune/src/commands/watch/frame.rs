//! What `perilune node watch` draws on a terminal.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use perilune_select::natural;

use super::{IMPORTED, Nodes, Progress, reason};
use crate::commands::tone::tone;
use crate::output::table::{Cell, Table, Tone, paint};
use crate::output::{Canvas, text};

/// A summary, and as many nodes as fit: those that are under way before those that are done.
pub(super) fn frame(nodes: &Nodes, now: SystemTime, canvas: Canvas, rows: usize) -> Vec<String> {
    if nodes.is_empty() {
        return vec!["no nodes yet".to_owned()];
    }
    let mut shown: Vec<(&String, &Progress)> = nodes.iter().collect();
    // Summary, titles, the line that says how many are left out, and the line of the cursor.
    let room = rows.saturating_sub(4).max(1);
    let left_out = shown.len().saturating_sub(room);
    // Those that are under way, or stuck, come first, whether all fit or not.
    let rank = |progress: &Progress| match tone(progress.state.as_deref().unwrap_or_default()) {
        Tone::Bad => 0,
        Tone::Busy => 1,
        Tone::Plain => 2,
        Tone::Good => 3,
        Tone::Faint => 4,
    };
    shown.sort_by(|(one, of_one), (other, of_other)| {
        rank(of_one).cmp(&rank(of_other)).then_with(|| natural::compare(one, other))
    });
    shown.truncate(room);
    let mut table = Table::new(["NODE", "STATE", "FOR", "PROGRESS"]).whole(&["STATE", "FOR"]);
    for (name, progress) in shown {
        table.row(cells(name, progress, now));
    }
    let mut lines = vec![summary(nodes)];
    if let Some(width) = canvas.width {
        lines =
            lines.iter().map(|line| console::truncate_str(line, width, "…").into_owned()).collect();
    }
    lines.extend(table.lines(canvas));
    if left_out > 0 {
        lines.push(paint(&format!("… and {left_out} more"), Tone::Faint, canvas.colour));
    }
    lines
}

/// `128 nodes: 100 install.success, 28 install.unpack`
fn summary(nodes: &Nodes) -> String {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for progress in nodes.values() {
        *counts.entry(progress.state.as_deref().unwrap_or("not seen yet")).or_default() += 1;
    }
    let counts: Vec<String> =
        counts.into_iter().map(|(state, count)| format!("{count} {state}")).collect();
    let plural = if nodes.len() == 1 { "" } else { "s" };
    format!("{} node{plural}: {}", nodes.len(), text::printable(&counts.join(", ")))
}

fn cells(name: &str, progress: &Progress, now: SystemTime) -> Vec<Cell> {
    let state = progress.state.as_deref().unwrap_or_default();
    let tone = tone(state);
    let since = progress.since.as_deref();
    let since = since.and_then(|since| humantime::parse_rfc3339_weak(since).ok());
    let age = since.and_then(|since| now.duration_since(since).ok());
    let message = progress.message.clone().unwrap_or_default();
    let detail = match tone {
        _ if progress.imported => IMPORTED.to_owned(),
        Tone::Bad => reason(progress),
        Tone::Busy => [bar(progress), message].join("  ").trim().to_owned(),
        _ => message,
    };
    vec![
        Cell::new(name),
        Cell::toned(if state.is_empty() { "not seen yet" } else { state }, tone),
        Cell::new(age.map(short).unwrap_or_default()),
        Cell::new(detail),
    ]
}

/// `██████░░░░  60%  110 MiB/s`
fn bar(progress: &Progress) -> String {
    const LENGTH: u64 = 10;
    let (done, total) = (progress.bytes_done.unwrap_or(0), progress.bytes_total.unwrap_or(0));
    let rate = progress.rate.filter(|rate| *rate > 0);
    let rate = rate.map(|rate| format!("  {}/s", text::bytes(rate))).unwrap_or_default();
    if total == 0 {
        return if done > 0 { text::bytes(done) + &rate } else { String::new() };
    }
    let share = |parts: u64| u128::from(done.min(total)) * u128::from(parts) / u128::from(total);
    let filled = usize::try_from(share(LENGTH)).unwrap_or(0);
    let empty = usize::try_from(LENGTH).unwrap_or(0) - filled;
    format!("{}{} {:>3}%{rate}", "█".repeat(filled), "░".repeat(empty), share(100))
}

/// `3m 12s`: the two largest units are enough.
fn short(age: Duration) -> String {
    let text = humantime::format_duration(Duration::from_secs(age.as_secs())).to_string();
    text.split(' ').take(2).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::super::fixture::nodes;
    use super::{Canvas, SystemTime, frame};

    fn at_ten() -> SystemTime {
        humantime::parse_rfc3339("2026-01-02T10:00:12Z").unwrap()
    }

    #[test]
    fn the_frame_says_where_each_node_is() {
        let canvas = Canvas { width: Some(80), colour: false };
        insta::assert_snapshot!(frame(&nodes(), at_ten(), canvas, 24).join("\n"), @"
        4 nodes: 1 install.error, 1 install.success, 1 install.unpack, 1 not seen yet
        NODE     STATE            FOR     PROGRESS
        node003  install.error    2m 12s  no disk of 8 GiB or more
        node002  install.unpack   12s     █████░░░░░  58%  110 MiB/s
        node001  install.success  1h 12s  -
        node004  not seen yet     -       -
        ");
    }

    #[test]
    fn when_the_terminal_is_low_failed_and_busy_nodes_stay_in_sight() {
        let canvas = Canvas { width: Some(60), colour: false };
        insta::assert_snapshot!(frame(&nodes(), at_ten(), canvas, 6).join("\n"), @"
        4 nodes: 1 install.error, 1 install.success, 1 install.unpa…
        NODE     STATE           FOR     PROGRESS
        node003  install.error   2m 12s  no disk of 8 GiB or more
        node002  install.unpack  12s     █████░░░░░  58%  110 MiB/s
        … and 2 more
        ");
    }
}
