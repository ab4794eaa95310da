//! A database's changes for a program, without Kafka. A thread of the engine reads ahead, a few batches at most, keeps the connection
//! alive while the program is busy, and acknowledges what the program is done with.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, SendTimeoutError, Sender, bounded, unbounded};
use list_sync::change::{Batch, Checkpoint, Position};
use list_sync::config::Config;
use list_sync::control::Control;
use list_sync::direct::Feed;
use list_sync::error::Kind;
use list_sync::source::KEEP_ALIVE;
use list_sync::{Error, Result};
use pyo3::prelude::*;
use pyo3::types::PyList;

use crate::{errors, logs, settings, values};

/// Batches that are read ahead.
const AHEAD: usize = 3;
/// The longest wait for rows, and so for a stop.
const WAIT: Duration = Duration::from_millis(100);
/// Between two acknowledgements that only tell the server that nothing came.
const IDLE: Duration = Duration::from_secs(1);
/// Between two tries to connect again.
const PAUSE: Duration = Duration::from_secs(1);

/// What the reading thread hands over.
struct Read {
    batch: Batch,
    number: u64,
}

/// A batch up to which the program is done.
struct Done(u64);

/// The reading end of a database's stream.
#[pyclass(frozen, module = "list_sync._native")]
pub struct Stream {
    control: Control,
    process: u32,
    batches: Receiver<Result<Read>>,
    done: Sender<Done>,
    /// The number of the batch that was handed out last.
    handed: Mutex<u64>,
    engine: Mutex<Option<thread::JoinHandle<()>>>,
    ended: Arc<Mutex<bool>>,
}

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
        let (done, acknowledged) = unbounded();
        let opened = py.detach(move || open(&config, state.as_deref()));
        logs::hand_on(py)?;
        let feed = opened.map_err(|error| errors::exception(py, &error))?;
        let told = control.clone();
        let reading = move || Reading { feed, control: told, hand, done: acknowledged, unacknowledged: Vec::new(), number: 0 }.run();
        let engine = thread::Builder::new().name("list_sync".to_owned()).spawn(reading);
        let engine = engine.map_err(|cause| errors::exception(py, &Error::stop("no thread can be started").cause(cause)))?;
        let (handed, ended) = (Mutex::new(0), Arc::default());
        Ok(Self { control, process: std::process::id(), batches, done, handed, engine: Mutex::new(Some(engine)), ended })
    }

    /// The next batch as a list of tuples (see `values.rs`); empty if nothing came within `wait` seconds, `None` at the end of the stream.
    fn read<'py>(&self, py: Python<'py>, wait: f64) -> PyResult<Option<Bound<'py, PyList>>> {
        self.check_process(py)?;
        let wait = Duration::try_from_secs_f64(wait).unwrap_or(WAIT);
        let found = py.detach(|| self.batches.recv_timeout(wait));
        logs::hand_on(py)?;
        match found {
            Ok(Ok(read)) => {
                *lock(&self.handed) = read.number;
                values::changes(py, &read.batch).map(Some)
            }
            Ok(Err(error)) => {
                *lock(&self.ended) = true;
                Err(errors::exception(py, &error))
            }
            Err(RecvTimeoutError::Timeout) => Ok(Some(PyList::empty(py))),
            Err(RecvTimeoutError::Disconnected) => {
                *lock(&self.ended) = true;
                Ok(None)
            }
        }
    }

    /// The program is done with all that was handed out.
    fn acknowledge(&self, py: Python<'_>) -> PyResult<()> {
        self.check_process(py)?;
        let _ = self.done.send(Done(*lock(&self.handed)));
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
        *lock(&self.ended)
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

fn open(config: &Config, state: Option<&std::path::Path>) -> Result<Feed> {
    Feed::open(config.need_sources(&[])?[0], state)
}

/// The engine's side.
struct Reading {
    feed: Feed,
    control: Control,
    hand: Sender<Result<Read>>,
    done: Receiver<Done>,
    /// Batches that were handed over: number, last position, checkpoint.
    unacknowledged: Vec<(u64, Position, Option<Checkpoint>)>,
    number: u64,
}

impl Reading {
    fn run(mut self) {
        if let Err(error) = self.read() {
            let _ = self.hand.send(Err(error));
        } else if let Err(error) = self.see_off() {
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
        while !self.control.is_stopping() {
            let mut batch = Batch::default();
            match self.feed.read(&mut batch, WAIT) {
                Err(error) if error.kind() == Kind::Link => {
                    tracing::warn!("{error}; trying again");
                    thread::sleep(PAUSE);
                    continue;
                }
                read => read?,
            }
            let caught_up = end.is_some_and(|end| batch.read_to >= end);
            if let Some(last) = batch.rows().last() {
                self.number += 1;
                self.unacknowledged.push((self.number, last.position, batch.checkpoint.clone()));
                self.hand_over(Read { batch, number: self.number })?;
            } else if let Some(checkpoint) = batch.checkpoint.filter(|_| self.unacknowledged.is_empty() && idle_since.elapsed() > IDLE) {
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

    fn hand_over(&mut self, read: Read) -> Result<()> {
        let mut read = Ok(read);
        let mut alive = Instant::now();
        loop {
            read = match self.hand.send_timeout(read, WAIT) {
                Ok(()) | Err(SendTimeoutError::Disconnected(_)) => return Ok(()),
                Err(SendTimeoutError::Timeout(read)) => read,
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

    /// Saves how far the program has come.
    fn acknowledge(&mut self) -> Result<()> {
        let Some(Done(number)) = self.done.try_iter().last() else { return Ok(()) };
        let finished = self.unacknowledged.partition_point(|(known, ..)| *known <= number);
        let (mut written, mut reached) = (Position::START, None);
        for (_, position, checkpoint) in self.unacknowledged.drain(..finished) {
            written = position;
            reached = checkpoint.or(reached);
        }
        if finished == 0 { Ok(()) } else { self.feed.acknowledge(reached.as_ref(), written) }
    }
}
