//! What the engine logs goes to Python's `logging`, as records of the logger `list_sync`.
//!
//! The engine's threads never touch Python: they put lines in a queue, and the thread that waits for the
//! engine hands them on. So a thread of the engine never waits for the interpreter, and none is caught in it
//! when the interpreter ends.

use std::collections::VecDeque;
use std::fmt::{self, Write as _};
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, Once, PoisonError};

use pyo3::prelude::*;
use tracing::field::{Field, Visit};
use tracing::subscriber::Interest;
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::{Context, SubscriberExt as _};
use tracing_subscriber::registry::LookupSpan;

/// Lines that wait to be handed on; when there are more, the oldest go.
const LINES_MAX: usize = 10_000;

struct Line {
    level: u8,
    text: String,
}

#[derive(Default)]
struct Queue {
    lines: VecDeque<Line>,
    lost: u64,
}

/// The child of a fork has the next queue: the lock of its parent's may have been held by a thread that is
/// not there any more.
static QUEUES: [Mutex<Queue>; 8] = [const { Mutex::new(Queue { lines: VecDeque::new(), lost: 0 }) }; 8];
static FORKS: AtomicUsize = AtomicUsize::new(0);
/// Lines below this level of `logging` are not made.
static LEVEL: AtomicU8 = AtomicU8::new(NOTHING);
const NOTHING: u8 = 255;

/// Begins to log, from the level of Python's logger on. Called at the start of all that runs.
pub fn begin(py: Python<'_>) -> PyResult<()> {
    static ONCE: Once = Once::new();
    let level: u32 = logger(py)?.call_method0("getEffectiveLevel")?.extract()?;
    LEVEL.store(level.min(u32::from(NOTHING)) as u8, Ordering::Relaxed);
    ONCE.call_once(|| {
        // The command `list_sync` in this process has its own log, and then keeps it.
        let _ = tracing::subscriber::set_global_default(tracing_subscriber::registry().with(ToQueue));
    });
    Ok(())
}

/// Hands on what was logged since.
pub fn hand_on(py: Python<'_>) -> PyResult<()> {
    let Queue { lines, lost } = std::mem::take(&mut *queue());
    if lines.is_empty() {
        return Ok(());
    }
    let logger = logger(py)?;
    if lost > 0 {
        logger.call_method1(
            "warning",
            ("%d lines of the log are lost: they came faster than they were handled", lost),
        )?;
    }
    for Line { level, text } in lines {
        logger.call_method1("log", (level, "%s", text))?;
    }
    Ok(())
}

/// In the child of a fork: what the parent has not handed on is not the child's to log.
pub fn after_fork() {
    FORKS.fetch_add(1, Ordering::Relaxed);
}

fn logger(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
    py.import("logging")?.call_method1("getLogger", ("list_sync",))
}

fn queue() -> MutexGuard<'static, Queue> {
    let queue = &QUEUES[FORKS.load(Ordering::Relaxed) % QUEUES.len()];
    queue.lock().unwrap_or_else(PoisonError::into_inner)
}

struct ToQueue;

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for ToQueue {
    /// Asked anew at each event, since Python may change its level.
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        if is_ours(metadata) { Interest::sometimes() } else { Interest::never() }
    }

    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        is_ours(metadata) && number(*metadata.level()) >= LEVEL.load(Ordering::Relaxed)
    }

    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut text = Text::default();
        event.record(&mut text);
        let line = Line { level: number(*event.metadata().level()), text: text.message + &text.fields };
        let mut queue = queue();
        if queue.lines.len() == LINES_MAX {
            queue.lines.pop_front();
            queue.lost += 1;
        }
        queue.lines.push_back(line);
    }
}

fn is_ours(metadata: &Metadata<'_>) -> bool {
    metadata.target().starts_with("list_sync") || metadata.target() == "kafka"
}

/// The numbers of `logging`.
fn number(level: Level) -> u8 {
    match level {
        Level::ERROR => 40,
        Level::WARN => 30,
        Level::INFO => 20,
        Level::DEBUG => 10,
        Level::TRACE => 5,
    }
}

/// `message name=value name=value`.
#[derive(Default)]
struct Text {
    message: String,
    fields: String,
}

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        // Writing to a string does not fail.
        let _ = match field.name() {
            "message" => write!(self.message, "{value:?}"),
            name => write!(self.fields, " {name}={value:?}"),
        };
    }
}
