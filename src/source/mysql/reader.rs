//! From events to a batch: which transaction an event belongs to, which of its rows are captured, and how far the log is finished.
//!
//! ```text
//! GTID            opens a transaction (without GTIDs: BEGIN)
//!   TABLE_MAP     a table's form            } several
//!   WRITE ROWS …  changes of such a table   }
//! XID or COMMIT   closes it: the position moves over the whole of it
//! GTID  QUERY     a definition: a transaction of its own
//! ```
//! MySQL may pack all from BEGIN to XID into one TRANSACTION_PAYLOAD.

use std::collections::HashMap;
use std::sync::Arc;

use super::super::{Dialect, Tables};
use super::catalog::Catalog;
use super::compressed::{Payload, inflate};
use super::cursor::{Cursor, Malformed};
use super::event::{self, Event, Opening, kind};
use super::gtid::GtidSet;
use super::place::{Place, Reached};
use super::rows::{self, Rows};
use super::shape::{self, Shape};
use super::statement::Statement;
use super::table_map::TableName;
use crate::change::{Batch, Operation, Position, RowHead, Table, Transaction};
use crate::{Error, Result};

/// Forms of tables that are kept; more (each new number of a table is one) and all are forgotten between two transactions.
const SHAPES_MAX: usize = 4096;

/// A table number's form; `None` for a table that is not captured.
struct Mapped {
    event_body: Vec<u8>,
    shape: Option<Arc<Shape>>,
}

/// A transaction that is being read.
struct Open {
    opening: Opening,
    /// Where its next row comes.
    position: Position,
    /// COMMIT or XID ends it; else its first statement does.
    has_begun: bool,
    /// It was finished before this start.
    is_repeat: bool,
    is_xa: bool,
    has_rows: bool,
    /// Its number in the batch that is being filled.
    in_batch: Option<u32>,
}

/// The state of the stream between two events.
pub(super) struct Reader {
    tables: Tables,
    pub catalog: Catalog,
    /// Schemas with a captured table, as far as known.
    schemas: Vec<String>,
    pub place: Place,
    pub reached: Reached,
    /// All that is finished; `None` without GTIDs.
    pub gtids: Option<GtidSet>,
    shapes: HashMap<u64, Mapped>,
    truncated: HashMap<(String, String), Arc<Table>>,
    open: Option<Open>,
    payload: Option<Payload>,
    rows: Option<Rows>,
}

impl Reader {
    pub fn new(tables: Tables, catalog: Catalog, schemas: Vec<String>, reached: Reached, gtids: Option<GtidSet>) -> Self {
        let place = Place::at(reached.position.epoch, &reached.file, reached.offset);
        Self {
            tables,
            catalog,
            schemas,
            place,
            reached,
            gtids,
            shapes: HashMap::new(),
            truncated: HashMap::new(),
            open: None,
            payload: None,
            rows: None,
        }
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
        match payload.next().map_err(|Malformed| self.unreadable(kind::TRANSACTION_PAYLOAD))? {
            Some(inner) => self.handle(inner, batch)?,
            None => {
                self.payload = None;
                self.settle();
            }
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
            kind::TABLE_MAP => self.map_table(event),
            kind::WRITE_ROWS_V1..=kind::DELETE_ROWS_V1
            | kind::WRITE_ROWS..=kind::DELETE_ROWS
            | kind::MARIADB_WRITE_ROWS_COMPRESSED_V1..=kind::MARIADB_DELETE_ROWS_COMPRESSED => self.open_rows(event, batch),
            kind::GTID | kind::ANONYMOUS_GTID | kind::GTID_TAGGED | kind::MARIADB_GTID => self.open_transaction(&event),
            kind::XID | kind::XA_PREPARE => {
                self.close();
                Ok(())
            }
            kind::QUERY => {
                let query = event::parse_query(&event.body).map_err(|Malformed| self.unreadable(event.kind))?;
                self.statement(query.schema, query.text, &event, batch)
            }
            kind::MARIADB_QUERY_COMPRESSED => {
                let query = event::parse_query(&event.body).map_err(|Malformed| self.unreadable(event.kind))?;
                let text = inflate(query.text).map_err(|Malformed| self.unreadable(event.kind))?;
                self.statement(query.schema, &text, &event, batch)
            }
            kind::TRANSACTION_PAYLOAD => self.open_payload(&event),
            kind::ROTATE => self.rotate(&event),
            kind::PARTIAL_UPDATE_ROWS => Err(Error::stop("the binary log holds partial JSON updates")
                .hint("SET PERSIST binlog_row_value_options = '', then start this source anew")),
            kind::INCIDENT => Err(Error::stop("the server wrote an incident into its binary log: changes before it may be missing there")
                .hint("see the server's error log; then start this source anew with a snapshot")),
            kind::EXECUTE_LOAD_QUERY | kind::BEGIN_LOAD_QUERY => Err(by_statement("LOAD DATA")),
            kind::STOP
            | kind::INTVAR
            | kind::RAND
            | kind::USER_VAR
            | kind::FORMAT_DESCRIPTION
            | kind::IGNORABLE
            | kind::ROWS_QUERY
            | kind::PREVIOUS_GTIDS
            | kind::TRANSACTION_CONTEXT
            | kind::VIEW_CHANGE
            | kind::MARIADB_ANNOTATE_ROWS
            | kind::MARIADB_BINLOG_CHECKPOINT
            | kind::MARIADB_GTID_LIST
            | kind::MARIADB_START_ENCRYPTION => Ok(()),
            _ if event.flags & event::FLAG_IGNORABLE != 0 => Ok(()),
            other => Err(Error::stop(format!("unknown event type {other} in the binary log at {}", self.place))
                .hint("this version of list_sync does not know the event; update it, or report the server's version")),
        }
    }

