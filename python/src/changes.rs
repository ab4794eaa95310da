//! A database's changes for a program, without Kafka. A thread of the engine reads ahead, a few batches at
//! most, keeps the connection alive while the program is busy, and acknowledges what the program is done
//! with.

use std::collections::VecDeque;
use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, SendTimeoutError, Sender, bounded};
use list_sync::change::{Batch, Checkpoint, Position};
use list_sync::config::Config;
use list_sync::control::{Control, Pauses};
use list_sync::direct::Feed;
use list_sync::error::ErrorKind;
use list_sync::source::KEEP_ALIVE;
use list_sync::{Code, Error, Result, threads};
use pyo3::prelude::*;
use pyo3::types::PyList;

use crate::{errors, logs, settings, values, waiting};

/// Batches that are read ahead.
const AHEAD: usize = 3;
/// The longest wait for rows, and so for a stop.
const WAIT: Duration = Duration::from_millis(100);
/// Between two acknowledgements that only tell the server that nothing came.
const IDLE: Duration = Duration::from_secs(1);
/// The reading end of a database's stream.
#[pyclass(frozen, module = "list_sync._native")]
pub struct Stream {
    control: Control,
    process: u32,
    batches: Receiver<Result<Batch>>,
    done: Done,
    engine: Mutex<Option<thread::JoinHandle<()>>>,
    ended: AtomicBool,
}

/// The last change that the program is done with, until the engine has taken note of it.
type Done = Arc<Mutex<Option<Position>>>;

#[pymethods]
impl Stream {
    /// Connects, by the TOML text that `call` made of its arguments.
    #[new]
    #[pyo3(signature = (call, text, *, state = None, once = false))]
    fn new(py: Python<'_>, call: &str, text: &str, state: Option<PathBuf>, once: bool) -> PyResult<Self> {
        logs::begin(py)?;
        let config = settings::of_call(call, text).map_err(|error| errors::exception(py, &error))?;
        let control = Control::new(once);
        let (hand, batches) = bounded(AHEAD);
        let (open, opened) = bounded(1);
        let done = Done::default();
        let (told, acknowledged) = (control.clone(), Arc::clone(&done));
        let engine = threads::spawn("list_sync", move || {
            read_all(&config, state.as_deref(), told, acknowledged, &open, hand);
        });
        let engine = engine.map_err(|cause| {
            errors::exception(py, &Error::stop(Code::SystemRefused, "no thread can be started").cause(cause))
        })?;
        wait_until_open(py, &control, &opened)?;
        Ok(Self {
            control,
            process: std::process::id(),
            batches,
            done,
            engine: Mutex::new(Some(engine)),
            ended: AtomicBool::new(false),
        })
    }

    /// The next batch as a list of tuples (see `values.rs`); empty if nothing came within `wait` seconds,
    /// `None` at the end of the stream.
    fn read<'py>(&self, py: Python<'py>, wait: f64) -> PyResult<Option<Bound<'py, PyList>>> {
        self.check_process(py)?;
        let wait = Duration::try_from_secs_f64(wait).unwrap_or(WAIT);
        let found = py.detach(|| self.batches.recv_timeout(wait));
        logs::hand_on(py)?;
        match found {
            Ok(Ok(batch)) => values::changes(py, &batch).map(Some),
            Ok(Err(error)) => {
                self.ended.store(true, Ordering::Relaxed);
                Err(errors::exception(py, &error))
            }
            Err(RecvTimeoutError::Timeout) => Ok(Some(PyList::empty(py))),
            Err(RecvTimeoutError::Disconnected) => {
                self.ended.store(true, Ordering::Relaxed);
                Ok(None)
            }
        }
    }

    /// The program is done with all changes up to the one at `position`.
    fn acknowledge(&self, py: Python<'_>, position: &str) -> PyResult<()> {
        self.check_process(py)?;
        let known = Position::from_digits(position.as_bytes());
        let unknown = || {
            errors::exception(
                py,
                &Error::usage(Code::ArgumentInvalid, format!("{position:?} is no position of a change")),
            )
        };
        *lock(&self.done) = Some(known.ok_or_else(unknown)?);
        Ok(())
    }

    /// Ends the stream and waits until its connection is closed and what was acknowledged is saved.
    fn close(&self, py: Python<'_>) -> PyResult<()> {
        if self.process != std::process::id() {
            return Ok(());
        }
        self.control.request_stop();
        let engine = lock(&self.engine).take();
        py.detach(|| {
            // What was read ahead is not the program's any more.
            while self.batches.recv().is_ok() {}
            engine.map(thread::JoinHandle::join)
        });
        logs::hand_on(py)
    }

    /// Whether the stream has come to its end.
    #[getter]
    fn ended(&self) -> bool {
        self.ended.load(Ordering::Relaxed)
    }
}

