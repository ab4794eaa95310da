//! Where the stream stands: the transaction that is open, the rows counted in it, and the newest place to
//! start again from. Both decoders move it; neither knows how.

use std::sync::Arc;

use super::message::Malformed;
use super::overlap::Overlap;
use crate::Error;
use crate::change::{Batch, Landmark, Operation, Origin, Position, RowHead, Table, Transaction};

/// Place in the stream, in PostgreSQL's terms.
#[derive(Debug)]
pub(super) struct Progress {
    epoch: u16,
    /// The transaction that began and did not end yet.
    open: Option<Open>,
    /// Every transaction that ends before this LSN has been handed out.
    pub finished_lsn: u64,
    /// The last of them.
    pub last: Option<Landmark>,
    /// What was read before and comes again.
    overlap: Option<Overlap>,
}

#[derive(Debug)]
struct Open {
    /// Of the row that comes next.
    position: Position,
    xid: u32,
    committed_us: i64,
    /// Its index in the batch being filled, once it has a row there.
    index: Option<u32>,
    /// It was handed out before.
    repeated: bool,
}

/// Microseconds from 1970-01-01 to 2000-01-01, which PostgreSQL counts from.
pub(super) const EPOCH_2000_US: i64 = 946_684_800_000_000;

impl Progress {
    pub fn new(epoch: u16, finished_lsn: u64) -> Self {
        Self { epoch, open: None, finished_lsn, last: None, overlap: None }
    }

    /// With the last transaction that was read, and what comes again.
    pub fn with_past(self, last: Option<Landmark>, overlap: Option<Overlap>) -> Self {
        Self { last, overlap, ..self }
    }

    /// What comes again and is not compared yet, if anything.
    pub fn overlap(&self) -> Option<&Overlap> {
        self.overlap.as_ref()
    }

    /// The open transaction was handed out before: its rows are left out.
    pub fn is_repeated(&self) -> bool {
        self.open.as_ref().is_some_and(|open| open.repeated)
    }

    /// A batch begins to be filled: nothing is known to it yet.
    pub fn enter_batch(&mut self) {
        if let Some(open) = &mut self.open {
            open.index = None;
        }
    }

    /// A transaction begins; `commit_lsn` is where its commit record stands.
    pub fn begin(&mut self, commit_lsn: u64, committed_us: i64, xid: u32) -> Result<(), Error> {
        if self.open.is_some() {
            return Err(Malformed.into());
        }
        self.reach(commit_lsn)?;
        if let Some(overlap) = &mut self.overlap {
            overlap.take(Landmark { commit: commit_lsn, xid, at_us: committed_us })?;
        }
        let (position, repeated) = (Position::first_of(self.epoch, commit_lsn), self.overlap.is_some());
        self.open = Some(Open { position, xid, committed_us, index: None, repeated });
        Ok(())
    }

    /// The stream has come to this place: what came again before it is all there was.
    fn reach(&mut self, lsn: u64) -> Result<(), Error> {
        if let Some(overlap) = self.overlap.as_ref().filter(|overlap| overlap.to <= lsn) {
            overlap.end()?;
            self.overlap = None;
        }
        Ok(())
    }

    /// The number of the open transaction.
    pub fn xid(&self) -> Option<u32> {
        self.open.as_ref().map(|open| open.xid)
    }

    /// The head of a row of the open transaction.
    pub fn head(
        &mut self,
        batch: &mut Batch,
        operation: Operation,
        table: &Arc<Table>,
        lsn: u64,
    ) -> Result<RowHead, Malformed> {
        let open = self.open.as_mut().ok_or(Malformed)?;
        let transaction = *open.index.get_or_insert_with(|| {
            batch.add_transaction(Transaction {
                xid: open.xid.to_string(),
                log_file: String::new(),
                committed_us: open.committed_us,
                origin: Origin::Log,
            })
        });
        Ok(RowHead { operation, table: batch.add_table(table), transaction, lsn })
    }

    /// Puts a row of the open transaction at its place; the cells of the new row begin at `columns`, those of
    /// the old one at `identity`.
    pub fn push(
        &mut self,
        batch: &mut Batch,
        head: RowHead,
        columns: u32,
        identity: u32,
    ) -> Result<(), Malformed> {
        let open = self.open.as_mut().ok_or(Malformed)?;
        batch.push(head, columns, identity, &mut open.position);
        Ok(())
    }

    /// The open transaction is complete; the log goes on at `end_lsn`.
    pub fn commit(&mut self, end_lsn: u64) -> Result<(), Malformed> {
        let open = self.open.take().ok_or(Malformed)?;
        if !open.repeated {
            self.last =
                Some(Landmark { commit: open.position.commit, xid: open.xid, at_us: open.committed_us });
        }
        self.finished_lsn = self.finished_lsn.max(end_lsn);
        Ok(())
    }

    /// The server has decoded its log up to `lsn` and sent all of it. Within a transaction that says nothing
    /// about its commit.
    pub fn keep_alive(&mut self, lsn: u64) -> Result<(), Error> {
        if self.open.is_none() {
            self.reach(lsn)?;
            self.finished_lsn = self.finished_lsn.max(lsn);
        }
        Ok(())
    }

    /// Every change before this one is finished once all that was handed out is.
    pub fn finished(&self) -> Position {
        Position::first_of(self.epoch, self.finished_lsn)
    }

    /// How far the log has been read, and recognised.
    pub fn read_to(&self) -> Position {
        if let Some(overlap) = &self.overlap {
            return Position::first_of(self.epoch, overlap.from);
        }
        self.open.as_ref().map_or_else(|| self.finished(), |open| open.position)
    }
}
