//! Every type: the stream, the scan and the server's own printing agree.

use std::fmt::Write as _;

use super::super::super::{Database as _, Snapshot, Source as _};
use super::super::values::number::{write_double, write_float};
use super::{Bench, both, is_mariadb, print_cells, read_all};
use crate::change::{Batch, CellKind};
use std::time::{Duration, Instant};

/// Type, and values as SQL writes them.
const TYPES: &[(&str, &[&str])] = &[
    ("TINYINT", &["-128", "127", "0"]),
    ("TINYINT UNSIGNED", &["255", "0"]),
    ("TINYINT(1)", &["1", "0"]),
    ("SMALLINT", &["-32768", "32767"]),
    ("YEAR", &["1901", "2155", "0"]),
    ("SMALLINT UNSIGNED", &["65535"]),
    ("MEDIUMINT", &["-8388608", "8388607", "-1"]),
    ("MEDIUMINT UNSIGNED", &["16777215"]),
    ("INT", &["-2147483648", "2147483647"]),
    ("INT UNSIGNED", &["4294967295"]),
    ("BIGINT", &["-9223372036854775808", "9223372036854775807"]),
    ("BIGINT UNSIGNED", &["18446744073709551615"]),
    ("DECIMAL(10,2)", &["-12345678.90", "0.05", "0", "99999999.99"]),
    (
        "DECIMAL(65,30)",
        &[
            "-99999999999999999999999999999999999.999999999999999999999999999999",
            "0.000000000000000000000000000001",
        ],
    ),
    ("DECIMAL(20,0) UNSIGNED", &["99999999999999999999"]),
    ("DECIMAL(9,9)", &["-0.123456789"]),
    ("FLOAT", &["-2.5e-300", "-0e0", "0.1", "1e20", "-3.4028235e38", "1.17549e-38", "123456", "1234567"]),
    (
        "DOUBLE",
        &[
            "-0e0",
            "733852513917585.25",
            "0.1",
            "1e20",
            "1.2345e-7",
            "-1.7976931348623157e308",
            "123456789012345",
            "1e15",
            "0",
        ],
    ),
    ("BIT(1)", &["b'1'", "b'0'"]),
    ("BIT(13)", &["b'1000000000001'", "b'10'"]),
    ("BIT(64)", &["0xffffffffffffffff"]),
    ("DATE", &["'2026-11-23'", "'0000-00-00'", "'9999-12-31'", "'2020-00-00'"]),
    ("TIME", &["'12:34:56'", "'-838:59:59'", "'00:00:00'"]),
    ("TIME(1)", &["'-00:00:00.1'", "'12:34:56.5'"]),
    ("TIME(6)", &["'-12:34:56.000001'", "'838:59:58.999999'", "'12:00:00.5'", "'-00:00:01.5'"]),
    ("DATETIME", &["'2026-11-23 12:34:56'", "'0000-00-00 00:00:00'", "'1000-01-01 00:00:00'"]),
    ("DATETIME(3)", &["'2026-11-23 12:34:56.120'", "'9999-12-31 23:59:59.999'"]),
    ("DATETIME(6)", &["'2026-11-23 12:34:56.000001'"]),
    (
        "TIMESTAMP NULL",
        &["'2026-11-23 12:34:56'", "'1970-01-01 00:00:01'", "'2038-01-19 03:14:07'", "'0000-00-00 00:00:00'"],
    ),
    ("TIMESTAMP(6) NULL", &["'2026-02-28 23:59:59.999999'", "'2026-02-28 23:59:59.100000'"]),
    ("CHAR(10) CHARACTER SET utf8mb4", &["'a  '", "'äöü🎉'", "''"]),
    ("CHAR(200) CHARACTER SET utf8mb4", &["'long 🎉'"]),
    ("CHAR(5) CHARACTER SET latin1", &["'grün€'"]),
    ("VARCHAR(20) CHARACTER SET cp1251", &["'Привет'"]),
    ("VARCHAR(20) CHARACTER SET ucs2", &["'Привет'"]),
    ("VARCHAR(20) CHARACTER SET utf16", &["'a🎉'"]),
    ("VARCHAR(20) CHARACTER SET utf8mb3", &["'größe'"]),
    ("VARCHAR(1000)", &["'x\"y\\\\z\n'", "REPEAT('ä', 1000)"]),
    ("TINYTEXT", &["'t'"]),
    ("TEXT", &["REPEAT('text', 1000)", "''"]),
    ("MEDIUMTEXT CHARACTER SET latin1", &["'ÿ'"]),
    ("LONGTEXT", &["'l'"]),
    ("BINARY(4)", &["0x00ff", "0x61626364", "0x00000000"]),
    ("BINARY(16)", &["0x00ff00"]),
    ("VARBINARY(300)", &["0x00ff00", "''"]),
    ("TINYBLOB", &["0xdeadbeef"]),
    ("BLOB", &["0x00"]),
    ("LONGBLOB", &["REPEAT(x'ab', 100000)"]),
    ("VARCHAR(20) CHARACTER SET swe7", &["'a{b}'", "'[åäöÅÄÖé]'"]),
    ("VARCHAR(20) CHARACTER SET gbk", &["'中文 a\\\\€'"]),
    ("CHAR(20) CHARACTER SET big5", &["'中文功'"]),
    ("VARCHAR(20) CHARACTER SET sjis", &["'ﾊ表～漢字'"]),
    ("VARCHAR(20) CHARACTER SET cp932", &["'①～∥ﾊ表'"]),
    ("TEXT CHARACTER SET ujis", &["'漢ﾊ丂字'"]),
    ("VARCHAR(20) CHARACTER SET eucjpms", &["'①～漢ﾊ丂'"]),
    ("VARCHAR(20) CHARACTER SET euckr", &["'한국어'"]),
    ("VARCHAR(20) CHARACTER SET gb2312", &["'中文'"]),
    ("ENUM('中','文') CHARACTER SET gbk", &["'文'"]),
    ("ENUM('a','b','it''s')", &["'b'", "'it''s'"]),
    ("ENUM('ä','ö') CHARACTER SET latin1", &["'ö'"]),
    ("SET('x','y','z')", &["'x,z'", "''"]),
    ("SET('ä','ö') CHARACTER SET latin1", &["'ä,ö'"]),
    ("POINT", &["ST_GeomFromText('POINT(1 2)')", "ST_GeomFromText('POINT(1.5 -2)', 4326)"]),
    ("GEOMETRY", &["ST_GeomFromText('MULTIPOINT(1 2, 3 4)')"]),
    ("TEXT CHARACTER SET utf8mb3", &["'after geometry'"]),
    ("INT AS (1 + 1) STORED", &[]),
    ("INT AS (1 + 2) VIRTUAL", &[]),
];