    fn unreadable(&self, event_kind: u8) -> Error {
        Error::stop(format!("an event (type {event_kind}) of the binary log at {} cannot be read", self.place))
    }

    fn rotate(&mut self, event: &Event) -> Result<()> {
        let (offset, file) = event::parse_rotate(&event.body).map_err(|Malformed| self.unreadable(event.kind))?;
        if self.open.as_ref().is_some_and(|open| open.has_rows) {
            return Err(Error::link(format!("the binary log ends within a transaction at {}", self.place)));
        }
        self.open = None;
        self.place.rotate(&String::from_utf8_lossy(file), offset);
        Ok(())
    }

    fn open_transaction(&mut self, event: &Event) -> Result<()> {
        let opening = match event.kind {
            kind::MARIADB_GTID => event::parse_mariadb_gtid(event),
            kind::GTID_TAGGED => event::parse_tagged_gtid(&event.body),
            _ => event::parse_gtid(event.kind, &event.body),
        };
        let mut opening = opening.map_err(|Malformed| self.unreadable(event.kind))?;
        if opening.committed_us == 0 {
            opening.committed_us = i64::from(event.timestamp) * 1_000_000;
        }
        let mariadb = event.kind == kind::MARIADB_GTID;
        let has_begun = mariadb && opening.flags & event::MARIADB_STANDALONE == 0;
        let is_xa = mariadb && opening.flags & event::MARIADB_PREPARED_XA != 0;
        self.open_with(opening, has_begun, is_xa);
        Ok(())
    }

    fn open_with(&mut self, opening: Opening, has_begun: bool, is_xa: bool) {
        if self.shapes.len() > SHAPES_MAX {
            self.shapes.clear();
        }
        let position = self.place.start();
        let is_counted = matches!((&self.gtids, &opening.gtid), (Some(set), Some(gtid)) if set.contains(gtid));
        let is_repeat = is_counted || position < self.reached.position;
        self.open = Some(Open { opening, position, has_begun, is_repeat, is_xa, has_rows: false, in_batch: None });
    }

    /// The open transaction; without GTIDs the first event opens it.
    fn ensure_open(&mut self, event: &Event, has_begun: bool) {
        if self.open.is_none() {
            let opening = Opening { gtid: None, committed_us: i64::from(event.timestamp) * 1_000_000, flags: 0 };
            self.open_with(opening, has_begun, false);
        }
        if let Some(open) = &mut self.open {
            open.has_begun |= has_begun;
        }
    }

    /// The transaction is finished, and counted.
    fn close(&mut self) {
        let Some(open) = self.open.take() else { return };
        match (&mut self.gtids, &open.opening.gtid) {
            (Some(set), Some(gtid)) => set.add(gtid),
            (gtids @ Some(_), None) if !open.is_repeat => *gtids = None, // GTIDs were turned off: only file and offset still say where we are
            _ => {}
        }
    }

    fn open_payload(&mut self, event: &Event) -> Result<()> {
        self.ensure_open(event, false);
        if self.open.as_ref().is_some_and(|open| open.is_repeat) {
            self.close();
            return Ok(());
        }
        self.payload = Some(Payload::open(&event.body).map_err(|Malformed| self.unreadable(event.kind))?);
        Ok(())
    }

    fn map_table(&mut self, event: Event) -> Result<()> {
        self.ensure_open(&event, true);
        if self.open.as_ref().is_some_and(|open| open.is_repeat) {
            return Ok(());
        }
        let id = Cursor::new(&event.body).number(6).map_err(|Malformed| self.unreadable(event.kind))?;
        if self.shapes.get(&id).is_some_and(|mapped| mapped.event_body == event.body) {
            return Ok(());
        }
        let name = TableName::parse(&event.body).map_err(|Malformed| self.unreadable(event.kind))?;
        let mut shape = None;
        if self.tables.contains(name.schema, name.name) {
            let mariadb = self.catalog.address.dialect == Dialect::Mariadb;
            let map = name.columns(mariadb).map_err(|Malformed| {
                Error::stop(format!("the log's description of table \"{}.{}\" at {} cannot be read", name.schema, name.name, self.place))
            })?;
            if !self.schemas.iter().any(|schema| schema == name.schema) {
                self.schemas.push(name.schema.to_owned());
            }
            shape = Some(Arc::new(shape::build(&name, &map, &mut self.catalog)?));
        }
        self.shapes.insert(id, Mapped { event_body: event.body, shape });
        Ok(())
    }

