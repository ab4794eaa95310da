//! What the server leaves out of a stream stops the source, with a way out that works.

use super::*;
use crate::Error;

/// Reads until the source fails; answers the rows before, and the failure.
#[track_caller]
fn read_to_failure(source: &mut PostgresSource) -> (Vec<String>, Error) {
    let (mut batch, mut lines, since) = (Batch::default(), Vec::new(), Instant::now());
    while since.elapsed() < Duration::from_mins(1) {
        batch.clear();
        if let Err(error) = source.read(&mut batch, Duration::from_millis(200)) {
            return (lines, error);
        }
        lines.extend(batch.rows().iter().map(|row| line(&batch, row)));
    }
    panic!("no failure: {lines:#?}");
}

#[track_caller]
fn says(error: &Error, fact: &str, hint: &str) {
    assert_eq!(error.kind(), crate::error::ErrorKind::Stop, "{error}");
    assert!(error.to_string().contains(fact), "{error}");
    assert!(error.hint_text().unwrap_or_default().contains(hint), "{error} hint: {:?}", error.hint_text());
}

fn stage(name: &str) -> Stage {
    let mut stage = Stage::new(name);
    stage.run("CREATE TABLE SCHEMA_.test (id int PRIMARY KEY, v text)");
    stage
}

#[test]
fn live_wal2json_warns_of_a_row_without_identity() {
    let mut stage = stage("no_identity");
    let mut source = PostgresSource::new(stage.settings(Plugin::Wal2json));
    source.start(None).unwrap();
    stage.run("CREATE TABLE public.pgsrc_elsewhere (id int)");
    stage.run("INSERT INTO public.pgsrc_elsewhere VALUES (1)");
    stage.run("UPDATE public.pgsrc_elsewhere SET id = 2");
    stage.run("DROP TABLE public.pgsrc_elsewhere");
    stage.run("INSERT INTO SCHEMA_.test VALUES (1, 'a')");
    stage.run("ALTER TABLE SCHEMA_.test DROP CONSTRAINT test_pkey");
    stage.run("UPDATE SCHEMA_.test SET v = 'b'");
    let (lines, error) = read_to_failure(&mut source);
    assert_eq!(lines.len(), 1, "a table that is not captured warns of nothing: {lines:#?}");
    says(&error, "wal2json left out a change of table \"pgsrc_no_identity.test\"", "REPLICA IDENTITY FULL");
}

#[test]
fn live_a_dropped_publication_stops_the_source() {
    let mut stage = stage("dropped");
    let mut source = PostgresSource::new(stage.settings(Plugin::Pgoutput));
    source.start(None).unwrap();
    stage.run("INSERT INTO SCHEMA_.test VALUES (1, 'a')");
    assert_eq!(read_to_head(&mut source).lines.len(), 1);
    stage.run("DROP PUBLICATION pgsrc_dropped_pgoutput");
    stage.run("INSERT INTO SCHEMA_.test VALUES (2, 'b')");
    says(
        &read_to_failure(&mut source).1,
        "publication \"pgsrc_dropped_pgoutput\" does not exist",
        "another name",
    );
}

#[test]
fn live_a_publication_that_is_changed_stops_the_source_once() {
    let server = open(&address()).unwrap().query("SHOW server_version_num").unwrap()[0][0]
        .as_deref()
        .unwrap()
        .parse::<u32>()
        .unwrap();
    let changes = [
        ("flags", "ALTER PUBLICATION pgsrc_changed_pgoutput SET (publish = 'insert')", 13),
        ("rows", "ALTER PUBLICATION pgsrc_changed_pgoutput SET TABLE ONLY SCHEMA_.test WHERE (id > 5)", 15),
        ("columns", "ALTER PUBLICATION pgsrc_changed_pgoutput SET TABLE ONLY SCHEMA_.test (id)", 15),
        ("table", "ALTER PUBLICATION pgsrc_changed_pgoutput DROP TABLE ONLY SCHEMA_.test", 13),
    ];
    let mut stage = stage("changed");
    for (id, (what, change, _)) in
        changes.iter().enumerate().filter(|(_, (_, _, since))| server >= since * 10_000)
    {
        let mut source = PostgresSource::new(stage.settings(Plugin::Pgoutput));
        let start = source.start(None).unwrap();
        stage.run(change);
        let (_, error) = read_to_failure(&mut source);
        says(&error, "without a part of the changes of pgsrc_changed.test", "start again to go on");
        drop(source);
        let mut source = PostgresSource::new(stage.settings(Plugin::Pgoutput));
        source.start(Some(&start)).unwrap();
        stage.run(&format!("INSERT INTO SCHEMA_.test VALUES ({id}, 'text')"));
        let lines = read_to_head(&mut source).lines;
        // Nothing is confirmed, so those of the changes before come again.
        assert!(lines.len() == id + 1 && lines[id].contains("text"), "{what}: {lines:#?}");
        // What was changed while nothing ran is noticed by the start.
        drop(source);
        stage.run(change);
        if *what != "table" {
            let error =
                PostgresSource::new(stage.settings(Plugin::Pgoutput)).start(Some(&start)).expect_err(what);
            says(&error, "without a part of the changes of pgsrc_changed.test", "list_sync verify");
        }
        let mut catalog = catalog::Catalog::open(&address()).unwrap();
        let settings = stage.settings(Plugin::Pgoutput);
        PostgresSource::new(settings.clone()).start(Some(&start)).unwrap();
        let captured = catalog.captured(&settings.tables).unwrap();
        assert!(publication::changes(&mut catalog, &settings, &captured).unwrap().is_empty(), "{what}");
    }
}

