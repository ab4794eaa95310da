//! Rows that tables hold, chunk by chunk.
//!
//! A chunk is read in one REPEATABLE READ transaction, whose view (`pg_current_snapshot`) says of each
//! transaction of the log whether the chunk holds it. The table is locked (ACCESS SHARE, as any SELECT does)
//! before the view is taken: a statement that writes a table anew, such as ALTER TABLE or TRUNCATE, would
//! leave an older view with an empty table.

use std::collections::BTreeSet;
use std::time::Duration;

use super::super::{Begun, ChunkSize, Chunks, NOT_VISIBLE_YET, Passed, Piece, Task};
use super::catalog::{Catalog, Shape, cells};
use super::connection::{Connection, Purpose};
use super::database::Scan;
use super::failure::{quote_identifier, quote_literal};
use super::message::Malformed;
use super::slot::parse_lsn;
use super::values::Encoding;
use crate::change::{Key, Position, TableName, View};
use crate::source::Address;
use crate::{Code, Error, Result};

/// The end of the log, written out or not: what a view holds was put there before.
const LOG_END: &str = "CASE WHEN pg_catalog.pg_is_in_recovery() THEN pg_catalog.pg_last_wal_replay_lsn() \
    ELSE pg_catalog.pg_current_wal_insert_lsn() END";

/// Between two views while one is waited for.
const VIEW_PAUSE: Duration = Duration::from_millis(20);

/// Reads chunks of PostgreSQL.
#[derive(Debug)]
pub(super) struct PostgresChunks {
    address: Address,
    catalog: Option<Catalog>,
    /// What read the last chunk, and has nothing open.
    wire: Option<Connection>,
}

impl PostgresChunks {
    /// Connects when it is asked.
    pub fn new(address: &Address) -> Self {
        Self { address: address.clone(), catalog: None, wire: None }
    }

    fn catalog(&mut self) -> Result<&mut Catalog> {
        let catalog = match self.catalog.take() {
            Some(catalog) => catalog,
            None => Catalog::open(&self.address)?,
        };
        Ok(self.catalog.insert(catalog))
    }

    /// Waits until everybody has ended who holds a lock for writing on the table now, with nothing but looks.
    /// A transaction keeps its locks until others see it, so that a later view holds all that was written up
    /// to now: what the log that is read does not tell of this table.
    fn wait_for_writers(&mut self, name: &str, each: &mut dyn FnMut(Piece) -> Result<()>) -> Result<()> {
        let root = format!("{}::pg_catalog.regclass", quote_literal(name));
        let statement = format!(
            "SELECT DISTINCT l.virtualtransaction FROM pg_catalog.pg_locks l WHERE l.locktype = 'relation' \
             AND l.granted AND l.mode IN ('RowExclusiveLock', 'ShareRowExclusiveLock', 'ExclusiveLock', \
             'AccessExclusiveLock') AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = \
             pg_catalog.current_database()) AND (l.relation = {root} OR l.relation IN (SELECT relid FROM \
             pg_catalog.pg_partition_tree({root})))"
        );
        let holders = |catalog: &mut Catalog| -> Result<BTreeSet<String>> {
            Ok(catalog.ask(&statement)?.into_iter().map(cells).map(|[holder]| holder).collect())
        };
        let mut open = holders(self.catalog()?)?;
        while !open.is_empty() {
            each(Piece::Waiting("somebody has changed the table and has not committed yet"))?;
            std::thread::sleep(VIEW_PAUSE);
            let now = holders(self.catalog()?)?;
            open.retain(|holder| now.contains(holder));
        }
        Ok(())
    }

    /// The collation of each key column that has one, ready for an expression.
    fn collations(&mut self, table: &TableName, shape: &Shape) -> Result<Vec<String>> {
        let rows = self.catalog()?.ask(&format!(
            "SELECT a.attname, n.nspname, l.collname FROM pg_catalog.pg_attribute a JOIN \
             pg_catalog.pg_class c ON c.oid = a.attrelid JOIN pg_catalog.pg_namespace t ON t.oid = \
             c.relnamespace JOIN pg_catalog.pg_collation l ON l.oid = a.attcollation JOIN \
             pg_catalog.pg_namespace n ON n.oid = l.collnamespace WHERE t.nspname = {} AND c.relname = {} \
             AND l.collname <> 'default'",
            quote_literal(&table.0),
            quote_literal(&table.1)
        ))?;
        let known: Vec<[String; 3]> = rows.into_iter().map(cells).collect();
        let of = |name: &String| {
            known.iter().find(|[column, ..]| column == name).map_or_else(
                String::new,
                |[_, schema, collation]| {
                    format!(" COLLATE {}.{}", quote_identifier(schema), quote_identifier(collation))
                },
            )
        };
        Ok(shape.keys.names().iter().map(of).collect())
    }
}

