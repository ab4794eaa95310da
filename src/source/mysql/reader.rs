//! From events to a batch: which transaction an event belongs to, which of its rows are captured, and how far
//! the log is finished.
//!
//! ```text
//! GTID            opens a transaction (without GTIDs: BEGIN)
//!   TABLE_MAP     a table's form            } several
//!   WRITE ROWS …  changes of such a table   }
//! XID or COMMIT   closes it: the position moves over the whole of it
//! GTID  QUERY     a definition: a transaction of its own
//! ```
//! MySQL may pack all from BEGIN to XID into one `TRANSACTION_PAYLOAD`. Where a ROLLBACK may still end the
//! transaction, its events are held until the commit, and then come out again (`held`).

use std::borrow::Cow;
use std::sync::Arc;

use super::super::Dialect;
use super::captured::Captured;
use super::compressed::{Payload, inflate};
use super::cursor::{Malformed, Parsed};
use super::effect::Said;
use super::event::{self, Event, Opening, Query, kind};
use super::failure::BEGIN_AGAIN;
use super::gtid::GtidSet;
use super::held::{Held, Released};
use super::place::{self, Place, Reached};
use super::rows::Rows;
use super::statement::Statement;
use super::transaction::{Ending, Open, Role};
use crate::change::{Batch, Operation, RowHead};
use crate::{Code, Error, Result};

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
    /// The events of the open transaction, which is committed.
    released: Option<Released>,
}

