//! Statements in the log: which are carried, which pass, which stop the source; and transactions that are
//! taken back.

use super::super::super::{Database as _, Snapshot, Source as _};
use super::{Bench, both, is_mariadb, read_all, read_failure};
use crate::error::ErrorKind;

const COLUMNS: &str = "id INT PRIMARY KEY, v VARCHAR(200)";
const PARTITIONED: &str = "id INT PRIMARY KEY) PARTITION BY RANGE (id) (PARTITION p0 VALUES LESS THAN (10), \
    PARTITION p1 VALUES LESS THAN (20)";

/// The statement stops its source, and the hint's way out leads past it.
fn check_refused(name: &str, columns: &str, before: &[&str], statement: &str, said: &str) {
    for address in both() {
        let mut bench = Bench::new(&address, name, columns);
        bench.run("DROP TABLE IF EXISTS {t}_other");
        for statement in before {
            bench.run(statement);
        }
        let mut source = bench.source(Snapshot::Never);
        let start = source.start(None).unwrap();
        bench.run(statement);
        let (_, error) = read_failure(&mut source);
        assert!(
            error.kind() == ErrorKind::Stop && error.to_string().contains(said),
            "{} {error}",
            address.dialect.product()
        );
        let left_out = format!("!{}.{}", address.database, bench.table);
        assert!(error.hint_text().unwrap().contains(&left_out), "{:?}", error.hint_text());
        bench.run("SET SESSION binlog_format = ROW");
        bench.run("DROP TABLE IF EXISTS {t}_other");
        let mut left = bench.source_of(&["my_live_other", &left_out]);
        left.start(Some(&start)).unwrap();
        read_all(&mut left);
    }
}

#[test]
fn live_partitions_emptied_without_rows_stop_the_source() {
    let check =
        |name, before: &[&str], statement, said| check_refused(name, PARTITIONED, before, statement, said);
    check("cut", &[], "ALTER TABLE {t} TRUNCATE PARTITION p0", "TRUNCATE PARTITION changed rows of table");
    check("cut", &[], "ALTER TABLE {t} DROP PARTITION p1", "DROP PARTITION changed rows of table");
    let other = ["CREATE TABLE {t}_other (id INT PRIMARY KEY)", "INSERT INTO {t}_other VALUES (1)"];
    check(
        "cut",
        &other,
        "ALTER TABLE {t} EXCHANGE PARTITION p0 WITH TABLE {t}_other",
        "PARTITION changed rows of table",
    );
}

#[test]
fn live_statements_instead_of_rows_stop_the_source() {
    let by_statement = ["SET SESSION binlog_format = STATEMENT"];
    for (statement, said) in [
        ("INSERT INTO {t} VALUES (1, 'a')", "INSERT changed rows of table"),
        ("/* c */ UPDATE {t} SET v = 'b'", "UPDATE changed rows of table"),
        ("DELETE a FROM {t} AS a JOIN {t} AS b USING (id)", "DELETE changed rows of table"),
    ] {
        check_refused("stated", COLUMNS, &by_statement, statement, said);
    }
}

#[test]
fn live_functions_called_by_statement_stop_the_source() {
    for mut address in both() {
        // Its own database: a call is known by the databases that it may have changed.
        super::open(&address).unwrap().execute("CREATE DATABASE IF NOT EXISTS my_live_calls").unwrap();
        address.database = "my_live_calls".into();
        let mut bench = Bench::new(&address, "called", COLUMNS);
        bench.run("DROP FUNCTION IF EXISTS {t}_f");
        bench.run(
            "CREATE FUNCTION {t}_f() RETURNS INT DETERMINISTIC MODIFIES SQL DATA BEGIN INSERT INTO {t} \
             VALUES (1, 'f'); RETURN 1; END",
        );
        let mut source = bench.source(Snapshot::Never);
        source.start(None).unwrap();
        bench.run("SET SESSION binlog_format = STATEMENT");
        bench.database.query(&format!("SELECT {}_f()", bench.table)).unwrap();
        let (_, error) = read_failure(&mut source);
        assert!(error.to_string().contains("a stored function may have changed captured rows"), "{error}");
        bench.run("DROP DATABASE my_live_calls");
    }
}

#[test]
fn live_all_partitions_emptied_are_a_truncate() {
    for address in both() {
        let mut bench = Bench::new(&address, "cut_all", PARTITIONED);
        let mut source = bench.source(Snapshot::Never);
        source.start(None).unwrap();
        bench.run("ALTER TABLE {t} TRUNCATE PARTITION ALL");
        bench.run("INSERT INTO {t} VALUES (1)");
        if is_mariadb(&address) {
            bench.run("CREATE OR REPLACE TABLE {t} (id INT PRIMARY KEY)");
        }
        let expected = ["Truncate  <- ", "Insert 1 <- ", "Truncate  <- "];
        assert_eq!(read_all(&mut source).0, expected[..if is_mariadb(&address) { 3 } else { 2 }]);
    }
}