/// Forms that differ between those who print them.
const INET6: &[&str] = &[
    "::192.0.2.1",
    "::1:2",
    "::0.0.1.2",
    "1:0:2:3:4:5:6:7",
    "1:0:2:0:3:4:5:6",
    "1:0:0:2:0:0:0:3",
    "1::",
    "0:0:0:0:0:1::",
];

fn json_values() -> Vec<String> {
    let documents = [
        r#"{"a": 1, "b": [true, null]}"#,
        "[]",
        "{}",
        "null",
        "true",
        r#""text \"q\" \\ \n \u0001 ä🎉""#,
        "-1",
        "32768",
        "4294967296",
        "18446744073709551615",
        "-9223372036854775808",
        "1.5",
        "1.0",
        "1e20",
        "1e15",
        "1e14",
        "123456789012345678.0",
        "0.1",
        "1e-5",
        "0.00001234",
        "1e-14",
        "1e-15",
        "1.5e-16",
        "1e300",
        "-0.0",
        "[1, [2, [3, {\"x\": {\"y\": 65536}}]]]",
        "100000.5",
        "1e16",
        "1234567890123456.7",
        "733852513917585.25",
        "733852513917585.75",
        "4503599627370497.5",
        "450359962737049.625",
        "450359962737049.375",
    ];
    let mut values: Vec<String> =
        documents.iter().map(|text| format!("CAST('{}' AS JSON)", text.replace('\\', "\\\\"))).collect();
    for made in [
        "JSON_ARRAY(CAST('1.50' AS DECIMAL(10,2)), CAST(-7 AS DECIMAL(5)))",
        "JSON_ARRAY(CAST('2026-11-23' AS DATE), CAST('12:34:56.5' AS TIME(6)), CAST('-01:02:03' AS TIME))",
        "JSON_ARRAY(CAST('2026-11-23 12:34:56.7' AS DATETIME(3)), TIMESTAMP'2026-11-23 12:34:56')",
        "JSON_OBJECT('b', x'00ff', 'bits', b'101')",
        "JSON_OBJECT('b', CAST(REPEAT('x', 57) AS BINARY))",
        "JSON_OBJECT('b', CAST(REPEAT('x', 115) AS BINARY))",
        "CAST(CONCAT('[\"', REPEAT('x', 70000), '\", 100000, 1]') AS JSON)",
        "CAST(CONCAT('{\"', REPEAT('k', 300), '\": 1}') AS JSON)",
    ] {
        values.push(made.to_owned());
    }
    values
}

