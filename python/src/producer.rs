//! Messages of a program's own to Kafka, by the engine's producer: idempotent, acknowledged by all replicas.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use list_sync::kafka::{Delivery, Outgoing, Sender, Settings, Topics, partition_of};
use list_sync::{Error, Result};
use pyo3::prelude::*;

use crate::{errors, logs, settings};

/// Between two looks whether the queue has room, or is empty.
const PAUSE: Duration = Duration::from_millis(5);

/// The first failure, until the program hears of it.
#[derive(Default)]
struct Failure(Mutex<Option<Error>>);

impl Delivery for Failure {
    fn delivered(&self, _: usize, _: i64, _: usize) {}

    fn failed(&self, _: usize, error: Error) {
        lock(&self.0).get_or_insert(error);
    }
}

struct Line {
    topics: Topics,
    sender: Sender<Failure>,
    failure: Arc<Failure>,
    /// Partitions by topic, and how many messages without a key went there.
    known: HashMap<String, (u32, u32)>,
}

impl Line {
    fn open(settings: &Settings) -> Result<Self> {
        settings.check()?;
        let failure = Arc::new(Failure::default());
        let topics = Topics::connect(settings)?;
        Ok(Self {
            topics,
            sender: Sender::new(settings, Arc::clone(&failure))?,
            failure,
            known: HashMap::new(),
        })
    }

    fn check(&self) -> Result<()> {
        self.sender.check()?;
        lock(&self.failure.0).take().map_or(Ok(()), Err)
    }

    fn send(&mut self, topic: &str, key: &[u8], value: &[u8]) -> Result<()> {
        if !self.known.contains_key(topic) {
            self.known.insert(topic.to_owned(), (self.topics.ensure(topic, false)?, 0));
        }
        let (partitions, sent) = self.known.entry(topic.to_owned()).or_insert((1, 0));
        let partition =
            if key.is_empty() { *sent % (*partitions).max(1) } else { partition_of(key, *partitions) };
        *sent = sent.wrapping_add(1);
        let message = Outgoing { topic, partition, key, value, timestamp_ms: 0, headers: &[], tag: 0 };
        while !self.sender.send(&message)? {
            self.check()?;
            thread::sleep(PAUSE);
        }
        self.check()
    }

    fn flush(&self) -> Result<()> {
        while self.sender.in_flight() > 0 {
            self.check()?;
            self.sender.hasten(PAUSE);
        }
        self.check()
    }
}

/// A producer. May be used from any thread of the process that made it.
#[pyclass(frozen, module = "list_sync._native")]
pub struct Producer {
    line: Mutex<Option<Line>>,
    process: u32,
}

#[pymethods]
impl Producer {
    /// Connects, by the TOML text that `call` made of its arguments.
    #[new]
    fn new(py: Python<'_>, call: &str, text: &str) -> PyResult<Self> {
        logs::begin(py)?;
        let config = settings::of_call(call, text).map_err(|error| errors::exception(py, &error))?;
        let opened = py.detach(|| {
            let kafka = config.need_kafka()?;
            let (brokers, properties) = (kafka.brokers.clone(), kafka.properties.clone());
            let replication = kafka.replication.map(|replication| replication as u32);
            Line::open(&Settings { brokers, properties, partitions: kafka.partitions as u32, replication })
        });
        logs::hand_on(py)?;
        let line = opened.map_err(|error| errors::exception(py, &error))?;
        Ok(Self { line: Mutex::new(Some(line)), process: std::process::id() })
    }

    /// Queues a message; an empty key is none.
    fn send(&self, py: Python<'_>, topic: &str, key: &[u8], value: &[u8]) -> PyResult<()> {
        self.with(py, |line| line.send(topic, key, value))
    }

    /// Waits until all is delivered.
    fn flush(&self, py: Python<'_>) -> PyResult<()> {
        self.with(py, |line| line.flush())
    }

    /// Waits until all is delivered and gives the connections back.
    fn close(&self, py: Python<'_>) -> PyResult<()> {
        if self.process != std::process::id() || lock(&self.line).is_none() {
            return Ok(());
        }
        let flushed = self.flush(py);
        py.detach(|| drop(lock(&self.line).take()));
        flushed
    }
}

impl Producer {
    fn with(&self, py: Python<'_>, work: impl FnOnce(&mut Line) -> Result<()> + Send) -> PyResult<()> {
        if self.process != std::process::id() {
            return Err(errors::forked(py));
        }
        let done = py.detach(|| lock(&self.line).as_mut().map(work));
        logs::hand_on(py)?;
        match done {
            Some(done) => done.map_err(|error| errors::exception(py, &error)),
            None => Err(errors::closed(py, "the producer")),
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
