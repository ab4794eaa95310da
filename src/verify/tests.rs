//! The comparison of a pretended database with real files.

use std::path::PathBuf;
use std::sync::Arc;

use super::*;
use crate::change::{Column, Operation, Position, RowHead, Transaction};
use crate::sink::csv;
use crate::source::Tables;

const FOLD: FoldFn = crate::sink::KINDS[0].fold.unwrap();

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
            batch.add_cell(
                if name.is_some() { CellKind::Text } else { CellKind::Null },
                name.unwrap_or_default().as_bytes(),
            );
            batch.add_cell(CellKind::Literal, id.as_bytes());
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

/// Files with these lines below their headers, in a folder of the test's own.
fn files(test: &str, inserts: &[&str], deletes: &[&str]) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("list_sync_verify_{}_{test}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    for (side, lines) in [("insert", inserts), ("delete", deletes)] {
        let lines: Vec<_> = std::iter::once(&"action,table,id,name,dropped")
            .chain(lines)
            .map(|line| format!("{line}\n"))
            .collect();
        std::fs::write(folder.join(format!("test_{side}.csv")), lines.concat()).unwrap();
    }
    folder.join("test")
}

fn proof_by(
    key: &[&str],
    test: &str,
    table: &[(&'static str, Option<&'static str>)],
    inserts: &[&str],
    deletes: &[&str],
) -> Proof {
    let stem = files(test, inserts, deletes);
    let key = key.iter().map(|name| (*name).to_owned()).collect();
    let columns = vec!["name".to_owned(), "id".to_owned()];
    let asked = Proof { schema: "public".into(), table: "test".into(), key, columns, ..Proof::default() };
    let proof = prove(&mut Pretended(table.to_vec()), asked, &stem, csv::UNCHANGED, FOLD).unwrap();
    std::fs::remove_dir_all(stem.parent().unwrap()).unwrap();
    proof
}

#[test]
fn equal_is_equal_and_null_is_not_the_empty_string() {
    let table = [("1", Some("a,b")), ("2", None), ("3", Some(""))];
    let equal =
        proof_by(&["id"], "equal", &table, &["I,test,1,\"a,b\",", "I,test,2,,", "I,test,3,\"\","], &[]);
    assert!(equal.is_equal() && equal.rows == 3, "{equal:?}");
    let other =
        proof_by(&["id"], "null", &table, &["I,test,1,\"a,b\",", "I,test,2,\"\",", "I,test,3,,"], &[]);
    assert_eq!(
        (other.is_equal(), other.different.count, other.different.keys.join(",")),
        (false, 2, "2,3".to_owned())
    );
    assert_eq!(other.differences[0], "key 2: column \"name\" is NULL in the table, and in the files \"\"");
}

#[test]
fn each_row_that_is_not_on_both_sides_is_told_by_its_key() {
    let table = [("1", None), ("2", None)];
    let found =
        proof_by(&["id"], "sides", &table, &["I,test,2,,", "I,test,7,,", "I,test,8,,"], &["D,test,8,,"]);
    assert_eq!(
        (found.missing.keys.join(","), found.extra.keys.join(","), found.different.count),
        ("1".to_owned(), "7".to_owned(), 0)
    );
    let many = ["1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "12"].map(|id| (id, None));
    let found = proof_by(&["id"], "many", &many, &[], &[]);
    assert_eq!((found.missing.count, found.missing.keys.len()), (12, KEYS_TOLD));
}

#[test]
fn a_row_that_stands_twice_in_the_files_is_a_problem() {
    let found = proof_by(&["id"], "twice", &[("1", None)], &["I,test,1,,", "I,test,1,,"], &[]);
    assert!(!found.is_equal() && found.problems.len() == 1, "{found:?}");
}

#[test]
fn keys_of_several_columns_stand_in_parentheses() {
    let found = proof_by(&["id", "name"], "several", &[("1", Some("x"))], &[], &[]);
    assert_eq!(found.missing.keys, ["(1, x)"]);
}

#[test]
fn no_files_at_all_are_an_empty_table() {
    let asked = Proof { table: "test".into(), key: vec!["id".into()], ..Proof::default() };
    let found = prove(&mut Pretended(vec![]), asked, Path::new("/nowhere/at/all"), "", FOLD).unwrap();
    assert!(found.is_equal());
}

/// The files have a column `dropped` that the table has no more, and rows from before a column was added have
/// none of it.
#[test]
fn without_a_key_the_columns_of_now_count() {
    let table = [("1", Some("a")), ("1", Some("a")), ("2", None)];
    let found = proof_by(
        &[],
        "keyless",
        &table,
        &["I,test,1,a,x", "I,test,1,a,", "I,test,2,,y", "I,test,3,,z"],
        &["D,test,3,,"],
    );
    assert!(found.is_equal() && found.rows == 3, "{found:?}");
    let found = proof_by(&[], "keyless_other", &table, &["I,test,1,a,x", "I,test,2,,y"], &[]);
    assert_eq!((found.missing.count, found.extra.count), (1, 0));
}

/// What stands for a value that was not sent is no value, unless it is in quotes.
#[test]
fn the_text_of_the_placeholder_may_be_a_value() {
    let table = [("1", Some(csv::UNCHANGED))];
    let quoted = proof_by(&["id"], "quoted", &table, &["I,test,1,\"__list_sync_unchanged__\","], &[]);
    assert!(quoted.is_equal(), "{quoted:?}");
    let bare = proof_by(&["id"], "bare", &table, &["I,test,1,__list_sync_unchanged__,"], &[]);
    assert_eq!(
        bare.differences,
        ["key 1: column \"name\" is \"__list_sync_unchanged__\" in the table, and in the files not \
             known: the database did not send it, and no \
          row before holds it"]
    );
}

#[test]
fn a_key_that_the_files_do_not_have_is_said_once_a_file() {
    let found = proof_by(&["other"], "moved", &[], &["I,test,1,a,", "I,test,2,b,"], &[]);
    assert_eq!(found.problems.len(), 1);
    assert!(
        found.problems[0].contains("has no column \"other\", which is in the table's key now"),
        "{:?}",
        found.problems
    );
}
