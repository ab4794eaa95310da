//! Keeps a source's connection alive while something else takes long.

use std::time::Duration;

use crossbeam_channel::RecvTimeoutError;

use super::Source;
use crate::{Result, threads};

/// The longest pause between two calls of a source: half of the shortest time-out a server is usually given.
pub const KEEP_ALIVE: Duration = Duration::from_secs(5);

/// Runs `work`, however long it takes, and keeps the source's connection alive meanwhile. A link
/// that breaks meanwhile is for the next read to report.
pub fn kept_alive<T>(source: &mut dyn Source, work: impl FnOnce() -> Result<T>) -> Result<T> {
    let (done, is_done) = crossbeam_channel::bounded::<()>(0);
    std::thread::scope(|scope| {
        threads::spawn_scoped(scope, move || {
            while is_done.recv_timeout(KEEP_ALIVE / 4) == Err(RecvTimeoutError::Timeout) {
                if let Err(error) = source.keep_alive() {
                    tracing::debug!("{error}");
                    break;
                }
            }
        });
        let worked = work();
        drop(done);
        worked
    })
}
