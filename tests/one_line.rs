//! `run --from URL --table T --to csv:DIR [--kafka HOST:PORT]`: no file, and the rows arrive.

use crate::rig::{Counts, Pipeline, Run, Server, all_servers, kafka};

/// Runs the line for a table on its way, until it has caught up.
#[track_caller]
fn run(pipeline: &Pipeline, brokers: Option<&str>) -> Run {
    let mut line =
        vec!["run", "--once", "--from", &pipeline.server.url, "--table", &pipeline.table, "--to", "csv:out"];
    line.extend(brokers.iter().flat_map(|brokers| ["--kafka", brokers]));
    pipeline.run(&line)
}

/// The name that the line gave its source, from its log.
fn source_of(run: &Run) -> String {
    let rest = run.err.split_once("source=\"").unwrap_or_else(|| panic!("no source in {}", run.err)).1;
    rest.split('"').next().unwrap().to_owned()
}

/// Each change is in the files once, and the line's own `verify` finds them equal to the table.
#[track_caller]
fn prove(pipeline: &Pipeline, counts: Counts) {
    assert_eq!(pipeline.rows("insert", "I"), counts.inserted + counts.updated, "rows in the insert files");
    assert_eq!(pipeline.rows("delete", "D"), counts.deleted + counts.updated, "rows in the delete files");
    let proof = pipeline.run(&[
        "verify",
        "--from",
        &pipeline.server.url,
        "--table",
        &pipeline.table,
        "--to",
        "csv:out",
    ]);
    let expected = format!("{} rows, 0 missing, 0 extra, 0 different", counts.inserted - counts.deleted);
    assert!(proof.out.contains(&expected), "{}", proof.out);
}

fn check(server: Server, brokers: Option<&str>) {
    let pipeline = Pipeline::new("line", server, true);
    // No file: all that is known is in the line.
    std::fs::remove_file(pipeline.scratch.path("list_sync.toml")).unwrap();
    let begun = run(&pipeline, brokers);
    let _leftovers = pipeline.server.leftovers(&source_of(&begun), &[]);
    let mut counts = Counts::default();
    for rows in [600, 400] {
        counts += pipeline.seed(rows);
        run(&pipeline, brokers);
        prove(&pipeline, counts);
    }
    let paths = std::fs::read_dir(pipeline.scratch.path("out")).unwrap().map(|entry| entry.unwrap().path());
    let states = paths.filter(|path| path.extension().is_some_and(|ending| ending == "state")).count();
    assert_eq!(
        states,
        usize::from(brokers.is_none()),
        "without Kafka the place in the log lies beside the files, and only then"
    );
}

#[test]
fn one_line_without_kafka() {
    for server in all_servers() {
        check(server, None);
    }
}

#[test]
fn one_line_through_kafka() {
    for server in all_servers() {
        check(server, Some(&kafka()));
    }
}
