//! See `lib.rs` for the architecture.

use std::process::ExitCode;

fn main() -> ExitCode {
    reboot_coordinator::cli::main()
}
