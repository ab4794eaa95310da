//! Runs the engine on threads of its own while the calling thread waits: it hands the log on, looks for
//! signals, and runs Python callbacks.
//!
//! So a callback runs on the thread that made the call, as in any Python library; no thread of the engine
//! ever holds the interpreter.

use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded, never, select};
use list_sync::control::Control;
use list_sync::{Code, Error, Result, threads};
use pyo3::prelude::*;

use crate::{errors, logs};

/// How long a signal or a line of the log may wait.
const LOOK: Duration = Duration::from_millis(100);

/// Something that the calling thread does for the engine.
pub type Job = Box<dyn FnOnce(Python<'_>) -> PyResult<()> + Send>;

/// The engine's end of the line to the calling thread.
pub type Jobs = Sender<Job>;

/// Runs `work` to its end and answers what it answers.
///
/// A signal whose Python handler raises (Ctrl-C) stops the engine in good order first; a second one leaves it
/// to end by itself, and nothing of it that was not committed counts.
pub fn run<T: Send + 'static>(
    py: Python<'_>,
    control: &Control,
    work: impl FnOnce(Jobs) -> Result<T> + Send + 'static,
) -> PyResult<T> {
    logs::begin(py)?;
    let (jobs, to_do) = bounded::<Job>(0);
    let (end, ended) = bounded(1);
    let engine = threads::spawn("list_sync", move || {
        let _ = end.send(work(jobs));
    });
    if let Err(cause) = engine {
        return Err(errors::exception(
            py,
            &Error::stop(Code::SystemRefused, "no thread can be started").cause(cause),
        ));
    }
    wait(py, control, to_do, &ended)
}

/// A panic of the engine: a fault of list_sync itself.
pub fn died() -> Error {
    Error::stop(Code::Internal, "the engine's thread died")
        .hint("what it printed on stderr says where; please report it")
}

enum Next<T> {
    Job(Job),
    End(Result<T>),
    Nothing,
    NoMoreJobs,
}

fn wait<T: Send>(
    py: Python<'_>,
    control: &Control,
    mut to_do: Receiver<Job>,
    ended: &Receiver<Result<T>>,
) -> PyResult<T> {
    let mut raised: Option<PyErr> = None;
    loop {
        let next = py.detach(|| next(&to_do, ended));
        // A handler of `logging` that raises is no reason to leave the engine running unwatched.
        let mut failed = logs::hand_on(py).err();
        match next {
            Next::End(answer) => {
                let answer = answer.map_err(|error| errors::exception(py, &error));
                return raised.or(failed).map_or(answer, Err);
            }
            Next::Job(job) => failed = job(py).err().or(failed),
            Next::NoMoreJobs => to_do = never(),
            Next::Nothing => {}
        }
        if let Err(signal) = py.check_signals() {
            if raised.is_some() {
                return Err(signal);
            }
            failed = Some(signal);
        }
        if let Some(error) = failed {
            control.request_stop();
            raised.get_or_insert(error);
        }
    }
}

fn next<T>(to_do: &Receiver<Job>, ended: &Receiver<Result<T>>) -> Next<T> {
    select! {
        recv(to_do) -> job => job.map_or(Next::NoMoreJobs, Next::Job),
        recv(ended) -> end => Next::End(end.unwrap_or_else(|_| Err(died()))),
        default(LOOK) => Next::Nothing,
    }
}
