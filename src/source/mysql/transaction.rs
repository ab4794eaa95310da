//! One transaction of the log while it is read.

use super::event::Opening;
use super::failure::BEGIN_AGAIN;
use super::held::Held;
use super::place::Place;
use crate::change::{Batch, Origin, Position, Transaction};
use crate::{Code, Error, Result};

/// What ends a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    /// XID or COMMIT.
    Commit,
    /// Its first statement, which is all of it.
    Statement,
}

/// What is done with a transaction's rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// They are handed out.
    New,
    /// They were finished before this start.
    Repeat,
    /// Whether they ever count is decided by a later XA COMMIT or XA ROLLBACK.
    Xa,
}

/// A transaction that is being read.
pub(super) struct Open {
    pub opening: Opening,
    /// Where its next row comes.
    pub position: Position,
    pub ending: Ending,
    pub role: Role,
    /// Some of its rows were handed out.
    pub has_rows: bool,
    /// Its events wait for its end, since it may be taken back.
    pub held: Option<Held>,
    /// Its number in the batch that is being filled.
    pub in_batch: Option<u32>,
}

impl Open {
    /// The transaction's number in the batch; it is added with its first row.
    pub fn number_in(&mut self, batch: &mut Batch, place: &Place) -> u32 {
        self.has_rows = true;
        *self.in_batch.get_or_insert_with(|| {
            let xid = self.opening.gtid.as_ref().map(ToString::to_string).unwrap_or_default();
            batch.add_transaction(Transaction {
                xid,
                log_file: place.file.clone(),
                committed_us: self.opening.committed_us,
                origin: Origin::Log,
            })
        })
    }

    /// An XA transaction's rows cannot be handed out: they may still be taken back.
    pub fn refuse_xa(&self, table: &str) -> Result<()> {
        if self.role != Role::Xa {
            return Ok(());
        }
        Err(Error::stop(
            Code::RowsNotLogged,
            format!(
                "an XA transaction changed table {table:?}, and XA transactions are not \
            supported"
            ),
        )
        .hint(format!(
            "leave the table out with \"!{table}\", and the source goes on with the others; \
                use plain transactions for it"
        )))
    }

    /// A ROLLBACK in the log takes back what was handed out.
    pub fn refuse_rollback(&self, place: &Place) -> Result<()> {
        if !self.has_rows {
            return Ok(());
        }
        Err(Error::stop(
            Code::RowsNotLogged,
            format!("the binary log at {place} takes back rows that it did not announce as uncertain"),
        )
        .hint(BEGIN_AGAIN))
    }
}