/// Each value in a row of its own, a row of NULLs, and a row of first values.
fn check_types(address: &super::Address, name: &str, types: &[(String, Vec<String>)]) {
    let mut columns = "id INT PRIMARY KEY".to_owned();
    for (place, (type_name, _)) in types.iter().enumerate() {
        write!(columns, ", c{place} {type_name}").unwrap();
    }
    let mut bench = Bench::new(address, name, &columns);
    let mut source = bench.source(Snapshot::Initial);
    source.start(None).unwrap();
    bench.run("SET SESSION sql_mode = ''");
    bench.run("INSERT INTO {t} (id) VALUES (0)");
    let mut id = 0;
    for (place, (type_name, values)) in types.iter().enumerate() {
        for value in values {
            id += 1;
            bench.run(&format!("INSERT INTO {{t}} (id, c{place}) VALUES ({id}, {value})"));
            assert!(id > 0, "{type_name}");
        }
    }
    let (streamed, _, _) = read_all(&mut source);
    let streamed: Vec<&str> =
        streamed.iter().filter_map(|row| row.strip_prefix("Insert ")?.strip_suffix(" <- ")).collect();
    let scanned = bench.scan();
    assert_eq!(streamed.len(), scanned.len());
    for (streamed, scanned) in streamed.iter().zip(&scanned) {
        let cells = streamed.split('|').zip(scanned.split('|'));
        for (place, (one, other)) in cells.enumerate() {
            let type_name =
                place.checked_sub(1).map_or("id", |place| types.get(place).map_or("?", |(name, _)| name));
            assert_eq!(one, other, "{} {type_name}", address.dialect.product());
        }
    }
    compare_with_printing(&mut bench, &mut source, types);
}

/// Reads on until rows come: a read also ends, without any, where a transaction of another table moved the
/// position.
fn read_rows(source: &mut super::MysqlSource, batch: &mut Batch) {
    let began = Instant::now();
    loop {
        batch.clear();
        source.read(batch, Duration::from_secs(5)).unwrap();
        if !batch.rows().is_empty() {
            return;
        }
        assert!(began.elapsed() < Duration::from_secs(30), "no rows came");
    }
}

