//! `/init` of the initramfs.

use std::process::ExitCode;

fn main() -> ExitCode {
    perilune_agent::main()
}
