//! What statements in the log mean, and that no text makes the reader of them panic.

use super::super::words::Name;
use super::Statement;
use proptest::prelude::*;

/// `t` or `s.t`.
fn name(written: &str) -> Name {
    let (schema, table) =
        written.split_once('.').map_or((None, written), |(schema, table)| (Some(schema.to_owned()), table));
    Name { schema, table: table.to_owned() }
}

fn changes(verb: &'static str, tables: &[&str]) -> Statement {
    Statement::ChangesRows { verb, tables: tables.iter().map(|table| name(table)).collect() }
}

fn removes(pairs: &[(&str, Option<&str>)]) -> Statement {
    Statement::Removes(pairs.iter().map(|(from, to)| (name(from), to.map(name))).collect())
}

fn temporary(made: bool, table: &str) -> Statement {
    Statement::Temporary { made, tables: vec![name(table)] }
}

#[test]
fn transactions() {
    for (text, expected) in [
        ("BEGIN", Statement::Begin),
        ("start  transaction read write", Statement::Begin),
        ("XA START X'31',X'',1", Statement::XaStart),
        ("XA COMMIT X'31'", Statement::XaOutcome),
        ("ROLLBACK TO `a`", Statement::Rollback { to: Some("a".into()) }),
        ("ROLLBACK TO SAVEPOINT a", Statement::Rollback { to: Some("a".into()) }),
        ("ROLLBACK", Statement::Rollback { to: None }),
        ("SAVEPOINT `a b`", Statement::Savepoint("a b".into())),
    ] {
        assert_eq!(Statement::parse(text, 0), expected, "{text}");
    }
}

#[test]
fn statements_that_change_rows_name_their_tables() {
    let empties = |table: &str| Statement::Empties(name(table));
    for (text, expected) in [
        ("truncate t", empties("t")),
        ("TRUNCATE TABLE `a``b`", empties("a`b")),
        ("/* why */ TRUNCATE/**/table -- x\n `s` . `t` ;", empties("s.t")),
        ("/*!40000 TRUNCATE TABLE s.größe */", empties("s.größe")),
        ("TRUNCATE `table`", empties("table")),
        ("ALTER TABLE s.t TRUNCATE PARTITION ALL", empties("s.t")),
        ("CREATE OR REPLACE TABLE t (id INT)", Statement::Replaces(name("t"))),
        ("# c\nINSERT INTO t VALUES (1)", changes("INSERT", &["t"])),
        ("INSERT IGNORE log VALUES ('INTO shop.t')", changes("INSERT", &["log"])),
        ("REPLACE INTO `p`.`checksums` SELECT * FROM shop.orders", changes("REPLACE", &["p.checksums"])),
        ("UPDATE t SET a = (SELECT 1 FROM u)", changes("UPDATE", &["t"])),
        ("UPDATE a.t x JOIN u ON x.i = u.i, (v) SET x.a = 1", changes("UPDATE", &["a.t", "u", "v"])),
        ("DELETE FROM t WHERE id IN (SELECT id FROM u)", changes("DELETE", &["t"])),
        ("DELETE t, u.* FROM t JOIN u USING (id)", changes("DELETE", &["t", "u", "t", "u", "id"])),
        ("WITH c AS (SELECT 1 FROM d) DELETE FROM t", changes("DELETE", &["t"])),
        ("LOAD DATA LOCAL INFILE 'INTO TABLE x' IGNORE INTO TABLE `t` (a)", changes("LOAD DATA", &["t"])),
        ("SET STATEMENT max_statement_time=1 FOR DELETE FROM t", changes("DELETE", &["t"])),
        ("CREATE TABLE t AS SELECT 1", changes("CREATE TABLE … SELECT", &["t"])),
        ("CREATE TABLE t (a INT) TABLE u", changes("CREATE TABLE … SELECT", &["t"])),
        ("CREATE TABLE t VALUES ROW(1)", changes("CREATE TABLE … SELECT", &["t"])),
        ("ALTER TABLE t TRUNCATE PARTITION p0, p1", changes("ALTER TABLE … TRUNCATE PARTITION", &["t"])),
        ("ALTER TABLE t DROP PARTITION p0", changes("ALTER TABLE … DROP PARTITION", &["t"])),
        (
            "ALTER TABLE t EXCHANGE PARTITION p WITH TABLE s.u",
            changes("ALTER TABLE … PARTITION", &["t", "s.u"]),
        ),
        (
            "ALTER TABLE t CONVERT TABLE u TO PARTITION p VALUES LESS THAN (1)",
            changes("ALTER TABLE … PARTITION", &["t", "u"]),
        ),
        ("ALTER TABLE t CONVERT PARTITION p TO TABLE u", changes("ALTER TABLE … PARTITION", &["t", "u"])),
        ("ALTER TABLE t IMPORT TABLESPACE", changes("ALTER TABLE … TABLESPACE", &["t"])),
        ("ALTER ONLINE IGNORE TABLE t ADD UNIQUE (a)", changes("ALTER IGNORE TABLE", &["t"])),
        ("ANALYZE FORMAT=JSON UPDATE t SET a = 1", changes("UPDATE", &["t"])),
        ("DELETE history FROM history", changes("DELETE", &["history", "history"])),
        (
            "DELETE history FROM history JOIN t USING (id)",
            changes("DELETE", &["history", "history", "t", "id"]),
        ),
        ("SELECT `s`.`f`()", Statement::Calls),
        ("DO f()", Statement::Calls),
    ] {
        assert_eq!(Statement::parse(text, 0), expected, "{text}");
    }
    assert_eq!(Statement::parse("TRUNCATE \"t\"", 4), empties("t"));
}

