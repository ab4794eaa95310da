//! A source that starts again goes on where the checkpoint says, with the same positions.

use super::*;
use crate::change::Restart;

fn insert(stage: &mut Stage, from: u32, count: u32) {
    stage.run(&format!(
        "INSERT INTO SCHEMA_.test SELECT g, 'v' || g FROM generate_series({from}, {}) g",
        from + count - 1
    ));
}

fn stage(name: &str) -> Stage {
    let mut stage = Stage::new(name);
    stage.run("CREATE TABLE SCHEMA_.test (id int PRIMARY KEY, v text)");
    stage
}

/// Waits until the server has heard what was confirmed.
#[track_caller]
fn wait_for_confirmed(stage: &mut Stage, plugin: Plugin, checkpoint: &Checkpoint) {
    let Restart::Postgres { lsn, .. } = checkpoint.restart else { panic!("{checkpoint:?}") };
    let slot = format!("{}_{}", stage.schema, plugin.name());
    let ask = format!("SELECT confirmed_flush_lsn FROM pg_replication_slots WHERE slot_name = '{slot}'");
    let since = Instant::now();
    while stage.database.query(&ask).unwrap()[0][0].as_deref().and_then(slot::parse_lsn) != Some(lsn) {
        assert!(since.elapsed() < Duration::from_secs(30), "{checkpoint:?} is not confirmed");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn live_a_new_start_loses_and_repeats_nothing() {
    for plugin in [Plugin::Pgoutput, Plugin::Wal2json] {
        let mut stage = stage("resume");
        let mut source = PostgresSource::new(stage.settings(plugin));
        let start = source.start(None).unwrap();
        for transaction in 0..20 {
            insert(&mut stage, transaction * 1000, 150);
        }
        let whole = read_to_head(&mut source);
        assert_eq!(whole.positions.len(), 3_000);
        // Nothing was confirmed, so a new start at the first checkpoint gives all again; at each later one,
        // all after it.
        for checkpoint in [&start].into_iter().chain(&whole.checkpoints) {
            drop(source);
            source = PostgresSource::new(stage.settings(plugin));
            let started = source.start(Some(checkpoint)).unwrap();
            assert_eq!((started.position, &started.restart), (checkpoint.position, &checkpoint.restart));
            let rest = read_to_head(&mut source);
            let expected = whole
                .positions
                .iter()
                .position(|position| *position >= checkpoint.position)
                .unwrap_or(whole.lines.len());
            assert_eq!(rest.lines, whole.lines[expected..], "{plugin:?}");
        }
        // What is confirmed is released, and cannot be read again.
        let last = whole.checkpoints.last().unwrap();
        source.confirm(last).unwrap();
        wait_for_confirmed(&mut stage, plugin, last);
        drop(source);
        let error = PostgresSource::new(stage.settings(plugin)).start(Some(&start)).unwrap_err();
        assert!(error.to_string().contains("past the saved"), "{error}");
    }
}

/// A publication names tables one by one: one that is made while the stream runs, or that takes another's
/// name, is let in while it is empty.
#[test]
fn live_tables_that_come_later_are_captured() {
    let mut stage = stage("later");
    let mut source = PostgresSource::new(stage.settings(Plugin::Pgoutput));
    source.start(None).unwrap();
    stage.run("CREATE TABLE SCHEMA_.later (id int PRIMARY KEY, v text)");
    stage.run("ALTER TABLE SCHEMA_.test RENAME TO before");
    stage.run("CREATE TABLE SCHEMA_.test (id int PRIMARY KEY, v text)");
    let listed = "SELECT count(*) FROM pg_publication_tables WHERE schemaname = 'SCHEMA_'"
        .replace("SCHEMA_", &stage.schema);
    let (mut batch, since) = (Batch::default(), Instant::now());
    while stage.database.query(&listed).unwrap()[0][0].as_deref() != Some("3") {
        assert!(since.elapsed() < Duration::from_mins(1), "the new tables are not published");
        batch.clear();
        source.read(&mut batch, Duration::from_millis(100)).unwrap();
    }
    stage.run("INSERT INTO SCHEMA_.later VALUES (1, 'a')");
    insert(&mut stage, 1, 2);
    let lines = read_to_head(&mut source).lines;
    let of = |table: &str| {
        lines.iter().filter(|line| line.contains(&format!("Insert {}.{table} ", stage.schema))).count()
    };
    assert_eq!((of("later"), of("test")), (1, 2), "{lines:#?}");
    // All of them gone: there is no statement for an empty list.
    let mut catalog = catalog::Catalog::open(&address()).unwrap();
    assert!(publication::changes(&mut catalog, &stage.settings(Plugin::Pgoutput), &[]).is_ok());
}

/// The old row of a table with `REPLICA IDENTITY FULL` tells the large value that the new one leaves out;
/// nothing before has the new key.
#[test]
fn live_a_large_value_goes_along_when_the_key_changes() {
    for plugin in [Plugin::Pgoutput, Plugin::Wal2json] {
        let mut stage = Stage::new("large");
        stage.run("CREATE TABLE SCHEMA_.test (id int PRIMARY KEY, big text, v int)");
        stage.run("ALTER TABLE SCHEMA_.test REPLICA IDENTITY FULL");
        let mut source = PostgresSource::new(stage.settings(plugin));
        source.start(None).unwrap();
        stage.run(
            "INSERT INTO SCHEMA_.test SELECT 1, string_agg(md5(g::text), ''), 0 FROM \
            generate_series(1, 2000) g",
        );
        stage.run("UPDATE SCHEMA_.test SET id = 9");
        let lines = read_to_head(&mut source).lines;
        let big = |line: &String| line.matches("big*:text=Text \"c4ca4238a0b923820dcc509a6f75849b").count();
        assert_eq!(
            lines.iter().map(big).collect::<Vec<_>>(),
            [1, 1, 1],
            "{plugin:?}: {:?}",
            lines.iter().map(|line| &line[..90]).collect::<Vec<_>>()
        );
    }
}

#[test]
fn live_an_interrupted_transaction_comes_again_with_the_same_positions() {
    let mut stage = stage("interrupted");
    let mut source = PostgresSource::new(stage.settings(Plugin::Pgoutput));
    let start = source.start(None).unwrap();
    insert(&mut stage, 0, 20_000);
    let mut batch = Batch::default();
    source.read(&mut batch, Duration::from_secs(9)).unwrap();
    assert!(!batch.rows().is_empty() && batch.rows().len() < 20_000);
    let first: Vec<_> = batch.rows().iter().map(|row| line(&batch, row)).collect();
    let mut source = {
        drop(source);
        PostgresSource::new(stage.settings(Plugin::Pgoutput))
    };
    source.start(Some(&start)).unwrap();
    let whole = read_to_head(&mut source);
    assert_eq!(whole.lines.len(), 20_000);
    assert_eq!(whole.lines[..first.len()], first);
}

#[test]
fn live_an_idle_slot_moves_on() {
    let mut stage = stage("idle");
    let mut source = PostgresSource::new(stage.settings(Plugin::Pgoutput));
    let start = source.start(None).unwrap();
    stage.run("CREATE TABLE public.pgsrc_other (id int)");
    for _ in 0..50 {
        stage.run("INSERT INTO public.pgsrc_other SELECT generate_series(1, 100)");
    }
    stage.run("DROP TABLE public.pgsrc_other");
    let since = Instant::now();
    let reading = read_to_head(&mut source);
    assert!(since.elapsed() < Duration::from_secs(2), "{:?}", since.elapsed());
    assert_eq!(reading.lines.len(), 0);
    let last = reading.checkpoints.last().unwrap();
    assert!(last.position > start.position);
    source.confirm(last).unwrap();
    wait_for_confirmed(&mut stage, Plugin::Pgoutput, last);
}

#[test]
fn live_a_new_table_is_captured_after_the_next_start() {
    let mut stage = stage("new_table");
    let mut source = PostgresSource::new(stage.settings(Plugin::Pgoutput));
    source.start(None).unwrap();
    insert(&mut stage, 0, 1);
    let last = read_to_head(&mut source).checkpoints.pop().unwrap();
    stage.run("CREATE TABLE SCHEMA_.later (id int PRIMARY KEY)");
    drop(source);
    let mut source = PostgresSource::new(stage.settings(Plugin::Pgoutput));
    source.start(Some(&last)).unwrap();
    stage.run("INSERT INTO SCHEMA_.later VALUES (1)");
    assert_eq!(read_to_head(&mut source).lines.len(), 1);
}
