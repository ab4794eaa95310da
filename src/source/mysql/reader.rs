//! From events to a batch: which transaction an event belongs to, which of its rows are captured, and how far the log is finished.
//!
//! ```text
//! GTID            opens a transaction (without GTIDs: BEGIN)
//!   TABLE_MAP     a table's form            } several
//!   WRITE ROWS …  changes of such a table   }
//! XID or COMMIT   closes it: the position moves over the whole of it
//! GTID  QUERY     a definition: a transaction of its own
//! ```
//! MySQL may pack all from BEGIN to XID into one `TRANSACTION_PAYLOAD`.

use std::sync::Arc;

use super::captured::{Captured, changed_by_statement};
use super::compressed::{Payload, inflate};
use super::cursor::Malformed;
use super::event::{self, Event, Opening, kind};
use super::gtid::GtidSet;
use super::place::{Place, Reached};
use super::rows::Rows;
use super::statement::Statement;
use super::transaction::{Ending, Open, Role};
use crate::change::{Batch, Operation, RowHead};
use crate::{Error, Result};

/// The state of the stream between two events.
pub(super) struct Reader {
    pub captured: Captured,
    place: Place,
    pub reached: Reached,
    /// All that is finished; `None` without GTIDs.
    pub gtids: Option<GtidSet>,
    open: Option<Open>,
    /// What did not fit into the last batch.
    payload: Option<Payload>,
    rows: Option<Rows>,
}

impl Reader {
    pub fn new(captured: Captured, reached: Reached, gtids: Option<GtidSet>) -> Self {
        let place = Place::at(reached.position.epoch, &reached.file, reached.offset);
        Self { captured, place, reached, gtids, open: None, payload: None, rows: None }
    }

    /// To be called before a batch is filled: what was said of an earlier batch does not hold for it.
    pub fn begin_batch(&mut self) {
        if let Some(open) = &mut self.open {
            open.in_batch = None;
        }
    }

    /// Goes on with an event that did not fit into the last batch. True if there was one.
    pub fn resume(&mut self, batch: &mut Batch) -> Result<bool> {
        if let (Some(rows), Some(open)) = (&mut self.rows, &mut self.open) {
            let transaction = open.number_in(batch, &self.place);
            if rows.decode(batch, transaction, &mut open.position)? {
                self.rows = None;
            }
            return Ok(true);
        }
        let Some(payload) = &mut self.payload else { return Ok(false) };
        let inner = payload.next().map_err(|Malformed| unreadable(kind::TRANSACTION_PAYLOAD, &self.place))?;
        if let Some(inner) = inner {
            self.handle(inner, batch)?;
        } else {
            self.payload = None;
            self.settle();
        }
        Ok(true)
    }

    /// Takes the next event of the log.
    pub fn take(&mut self, event: Event, batch: &mut Batch) -> Result<()> {
        if matches!(event.kind, kind::HEARTBEAT | kind::HEARTBEAT_V2) {
            if self.open.is_none() {
                self.place.heartbeat(&event);
                self.settle();
            }
            return Ok(());
        }
        self.place.advance(&event);
        self.handle(event, batch)?;
        if self.payload.is_none() {
            self.settle();
        }
        Ok(())
    }

    /// Outside a transaction all that was read is finished.
    fn settle(&mut self) {
        if self.open.is_none() {
            self.reached.advance(&self.place);
        }
    }

