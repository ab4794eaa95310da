//! `list_sync verify`.
use crate::Session;
use crate::args::Verify;
pub fn run(_: &Session, _: &Verify) -> list_sync::Result<std::process::ExitCode> {
    Err(list_sync::Error::stop("todo"))
}
