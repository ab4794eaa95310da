//! Databases -> Kafka. Runs source -> format -> kafka, and is the only place that saves a source's position
//! there.
//!
//! Two threads a source, with a bounded channel of batches between them: one reads and encodes, the other
//! sends and saves.
//!
//! ```text
//! source ─► reader: read, encode ─► [batches] ─► dispatcher: skip repeats, send ─► Kafka
//!    ▲                                              │ acknowledged: in_flight
//!    └── confirm ◄── saved in list_sync.positions ◄─┘
//! ```

mod delivery;
mod dispatcher;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzz;
mod headers;
mod in_flight;
mod queue_figures;
mod reader;
mod saved;
mod shapes;
mod tail;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::change::Checkpoint;
use crate::config::{self, Config};
use crate::control::{Control, Part};
use crate::kafka::{Checkpoints, Settings, Topics};
use crate::metrics::{SourceFigures, now_us};
use crate::supervisor::{Job, supervise};
use crate::{Code, Error, Result, assembly, source, threads};
use dispatcher::Dispatcher;
use reader::Reader;
pub use saved::POSITION_HEADER;
use saved::Saved;

/// Batches between the two threads: enough that neither waits for the other's hiccups.
const BATCHES: usize = 3;

/// What the two halves of a source share.
pub struct Shared {
    name: String,
    control: Control,
    figures: Arc<SourceFigures>,
    saved: Mutex<Option<Checkpoint>>,
    ended: AtomicBool,
    stop_seen: Mutex<Option<Instant>>,
}

impl Shared {
    fn new(name: &str, control: &Control) -> Self {
        Self {
            name: name.to_owned(),
            control: control.clone(),
            figures: control.progress.source(name),
            saved: Mutex::default(),
            ended: AtomicBool::new(false),
            stop_seen: Mutex::default(),
        }
    }

    fn stopping(&self) -> bool {
        self.ended.load(Ordering::Relaxed) || self.control.is_stopping()
    }

    /// Time since the stop was first noticed.
    fn stopped_for(&self) -> Duration {
        let mut seen = self.stop_seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.get_or_insert_with(Instant::now).elapsed()
    }

    fn saved(&self, checkpoint: Checkpoint) {
        *self.saved.lock().unwrap_or_else(PoisonError::into_inner) = Some(checkpoint);
    }

    fn take_saved(&self) -> Option<Checkpoint> {
        self.saved.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn state(&self, state: &'static str) {
        self.figures.life.set_state(state);
        self.figures.up.set(i64::from(state == "streaming"));
    }
}

/// Runs the sources of these names, or all, until they are told to stop or, with `once`, have caught up.
///
/// A source that a person must look after ends alone, loudly; the error is answered when all have ended.
/// Trouble that may pass is waited for. With `once`, and unless [`Control::waits_at_start`] says otherwise,
/// the first failure of a first start ends them all.
pub fn run(config: &Config, names: &[String], control: &Control) -> Result<()> {
    let settings = assembly::kafka(config)?;
    let sources = config.need_sources(names)?;
    // Fails here, once, rather than in every source.
    let begun = control.begin(
        || Topics::connect(&settings),
        |error| {
            tracing::warn!(code = error.code().slug(), hint = error.hint_text(), "{error}; trying again");
            for source in &sources {
                control.progress.source(&source.name).life.wait_for("waiting for Kafka", error);
            }
        },
    )?;
    if begun.is_none() {
        return Ok(());
    }
    std::thread::scope(|scope| {
        let work = |source| {
            let settings = &settings;
            threads::spawn_scoped(scope, move || run_supervised(source, settings, control))
        };
        let running: Vec<_> = sources.into_iter().map(work).collect();
        let ended = running.into_iter().map(|source| {
            source.join().unwrap_or_else(|_| Err(Error::stop(Code::Internal, "a source's thread died")))
        });
        ended.collect::<Vec<_>>().into_iter().collect()
    })
}

/// The saved place of a source, when the changes before it were committed (microseconds since 1970), and
/// whether the source ended by itself.
pub(crate) fn saved(
    settings: &Settings,
    topics: &Topics,
    source: &str,
) -> Result<Option<(Checkpoint, Option<i64>, bool)>> {
    let bytes = Checkpoints::look(settings, topics, source.as_bytes())?;
    let saved = bytes.map(|bytes| Saved::from_bytes(source, &bytes)).transpose()?;
    Ok(saved.map(|saved| (saved.checkpoint, saved.as_of_us, saved.is_clean)))
}

/// Moves the saved place of a source that does not run, or with `None` forgets it.
pub(crate) fn replace_saved(settings: &Settings, source: &str, checkpoint: Option<Checkpoint>) -> Result<()> {
    let topics = Topics::connect(settings)?;
    let key = source.as_bytes();
    let value = match (checkpoint, Checkpoints::look(settings, &topics, key)?) {
        (None, _) => Vec::new(),
        (Some(checkpoint), Some(bytes)) => {
            Saved::from_bytes(source, &bytes)?.moved_to(checkpoint).to_bytes()?
        }
        (Some(_), None) => {
            return Err(Error::stop(
                Code::PositionMissing,
                format!("source {source:?} has no saved place to move"),
            ));
        }
    };
    Checkpoints::replace(settings, key, &value)
}

/// One source, over all its lives.
struct Running<'a> {
    source: &'a config::Source,
    settings: &'a Settings,
    control: Control,
    figures: Arc<SourceFigures>,
    has_begun: bool,
}

