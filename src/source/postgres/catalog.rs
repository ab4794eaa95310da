//! What the log does not say of a table, asked of the catalog: names of types, partition roots, which tables
//! there are; `keys` asks for keys. Keeps an SQL connection and opens it again when it broke.

use std::sync::Arc;
use std::time::Duration;

use super::super::{Address, Tables};
use super::connection::{Connection, Purpose, Rows};
use super::failure::quote_literal;
use super::keys::Keys;
use super::values::Encoding;
use crate::change::{Column, Table};
use crate::{Code, Error, Result, error};

/// The catalog of one database.
#[derive(Debug)]
pub(super) struct Catalog {
    address: Address,
    connection: Option<Connection>,
    patience: Duration,
}

/// A table that the patterns name.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of the catalog")]
pub(super) struct Captured {
    pub oid: u32,
    pub schema: String,
    pub name: String,
    /// The root of partitions.
    pub partitioned: bool,
    /// An update or delete can say which row it was.
    pub has_identity: bool,
    /// It says so by a column that the server computes.
    pub computed_identity: bool,
    /// It says so by the whole row, of which a column is only computed when it is read: once the table is
    /// published, the server refuses to say it.
    pub virtual_identity: bool,
    /// It has a primary key.
    pub has_key: bool,
}

/// Schema and name of the tables that a partition belongs to, the nearest first.
pub(super) type Ancestors = Vec<(String, String)>;

/// A table as it is now.
#[derive(Debug, Clone)]
pub(super) struct Shape {
    pub table: Arc<Table>,
    /// One a column.
    pub encodings: Vec<Encoding>,
    /// One a column.
    pub type_oids: Vec<u32>,
    /// The root of partitions: its rows lie in others.
    pub partitioned: bool,
    /// What identifies its rows.
    pub keys: Keys,
}

impl Catalog {
    pub fn open(address: &Address) -> Result<Self> {
        let mut catalog = Self { address: address.clone(), connection: None, patience: Connection::TIME_OUT };
        catalog.connection()?;
        Ok(catalog)
    }

    /// From now on an answer is waited for only so long, here and by the server.
    pub fn hurry(&mut self, patience: Duration) -> Result<()> {
        if self.patience != patience {
            self.patience = patience;
            if let Some(connection) = &mut self.connection {
                limit(connection, patience)?;
            }
        }
        Ok(())
    }

    pub fn address(&self) -> &Address {
        &self.address
    }

    /// The connection, opened again if it broke.
    pub fn connection(&mut self) -> Result<&mut Connection> {
        if let Some(connection) = self.connection.take_if(|connection| connection.is_broken()) {
            drop(connection);
        }
        if self.connection.is_none() {
            let mut connection = Connection::open(&self.address, Purpose::Sql)?;
            limit(&mut connection, self.patience)?;
            self.connection = Some(connection);
        }
        self.connection.as_mut().ok_or_else(|| Error::link(Code::DatabaseDisconnected, "no connection"))
    }

    /// Asks a question that changes nothing; if the connection was dead (idle for too long), asks again on a
    /// new one.
    pub fn ask(&mut self, query: &str) -> Result<Rows> {
        match self.connection()?.query(query) {
            Err(error) if error.kind() == error::ErrorKind::Link => {
                self.connection = None;
                self.connection()?.query(query)
            }
            answer => answer,
        }
    }

    /// As [`Catalog::ask`], for one value.
    pub fn ask_one(&mut self, query: &str) -> Result<Option<String>> {
        Ok(self.ask(query)?.into_iter().next().and_then(|row| row.into_iter().next().flatten()))
    }

    /// Major version of the server.
    pub fn version(&mut self) -> Result<u32> {
        Ok(self.connection()?.version)
    }

