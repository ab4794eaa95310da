//! Rows that tables hold, chunk by chunk.
//!
//! Which transactions the view of a chunk holds:
//! - MariaDB says it exactly: `binlog_snapshot_file` and `binlog_snapshot_position` are the place in the log
//!   that belongs to a consistent snapshot.
//! - MySQL with GTIDs: all of `gtid_executed` as it was before the view, and nothing behind the end of the
//!   log as it was after it. In between nobody can say; whoever reads the stream settles it.
//! - MySQL without GTIDs, and tables whose rows have no key to settle it by: `LOCK TABLES … READ` for the
//!   instant in which the view is taken. The lock waits for everybody who has changed the table and not
//!   ended, so that what stands in the log of this table is in the view, and nothing else.

use std::sync::Arc;
use std::time::Duration;

use super::super::{Address, Begun, ChunkSize, Chunks, Dialect, NOT_VISIBLE_YET, Passed, Piece, Task};
use super::catalog::Catalog;
use super::connection::{Connection, SQL_TIMEOUT, quote, quote_name};
use super::gtid::GtidSet;
use super::place::{file_number, position};
use super::{checks, scan};
use crate::change::{
    Batch, Key, Operation, Position, Restart, RowHead, Sight, Table, TableName, Transaction, View,
};
use crate::{Code, Error, Result};

/// Between two views while one is waited for.
const VIEW_PAUSE: Duration = Duration::from_millis(20);

/// Reads chunks of MySQL and MariaDB.
pub(super) struct MysqlChunks {
    address: Address,
    catalog: Option<Catalog>,
    /// What read the last chunk, and has nothing open.
    conn: Option<Connection>,
}

/// How the values of a key column are written and compared.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Order {
    Integer,
    Decimal,
    /// Hexadecimal digits, which compare as the bytes do.
    Bytes,
    /// In this character set and collation.
    Text {
        charset: String,
        collation: String,
    },
    /// As the type of this name.
    Cast(&'static str),
}

/// A column of the key, in the order of the key's index.
#[derive(Debug, Clone)]
struct KeyColumn {
    name: String,
    /// Its place in a [`Key`].
    place: usize,
    order: Order,
}

impl MysqlChunks {
    /// Connects when it is asked.
    pub fn new(address: &Address) -> Self {
        Self { address: address.clone(), catalog: None, conn: None }
    }

    fn catalog(&mut self) -> Result<&mut Catalog> {
        let catalog = match self.catalog.take() {
            Some(catalog) => catalog,
            None => Catalog::open(&self.address)?,
        };
        Ok(self.catalog.insert(catalog))
    }

    /// The key's columns; none where rows cannot be read in its order: no key, or one of a type that is
    /// ordered by something else than its text (ENUM, SET, BIT, floats).
    fn key_columns(&mut self, table: &Table) -> Result<Vec<KeyColumn>> {
        let rows = self.catalog()?.query(&format!(
            "SELECT s.COLUMN_NAME, c.DATA_TYPE, c.CHARACTER_SET_NAME, c.COLLATION_NAME, s.SUB_PART FROM \
             information_schema.STATISTICS s JOIN information_schema.COLUMNS c ON c.TABLE_SCHEMA = \
             s.TABLE_SCHEMA AND c.TABLE_NAME = s.TABLE_NAME AND c.COLUMN_NAME = s.COLUMN_NAME WHERE \
             s.TABLE_SCHEMA = {} AND s.TABLE_NAME = {} AND s.INDEX_NAME = 'PRIMARY' ORDER BY s.SEQ_IN_INDEX",
            quote(&table.schema),
            quote(&table.name)
        ))?;
        let column = |row: Vec<Option<String>>| {
            let [name, data_type, charset, collation, part]: [Option<String>; 5] = row.try_into().ok()?;
            let (name, is_part) = (name?, part.is_some());
            let place = table.key.iter().position(|&place| table.columns[place].name == name)?;
            let order = Order::of(&data_type?.to_ascii_lowercase(), charset, collation)?;
            (!is_part).then_some(KeyColumn { name, place, order })
        };
        let columns: Option<Vec<KeyColumn>> = rows.into_iter().map(column).collect();
        Ok(columns.filter(|columns| columns.len() == table.key.len()).unwrap_or_default())
    }