impl Chunks for PostgresChunks {
    fn read(&mut self, task: &Task, each: &mut dyn FnMut(Piece) -> Result<()>) -> Result<()> {
        let name = format!("{}.{}", quote_identifier(&task.table.0), quote_identifier(&task.table.1));
        let Some(shape) = self.catalog()?.shape(&task.table.0, &task.table.1)? else {
            return each(Piece::Gone);
        };
        let only = if shape.partitioned { "" } else { "ONLY " };
        if task.is_late && task.after.is_none() {
            self.wait_for_writers(&name, each)?;
        }
        let mut wire = match self.wire.take() {
            Some(wire) => wire,
            None => Connection::open(&self.address, Purpose::Sql)?,
        };
        let (view, end) = loop {
            wire.execute("BEGIN READ ONLY ISOLATION LEVEL REPEATABLE READ")?;
            wire.execute("SET LOCAL lock_timeout = 5000")?;
            wire.execute(&format!("LOCK TABLE {only}{name} IN ACCESS SHARE MODE"))?;
            let (view, end) = take_view(&mut wire)?;
            if holds(&view, &task.passed) {
                break (view, end);
            }
            wire.execute("COMMIT")?;
            each(Piece::Waiting(NOT_VISIBLE_YET))?;
            std::thread::sleep(VIEW_PAUSE);
        };
        // The lock keeps the form of the table as it is from here on.
        let Some(shape) = self.catalog()?.shape(&task.table.0, &task.table.1)? else {
            return each(Piece::Gone);
        };
        let keyed = is_keyed(&shape);
        let horizon = Position::first_of(task.passed.position.epoch, end);
        let is_kept = keyed && horizon > task.passed.position;
        let table = std::sync::Arc::clone(&shape.table);
        each(Piece::Begun(Begun { view, horizon, table, keyed }))?;
        let limit = if keyed { task.rows } else { u64::MAX };
        let statement =
            select(&shape, &format!("{only}{name}"), task.after.as_ref().filter(|_| keyed), limit);
        let time_out = wire.time_out.take();
        let columns = shape.table.columns.len();
        let mut scan = Scan::new(shape);
        let (mut count, mut size, mut is_cut) = (0, ChunkSize::new(is_kept), false);
        let read = wire.copy_out(&statement, &mut |line| {
            count += 1;
            if count > limit {
                return Ok(());
            }
            if size.is_full_with(line.len(), columns) {
                is_cut = true;
                return Err(Error::link(Code::Internal, "the chunk is full"));
            }
            scan.line(line)?;
            if scan.batch.is_full() { each(Piece::Rows(scan.take())) } else { Ok(()) }
        });
        if !is_cut {
            read?;
        }
        if !scan.batch.rows().is_empty() {
            each(Piece::Rows(scan.take()))?;
        }
        // A chunk that was cut leaves rows in the connection, which goes with them.
        if !is_cut {
            wire.time_out = time_out;
            wire.execute("COMMIT")?;
            self.wire = Some(wire);
        }
        each(Piece::Ended(is_cut || count > limit))
    }

    fn reaches(&mut self, table: &TableName, bound: &Key, keys: &[Key]) -> Result<Vec<bool>> {
        let Some(shape) = self.catalog()?.shape(&table.0, &table.1)? else {
            return Ok(vec![true; keys.len()]);
        };
        if let Some(numbers) = as_number(&shape, bound) {
            return keys
                .iter()
                .map(|key| Ok(as_number(&shape, key).ok_or(Malformed)? <= numbers))
                .collect::<Result<_>>();
        }
        let collations = self.collations(table, &shape)?;
        let bound = row_of(&shape, bound, &collations);
        let compared: Vec<_> = keys
            .iter()
            .map(|key| format!("({}) <= ({})", row_of(&shape, key, &collations).join(", "), bound.join(", ")))
            .collect();
        let rows = self.catalog()?.ask(&format!("SELECT {}", compared.join(", ")))?;
        let row = rows.into_iter().next().ok_or(Malformed)?;
        Ok(row.into_iter().map(|is_before| is_before.as_deref() == Some("t")).collect())
    }
}