    /// All tables of users whose changes are in the log, sorted, with their partition ancestors.
    fn all_tables(&mut self) -> Result<Vec<(Captured, Ancestors)>> {
        let rows = self.ask(
            "SELECT c.oid, n.nspname, c.relname, c.relkind = 'p', c.relreplident IN ('f', 'i') OR \
             c.relreplident = 'd' AND EXISTS (SELECT FROM \
             pg_catalog.pg_index i WHERE i.indrelid = c.oid AND i.indisprimary), EXISTS (SELECT FROM \
             pg_catalog.pg_index i JOIN \
             pg_catalog.pg_attribute ga ON ga.attrelid = i.indrelid AND ga.attnum = ANY (i.indkey) WHERE \
             i.indrelid = c.oid AND \
             ga.attgenerated <> '' AND CASE c.relreplident WHEN 'd' THEN i.indisprimary WHEN 'i' THEN \
             i.indisreplident ELSE false END), c.relreplident = 'f' AND EXISTS (SELECT FROM \
             pg_catalog.pg_attribute va WHERE va.attrelid = c.oid AND \
             va.attgenerated = 'v' AND NOT va.attisdropped), EXISTS (SELECT FROM pg_catalog.pg_index k \
             WHERE k.indrelid = c.oid AND \
             k.indisprimary), (SELECT string_agg(an.nspname || chr(31) || ac.relname, \
             chr(31) ORDER BY a.place) FROM pg_catalog.pg_partition_ancestors(c.oid) WITH ORDINALITY \
             a(relid, place) JOIN \
             pg_catalog.pg_class ac ON ac.oid = a.relid JOIN pg_catalog.pg_namespace an ON an.oid = \
             ac.relnamespace WHERE \
             c.relispartition AND a.relid <> c.oid) FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace \
             n ON n.oid = \
             c.relnamespace WHERE c.relkind IN ('r', 'p') AND c.relpersistence = 'p' AND n.nspname <> \
             'information_schema' AND \
             n.nspname !~ '^pg_'",
        )?;
        let mut tables: Vec<_> = rows
            .into_iter()
            .map(|row| {
                let [
                    oid,
                    schema,
                    name,
                    partitioned,
                    has_identity,
                    computed,
                    computed_late,
                    has_key,
                    ancestors,
                ] = cells(row);
                let names: Vec<&str> = ancestors.split('\u{1f}').collect();
                let ancestors =
                    names.chunks_exact(2).map(|pair| (pair[0].to_owned(), pair[1].to_owned())).collect();
                let [partitioned, has_identity, computed_identity, virtual_identity, has_key] =
                    [partitioned, has_identity, computed, computed_late, has_key].map(|is| is == "t");
                let oid = oid.parse().unwrap_or(0);
                let table = Captured {
                    oid,
                    schema,
                    name,
                    partitioned,
                    has_identity,
                    computed_identity,
                    virtual_identity,
                    has_key,
                };
                (table, ancestors)
            })
            .collect();
        tables.sort_by(|(a, _), (b, _)| (&a.schema, &a.name).cmp(&(&b.schema, &b.name)));
        Ok(tables)
    }

    /// The tables that the patterns name, sorted. A partition is left out where a table that it belongs to is
    /// named too.
    pub fn captured(&mut self, wanted: &Tables) -> Result<Vec<Captured>> {
        let tables = self.all_tables()?.into_iter();
        let named = |schema: &str, name: &str| wanted.contains(schema, name);
        let captured = tables.filter(|(table, ancestors)| {
            named(&table.schema, &table.name) && !ancestors.iter().any(|(schema, name)| named(schema, name))
        });
        Ok(captured.map(|(table, _)| table).collect())
    }

    /// The names of all tables, for messages.
    pub fn names(&mut self) -> Result<Vec<String>> {
        Ok(self
            .all_tables()?
            .into_iter()
            .map(|(table, _)| format!("{}.{}", table.schema, table.name))
            .collect())
    }

    /// The table and the tables that it is a partition of, the nearest first; `None` if there is no such
    /// table now.
    pub fn line(&mut self, schema: &str, name: &str) -> Result<Option<Ancestors>> {
        let rows = self.ask(&format!(
            "SELECT an.nspname, ac.relname FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON \
             n.oid = c.relnamespace LEFT JOIN LATERAL \
             pg_catalog.pg_partition_ancestors(c.oid) WITH ORDINALITY a(relid, place) ON c.relispartition \
             AND a.relid <> c.oid LEFT JOIN \
             pg_catalog.pg_class ac ON ac.oid = a.relid LEFT JOIN pg_catalog.pg_namespace an ON an.oid = \
             ac.relnamespace WHERE n.nspname = {} \
             AND c.relname = {} AND c.relkind IN ('r', 'p') ORDER BY a.place",
            quote_literal(schema),
            quote_literal(name)
        ))?;
        if rows.is_empty() {
            return Ok(None);
        }
        let ancestors = rows.into_iter().map(cells::<2>).filter(|[_, name]| !name.is_empty()).map(Into::into);
        Ok(Some([(schema.to_owned(), name.to_owned())].into_iter().chain(ancestors).collect()))
    }

