//! What the console said, for the node's own log and for the controller: the beginning and the end of it, however much it was.

use std::collections::VecDeque;

/// More than any usual installation says.
const HEAD: usize = 64 << 10;
const TAIL: usize = 192 << 10;

#[derive(Debug, Default)]
pub(crate) struct Log {
    head: String,
    tail: VecDeque<String>,
    /// Bytes in `tail`.
    length: usize,
    left_out: usize,
}

impl Log {
    /// Adds what was written: whole lines.
    pub(crate) fn add(&mut self, text: &str) {
        let text = text.replace('\r', "");
        let is_first = self.tail.is_empty() && self.left_out == 0;
        if is_first && self.head.len() + text.len() <= HEAD {
            self.head.push_str(&text);
            return;
        }
        self.length += text.len();
        self.tail.push_back(text);
        while self.length > TAIL {
            let Some(first) = self.tail.pop_front() else { break };
            self.length -= first.len();
            self.left_out += first.len();
        }
    }

    /// The beginning and the end, of which the end is the larger part.
    pub(crate) fn text(&self, longest: usize) -> String {
        let tail: String = self.tail.iter().map(String::as_str).collect();
        let whole = self.head.len() + tail.len();
        if self.left_out == 0 && whole <= longest {
            return format!("{}{tail}", self.head);
        }
        let (head, rest) = self.head.split_at(line_end(&self.head, longest / 4));
        let rest = if self.left_out == 0 { format!("{rest}{tail}") } else { tail };
        let room = longest.saturating_sub(head.len());
        let surplus = rest.len().saturating_sub(room);
        let cut = if surplus == 0 { 0 } else { line_end(&rest, surplus) };
        let left_out = whole + self.left_out - head.len() - (rest.len() - cut);
        format!(
            "{head}... {left_out} bytes are left out ...\n{}",
            rest.get(cut..).unwrap_or_default()
        )
    }
}

/// The end of the first line that ends at or after this byte.
fn line_end(text: &str, from: usize) -> usize {
    let bytes = text.as_bytes().get(from..).unwrap_or_default();
    bytes.iter().position(|byte| *byte == b'\n').map_or(text.len(), |place| from + place + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(lines: usize) -> Log {
        let mut log = Log::default();
        for line in 0..lines {
            log.add(&format!("line {line} \u{e9}{}\r\n", "x".repeat(50)));
        }
        log
    }

    #[test]
    fn a_short_log_is_whole() {
        let log = filled(100);
        let text = log.text(64 << 10);
        assert!(text.starts_with("line 0 ") && text.lines().count() == 100 && !text.contains('\r'));
    }

    #[test]
    fn of_a_long_one_the_beginning_and_the_end_are_kept() {
        for (lines, longest) in
            [(100_000, 64 << 10), (100_000, 1 << 20), (3_000, 64 << 10), (1_500, 1 << 10), (10, 0)]
        {
            let text = filled(lines).text(longest);
            assert!(text.len() <= longest + 200, "{lines} {longest}: {}", text.len());
            assert!(text.contains("bytes are left out"), "{lines} {longest}");
            assert_eq!(longest >= 1 << 10, text.contains(&format!("line {} ", lines - 1)));
            assert!(text.starts_with("line 0 "), "{lines} {longest}");
        }
    }

    #[test]
    fn a_single_endless_line_is_no_trouble() {
        let mut log = Log::default();
        log.add(&"x".repeat(1 << 20));
        log.add("end\n");
        assert!(log.text(1 << 10).ends_with("end\n"));
    }
}