impl Stream {
    fn check_process(&self, py: Python<'_>) -> PyResult<()> {
        if self.process == std::process::id() { Ok(()) } else { Err(errors::forked(py)) }
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.control.request_stop();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Waits for the connection; Ctrl-C ends the wait, and the engine's thread by itself as soon as the server
/// answers.
fn wait_until_open(py: Python<'_>, control: &Control, opened: &Receiver<Result<()>>) -> PyResult<()> {
    loop {
        let found = py.detach(|| opened.recv_timeout(WAIT));
        logs::hand_on(py)?;
        match found {
            Ok(opened) => return opened.map_err(|error| errors::exception(py, &error)),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return Err(errors::exception(py, &waiting::died())),
        }
        py.check_signals().inspect_err(|_| control.request_stop())?;
    }
}

/// The engine's side. A panic is an error of the stream, never its end.
fn read_all(
    config: &Config,
    state: Option<&Path>,
    control: Control,
    done: Done,
    open: &Sender<Result<()>>,
    hand: Sender<Result<Batch>>,
) {
    let last = hand.clone();
    let all = || match config.need_sources(&[]).and_then(|sources| Feed::open(sources[0], state)) {
        Ok(feed) => {
            let _ = open.send(Ok(()));
            Reading { feed, control, hand, done, unacknowledged: VecDeque::new() }.run();
        }
        Err(error) => drop(open.send(Err(error))),
    };
    if std::panic::catch_unwind(AssertUnwindSafe(all)).is_err() {
        let _ = last.send(Err(waiting::died()));
    }
}

struct Reading {
    feed: Feed,
    control: Control,
    hand: Sender<Result<Batch>>,
    done: Done,
    /// Batches that were handed over: last position, checkpoint.
    unacknowledged: VecDeque<(Position, Option<Checkpoint>)>,
}

impl Reading {
    fn run(mut self) {
        if let Err(error) = self.read() {
            let _ = self.hand.send(Err(error));
        }
        if let Err(error) = self.see_off() {
            tracing::warn!("{error}");
        }
    }

    /// Nothing more is read; what was handed over is still acknowledged, until the program closes the stream.
    fn see_off(&mut self) -> Result<()> {
        // The program sees the end.
        self.hand = bounded(0).0;
        let mut alive = Instant::now();
        while !self.control.is_stopping() && !self.unacknowledged.is_empty() {
            thread::sleep(WAIT / 10);
            self.acknowledge()?;
            if alive.elapsed() >= KEEP_ALIVE / 2 {
                alive = Instant::now();
                self.feed.keep_alive()?;
            }
        }
        self.acknowledge()
    }

    fn read(&mut self) -> Result<()> {
        let end = if self.control.once { Some(self.feed.head()?) } else { None };
        let mut idle_since = Instant::now();
        let mut pauses = Pauses::default();
        while !self.control.is_stopping() {
            let mut batch = Batch::default();
            match self.feed.read(&mut batch, WAIT) {
                Err(error) if error.kind() == ErrorKind::Link => {
                    tracing::warn!("{error}; trying again");
                    self.acknowledge()?;
                    pauses.wait(|| self.control.is_stopping());
                    continue;
                }
                read => read?,
            }
            pauses = Pauses::default();
            let caught_up = end.is_some_and(|end| batch.read_to >= end);
            if let Some(last) = batch.rows().last() {
                self.unacknowledged.push_back((last.position, batch.checkpoint.clone()));
                self.hand_over(batch)?;
            } else if let Some(checkpoint) =
                batch.checkpoint.filter(|_| self.unacknowledged.is_empty() && idle_since.elapsed() > IDLE)
            {
                // Nothing of ours in that part of the log: the server need not keep it.
                idle_since = Instant::now();
                self.feed.acknowledge(Some(&checkpoint), Position::START)?;
            }
            self.acknowledge()?;
            if caught_up {
                break;
            }
        }
        Ok(())
    }

    fn hand_over(&mut self, batch: Batch) -> Result<()> {
        let mut batch = Ok(batch);
        let mut alive = Instant::now();
        loop {
            batch = match self.hand.send_timeout(batch, WAIT) {
                Ok(()) | Err(SendTimeoutError::Disconnected(_)) => return Ok(()),
                Err(SendTimeoutError::Timeout(batch)) => batch,
            };
            self.acknowledge()?;
            if self.control.is_stopping() {
                return Ok(());
            }
            if alive.elapsed() >= KEEP_ALIVE / 2 {
                alive = Instant::now();
                self.feed.keep_alive()?;
            }
        }
    }

    /// Saves how far the program has come: within a batch, too, where the position moves and the checkpoint
    /// does not.
    fn acknowledge(&mut self) -> Result<()> {
        let Some(position) = lock(&self.done).take() else { return Ok(()) };
        let finished = self.unacknowledged.partition_point(|(last, _)| *last <= position);
        let reached =
            self.unacknowledged.drain(..finished).filter_map(|(_, checkpoint)| checkpoint).next_back();
        self.feed.acknowledge(reached.as_ref(), position)
    }
}
