//! The comparison against a pretended database and pretended files.

use std::sync::Arc;

use super::*;
use crate::change::{Column, Operation, Position, RowHead, Table, Transaction};
use crate::source::Tables;

/// Rows (id, name) in batches of one.
struct Pretended(Vec<(&'static str, Option<&'static str>)>);

impl Database for Pretended {
    fn execute(&mut self, _: &str) -> Result<u64> {
        Ok(0)
    }

    fn query(&mut self, _: &str) -> Result<Vec<Vec<Option<String>>>> {
        Ok(Vec::new())
    }

    fn scan(&mut self, schema: &str, table: &str, each: &mut dyn FnMut(&Batch) -> Result<()>) -> Result<()> {
        let column = |name: &str| Column { name: name.into(), type_name: String::new(), identity: true };
        let columns = vec![column("name"), column("id")];
        let table = Arc::new(Table { schema: schema.into(), name: table.into(), columns, key: vec![1] });
        let mut position = Position::START;
        for (id, name) in &self.0 {
            let mut batch = Batch::default();
            let head = RowHead {
                operation: Operation::Insert,
                table: batch.add_table(&table),
                transaction: batch.add_transaction(Transaction::default()),
                lsn: 0,
            };
            let columns = batch.mark();
            batch.add_cell(if name.is_some() { Kind::Text } else { Kind::Null }, name.unwrap_or_default().as_bytes());
            batch.add_cell(Kind::Literal, id.as_bytes());
            let identity = batch.mark();
            batch.push(head, columns, identity, &mut position);
            each(&batch)?;
        }
        Ok(())
    }

    fn tables(&mut self, _: &Tables) -> Result<Vec<(String, String)>> {
        Ok(Vec::new())
    }
}

/// Rows (id, name) of the files, and a column that the table no longer has.
#[derive(Default)]
struct Files(BTreeMap<Key, Values>, Vec<String>);

impl Files {
    fn of(rows: &[(&str, Option<&str>)]) -> Self {
        let bytes = |text: &str| text.as_bytes().to_vec();
        let row = |(id, name): &(&str, Option<&str>)| {
            let values = [("id", Some(bytes(id))), ("name", name.map(bytes)), ("dropped", None)];
            (vec![bytes(id)], values.map(|(column, value)| (column.to_owned(), value)).into())
        };
        Self(rows.iter().map(row).collect(), Vec::new())
    }
}

impl Folded for Files {
    fn take(&mut self, key: &[Vec<u8>]) -> Option<Values> {
        self.0.remove(key)
    }

    fn remaining(&self) -> Vec<Key> {
        self.0.keys().cloned().collect()
    }

    fn problems(&self) -> Vec<String> {
        self.1.clone()
    }
}

fn proof(table: &[(&'static str, Option<&'static str>)], mut files: Files) -> Proof {
    let name = ("public".to_owned(), "test".to_owned());
    compare(&mut Pretended(table.to_vec()), name, &["id".to_owned()], &mut files).unwrap()
}

#[test]
fn equal_is_equal_and_null_is_not_the_empty_string() {
    let rows = [("1", Some("a")), ("2", None), ("3", Some(""))];
    let equal = proof(&rows, Files::of(&rows));
    assert!(equal.is_equal() && equal.rows == 3);
    let other = proof(&rows, Files::of(&[("1", Some("a")), ("2", Some("")), ("3", None)]));
    assert_eq!((other.is_equal(), other.different.count, other.different.keys.join(",")), (false, 2, "2,3".to_owned()));
}

#[test]
fn each_row_that_is_not_on_both_sides_is_told_by_its_key() {
    let found = proof(&[("1", None), ("2", None)], Files::of(&[("2", None), ("7", None)]));
    assert_eq!((found.missing.keys.join(","), found.extra.keys.join(","), found.different.count), ("1".to_owned(), "7".to_owned(), 0));
    let many: Vec<_> = ["1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "12"].into_iter().map(|id| (id, None)).collect();
    let found = proof(&many, Files::default());
    assert_eq!((found.missing.count, found.missing.keys.len()), (12, KEYS_TOLD));
}

#[test]
fn broken_files_are_never_equal() {
    let files = Files(BTreeMap::new(), vec!["a line is torn".to_owned()]);
    let found = proof(&[], files);
    assert!(!found.is_equal() && found.rows == 0);
    assert!(!Proof { keyless: true, ..Proof::default() }.is_equal());
}

#[test]
fn keys_of_several_columns_stand_in_parentheses() {
    let mut found = Found::default();
    found.add(&[b"1".to_vec(), b"x".to_vec()]);
    assert_eq!(found.keys, ["(1, x)"]);
}