    /// Takes a view that holds all that passed, in a transaction of `conn` that stays open.
    fn take_view(
        &mut self,
        conn: &mut Connection,
        task: &Task,
        keyed: bool,
        each: &mut dyn FnMut(Piece) -> Result<()>,
    ) -> Result<(View, Position)> {
        conn.execute("SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ")?;
        loop {
            let taken = if self.address.dialect == Dialect::Mariadb {
                view_of_mariadb(conn, &task.passed)?
            } else if let Some(gtids) = gtids_of(&task.passed.restart).filter(|_| keyed) {
                self.view_by_gtids(conn, &task.passed, gtids)?
            } else {
                self.view_under_lock(conn, task)?
            };
            if let Some(taken) = taken {
                return Ok(taken);
            }
            conn.execute("COMMIT")?;
            each(Piece::Waiting(NOT_VISIBLE_YET))?;
            std::thread::sleep(VIEW_PAUSE);
        }
    }

    fn view_by_gtids(
        &mut self,
        conn: &mut Connection,
        passed: &Passed,
        gtids: &str,
    ) -> Result<Option<(View, Position)>> {
        let catalog = self.catalog()?;
        let executed = catalog.text("SELECT @@GLOBAL.gtid_executed")?.unwrap_or_default();
        let is_there =
            catalog.text(&format!("SELECT GTID_SUBSET({}, {})", quote(gtids), quote(&executed)))?;
        if is_there.as_deref() != Some("1") {
            return Ok(None);
        }
        conn.execute("START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY")?;
        let log_end = checks::log_end(self.catalog()?)?;
        let end = position(passed.position.epoch, file_number(&log_end.file), log_end.offset);
        if end <= passed.position {
            // Nothing came since the stream was here: nobody is in doubt.
            return Ok(Some((View::Place { end: passed.position }, passed.position)));
        }
        Ok(Some((View::Gtids { executed, end }, end)))
    }

    fn view_under_lock(&mut self, conn: &mut Connection, task: &Task) -> Result<Option<(View, Position)>> {
        let TableName(schema, name) = &task.table;
        let name = format!("{}.{}", quote_name(schema), quote_name(name));
        let mut locker = Connection::open(&self.address, SQL_TIMEOUT)?;
        locker.execute("SET SESSION lock_wait_timeout = 2")?;
        locker.execute(&format!("LOCK TABLES {name} READ")).map_err(|error| {
            let what =
                format!("table {:?} is locked for an instant, to read it at an exact place", task.table.1);
            let error = error.context(what);
            if error.code() == Code::PrivilegeMissing {
                let user = &self.address.user;
                error.hint(format!("GRANT LOCK TABLES ON {}.* TO '{user}'@'%'", quote_name(schema)))
            } else {
                error
            }
        })?;
        conn.execute("START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY")?;
        let log_end = checks::log_end(self.catalog()?)?;
        locker.execute("UNLOCK TABLES")?;
        let end = position(task.passed.position.epoch, file_number(&log_end.file), log_end.offset);
        Ok((end >= task.passed.position).then_some((View::Place { end }, end)))
    }
}

impl Chunks for MysqlChunks {
    fn read(&mut self, task: &Task, each: &mut dyn FnMut(Piece) -> Result<()>) -> Result<()> {
        let table = Arc::new(self.catalog()?.table(&task.table.0, &task.table.1)?);
        if table.columns.is_empty() {
            return each(Piece::Gone);
        }
        let key = self.key_columns(&table)?;
        let keyed = !key.is_empty();
        let mut conn = match self.conn.take() {
            Some(conn) => conn,
            None => Connection::open(&self.address, SQL_TIMEOUT)?,
        };
        let (view, horizon) = self.take_view(&mut conn, task, keyed, each)?;
        let select = select(&table, &key, task);
        let is_kept = keyed && horizon > task.passed.position;
        each(Piece::Begun(Begun { view, horizon, table: Arc::clone(&table), keyed }))?;
        let (mut batch, mut place, mut count) = (Box::<Batch>::default(), Position::START, 0);
        let (mut size, mut is_cut) = (ChunkSize::new(is_kept), false);
        let read = conn.select(&select, &mut |columns, row| {
            count += 1;
            if keyed && count > task.rows {
                return Ok(());
            }
            if size.is_full_with(row.len(), columns.len()) {
                is_cut = true;
                return Err(Error::link(Code::Internal, "the chunk is full"));
            }
            if batch.rows().is_empty() {
                batch.add_table(&table);
                batch.add_transaction(Transaction::default());
            }
            let start = batch.mark();
            let mut row = scan::Row::open(columns, row)?;
            for column in columns {
                batch.add_cell_with(|out| row.write(column, out))?;
            }
            let head = RowHead { operation: Operation::Insert, table: 0, transaction: 0, lsn: 0 };
            batch.push(head, start, batch.mark(), &mut place);
            if batch.is_full() {
                place = Position::START;
                each(Piece::Rows(std::mem::take(&mut batch)))?;
            }
            Ok(())
        });
        if !is_cut {
            read?;
        }
        if !batch.rows().is_empty() {
            each(Piece::Rows(batch))?;
        }
        // A chunk that was cut leaves rows in the connection, which goes with them.
        if !is_cut {
            conn.execute("COMMIT")?;
            self.conn = Some(conn);
        }
        each(Piece::Ended(is_cut || keyed && count > task.rows))
    }