#[test]
fn only_what_is_known_is_harmless() {
    for (text, expected) in [
        ("SET PASSWORD FOR x", Statement::Harmless),
        (
            "CREATE TABLE t (id INT, c INT) PARTITION BY LIST (id) (PARTITION p VALUES IN (1))",
            Statement::Harmless,
        ),
        ("CREATE TABLE `t` (\n `id` int) START TRANSACTION", Statement::Harmless),
        ("CREATE TABLE t LIKE u", Statement::Harmless),
        ("CREATE DEFINER=`table`@`%` PROCEDURE p() TRUNCATE t", Statement::Harmless),
        ("CREATE OR REPLACE VIEW v AS SELECT 1", Statement::Harmless),
        ("CREATE UNIQUE INDEX i ON t (a)", Statement::Harmless),
        ("ALTER TABLE t ADD truncate INT, RENAME COLUMN a TO b, DROP c", Statement::Harmless),
        ("ALTER TABLE t TABLESPACE = x", Statement::Harmless),
        ("ALTER TABLE t CONVERT TO CHARACTER SET utf8mb4", Statement::Harmless),
        ("ALTER TABLE t REORGANIZE PARTITION p INTO (PARTITION q VALUES LESS THAN (5))", Statement::Harmless),
        ("", Statement::Harmless),
        ("# Dummy event", Statement::Harmless),
        ("/* open", Statement::Harmless),
        ("DELETE HISTORY FROM t BEFORE SYSTEM_TIME '2026-01-01'", Statement::Harmless),
        ("FLUSH TABLES", Statement::Harmless),
        ("ANALYZE TABLE t", Statement::Harmless),
        ("DROP USER t", Statement::Harmless),
        (
            "DROP TABLE IF EXISTS `t`,`s`.`u` /* generated by server */",
            removes(&[("t", None), ("s.u", None)]),
        ),
        ("DROP DATABASE IF EXISTS s", Statement::RemovesSchema("s".into())),
        ("CREATE OR REPLACE DATABASE s", Statement::RemovesSchema("s".into())),
        ("RENAME TABLE a TO b, s.c NOWAIT TO d", removes(&[("a", Some("b")), ("s.c", Some("d"))])),
        ("ALTER TABLE a ADD x INT, RENAME AS s.b", removes(&[("a", Some("s.b"))])),
        ("CREATE TEMPORARY TABLE t AS SELECT 1", temporary(true, "t")),
        ("DROP /*!40005 TEMPORARY */ TABLE IF EXISTS `t`", temporary(false, "t")),
        ("FROBNICATE s.t", Statement::Unknown(vec![name("FROBNICATE"), name("s"), name("t"), name("s.t")])),
    ] {
        assert_eq!(Statement::parse(text, 0), expected, "{text}");
    }
}

proptest! {
    #[test]
    fn any_text_is_a_statement(text: String, start in "(TRUNCATE|SET STATEMENT|/\\*!|ALTER \
        TABLE|CREATE|WITH|DELETE)?", sql_mode: u64) {
        let _ = Statement::parse(&format!("{start} {text}"), sql_mode);
    }
}
