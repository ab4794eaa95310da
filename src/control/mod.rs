//! What a running stage is asked (stop, pause), and where it says what it did (progress, see `metrics`).

mod board;

pub use board::{Board, Command, Handle, Part};

use std::io::{self, Read as _};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use signal_hook::consts::signal::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::flag;
use signal_hook::low_level::pipe;

use crate::error::ErrorKind;
use crate::metrics::Progress;
use crate::{Code, Error, Result, threads};

/// Signals that follow one another faster than this are one.
pub const SAME_SIGNAL: Duration = Duration::from_millis(250);

/// The handle between whoever started the stages and the stages themselves; clones share it.
#[derive(Debug, Clone, Default)]
pub struct Control {
    /// Catch up with what was there at the start, then end.
    pub once: bool,
    /// Trouble that may pass is waited for at the first try, too, as it is later. Off, the first failure ends
    /// the run: whoever tries something out (a person at a terminal, a program that calls the library) is
    /// told at once.
    pub waits_at_start: bool,
    /// Set once: finish what is in flight, commit, end.
    pub stop: Arc<AtomicBool>,
    /// What the stages have done so far.
    pub progress: Arc<Progress>,
    /// By which each source and sink is asked alone.
    pub board: Arc<Board>,
    /// Of the source or sink that this clone is for.
    own: Option<Arc<Handle>>,
}

impl Control {
    /// A handle that nobody has stopped.
    pub fn new(once: bool) -> Self {
        Self { once, ..Self::default() }
    }

    /// From now on SIGINT and SIGTERM set the stop flag, and a second one ends the process at once with 128 +
    /// its number. SIGHUP does nothing.
    ///
    /// What follows within [`SAME_SIGNAL`] is taken for the same one: `timeout`, shells and supervisors
    /// signal a process and then its group.
    pub fn stop_on_signals(&self) -> Result<()> {
        let impatient = Arc::new(AtomicBool::new(false));
        self.register(&impatient)
            .map_err(|cause| Error::stop(Code::SystemRefused, "signals cannot be caught").cause(cause))
    }

    fn register(&self, impatient: &Arc<AtomicBool>) -> io::Result<()> {
        let (mut came, comes) = UnixStream::pair()?;
        for signal in [SIGINT, SIGTERM] {
            flag::register_conditional_shutdown(signal, 128 + signal, Arc::clone(impatient))?;
            flag::register(signal, Arc::clone(&self.stop))?;
            pipe::register(signal, comes.try_clone()?)?;
        }
        // The terminal went away, or somebody asks for a reload that there is not: no reason to end.
        flag::register(SIGHUP, Arc::default())?;
        let impatient = Arc::clone(impatient);
        let wait = move || {
            if came.read_exact(&mut [0]).is_ok() {
                thread::sleep(SAME_SIGNAL);
                impatient.store(true, Ordering::SeqCst);
            }
        };
        threads::spawn("signals", wait).map(drop)
    }

    /// The first try of something: with `waits_at_start`, a broken link is tried again for as long as it
    /// takes, with growing pauses, and `waiting` hears of each. `None`: the run was stopped meanwhile.
    pub fn begin<T>(
        &self,
        mut attempt: impl FnMut() -> Result<T>,
        waiting: impl Fn(&Error),
    ) -> Result<Option<T>> {
        let mut pauses = Pauses::default();
        loop {
            match attempt() {
                Ok(begun) => return Ok(Some(begun)),
                Err(error) if error.kind() == ErrorKind::Link && self.waits_at_start && !self.once => {
                    waiting(&error);
                }
                Err(error) => return Err(error),
            }
            pauses.wait(|| self.is_stopping());
            if self.is_stopping() {
                return Ok(None);
            }
        }
    }

    /// For one source or sink, which is also paused and stopped alone.
    #[must_use]
    pub fn of(&self, part: Part) -> Self {
        Self { own: Some(self.board.handle(part)), ..self.clone() }
    }

    /// Asks all stages to finish and end.
    pub fn request_stop(&self) {
        self.stop.store(true, Ordering::SeqCst);
    }

    /// Whether the stage has to finish what is in flight: to end, or to pause.
    pub fn is_stopping(&self) -> bool {
        self.stop.load(Ordering::SeqCst) || self.own.as_ref().is_some_and(|own| own.finishes())
    }

    /// Whether it has to wait once that is done.
    pub fn is_paused(&self) -> bool {
        !self.stop.load(Ordering::SeqCst) && self.own.as_ref().is_some_and(|own| own.is_paused())
    }
}

/// Growing pauses between attempts, from a fifth of a second to ten seconds or another limit.
#[derive(Debug, Clone)]
pub struct Pauses {
    next: Duration,
    longest: Duration,
}

impl Default for Pauses {
    fn default() -> Self {
        Self::up_to(Self::LONGEST)
    }
}

impl Pauses {
    const FIRST: Duration = Duration::from_millis(200);
    /// Where nothing else is said.
    pub const LONGEST: Duration = Duration::from_secs(10);
    /// How long a stop may go unseen.
    const NAP: Duration = Duration::from_millis(50);

    /// None is longer than `longest`.
    pub fn up_to(longest: Duration) -> Self {
        Self { next: Self::FIRST.min(longest), longest }
    }

    /// Waits, each time for longer, unless `is_stopping` says that nothing is to be tried any more.
    pub fn wait(&mut self, is_stopping: impl Fn() -> bool) {
        let until = Instant::now() + self.next;
        self.next = (self.next * 2).min(self.longest);
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() || is_stopping() {
                return;
            }
            thread::sleep(left.min(Self::NAP));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Control, Error, ErrorKind, Pauses};
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::time::{Duration, Instant};

    #[test]
    fn pauses_grow_up_to_a_limit_and_end_with_a_stop() {
        let mut pauses = Pauses::default();
        let lengths: Vec<_> = (0..8)
            .map(|_| {
                pauses.wait(|| true);
                pauses.next.as_millis()
            })
            .collect();
        assert_eq!(lengths, [400, 800, 1600, 3200, 6400, 10_000, 10_000, 10_000]);
        let began = Instant::now();
        Pauses::default().wait(|| false);
        assert!(began.elapsed() >= Duration::from_millis(200));
    }

    #[test]
    fn the_first_try_is_repeated_only_where_that_was_asked_for_and_can_help() {
        let run = |once: bool, waits_at_start: bool, kind: ErrorKind| {
            let control = Control { once, waits_at_start, ..Control::default() };
            let tries = AtomicU32::new(0);
            let begun = control.begin(
                || {
                    if tries.fetch_add(1, Ordering::Relaxed) < 2 {
                        Err(Error::new(crate::Code::Internal, kind, "down"))
                    } else {
                        Ok(())
                    }
                },
                |error| assert_eq!(error.to_string(), "down"),
            );
            (begun.is_ok(), tries.into_inner())
        };
        assert_eq!(run(false, true, ErrorKind::Link), (true, 3));
        assert_eq!(run(false, false, ErrorKind::Link), (false, 1));
        assert_eq!(run(true, true, ErrorKind::Link), (false, 1));
        assert_eq!(run(false, true, ErrorKind::Stop), (false, 1));
        let stopped = Control { waits_at_start: true, ..Control::default() };
        stopped.request_stop();
        assert!(
            stopped
                .begin(|| Err::<(), _>(Error::link(crate::Code::Internal, "down")), |_| ())
                .unwrap()
                .is_none()
        );
    }

    #[test]
    fn clones_share_the_flag() {
        let control = Control::new(true);
        control.clone().request_stop();
        assert!(control.once && control.is_stopping());
    }
}