    fn handle(&mut self, event: Event, batch: &mut Batch) -> Result<()> {
        match event.kind {
            kind::TABLE_MAP => self.describe_table(event),
            kind::WRITE_ROWS_V1..=kind::DELETE_ROWS_V1
            | kind::WRITE_ROWS..=kind::DELETE_ROWS
            | kind::MARIADB_WRITE_ROWS_COMPRESSED_V1..=kind::MARIADB_DELETE_ROWS_COMPRESSED => self.open_rows(event, batch),
            kind::GTID | kind::ANONYMOUS_GTID | kind::GTID_TAGGED | kind::MARIADB_GTID => self.open_transaction(&event),
            kind::XID | kind::XA_PREPARE => {
                self.close();
                Ok(())
            }
            kind::QUERY | kind::MARIADB_QUERY_COMPRESSED => {
                let fault = |Malformed| unreadable(event.kind, &self.place);
                let query = event::parse_query(&event.body).map_err(fault)?;
                if event.kind == kind::QUERY {
                    self.statement(query.schema, query.text, &event, batch)
                } else {
                    let text = inflate(query.text).map_err(fault)?;
                    self.statement(query.schema, &text, &event, batch)
                }
            }
            kind::TRANSACTION_PAYLOAD => self.open_payload(&event),
            kind::ROTATE => self.rotate(&event),
            kind::EXECUTE_LOAD_QUERY | kind::BEGIN_LOAD_QUERY => Err(changed_by_statement("LOAD DATA")),
            kind::PARTIAL_UPDATE_ROWS => Err(Error::stop("the binary log holds partial JSON updates")
                .hint("SET PERSIST binlog_row_value_options = '', then start this source anew")),
            kind::INCIDENT => Err(Error::stop("the server wrote an incident into its binary log: changes before it may be missing there")
                .hint("see the server's error log; then start this source anew with a snapshot")),
            other if event::carries_no_rows(other) || event.flags & event::FLAG_IGNORABLE != 0 => Ok(()),
            other => Err(Error::stop(format!("unknown event type {other} in the binary log at {}", self.place))
                .hint("this version of list_sync does not know the event; update it, or report the server's version")),
        }
    }

    fn rotate(&mut self, event: &Event) -> Result<()> {
        let (offset, file) = event::parse_rotate(&event.body).map_err(|Malformed| unreadable(event.kind, &self.place))?;
        if self.open.as_ref().is_some_and(|open| open.has_rows) {
            return Err(Error::link(format!("the binary log ends within a transaction at {}", self.place)));
        }
        self.open = None;
        self.place.rotate(&String::from_utf8_lossy(file), offset);
        Ok(())
    }

    fn open_transaction(&mut self, event: &Event) -> Result<()> {
        let mut opening = event::parse_opening(event).map_err(|Malformed| unreadable(event.kind, &self.place))?;
        if opening.committed_us == 0 {
            opening.committed_us = i64::from(event.timestamp) * 1_000_000;
        }
        let mariadb = event.kind == kind::MARIADB_GTID;
        let ending = if mariadb && opening.flags & event::MARIADB_STANDALONE == 0 { Ending::Commit } else { Ending::Statement };
        let role = if mariadb && opening.flags & event::MARIADB_PREPARED_XA != 0 { Role::Xa } else { Role::New };
        self.open_with(opening, ending, role);
        Ok(())
    }

    fn open_with(&mut self, opening: Opening, ending: Ending, role: Role) {
        self.captured.forget_if_many();
        let position = self.place.start();
        let is_counted = matches!((&self.gtids, &opening.gtid), (Some(set), Some(gtid)) if set.contains(gtid));
        let role = if is_counted || position < self.reached.position { Role::Repeat } else { role };
        self.open = Some(Open { opening, position, ending, role, has_rows: false, in_batch: None });
    }

    /// The open transaction; without GTIDs the first event opens it.
    fn opened(&mut self, event: &Event, ending: Ending) -> Option<&mut Open> {
        if self.open.is_none() {
            let opening = Opening { gtid: None, committed_us: i64::from(event.timestamp) * 1_000_000, flags: 0 };
            self.open_with(opening, ending, Role::New);
        }
        let open = self.open.as_mut()?;
        if ending == Ending::Commit {
            open.ending = ending;
        }
        Some(open)
    }

