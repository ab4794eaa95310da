//! From a `TABLE_MAP` event to what rows are decoded with: a `Table` and one encoding a column.

use std::sync::Arc;

use super::super::Dialect;
use super::catalog::{Catalog, CatalogColumn, with_identity};
use super::charsets::BINARY;
use super::hidden::Hidden;
use super::table_map::{MappedColumn, TableMap, TableName, column_type as t};
use super::values::Encoding;
use super::values::charset::Charset;
use crate::change::{Column, Table};
use crate::error::ErrorKind;
use crate::{Code, Error, Result};

/// A table's form at one place of the log.
#[derive(Debug)]
pub(super) struct Shape {
    pub table: Arc<Table>,
    /// One a column of the log, hidden ones too.
    pub encodings: Vec<Encoding>,
    /// MariaDB: what of it is not the user's.
    pub hidden: Option<Hidden>,
}

/// Builds the shape; stops at a column whose type is not known.
pub(super) fn build(name: &TableName, map: &TableMap, catalog: &mut Catalog) -> Result<Shape> {
    let qualified = format!("{}.{}", name.schema, name.name);
    if !map.has_names {
        return Err(no_names(&qualified, catalog.address.dialect));
    }
    let plugin_types = plugin_types(name, map, catalog)?;
    let mariadb = catalog.address.dialect == Dialect::Mariadb;
    let hidden = if mariadb { Hidden::find(name, map, catalog)? } else { None };
    let is_left_out =
        |place: usize| hidden.as_ref().is_some_and(|hidden| hidden.left_out.get(place) == Some(&true));
    let is_row_end = |place: usize| hidden.as_ref().is_some_and(|hidden| hidden.row_end == Some(place));
    let (mut columns, mut encodings) = (Vec::new(), Vec::new());
    for (place, column) in map.columns.iter().enumerate() {
        let (encoding, type_name) = match plugin_types.get(place).map(String::as_str) {
            Some("uuid") => (Encoding::Uuid, "uuid".to_owned()),
            Some("inet6") => (Encoding::Inet { bytes: 16 }, "inet6".to_owned()),
            Some("inet4") => (Encoding::Inet { bytes: 4 }, "inet4".to_owned()),
            _ => encoding(column, catalog).map_err(|error| leave_out(error, &column.name, &qualified))?,
        };
        encodings.push(encoding);
        if !is_left_out(place) {
            columns.push(Column { name: column.name.clone(), type_name, identity: false });
        }
    }
    // MariaDB adds the end of a row to the key of a versioned table.
    let key = map.key.iter().filter(|&&place| !is_left_out(place) && !is_row_end(place));
    let key = key.map(|&place| place - (0..place).filter(|&before| is_left_out(before)).count()).collect();
    let table = Table { schema: name.schema.to_owned(), name: name.name.to_owned(), columns, key };
    Ok(Shape { table: Arc::new(with_identity(table)), encodings, hidden })
}

/// MariaDB's UUID and INET look like BINARY(16) and BINARY(4) in the log: the catalog tells them apart. Empty
/// where nothing is to be told.
///
/// The catalog is today's. A column that it does not have under this name is looked up at its place, as after
/// a rename. What it cannot tell is printed as BINARY, and the log says so.
fn plugin_types(name: &TableName, map: &TableMap, catalog: &mut Catalog) -> Result<Vec<String>> {
    let ambiguous = |column: &MappedColumn| {
        column.kind == t::STRING && matches!(column.meta, 4 | 16) && column.collation == Some(BINARY)
    };
    if catalog.address.dialect != Dialect::Mariadb || !map.columns.iter().any(ambiguous) {
        return Ok(Vec::new());
    }
    let known = catalog.columns(name.schema, name.name)?;
    let is_new = |now: &CatalogColumn| !map.columns.iter().any(|column| column.name == now.name);
    let types = map.columns.iter().enumerate().map(|(place, column)| {
        if !ambiguous(column) {
            return String::new();
        }
        let named = known.iter().find(|now| now.name == column.name);
        let renamed = known.get(place).filter(|now| known.len() == map.columns.len() && is_new(now));
        let now = named.or(renamed).filter(|now| is_stored_so(column, &now.data_type));
        if named.is_none() || now.is_none() {
            let (table, column) = (format!("{}.{}", name.schema, name.name), &column.name);
            let taken_for = now.map_or("binary", |now| now.data_type.as_str());
            tracing::warn!(
                table,
                column,
                taken_for,
                "the column was changed, renamed or dropped after these rows were logged, and the log does \
                 not tell BINARY, UUID and INET apart"
            );
        }
        now.map(|now| now.data_type.clone()).unwrap_or_default()
    });
    Ok(types.collect())
}

