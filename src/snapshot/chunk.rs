//! The chunk under way: its rows on their way out, and how far the table is with them.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::filter::message_key;
use super::run::{Pace, Run, after, place_between};
use crate::change::{
    Batch, Checkpoint, Key, Origin, Position, Restart, TableName, Transaction, Window, full_xid,
};
use crate::error::ErrorKind;
use crate::metrics::now_us;
use crate::source::{Begun, Piece, Source, Task};
use crate::{Code, Error, Result};

/// What a chunk should take.
const CHUNK_TIME: Duration = Duration::from_millis(500);
/// Between two tries of a chunk that failed.
const PAUSE: Duration = Duration::from_secs(1);
/// So often in a row a chunk may fail for another cause than its link.
const TRIES: u32 = 5;

/// Whether what was sent of the table before is taken back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Truncate {
    /// It is not.
    No,
    /// It is if the table has no usable key: a part of it may have been sent.
    WithoutKey,
    /// It is.
    Yes,
}

/// The chunk that is being read.
pub struct Chunk {
    pub(super) table: TableName,
    pub(super) begun: Option<Begun>,
    began_at: Instant,
    began_us: i64,
    /// Rows that are not handed out yet.
    batches: VecDeque<Box<Batch>>,
    /// All rows came; whether there are more behind them.
    pub(super) ended: Option<bool>,
    pub(super) last_key: Option<Key>,
    rows: u64,
    told_of_waiting: bool,
    truncate: Truncate,
    /// The stream has to pass the view's horizon before rows are handed out.
    is_kept: bool,
}

impl Chunk {
    /// Before anything of it came.
    pub fn new(task: &Task, truncate: Truncate) -> Self {
        Self {
            table: task.table.clone(),
            begun: None,
            began_at: Instant::now(),
            began_us: now_us(),
            batches: VecDeque::new(),
            ended: None,
            last_key: None,
            rows: 0,
            told_of_waiting: false,
            truncate,
            is_kept: false,
        }
    }

    /// What the rows of the chunk share.
    fn transaction(&self, log_file: &str) -> Transaction {
        Transaction {
            xid: String::new(),
            log_file: log_file.to_owned(),
            committed_us: self.began_us,
            origin: Origin::Snapshot,
        }
    }
}

impl Run {
    /// Hands out rows of the chunk; `false`: the stream is to be read.
    pub fn hand_out(&mut self, stream: &mut dyn Source, batch: &mut Batch, wait: Duration) -> Result<bool> {
        let Some(chunk) = &mut self.chunk else { return Ok(false) };
        if chunk.ended.is_none() {
            match self.worker.next(wait) {
                Ok(Some(piece)) => self.take_piece(piece),
                Ok(None) => return Ok(true),
                Err(error) => return self.chunk_failed(error).map(|()| true),
            }
        }
        let Some(chunk) = &self.chunk else { return Ok(true) };
        let Some(begun) = &chunk.begun else { return Ok(true) };
        if chunk.truncate == Truncate::Yes {
            // Before any change takes the place of a row.
            self.truncate(batch);
            return Ok(true);
        }
        if chunk.is_kept {
            if chunk.ended.is_none() {
                return Ok(true);
            }
            if self.boundary.position < begun.horizon || !self.is_between() {
                stream.hasten(begun.horizon);
                return Ok(false);
            }
        }
        self.emit(batch);
        Ok(true)
    }