/// Nothing here touches the captured table, whatever the statements' texts say.
#[test]
fn live_statements_on_other_tables_pass() {
    for address in both() {
        let mut bench = Bench::new(&address, "passed", COLUMNS);
        let mut log = Bench::new(&address, "passing", "id INT PRIMARY KEY, v VARCHAR(200)");
        let mut source = bench.source(Snapshot::Never);
        source.start(None).unwrap();
        bench.run("INSERT INTO {t} VALUES (1, 'a')");
        log.run("SET SESSION binlog_format = STATEMENT");
        log.run("INSERT INTO {t} VALUES (1, 'exampledb.my_live_passed is mentioned')");
        log.run("REPLACE INTO {t} SELECT * FROM my_live_passed");
        log.run(
            "UPDATE {t} SET v = 'INSERT INTO my_live_passed VALUES (1)' WHERE id IN (SELECT id FROM \
            my_live_passed)",
        );
        log.run("CREATE TEMPORARY TABLE my_live_passed (id INT)");
        log.run("INSERT INTO my_live_passed VALUES (2)");
        log.run("TRUNCATE TABLE my_live_passed");
        log.run("DROP TEMPORARY TABLE my_live_passed");
        log.run("SET SESSION binlog_format = ROW");
        if !is_mariadb(&address) {
            log.run("ALTER TABLE {t} ADD j JSON");
            log.run("SET SESSION binlog_row_value_options = PARTIAL_JSON");
            log.run("UPDATE {t} SET j = '{\"a\": \"b\", \"c\": \"dddddddddddddddddddddddd\"}'");
            log.run("UPDATE {t} SET j = JSON_SET(j, '$.a', 'x')");
        }
        bench.run("INSERT INTO {t} VALUES (2, 'b')");
        assert_eq!(
            read_all(&mut source).0,
            ["Insert 1|\"a\" <- ", "Insert 2|\"b\" <- "],
            "{}",
            address.dialect.product()
        );
    }
}

#[test]
fn live_partial_json_of_a_captured_table_stops_the_source() {
    let before = [
        "INSERT INTO {t} VALUES (1, '{\"a\": \"b\", \"c\": \"dddddddddddddddddddddd\"}')",
        "SET SESSION binlog_row_value_options = PARTIAL_JSON",
    ];
    let [mysql, _] = both();
    let mut bench = Bench::new(&mysql, "partial", "id INT PRIMARY KEY, j JSON");
    for statement in before {
        bench.run(statement);
    }
    let mut source = bench.source(Snapshot::Never);
    source.start(None).unwrap();
    bench.run("UPDATE {t} SET j = JSON_SET(j, '$.a', 'x')");
    let (_, error) = read_failure(&mut source);
    assert!(
        error.to_string().contains("partial JSON update of table \"exampledb.my_live_partial\""),
        "{error}"
    );
}

/// The character set of a statement is that of its client.
#[test]
fn live_a_truncate_in_latin1_names_its_table() {
    for address in both() {
        let mut bench = Bench::new(&address, "größe", COLUMNS);
        let mut source = bench.source(Snapshot::Never);
        source.start(None).unwrap();
        bench.run("SET @statement = 'TRUNCATE TABLE {t}'");
        bench.run("SET NAMES latin1");
        bench.run("PREPARE it FROM @statement");
        bench.run("EXECUTE it");
        assert_eq!(read_all(&mut source).0, ["Truncate  <- "], "{}", address.dialect.product());
        bench.run("SET NAMES utf8mb4");
    }
}

/// A temporary table in a transaction lets MariaDB log what was rolled back.
#[test]
fn live_rows_that_are_rolled_back_do_not_leave() {
    for address in both() {
        let mut bench = Bench::new(&address, "rolled_back", COLUMNS);
        let mut source = bench.source(Snapshot::Never);
        source.start(None).unwrap();
        for statement in [
            "CREATE TEMPORARY TABLE temporary_1 (id INT)",
            "START TRANSACTION",
            "INSERT INTO {t} VALUES (1, 'gone')",
            "DROP TEMPORARY TABLE temporary_1",
            "ROLLBACK",
            "START TRANSACTION",
            "INSERT INTO {t} VALUES (2, 'kept')",
            "SAVEPOINT `a b`",
            "CREATE TEMPORARY TABLE temporary_1 (id INT)",
            "INSERT INTO {t} VALUES (3, 'gone')",
            "DROP TEMPORARY TABLE temporary_1",
            "ROLLBACK TO `A B`",
            "INSERT INTO {t} VALUES (4, 'kept')",
            "COMMIT",
        ] {
            bench.run(statement);
        }
        let expected = ["Insert 2|\"kept\" <- ", "Insert 4|\"kept\" <- "];
        assert_eq!(read_all(&mut source).0, expected, "{}", address.dialect.product());
    }
}

/// A transaction larger than the memory it is held in comes out whole, and its savepoint cuts what lies on
/// disk.
#[test]
fn live_a_large_transaction_waits_on_disk() {
    let [_, mariadb] = both();
    let mut bench = Bench::new(&mariadb, "on_disk", "id INT PRIMARY KEY AUTO_INCREMENT, v LONGTEXT");
    let mut source = bench.source(Snapshot::Never);
    source.start(None).unwrap();
    for statement in [
        "CREATE TEMPORARY TABLE temporary_2 (id INT)",
        "START TRANSACTION",
        "INSERT INTO {t} (v) SELECT REPEAT(CHAR(96 + seq), 10000000) FROM seq_1_to_5",
        "SAVEPOINT s",
        "INSERT INTO {t} (v) SELECT 'gone' FROM seq_1_to_3",
        "DROP TEMPORARY TABLE temporary_2",
        "ROLLBACK TO s",
        "INSERT INTO {t} VALUES (9, 'kept')",
        "COMMIT",
    ] {
        bench.run(statement);
    }
    let (rows, _, _) = read_all(&mut source);
    let lengths: Vec<_> = rows.iter().map(|row| row.len() / 1000).collect();
    assert_eq!(lengths, [10_000, 10_000, 10_000, 10_000, 10_000, 0]);
    assert!(rows[4].starts_with("Insert 5|\"eee") && rows[5] == "Insert 9|\"kept\" <- ", "{}", &rows[5]);
}
