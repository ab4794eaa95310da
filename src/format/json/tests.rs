//! Bytes against bytes: golden messages of wal2json, there and back, and messages that are broken on purpose.

use std::sync::Arc;

use proptest::prelude::*;

use super::{Decoder, Encoder, Include, Options};
use crate::change::{Batch, CellKind, Column, Operation, Position, RowHead, Table, Transaction};
use crate::format::Records;

/// Messages that wal2json 2.6 on PostgreSQL 15 printed, with `include-pk` and without types and transactions.
const WAL2JSON: &[&str] = &[
    r#"{"action":"I","table":"a","columns":[{"name":"id","value":1},{"name":"v","value":"a\b\f\n\r\t\"\\/\u0001\u001f é€😀"},{"name":"n","value":1.50},{"name":"ts","value":"2024-01-01 00:00:00"},{"name":"b","value":true},{"name":"f","value":null}],"pk":[{"name":"id"}]}"#,
    r#"{"action":"I","table":"a","columns":[{"name":"id","value":2},{"name":"v","value":null},{"name":"f","value":1e+30}],"pk":[{"name":"id"}]}"#,
    r#"{"action":"U","table":"a","columns":[{"name":"id","value":1},{"name":"v","value":"z"}],"identity":[{"name":"id","value":1}],"pk":[{"name":"id"}]}"#,
    r#"{"action":"D","table":"a","identity":[{"name":"id","value":1}],"pk":[{"name":"id"}]}"#,
    r#"{"action":"I","table":"nopk","columns":[{"name":"x","value":1},{"name":"y","value":"a"}],"pk":[]}"#,
    r#"{"action":"U","table":"two","columns":[{"name":"a","value":1},{"name":"b","value":"k"},{"name":"c","value":"d"}],"identity":[{"name":"a","value":1},{"name":"b","value":"k"}],"pk":[{"name":"a"},{"name":"b"}]}"#,
    r#"{"action":"D","table":"index_is_identity","identity":[{"name":"c","value":1}],"pk":[{"name":"a"},{"name":"c"},{"name":"d"}]}"#,
    r#"{"action":"T","table":"a"}"#,
];

fn encode(batch: &Batch, options: Options) -> Vec<String> {
    let mut records = Records::default();
    Encoder::new(options).encode(batch, 0, &mut records);
    records.records.iter().map(|record| String::from_utf8(records.value(record).to_vec()).unwrap()).collect()
}

fn decode(messages: &[impl AsRef<str>]) -> Batch {
    let (mut decoder, mut batch) = (Decoder::default(), Batch::default());
    for message in messages {
        decoder.decode(message.as_ref().as_bytes(), Position::START, &mut batch).unwrap();
    }
    batch
}

#[test]
fn what_wal2json_printed_comes_out_again() {
    assert_eq!(encode(&decode(WAL2JSON), Options::default()), WAL2JSON);
}

#[test]
fn wal2json_with_types_comes_out_again() {
    let messages = [
        r#"{"action":"I","schema":"s","table":"two","columns":[{"name":"a","type":"integer","value":1},{"name":"b","type":"numeric(10,2)","value":"k"}],"pk":[{"name":"a","type":"integer"}]}"#,
    ];
    let include = Include { schema: true, types: true, ..Include::default() };
    assert_eq!(encode(&decode(&messages), Options { include, ..Options::default() }), messages);
}

fn one_row(transaction: Transaction, options: Options) -> String {
    let column = |name: &str, type_name: &str| Column {
        name: name.into(),
        type_name: type_name.into(),
        identity: true,
    };
    let columns = vec![column("id", "bigint"), column("v", "text")];
    let table = Arc::new(Table { schema: "shop".into(), name: "test".into(), columns, key: vec![0] });
    let mut batch = Batch::default();
    let (table, transaction) = (batch.add_table(&table), batch.add_transaction(transaction));
    let columns = batch.mark();
    batch.add_cell(CellKind::Literal, b"1");
    batch.add_cell(CellKind::Missing, b"");
    let identity = batch.mark();
    batch.add_cell(CellKind::Literal, b"1");
    batch.add_cell(CellKind::Null, b"");
    let head = RowHead { operation: Operation::Update, table, transaction, lsn: 0x1_0199_cba8 };
    batch.push(head, columns, identity, &mut Position::first_of(0, 77));
    encode(&batch, options).remove(0)
}

