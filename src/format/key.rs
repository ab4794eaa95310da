//! The key of a message, which decides its partition: all changes of one row stay in one partition, in order.

use serde_json::Value;

use super::json::write_value;
use crate::change::{Batch, CellKind, Key, Operation, Row, Table};

/// How the rows of one table get their key: one key column: its text; several: a JSON array of their values,
/// in the table's column order (the order that every source and wal2json can tell); no primary key, and every
/// truncate: the qualified table name.
#[derive(Debug, Clone)]
pub struct KeyRule {
    columns: Vec<usize>,
    name: Vec<u8>,
}

impl KeyRule {
    /// The rule of a table.
    pub fn of(table: &Table) -> Self {
        let mut columns = table.key.clone();
        columns.sort_unstable();
        Self { columns, name: table.qualified_name().into_bytes() }
    }

    /// Appends the key of a row of this table: from the old row for deletes, else from the new one, and from
    /// the other where a value was not sent.
    pub fn write(&self, batch: &Batch, row: &Row, out: &mut Vec<u8>) {
        if self.columns.is_empty() || row.operation == Operation::Truncate {
            out.extend_from_slice(&self.name);
            return;
        }
        let (first, second) = match row.operation {
            Operation::Delete => (batch.identity(row), batch.columns(row)),
            _ => (batch.columns(row), batch.identity(row)),
        };
        let cell = |place: usize| {
            first.get(place).filter(|cell| cell.kind != CellKind::Missing).or(second.get(place))
        };
        if let [place] = self.columns[..] {
            out.extend_from_slice(cell(place).map_or(b"", |cell| batch.text(cell)));
            return;
        }
        for (index, &place) in self.columns.iter().enumerate() {
            out.push(if index == 0 { b'[' } else { b',' });
            match cell(place) {
                Some(cell) => write_value(batch, cell, out),
                None => out.extend_from_slice(b"null"),
            }
        }
        out.push(b']');
    }
}

/// The texts of a key's `width` columns, in the table's column order, of what [`KeyRule::write`] wrote;
/// `None` where that cannot be said, as with fractions.
pub fn key_of_message(key: &str, width: usize) -> Option<Key> {
    if width == 1 {
        return Some(vec![key.to_owned()]);
    }
    let values: Vec<Value> = serde_json::from_str(key).ok()?;
    let text = |value: Value| match value {
        Value::String(text) => Some(text),
        Value::Number(number) if !number.is_f64() => Some(number.to_string()),
        Value::Bool(value) => Some(value.to_string()),
        _ => None,
    };
    let texts: Option<Key> = values.into_iter().map(text).collect();
    texts.filter(|texts| texts.len() == width)
}

#[cfg(test)]
mod tests {
    use super::{KeyRule, key_of_message};
    use crate::change::{Batch, CellKind, Column, Operation, Position, RowHead, Table, Transaction};
    use std::sync::Arc;

    fn keys(key: &[usize]) -> Vec<String> {
        let column = |name: &str| Column { name: name.into(), type_name: String::new(), identity: false };
        let columns = ["a", "b", "c"].map(column).to_vec();
        let table = Arc::new(Table { schema: "s".into(), name: "t".into(), columns, key: key.to_vec() });
        let mut batch = Batch::default();
        let (index, transaction) = (batch.add_table(&table), batch.add_transaction(Transaction::default()));
        let new = [(CellKind::Literal, "1"), (CellKind::Text, "x\"y"), (CellKind::Null, "")];
        let old = [(CellKind::Literal, "2"), (CellKind::Missing, ""), (CellKind::Missing, "")];
        for operation in [Operation::Insert, Operation::Update, Operation::Delete, Operation::Truncate] {
            let columns = batch.mark();
            if matches!(operation, Operation::Insert | Operation::Update) {
                for (kind, text) in &new {
                    batch.add_cell(*kind, text.as_bytes());
                }
            }
            let identity = batch.mark();
            if matches!(operation, Operation::Delete | Operation::Update) {
                for (kind, text) in &old {
                    batch.add_cell(*kind, text.as_bytes());
                }
            }
            batch.push_one(
                RowHead { operation, table: index, transaction, lsn: 0 },
                columns,
                identity,
                Position::START,
            );
        }
        let rule = KeyRule::of(&table);
        let key = |row| {
            let mut out = Vec::new();
            rule.write(&batch, row, &mut out);
            String::from_utf8(out).unwrap()
        };
        batch.rows().iter().map(key).collect()
    }

    #[test]
    fn the_rule() {
        assert_eq!(keys(&[]), ["s.t"; 4]);
        assert_eq!(keys(&[0]), ["1", "1", "2", "s.t"]);
        assert_eq!(keys(&[1, 0]), [r#"[1,"x\"y"]"#, r#"[1,"x\"y"]"#, "[2,null]", "s.t"]);
        assert_eq!(key_of_message(&keys(&[0])[0], 1), Some(vec!["1".to_owned()]));
        assert_eq!(key_of_message(&keys(&[1, 0])[0], 2), Some(vec!["1".to_owned(), "x\"y".to_owned()]));
        assert_eq!(key_of_message("[1.50,2]", 2), None, "1.50 would become 1.5");
    }
}