    fn take_piece(&mut self, piece: Piece) {
        let Some(chunk) = &mut self.chunk else { return };
        match piece {
            Piece::Waiting(reason) => {
                if !chunk.told_of_waiting && chunk.began_at.elapsed() > Duration::from_secs(10) {
                    chunk.told_of_waiting = true;
                    tracing::warn!(source = self.name, table = chunk.table.1, "the snapshot waits: {reason}");
                }
            }
            Piece::Begun(begun) => {
                if let Some(oldest) = begun.view.oldest_running() {
                    // Every later view sees what ended before this one.
                    self.xids.retain(|&xid| full_xid(oldest, xid) >= oldest);
                }
                if chunk.truncate == Truncate::WithoutKey {
                    chunk.truncate = if begun.keyed { Truncate::No } else { Truncate::Yes };
                }
                chunk.is_kept = begun.keyed && begun.horizon > self.boundary.position;
                chunk.begun = Some(begun);
            }
            Piece::Rows(rows) => {
                chunk.rows += rows.rows().len() as u64;
                chunk.last_key = rows.rows().last().and_then(|row| rows.key_texts(row));
                chunk.batches.push_back(rows);
            }
            Piece::Ended(has_more) => chunk.ended = Some(has_more),
            Piece::Gone => {
                tracing::warn!(
                    source = self.name,
                    "table {:?} is gone: it is not in the snapshot",
                    chunk.table.1
                );
                let table = chunk.table.clone();
                self.chunk = None;
                self.progress.forget(&table);
            }
        }
    }

    /// The number in the log, and the place, that the next row gets.
    fn place(&self) -> (u64, Position) {
        let lsn = match &self.boundary.restart {
            Restart::Postgres { lsn, .. } => *lsn,
            Restart::Binlog { offset, .. } => *offset,
        };
        (lsn, self.next_place.max(place_between(self.boundary.position)))
    }

    /// What was sent of the table before is void.
    fn truncate(&mut self, batch: &mut Batch) {
        let (lsn, place) = self.place();
        let Some(chunk) = &mut self.chunk else { return };
        let Some(begun) = &chunk.begun else { return };
        let transaction = chunk.transaction(self.boundary.log_file());
        batch.set_truncate(&begun.table, transaction, lsn, place);
        chunk.truncate = Truncate::No;
        let table = chunk.table.clone();
        self.empty(&table, place);
        self.progress.again.remove(&table);
        self.next_place = after(place);
        batch.checkpoint = Some(self.place_checkpoint());
    }

    /// Hands out the next rows, but for the last ones while it is not known whether they are the table's
    /// last.
    fn emit(&mut self, batch: &mut Batch) {
        let (lsn, place) = self.place();
        let Some(chunk) = &mut self.chunk else { return };
        let transaction = chunk.transaction(self.boundary.log_file());
        let is_last = chunk.ended.is_some() && chunk.batches.len() <= 1;
        if chunk.batches.is_empty() || chunk.batches.len() == 1 && !is_last {
            if is_last {
                self.end_chunk(batch);
            }
            return;
        }
        let Some(mut rows) = chunk.batches.pop_front() else { return };
        let last_key = rows.rows().last().and_then(|row| rows.key_texts(row));
        let count = rows.rows().len() as u64;
        let table = chunk.table.clone();
        self.leave_out_what_was_sent(&table, &mut rows);
        let Some(chunk) = &self.chunk else { return };
        rows.set_transaction(transaction.clone());
        rows.set_lsn(lsn);
        self.next_place = rows.place_at(place);
        if is_last && chunk.ended == Some(false) {
            rows.set_last_transaction(Transaction { origin: Origin::SnapshotEnd, ..transaction });
        }
        let read_to = batch.read_to;
        *batch = *rows;
        batch.read_to = read_to;
        self.progress.rows += count;
        self.advance(last_key, batch, is_last);
    }

    /// Rows that were sent before: ahead of the chunk, or by a run that was broken off.
    fn leave_out_what_was_sent(&mut self, table: &TableName, rows: &mut Batch) {
        let Some(reading) = &mut self.progress.reading else { return };
        let (ahead, mut sent) = (&mut reading.ahead, self.sent.get_mut(table));
        if ahead.is_empty() && sent.is_none() {
            return;
        }
        let keys: Vec<String> = rows.rows().iter().map(|row| message_key(rows, row)).collect();
        rows.retain(|index| {
            let was_sent = sent.as_mut().is_some_and(|sent| sent.remove(&keys[index]));
            !ahead.remove(&keys[index]) && !was_sent
        });
    }

