//! The rows that tables hold when a source begins, beside the stream that goes on: a [`Source`] around
//! another one, which hands out both as one stream.
//!
//! # The rule
//! Tables are read in chunks, in the order of their keys, each in one view of the database. Of a table that
//! is not read to its end, a change in the log is
//! - passed on, if its key is read (a chunk with it was handed out before the change);
//! - dropped, if its key is not read: a chunk will see it;
//! - for the chunk read last: dropped, if the chunk's view holds it, else passed on.
//!
//! # Why nothing is lost
//! A chunk is begun when the stream stands between two transactions, at a place B, and the stream waits until
//! the chunk is handed out. A dropped change stands in the log before B, or is in the chunk's view. The view
//! holds all that stands before B, since it is asked for just that ([`crate::source::Passed`]): a place in
//! the log is no measure of what others see. So each dropped change is in a chunk that comes later.
//!
//! # Why nothing comes twice
//! Rows of a chunk stand between B and what comes behind it ([`Position::SNAPSHOT`]). A change behind B that
//! the view holds is dropped until the stream has passed the view's horizon; the view, as a
//! [`crate::change::Window`], is part of the checkpoint until then.
//!
//! # Views that leave some in doubt
//! MySQL cannot say of each transaction whether a view holds it. Such a chunk is kept back, and the stream
//! read up to the view's horizon first. A change of its rows that is in doubt takes the row's place: its
//! first one goes out as an insert (a delete as nothing), and the row is left out of the chunk. Whatever the
//! view held, what follows is the row as it was behind that change.
//!
//! # Broken off
//! Every batch carries how far it is, so that what is saved is exact. What Kafka holds behind the last saved
//! state is read from there ([`Source::go_on_behind`]): those keys count as read.

mod chunk;
mod filter;
#[cfg(test)]
mod live;
mod run;
mod worker;

use std::time::Duration;

use crate::Result;
use crate::change::{Batch, Checkpoint, Position, Snapshot, TableName};
use crate::source::{Chunks, Inspection, Source};
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
        let run = Run::new(&self.name, *progress, &began, &*self.stream, !is_new, self.pace)?;
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

    fn go_on_behind(&mut self, floor: Position, ahead: Vec<(TableName, String)>) {
        if let Some(run) = &mut self.run {
            run.go_on_behind(floor, ahead);
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