    fn open_rows(&mut self, event: Event, batch: &mut Batch) -> Result<()> {
        self.ensure_open(&event, true);
        let Some(open) = &mut self.open else { return Ok(()) };
        if open.is_repeat {
            return Ok(());
        }
        let id = rows::table_id(&event).map_err(|Malformed| Error::stop(format!("a row event at {} cannot be read", self.place)))?;
        let Some(mapped) = self.shapes.get(&id) else {
            return Err(Error::stop(format!("a row event at {} has no table description before it", self.place)));
        };
        let Some(shape) = &mapped.shape else { return Ok(()) };
        if open.is_xa {
            return Err(xa(&shape.table.qualified_name()));
        }
        open.has_rows = true;
        let mut rows = Rows::open(event, Arc::clone(shape), self.place.event_start)?;
        let transaction = open.number_in(batch, &self.place);
        if !rows.decode(batch, transaction, &mut open.position)? {
            self.rows = Some(rows);
        }
        Ok(())
    }

    fn statement(&mut self, schema: &[u8], text: &[u8], event: &Event, batch: &mut Batch) -> Result<()> {
        let text = String::from_utf8_lossy(text);
        let statement = Statement::parse(&text);
        self.ensure_open(event, matches!(statement, Statement::Begin | Statement::Xa));
        let Some(open) = &mut self.open else { return Ok(()) };
        let has_begun = open.has_begun;
        match statement {
            Statement::Begin | Statement::Savepoint => return Ok(()),
            Statement::Xa => {
                open.is_xa = true;
                return Ok(());
            }
            Statement::Rollback { .. } if open.has_rows => return Err(rolled_back(&self.place)),
            Statement::Rollback { to_savepoint: true } => return Ok(()),
            Statement::Truncate(written, table) => {
                let schema = written.unwrap_or_else(|| String::from_utf8_lossy(schema).into_owned());
                self.truncate(&schema, &table, batch)?;
            }
            Statement::RowsByStatement if !open.is_repeat => self.refuse_statement(&String::from_utf8_lossy(schema), &text)?,
            Statement::Commit | Statement::Rollback { .. } | Statement::XaOutcome => self.close(),
            Statement::RowsByStatement | Statement::Other => {}
        }
        if !has_begun {
            self.close();
        }
        Ok(())
    }

    fn truncate(&mut self, schema: &str, name: &str, batch: &mut Batch) -> Result<()> {
        let Some(open) = &mut self.open else { return Ok(()) };
        if open.is_repeat || !self.tables.contains(schema, name) {
            return Ok(());
        }
        let known = self.shapes.values().filter_map(|mapped| mapped.shape.as_ref()).map(|shape| &shape.table);
        let known = known.filter(|table| table.schema == schema && table.name == name).max_by_key(|table| Arc::strong_count(table));
        let key = (schema.to_owned(), name.to_owned());
        let table = match known.or_else(|| self.truncated.get(&key)) {
            Some(table) => Arc::clone(table),
            None => Arc::new(self.catalog.table(schema, name)?),
        };
        self.truncated.insert(key, Arc::clone(&table));
        let transaction = open.number_in(batch, &self.place);
        let head = RowHead { operation: Operation::Truncate, table: batch.add_table(&table), transaction, lsn: self.place.event_start };
        open.has_rows = true;
        let mark = batch.mark();
        batch.push(head, mark, mark, &mut open.position);
        Ok(())
    }

    /// A statement that changed rows of a captured schema left no rows in the log.
    fn refuse_statement(&self, schema: &str, text: &str) -> Result<()> {
        let names_schema = |captured: &String| captured == schema || text.contains(captured.as_str());
        if self.schemas.iter().any(names_schema) { Err(by_statement("a statement")) } else { Ok(()) }
    }
}

impl Open {
    /// The transaction's number in the batch; it is added with its first row.
    fn number_in(&mut self, batch: &mut Batch, place: &Place) -> u32 {
        *self.in_batch.get_or_insert_with(|| {
            let xid = self.opening.gtid.as_ref().map(ToString::to_string).unwrap_or_default();
            batch.add_transaction(Transaction { xid, log_file: place.file.clone(), committed_us: self.opening.committed_us })
        })
    }
}

fn by_statement(what: &str) -> Error {
    Error::stop(format!("{what} changed rows of a captured schema, and the binary log holds the statement instead of the rows")).hint(
        "SET PERSIST binlog_format = ROW (MariaDB: SET GLOBAL), and in sessions that set it, then start this source anew with a snapshot",
    )
}

fn xa(table: &str) -> Error {
    Error::stop(format!("an XA transaction changed table {table:?}, and XA transactions are not supported"))
        .hint("leave the table out with \"!schema.table\", or use plain transactions for it")
}

fn rolled_back(place: &Place) -> Error {
    Error::stop(format!(
        "the binary log at {place} takes back rows that it holds (a transaction over tables with and without transactions)"
    ))
    .hint("convert the tables of the transaction to ENGINE = InnoDB, then start this source anew with a snapshot")
}
