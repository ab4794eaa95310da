//! The rows that tables hold when a source begins, beside the stream that goes on: a [`Source`] around
//! another one, which hands out both as one stream.
//!
//! # The rule
//! Tables are read in chunks, in the order of their keys, each in one view of the database. Of a table that
//! is not read to its end, a change in the log is
//! - passed on, if its key is read (a chunk with it was handed out before the change);
//! - dropped, if its key is not read: a chunk will see it;
//! - for a key of the chunk under way: dropped, if the chunk's view holds it, else it takes the row's place.
//!
//! # Why nothing is lost
//! A chunk is begun when the stream stands between two transactions, at a place B. A dropped change stands in
//! the log before B, or is in the chunk's view. The view holds all that stands before B, since it is asked
//! for just that ([`crate::source::Passed`]): a place in the log is no measure of what others see. So each
//! dropped change is in a chunk that comes later.
//!
//! # Why nothing comes twice
//! Nothing that the view holds stands in the log from the view's horizon H on. If H is behind B, the chunk is
//! kept back, and the stream read up to H first. A change in between that the view does not hold, or that
//! nobody can say it of (MySQL), takes the place of the row: its first one goes out as an insert (a delete as
//! nothing), and the row is left out of the chunk. Whatever the view held, what follows is the row as it was
//! behind that change. So the rows of a chunk stand, with positions between two transactions
//! ([`Position::SNAPSHOT`]), behind all that they hold and before all that they do not.
//!
//! # Broken off
//! Every batch carries how far it is, so that what is saved is exact. What Kafka holds behind the last saved
//! state is read from there ([`Source::go_on_behind`]): those keys count as read. Since a row stands behind
//! all that it holds, the changes that come again for it are those that its partition has already: the rule
//! of positions leaves them out. A chunk is begun only behind all that the topics hold, so that this rule
//! never leaves out a change that takes a row's place.
//!
//! # Without a key
//! Such a table is one chunk, too large to keep back. Changes that its view holds are dropped until the
//! stream has passed H ([`crate::change::Window`]). Broken off, it is read again behind a truncate.

mod chunk;
mod filter;
#[cfg(test)]
mod live;
mod run;
mod sent;
mod worker;

use std::time::Duration;

use crate::Result;
use crate::change::{Batch, Checkpoint, Position, Snapshot};
use crate::source::{Chunks, Inspection, Sent, Source};
use run::{Pace, Run};

/// A source with its snapshot.
pub struct Snapshots {
    name: String,
    stream: Box<dyn Source>,
    run: Option<Run>,
    has_started: bool,
    /// Only the snapshot is wanted, nothing behind it.
    only: bool,
    has_ended: bool,
    pace: Pace,
}

impl Snapshots {
    /// Around a source that was not started.
    pub fn new(name: &str, stream: Box<dyn Source>, only: bool) -> Self {
        Self {
            name: name.to_owned(),
            stream,
            run: None,
            has_started: false,
            only,
            has_ended: false,
            pace: Pace::default(),
        }
    }
}

impl Source for Snapshots {
    fn start(&mut self, saved: Option<&Checkpoint>) -> Result<Checkpoint> {
        let raw = saved.map(Checkpoint::of_stream);
        let mut began = self.stream.start(raw.as_ref())?;
        let planned = began.snapshot.take();
        let progress = match saved {
            Some(saved) => saved.snapshot.clone(),
            None => planned,
        };
        if self.has_started {
            // The link broke: what was handed out is known here better than from the last saved state.
            if let Some(run) = &mut self.run {
                run.stream_began_again(&began);
                return Ok(run.checkpoint());
            }
            return Ok(began);
        }
        self.has_started = true;
        let Some(progress) = progress else {
            // Read by an earlier start.
            self.has_ended = true;
            return Ok(began);
        };
        let is_new = saved.is_none();
        log_begin(&self.name, &progress, is_new);
        let saved_at = saved.map(|saved| saved.position);
        let run = Run::new(&self.name, *progress, &began, &*self.stream, saved_at, self.pace)?;
        let began = run.checkpoint();
        self.run = Some(run);
        Ok(began)
    }

    fn head(&mut self) -> Result<Position> {
        self.stream.head()
    }

    fn read(&mut self, batch: &mut Batch, wait: Duration) -> Result<()> {
        let Some(run) = &mut self.run else {
            if self.only && self.has_ended {
                std::thread::sleep(wait);
                self.stream.keep_alive()?;
                batch.read_to = Position { epoch: u16::MAX, ..Position::START };
                return Ok(());
            }
            return self.stream.read(batch, wait);
        };
        run.read(&mut *self.stream, batch, wait)?;
        batch.read_to = Position::START;
        if run.is_done() {
            batch.checkpoint = Some(run.last_checkpoint());
            self.run = None;
            self.has_ended = true;
        }
        Ok(())
    }

    fn keep_alive(&mut self) -> Result<()> {
        self.stream.keep_alive()
    }

    fn confirm(&mut self, saved: &Checkpoint) -> Result<()> {
        self.stream.confirm(&saved.of_stream())
    }

    fn chunks(&self) -> Box<dyn Chunks> {
        self.stream.chunks()
    }

    fn hasten(&mut self, place: Position) {
        self.stream.hasten(place);
    }

    fn go_on_behind(&mut self, floor: Position, sent: Vec<Sent>) {
        if let Some(run) = &mut self.run {
            run.go_on_behind(floor, sent);
        }
    }

    fn inspect(&self) -> Inspection {
        self.stream.inspect()
    }
}

fn log_begin(name: &str, progress: &Snapshot, is_new: bool) {
    let (tables, rows) = (progress.pending.len() + usize::from(progress.reading.is_some()), progress.rows);
    if is_new {
        tracing::info!(source = name, tables, "snapshot begins");
    } else {
        tracing::info!(source = name, tables, rows, "snapshot goes on");
    }
}