    /// The table is read up to this key, by the view of the chunk.
    fn advance(&mut self, last_key: Option<Key>, batch: &mut Batch, is_last: bool) {
        let Some(chunk) = &mut self.chunk else { return };
        let Some(begun) = &chunk.begun else { return };
        if !begun.keyed {
            // It is read as a whole: broken off, it begins again behind a truncate.
            if let Some(reading) = &mut self.progress.reading {
                reading.is_torn = true;
            }
            if is_last {
                self.end_chunk(batch);
            } else {
                batch.checkpoint = Some(self.place_checkpoint());
            }
            return;
        }
        if let Some(reading) = &mut self.progress.reading {
            reading.after = last_key;
        }
        if is_last {
            self.end_chunk(batch);
        } else {
            batch.checkpoint = Some(self.place_checkpoint());
        }
    }

    fn place_checkpoint(&self) -> Checkpoint {
        Checkpoint { position: self.next_place, ..self.checkpoint() }
    }

    /// All rows of the chunk are handed out.
    fn end_chunk(&mut self, batch: &mut Batch) {
        let Some(chunk) = self.chunk.take() else { return };
        let Some(begun) = chunk.begun else { return };
        let has_more = chunk.ended == Some(true);
        let took = chunk.began_at.elapsed();
        tracing::debug!(
            source = self.name,
            table = chunk.table.1,
            rows = chunk.rows,
            ms = took.as_millis(),
            is_kept = chunk.is_kept,
            has_more,
            "chunk read"
        );
        self.adapt(took, chunk.rows, has_more);
        self.tries = 0;
        if has_more {
            self.forget_keys_read(&chunk.table);
        } else {
            self.end_table(&chunk.table, begun);
        }
        self.forget_tail_if_empty();
        (self.slice_began, self.is_quiet) = (Instant::now(), false);
        if batch.rows().is_empty() && self.next_place < place_between(self.boundary.position) {
            self.next_place = place_between(self.boundary.position);
        }
        batch.checkpoint = Some(self.place_checkpoint());
    }

    fn end_table(&mut self, table: &TableName, begun: Begun) {
        self.progress.forget(table);
        self.sent.remove(table);
        if !begun.keyed && begun.horizon > self.boundary.position {
            let Begun { view, horizon, .. } = begun;
            self.progress.windows.push(Window { table: table.clone(), view, horizon });
        }
        let left = self.progress.pending.len();
        tracing::info!(
            source = self.name,
            schema = table.0,
            table = table.1,
            left,
            rows = self.progress.rows,
            "table read"
        );
        if left == 0 {
            tracing::info!(
                source = self.name,
                tables = self.progress.tables,
                rows = self.progress.rows,
                "snapshot complete"
            );
        }
    }

    /// A chunk takes about half a second, whatever its rows are.
    fn adapt(&mut self, took: Duration, rows: u64, has_more: bool) {
        if rows < self.rows && took < CHUNK_TIME {
            if has_more {
                // It was full before.
                self.rows = rows.max(self.pace.min);
            }
            return;
        }
        let factor = (CHUNK_TIME.as_secs_f64() / took.as_secs_f64().max(0.001)).clamp(0.25, 4.0);
        let Pace { min, max, .. } = self.pace;
        self.rows = ((rows.max(min) as f64 * factor) as u64).clamp(min, max);
    }

    /// The chunk is read again from where its rows were handed out.
    fn chunk_failed(&mut self, error: Error) -> Result<()> {
        self.chunk = None;
        self.tries += 1;
        // A table that is altered meanwhile makes a statement fail once.
        let may_pass = error.kind() == ErrorKind::Link
            || matches!(error.code(), Code::StatementRefused | Code::TableMissing) && self.tries < TRIES;
        if !may_pass {
            return Err(error.context("the snapshot"));
        }
        tracing::warn!(
            source = self.name,
            code = error.code().slug(),
            hint = error.hint_text(),
            "a part of the snapshot could not be read: {error}; trying again"
        );
        self.not_before = Some(Instant::now() + PAUSE * self.tries.min(10));
        Ok(())
    }
}
