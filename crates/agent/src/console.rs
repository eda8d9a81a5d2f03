//! What a person at the serial console reads: short lines, each with the time since the agent started.

use std::io::{self, Write};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::log::Log;

pub struct Console {
    started: Instant,
    output: Mutex<Box<dyn Write + Send>>,
    log: Mutex<Log>,
}

impl Console {
    pub fn new(output: impl Write + Send + 'static) -> Self {
        let output: Box<dyn Write + Send> = Box::new(output);
        Self { started: Instant::now(), output: Mutex::new(output), log: Mutex::default() }
    }

    /// The console that the kernel has given to the first process.
    pub fn standard() -> Self {
        Self::new(io::stdout())
    }

    /// A new chapter.
    pub fn phase(&self, title: &str) {
        self.write(&format!("== {title}"));
    }

    pub fn line(&self, text: &str) {
        self.write(text);
    }

    /// What a script or a tool said.
    pub fn output(&self, text: &str) {
        self.write(&format!("   | {text}"));
    }

    /// Something that a person should know, and that does not stop the installation.
    pub fn warning(&self, text: &str) {
        self.write(&format!("warning: {text}"));
    }

    /// Lines that must be seen.
    pub fn banner(&self, lines: &[String]) {
        let rule = "*".repeat(72);
        self.raw(&format!("\r\n{rule}\r\n"));
        for line in lines {
            self.raw(&format!("*  {}\r\n", printable(line)));
        }
        self.raw(&format!("{rule}\r\n\r\n"));
    }

    /// Everything that was written so far, with plain line ends, in at most `longest` bytes or a little more.
    pub fn log(&self, longest: usize) -> String {
        self.log.lock().unwrap_or_else(PoisonError::into_inner).text(longest)
    }

    pub fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    fn write(&self, text: &str) {
        let seconds = self.started.elapsed().as_secs_f64();
        self.raw(&format!("[{seconds:7.1}] {}\r\n", printable(text)));
    }

    /// A console that cannot be written to is no reason to stop.
    fn raw(&self, text: &str) {
        let mut output = self.output.lock().unwrap_or_else(PoisonError::into_inner);
        output.write_all(text.as_bytes()).and_then(|()| output.flush()).ok();
        drop(output);
        self.log.lock().unwrap_or_else(PoisonError::into_inner).add(text);
    }
}

/// Text from elsewhere must not move the cursor or clear the screen.
fn printable(text: &str) -> String {
    let shown = text.chars().map(|character| match character {
        '\t' => ' ',
        other => other,
    });
    shown.filter(|character| !character.is_control()).collect()
}

/// A number of bytes for people.
pub fn bytes(count: u64) -> String {
    const UNITS: [(&str, u64); 3] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];
    let Some((unit, size)) = UNITS.into_iter().find(|(_, size)| count >= *size) else {
        return format!("{count} bytes");
    };
    let tenths = u128::from(count) * 10 / u128::from(size);
    if tenths >= 1000 {
        return format!("{} {unit}", tenths / 10);
    }
    format!("{}.{} {unit}", tenths / 10, tenths % 10)
}

#[cfg(test)]
pub(crate) mod tests {
    use std::sync::Arc;

    use super::*;

    /// Remembers what was written.
    #[derive(Clone, Default)]
    pub(crate) struct Memory(Arc<Mutex<Vec<u8>>>);

    impl Memory {
        pub(crate) fn text(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
        }
    }

    impl Write for Memory {
        fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(buffer)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn lines_have_a_time_and_no_control_characters() {
        let memory = Memory::default();
        let console = Console::new(memory.clone());
        console.phase("Network");
        console.output("a\tb\u{1b}[2Jc\r");
        assert_eq!(memory.text(), "[    0.0] == Network\r\n[    0.0]    | a b[2Jc\r\n");
    }

    #[test]
    fn bytes_are_written_for_people() {
        assert_eq!(bytes(0), "0 bytes");
        assert_eq!(bytes(1536), "1.5 KiB");
        assert_eq!(bytes(512 << 20), "512 MiB");
        assert_eq!(bytes(8 << 30), "8.0 GiB");
        assert_eq!(bytes(u64::MAX), "17179869183 GiB");
    }
}
