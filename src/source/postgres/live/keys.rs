//! The key of a table is one decision, from what every event of it carries.

use super::*;

/// What a line says of operation and key.
fn keys(lines: &[String]) -> Vec<String> {
    let key = |line: &String| {
        let (operation, rest) = line.split_once(' ').unwrap().1.split_once(' ').unwrap();
        format!("{operation} {}", rest.split_once(" key ").unwrap().1.split_once(']').unwrap().0)
    };
    lines.iter().map(key).collect()
}

#[test]
fn live_an_index_beside_the_primary_key() {
    for plugin in [Plugin::Pgoutput, Plugin::Wal2json] {
        let mut stage = Stage::new("index_key");
        stage.run("CREATE TABLE SCHEMA_.test (id int PRIMARY KEY, v text, u int NOT NULL UNIQUE)");
        stage.run("ALTER TABLE SCHEMA_.test REPLICA IDENTITY USING INDEX test_u_key");
        let mut source = PostgresSource::new(stage.settings(plugin));
        source.start(None).unwrap();
        stage.run("INSERT INTO SCHEMA_.test VALUES (1, 'a', 7)");
        stage.run("UPDATE SCHEMA_.test SET v = 'b'");
        stage.run("UPDATE SCHEMA_.test SET id = 2");
        stage.run("DELETE FROM SCHEMA_.test");
        let lines = read_to_head(&mut source).lines;
        let expected = ["Insert [\"u\"", "Update [\"u\"", "Update [\"u\"", "Delete [\"u\""];
        assert_eq!(keys(&lines), expected, "{plugin:?}: {lines:#?}");
    }
}

#[test]
fn live_a_generated_column_in_the_primary_key() {
    let version = catalog::Catalog::open(&address()).unwrap().version().unwrap();
    for plugin in [Plugin::Pgoutput, Plugin::Wal2json] {
        let mut stage = Stage::new("computed_key");
        stage.run(
            "CREATE TABLE SCHEMA_.test (id int, g int GENERATED ALWAYS AS (id % 3) STORED, v text, \
            PRIMARY KEY (id, g))",
        );
        let mut source = PostgresSource::new(stage.settings(plugin));
        source.start(None).unwrap();
        stage.run("INSERT INTO SCHEMA_.test VALUES (1, DEFAULT, 'a')");
        if plugin == Plugin::Pgoutput && version < 18 {
            assert_eq!(keys(&read_to_head(&mut source).lines), ["Insert ["], "half a key is none");
            stage.run("UPDATE SCHEMA_.test SET v = 'b'");
            let mut batch = Batch::default();
            let error = (0..9)
                .find_map(|_| source.read(&mut batch, Duration::from_secs(1)).err())
                .expect("must fail");
            assert!(error.to_string().contains("has a generated column in its replica identity"), "{error}");
            assert!(error.hint_text().unwrap().contains("REPLICA IDENTITY FULL"), "{error}");
            continue;
        }
        stage.run("UPDATE SCHEMA_.test SET v = 'b'");
        stage.run("DELETE FROM SCHEMA_.test");
        let lines = read_to_head(&mut source).lines;
        assert_eq!(
            keys(&lines),
            ["Insert [\"id\", \"g\"", "Update [\"id\", \"g\"", "Delete [\"id\", \"g\""],
            "{plugin:?}: {lines:#?}"
        );
    }
}

/// The server refuses updates of a published table whose whole row is its identity, if a column of it is
/// computed when it is read.
#[test]
fn live_a_virtual_column_and_the_whole_row() {
    let mut stage = Stage::new("virtual");
    let mut catalog = catalog::Catalog::open(&address()).unwrap();
    let version = catalog.version().unwrap();
    let kind = if version < 18 { "STORED" } else { "VIRTUAL" };
    stage.run(&format!(
        "CREATE TABLE SCHEMA_.test (id int PRIMARY KEY, v int, g int GENERATED ALWAYS AS (v * 2) {kind})"
    ));
    stage.run("ALTER TABLE SCHEMA_.test REPLICA IDENTITY FULL");
    let settings = stage.settings(Plugin::Pgoutput);
    let captured = catalog.captured(&settings.tables).unwrap();
    let is_refused = checks::lacks_identity(&captured[0], Plugin::Pgoutput, version);
    assert!(!checks::lacks_identity(&captured[0], Plugin::Wal2json, version));
    let mut source = PostgresSource::new(settings);
    source.start(None).unwrap();
    stage.run("INSERT INTO SCHEMA_.test VALUES (1, 5)");
    let update = "UPDATE pgsrc_virtual.test SET v = 6";
    assert_eq!(stage.database.execute(update).is_err(), is_refused, "the server's word");
    if is_refused {
        let statement = checks::identity_statement(&captured[0]).unwrap();
        assert!(checks::identity_hint(&captured[0]).contains(&statement));
        stage.run(&statement);
        stage.run(update);
    }
    assert_eq!(keys(&read_to_head(&mut source).lines), ["Insert [\"id\"", "Update [\"id\""]);
}

#[test]
fn live_keys_that_are_no_number() {
    let mut stage = Stage::new("nan_key");
    stage.run("CREATE TABLE SCHEMA_.test (n float8 PRIMARY KEY, v float8)");
    let mut source = PostgresSource::new(stage.settings(Plugin::Pgoutput));
    source.start(None).unwrap();
    stage.run("INSERT INTO SCHEMA_.test VALUES ('NaN', 'NaN'), ('Infinity', 1)");
    stage.run("DELETE FROM SCHEMA_.test");
    let lines = read_to_head(&mut source).lines;
    for (line, value) in lines.iter().zip(["NaN", "Infinity", "NaN", "Infinity"]) {
        assert!(line.contains(&format!("n*:double precision=Text {value:?}")), "{line}");
    }
    assert_eq!(lines.len(), 4);
}

/// With the whole row as the identity, the log does not say which columns were the key when a row was
/// written.
#[test]
fn live_a_key_that_moved_is_not_given_to_older_rows() {
    let mut stage = Stage::new("moved_key");
    stage.run("CREATE TABLE SCHEMA_.test (id int PRIMARY KEY, b int NOT NULL)");
    stage.run("ALTER TABLE SCHEMA_.test REPLICA IDENTITY FULL");
    let mut source = PostgresSource::new(stage.settings(Plugin::Pgoutput));
    source.start(None).unwrap();
    stage.run("INSERT INTO SCHEMA_.test VALUES (1, 7)");
    stage.run("ALTER TABLE SCHEMA_.test DROP CONSTRAINT test_pkey, ADD PRIMARY KEY (b)");
    stage.run("INSERT INTO SCHEMA_.test VALUES (2, 8)");
    let lines = read_to_head(&mut source).lines;
    assert_eq!(keys(&lines), ["Insert [", "Insert [\"b\""], "{lines:#?}");
}
