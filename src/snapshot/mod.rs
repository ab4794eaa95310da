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
mod tables;
mod worker;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use crate::Result;
use crate::change::{Batch, Checkpoint, Known, Position, Snapshot, Table, TableName};
use crate::source::{self, Chunks, Inspection, Sent, Source};
use run::{Pace, Run};

/// A source with its snapshot.
pub struct Snapshots {
    name: String,
    stream: Box<dyn Source>,
    /// What is done with rows that are there already.
    mode: source::Snapshot,
    run: Option<Run>,
    has_started: bool,
    /// With [`source::Snapshot::Only`]: there is nothing left to hand out.
    has_ended: bool,
    /// What was sent stays, also if it was not saved: as in a topic, and not in files that are cut.
    is_into_topic: bool,
    known: Known,
    /// Tables that are known, as the log describes them.
    seen: HashSet<Arc<Table>>,
    /// The stream's newest checkpoint, and the last change that it handed out.
    newest: Option<Checkpoint>,
    processed: Position,
    /// The newest change that a topic held at the start.
    floor: Position,
    pace: Pace,
}

impl Snapshots {
    /// Around a source that was not started.
    pub fn new(name: &str, stream: Box<dyn Source>, mode: source::Snapshot) -> Self {
        Self {
            name: name.to_owned(),
            stream,
            mode,
            run: None,
            has_started: false,
            has_ended: false,
            is_into_topic: false,
            known: Known::default(),
            seen: HashSet::new(),
            newest: None,
            processed: Position::START,
            floor: Position::START,
            pace: Pace::default(),
        }
    }

    /// The link broke: what was handed out is known here better than from the last saved state.
    fn start_again(&mut self, began: &Checkpoint, added: &[TableName]) -> Result<Checkpoint> {
        self.come_in(added)?;
        Ok(match &mut self.run {
            Some(run) => {
                run.stream_began_again(began);
                run.checkpoint()
            }
            None => began.clone(),
        })
    }

    fn read_stream(&mut self, batch: &mut Batch, wait: Duration) -> Result<()> {
        self.stream.read(batch, wait)?;
        self.processed = batch.rows().last().map_or(self.processed, |row| row.position);
        if let Some(checkpoint) = &batch.checkpoint {
            self.newest = Some(checkpoint.clone());
        }
        Ok(())
    }

    fn read_run(&mut self, batch: &mut Batch, wait: Duration) -> Result<()> {
        let Some(run) = &mut self.run else { return Ok(()) };
        run.read(&mut *self.stream, batch, wait)?;
        batch.read_to = Position::START;
        if run.is_done() {
            (self.newest, self.processed) = run.end();
            batch.checkpoint.clone_from(&self.newest);
            self.run = None;
            self.has_ended = true;
        }
        Ok(())
    }
}

impl Source for Snapshots {
    fn start(&mut self, saved: Option<&Checkpoint>) -> Result<Checkpoint> {
        let raw = saved.map(Checkpoint::of_stream);
        let mut began = self.stream.start(raw.as_ref())?;
        let planned = began.snapshot.take();
        let (there, added) = (self.stream.tables(), self.stream.take_new_tables());
        if self.has_started {
            let began = self.start_again(&began, &added)?;
            return Ok(self.with_known(began));
        }
        self.has_started = true;
        self.newest = Some(began.clone());
        let progress = match saved {
            Some(saved) => self.plan_behind(saved, &there, &added),
            None => self.plan(&there, planned),
        };
        let Some(progress) = progress.filter(|progress| saved.is_none() || !progress.is_done()) else {
            // Read by an earlier start.
            self.has_ended = true;
            return Ok(self.with_known(began));
        };
        let resumed = saved.filter(|saved| saved.snapshot.is_some());
        log_begin(&self.name, &progress, resumed.is_none());
        let resumed_at = resumed.map(|saved| saved.position);
        let run = Run::new(&self.name, progress, &began, &*self.stream, resumed_at, self.pace)?;
        let began = run.checkpoint();
        self.run = Some(run);
        Ok(self.with_known(began))
    }

    fn head(&mut self) -> Result<Position> {
        self.stream.head()
    }

    fn read(&mut self, batch: &mut Batch, wait: Duration) -> Result<()> {
        if self.run.is_some() {
            self.read_run(batch, wait)?;
        } else if self.mode == source::Snapshot::Only && self.has_ended {
            std::thread::sleep(wait);
            self.stream.keep_alive()?;
            batch.read_to = Position { epoch: u16::MAX, ..Position::START };
            return Ok(());
        } else {
            self.read_stream(batch, wait)?;
        }
        self.know_tables_of(batch);
        let added = self.stream.take_new_tables();
        self.come_in(&added)?;
        batch.checkpoint = batch.checkpoint.take().map(|checkpoint| self.with_known(checkpoint));
        Ok(())
    }

    fn keep_alive(&mut self) -> Result<()> {
        self.stream.keep_alive()
    }

    fn confirm(&mut self, saved: &Checkpoint) -> Result<()> {
        if let Some(run) = &mut self.run {
            run.plan_is_saved(saved);
        }
        self.stream.confirm(&saved.of_stream())
    }

    fn chunks(&self) -> Box<dyn Chunks> {
        self.stream.chunks()
    }

    fn hasten(&mut self, place: Position) {
        self.stream.hasten(place);
    }

    fn tables(&self) -> Vec<TableName> {
        self.stream.tables()
    }

    fn go_on_behind(&mut self, floor: Position, sent: Option<Vec<Sent>>) {
        (self.floor, self.is_into_topic) = (floor, sent.is_some());
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