    /// The transaction is finished, and counted.
    fn close(&mut self) {
        let Some(open) = self.open.take() else { return };
        match (&mut self.gtids, &open.opening.gtid) {
            (Some(set), Some(gtid)) => set.add(gtid),
            // GTIDs were turned off: only file and offset still say where we are.
            (gtids @ Some(_), None) if open.role != Role::Repeat => *gtids = None,
            _ => {}
        }
    }

    fn open_payload(&mut self, event: &Event) -> Result<()> {
        if self.opened(event, Ending::Statement).is_some_and(|open| open.role == Role::Repeat) {
            self.close();
            return Ok(());
        }
        self.payload = Some(Payload::open(&event.body).map_err(|Malformed| unreadable(event.kind, &self.place))?);
        Ok(())
    }

    fn describe_table(&mut self, event: Event) -> Result<()> {
        if self.opened(&event, Ending::Commit).is_some_and(|open| open.role == Role::Repeat) {
            return Ok(());
        }
        self.captured.describe(event.body, &self.place)
    }

    fn open_rows(&mut self, event: Event, batch: &mut Batch) -> Result<()> {
        self.opened(&event, Ending::Commit);
        let Some(open) = self.open.as_mut().filter(|open| open.role != Role::Repeat) else { return Ok(()) };
        let Some(shape) = self.captured.shape(&event.body, &self.place)? else { return Ok(()) };
        open.refuse_xa(&shape.table.qualified_name())?;
        let mut rows = Rows::open(event, Arc::clone(shape), self.place.event_start)?;
        let transaction = open.number_in(batch, &self.place);
        if !rows.decode(batch, transaction, &mut open.position)? {
            self.rows = Some(rows);
        }
        Ok(())
    }

    fn statement(&mut self, schema: &[u8], text: &[u8], event: &Event, batch: &mut Batch) -> Result<()> {
        let (schema, text) = (String::from_utf8_lossy(schema), String::from_utf8_lossy(text));
        let statement = Statement::parse(&text);
        let begins = matches!(statement, Statement::Begin | Statement::XaStart);
        let place = self.place.clone();
        let Some(open) = self.opened(event, if begins { Ending::Commit } else { Ending::Statement }) else { return Ok(()) };
        let ends = match statement {
            Statement::Begin | Statement::Savepoint | Statement::XaEnd => false,
            Statement::XaStart => {
                if open.role == Role::New {
                    open.role = Role::Xa;
                }
                false
            }
            Statement::Rollback { to_savepoint } => {
                open.refuse_rollback(&place)?;
                !to_savepoint
            }
            Statement::Commit | Statement::XaOutcome => true,
            Statement::Truncate(_, _) | Statement::ChangesRows if open.role == Role::Repeat => open.ending == Ending::Statement,
            Statement::Truncate(written, table) => {
                self.truncate(written.as_deref().unwrap_or(&schema), &table, batch)?;
                self.ends_with_statement()
            }
            Statement::ChangesRows => {
                self.captured.refuse_statement(&schema, &text)?;
                self.ends_with_statement()
            }
            Statement::Other => open.ending == Ending::Statement,
        };
        if ends {
            self.close();
        }
        Ok(())
    }

    fn ends_with_statement(&self) -> bool {
        self.open.as_ref().is_some_and(|open| open.ending == Ending::Statement)
    }

    fn truncate(&mut self, schema: &str, name: &str, batch: &mut Batch) -> Result<()> {
        let Some(open) = &mut self.open else { return Ok(()) };
        let Some(table) = self.captured.table(schema, name)? else { return Ok(()) };
        let transaction = open.number_in(batch, &self.place);
        let head = RowHead { operation: Operation::Truncate, table: batch.add_table(&table), transaction, lsn: self.place.event_start };
        let mark = batch.mark();
        batch.push(head, mark, mark, &mut open.position);
        Ok(())
    }
}

fn unreadable(event_kind: u8, place: &Place) -> Error {
    Error::stop(format!("an event (type {event_kind}) of the binary log at {place} cannot be read"))
}