/// Whether a column of today's type lies in the log as this one does.
fn is_stored_so(column: &MappedColumn, data_type: &str) -> bool {
    match data_type {
        "uuid" | "inet6" => column.meta == 16,
        "inet4" => column.meta == 4,
        other => other == "binary",
    }
}

/// The hint that lets the log name its columns.
pub(super) fn metadata_hint(dialect: Dialect) -> &'static str {
    if dialect == Dialect::Mariadb {
        "SET GLOBAL binlog_row_metadata = FULL (and in my.cnf)"
    } else {
        "SET PERSIST binlog_row_metadata = FULL"
    }
}

fn no_names(table: &str, dialect: Dialect) -> Error {
    Error::stop(Code::LogSetting, format!("the binary log does not name the columns of table {table:?}"))
        .hint(format!(
            "leave the table out with \"!{table}\", and the source goes on with the others. To prevent it: \
             {}; what was logged before has no names",
            metadata_hint(dialect)
        ))
}

/// Whatever is changed on the server, what was logged before stays as it is.
fn leave_out(error: Error, column: &str, table: &str) -> Error {
    let leave_out = format!("leave the table out with \"!{table}\", and the source goes on with the others");
    let hint = match error.hint_text() {
        Some(prevention) if error.kind() == ErrorKind::Stop => {
            format!("{leave_out}. To take it in again, before its next changes: {prevention}")
        }
        Some(hint) => hint.to_owned(),
        None => leave_out,
    };
    error.context(format!("column {column:?} of table {table:?}")).hint(hint)
}

fn unsupported(type_name: &str) -> Error {
    Error::stop(Code::TypeUnsupported, format!("type {type_name} is not supported"))
        .hint("change the column's type")
}

/// Encoding and printed type of a column.
pub(super) fn encoding(column: &MappedColumn, catalog: &mut Catalog) -> Result<(Encoding, String)> {
    let sign = if column.unsigned { " unsigned" } else { "" };
    let integer =
        |bytes, name: &str| (Encoding::Integer { bytes, signed: !column.unsigned }, format!("{name}{sign}"));
    let decimals = column.meta.min(6) as u8;
    let timed = |name: &str| if decimals == 0 { name.to_owned() } else { format!("{name}({decimals})") };
    let length_bytes = column.meta.min(8) as u8;
    Ok(match column.kind {
        t::TINY => integer(1, "tinyint"),
        t::SHORT => integer(2, "smallint"),
        t::INT24 => integer(3, "mediumint"),
        t::LONG => integer(4, "int"),
        t::LONGLONG => integer(8, "bigint"),
        t::FLOAT if catalog.address.dialect == Dialect::Mariadb => {
            (Encoding::MariadbFloat, format!("float{sign}"))
        }
        t::FLOAT => (Encoding::Float, format!("float{sign}")),
        t::DOUBLE => (Encoding::Double, format!("double{sign}")),
        t::NEWDECIMAL => {
            let [precision, scale] = column.meta.to_be_bytes();
            (Encoding::Decimal { precision, scale }, format!("decimal({precision},{scale}){sign}"))
        }
        t::YEAR => (Encoding::Year, "year".to_owned()),
        t::DATE => (Encoding::Date, "date".to_owned()),
        t::TIME2 => (Encoding::Time { decimals }, timed("time")),
        t::DATETIME2 => (Encoding::Datetime { decimals }, timed("datetime")),
        t::TIMESTAMP2 => (Encoding::Timestamp { decimals }, timed("timestamp")),
        t::BIT => (Encoding::Bit { width: column.meta }, format!("bit({})", column.meta)),
        t::ENUM | t::SET => labels(column, catalog)?,
        t::VARCHAR | t::VAR_STRING | t::STRING | t::TINY_BLOB..=t::BLOB => characters(column, catalog)?,
        t::JSON => (Encoding::Json { length_bytes }, "json".to_owned()),
        t::GEOMETRY => (Encoding::Geometry { length_bytes }, "geometry".to_owned()),
        t::VECTOR => (Encoding::Vector { length_bytes }, "vector".to_owned()),
        t::TIMESTAMP | t::TIME | t::DATETIME => {
            return Err(Error::stop(
                Code::TypeUnsupported,
                "the column has the format of times before MySQL 5.6, whose precision the log does not tell",
            )
            .hint("ALTER TABLE … FORCE (MariaDB: with mysql56_temporal_format = ON)"));
        }
        t::MARIADB_BLOB_COMPRESSED | t::MARIADB_VARCHAR_COMPRESSED => return Err(unsupported("COMPRESSED")),
        other => return Err(unsupported(&format!("number {other}"))),
    })
}