    fn reaches(&mut self, table: &TableName, bound: &Key, keys: &[Key]) -> Result<Vec<bool>> {
        let described = self.catalog()?.table(&table.0, &table.1)?;
        let columns = self.key_columns(&described)?;
        match &columns[..] {
            [] => Ok(vec![true; keys.len()]),
            [only] if only.order == Order::Integer => {
                let number = |key: &Key| key.first().and_then(|text| text.parse::<i128>().ok());
                let bound = number(bound);
                Ok(keys.iter().map(|key| number(key) <= bound).collect())
            }
            [only] if only.order == Order::Bytes => Ok(keys.iter().map(|key| key <= bound).collect()),
            _ => {
                let compared: Vec<_> = keys.iter().map(|key| up_to(&columns, key, bound)).collect();
                let rows = self.catalog()?.query(&format!("SELECT {}", compared.join(", ")))?;
                let row = rows.into_iter().next().unwrap_or_default();
                Ok(row.into_iter().map(|is_before| is_before.as_deref() == Some("1")).collect())
            }
        }
    }

    fn sees(&self, view: &View, transaction: &Transaction, position: Position) -> Sight {
        let sight = view.sees(transaction, position);
        match view {
            View::Gtids { executed, .. } if sight == Sight::Unknown => {
                let (set, one) = (GtidSet::parse_mysql(executed), GtidSet::parse_mysql(&transaction.xid));
                match (set, one) {
                    (Some(set), Some(one)) if set.includes(&one) => Sight::Seen,
                    _ => Sight::Unknown,
                }
            }
            _ => sight,
        }
    }
}

/// The snapshot's own place in the log; `None` if the stream is behind it.
fn view_of_mariadb(conn: &mut Connection, passed: &Passed) -> Result<Option<(View, Position)>> {
    conn.execute("START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY")?;
    let rows = conn.query("SHOW STATUS LIKE 'binlog_snapshot_%'")?;
    let value = |name: &str| {
        rows.iter().find_map(|row| match &row[..] {
            [Some(found), Some(value)] if found.eq_ignore_ascii_case(name) => Some(value.as_str()),
            _ => None,
        })
    };
    let file = value("binlog_snapshot_file").unwrap_or_default();
    let offset = value("binlog_snapshot_position").and_then(|offset| offset.parse().ok()).unwrap_or(0);
    let end = position(passed.position.epoch, file_number(file), offset);
    Ok((end >= passed.position).then_some((View::Place { end }, end)))
}

fn gtids_of(restart: &Restart) -> Option<&str> {
    match restart {
        Restart::Binlog { gtid, .. } => gtid.as_deref(),
        Restart::Postgres { .. } => None,
    }
}

fn select(table: &Table, key: &[KeyColumn], task: &Task) -> String {
    let names: Vec<String> = table.columns.iter().map(|column| quote_name(&column.name)).collect();
    let from = format!("{}.{}", quote_name(&table.schema), quote_name(&table.name));
    let all = format!("SELECT {} FROM {from}", names.join(", "));
    if key.is_empty() {
        return all;
    }
    let order: Vec<_> = key.iter().map(|column| quote_name(&column.name)).collect();
    let rest = task.after.as_ref().map_or_else(String::new, |after| format!(" WHERE {}", behind(key, after)));
    // One more tells whether there are more.
    format!("{all}{rest} ORDER BY {} LIMIT {}", order.join(", "), task.rows + 1)
}

