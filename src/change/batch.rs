//! A batch of changes in one arena: values lie one behind the other in `bytes`, cells point at them, rows at
//! cells. A source fills it and a format or a sink reads it without a heap allocation a row; `clear` keeps
//! the memory.

use std::ops::Range;
use std::sync::Arc;

use super::{Checkpoint, Position, Table};

/// What happened to the row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Operation {
    /// A new row: `columns`.
    Insert,
    /// A changed row: `columns` is the new one, `identity` what is known of the old one. The key is the same
    /// in both.
    Update,
    /// A removed row: `identity`.
    Delete,
    /// All rows of the table removed; no cells.
    Truncate,
}

/// How a value is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CellKind {
    /// Not sent: an unchanged out-of-line value, or a column outside the identity.
    Missing,
    /// SQL NULL; also what JSON has no number for (NaN, infinities).
    Null,
    /// A number in its decimal digits, `true` or `false`: printed as it stands.
    Literal,
    /// UTF-8 text: quoted and escaped as the format demands.
    Text,
}

/// One value: its kind, and where its text lies in the batch's arena.
#[derive(Debug, Clone, Copy)]
pub struct Cell {
    /// How the text is printed.
    pub kind: CellKind,
    start: u32,
    end: u32,
}

/// What the rows of one transaction share.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Transaction {
    /// PostgreSQL: the transaction id; MySQL and MariaDB: the GTID (empty without).
    pub xid: String,
    /// MySQL and MariaDB: the binlog file that `Row::lsn` counts in; empty for PostgreSQL.
    pub log_file: String,
    /// Commit time in the database, microseconds since 1970-01-01 UTC; for a row of a snapshot, when its
    /// chunk was begun.
    pub committed_us: i64,
    /// Whether these are rows of a snapshot.
    pub origin: Origin,
}

/// Where a row comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Origin {
    /// The log.
    #[default]
    Log,
    /// A snapshot of its table.
    Snapshot,
    /// The last row of a table's snapshot.
    SnapshotEnd,
}

/// One row change.
#[derive(Debug, Clone)]
pub struct Row {
    /// What happened.
    pub operation: Operation,
    /// Index into [`Batch::tables`].
    pub table: u32,
    /// Index into [`Batch::transactions`].
    pub transaction: u32,
    /// Where the change itself stands in the log: PostgreSQL LSN, or byte in the binlog file.
    pub lsn: u64,
    /// Its place in the stream.
    pub position: Position,
    columns: Range<u32>,
    identity: Range<u32>,
}

/// What a source knows of a row besides its cells.
#[derive(Debug, Clone, Copy)]
pub struct RowHead {
    /// What happened.
    pub operation: Operation,
    /// From [`Batch::add_table`].
    pub table: u32,
    /// From [`Batch::add_transaction`].
    pub transaction: u32,
    /// As [`Row::lsn`].
    pub lsn: u64,
}

/// Changes in stream order.
///
/// A row's cells line up with its table's columns, one cell a column ([`CellKind::Missing`] where nothing was
/// sent). To add a row: write the cells of the new row, the cells of the old one, then [`Batch::push`].
///
/// ```
/// use std::sync::Arc;
/// use list_sync::change::{Batch, Column, CellKind, Operation, Position, RowHead, Table, Transaction};
///
/// let id = Column { name: "id".into(), type_name: "bigint".into(), identity: true };
/// let table = Table { schema: "public".into(), name: "test".into(), columns: vec![id], key: vec![0] };
/// let mut batch = Batch::default();
/// let table = batch.add_table(&Arc::new(table));
/// let transaction = batch.add_transaction(Transaction::default());
/// let mut position = Position::first_of(0, 77);
/// let columns = batch.mark();
/// batch.add_cell(CellKind::Literal, b"1");
/// let identity = batch.mark();
/// let head = RowHead { operation: Operation::Insert, table, transaction, lsn: 76 };
/// batch.push(head, columns, identity, &mut position);
/// assert_eq!(batch.text(&batch.columns(&batch.rows()[0])[0]), b"1");
/// assert_eq!(position.ordinal, 1);
/// ```
#[derive(Debug, Clone, Default)]
pub struct Batch {
    bytes: Vec<u8>,
    cells: Vec<Cell>,
    rows: Vec<Row>,
    tables: Vec<Arc<Table>>,
    transactions: Vec<Transaction>,
    /// Where the source may start again once every row before `Checkpoint::position` is finished; the newest
    /// one that this batch reached.
    pub checkpoint: Option<Checkpoint>,
    /// The source has read its log up to here, rows or not; what `--once` and lag are measured by.
    pub read_to: Position,
}

