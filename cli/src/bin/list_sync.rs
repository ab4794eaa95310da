//! The binary: what it does is the library beside it, which the Python package's command runs too.

use std::process::ExitCode;

fn main() -> ExitCode {
    list_sync_cli::hide_passwords();
    list_sync_cli::run(std::env::args_os())
}