/// Rows behind a key. A comparison of whole rows would not use the index, so that it is written out, with the
/// first column in front, which does.
fn behind(key: &[KeyColumn], after: &Key) -> String {
    let parts: Vec<_> = key
        .iter()
        .map(|column| {
            (
                quote_name(&column.name),
                column.order.literal(after.get(column.place).map_or("", String::as_str)),
            )
        })
        .collect();
    let (first, value) = &parts[0];
    let range = ordered(&parts, ">");
    if parts.len() == 1 { range } else { format!("{first} >= {value} AND ({range})") }
}

/// Whether one key lies at another one or before it, as an expression.
fn up_to(columns: &[KeyColumn], key: &Key, bound: &Key) -> String {
    let value = |key: &Key, column: &KeyColumn| {
        column.order.expression(key.get(column.place).map_or("", String::as_str))
    };
    let parts: Vec<_> = columns.iter().map(|column| (value(key, column), value(bound, column))).collect();
    let equal: Vec<_> = parts.iter().map(|(one, other)| format!("{one} = {other}")).collect();
    format!("(({}) OR ({}))", ordered(&parts, "<"), equal.join(" AND "))
}

/// Pairs compared one after the other: `a > 1 OR (a = 1 AND (b > 2))`.
fn ordered(parts: &[(String, String)], sign: &str) -> String {
    match parts {
        [] => "FALSE".to_owned(),
        [(one, other)] => format!("{one} {sign} {other}"),
        [(one, other), rest @ ..] => {
            format!("{one} {sign} {other} OR ({one} = {other} AND ({}))", ordered(rest, sign))
        }
    }
}

impl Order {
    /// `None`: the text that is carried says nothing of the order.
    fn of(data_type: &str, charset: Option<String>, collation: Option<String>) -> Option<Self> {
        Some(match data_type {
            "tinyint" | "smallint" | "mediumint" | "int" | "bigint" | "year" => Self::Integer,
            "decimal" => Self::Decimal,
            "binary" | "varbinary" => Self::Bytes,
            "char" | "varchar" => Self::Text { charset: charset?, collation: collation? },
            "date" => Self::Cast("DATE"),
            "datetime" | "timestamp" => Self::Cast("DATETIME(6)"),
            "time" => Self::Cast("TIME(6)"),
            "uuid" => Self::Cast("UUID"),
            _ => return None,
        })
    }

    /// A value that is compared with the column.
    fn literal(&self, text: &str) -> String {
        match self {
            Self::Integer | Self::Decimal => text.to_owned(),
            Self::Bytes => format!("x'{text}'"),
            Self::Text { .. } | Self::Cast(_) => quote(text),
        }
    }

    /// A value that is compared with another value.
    fn expression(&self, text: &str) -> String {
        match self {
            Self::Text { charset, collation } => {
                format!("CONVERT({} USING {charset}) COLLATE {collation}", quote(text))
            }
            Self::Cast(name) => format!("CAST({} AS {name})", quote(text)),
            _ => self.literal(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{KeyColumn, Order, behind, up_to};

    fn columns() -> Vec<KeyColumn> {
        let column = |name: &str, place, order| KeyColumn { name: name.to_owned(), place, order };
        let text = Order::Text { charset: "latin1".into(), collation: "latin1_bin".into() };
        vec![column("b", 1, Order::Integer), column("a", 0, text)]
    }

    #[test]
    fn rows_behind_a_key() {
        let key = vec!["x'y".to_owned(), "7".to_owned()];
        assert_eq!(behind(&columns(), &key), r"`b` >= 7 AND (`b` > 7 OR (`b` = 7 AND (`a` > 'x''y')))");
        assert_eq!(behind(&columns()[..1], &key), "`b` > 7");
    }

    #[test]
    fn keys_are_compared_by_the_database() {
        let (key, bound) = (vec!["k".to_owned(), "7".to_owned()], vec!["l".to_owned(), "8".to_owned()]);
        let [one, other] =
            ["k", "l"].map(|text| format!("CONVERT('{text}' USING latin1) COLLATE latin1_bin"));
        assert_eq!(
            up_to(&columns(), &key, &bound),
            format!("((7 < 8 OR (7 = 8 AND ({one} < {other}))) OR (7 = 8 AND {one} = {other}))")
        );
    }
}
