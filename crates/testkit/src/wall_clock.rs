//! A time of day of a process's own, which is set while it runs. What measures time otherwise is left alone.
#![expect(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test that cannot set its clocks has failed, and says what is missing"
)]

use std::path::{Path, PathBuf};

const LIBRARIES: [&str; 3] = [
    "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1",
    "/usr/lib/aarch64-linux-gnu/faketime/libfaketimeMT.so.1",
    "/usr/lib64/faketime/libfaketimeMT.so.1",
];

/// What a process that was started with [`Self::variables`] takes for the time.
pub struct WallClock {
    library: &'static str,
    file: tempfile::NamedTempFile,
}

impl WallClock {
    /// One that is right. Without libfaketime there is none.
    pub fn new() -> Option<Self> {
        let Some(library) = LIBRARIES.into_iter().find(|path| Path::new(path).exists()) else {
            assert!(std::env::var_os("CI").is_none(), "libfaketime is not there; install it");
            eprintln!("SKIPPED: clocks are not set; install the package libfaketime for that");
            return None;
        };
        let clock = Self { library, file: tempfile::NamedTempFile::new().unwrap() };
        clock.is_ahead_by(0);
        Some(clock)
    }

    /// The environment of the process.
    pub fn variables(&self) -> [(&'static str, PathBuf); 5] {
        [
            ("LD_PRELOAD", self.library.into()),
            ("FAKETIME_TIMESTAMP_FILE", self.file.path().to_owned()),
            ("FAKETIME_NO_CACHE", "1".into()),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1".into()),
            ("NO_FAKE_STAT", "1".into()),
        ]
    }

    /// Sets it, by so many seconds from the right time.
    pub fn is_ahead_by(&self, seconds: i32) {
        // The process may read it at any moment, and a file that is short is written at once.
        std::fs::write(self.file.path(), format!("{seconds:+}\n")).unwrap();
    }
}