impl Job for Running<'_> {
    fn run(&mut self) -> Result<()> {
        run_source(self.source, self.settings, &self.control, &mut self.has_begun)
    }

    fn has_begun(&self) -> bool {
        self.has_begun
    }

    fn part(&self) -> Part {
        Part::Source(self.source.name.clone())
    }

    fn failed(&mut self, error: &Error) {
        self.figures.error(error.kind());
        self.figures.up.set(0);
    }

    fn restarted(&mut self) {
        self.figures.restarts.inc();
    }
}

/// Runs one source, again and again while Kafka comes and goes.
fn run_supervised(source: &config::Source, settings: &Settings, control: &Control) -> Result<()> {
    let control = control.of(Part::Source(source.name.clone()));
    let figures = control.progress.source(&source.name);
    let mut job = Running {
        source,
        settings,
        control: control.clone(),
        figures: Arc::clone(&figures),
        has_begun: false,
    };
    supervise(&mut job, &control, &figures.life)
}

/// A panic: a fault of list_sync itself. It ends what it concerns, as any failure that only a person can look
/// after.
fn died(what: &str) -> Error {
    Error::stop(Code::Internal, format!("{what} died"))
        .hint("what it printed on stderr says where; please report it")
}

fn run_source(
    settings_of: &config::Source,
    settings: &Settings,
    control: &Control,
    started: &mut bool,
) -> Result<()> {
    let shared = Shared::new(&settings_of.name, control);
    shared.state("starting");
    let topics = Topics::connect(settings)?;
    let saved = Checkpoints::load(settings, &topics, settings_of.name.as_bytes())?;
    let saved = saved.map(|bytes| Saved::from_bytes(&settings_of.name, &bytes)).transpose()?;
    if !*started {
        refuse_shared_topics(settings_of)?;
    }
    let mut source = assembly::source(settings_of, false);
    let began = source.start(saved.as_ref().map(|saved| &saved.checkpoint))?;
    // Reading the ends of many topics takes longer than the server waits for its reader.
    let mut dispatcher = source::kept_alive(&mut *source, || {
        Dispatcher::new(settings, &shared, settings_of, saved.as_ref(), topics)
    })?;
    let (floor, sent) = dispatcher.what_is_there()?;
    source.go_on_behind(floor, Some(sent));
    let began = match &saved {
        // The place is the saved one, with the tables that are to be read by now.
        Some(saved) => saved.checkpoint.clone().with_tables_of(&began),
        None => began,
    };
    let as_of_us = saved.as_ref().and_then(|saved| saved.as_of_us).unwrap_or_else(now_us);
    shared.figures.finish(&began, as_of_us);
    // A new source's beginning, or that an old one no longer stands still where it ended.
    dispatcher.save_beginning(began.clone())?;
    *started = true;
    shared.state("streaming");
    tracing::info!(source = settings_of.name, position = %began.position, "streaming");
    let (hand, handed) = crossbeam_channel::bounded(BATCHES);
    let (give_back, used) = crossbeam_channel::bounded(BATCHES + 2);
    let encoder = assembly::encoder(settings_of);
    let reader = Reader { source, encoder, hand: Some(hand), used, shared: &shared, once: control.once };
    std::thread::scope(|scope| {
        let reading = threads::spawn_scoped(scope, move || reader.run(began));
        // A panic here must not leave the reading half waiting for ever.
        let sent = catch_unwind(AssertUnwindSafe(|| dispatcher.run(&handed, &give_back)))
            .unwrap_or_else(|_| Err(died("the sending thread")));
        shared.ended.store(true, Ordering::Relaxed);
        drop((handed, give_back));
        let read = reading.join().unwrap_or_else(|_| Err(died("the reading thread")));
        // The reader's failure is the cause where both fail.
        read.and(sent)
    })
}

/// Tables that would share a topic by accident are told before anything is made; one that appears later is
/// told when its first row comes.
fn refuse_shared_topics(source: &config::Source) -> Result<()> {
    let tables = source::open(&source.address)?.tables(&source.tables)?;
    source.topic.check_tables(tables.iter().map(|(schema, table)| (schema.as_str(), table.as_str())))
}
