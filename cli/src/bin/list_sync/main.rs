//! The binary: what it does is the library beside it, which the Python package's command runs too.

#[cfg(feature = "jemalloc")]
mod allocator;

use std::process::ExitCode;

fn main() -> ExitCode {
    list_sync_cli::hide_passwords();
    list_sync_cli::run(std::env::args_os())
}