/// The view of the open transaction, and the end of the log behind it: what the view holds was written
/// before.
fn take_view(wire: &mut Connection) -> Result<(View, u64)> {
    let rows = wire.query(&format!("SELECT pg_catalog.pg_current_snapshot(), {LOG_END}"))?;
    let [view, end] = rows.into_iter().next().map(cells).unwrap_or_default();
    let view = parse_view(&view).ok_or(Malformed)?;
    Ok((view, parse_lsn(&end).ok_or(Malformed)?))
}

/// `xmin:xmax:xip,xip`
pub(super) fn parse_view(text: &str) -> Option<View> {
    let mut parts = text.split(':');
    let (xmin, xmax) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
    let running = parts.next()?.split(',').filter(|xid| !xid.is_empty());
    let mut running: Vec<u64> = running.map(|xid| xid.parse().ok()).collect::<Option<_>>()?;
    running.sort_unstable();
    Some(View::Xids { xmin, xmax, running })
}

fn holds(view: &View, passed: &Passed) -> bool {
    passed.xids.iter().all(|&xid| view.holds_xid(xid))
        && passed.base.as_ref().is_none_or(|base| view.covers(base))
}

/// Whether each change in the log names its row by the key.
fn is_keyed(shape: &Shape) -> bool {
    let table = &shape.table;
    !table.key.is_empty() && table.key.iter().all(|&place| table.columns[place].identity)
}

fn select(shape: &Shape, from: &str, after: Option<&Key>, limit: u64) -> String {
    let columns: Vec<_> = shape.table.columns.iter().map(|column| quote_identifier(&column.name)).collect();
    let all = format!("SELECT {} FROM {from}", columns.join(", "));
    if limit == u64::MAX {
        return format!("COPY ({all}) TO STDOUT");
    }
    let key: Vec<_> = shape.keys.names().iter().map(|name| quote_identifier(name)).collect();
    let key = key.join(", ");
    let rest = after.map_or_else(String::new, |after| {
        let own = vec![String::new(); shape.keys.names().len()];
        format!(" WHERE ({key}) > ({})", row_of(shape, after, &own).join(", "))
    });
    // One more tells whether there are more.
    format!("COPY ({all}{rest} ORDER BY {key} LIMIT {}) TO STDOUT", limit + 1)
}

/// The values of a key, in the order of its index, as SQL writes them.
fn row_of(shape: &Shape, key: &Key, collations: &[String]) -> Vec<String> {
    let table = &shape.table;
    let value = |(name, collation): (&String, &String)| {
        let in_key = table.key.iter().position(|&place| table.columns[place].name == *name);
        let text = in_key.and_then(|place| key.get(place)).map_or("", String::as_str);
        let place = in_key.map_or(0, |place| table.key[place]);
        let text =
            if shape.encodings[place] == Encoding::Bytes { format!("\\x{text}") } else { text.to_owned() };
        format!("{}::{}{collation}", quote_literal(&text), table.columns[place].type_name)
    };
    shape.keys.names().iter().zip(collations).map(value).collect()
}

/// A key of one integer, which needs nobody's collation.
fn as_number(shape: &Shape, key: &Key) -> Option<i64> {
    const INTEGERS: [u32; 3] = [20, 21, 23];
    match shape.table.key[..] {
        [place] if INTEGERS.contains(&shape.type_oids[place]) => key.first()?.parse().ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::parse_view;
    use crate::change::View;

    #[test]
    fn views_as_the_server_prints_them() {
        let view = View::Xids { xmin: 10, xmax: 20, running: vec![10, 14] };
        assert_eq!(parse_view("10:20:14,10"), Some(view));
        assert_eq!(parse_view("10:10:"), Some(View::Xids { xmin: 10, xmax: 10, running: vec![] }));
        assert_eq!(parse_view("10:20"), None);
        assert_eq!(parse_view("10:20:x"), None);
    }
}