impl Batch {
    /// A batch with more bytes than this is handed on. Large enough that the cost of handing over vanishes,
    /// small enough for the second-level cache.
    pub const BYTES_FULL: usize = 256 * 1024;
    /// A batch with more rows than this is handed on.
    pub const ROWS_FULL: usize = 1024;

    /// Empties the batch and keeps its memory, unless one huge row blew it up.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.bytes.shrink_to(4 * Self::BYTES_FULL);
        self.cells.clear();
        self.rows.clear();
        self.tables.clear();
        self.transactions.clear();
        self.checkpoint = None;
    }

    /// Drops the changes from this place on.
    pub fn keep_before(&mut self, place: Position) {
        let kept = self.rows.partition_point(|row| row.position < place);
        self.rows.truncate(kept);
    }

    /// Whether the batch is to be handed on before more is added.
    pub fn is_full(&self) -> bool {
        self.bytes.len() >= Self::BYTES_FULL || self.rows.len() >= Self::ROWS_FULL
    }

    /// Turns an update into the insert of its new row. What was not sent of it is taken from the old one;
    /// `false` if a value is in neither.
    pub fn make_insert(&mut self, index: usize) -> bool {
        let row = &mut self.rows[index];
        let (columns, identity) = (row.columns.clone(), row.identity.clone());
        row.operation = Operation::Insert;
        row.identity = identity.end..identity.end;
        let mut is_whole = true;
        for (new, old) in columns.zip(identity) {
            if self.cells[new as usize].kind == CellKind::Missing {
                self.cells[new as usize] = self.cells[old as usize];
            }
            is_whole &= self.cells[new as usize].kind != CellKind::Missing;
        }
        is_whole
    }

    /// Adds a truncate of this table as the only row.
    pub fn set_truncate(&mut self, table: &Arc<Table>, transaction: Transaction, lsn: u64, at: Position) {
        self.clear();
        let (table, transaction) = (self.add_table(table), self.add_transaction(transaction));
        let mark = self.mark();
        self.push_one(RowHead { operation: Operation::Truncate, table, transaction, lsn }, mark, mark, at);
    }

    /// The key of a row: the texts of its cells, from the old row where that says it. `None` if a part of it
    /// was not sent, or the table has no key.
    pub fn key_texts(&self, row: &Row) -> Option<super::Key> {
        let table = self.table(row);
        let (new, old) = (self.columns(row), self.identity(row));
        let text = |&place: &usize| {
            let is_sent = |cell: &&Cell| cell.kind != CellKind::Missing;
            let cell = new.get(place).filter(is_sent).or_else(|| old.get(place).filter(is_sent))?;
            String::from_utf8(self.text(cell).to_vec()).ok()
        };
        let texts: Option<super::Key> = table.key.iter().map(text).collect();
        texts.filter(|texts| !texts.is_empty())
    }

    /// Keeps the rows that `keep` says, by their indices.
    pub fn retain(&mut self, mut keep: impl FnMut(usize) -> bool) {
        let mut index = 0;
        self.rows.retain(|_| {
            index += 1;
            keep(index - 1)
        });
    }

    /// Puts the rows at `first` and the ordinals behind it; answers the place behind them.
    pub fn place_at(&mut self, first: Position) -> Position {
        let mut next = first;
        for row in &mut self.rows {
            row.position = next;
            next.ordinal += 1;
        }
        next
    }

    /// Makes all rows those of one transaction.
    pub fn set_transaction(&mut self, transaction: Transaction) {
        self.transactions.clear();
        self.transactions.push(transaction);
        self.rows.iter_mut().for_each(|row| row.transaction = 0);
    }

    /// Makes the last row one of another transaction.
    pub fn set_last_transaction(&mut self, transaction: Transaction) {
        let place = self.add_transaction(transaction);
        if let Some(row) = self.rows.last_mut() {
            row.transaction = place;
        }
    }

    /// Puts all rows at a place in the log, for messages.
    pub fn set_lsn(&mut self, lsn: u64) {
        self.rows.iter_mut().for_each(|row| row.lsn = lsn);
    }

    /// Takes the changes from this place on out of the batch; `None`: there are none.
    pub fn split_off(&mut self, place: Position) -> Option<Self> {
        let kept = self.rows.partition_point(|row| row.position < place);
        if kept == self.rows.len() {
            return None;
        }
        let mut rest = self.without_first(kept);
        rest.checkpoint = None;
        self.rows.truncate(kept);
        Some(rest)
    }

    /// The changes, in stream order.
    pub fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// The tables that rows name by index.
    pub fn tables(&self) -> &[Arc<Table>] {
        &self.tables
    }

    /// The transactions that rows name by index.
    pub fn transactions(&self) -> &[Transaction] {
        &self.transactions
    }

    /// The table of a row of this batch.
    pub fn table(&self, row: &Row) -> &Arc<Table> {
        &self.tables[row.table as usize]
    }

    /// The transaction of a row of this batch.
    pub fn transaction(&self, row: &Row) -> &Transaction {
        &self.transactions[row.transaction as usize]
    }

    /// The new row, one cell a column; empty for deletes and truncates.
    pub fn columns(&self, row: &Row) -> &[Cell] {
        &self.cells[row.columns.start as usize..row.columns.end as usize]
    }

    /// What is known of the old row, one cell a column; empty for inserts and truncates.
    pub fn identity(&self, row: &Row) -> &[Cell] {
        &self.cells[row.identity.start as usize..row.identity.end as usize]
    }

    /// The text of a cell of this batch; empty for `Missing` and `Null`.
    pub fn text(&self, cell: &Cell) -> &[u8] {
        &self.bytes[cell.start as usize..cell.end as usize]
    }

    /// Bytes of text held.
    pub fn bytes_held(&self) -> usize {
        self.bytes.len()
    }

    /// The index for rows of this table; a table that is already here (the same `Arc`) is not added again.
    pub fn add_table(&mut self, table: &Arc<Table>) -> u32 {
        let found = self.tables.iter().rposition(|known| Arc::ptr_eq(known, table));
        found.unwrap_or_else(|| {
            self.tables.push(Arc::clone(table));
            self.tables.len() - 1
        }) as u32
    }

    /// The index for rows of this transaction.
    pub fn add_transaction(&mut self, transaction: Transaction) -> u32 {
        self.transactions.push(transaction);
        self.transactions.len() as u32 - 1
    }

    /// The number of cells so far: where the next cells of a row will begin.
    pub fn mark(&self) -> u32 {
        self.cells.len() as u32
    }

    /// Adds a cell with its text.
    pub fn add_cell(&mut self, kind: CellKind, text: &[u8]) {
        let start = self.bytes.len() as u32;
        self.bytes.extend_from_slice(text);
        self.cells.push(Cell { kind, start, end: self.bytes.len() as u32 });
    }

    /// Adds a cell whose text `write` appends to the arena (it must only append); `write` answers the kind.
    pub fn add_cell_with<E>(
        &mut self,
        write: impl FnOnce(&mut Vec<u8>) -> Result<CellKind, E>,
    ) -> Result<(), E> {
        let start = self.bytes.len() as u32;
        let kind = write(&mut self.bytes)?;
        self.cells.push(Cell { kind, start, end: self.bytes.len() as u32 });
        Ok(())
    }

    /// Adds one more cell with the text of the cell at `place` (from [`Batch::mark`]), which is not copied.
    pub fn repeat_cell(&mut self, place: u32) {
        self.cells.push(self.cells[place as usize]);
    }

    /// Turns the cell at `place` into [`CellKind::Missing`].
    pub fn drop_cell(&mut self, place: u32) {
        self.cells[place as usize].kind = CellKind::Missing;
    }

    /// Cuts what is known of old rows to the primary key, in tables that have one.
    pub fn cut_identity_to_key(&mut self) {
        for table in self.tables.iter_mut().filter(|table| !table.key.is_empty()) {
            let mut cut = Table::clone(table);
            cut.columns
                .iter_mut()
                .enumerate()
                .for_each(|(place, column)| column.identity = cut.key.contains(&place));
            *table = Arc::new(cut);
        }
        for row in &self.rows {
            let table = &self.tables[row.table as usize];
            let cells = &mut self.cells[row.identity.start as usize..row.identity.end as usize];
            for (cell, _) in cells
                .iter_mut()
                .zip(&table.columns)
                .filter(|(_, column)| !table.key.is_empty() && !column.identity)
            {
                cell.kind = CellKind::Missing;
            }
        }
    }

    /// A copy without the first `count` rows.
    #[must_use]
    pub fn without_first(&self, count: usize) -> Self {
        let mut rest = self.clone();
        rest.rows.drain(..count);
        rest
    }

    /// A copy with only the rows of the tables that `wanted` names by index.
    #[must_use]
    pub fn of_tables(&self, wanted: impl Fn(u32) -> bool) -> Self {
        let mut part = self.clone();
        part.rows.retain(|row| wanted(row.table));
        part
    }

    /// Puts the cells from `middle` on before those from mark `from` to mark `middle`: for logs that hold the
    /// old row before the new one.
    pub fn swap_cells(&mut self, from: u32, middle: u32) {
        self.cells[from as usize..].rotate_left((middle - from) as usize);
    }

    /// Makes a row of the cells from mark `columns` to mark `identity` (new row) and from there to the end
    /// (old row), puts it at `position`, and moves `position` to the next ordinal.
    ///
    /// An update whose key differs between the two becomes a delete and an insert, at two ordinals, so that
    /// each goes to the partition of its key. What the new row does not say the insert takes from the old
    /// one: nothing that came before has its key.
    ///
    /// # Panics
    /// If the cells do not line up with the table's columns.
    pub fn push(&mut self, head: RowHead, columns: u32, identity: u32, position: &mut Position) {
        let end = self.check_width(&head, columns, identity);
        if head.operation == Operation::Update && self.key_differs(head.table, columns, identity) {
            for (new, old) in (columns..identity).zip(identity..end) {
                if self.cells[new as usize].kind == CellKind::Missing {
                    self.cells[new as usize] = self.cells[old as usize];
                }
            }
            self.push_row(
                RowHead { operation: Operation::Delete, ..head },
                columns..columns,
                identity..end,
                position,
            );
            self.push_row(
                RowHead { operation: Operation::Insert, ..head },
                columns..identity,
                end..end,
                position,
            );
        } else {
            self.push_row(head, columns..identity, identity..end, position);
        }
    }

    /// As [`Batch::push`], but always one row: for a carrier that holds one row a message.
    ///
    /// # Panics
    /// If the cells do not line up with the table's columns.
    pub fn push_one(&mut self, head: RowHead, columns: u32, identity: u32, mut position: Position) {
        let end = self.check_width(&head, columns, identity);
        self.push_row(head, columns..identity, identity..end, &mut position);
    }

    /// Asserts that the cells line up with the table; answers their end.
    fn check_width(&self, head: &RowHead, columns: u32, identity: u32) -> u32 {
        let end = self.mark();
        let width = self.tables[head.table as usize].columns.len() as u32;
        let (new, old) = (identity - columns, end - identity);
        let expected = match head.operation {
            Operation::Insert => (width, 0),
            Operation::Update => (width, width),
            Operation::Delete => (0, width),
            Operation::Truncate => (0, 0),
        };
        assert_eq!(
            (new, old),
            expected,
            "cells of a {:?} must line up with the table's columns",
            head.operation
        );
        end
    }

    fn push_row(
        &mut self,
        head: RowHead,
        columns: Range<u32>,
        identity: Range<u32>,
        position: &mut Position,
    ) {
        let RowHead { operation, table, transaction, lsn } = head;
        self.rows.push(Row { operation, table, transaction, lsn, position: *position, columns, identity });
        position.ordinal += 1;
    }

    /// Whether a key column that both rows carry has another text in the new one.
    fn key_differs(&self, table: u32, columns: u32, identity: u32) -> bool {
        self.tables[table as usize].key.iter().any(|&place| {
            let new = &self.cells[columns as usize + place];
            let old = &self.cells[identity as usize + place];
            new.kind != CellKind::Missing && old.kind != CellKind::Missing && self.text(new) != self.text(old)
        })
    }
}
