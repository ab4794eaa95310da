//! One snapshot on its way: when the stream is read and when a chunk, and how far both are.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use super::chunk::{Chunk, Truncate};
use super::sent::SentKeys;
use super::worker::Worker;
use crate::Result;
use crate::change::{Batch, Checkpoint, Position, Reading, Snapshot, TableName};
use crate::source::{Chunks, Passed, Sent, Source, Task};

/// How many rows a chunk has, and what the stream has in between.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// The first one.
    pub first: u64,
    /// The smallest.
    pub min: u64,
    /// The largest.
    pub max: u64,
    /// After a chunk the stream is read until nothing comes for now, but no longer than this.
    pub slice: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self { first: 10_000, min: 500, max: 500_000, slice: Duration::from_millis(500) }
    }
}

/// How long the stream is waited for before it counts as quiet.
const QUIET: Duration = Duration::from_millis(2);

/// A snapshot that is not done.
pub struct Run {
    pub(super) name: String,
    pub(super) progress: Snapshot,
    /// The stream's newest checkpoint.
    pub(super) boundary: Checkpoint,
    /// The newest change of the stream that was looked at.
    pub(super) processed: Position,
    /// What the stream sends again after its link broke, up to here, was looked at before.
    pub(super) repeated_to: Option<Position>,
    /// The place of the next row of a chunk, if the stream has not moved on.
    pub(super) next_place: Position,
    /// What the stream brought behind the place where a chunk is put.
    carry: Option<Box<Batch>>,
    pub(super) worker: Worker,
    /// Answers questions about keys and views.
    pub(super) judge: Box<dyn Chunks>,
    pub(super) chunk: Option<Chunk>,
    /// What the topics hold already of tables that are not read to their ends.
    pub(super) sent: BTreeMap<TableName, SentKeys>,
    /// The snapshot was broken off before, and this place was saved.
    saved_at: Option<Position>,
    /// Tables that came in later, and of which nothing saved says so.
    unsaved: BTreeSet<TableName>,
    /// PostgreSQL: transactions that the stream brought, without those that every view sees.
    pub(super) xids: BTreeSet<u32>,
    pub(super) pace: Pace,
    pub(super) rows: u64,
    pub(super) slice_began: Instant,
    pub(super) is_quiet: bool,
    pub(super) tries: u32,
    pub(super) not_before: Option<Instant>,
}

impl Run {
    /// Goes on at `progress`, with a stream that began at `began`; `saved_at` if it was broken off.
    pub fn new(
        name: &str,
        progress: Snapshot,
        began: &Checkpoint,
        stream: &dyn Source,
        saved_at: Option<Position>,
        pace: Pace,
    ) -> Result<Self> {
        Ok(Self {
            name: name.to_owned(),
            xids: progress.passed.iter().copied().collect(),
            progress,
            boundary: began.clone(),
            processed: Position::START,
            repeated_to: None,
            next_place: Position::START,
            carry: None,
            worker: Worker::start(stream.chunks())?,
            judge: stream.chunks(),
            chunk: None,
            sent: BTreeMap::new(),
            saved_at,
            unsaved: BTreeSet::new(),
            pace,
            rows: pace.first,
            slice_began: Instant::now(),
            is_quiet: false,
            tries: 0,
            not_before: None,
        })
    }

    /// It begins in the middle of the stream, behind the change `processed`; a topic held all up to `floor`.
    pub fn follow(&mut self, processed: Position, floor: Position) {
        self.processed = processed;
        self.next_place = self.next_place.max(after(floor));
    }

    /// A table came in. If the rows that are sent of it stay, also if they were not saved, they wait until it
    /// is saved that the table is read.
    pub fn add_late(&mut self, table: &TableName, again: bool, is_into_topic: bool) {
        if self.chunk.as_ref().is_some_and(|chunk| chunk.table == *table) {
            self.chunk = None;
        }
        self.progress.add_late(table.clone(), again);
        if is_into_topic {
            self.unsaved.insert(table.clone());
        }
    }

    /// This was saved.
    pub fn plan_is_saved(&mut self, saved: &Checkpoint) {
        if let Some(snapshot) = &saved.snapshot {
            self.unsaved.retain(|table| !snapshot.late.contains(table));
        }
    }

    /// As [`Source::go_on_behind`].
    pub fn go_on_behind(&mut self, floor: Position, sent: Option<Vec<Sent>>) {
        self.next_place = self.next_place.max(after(floor));
        if sent.is_some() && self.saved_at.is_none() {
            // What is to be read was found at this start.
            self.unsaved.clone_from(&self.progress.late);
        }
        for Sent { table, key, position } in sent.into_iter().flatten() {
            self.sent.entry(table).or_default().add(key, position);
        }
        for (table, at) in &self.progress.emptied {
            if let Some(sent) = self.sent.get_mut(table) {
                sent.truncate(*at);
            }
        }
        if self.progress.tail_from.is_none() {
            self.progress.tail_from = self.saved_at;
        }
        self.forget_tail_if_empty();
    }

    /// What was sent before the snapshot was broken off is known again: the next start need not look for it.
    pub(super) fn forget_tail_if_empty(&mut self) {
        self.sent.retain(|_, sent| !sent.is_empty());
        if self.sent.is_empty() {
            self.progress.tail_from = None;
            self.progress.emptied.clear();
        }
    }

    /// The table was emptied: what was sent of it before counts no longer. Whether there was any.
    pub(super) fn empty(&mut self, table: &TableName, at: Position) -> bool {
        if self.progress.tail_from.is_some() {
            self.progress.emptied.insert(table.clone(), at);
        }
        self.sent.get_mut(table).is_some_and(|sent| sent.truncate(at))
    }

