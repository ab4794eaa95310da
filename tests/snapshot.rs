//! Snapshots: rows that are there before the stream begins come first, while it goes on; broken off, they go
//! on where they were.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::Value;

use crate::rig::{Counts, OwnPostgres, Pipeline, Program, Run, Server, all_servers, consume_topic, kafka};

/// A test table that holds rows, and a source that was never started and reads them first.
pub fn full(check: &str, server: Server, rows: u64, through_kafka: bool) -> (Pipeline, Counts) {
    let pipeline = Pipeline::new(check, server, true);
    let rows = rows.to_string();
    let seeded = pipeline.run(&[
        "seed",
        "--url",
        &pipeline.server.url,
        "--rows",
        &rows,
        "--batch",
        "2000",
        "--mix",
        "100,0,0",
        "--table",
        &pipeline.table,
    ]);
    let text = pipeline.scratch.read("list_sync.toml").replace("snapshot = \"never\"\n", "");
    let brokers: Vec<String> = kafka().split(',').map(|broker| format!("{broker:?}")).collect();
    let carried =
        if through_kafka { format!("[kafka]\nbrokers = [{}]\n", brokers.join(", ")) } else { String::new() };
    pipeline.scratch.write("list_sync.toml", &format!("{carried}{text}"));
    (pipeline, Counts::parse(&seeded.out))
}

pub fn proved(pipeline: &Pipeline, rows: u64) {
    let proof = pipeline.run(&["verify"]);
    let expected = format!("{rows} rows, 0 missing, 0 extra, 0 different");
    assert!(proof.out.contains(&expected), "{}", proof.out);
}

/// For each key of the topic: the first change is an insert, and no row comes while it is there.
pub fn each_row_comes_once(pipeline: &Pipeline) {
    let mut seen = BTreeSet::new();
    let mut rows: BTreeMap<Vec<u8>, bool> = BTreeMap::new();
    consume_topic(&pipeline.topic(), |partition, key, value, position| {
        // A change of the log may be there twice after a kill, at the same position.
        if !seen.insert((partition, position.to_vec())) {
            return;
        }
        let message: Value = serde_json::from_slice(value).unwrap();
        let is_there = rows.entry(key.to_vec()).or_default();
        let text = String::from_utf8_lossy(key);
        match message["action"].as_str().unwrap() {
            "I" => assert!(!std::mem::replace(is_there, true), "row {text} comes twice: {message}"),
            "U" => assert!(*is_there, "row {text} changes, and never came: {message}"),
            "D" => assert!(std::mem::replace(is_there, false), "row {text} goes, and never came: {message}"),
            other => panic!("{other}"),
        }
    });
}

#[test]
fn rows_that_are_there_come_first_without_kafka() {
    for server in all_servers() {
        let (pipeline, before) = full("there", server, 3_000, false);
        pipeline.run(&["run", "--once"]);
        assert_eq!(pipeline.rows("insert", "I"), before.inserted, "each row once");
        let counts = before + pipeline.seed(500);
        pipeline.run(&["run", "--once"]);
        pipeline.prove(counts);
    }
}

#[test]
fn rows_that_are_there_come_first_through_kafka() {
    for server in all_servers() {
        let (pipeline, before) = full("there_kafka", server, 3_000, true);
        let text = pipeline.scratch.read("list_sync.toml");
        pipeline
            .scratch
            .write("list_sync.toml", &text.replace("tables = [", "headers = [\"snapshot\"]\ntables = ["));
        pipeline.run(&["connect", "--once"]);
        pipeline.run(&["consume", "--once"]);
        assert_eq!(pipeline.rows("insert", "I"), before.inserted, "each row once");
        let counts = before + pipeline.seed(500);
        pipeline.run(&["connect", "--once"]);
        pipeline.run(&["consume", "--once"]);
        pipeline.prove(counts);
        let mut said: BTreeMap<String, u64> = BTreeMap::new();
        for header in crate::rig::headers_in(&pipeline.topic()) {
            let snapshot = header.split("snapshot=").nth(1).unwrap().split([',', ' ']).next().unwrap();
            *said.entry(snapshot.to_owned()).or_default() += 1;
        }
        assert_eq!((said["true"], said["last"]), (before.inserted - 1, 1), "{said:?}");
    }
}

/// `only` reads the rows and ends; a start with `initial` goes on in the log at that very place.
#[test]
fn an_export_goes_on_later() {
    for server in all_servers() {
        let (pipeline, before) = full("export", server, 2_000, false);
        let text = pipeline.scratch.read("list_sync.toml");
        pipeline
            .scratch
            .write("list_sync.toml", &text.replace("tables = [", "snapshot = \"only\"\ntables = ["));
        pipeline.run(&["run", "--once"]);
        assert_eq!(pipeline.rows("insert", "I"), before.inserted);
        let counts = before + pipeline.seed(300);
        pipeline.run(&["run", "--once"]);
        assert_eq!(pipeline.rows("insert", "I"), before.inserted, "nothing follows an export");
        pipeline.scratch.write("list_sync.toml", &text);
        pipeline.run(&["run", "--once"]);
        pipeline.prove(counts);
    }
}

