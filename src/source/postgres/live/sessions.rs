//! A session answers the same whatever the server, the database or the role have set; a database in another
//! encoding is converted.

use super::*;

#[test]
fn live_settings_of_a_role_change_no_value() {
    let mut stage = Stage::new("settings");
    stage.run("CREATE TABLE SCHEMA_.test (id int PRIMARY KEY, ts timestamptz, iv interval, f float8, by \
        bytea, m money, r regclass)");
    let _ = stage.database.execute("DROP ROLE IF EXISTS pgsrc_settings");
    stage.run("CREATE ROLE pgsrc_settings SUPERUSER LOGIN PASSWORD 'x'");
    for setting in [
        "datestyle = 'SQL, DMY'",
        "intervalstyle = sql_standard",
        "timezone = 'Asia/Kolkata'",
        "extra_float_digits = -15",
        "bytea_output = escape",
        "quote_all_identifiers = on",
        "search_path = ''",
        "client_min_messages = error",
        "statement_timeout = '1ms'",
        "lock_timeout = '1ms'",
        "idle_in_transaction_session_timeout = '1ms'",
        "default_transaction_isolation = serializable",
        "default_transaction_read_only = on",
        "default_transaction_deferrable = on",
        "standard_conforming_strings = off",
        "wal_sender_timeout = '1s'",
    ] {
        stage.run(&format!("ALTER ROLE pgsrc_settings SET {setting}"));
    }
    let settings = |stage: &Stage, plugin| {
        let address =
            Address { user: "pgsrc_settings".into(), password: crate::secret::Secret::new("x"), ..address() };
        Settings { address, ..stage.settings(plugin) }
    };
    let mut sources = [Plugin::Pgoutput, Plugin::Wal2json].map(|plugin| {
        let mut source = PostgresSource::new(settings(&stage, plugin));
        source.start(None).unwrap();
        source
    });
    stage.run(
        "INSERT INTO SCHEMA_.test VALUES (1, '2026-02-01 12:00:00+00', '1 year -2 days 03:04:05.6', 0.1, \
         '\\xcafe', 1234.5, 'pgsrc_settings.test')",
    );
    let mut database = open(&settings(&stage, Plugin::Pgoutput).address).unwrap();
    let (mut scanned, schema) = (Vec::new(), stage.schema.clone());
    let scan = database.scan(&schema, "test", &mut |batch| {
        scanned.extend(batch.rows().iter().map(|row| line(batch, row)));
        Ok(())
    });
    scan.unwrap();
    let expected = "ts:timestamp with time zone=Text \"2026-02-01 12:00:00+00\", iv:interval=Text \"1 year \
        -2 days +03:04:05.6\", \
                    f:double precision=Literal \"0.1\", by:bytea=Text \"cafe\", m:money=Text \"$1,234.50\", \
                    r:regclass=Text \"pgsrc_settings.test\"";
    let streamed = sources.iter_mut().map(|source| read_to_head(source).lines).collect::<Vec<_>>();
    for lines in streamed.iter().chain([&scanned]) {
        assert!(lines.len() == 1 && lines[0].contains(expected), "{lines:#?}");
    }
    drop(sources);
    drop(database);
    stage.run("DROP ROLE pgsrc_settings");
}

/// A policy makes a look at the rows fail; it never looks as if there were none.
#[test]
fn live_rows_behind_a_policy_are_not_taken_for_none() {
    let mut stage = Stage::new("policy");
    stage.run("CREATE TABLE SCHEMA_.test (id int PRIMARY KEY)");
    stage.run("INSERT INTO SCHEMA_.test VALUES (1)");
    stage.run("ALTER TABLE SCHEMA_.test ENABLE ROW LEVEL SECURITY");
    let _ = stage.database.execute("DROP OWNED BY pgsrc_policy; DROP ROLE pgsrc_policy");
    stage.run("CREATE ROLE pgsrc_policy LOGIN REPLICATION PASSWORD 'x'");
    stage.run("GRANT USAGE ON SCHEMA SCHEMA_ TO pgsrc_policy");
    stage.run("GRANT SELECT ON SCHEMA_.test TO pgsrc_policy");
    let address =
        Address { user: "pgsrc_policy".into(), password: crate::secret::Secret::new("x"), ..address() };
    let mut database = open(&address).unwrap();
    let schema = stage.schema.clone();
    let scan = database.scan(&schema, "test", &mut |_| Ok(())).expect_err("a policy hides the row");
    assert!(scan.to_string().contains("row-level security"), "{scan}");
    let hint = scan.hint_text().unwrap_or_default().to_owned();
    let settings = Settings { snapshot: Snapshot::Initial, address, ..stage.settings(Plugin::Wal2json) };
    let start = PostgresSource::new(settings).start(None).expect_err("the table is not empty");
    assert!(start.to_string().contains("row-level security"), "{start}");
    // The hint is a statement behind the reason.
    stage.run(hint.split_once(": ").unwrap().1);
    drop(database);
    let password = crate::secret::Secret::new("x");
    let address = Address { user: "pgsrc_policy".into(), password, ..super::address() };
    let mut rows = 0;
    let scan = open(&address).unwrap().scan(&schema, "test", &mut |batch| {
        rows += batch.rows().len();
        Ok(())
    });
    scan.unwrap();
    assert_eq!(rows, 1);
    stage.run("DROP OWNED BY pgsrc_policy");
    stage.run("DROP ROLE pgsrc_policy");
}

/// `C3 A9` is two letters in LATIN1, and one in UTF-8.
#[test]
fn live_a_latin1_database_is_converted() {
    let mut server = open(&address()).unwrap();
    let drop_slots = "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name \
        LIKE 'pgsrc_latin1_%'";
    server.query(drop_slots).unwrap();
    server.execute("DROP DATABASE IF EXISTS pgsrc_latin1").unwrap();
    server.execute("CREATE DATABASE pgsrc_latin1 TEMPLATE template0 ENCODING LATIN1 LC_COLLATE 'C' LC_CTYPE \
        'C'").unwrap();
    let address = Address { database: "pgsrc_latin1".into(), ..address() };
    let mut database = open(&address).unwrap();
    database.execute("CREATE TABLE test (id int PRIMARY KEY, \"größe\" text)").unwrap();
    let tables = Tables::parse(&["test".to_owned()], DEFAULT_SCHEMA).unwrap();
    let streamed = [Plugin::Pgoutput, Plugin::Wal2json].map(|plugin| {
        let slot = format!("pgsrc_latin1_{}", plugin.name());
        let settings = Settings::new("latin1", address.clone(), tables.clone(), Snapshot::Never);
        let settings = Settings { plugin, slot, ..settings };
        let mut source = PostgresSource::new(settings);
        source.start(None).unwrap();
        source
    });
    database.execute("INSERT INTO test VALUES (1, 'Ã©'), (2, 'é'), (3, 'plain')").unwrap();
    let lines = streamed.map(|mut source| without_place(&read_to_head(&mut source).lines).join("\n"));
    for (id, value) in [(1, "Ã©"), (2, "é"), (3, "plain")] {
        assert!(lines[0].contains(&format!("id*:integer=Literal \"{id}\", größe:text=Text {value:?}")), "{}", lines[0]);
    }
    assert_eq!(lines[0], lines[1]);
    drop(database);
    std::thread::sleep(Duration::from_millis(200));
    server.query(drop_slots).unwrap();
    server.execute("DROP DATABASE pgsrc_latin1").unwrap();
}
