//! pgoutput, wal2json and scans carry the same rows.

use super::*;

const TYPES: &str = "
CREATE DOMAIN SCHEMA_.whole AS int; CREATE DOMAIN SCHEMA_.raw AS bytea; CREATE TYPE SCHEMA_.mood AS ENUM ('sad', 'ok');
CREATE TYPE SCHEMA_.\"Mixed Pair\" AS (a int, b text);
CREATE TABLE SCHEMA_.types (
  id bigint PRIMARY KEY, i2 smallint, i4 int, i8 bigint, f4 real, f8 double precision, n numeric, n2 numeric(20,5), b boolean, o oid,
  t text, v varchar(9), c char(4), nm name, by bytea, d date, ti time, tz timetz, ts timestamp, ts3 timestamp(3), tsz timestamptz, iv interval,
  m money, u uuid, j json, jb jsonb, x xml, bi bit(3), vb varbit, inet inet, cidr cidr, mac macaddr, p point, l line, bx box, ci circle,
  ai int[], at text[], r int4range, mr nummultirange, tv tsvector, tq tsquery, w SCHEMA_.whole, raw SCHEMA_.raw, e SCHEMA_.mood,
  pair SCHEMA_.\"Mixed Pair\", lsn pg_lsn, g int GENERATED ALWAYS AS (i2 + 1) STORED, \"odd \"\"name\"\"\" text, xid xid, ch \"char\", rc regclass)";

const VALUES: &str = r#"
INSERT INTO SCHEMA_.types (id) VALUES (1);
INSERT INTO SCHEMA_.types VALUES (2, -32768, 2147483647, -9223372036854775808, 1.5e-10, 0.1, 123456789012345678901234567890.123, 1.5, true, 4294967295,
  E'quo"te \\ back\nnew\ttab\r\b\f\x01\x1f\x7f é 😀 </script>', 'v', 'c', 'name', '\x00ff10', '2020-02-29', '23:59:59.123', '01:02:03.5+05:30',
  '2020-01-01 00:00:00.120', '2020-01-01 00:00:00.1239', '2020-01-01 00:00:00+05', '1 year -2 days 03:04:05.6', 1234.5,
  'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', '{"a" : [1, null]}', '{"b":2,"a":1.0}', '<a>x</a>', B'101', B'1', '10.0.0.1/8', '10.0.0.0/8',
  '08:00:2b:01:02:03', '(1.5,2)', '{1,2,3}', '(1,1),(0,0)', '<(0,0),1>', '{1,NULL,3}', '{"a,b","q\"x",NULL}', '[1,5)', '{[1,2),[3,4)}',
  'a fat cat', 'fat & cat', 7, '\xbeef', 'ok', '(1,"a b")', '16/B374D848', DEFAULT, '', '7', 'z', 'pg_class');
INSERT INTO SCHEMA_.types (id, f4, f8, n, d, ts, tsz, t, b, r) VALUES (3, 'NaN', '-Infinity', 'NaN', 'infinity', '-infinity', 'infinity', 'NaN', false, 'empty');
INSERT INTO SCHEMA_.types (id, f4, f8, n, ts, tsz, d, at, by, t) VALUES (4, 'Infinity', 1e300, 'Infinity', '0044-03-15 12:00 BC', '294276-12-31 23:59:59.999999+00', '4713-01-01 BC', '{}', '', 'null');
UPDATE SCHEMA_.types SET t = 'changed' WHERE id = 2;
UPDATE SCHEMA_.types SET id = 5 WHERE id = 3;
DELETE FROM SCHEMA_.types WHERE id = 1"#;

const OTHERS: &str = r#"
CREATE TABLE SCHEMA_.two_keys (b text, v int, a int, PRIMARY KEY (a, b));
INSERT INTO SCHEMA_.two_keys VALUES ('x', 1, 1), ('y', 2, 2); UPDATE SCHEMA_.two_keys SET v = 3; UPDATE SCHEMA_.two_keys SET b = 'z' WHERE a = 1; DELETE FROM SCHEMA_.two_keys;
CREATE TABLE SCHEMA_.whole_row (a int, b text, g int GENERATED ALWAYS AS (a + 1) STORED); ALTER TABLE SCHEMA_.whole_row REPLICA IDENTITY FULL;
INSERT INTO SCHEMA_.whole_row VALUES (1, NULL), (2, 'x'); UPDATE SCHEMA_.whole_row SET b = 'y' WHERE a = 1; UPDATE SCHEMA_.whole_row SET a = NULL; DELETE FROM SCHEMA_.whole_row WHERE b = 'x';
CREATE TABLE SCHEMA_.whole_row_and_key (a int PRIMARY KEY, b text); ALTER TABLE SCHEMA_.whole_row_and_key REPLICA IDENTITY FULL;
INSERT INTO SCHEMA_.whole_row_and_key VALUES (1, NULL), (2, 'x'); UPDATE SCHEMA_.whole_row_and_key SET b = 'y'; UPDATE SCHEMA_.whole_row_and_key SET a = a + 10; DELETE FROM SCHEMA_.whole_row_and_key;
CREATE TABLE SCHEMA_.by_index (id int PRIMARY KEY, u text NOT NULL, v int NOT NULL, UNIQUE (v, u)); ALTER TABLE SCHEMA_.by_index REPLICA IDENTITY USING INDEX by_index_v_u_key;
INSERT INTO SCHEMA_.by_index VALUES (1, 'a', 1); UPDATE SCHEMA_.by_index SET id = 2; UPDATE SCHEMA_.by_index SET u = 'b'; DELETE FROM SCHEMA_.by_index;
CREATE TABLE SCHEMA_.log_only (a int, b text); INSERT INTO SCHEMA_.log_only VALUES (1, 'x'), (NULL, NULL);
CREATE TABLE SCHEMA_.large (id int PRIMARY KEY, v int, t text, t2 text); ALTER TABLE SCHEMA_.large ALTER t SET STORAGE EXTERNAL;
INSERT INTO SCHEMA_.large VALUES (1, 1, repeat('0123456789', 5000), repeat('é', 3000)); UPDATE SCHEMA_.large SET v = 2; UPDATE SCHEMA_.large SET id = 2; UPDATE SCHEMA_.large SET t = 'small';
CREATE TABLE SCHEMA_.large_whole (id int PRIMARY KEY, v int, t text); ALTER TABLE SCHEMA_.large_whole REPLICA IDENTITY FULL; ALTER TABLE SCHEMA_.large_whole ALTER t SET STORAGE EXTERNAL;
INSERT INTO SCHEMA_.large_whole VALUES (1, 1, repeat('0123456789', 5000)); UPDATE SCHEMA_.large_whole SET v = 2; DELETE FROM SCHEMA_.large_whole;
CREATE TABLE SCHEMA_."Odd.Na,me" ("Ke y" int PRIMARY KEY, "ü" text); INSERT INTO SCHEMA_."Odd.Na,me" VALUES (1, 'x'); UPDATE SCHEMA_."Odd.Na,me" SET "ü" = 'y';
CREATE TABLE SCHEMA_.parts (id int, v text, PRIMARY KEY (id)) PARTITION BY RANGE (id);
CREATE TABLE SCHEMA_.part_1 PARTITION OF SCHEMA_.parts FOR VALUES FROM (0) TO (10);
CREATE TABLE SCHEMA_.part_2 (v text, gone int, id int NOT NULL); ALTER TABLE SCHEMA_.part_2 DROP gone; ALTER TABLE SCHEMA_.parts ATTACH PARTITION SCHEMA_.part_2 FOR VALUES FROM (10) TO (20);
INSERT INTO SCHEMA_.parts VALUES (1, 'a'), (11, 'b'); UPDATE SCHEMA_.parts SET v = v || '!'; UPDATE SCHEMA_.parts SET id = 12 WHERE id = 1; DELETE FROM SCHEMA_.parts WHERE id = 11;
TRUNCATE SCHEMA_.two_keys, SCHEMA_.log_only; TRUNCATE SCHEMA_.parts;
BEGIN; INSERT INTO SCHEMA_.two_keys VALUES ('s', 1, 1); SAVEPOINT s; INSERT INTO SCHEMA_.two_keys VALUES ('t', 1, 1); ROLLBACK TO s; INSERT INTO SCHEMA_.two_keys VALUES ('u', 1, 1); COMMIT;
BEGIN; INSERT INTO SCHEMA_.two_keys VALUES ('r', 1, 1); ROLLBACK;
SELECT pg_logical_emit_message(true, 'other', 'x'); SELECT pg_logical_emit_message(false, 'other', 'x');
ALTER TABLE SCHEMA_.two_keys ADD more int; INSERT INTO SCHEMA_.two_keys VALUES ('n', 1, 1, 1); ALTER TABLE SCHEMA_.two_keys DROP v; INSERT INTO SCHEMA_.two_keys VALUES ('o', 1, 1);
ALTER TABLE SCHEMA_.two_keys ALTER more TYPE text; INSERT INTO SCHEMA_.two_keys VALUES ('p', 1, 'one'); UPDATE SCHEMA_.two_keys SET more = 'two'; DELETE FROM SCHEMA_.two_keys"#;

/// Everything that creates, apart from what changes rows: the publication needs the tables to be there.
fn split(script: &str) -> (Vec<&str>, Vec<&str>) {
    let statements = script.split([';', '\n']).map(str::trim).filter(|statement| !statement.is_empty());
    statements.partition(|statement| {
        statement.starts_with("CREATE")
            || (statement.starts_with("ALTER TABLE") && !statement.contains("two_keys"))
    })
}

#[test]
fn live_both_plugins_give_the_same_rows() {
    let mut stage = Stage::new("same_rows");
    stage.run(TYPES);
    let (creating, changing) = split(OTHERS);
    for statement in creating {
        stage.run(statement);
    }
    let sources = [Plugin::Pgoutput, Plugin::Wal2json].map(|plugin| {
        let mut source = PostgresSource::new(stage.settings(plugin));
        source.start(None).unwrap();
        source
    });
    for statement in VALUES.split(";\n") {
        stage.run(statement);
    }
    for statement in changing {
        stage.run(statement);
    }
    let [pgoutput, wal2json] = sources.map(|mut source| read_to_head(&mut source));
    let mut different = 0;
    for (a, b) in pgoutput.lines.iter().zip(&wal2json.lines) {
        if a != b {
            different += 1;
            let place = a.bytes().zip(b.bytes()).position(|(a, b)| a != b).unwrap_or(0);
            let part = |line: &str| {
                String::from_utf8_lossy(
                    &line.as_bytes()[place.saturating_sub(60)..line.len().min(place + 100)],
                )
                .into_owned()
            };
            eprintln!("{}\n  pgoutput …{}\n  wal2json …{}", &a[..100], part(a), part(b));
        }
    }
    assert_eq!((different, pgoutput.lines.len()), (0, wal2json.lines.len()));
    assert_eq!(pgoutput.lines.len(), 74, "{:#?}", pgoutput.lines);
}

#[test]
fn live_a_scan_gives_what_the_stream_gave() {
    let mut stage = Stage::new("scan");
    stage.run(TYPES);
    let mut source = PostgresSource::new(stage.settings(Plugin::Pgoutput));
    source.start(None).unwrap();
    for statement in VALUES.split(";\n").filter(|statement| statement.contains("INSERT")) {
        stage.run(statement);
    }
    let streamed = read_to_head(&mut source).lines;
    let mut scanned = Vec::new();
    let schema = stage.schema.clone();
    let scan = stage.database.scan(&schema, "types", &mut |batch| {
        scanned.extend(batch.rows().iter().map(|row| line(batch, row)));
        Ok(())
    });
    scan.unwrap();
    assert_eq!(without_place(&streamed), without_place(&scanned));
    assert_eq!(scanned.len(), 4);
}