    /// The stream began again behind a broken link, a little before where it was.
    pub fn stream_began_again(&mut self, began: &Checkpoint) {
        self.carry = None;
        let handed = self.processed.max(self.next_place);
        self.repeated_to = Some(handed).filter(|handed| *handed >= began.position);
        if began.position >= self.boundary.position {
            self.boundary = began.clone();
        }
    }

    /// What is saved at this point of the stream.
    pub fn checkpoint(&self) -> Checkpoint {
        let mut progress = self.progress.clone();
        if self.has_work() {
            progress.passed = self.xids.iter().copied().collect();
        }
        self.boundary.clone().during(progress)
    }

    /// The first checkpoint without the snapshot, and the last change that was looked at.
    pub fn end(&self) -> (Option<Checkpoint>, Position) {
        (Some(self.boundary.clone()), self.processed)
    }

    /// Everything is read, and the stream has passed every view.
    pub fn is_done(&self) -> bool {
        self.progress.is_done() && self.chunk.is_none() && self.carry.is_none() && self.repeated_to.is_none()
    }

    /// The stream stands between two transactions, and everything before is handed out.
    pub(super) fn is_between(&self) -> bool {
        self.processed < self.boundary.position && self.repeated_to.is_none()
    }

    /// As [`Source::read`].
    pub fn read(&mut self, stream: &mut dyn Source, batch: &mut Batch, wait: Duration) -> Result<()> {
        stream.keep_alive()?;
        if self.chunk.is_none() && self.is_chunk_due() {
            self.begin_chunk()?;
        }
        if self.chunk.is_some() && self.hand_out(stream, batch, wait)? {
            return Ok(());
        }
        if let Some(carry) = self.carry.take() {
            *batch = *carry;
        } else {
            let wait = if self.has_work() { QUIET.min(wait) } else { wait };
            stream.read(batch, wait)?;
            self.is_quiet = batch.rows().is_empty();
            self.make_gap(batch);
        }
        self.take(batch)
    }

    /// There is something to read.
    fn has_work(&self) -> bool {
        !self.progress.pending.is_empty() || self.progress.reading.is_some()
    }

    /// Under load the stream may never stop between two transactions by itself: where a chunk waits for that,
    /// what begins behind the last whole one is kept for later.
    fn make_gap(&mut self, batch: &mut Batch) {
        let is_awaited = match &self.chunk {
            // Kept back, or about to be.
            Some(chunk) => chunk.ended.is_some(),
            None => self.has_work() && self.slice_began.elapsed() >= self.pace.slice,
        };
        let place = batch.checkpoint.as_ref().map_or(self.boundary.position, |newer| newer.position);
        if !is_awaited || self.processed >= place || self.repeated_to.is_some() {
            return;
        }
        self.carry = batch.split_off(place).map(Box::new);
    }

    /// Looks at what the stream brought.
    fn take(&mut self, batch: &mut Batch) -> Result<()> {
        let last = batch.rows().last().map(|row| row.position);
        self.filter(batch)?;
        self.processed = self.processed.max(last.unwrap_or(Position::START));
        let Some(checkpoint) = batch.checkpoint.take() else { return Ok(()) };
        if self.repeated_to.is_some_and(|to| to < checkpoint.position) {
            self.repeated_to = None;
        }
        if checkpoint.position > self.boundary.position {
            self.boundary = checkpoint;
        }
        let reached = self.boundary.position;
        self.progress.windows.retain(|window| window.horizon > reached);
        batch.checkpoint = Some(self.checkpoint());
        Ok(())
    }

    fn is_chunk_due(&self) -> bool {
        self.has_work()
            && (self.progress.reading.is_some() || !self.unsaved.contains(&self.progress.pending[0]))
            && self.is_between()
            && place_between(self.boundary.position) >= Position { ordinal: 0, ..self.next_place }
            && self.next_place.ordinal < u32::MAX / 4 * 3
            && (self.is_quiet || self.slice_began.elapsed() >= self.pace.slice)
            && self.not_before.is_none_or(|when| Instant::now() >= when)
    }

    fn begin_chunk(&mut self) -> Result<()> {
        if self.progress.reading.is_none() {
            let table = self.progress.pending.remove(0);
            self.progress.reading = Some(Reading {
                table,
                after: None,
                ahead: BTreeSet::new(),
                is_torn: self.saved_at.is_some(),
            });
        }
        let Some(reading) = &self.progress.reading else { return Ok(()) };
        let task = Task {
            table: reading.table.clone(),
            after: reading.after.clone(),
            rows: self.rows,
            is_late: self.progress.late.contains(&reading.table),
            passed: Passed {
                position: self.boundary.position,
                restart: self.boundary.restart.clone(),
                xids: self.xids.iter().copied().collect(),
                base: self.progress.base.clone(),
            },
        };
        let truncate = if self.progress.again.contains(&reading.table) {
            Truncate::Yes
        } else if reading.is_torn && reading.after.is_none() {
            Truncate::WithoutKey
        } else {
            Truncate::No
        };
        self.chunk = Some(Chunk::new(&task, truncate));
        self.worker.read(task)
    }
}

/// Where rows stand that are read while the stream is at `boundary`: behind the last transaction, in front of
/// the next one.
pub(super) fn place_between(boundary: Position) -> Position {
    Position { epoch: boundary.epoch, commit: boundary.commit.saturating_sub(1), ordinal: Position::SNAPSHOT }
}

/// The place behind this one.
pub(super) fn after(position: Position) -> Position {
    Position { ordinal: position.ordinal.saturating_add(1), ..position }
}