impl Reader {
    pub fn new(captured: Captured, reached: Reached, gtids: Option<GtidSet>) -> Self {
        let place = Place::at(reached.position.epoch, &reached.file, reached.offset);
        Self { captured, place, reached, gtids, open: None, payload: None, rows: None, released: None }
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
        if let Some(released) = &mut self.released {
            if let Some((start, event)) = released.next()? {
                self.place.event_start = start;
                self.apply(event, batch)?;
            } else {
                self.released = None;
                self.close();
                self.settle_event();
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
        self.settle_event();
        Ok(())
    }

    /// After the last part of an event of the log.
    fn settle_event(&mut self) {
        if self.payload.is_none() {
            self.settle();
        }
    }

    /// Outside a transaction all that was read is finished.
    fn settle(&mut self) {
        if self.open.is_none() {
            self.reached.advance(&self.place);
        }
    }

    fn handle(&mut self, event: Event, batch: &mut Batch) -> Result<()> {
        match event.kind {
            kind::TABLE_MAP | kind::PARTIAL_UPDATE_ROWS => self.hold_or_apply(event, Ending::Commit, batch),
            other if event::is_rows(other) => self.hold_or_apply(event, Ending::Commit, batch),
            kind::EXECUTE_LOAD_QUERY => self.hold_or_apply(event, Ending::Statement, batch),
            kind::GTID | kind::ANONYMOUS_GTID | kind::GTID_TAGGED | kind::MARIADB_GTID => {
                self.open_transaction(&event)
            }
            kind::XID => self.commit(),
            kind::XA_PREPARE => {
                self.prepare(&event);
                self.commit()
            }
            kind::QUERY | kind::MARIADB_QUERY_COMPRESSED => {
                let body =
                    without_compression(&event).map_err(|Malformed| unreadable(event.kind, &self.place))?;
                let query =
                    event::parse_query(&body).map_err(|Malformed| unreadable(event.kind, &self.place))?;
                self.query(&query, &event, batch)
            }
            kind::TRANSACTION_PAYLOAD => self.open_payload(&event),
            kind::ROTATE => self.rotate(&event),
            kind::FORMAT_DESCRIPTION => self.begin_file(&event),
            kind::INCIDENT => Err(Error::stop(
                Code::LogDamaged,
                "the server wrote an incident into its binary log: changes \
                before it may be missing there",
            )
            .hint(format!("see the server's error log; then {BEGIN_AGAIN}"))),
            other if event::carries_no_rows(other) || event.flags & event::FLAG_IGNORABLE != 0 => Ok(()),
            other => Err(Error::stop(
                Code::LogEventUnknown,
                format!("unknown event type {other} in the binary log at {}", self.place),
            )
            .hint(
                "this version of list_sync does not know the event; update it, or report the server's \
                    version",
            )),
        }
    }

    /// An event of a transaction: kept until it is committed where that is not sure yet.
    fn hold_or_apply(&mut self, event: Event, ending: Ending, batch: &mut Batch) -> Result<()> {
        let start = self.place.event_start;
        let Some(open) = self.opened(&event, ending).filter(|open| open.role != Role::Repeat) else {
            return Ok(());
        };
        match &mut open.held {
            Some(held) if open.ending == Ending::Commit => held.push(start, event),
            _ => self.apply(event, batch),
        }
    }

    /// What an event of the open transaction does, now that the transaction counts.
    fn apply(&mut self, event: Event, batch: &mut Batch) -> Result<()> {
        let fault = |place: &Place| unreadable(event.kind, place);
        match event.kind {
            kind::TABLE_MAP => self.captured.describe(event.body, &self.place),
            kind::QUERY | kind::MARIADB_QUERY_COMPRESSED => {
                let body = without_compression(&event).map_err(|Malformed| fault(&self.place))?;
                let query = event::parse_query(&body).map_err(|Malformed| fault(&self.place))?;
                let statement = self.parse(&query)?;
                self.statement(&statement, &query, &event, batch)
            }
            kind::EXECUTE_LOAD_QUERY => {
                let query = event::parse_load_query(&event.body).map_err(|Malformed| fault(&self.place))?;
                let statement = self.parse(&query)?;
                self.statement(&statement, &query, &event, batch)
            }
            kind::PARTIAL_UPDATE_ROWS => self.refuse_partial(&event),
            _ => self.open_rows(event, batch),
        }
    }

    fn refuse_partial(&self, event: &Event) -> Result<()> {
        let Some(shape) = self.captured.shape(&event.body, &self.place)? else { return Ok(()) };
        let table = shape.table.qualified_name();
        Err(Error::stop(
            Code::RowsNotLogged,
            format!("the binary log at {} holds a partial JSON update of table {table:?}", self.place),
        )
        .hint(format!(
            "leave the table out with \"!{table}\", and the source goes on with the others. To prevent it: \
             SET PERSIST binlog_row_value_options = '', and in sessions that set it"
        )))
    }

    /// The file begins: it must be the one that was read before under this name.
    fn begin_file(&mut self, event: &Event) -> Result<()> {
        self.place.file_begun = event.timestamp;
        if self.reached.file == self.place.file {
            place::same_file(&self.place.file, self.reached.file_begun, event.timestamp)?;
            self.reached.file_begun = event.timestamp;
        }
        Ok(())
    }

    fn rotate(&mut self, event: &Event) -> Result<()> {
        let (offset, file) =
            event::parse_rotate(&event.body).map_err(|Malformed| unreadable(event.kind, &self.place))?;
        if self.open.as_ref().is_some_and(|open| open.has_rows) {
            return Err(Error::link(
                Code::LogDamaged,
                format!("the binary log ends within a transaction at {}", self.place),
            ));
        }
        if self.open.take().is_some_and(|open| open.held.is_some_and(|held| !held.is_empty())) {
            let source = &self.captured.source;
            tracing::warn!(source, at = %self.place, "half a transaction at the end of a binary log was \
                left out: the server crashed before its commit");
        }
        self.place.rotate(&String::from_utf8_lossy(file), offset);
        Ok(())
    }

    fn open_transaction(&mut self, event: &Event) -> Result<()> {
        let mut opening =
            event::parse_opening(event).map_err(|Malformed| unreadable(event.kind, &self.place))?;
        if opening.committed_us == 0 {
            opening.committed_us = i64::from(event.timestamp) * 1_000_000;
        }
        let mariadb = event.kind == kind::MARIADB_GTID;
        let ending = if mariadb && opening.flags & event::MARIADB_STANDALONE == 0 {
            Ending::Commit
        } else {
            Ending::Statement
        };
        let role =
            if mariadb && opening.flags & event::MARIADB_PREPARED_XA != 0 { Role::Xa } else { Role::New };
        let is_uncertain = mariadb || opening.flags & event::MYSQL_MAY_HOLD_STATEMENTS != 0;
        self.open_with(opening, ending, role, is_uncertain);
        Ok(())
    }

    fn open_with(&mut self, opening: Opening, ending: Ending, role: Role, is_uncertain: bool) {
        self.captured.forget_if_many();
        let position = self.place.start();
        let is_counted =
            matches!((&self.gtids, &opening.gtid), (Some(set), Some(gtid)) if set.contains(gtid));
        let role = if is_counted || position < self.reached.position { Role::Repeat } else { role };
        let held = is_uncertain.then(Held::default);
        self.open = Some(Open { opening, position, ending, role, has_rows: false, held, in_batch: None });
    }

    /// The open transaction; without GTIDs the first event opens it.
    fn opened(&mut self, event: &Event, ending: Ending) -> Option<&mut Open> {
        if self.open.is_none() {
            let opening =
                Opening { gtid: None, committed_us: i64::from(event.timestamp) * 1_000_000, flags: 0 };
            self.open_with(opening, ending, Role::New, true);
        }
        let open = self.open.as_mut()?;
        if ending == Ending::Commit {
            open.ending = ending;
        }
        Some(open)
    }

    /// The transaction counts: what was held of it comes out, and then it is finished.
    fn commit(&mut self) -> Result<()> {
        match self.open.as_mut().and_then(|open| open.held.take()) {
            Some(held) if !held.is_empty() => self.released = Some(held.release()?),
            _ => self.close(),
        }
        Ok(())
    }

    /// MySQL: an XA transaction of one phase is committed where others are prepared.
    fn prepare(&mut self, event: &Event) {
        let is_whole =
            event.body.first() == Some(&1) && self.captured.catalog.address.dialect == Dialect::Mysql;
        if let Some(open) = self.open.as_mut().filter(|open| open.role == Role::Xa && is_whole) {
            open.role = Role::New;
        }
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
        if self.payload.is_some() {
            return Err(unreadable(event.kind, &self.place));
        }
        if self.opened(event, Ending::Statement).is_some_and(|open| open.role == Role::Repeat) {
            self.close();
            return Ok(());
        }
        self.payload =
            Some(Payload::open(&event.body).map_err(|Malformed| unreadable(event.kind, &self.place))?);
        Ok(())
    }

    fn open_rows(&mut self, event: Event, batch: &mut Batch) -> Result<()> {
        let Some(open) = &mut self.open else { return Ok(()) };
        let Some(shape) = self.captured.shape(&event.body, &self.place)? else { return Ok(()) };
        open.refuse_xa(&shape.table.qualified_name())?;
        let mut rows = Rows::open(event, Arc::clone(shape), self.place.event_start)?;
        let transaction = open.number_in(batch, &self.place);
        if !rows.decode(batch, transaction, &mut open.position)? {
            self.rows = Some(rows);
        }
        Ok(())
    }

    fn parse(&mut self, query: &Query) -> Result<Statement> {
        let text = self.captured.text_of(&query.context, query.text)?;
        Ok(Statement::parse(&text, query.context.sql_mode))
    }

    /// A statement as it comes: what frames a transaction is done, what stands in one is held like its rows.
    fn query(&mut self, query: &Query, event: &Event, batch: &mut Batch) -> Result<()> {
        let statement = self.parse(query)?;
        let place = self.place.clone();
        let begins = matches!(statement, Statement::Begin | Statement::XaStart);
        let Some(open) = self.opened(event, if begins { Ending::Commit } else { Ending::Statement }) else {
            return Ok(());
        };
        match statement {
            Statement::Begin | Statement::XaEnd => {}
            Statement::XaStart => {
                if open.role == Role::New {
                    open.role = Role::Xa;
                    open.held.get_or_insert_default();
                }
            }
            Statement::Savepoint(name) => {
                if let Some(held) = &mut open.held {
                    held.savepoint(name);
                }
            }
            Statement::Rollback { to: Some(name) } => {
                let is_known = match &mut open.held {
                    Some(held) => held.roll_back_to(&name)?,
                    None => false,
                };
                if !is_known {
                    open.refuse_rollback(&place)?;
                }
            }
            Statement::Rollback { to: None } => {
                open.refuse_rollback(&place)?;
                open.held = None;
                self.close();
            }
            Statement::Commit | Statement::XaOutcome => self.commit()?,
            _ if open.role == Role::Repeat => self.end_statement(),
            other => match &mut open.held {
                Some(held) if open.ending == Ending::Commit => held.push(place.event_start, event.clone())?,
                _ => {
                    self.statement(&other, query, event, batch)?;
                    self.end_statement();
                }
            },
        }
        Ok(())
    }

    /// A statement that is a transaction of its own is finished.
    fn end_statement(&mut self) {
        if self.open.as_ref().is_some_and(|open| open.ending == Ending::Statement) {
            self.close();
        }
    }

    /// What a statement does to captured rows.
    fn statement(
        &mut self,
        statement: &Statement,
        query: &Query,
        event: &Event,
        batch: &mut Batch,
    ) -> Result<()> {
        let said = Said::by(query, event.flags & event::FLAG_OF_SESSION != 0);
        let Some(table) = self.captured.effect(statement, &said, &self.place)? else { return Ok(()) };
        let Some(open) = &mut self.open else { return Ok(()) };
        let transaction = open.number_in(batch, &self.place);
        let head = RowHead {
            operation: Operation::Truncate,
            table: batch.add_table(&table),
            transaction,
            lsn: self.place.event_start,
        };
        let mark = batch.mark();
        batch.push(head, mark, mark, &mut open.position);
        Ok(())
    }
}

/// The body of a statement's event; MariaDB may compress the statement in it.
fn without_compression(event: &Event) -> Parsed<Cow<'_, [u8]>> {
    if event.kind == kind::QUERY {
        return Ok(Cow::Borrowed(&event.body));
    }
    let packed = event::parse_query(&event.body)?.text;
    let head = &event.body[..event.body.len() - packed.len()];
    Ok(Cow::Owned([head, &inflate(packed)?].concat()))
}

fn unreadable(event_kind: u8, place: &Place) -> Error {
    Error::stop(
        Code::LogDamaged,
        format!("an event (type {event_kind}) of the binary log at {place} cannot be read"),
    )
}