/// The server's own SELECT, for all types but those whose text the contract defines otherwise.
fn compare_with_printing(
    bench: &mut Bench,
    source: &mut super::MysqlSource,
    types: &[(String, Vec<String>)],
) {
    bench.run("UPDATE {t} SET id = id + 100000 ORDER BY id DESC");
    let mut batch = Batch::default();
    let mut rows = Vec::new();
    let expected = bench.database.query(&format!("SELECT * FROM {} ORDER BY id DESC", bench.table)).unwrap();
    while rows.len() < 2 * expected.len() {
        read_rows(source, &mut batch);
        for row in batch.rows() {
            let cells = batch
                .columns(row)
                .iter()
                .map(|cell| (cell.kind, String::from_utf8(batch.text(cell).to_vec()).unwrap()));
            rows.push(cells.collect::<Vec<_>>());
        }
    }
    rows.retain(|row| !row.is_empty()); // a change of the key is a delete and an insert
    for (row, expected) in rows.iter().zip(&expected) {
        for (place, ((kind, text), printed)) in row.iter().zip(expected).enumerate().skip(1) {
            let type_name = &types[place - 1].0;
            let Some(printed) = printed else {
                assert_eq!(*kind, CellKind::Null, "{type_name}");
                continue;
            };
            let own_text = [
                "FLOAT",
                "DOUBLE",
                "BIT",
                "BINARY",
                "BLOB",
                "POINT",
                "GEOMETRY",
                "VARBINARY",
                "YEAR",
                "VECTOR",
            ];
            if own_text.iter().any(|word| type_name.contains(word)) {
                continue;
            }
            let timed = type_name.contains('(') && (type_name.contains("TIME"));
            let printed = if timed { printed.trim_end_matches('0').trim_end_matches('.') } else { printed };
            let text = if timed { text.trim_end_matches('0').trim_end_matches('.') } else { text };
            assert_eq!(text, printed, "{} {type_name}", bench.address.dialect.product());
        }
    }
}

fn owned(types: &[(&str, &[&str])]) -> Vec<(String, Vec<String>)> {
    types
        .iter()
        .map(|(name, values)| ((*name).to_owned(), values.iter().map(|value| (*value).to_owned()).collect()))
        .collect()
}