fn charset(column: &MappedColumn, catalog: &mut Catalog) -> Result<(Option<Charset>, u16)> {
    let Some(collation) = column.collation else {
        return Err(Error::stop(Code::LogSetting, "the binary log does not tell the character set")
            .hint(metadata_hint(catalog.address.dialect)));
    };
    if collation == BINARY {
        return Ok((None, 1));
    }
    let known = catalog.charsets.name(collation).map(|(name, length)| (name.to_owned(), length));
    let (name, length) = known.ok_or_else(|| {
        Error::stop(Code::TypeUnsupported, format!("the server does not know collation {collation}"))
    })?;
    let converter = catalog.converter(&name)?.ok_or_else(|| {
        Error::stop(Code::TypeUnsupported, format!("character set {name:?} is not supported"))
            .hint("ALTER TABLE … CONVERT TO CHARACTER SET utf8mb4")
    })?;
    Ok((Some(converter), length.max(1)))
}

fn characters(column: &MappedColumn, catalog: &mut Catalog) -> Result<(Encoding, String)> {
    let (charset, character_bytes) = charset(column, catalog)?;
    let blob = (t::TINY_BLOB..=t::BLOB).contains(&column.kind);
    let length_bytes = match (blob, column.meta) {
        (true, bytes) => bytes.min(4) as u8,
        (false, 0..256) => 1,
        (false, _) => 2,
    };
    let fixed = column.kind == t::STRING;
    let type_name = match (&charset, blob) {
        (Some(_), false) => {
            format!("{}({})", if fixed { "char" } else { "varchar" }, column.meta / character_bytes)
        }
        (None, false) => format!("{}({})", if fixed { "binary" } else { "varbinary" }, column.meta),
        (text, true) => {
            let size = ["tiny", "", "medium", "long"][usize::from(length_bytes.clamp(1, 4)) - 1];
            format!("{size}{}", if text.is_some() { "text" } else { "blob" })
        }
    };
    let encoding = match charset {
        Some(charset) => Encoding::Text { length_bytes, charset },
        None => Encoding::Bytes { length_bytes, pad_to: if fixed { column.meta } else { 0 } },
    };
    Ok((encoding, type_name))
}

fn labels(column: &MappedColumn, catalog: &mut Catalog) -> Result<(Encoding, String)> {
    let charset = charset(column, catalog)?.0.unwrap_or(Charset::Utf8);
    let labels: Vec<Option<String>> = column.labels.iter().map(|label| charset.text(label).ok()).collect();
    let written = labels
        .iter()
        .map(|label| format!("'{}'", label.as_deref().unwrap_or("\u{fffd}").replace('\'', "''")));
    let written: Vec<String> = written.collect();
    let (labels, bytes) = (labels.into(), column.meta.min(8) as u8);
    Ok(if column.kind == t::ENUM {
        (Encoding::Enum { bytes, labels }, format!("enum({})", written.join(",")))
    } else {
        (Encoding::Set { bytes, labels }, format!("set({})", written.join(",")))
    })
}