#[test]
fn included_keys_stand_where_wal2json_has_them() {
    let include = Include { xid: true, timestamp: true, lsn: true, schema: true, types: true };
    let postgres = Transaction {
        xid: "743".into(),
        log_file: String::new(),
        committed_us: 1_795_473_585_036_865,
        origin: crate::change::Origin::Log,
    };
    let row = |options| one_row(postgres.clone(), options);
    assert_eq!(
        row(Options { include, identity_key_only: false }),
        r#"{"action":"U","xid":743,"timestamp":"2026-11-23 22:39:45.036865+00","lsn":"1/199CBA8","schema":"shop","table":"test","columns":[{"name":"id","type":"bigint","value":1}],"identity":[{"name":"id","type":"bigint","value":1},{"name":"v","type":"text","value":null}],"pk":[{"name":"id","type":"bigint"}]}"#
    );
    assert_eq!(
        row(Options { include: Include::default(), identity_key_only: true }),
        r#"{"action":"U","table":"test","columns":[{"name":"id","value":1}],"identity":[{"name":"id","value":1}],"pk":[{"name":"id"}]}"#
    );
    let mysql = Transaction {
        xid: "0-1-270".into(),
        log_file: "binlog.000003".into(),
        committed_us: 0,
        origin: crate::change::Origin::Log,
    };
    let message = one_row(mysql, Options { include, identity_key_only: false });
    let start = r#"{"action":"U","xid":"0-1-270","timestamp":"1970-01-01 00:00:00+00","lsn":"binlog.000003:4321823656","schema":"shop","#;
    assert!(message.starts_with(start), "{message}");
    let message = one_row(
        Transaction::default(),
        Options { include: Include { xid: true, ..Include::default() }, ..Options::default() },
    );
    assert!(message.starts_with(r#"{"action":"U","xid":null,"table""#), "{message}");
}

#[test]
fn space_order_and_unknown_keys_do_not_matter() {
    let message = " { \"pk\" : [ { \"type\" : \"int\" , \"name\" : \"i\\u0064\" } ] , \"new\" : [ { } , [ \
        1e3 , null ] , { \"a\" : \"\\ud83d\\ude00\" } ] ,\n \
        \"columns\" : [ { \"value\" : -0.5E+3 , \"name\" : \"id\" , \"optional\" : false } , { \"name\" \
        : \"\\u00e9\" , \"value\" : \"\\ud83d\\ude00\" } ] , \
        \"t\\u0061ble\" : \"a\\\"b\" , \"action\" : \"I\" } \r\n";
    assert_eq!(
        encode(&decode(&[message]), Options::default()),
        [
            r#"{"action":"I","table":"a\"b","columns":[{"name":"id","value":-0.5E+3},{"name":"é","value":"😀"}],"pk":[{"name":"id"}]}"#
        ]
    );
}

#[test]
fn messages_without_a_row_add_nothing() {
    let batch = decode(&[
        r#"{"action":"B","xid":7}"#,
        r#"{"action":"C"}"#,
        r#"{"action":"M","prefix":"p","content":"x"}"#,
    ]);
    assert!(batch.rows().is_empty() && batch.tables().is_empty());
}

#[test]
fn an_update_without_an_unchanged_value_keeps_the_tables_shape() {
    let insert = r#"{"action":"I","table":"t","columns":[{"name":"id","value":1},{"name":"big","value":"x"},{"name":"v","value":1}],"pk":[{"name":"id"}]}"#;
    let update = r#"{"action":"U","table":"t","columns":[{"name":"id","value":1},{"name":"v","value":2}],"identity":[{"name":"id","value":1}],"pk":[{"name":"id"}]}"#;
    let wider = r#"{"action":"I","table":"t","columns":[{"name":"id","value":1},{"name":"big","value":"x"},{"name":"v","value":1},{"name":"w","value":1}],"pk":[{"name":"id"}]}"#;
    let batch = decode(&[update, insert, update, update, wider, update, insert, update]);
    let widths: Vec<_> = batch.rows().iter().map(|row| batch.table(row).columns.len()).collect();
    assert_eq!(widths, [2, 3, 3, 3, 4, 4, 3, 3]);
    let row = &batch.rows()[2];
    let kinds: Vec<_> = batch.columns(row).iter().map(|cell| cell.kind).collect();
    assert_eq!(kinds, [CellKind::Literal, CellKind::Missing, CellKind::Literal]);
    assert_eq!(
        batch.table(row).columns.iter().map(|column| column.identity).collect::<Vec<_>>(),
        [true, false, false]
    );
    assert!(Arc::ptr_eq(batch.table(&batch.rows()[2]), batch.table(&batch.rows()[3])));
    assert_eq!(encode(&batch, Options::default())[5], update);
}

#[test]
fn what_is_missing_is_said() {
    let cases = [
        ("", "it is no JSON object"),
        ("[]", "it is no JSON object"),
        ("{}", "it has no action"),
        (r#"{"action":"X","table":"t"}"#, "its action is unknown"),
        (r#"{"action":"T"}"#, "it names no table"),
        (r#"{"action":"I","table":"t"}"#, "it has no columns"),
        (r#"{"action":"U","table":"t","identity":[]}"#, "it has no columns"),
        (r#"{"action":"D","table":"t","columns":[]}"#, "it has no identity"),
        (r#"{"action":"D","table":"t","identity":[{"name":"a"}]}"#, "a column has no value"),
        (r#"{"action":"D","table":"t","identity":[{"value":1}]}"#, "a column has no name"),
        (
            r#"{"action":"D","table":"t","identity":[{"name":"a","value":[1]}]}"#,
            "a column's value is an object or array",
        ),
        (
            r#"{"action":"D","table":"t","identity":[{"name":"a","value":1},{"name":"\u0061","value":1}]}"#,
            "a column is named twice",
        ),
        (r#"{"action":"D","table":"t","identity":[{"name":"a","value":01}]}"#, "a number is malformed"),
        (
            r#"{"action":"D","table":"t","identity":[{"name":"a","value":"\ud800"}]}"#,
            "a string holds a malformed escape",
        ),
        (r#"{"action":"T","table":"t"} x"#, "something follows the JSON object"),
    ];
    let columns: Vec<_> = (0..5000).map(|place| format!(r#"{{"name":"c{place}","value":1}}"#)).collect();
    let wide = format!(r#"{{"action":"I","table":"t","columns":[{}]}}"#, columns.join(","));
    for (message, reason) in cases.into_iter().chain([(&*wide, "it names more columns than a table has")]) {
        let mut batch = Batch::default();
        let error = Decoder::default().decode(message.as_bytes(), Position::START, &mut batch).unwrap_err();
        assert_eq!(error.to_string(), format!("a message is no row change in JSON: {reason}"), "{message}");
        assert!(batch.rows().is_empty());
    }
    assert!(
        Decoder::default().decode(b"{\"action\":\"\xff\"}", Position::START, &mut Batch::default()).is_err()
    );
}

fn value() -> impl Strategy<Value = (CellKind, String)> {
    prop_oneof![
        Just((CellKind::Null, String::new())),
        Just((CellKind::Missing, String::new())),
        "-?(0|[1-9][0-9]{0,18})(\\.[0-9]{1,9})?([eE][+-]?[0-9]{1,2})?"
            .prop_map(|text| (CellKind::Literal, text)),
        "(true|false)".prop_map(|text| (CellKind::Literal, text)),
        any::<String>().prop_map(|text| (CellKind::Text, text)),
    ]
}

prop_compose! {
    pub(in crate::format) fn batch()(
        names in prop::collection::btree_set("[a-z\"\\\\é ]{1,4}", 1..5),
        table_name in ".{1,6}",
        key_width in 0_usize..3,
        rows in prop::collection::vec((0_usize..4, prop::collection::vec(value(), 10)), 1..6),
    ) -> Batch {
        let columns: Vec<_> = names
            .iter()
            .map(|name| Column { name: name.clone(), type_name: String::new(), identity: true })
            .collect();
        let width = columns.len();
        let key = (0..key_width.min(width)).collect();
        let table = Arc::new(Table { schema: String::new(), name: table_name, key, columns });
        let mut batch = Batch::default();
        let (index, transaction) = (batch.add_table(&table), batch.add_transaction(Transaction::default()));
        for (operation, values) in rows {
            let operation =
                [Operation::Insert, Operation::Update, Operation::Delete, Operation::Truncate][operation];
            let columns = batch.mark();
            if matches!(operation, Operation::Insert | Operation::Update) {
                for (kind, text) in &values[..width] {
                    batch.add_cell(*kind, text.as_bytes());
                }
            }
            let identity = batch.mark();
            if matches!(operation, Operation::Delete | Operation::Update) {
                for (kind, text) in &values[5..5 + width] {
                    batch.add_cell(*kind, text.as_bytes());
                }
            }
            let head = RowHead { operation, table: index, transaction, lsn: 0 };
            batch.push_one(head, columns, identity, Position::START);
        }
        batch
    }
}

/// Messages of two topics whose tables have the same name, and no shape.
#[test]
fn what_is_guessed_of_one_topic_says_nothing_of_another() {
    let (mut decoder, mut batch) = (Decoder::default(), Batch::default());
    let insert = |columns: &str| {
        format!("{{\"action\":\"I\",\"table\":\"t\",\"columns\":[{columns}],\"pk\":[{{\"name\":\"id\"}}]}}")
    };
    let update = |columns: &str| {
        format!(
            "{{\"action\":\"U\",\"table\":\"t\",\"columns\":[{columns}],\"identity\":[{{\"name\":\"id\",\"value\":1}}],\"pk\":[{{\"name\":\"id\"}}]}}"
        )
    };
    let (id, x, note) =
        (r#"{"name":"id","value":1}"#, r#"{"name":"x","value":1}"#, r#"{"name":"note","value":"a"}"#);
    for _ in 0..3 {
        for (topic, message) in [
            ("one", insert(&[id, x, note].join(","))),
            ("two", insert(&[id, x].join(","))),
            ("two", update(&[id, x].join(","))),
        ] {
            decoder.of_topic(topic);
            decoder.decode(message.as_bytes(), Position::START, &mut batch).unwrap();
        }
    }
    let widths: Vec<usize> = batch.rows().iter().map(|row| batch.table(row).columns.len()).collect();
    assert_eq!(widths, [3, 2, 2, 3, 2, 2, 3, 2, 2]);
}

/// A message with a shape: the table is the shape's, whatever the message leaves out and whatever came
/// before.
#[test]
fn a_shape_says_which_table_a_message_is_of() {
    let (mut decoder, mut batch) = (Decoder::default(), Batch::default());
    let column = |name: &str, identity| Column { name: name.into(), type_name: "text".into(), identity };
    let whole = [column("id", true), column("large", false), column("n", false)];
    let wide =
        Arc::new(Table { schema: "s".into(), name: "t".into(), columns: whole.to_vec(), key: vec![0] });
    let narrow = Arc::new(Table { columns: vec![column("id", true), column("n", false)], ..(*wide).clone() });
    let update = br#"{"action":"U","table":"t","columns":[{"name":"id","value":1},{"name":"n","value":2}],"identity":[{"name":"id","value":1}],"pk":[{"name":"id"}]}"#;
    for table in [&wide, &wide, &wide, &narrow, &wide, &narrow] {
        decoder.of_table(table);
        decoder.decode(update, Position::START, &mut batch).unwrap();
        let row = batch.rows().last().unwrap();
        assert!(Arc::ptr_eq(batch.table(row), table));
        let kinds: Vec<CellKind> = batch.columns(row).iter().map(|cell| cell.kind).collect();
        let expected: &[CellKind] = if Arc::ptr_eq(table, &wide) {
            &[CellKind::Literal, CellKind::Missing, CellKind::Literal]
        } else {
            &[CellKind::Literal, CellKind::Literal]
        };
        assert_eq!(kinds, expected);
    }
    decoder.of_table(&narrow);
    let strange = br#"{"action":"I","table":"t","columns":[{"name":"id","value":1},{"name":"large","value":"x"}],"pk":[{"name":"id"}]}"#;
    let error = decoder.decode(strange, Position::START, &mut batch).unwrap_err();
    assert!(error.to_string().contains("a column that its table's shape does not have"), "{error}");
}

proptest! {
    #[test]
    fn there_and_back_gives_the_same_bytes(batch in batch()) {
        let messages = encode(&batch, Options::default());
        for message in &messages {
            prop_assert!(serde_json::from_str::<serde_json::Value>(message).is_ok(), "{}", message);
        }
        prop_assert_eq!(&encode(&decode(&messages), Options::default()), &messages);
    }

    #[test]
    fn broken_messages_are_refused_and_leave_the_batch(
        batch in batch(),
        cut: prop::sample::Index,
        put: prop::sample::Index,
        byte: u8,
    ) {
        let mut decoder = Decoder::default();
        for message in encode(&batch, Options::default()) {
            let mut changed = message.clone().into_bytes();
            changed.truncate(cut.index(message.len()));
            let mut into = Batch::default();
            prop_assert!(decoder.decode(&changed, Position::START, &mut into).is_err());
            prop_assert_eq!((into.rows().len(), into.mark()), (0, 0));
            let mut changed = message.clone().into_bytes();
            changed[put.index(message.len())] = byte;
            let ours = decoder.decode(&changed, Position::START, &mut into);
            if ours.is_ok() {
                prop_assert!(
                    serde_json::from_slice::<serde_json::Value>(&changed).is_ok() || has_huge_number(&changed)
                );
                prop_assert!(into.rows().len() <= 1);
            }
        }
    }

    /// A message that fits the one before it is taken apart by another way than the first of its kind, and
    /// with the same result.
    #[test]
    fn messages_like_those_before_are_read_as_if_they_were_the_first(
        batches in prop::collection::vec(batch(), 1..3),
        types: bool,
        changes in prop::collection::vec(
            (any::<prop::sample::Index>(), "[{}\\[\\]\",:a-z0-9\\\\ é\n]"),
            1..4
        ),
    ) {
        let include = Include { types, xid: types, schema: types, ..Include::default() };
        let messages =
            batches.iter().flat_map(|batch| encode(batch, Options { include, ..Options::default() }));
        let (mut one, mut other) = (Decoder::default(), Decoder::default());
        for message in messages {
            let changed = changes.iter().map(|(place, with)| {
                let letters = message.chars().enumerate();
                let place = place.index(message.chars().count());
                letters
                        .map(|(at, letter)| if at == place { with.clone() } else { letter.to_string() })
                        .collect::<String>()
            });
            for message in [message.clone(), message.clone(), message.clone()].into_iter().chain(changed) {
                let (mut learned, mut fresh) = (Batch::default(), Batch::default());
                other.forget_templates();
                let answers = [
                    one.decode(message.as_bytes(), Position::START, &mut learned),
                    other.decode(message.as_bytes(), Position::START, &mut fresh),
                ];
                let [ours, theirs] = answers.map(|answer| answer.map_err(|error| error.to_string()));
                prop_assert_eq!(ours, theirs, "{}", &message);
                prop_assert_eq!(format!("{learned:?}"), format!("{fresh:?}"), "{}", &message);
            }
        }
    }

    #[test]
    fn any_bytes_are_no_panic(bytes: Vec<u8>, text in "[{}\\[\\]\",:a-z0-9\\\\ ]{0,60}") {
        let mut batch = Batch::default();
        let _ = Decoder::default().decode(&bytes, Position::START, &mut batch);
        let _ = Decoder::default().decode(text.as_bytes(), Position::START, &mut batch);
    }
}

/// serde_json refuses numbers beyond a double's range, which JSON allows and `numeric` has.
fn has_huge_number(message: &[u8]) -> bool {
    serde_json::from_slice::<serde_json::Value>(message)
        .is_err_and(|error| error.to_string().contains("number out of range"))
}

fn psql(url: &str, statements: &[String]) -> String {
    let mut command = std::process::Command::new("psql");
    command.args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", url]);
    let output = command.args(statements.iter().flat_map(|statement| ["-c", statement])).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// wal2json on a real PostgreSQL (`LIST_SYNC_POSTGRES_URL`) prints; we read and print again.
#[test]
fn live_wal2json_comes_out_again() {
    let url = crate::live::postgres();
    let name = format!("sink_json_{}", std::process::id());
    let odd = (1..256).map(|code| format!("chr({code})")).collect::<Vec<_>>().join("||");
    psql(
        &url,
        &[
            format!("SELECT pg_create_logical_replication_slot('{name}', 'wal2json') IS NULL"),
            format!("CREATE SCHEMA {name}"),
            format!(
                "CREATE TABLE {name}.\"o\"\"dd é\"(a int, \"b\\\" text, c numeric, d boolean, e float8, f \
                 bytea, PRIMARY KEY (\"b\\\", a))"
            ),
            format!("ALTER TABLE {name}.\"o\"\"dd é\" REPLICA IDENTITY FULL"),
            format!(
                "INSERT INTO {name}.\"o\"\"dd é\" VALUES (1, {odd}, 1.50, true, 1e300, '\\x00ff'), (2, '', \
                 NULL, false, 'NaN', NULL)"
            ),
            format!("UPDATE {name}.\"o\"\"dd é\" SET c = 0.00001"),
            format!("DELETE FROM {name}.\"o\"\"dd é\""),
            format!("CREATE TABLE {name}.bare(x int, big text)"),
            format!("INSERT INTO {name}.bare VALUES (1, '😀')"),
            format!("TRUNCATE {name}.bare"),
        ],
    );
    let peek = |types: u8| {
        let changes = format!(
            "SELECT data FROM pg_logical_slot_peek_changes('{name}', NULL, NULL, 'format-version', '2', \
             'include-transaction', '0', \
             'include-pk', '1', 'include-types', '{types}', 'include-schemas', '{types}', 'add-tables', \
             '{name}.*')"
        );
        psql(&url, &[changes]).lines().map(str::to_owned).collect::<Vec<_>>()
    };
    let (plain, typed) = (peek(0), peek(1));
    psql(
        &url,
        &[format!("SELECT pg_drop_replication_slot('{name}')"), format!("DROP SCHEMA {name} CASCADE")],
    );
    assert_eq!(plain.len(), 8);
    assert_eq!(encode(&decode(&plain), Options::default()), plain);
    let include = Include { schema: true, types: true, ..Include::default() };
    assert_eq!(encode(&decode(&typed), Options { include, ..Options::default() }), typed);
}