#[test]
fn live_every_type() {
    for address in both() {
        let mut types = owned(TYPES);
        if is_mariadb(&address) {
            types.push(("JSON".into(), vec![r#"'{"a":1}'"#.into()]));
            types.push((
                "INET6".into(),
                vec!["'2001:db8::ff'".into(), "'::ffff:1.2.3.4'".into(), "'::'".into()]
                    .into_iter()
                    .chain(INET6.iter().map(|text| format!("'{text}'")))
                    .collect(),
            ));
            types.push(("INET4".into(), vec!["'10.0.0.1'".into()]));
            types.push((
                "UUID".into(),
                vec![
                    "'123e4567-e89b-12d3-a456-426655440000'".into(),
                    "'01890a5d-ac96-774b-bcce-b302099a8057'".into(),
                    "'00000000-0000-0000-0000-000000000000'".into(),
                    "'123e4567-e89b-92d3-a456-426655440000'".into(),
                    "'123e4567-e89b-f2d3-2456-426655440000'".into(),
                    "'ffffffff-ffff-ffff-ffff-ffffffffffff'".into(),
                ],
            ));
        } else {
            types.push(("JSON".into(), json_values()));
            types.push(("VARCHAR(20) CHARACTER SET gb18030".into(), vec!["'中€é㐀𠮷ǹ'".into()]));
            types.push(("VECTOR(3)".into(), vec!["STRING_TO_VECTOR('[1,2.5,-3e10]')".into()]));
        }
        check_types(&address, "types", &types);
    }
}

#[test]
fn live_the_log_and_the_catalog_name_types_alike() {
    for address in both() {
        let columns: Vec<String> =
            TYPES.iter().enumerate().map(|(place, (name, _))| format!("c{place} {name}")).collect();
        let mut bench = Bench::new(
            &address,
            "names",
            &format!("id INT, k CHAR(3), {}, PRIMARY KEY (k, id)", columns.join(", ")),
        );
        let mut source = bench.source(Snapshot::Never);
        source.start(None).unwrap();
        bench.run("INSERT INTO {t} (id, k) VALUES (1, 'x')");
        let mut batch = Batch::default();
        read_rows(&mut source, &mut batch);
        let logged = batch.table(&batch.rows()[0]).clone();
        let mut scanned = None;
        let schema = address.database.clone();
        bench
            .database
            .scan(&schema, &bench.table.clone(), &mut |batch| {
                scanned = Some(batch.tables()[0].clone());
                Ok(())
            })
            .unwrap();
        assert_eq!(print_cells(&batch, &batch.columns(&batch.rows()[0])[..2]), "1|\"x\"");
        let scanned = scanned.unwrap();
        assert_eq!(logged.key, [0, 1]);
        assert_eq!(logged.key, scanned.key);
        for (one, other) in logged.columns.iter().zip(&scanned.columns) {
            let floats =
                ["float", "double", "point", "geometry"].iter().any(|word| other.type_name.starts_with(word));
            assert!(floats || one == other, "{}: {one:?} {other:?}", address.dialect.product());
        }
    }
}

/// Earlier rows of a versioned table, and the columns that MariaDB keeps for itself, are nobody's data.
#[test]
fn live_versioned_tables_have_their_present_rows() {
    let [_, mariadb] = both();
    let shown = ", a TIMESTAMP(6) GENERATED ALWAYS AS ROW START, b TIMESTAMP(6) GENERATED ALWAYS AS ROW \
        END, PERIOD FOR SYSTEM_TIME (a, b)";
    for (name, period) in [("versioned", ""), ("versioned_shown", shown)] {
        let mut bench = Bench::new(&mariadb, name, "id INT");
        bench.run(&format!(
            "CREATE OR REPLACE TABLE {{t}} (id INT PRIMARY KEY, v INT, t TEXT, UNIQUE (t) USING \
             HASH{period}) WITH SYSTEM VERSIONING"
        ));
        let mut source = bench.source(Snapshot::Initial);
        source.start(None).unwrap();
        bench.run("INSERT INTO {t} (id, v) VALUES (1, 1)");
        bench.run("UPDATE {t} SET v = 2");
        bench.run("DELETE FROM {t}");
        bench.run("INSERT INTO {t} (id, v) VALUES (2, 1)");
        bench.run("REPLACE INTO {t} (id, v) VALUES (2, 3)");
        bench.run("UPDATE {t} SET id = 4, v = 4");
        bench.run("DELETE HISTORY FROM {t}");
        let (rows, _, _) = read_all(&mut source);
        // The period's own values change from run to run.
        let cut = |part: &str| part.split('|').take(3).collect::<Vec<_>>().join("|");
        let rows: Vec<String> =
            rows.iter().map(|row| row.split(" <- ").map(cut).collect::<Vec<_>>().join(" <- ")).collect();
        let expected = [
            "Insert 1|1|NULL <- ",
            "Update 1|2|NULL <- 1|1|NULL",
            "Delete  <- 1|2|NULL",
            "Insert 2|1|NULL <- ",
            // The server logs a REPLACE of a versioned table in two steps.
            "Delete  <- 2|1|NULL",
            "Insert 2|3|NULL <- ",
            "Delete  <- 2|3|NULL",
            "Insert 4|4|NULL <- ",
        ];
        assert_eq!(rows, expected, "{name}");
        let scanned = bench.scan();
        assert!(scanned.len() == 1 && scanned[0].starts_with("4|4|NULL"), "{scanned:?}");
        assert_eq!(scanned[0].split('|').count(), if period.is_empty() { 3 } else { 5 });
        assert_eq!(bench.database.tables(&source.settings.tables).unwrap().len(), 1);
    }
}

#[test]
fn live_sequences_are_no_tables() {
    let [_, mariadb] = both();
    let mut bench = Bench::new(&mariadb, "sequence", "id INT PRIMARY KEY");
    bench.run("CREATE OR REPLACE SEQUENCE {t}_numbers");
    let mut source = bench.source_of(&["my_live_sequence*"]);
    source.start(None).unwrap();
    bench.run("SET STATEMENT sql_mode = '' FOR INSERT INTO {t} VALUES (NEXTVAL({t}_numbers))");
    bench.run("DO SETVAL({t}_numbers, 5000)");
    bench.run("INSERT INTO {t} VALUES (NEXTVAL({t}_numbers))");
    assert_eq!(read_all(&mut source).0, ["Insert 1 <- ", "Insert 5001 <- "]);
    bench.run("DROP SEQUENCE {t}_numbers");
}

/// PostgreSQL is the oracle for floats.
#[test]
fn live_floats_are_printed_as_postgresql_prints_them() {
    let mut postgres = crate::source::postgres::open(&super::address("LIST_SYNC_POSTGRES_URL")).unwrap();
    let mut bits = 0x9e37_79b9_7f4a_7c15_u64;
    let mut doubles: Vec<f64> =
        (-320..309).map(|exponent| format!("1e{exponent}").parse().unwrap()).collect();
    doubles.extend((-1022..1024).step_by(3).map(|exponent| 2_f64.powi(exponent)));
    while doubles.len() < 6000 {
        bits = bits.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        doubles.extend(Some(f64::from_bits(bits ^ bits >> 32)).filter(|number| number.is_finite()));
        doubles.push((bits >> 33) as f64 / 100.0);
    }
    let mut check = |type_name: &str, written: Vec<String>, own: Vec<Vec<u8>>| {
        let query = format!("SELECT unnest(ARRAY[{}]::{type_name}[])::text", written.join(","));
        let printed = postgres.query(&query).unwrap().into_iter().map(|mut row| row.remove(0).unwrap());
        for (own, printed) in own.iter().zip(printed) {
            assert_eq!(String::from_utf8_lossy(own), printed, "{type_name}");
        }
    };
    let print = |write: &dyn Fn(&mut Vec<u8>)| {
        let mut out = Vec::new();
        write(&mut out);
        out
    };
    let own = doubles.iter().map(|number| print(&|out| write_double(*number, out))).collect();
    check("float8", doubles.iter().map(|number| format!("'{number:e}'")).collect(), own);
    let floats: Vec<f32> = doubles
        .iter()
        .map(|number| f32::from_bits((number.to_bits() >> 29) as u32))
        .filter(|number| number.is_finite())
        .collect();
    let own = floats.iter().map(|number| print(&|out| write_float(*number, out))).collect();
    check("float4", floats.iter().map(|number| format!("'{number:e}'")).collect(), own);
}

/// The catalog is younger than the log: after a rename the column is found at its place; a changed or dropped
/// one is printed as bytes.
#[test]
fn live_a_uuid_of_yesterday() {
    let [_, mariadb] = both();
    let mut bench =
        Bench::new(&mariadb, "yesterday", "id INT PRIMARY KEY, u UUID, b BINARY(4), n INET6, m INET4");
    let mut source = bench.source(Snapshot::Never);
    let start = source.start(None).unwrap();
    bench.run(
        "INSERT INTO {t} VALUES (1, '123e4567-e89b-12d3-a456-426655440000', x'01020304', '::1', '1.2.3.4')",
    );
    bench.run("ALTER TABLE {t} RENAME COLUMN u TO w, RENAME COLUMN n TO o");
    let row = |uuid: &str, inet: &str| format!("Insert 1|\"{uuid}\"|\"01020304\"|\"{inet}\"|\"1.2.3.4\" <- ");
    assert_eq!(read_all(&mut source).0, [row("123e4567-e89b-12d3-a456-426655440000", "::1")]);
    bench.run("ALTER TABLE {t} MODIFY w VARCHAR(36), DROP COLUMN o");
    source.start(Some(&start)).unwrap();
    assert_eq!(
        read_all(&mut source).0,
        [row("123e4567e89b12d3a456426655440000", "00000000000000000000000000000001")]
    );
}