/// The pieces of a line of the log that a snapshot has begun or goes on.
pub fn wait_for_rows(connect: &mut Program) {
    connect.wait_for("snapshot ");
}

fn killed_in_the_snapshot(server: Server) {
    let (pipeline, before) = full("snapkill", server, 60_000, true);
    let load = pipeline.start_load(1_000);
    for pause_ms in [60, 130, 40, 220] {
        let mut connect = pipeline.start("connect", &["connect"]);
        wait_for_rows(&mut connect);
        std::thread::sleep(Duration::from_millis(pause_ms));
        connect.kill();
    }
    let connect = pipeline.start("connect", &["connect"]);
    std::thread::sleep(Duration::from_secs(3));
    assert_eq!(connect.stop(), Some(0));
    let counts = before + Counts::of_ended(load);
    pipeline.run(&["connect", "--once"]);
    pipeline.run(&["consume", "--once"]);
    each_row_comes_once(&pipeline);
    proved(&pipeline, counts.inserted - counts.deleted);
}

#[test]
fn killed_in_the_snapshot_on_postgres() {
    killed_in_the_snapshot(Server::postgres());
}

#[test]
fn killed_in_the_snapshot_on_mysql() {
    killed_in_the_snapshot(Server::mysql());
}

#[test]
fn killed_in_the_snapshot_on_mariadb() {
    killed_in_the_snapshot(Server::mariadb());
}

/// Without Kafka, files and place move as one.
#[test]
fn killed_in_the_snapshot_without_kafka() {
    for server in all_servers() {
        let (pipeline, before) = full("snapkill_direct", server, 60_000, false);
        let load = pipeline.start_load(1_000);
        for pause_ms in [40, 110, 30] {
            let mut run = pipeline.start("run", &["run"]);
            wait_for_rows(&mut run);
            std::thread::sleep(Duration::from_millis(pause_ms));
            run.kill();
        }
        let counts = before + Counts::of_ended(load);
        let _: Run = pipeline.run(&["run", "--once"]);
        proved(&pipeline, counts.inserted - counts.deleted);
    }
}

/// A transaction that waits for a synchronous replica stands in the log, and nobody sees it. The stream
/// leaves
/// it to the chunk, so that the chunk must wait for it; after a kill too.
#[test]
fn a_transaction_that_is_in_the_log_and_not_visible() {
    let own = OwnPostgres::start("unseen_snapshot", "-c wal_level=logical");
    own.server.execute(
        "CREATE TABLE a_big (id int PRIMARY KEY);\nINSERT INTO a_big SELECT generate_series(1, 2000000);\n\
         CREATE TABLE b_small (id int PRIMARY KEY);\nINSERT INTO b_small VALUES (1);\n",
    );
    let sink = "[[sink]]\nname = \"s\"\npath = \"out/{table}\"\ncommit_interval_ms = 100\n";
    own.scratch.write(
        "list_sync.toml",
        &format!(
            "[[source]]\nname = \"unseen\"\nurl = {:?}\ntables = [\"a_big\", \"b_small\"]\n{sink}",
            own.server.url
        ),
    );
    let execute = |statement: &str| own.server.connect().execute(statement).map(drop).unwrap();
    let mut run = Program::start(&own.scratch.folder, "run", &["run"]);
    run.wait_for("snapshot begins");
    execute("ALTER SYSTEM SET synchronous_standby_names = 'nobody'");
    execute("SELECT pg_reload_conf()");
    std::thread::sleep(Duration::from_millis(100));
    let mut session = own.server.connect();
    // Ends with its server, if this test fails.
    let waiting = std::thread::spawn(move || session.execute("INSERT INTO b_small VALUES (2)"));
    run.wait_for("the snapshot waits");
    run.kill();
    let mut again = Program::start(&own.scratch.folder, "again", &["run"]);
    again.wait_for("the snapshot waits");
    execute("ALTER SYSTEM RESET synchronous_standby_names");
    execute("SELECT pg_reload_conf()");
    assert_eq!(waiting.join().unwrap().unwrap(), 1);
    again.wait_for("snapshot complete");
    assert_eq!(again.stop(), Some(0));
    let proof = Program::run(&own.scratch.folder, &["verify"]).ok();
    assert!(proof.out.contains("b_small: 2 rows, 0 missing, 0 extra, 0 different"), "{}", proof.out);
    assert!(proof.out.contains("a_big: 2000000 rows, 0 missing, 0 extra, 0 different"), "{}", proof.out);
}