    /// The topmost of the table and its partition ancestors that the patterns name: what its changes are
    /// published as. `None` if nothing is named.
    pub fn published_as(
        &mut self,
        wanted: &Tables,
        schema: &str,
        name: &str,
    ) -> Result<Option<(String, String)>> {
        // A table that is gone speaks for itself.
        let line = self.line(schema, name)?.unwrap_or_else(|| vec![(schema.to_owned(), name.to_owned())]);
        Ok(line.into_iter().rev().find(|(schema, name)| wanted.contains(schema, name)))
    }

    /// Another text whenever a table became a partition of another one, or is one no longer.
    pub fn partitions(&mut self) -> Result<Option<String>> {
        self.ask_one(
            "SELECT md5(string_agg(i.inhrelid || ' ' || i.inhparent, ',' ORDER BY i.inhrelid)) FROM \
             pg_catalog.pg_inherits i JOIN \
             pg_catalog.pg_class c ON c.oid = i.inhrelid WHERE c.relispartition",
        )
    }

    /// A table as it is now; `None` if it is gone.
    pub fn shape(&mut self, schema: &str, name: &str) -> Result<Option<Shape>> {
        let found = self.ask(&format!(
            "SELECT c.oid, c.relkind = 'p' FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON \
             n.oid = c.relnamespace WHERE n.nspname = \
             {} AND c.relname = {} AND c.relkind IN ('r', 'p')",
            quote_literal(schema),
            quote_literal(name)
        ))?;
        let Some(row) = found.into_iter().next() else { return Ok(None) };
        let [oid, partitioned] = cells(row);
        let keys = self.keys(&oid)?;
        let rows = self.ask(&format!(
            "SELECT attname, atttypid, pg_catalog.format_type(atttypid, atttypmod) FROM \
             pg_catalog.pg_attribute WHERE attrelid = {oid} AND attnum \
             > 0 AND NOT attisdropped ORDER BY attnum"
        ))?;
        let (mut columns, mut type_oids) = (Vec::new(), Vec::new());
        for [name, type_oid, type_name] in
            rows.into_iter().map(cells::<3>).filter(|[name, ..]| !keys.leaves_out(name))
        {
            columns.push(Column { identity: keys.identifies(&name), name, type_name });
            type_oids.push(type_oid.parse().unwrap_or(0));
        }
        let key = places(keys.names(), &columns);
        let mut encodings: Vec<_> = type_oids.iter().map(|&type_oid| Encoding::of(type_oid)).collect();
        for &place in &key {
            encodings[place] = encodings[place].of_key();
        }
        let table = Arc::new(Table { schema: schema.to_owned(), name: name.to_owned(), columns, key });
        Ok(Some(Shape { table, encodings, type_oids, partitioned: partitioned == "t", keys }))
    }

    /// The names of types with their modifiers, as `\d` prints them.
    pub fn type_names(&mut self, types: &[(u32, i32)]) -> Result<Vec<String>> {
        let list =
            |each: &dyn Fn(&(u32, i32)) -> String| types.iter().map(each).collect::<Vec<_>>().join(",");
        let rows = self.ask(&format!(
            "SELECT pg_catalog.format_type(t.type, t.modifier) FROM unnest(ARRAY[{}]::oid[], \
             ARRAY[{}]::int4[]) WITH ORDINALITY t(type, \
             modifier, place) ORDER BY t.place",
            list(&|(type_oid, _)| type_oid.to_string()),
            list(&|(_, modifier)| modifier.to_string())
        ))?;
        Ok(rows.into_iter().map(cells::<1>).map(|[name]| name).collect())
    }
}

/// How long a statement may wait for a lock: others wait behind it.
const LOCK_WAIT_MS: u32 = 2_000;

/// The server gives a statement up before we do: what waited on would hold up the next, and keep its
/// connection.
fn limit(connection: &mut Connection, patience: Duration) -> Result<()> {
    connection.time_out = Some(patience);
    let statement_ms = (patience * 4 / 5).as_millis();
    connection
        .execute(&format!("SET lock_timeout = {LOCK_WAIT_MS}; SET statement_timeout = {statement_ms}"))
        .map(|_| ())
}

/// Where the columns of these names are, rising; none of them if one is not there.
pub(super) fn places(names: &[String], columns: &[Column]) -> Vec<usize> {
    let place = |name: &String| columns.iter().position(|column| column.name == *name);
    let mut places: Vec<usize> = names.iter().map(place).collect::<Option<_>>().unwrap_or_default();
    places.sort_unstable();
    places
}

/// The first columns of a row; NULL is the empty text.
pub(super) fn cells<const N: usize>(row: Vec<Option<String>>) -> [String; N] {
    let mut row = row.into_iter();
    std::array::from_fn(|_| row.next().flatten().unwrap_or_default())
}
