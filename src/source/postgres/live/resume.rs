//! A source that starts again goes on where the checkpoint says, with the same positions.

use super::*;
use crate::change::Restart;

fn insert(stage: &mut Stage, from: u32, count: u32) {
    stage.run(&format!("INSERT INTO SCHEMA_.test SELECT g, 'v' || g FROM generate_series({from}, {}) g", from + count - 1));
}

fn stage(name: &str) -> Stage {
    let mut stage = Stage::new(name);
    stage.run("CREATE TABLE SCHEMA_.test (id int PRIMARY KEY, v text)");
    stage
}

#[test]
fn live_a_new_start_loses_and_repeats_nothing() {
    for plugin in [Plugin::Pgoutput, Plugin::Wal2json] {
        let mut stage = stage("resume");
        let mut source = PostgresSource::new(stage.settings(plugin));
        let start = source.start(None).unwrap();
        for transaction in 0..20 {
            insert(&mut stage, transaction * 1000, 700);
        }
        let whole = read_to_head(&mut source);
        assert_eq!(whole.positions.len(), 14_000);
        // Nothing was confirmed, so a new start at the first checkpoint gives all again; at each later one, all after it.
        for checkpoint in [&start].into_iter().chain(&whole.checkpoints) {
            drop(source);
            source = PostgresSource::new(stage.settings(plugin));
            assert_eq!(&source.start(Some(checkpoint)).unwrap(), checkpoint);
            let rest = read_to_head(&mut source);
            let expected = whole.positions.iter().position(|position| *position >= checkpoint.position).unwrap_or(whole.lines.len());
            assert_eq!(rest.lines, whole.lines[expected..], "{plugin:?}");
        }
        // What is confirmed is released, and cannot be read again.
        source.confirm(whole.checkpoints.last().unwrap()).unwrap();
        std::thread::sleep(Duration::from_millis(300));
        drop(source);
        let error = PostgresSource::new(stage.settings(plugin)).start(Some(&start)).unwrap_err();
        assert!(error.to_string().contains("past the saved"), "{error}");
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
    std::thread::sleep(Duration::from_millis(300));
    let confirmed =
        stage.database.query("SELECT confirmed_flush_lsn FROM pg_replication_slots WHERE slot_name = 'pgsrc_idle_pgoutput'").unwrap();
    let confirmed = super::super::slot::parse_lsn(confirmed[0][0].as_deref().unwrap()).unwrap();
    assert_eq!(Restart::Postgres { lsn: confirmed }, last.restart);
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
