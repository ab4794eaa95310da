//! A table's shape as it travels: JSON text in the topic `list_sync.tables`, and its id in the header `shape`
//! of each message.
//!
//! A message names the columns that it carries, which need not be all: an update leaves out large values that
//! did not change, a delete has the replica identity alone. The shape says which columns the table has, which
//! are its key, and which an old row is named by. The id is a hash of the text, so that equal shapes have one
//! id in every process and at every start, and another text cannot pass for it.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::Options;
use super::shape::COLUMNS_MAX;
use crate::change::{Column, Table};
use crate::{Code, Error, Result, hex};

/// The id of a shape: the first 16 hexadecimal digits of the text's SHA-256.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ShapeId([u8; Self::DIGITS]);

impl ShapeId {
    /// The record header that carries it.
    pub const HEADER: &str = "shape";
    /// Its length.
    pub const DIGITS: usize = 16;

    /// Of the text of a shape.
    pub fn of(text: &str) -> Self {
        let mut digits = [0; Self::DIGITS];
        for (pair, byte) in digits.chunks_exact_mut(2).zip(Sha256::digest(text)) {
            pair.copy_from_slice(&hex::pair(byte));
        }
        Self(digits)
    }

    /// Of a header or a key; `None` if it is none.
    #[inline]
    pub fn from_digits(digits: &[u8]) -> Option<Self> {
        let digits: [u8; Self::DIGITS] = digits.try_into().ok()?;
        let (halves, _) = digits.as_chunks::<8>();
        halves.iter().all(|half| hex::number(*half).is_some()).then_some(Self(digits))
    }

    /// As it is sent.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for ShapeId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&String::from_utf8_lossy(&self.0))
    }
}

impl fmt::Debug for ShapeId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "ShapeId({self})")
    }
}

/// The text's layout.
#[derive(Serialize, Deserialize)]
struct Text {
    /// Of this layout; another one is refused.
    v: u32,
    schema: String,
    table: String,
    columns: Vec<ColumnText>,
    /// Names of the primary key's columns, in the table's order.
    pk: Vec<String>,
}

#[derive(Serialize, Deserialize)]
struct ColumnText {
    name: String,
    #[serde(rename = "type")]
    type_name: String,
    /// Whether old rows are named by it.
    identity: bool,
}

const VERSION: u32 = 1;

/// The text of a table's shape, as messages written with these options carry it: a cut identity names old
/// rows by the key alone.
pub fn shape_text(table: &Table, options: Options) -> Result<String> {
    let key_only = options.identity_key_only && !table.key.is_empty();
    let column = |(place, column): (usize, &Column)| ColumnText {
        name: column.name.clone(),
        type_name: column.type_name.clone(),
        identity: if key_only { table.key.contains(&place) } else { column.identity },
    };
    let pk = table
        .key
        .iter()
        .filter_map(|&place| table.columns.get(place))
        .map(|column| column.name.clone())
        .collect();
    let columns = table.columns.iter().enumerate().map(column).collect();
    let text = Text { v: VERSION, schema: table.schema.clone(), table: table.name.clone(), columns, pk };
    serde_json::to_string(&text)
        .map_err(|cause| Error::stop(Code::Internal, "the shape of a table cannot be written").cause(cause))
}

/// The table that a text describes. Another layout, or no such text, is a `Stop`.
pub fn shape_of_text(text: &[u8]) -> Result<Table> {
    let fail = |reason: String| {
        Error::stop(
            Code::ShapeUnknown,
            format!("a table's shape in topic \"list_sync.tables\" cannot be read: {reason}"),
        )
        .hint("was it written by a newer list_sync? upgrade this one")
    };
    let Text { v, schema, table: name, columns, pk } =
        serde_json::from_slice(text).map_err(|cause| fail(cause.to_string()))?;
    if v != VERSION {
        return Err(fail(format!("layout {v}")));
    }
    if columns.len() > COLUMNS_MAX {
        return Err(fail(format!("it has {} columns", columns.len())));
    }
    let names: BTreeSet<&String> = columns.iter().map(|column| &column.name).collect();
    if names.len() < columns.len() || pk.iter().collect::<BTreeSet<_>>().len() < pk.len() {
        return Err(fail("it names a column twice".to_owned()));
    }
    let place = |name: &String| columns.iter().position(|column| column.name == *name);
    let key = pk
        .iter()
        .map(place)
        .collect::<Option<Vec<_>>>()
        .ok_or_else(|| fail("its key is in no column".to_owned()))?;
    let columns = columns.into_iter().map(|column| Column {
        name: column.name,
        type_name: column.type_name,
        identity: column.identity,
    });
    Ok(Table { schema, name, columns: columns.collect(), key })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let column = |name: &str, identity| Column { name: name.into(), type_name: "text".into(), identity };
        Table {
            schema: "öffentlich".into(),
            name: "a\"b".into(),
            columns: vec![column("id", true), column("note", true)],
            key: vec![0],
        }
    }

    #[test]
    fn a_shape_survives_and_its_id_is_that_of_its_text() {
        let text = shape_text(&table(), Options::default()).unwrap();
        assert_eq!(shape_of_text(text.as_bytes()).unwrap(), table());
        let id = ShapeId::of(&text);
        assert_eq!(ShapeId::from_digits(id.as_bytes()), Some(id));
        let other = Table { name: "b".into(), ..table() };
        assert_ne!(ShapeId::of(&shape_text(&other, Options::default()).unwrap()), id);
        // Fixed for ever: other processes, and older messages, have it in their headers.
        let plain = r#"{"v":1,"schema":"s","table":"t","columns":[{"name":"id","type":"bigint","identity":true}],"pk":["id"]}"#;
        assert_eq!(shape_text(&shape_of_text(plain.as_bytes()).unwrap(), Options::default()).unwrap(), plain);
        assert_eq!(ShapeId::of(plain).to_string(), "ce9bc7dbc988efaa");
    }

    #[test]
    fn a_cut_identity_is_the_key() {
        let options = Options { identity_key_only: true, ..Options::default() };
        let read = |table: &Table| shape_of_text(shape_text(table, options).unwrap().as_bytes()).unwrap();
        let flags = |table: Table| table.columns.iter().map(|column| column.identity).collect::<Vec<_>>();
        assert_eq!(flags(read(&table())), [true, false]);
        assert_eq!(
            flags(read(&Table { key: Vec::new(), ..table() })),
            [true, true],
            "without a key nothing is cut"
        );
    }

    #[test]
    fn what_is_no_shape_is_refused() {
        for bad in ["", "{}", "[]", r#"{"v":2,"schema":"","table":"t","columns":[],"pk":[]}"#] {
            assert!(shape_of_text(bad.as_bytes()).is_err(), "{bad}");
        }
        let refused = |columns: &str, pk: &str, reason: &str| {
            let text = format!(r#"{{"v":1,"schema":"","table":"t","columns":[{columns}],"pk":[{pk}]}}"#);
            let error = shape_of_text(text.as_bytes()).unwrap_err();
            assert!(error.to_string().contains(reason), "{error}");
        };
        let column = r#"{"name":"id","type":"","identity":true}"#;
        refused("", r#""id""#, "in no column");
        refused(&[column; 2].join(","), "", "twice");
        refused(column, r#""id","id""#, "twice");
        refused(&vec![column; COLUMNS_MAX + 1].join(","), "", "4097 columns");
        for bad in ["", "0123456789abcde", "0123456789abcdeF", "0123456789abcdef0"] {
            assert_eq!(ShapeId::from_digits(bad.as_bytes()), None, "{bad}");
        }
    }
}
