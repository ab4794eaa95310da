//! Runs a source or a member of a sink's group for as long as it is wanted: tries again what may pass,
//! reports what a person must look after, waits while it is paused. The one place for that; the connector,
//! the consumers and direct mode hand their work to it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;
use std::time::{Duration, Instant};

use crate::change::Checkpoint;
use crate::control::{Control, Part, Pauses};
use crate::error::ErrorKind;
use crate::metrics::{Life, SourceFigures};
use crate::source::Source;
use crate::{Code, Error, Result};

/// What ran for so long begins with a short pause when it is started again.
const CALM: Duration = Duration::from_secs(10);
/// How often a paused one looks whether it is to go on.
const NAP: Duration = Duration::from_millis(50);

/// Something that runs until it has caught up, is to finish ([`Control::is_stopping`]), or fails.
pub trait Job {
    /// One life, from connecting to its end. What it finished is saved when it returns.
    fn run(&mut self) -> Result<()>;

    /// Whether a life of it got as far as to stream.
    fn has_begun(&self) -> bool;

    /// Which one it is, for messages.
    fn part(&self) -> Part;

    /// Whether nothing is left to do for it.
    fn is_done(&self) -> bool {
        false
    }

    /// Counts a failure.
    fn failed(&mut self, error: &Error);

    /// Counts a new life after one that failed.
    fn restarted(&mut self) {}

    /// Whether a failure that a person must look after ends all others in this process, too.
    fn ends_all(&self) -> bool {
        false
    }

    /// The longest pause between two lives.
    fn longest_pause(&self) -> Duration {
        Pauses::LONGEST
    }
}

/// Runs it, again and again while databases and brokers come and go. `control` and `life` are its own.
///
/// A failure of the first life is tried again only where [`Control::waits_at_start`] says so; else it ends
/// all that runs in this process. Later, what may pass is tried again with growing pauses, and anything else
/// is reported and ends this one alone.
pub fn supervise(job: &mut dyn Job, control: &Control, life: &Life) -> Result<()> {
    let part = job.part();
    let mut pauses = Pauses::up_to(job.longest_pause());
    loop {
        let began_at = Instant::now();
        let ended = catch_unwind(AssertUnwindSafe(|| job.run())).unwrap_or_else(|_| Err(died(&part)));
        let error = match ended {
            Ok(()) => {
                if control.is_paused() {
                    wait_while_paused(&part, control, life);
                } else if control.once || job.is_done() {
                    return Ok(());
                }
                // It may have been resumed before it had finished.
                if control.is_stopping() {
                    return Ok(());
                }
                continue;
            }
            Err(error) => error.context(&part),
        };
        job.failed(&error);
        let waits = job.has_begun() || control.waits_at_start && !control.once;
        let may_pass = error.kind() == ErrorKind::Link && waits;
        if may_pass && control.is_stopping() && !job.has_begun() {
            return Ok(());
        }
        if !may_pass || control.is_stopping() && !control.is_paused() {
            life.fail(&error);
            if waits {
                tracing::error!(
                    source = part.source(),
                    sink = part.sink(),
                    code = error.code().slug(),
                    hint = error.hint_text(),
                    "stopped: {error}"
                );
            }
            if !waits || job.ends_all() && error.kind() != ErrorKind::Link {
                control.request_stop();
            }
            return Err(error);
        }
        tracing::warn!(
            source = part.source(),
            sink = part.sink(),
            code = error.code().slug(),
            hint = error.hint_text(),
            "{error}; trying again"
        );
        life.wait_for(if job.has_begun() { "starting again" } else { "waiting to start" }, &error);
        job.restarted();
        if began_at.elapsed() > CALM {
            pauses = Pauses::up_to(job.longest_pause());
        }
        pauses.wait(|| control.is_stopping());
        if control.is_paused() {
            wait_while_paused(&part, control, life);
        }
        if control.is_stopping() && !job.has_begun() {
            return Ok(());
        }
    }
}

fn wait_while_paused(part: &Part, control: &Control, life: &Life) {
    life.set_state("paused");
    tracing::info!(source = part.source(), sink = part.sink(), "paused");
    while control.is_paused() {
        thread::sleep(NAP);
    }
    if !control.is_stopping() {
        tracing::info!(source = part.source(), sink = part.sink(), "resumed");
    }
}

/// Connects a source again whose link broke, with growing pauses, for as long as it takes: what stands
/// behind it (a producer, open files) goes on meanwhile. `saved` is where it starts; `true`: it streams
/// again, else it is to finish.
pub fn reconnect(
    source: &mut dyn Source,
    (name, figures): (&str, &SourceFigures),
    broke: &Error,
    is_stopping: impl Fn() -> bool,
    mut saved: impl FnMut() -> Checkpoint,
) -> Result<bool> {
    tracing::warn!(source = name, code = broke.code().slug(), "{broke}; connecting again");
    figures.error(broke.kind());
    figures.restarts.inc();
    figures.up.set(0);
    figures.life.wait_for("reconnecting", broke);
    let mut pauses = Pauses::default();
    loop {
        pauses.wait(&is_stopping);
        if is_stopping() {
            return Ok(false);
        }
        match source.start(Some(&saved())) {
            Ok(_) => {
                tracing::info!(source = name, "connected again");
                figures.life.set_state("streaming");
                figures.up.set(1);
                return Ok(true);
            }
            Err(error) if error.kind() == ErrorKind::Link => {
                tracing::warn!(
                    source = name,
                    code = error.code().slug(),
                    hint = error.hint_text(),
                    "{error}"
                );
                figures.error(error.kind());
                figures.life.wait_for("reconnecting", &error);
            }
            Err(error) => return Err(error),
        }
    }
}

/// A panic: a fault of list_sync itself. It ends what it concerns, as any failure that only a person can look
/// after.
fn died(part: &Part) -> Error {
    Error::stop(Code::Internal, format!("the thread of {part} died"))
        .hint("what it printed on stderr says where; please report it")
}
