//! What a running stage is told (stop, once) and what it tells (progress). Atomics only, so that no stage waits for who watches it.

use std::collections::BTreeMap;
use std::io::{self, Read as _};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use signal_hook::consts::signal::{SIGINT, SIGTERM};
use signal_hook::flag;
use signal_hook::low_level::pipe;

use crate::{Error, Result};

/// Signals that follow one another faster than this are one.
pub const SAME_SIGNAL: Duration = Duration::from_millis(250);

/// The handle between whoever started the stages and the stages themselves; clones share it.
#[derive(Debug, Clone, Default)]
pub struct Control {
    /// Catch up with what was there at the start, then end.
    pub once: bool,
    /// Set once: finish what is in flight, commit, end.
    pub stop: Arc<AtomicBool>,
    /// What the stages have done so far.
    pub progress: Arc<Progress>,
}

impl Control {
    /// A handle that nobody has stopped.
    pub fn new(once: bool) -> Self {
        Self { once, ..Self::default() }
    }

    /// From now on SIGINT and SIGTERM set the stop flag, and a second one ends the process at once with 128 + its number.
    ///
    /// What follows within [`SAME_SIGNAL`] is taken for the same one: `timeout`, shells and supervisors signal a process and then its group.
    pub fn stop_on_signals(&self) -> Result<()> {
        let impatient = Arc::new(AtomicBool::new(false));
        self.register(&impatient).map_err(|cause| Error::stop("signals cannot be caught").cause(cause))
    }

    fn register(&self, impatient: &Arc<AtomicBool>) -> io::Result<()> {
        let (mut came, comes) = UnixStream::pair()?;
        for signal in [SIGINT, SIGTERM] {
            flag::register_conditional_shutdown(signal, 128 + signal, Arc::clone(impatient))?;
            flag::register(signal, Arc::clone(&self.stop))?;
            pipe::register(signal, comes.try_clone()?)?;
        }
        let impatient = Arc::clone(impatient);
        let wait = move || {
            if came.read_exact(&mut [0]).is_ok() {
                thread::sleep(SAME_SIGNAL);
                impatient.store(true, Ordering::SeqCst);
            }
        };
        thread::Builder::new().name("signals".to_owned()).spawn(wait).map(drop)
    }

    /// Asks the stages to finish and end.
    pub fn request_stop(&self) {
        self.stop.store(true, Ordering::SeqCst);
    }

    /// Whether the stages have to finish and end.
    pub fn is_stopping(&self) -> bool {
        self.stop.load(Ordering::SeqCst)
    }
}

/// Figures of all stages by name.
#[derive(Debug, Default)]
pub struct Progress {
    sources: Mutex<BTreeMap<String, Arc<Figures>>>,
    sinks: Mutex<BTreeMap<String, Arc<Figures>>>,
}

/// Figures of one source or sink. Counters only grow; `add` and `set` from any thread.
#[derive(Debug, Default)]
pub struct Figures {
    /// Row changes that are finished: sent and acknowledged by a source's side, written by a sink's.
    pub rows: AtomicU64,
    /// Bytes of messages (source) or of files (sink) that these rows made.
    pub bytes: AtomicU64,
    /// Source: bytes of log between what is finished and the log's end.
    pub lag_bytes: AtomicU64,
    /// Sink: messages that lie in the topics and are not committed.
    pub lag_rows: AtomicU64,
    /// Source: `Position::commit` that is read; sink: sum of the offsets that are committed.
    pub read_to: AtomicU64,
    /// Source: `Position::commit` at the log's end; sink: sum of the topics' ends.
    pub head: AtomicU64,
    state: Mutex<String>,
}

impl Progress {
    /// The figures of a source; made at the first call.
    pub fn source(&self, name: &str) -> Arc<Figures> {
        figures(&self.sources, name)
    }

    /// The figures of a sink; made at the first call.
    pub fn sink(&self, name: &str) -> Arc<Figures> {
        figures(&self.sinks, name)
    }

    /// All sources that were asked for, by name.
    pub fn sources(&self) -> Vec<(String, Arc<Figures>)> {
        all(&self.sources)
    }

    /// All sinks that were asked for, by name.
    pub fn sinks(&self) -> Vec<(String, Arc<Figures>)> {
        all(&self.sinks)
    }
}

impl Figures {
    /// Says in a word or two what is being done: `snapshot`, `streaming`, `reconnecting`.
    pub fn set_state(&self, state: impl Into<String>) {
        *self.state.lock().unwrap_or_else(PoisonError::into_inner) = state.into();
    }

    /// What was last said; empty before.
    pub fn state(&self) -> String {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

type Named = Mutex<BTreeMap<String, Arc<Figures>>>;

fn figures(named: &Named, name: &str) -> Arc<Figures> {
    let mut named = named.lock().unwrap_or_else(PoisonError::into_inner);
    Arc::clone(named.entry(name.to_owned()).or_default())
}

fn all(named: &Named) -> Vec<(String, Arc<Figures>)> {
    let named = named.lock().unwrap_or_else(PoisonError::into_inner);
    named.iter().map(|(name, figures)| (name.clone(), Arc::clone(figures))).collect()
}

#[cfg(test)]
mod tests {
    use super::{Control, Progress};
    use std::sync::atomic::Ordering;

    #[test]
    fn clones_share_the_flag() {
        let control = Control::new(true);
        control.clone().request_stop();
        assert!(control.once && control.is_stopping());
    }

    #[test]
    fn figures_are_found_by_name() {
        let progress = Progress::default();
        progress.source("shop").rows.fetch_add(7, Ordering::Relaxed);
        progress.source("shop").set_state("streaming");
        let sources = progress.sources();
        assert_eq!((sources.len(), sources[0].1.rows.load(Ordering::Relaxed)), (1, 7));
        assert_eq!((sources[0].1.state().as_str(), progress.sinks().len()), ("streaming", 0));
    }
}