/// Somebody else's publication is not changed. Both ways out of the hint are tried.
#[test]
fn live_a_foreign_publication_is_refused() {
    let mut stage = stage("foreign");
    let _ = stage.database.execute("DROP PUBLICATION IF EXISTS pgsrc_theirs");
    let settings = Settings { publication: "pgsrc_theirs".into(), ..stage.settings(Plugin::Pgoutput) };
    for as_owner in [true, false] {
        stage.run("CREATE PUBLICATION pgsrc_theirs FOR TABLE SCHEMA_.test WITH (publish = 'insert, update')");
        let error = PostgresSource::new(settings.clone()).start(None).expect_err("a part is missing");
        says(
            &error,
            "was not made by list_sync, and leaves out changes of pgsrc_foreign.test",
            "run as its owner: ALTER PUBLICATION",
        );
        let published = "SELECT pubdelete FROM pg_publication WHERE pubname = 'pgsrc_theirs'";
        assert_eq!(stage.database.query(published).unwrap()[0][0].as_deref(), Some("f"), "it is as it was");
        let hint = error.hint_text().unwrap().strip_prefix("run as its owner: ").unwrap();
        let (statements, comment) = hint.split_once("; or let list_sync do it: ").unwrap();
        for statement in if as_owner { statements } else { comment }.split("; ") {
            stage.run(statement);
        }
        PostgresSource::new(settings.clone()).start(None).unwrap();
        assert_eq!(stage.database.query(published).unwrap()[0][0].as_deref(), Some("t"));
        stage.run("DROP PUBLICATION pgsrc_theirs");
    }
}

/// A lock on one table holds up neither the stream nor a connection of the server.
#[test]
fn live_a_locked_table_holds_nothing_up() {
    let mut stage = stage("locked");
    let mut source = PostgresSource::new(stage.settings(Plugin::Pgoutput));
    source.start(None).unwrap();
    stage.run("CREATE TABLE SCHEMA_.later (id int PRIMARY KEY)");
    let mut other = open(&address()).unwrap();
    other.execute("BEGIN; LOCK TABLE pgsrc_locked.later IN SHARE UPDATE EXCLUSIVE MODE").unwrap();
    let waiting = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'ALTER PUBLICATION%pgsrc_locked%' \
        AND wait_event_type = 'Lock'";
    let (mut batch, since, mut waited) = (Batch::default(), Instant::now(), false);
    while since.elapsed() < Duration::from_secs(30)
        && source.session.as_ref().is_some_and(|session| session.look_pause.as_secs() < 10)
    {
        batch.clear();
        source.read(&mut batch, Duration::from_millis(100)).unwrap();
        waited |= since.elapsed() > Duration::from_secs(5);
    }
    assert!(
        waited && since.elapsed() < Duration::from_secs(15),
        "one try with a short patience: {:?}",
        since.elapsed()
    );
    assert_eq!(stage.database.query(waiting).unwrap()[0][0].as_deref(), Some("0"));
    stage.run("INSERT INTO SCHEMA_.test VALUES (1, 'a')");
    assert_eq!(read_to_head(&mut source).lines.len(), 1);
    other.execute("ROLLBACK").unwrap();
}

