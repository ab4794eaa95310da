//! The server is the one that the saved place was read from; places that an older list_sync saved are read
//! too.

use super::*;

#[track_caller]
fn refused(stage: &Stage, saved: &Checkpoint, fact: &str) {
    let error = PostgresSource::new(stage.settings(Plugin::Pgoutput)).start(Some(saved)).expect_err(fact);
    assert_eq!(error.kind(), crate::error::ErrorKind::Stop, "{error}");
    assert!(error.to_string().contains(fact), "{error}");
    assert!(error.hint_text().unwrap_or_default().contains("another name"), "{:?}", error.hint_text());
}

#[test]
fn live_a_place_of_another_log_is_refused() {
    let mut stage = Stage::new("origin");
    stage.run("CREATE TABLE SCHEMA_.test (id int PRIMARY KEY)");
    let mut source = PostgresSource::new(stage.settings(Plugin::Pgoutput));
    let start = source.start(None).unwrap();
    drop(source);
    let with = |mark: &str, value: &str| {
        let mut saved = start.clone();
        saved.identity.insert(mark.to_owned(), value.to_owned());
        saved
    };
    let Restart::Postgres { lsn, .. } = start.restart else { panic!("{start:?}") };
    refused(
        &stage,
        &Checkpoint { restart: Restart::Postgres { lsn: lsn + (1 << 40), last: None }, ..start.clone() },
        "its log ends at",
    );
    refused(&stage, &with("slot_restart", &slot::print_lsn(lsn + (1 << 40))), "its slot went back from");
    refused(&stage, &with("timeline", "7"), "its timeline was 7 and is 1");
    refused(&stage, &with("database", "other"), "belongs to another server");
    // As version 1.0.0-alpha.1 saved them.
    let mut old = start.clone();
    old.identity.retain(|mark, _| ["system", "database", "slot"].contains(&mark.as_str()));
    let mut source = PostgresSource::new(stage.settings(Plugin::Pgoutput));
    let started = source.start(Some(&old)).unwrap();
    assert_eq!(started.identity.len(), start.identity.len(), "the next one that is saved has them all");
    stage.run("INSERT INTO SCHEMA_.test VALUES (1)");
    assert_eq!(read_to_head(&mut source).lines.len(), 1);
}
