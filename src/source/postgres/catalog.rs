//! What the log does not say of a table, asked of the catalog: primary keys, names of types, partition roots, which tables there are.
//! Keeps an SQL connection and opens it again when it broke.

use std::sync::Arc;

use super::super::{Address, Tables};
use super::connection::{Connection, Purpose, Rows};
use super::failure::quote_literal;
use super::values::Encoding;
use crate::change::{Column, Table};
use crate::{Error, Result, error};

/// The catalog of one database.
#[derive(Debug)]
pub(super) struct Catalog {
    address: Address,
    connection: Option<Connection>,
}

/// A table that the patterns name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Captured {
    pub schema: String,
    pub name: String,
    /// The root of partitions.
    pub partitioned: bool,
    /// An update or delete can say which row it was.
    pub has_identity: bool,
}

/// Schema and name of the tables that a partition belongs to, the nearest first.
type Ancestors = Vec<(String, String)>;

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
    /// Columns that the server computes; pgoutput does not send them, so they are left out of `table`.
    pub generated: Vec<String>,
}

impl Catalog {
    pub fn open(address: &Address) -> Result<Self> {
        Ok(Self { address: address.clone(), connection: Some(Connection::open(address, Purpose::Sql)?) })
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
            self.connection = Some(Connection::open(&self.address, Purpose::Sql)?);
        }
        self.connection.as_mut().ok_or_else(|| Error::link("no connection"))
    }

    /// Asks a question that changes nothing; if the connection was dead (idle for too long), asks again on a new one.
    pub fn ask(&mut self, query: &str) -> Result<Rows> {
        match self.connection()?.query(query) {
            Err(error) if error.kind() == error::Kind::Link => {
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
            "SELECT n.nspname, c.relname, c.relkind = 'p', c.relreplident IN ('f', 'i') OR c.relreplident = 'd' AND EXISTS (SELECT FROM \
             pg_catalog.pg_index i WHERE i.indrelid = c.oid AND i.indisprimary), (SELECT string_agg(an.nspname || chr(31) || ac.relname, \
             chr(31) ORDER BY a.place) FROM pg_catalog.pg_partition_ancestors(c.oid) WITH ORDINALITY a(relid, place) JOIN \
             pg_catalog.pg_class ac ON ac.oid = a.relid JOIN pg_catalog.pg_namespace an ON an.oid = ac.relnamespace WHERE \
             c.relispartition AND a.relid <> c.oid) FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = \
             c.relnamespace WHERE c.relkind IN ('r', 'p') AND c.relpersistence = 'p' AND n.nspname <> 'information_schema' AND \
             n.nspname !~ '^pg_'",
        )?;
        let mut tables: Vec<_> = rows
            .into_iter()
            .map(|row| {
                let [schema, name, partitioned, has_identity, ancestors] = cells(row);
                let names: Vec<&str> = ancestors.split('\u{1f}').collect();
                let ancestors = names.chunks_exact(2).map(|pair| (pair[0].to_owned(), pair[1].to_owned())).collect();
                (Captured { schema, name, partitioned: partitioned == "t", has_identity: has_identity == "t" }, ancestors)
            })
            .collect();
        tables.sort_by(|(a, _), (b, _)| (&a.schema, &a.name).cmp(&(&b.schema, &b.name)));
        Ok(tables)
    }

    /// The tables that the patterns name, sorted. A partition is left out where a table that it belongs to is named too.
    pub fn captured(&mut self, wanted: &Tables) -> Result<Vec<Captured>> {
        let tables = self.all_tables()?.into_iter();
        let named = |schema: &str, name: &str| wanted.contains(schema, name);
        let captured = tables
            .filter(|(table, ancestors)| named(&table.schema, &table.name) && !ancestors.iter().any(|(schema, name)| named(schema, name)));
        Ok(captured.map(|(table, _)| table).collect())
    }

    /// The names of all tables, for messages.
    pub fn names(&mut self) -> Result<Vec<String>> {
        Ok(self.all_tables()?.into_iter().map(|(table, _)| format!("{}.{}", table.schema, table.name)).collect())
    }

    /// The topmost of the table and its partition ancestors that the patterns name: what its changes are published as. `None` if nothing is named.
    pub fn published_as(&mut self, wanted: &Tables, schema: &str, name: &str) -> Result<Option<(String, String)>> {
        let tables = self.all_tables()?.into_iter();
        let ancestors = tables.filter(|(table, _)| table.schema == schema && table.name == name).flat_map(|(_, ancestors)| ancestors);
        let mut line = vec![(schema.to_owned(), name.to_owned())];
        line.extend(ancestors);
        Ok(line.into_iter().rev().find(|(schema, name)| wanted.contains(schema, name)))
    }

    /// A table as it is now; `None` if it is gone.
    pub fn shape(&mut self, schema: &str, name: &str) -> Result<Option<Shape>> {
        let of_table = format!(
            "FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = {} AND c.relname = {} AND \
             c.relkind IN ('r', 'p')",
            quote_literal(schema),
            quote_literal(name)
        );
        let found = self.ask(&format!("SELECT c.oid, c.relkind = 'p', c.relreplident {of_table}"))?;
        let Some(row) = found.into_iter().next() else { return Ok(None) };
        let [oid, partitioned, identity] = cells(row);
        let rows = self.ask(&format!(
            "SELECT a.attname, a.atttypid, pg_catalog.format_type(a.atttypid, a.atttypmod), {}, a.attgenerated FROM pg_catalog.pg_attribute \
             a WHERE a.attrelid = {oid} AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum",
            match identity.as_str() {
                "f" => "true".to_owned(),
                "d" => format!("a.attnum = ANY ((SELECT indkey FROM pg_catalog.pg_index WHERE indrelid = {oid} AND indisprimary)::int2[])"),
                "i" => format!("a.attnum = ANY ((SELECT indkey FROM pg_catalog.pg_index WHERE indrelid = {oid} AND indisreplident)::int2[])"),
                _ => "false".to_owned(),
            }
        ))?;
        let (mut columns, mut type_oids, mut generated) = (Vec::new(), Vec::new(), Vec::new());
        for row in rows {
            let [name, type_oid, type_name, identity, computed] = cells(row);
            if !computed.is_empty() {
                generated.push(name);
                continue;
            }
            columns.push(Column { name, type_name, identity: identity == "t" });
            type_oids.push(type_oid.parse().unwrap_or(0));
        }
        let key = self.key(&oid)?;
        let mut key: Vec<usize> = key.iter().filter_map(|name| columns.iter().position(|column| column.name == *name)).collect();
        key.sort_unstable();
        let table = Arc::new(Table { schema: schema.to_owned(), name: name.to_owned(), columns, key });
        let encodings = type_oids.iter().map(|&type_oid| Encoding::of(type_oid)).collect();
        Ok(Some(Shape { table, encodings, type_oids, partitioned: partitioned == "t", generated }))
    }

    /// The columns of a table's primary key, in the key's order.
    pub fn key(&mut self, table_oid: &str) -> Result<Vec<String>> {
        let rows = self.ask(&format!(
            "SELECT a.attname FROM pg_catalog.pg_index i CROSS JOIN unnest(i.indkey) WITH ORDINALITY k(number, place) JOIN \
             pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.number WHERE i.indrelid = {table_oid} AND \
             i.indisprimary AND k.place <= i.indnkeyatts ORDER BY k.place"
        ))?;
        Ok(rows.into_iter().flatten().flatten().collect())
    }

    /// The columns of a table that the server computes.
    pub fn generated(&mut self, table_oid: &str) -> Result<Vec<String>> {
        let rows = self.ask(&format!(
            "SELECT attname FROM pg_catalog.pg_attribute WHERE attrelid = {table_oid} AND attnum > 0 AND attgenerated <> ''"
        ))?;
        Ok(rows.into_iter().flatten().flatten().collect())
    }

    /// The names of types with their modifiers, as `\d` prints them.
    pub fn type_names(&mut self, types: &[(u32, i32)]) -> Result<Vec<String>> {
        let list = |each: &dyn Fn(&(u32, i32)) -> String| types.iter().map(each).collect::<Vec<_>>().join(",");
        let rows = self.ask(&format!(
            "SELECT pg_catalog.format_type(t.type, t.modifier) FROM unnest(ARRAY[{}]::oid[], ARRAY[{}]::int4[]) WITH ORDINALITY t(type, \
             modifier, place) ORDER BY t.place",
            list(&|(type_oid, _)| type_oid.to_string()),
            list(&|(_, modifier)| modifier.to_string())
        ))?;
        Ok(rows.into_iter().map(cells::<1>).map(|[name]| name).collect())
    }
}

/// The first columns of a row; NULL is the empty text.
pub(super) fn cells<const N: usize>(row: Vec<Option<String>>) -> [String; N] {
    let mut row = row.into_iter();
    std::array::from_fn(|_| row.next().flatten().unwrap_or_default())
}