#[test]
fn live_children_by_inheritance_stay_out() {
    let mut stage = stage("inherits");
    stage.run("CREATE TABLE SCHEMA_.child () INHERITS (SCHEMA_.test)");
    let tables = Tables::parse(&["pgsrc_inherits.test".to_owned()], DEFAULT_SCHEMA).unwrap();
    let settings = Settings { tables, ..stage.settings(Plugin::Pgoutput) };
    let mut source = PostgresSource::new(settings.clone());
    source.start(None).unwrap();
    stage.run("INSERT INTO SCHEMA_.child VALUES (1, 'a')");
    stage.run("UPDATE SCHEMA_.child SET v = 'b'");
    assert_eq!(read_to_head(&mut source).lines.len(), 0);
    let mut catalog = catalog::Catalog::open(&address()).unwrap();
    let captured = catalog.captured(&settings.tables).unwrap();
    assert!(publication::changes(&mut catalog, &settings, &captured).unwrap().is_empty());
}

/// The log has the rows of a table under the name that it had then.
#[test]
fn live_tables_that_are_gone_are_read_to_their_end() {
    for plugin in [Plugin::Pgoutput, Plugin::Wal2json] {
        for change in ["DROP TABLE SCHEMA_.test", "ALTER TABLE SCHEMA_.test RENAME TO elsewhere"] {
            let mut stage = stage("gone");
            let tables = Tables::parse(&["pgsrc_gone.test".to_owned()], DEFAULT_SCHEMA).unwrap();
            let settings = Settings { tables, ..stage.settings(plugin) };
            let mut source = PostgresSource::new(settings.clone());
            let start = source.start(None).unwrap();
            drop(source);
            stage.run("INSERT INTO SCHEMA_.test VALUES (1, 'a')");
            stage.run("UPDATE SCHEMA_.test SET v = 'b'");
            stage.run(change);
            let mut source = PostgresSource::new(settings);
            source.start(Some(&start)).unwrap();
            let lines = read_to_head(&mut source).lines;
            assert_eq!(lines.len(), 2, "{plugin:?} {change}: {lines:#?}");
        }
    }
}

#[test]
fn live_a_partition_truncated_alone_stops_wal2json() {
    let mut stage = Stage::new("part");
    stage.run("CREATE TABLE SCHEMA_.test (id int PRIMARY KEY) PARTITION BY RANGE (id)");
    stage.run("CREATE TABLE SCHEMA_.part PARTITION OF SCHEMA_.test FOR VALUES FROM (0) TO (10)");
    let mut source = PostgresSource::new(stage.settings(Plugin::Wal2json));
    source.start(None).unwrap();
    stage.run("INSERT INTO SCHEMA_.test VALUES (1)");
    stage.run("TRUNCATE SCHEMA_.test");
    stage.run("INSERT INTO SCHEMA_.test VALUES (2)");
    stage.run("TRUNCATE SCHEMA_.part");
    let (lines, error) = read_to_failure(&mut source);
    assert_eq!(lines.len(), 3, "what came before is good: {lines:#?}");
    says(
        &error,
        "partition \"pgsrc_part.part\" of table \"pgsrc_part.test\" was truncated alone",
        "!pgsrc_part.test",
    );
}

/// The good transactions before a bad row are handed out, and not read again.
#[test]
fn live_a_bad_row_costs_only_itself() {
    let mut stage = stage("bad_row");
    stage.run("CREATE TABLE SCHEMA_.bad (n float8 PRIMARY KEY)");
    let mut source = PostgresSource::new(stage.settings(Plugin::Wal2json));
    source.start(None).unwrap();
    for id in 0..20 {
        stage.run(&format!("INSERT INTO SCHEMA_.test VALUES ({id}, 'a')"));
    }
    stage.run("INSERT INTO SCHEMA_.bad VALUES ('NaN')");
    stage.run("INSERT INTO SCHEMA_.test VALUES (20, 'a')");
    let (mut batch, mut count, mut last) = (Batch::default(), 0, None);
    let error = loop {
        batch.clear();
        if let Err(error) = source.read(&mut batch, Duration::from_secs(2)) {
            break error;
        }
        count += batch.rows().len();
        last = batch.checkpoint.take().or(last);
    };
    assert_eq!(count, 20);
    says(
        &error,
        "the key of a row of table \"pgsrc_bad_row.bad\" is NaN or an infinity",
        "!pgsrc_bad_row.bad",
    );
    drop(source);
    let tables =
        Tables::parse(&["pgsrc_bad_row.*".to_owned(), "!pgsrc_bad_row.bad".to_owned()], DEFAULT_SCHEMA)
            .unwrap();
    let mut source = PostgresSource::new(Settings { tables, ..stage.settings(Plugin::Wal2json) });
    source.start(last.as_ref()).unwrap();
    assert_eq!(read_to_head(&mut source).lines.len(), 1, "the hint loses nothing of the other tables");
}
