//! What a running stage is told (stop, once), and where it tells what it did (progress, see `metrics`).

use std::io::{self, Read as _};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use signal_hook::consts::signal::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::flag;
use signal_hook::low_level::pipe;

use crate::metrics::Progress;
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

    /// From now on SIGINT and SIGTERM set the stop flag, and a second one ends the process at once with 128 + its number. SIGHUP does nothing.
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
        // The terminal went away, or somebody asks for a reload that there is not: no reason to end.
        flag::register(SIGHUP, Arc::default())?;
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

#[cfg(test)]
mod tests {
    use super::Control;

    #[test]
    fn clones_share_the_flag() {
        let control = Control::new(true);
        control.clone().request_stop();
        assert!(control.once && control.is_stopping());
    }
}
