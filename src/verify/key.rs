//! What tells a table's rows apart, asked of the catalog: an empty table has no row that could tell it.

use crate::Result;
use crate::source::{Database, Dialect, write_literal};

/// The columns of the primary key in its order; empty without one. PostgreSQL: of `REPLICA IDENTITY USING
/// INDEX` the index's, since old rows carry no others.
pub fn primary_key(
    database: &mut dyn Database,
    dialect: Dialect,
    schema: &str,
    table: &str,
) -> Result<Vec<String>> {
    let (schema, table) = (quoted(schema, dialect), quoted(table, dialect));
    let query = match dialect {
        Dialect::Postgres => format!(
            "SELECT a.attname FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class c ON c.oid = i.indrelid \
             JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
             CROSS JOIN LATERAL unnest(i.indkey) WITH ORDINALITY AS k (number, place) \
             JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.number \
             WHERE CASE c.relreplident WHEN 'i' THEN i.indisreplident ELSE i.indisprimary END \
             AND k.place <= i.indnkeyatts AND n.nspname = {schema} AND c.relname = {table} ORDER BY k.place"
        ),
        Dialect::Mysql | Dialect::Mariadb => format!(
            // MariaDB adds the end of a row to the key of a versioned table.
            "SELECT k.column_name FROM information_schema.key_column_usage k JOIN \
             information_schema.columns c ON c.table_schema = {schema} \
             AND c.table_name = {table} AND c.column_name = k.column_name WHERE k.constraint_name = \
             'PRIMARY' AND k.table_schema = {schema} \
             AND k.table_name = {table} AND coalesce(c.generation_expression, '') <> 'ROW END' ORDER BY \
             k.ordinal_position"
        ),
    };
    first_column(database, &query)
}

/// All columns in the table's order.
pub fn columns(
    database: &mut dyn Database,
    dialect: Dialect,
    schema: &str,
    table: &str,
) -> Result<Vec<String>> {
    let (schema, table) = (quoted(schema, dialect), quoted(table, dialect));
    let query = match dialect {
        Dialect::Postgres => format!(
            "SELECT a.attname FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_class c ON c.oid = \
             a.attrelid \
             JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = {schema} AND \
             c.relname = {table} \
             AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = '' ORDER BY a.attnum"
        ),
        Dialect::Mysql | Dialect::Mariadb => format!(
            "SELECT column_name FROM information_schema.columns WHERE table_schema = {schema} AND \
             table_name = {table} ORDER BY ordinal_position"
        ),
    };
    first_column(database, &query)
}

fn first_column(database: &mut dyn Database, query: &str) -> Result<Vec<String>> {
    Ok(database.query(query)?.into_iter().flatten().flatten().collect())
}

fn quoted(name: &str, dialect: Dialect) -> String {
    let mut literal = String::new();
    write_literal(&mut literal, name, dialect);
    literal
}
