//! What a person sees while it runs: a line for each source and sink on a terminal, drawn again and again,
//! and nothing of it anywhere else.

use crate::rig::{Counts, Pipeline, Program, Run, Server, run_on_terminal};

/// What moves the cursor or clears a line.
const CONTROL: &str = "\u{1b}[";

/// The last line that was drawn for a source or sink.
#[track_caller]
fn last_line<'a>(run: &'a Run, stage: &str, name: &str) -> &'a str {
    let begins = format!("{stage:<6} {name}");
    let place = run.err.rfind(&begins).unwrap_or_else(|| panic!("no {begins:?} in {:?}", run.err));
    run.err[place..].lines().next().unwrap()
}

/// Lines were drawn over each other, not written one below the other; the last one has all rows; stdout has
/// nothing of it.
#[track_caller]
fn drawn(run: &Run, stages: &[&str], pipeline: &Pipeline, counts: Counts) {
    assert_eq!((run.code, run.out.as_str()), (Some(0), ""), "{}", run.err);
    assert!(run.err.contains(CONTROL) && !run.err.contains("INFO progress"), "{:?}", run.err);
    for stage in stages {
        let line = last_line(run, stage, &pipeline.scratch.name);
        assert!(
            line.contains(&format!(" {} rows ", counts.changes())) && line.contains(" rows/s"),
            "{line:?}"
        );
    }
}

/// Where nobody looks there are log lines, without control characters.
#[track_caller]
fn logged(run: &Run, stage: &str, pipeline: &Pipeline) {
    assert_eq!((run.code, run.out.as_str()), (Some(0), ""), "{}", run.err);
    assert!(!run.err.contains('\u{1b}') && !run.err.contains(" rows/s"), "{:?}", run.err);
    assert!(run.err.contains(&format!("INFO progress {stage}={:?}", pipeline.scratch.name)), "{}", run.err);
}

#[test]
fn connect_and_consume_draw_on_a_terminal_only() {
    let pipeline = Pipeline::new("draw", Server::postgres(), false);
    let folder = &pipeline.scratch.folder;
    let counts = pipeline.seed(400);
    drawn(&run_on_terminal(folder, "", &["connect", "--once"]), &["source"], &pipeline, counts);
    drawn(&run_on_terminal(folder, "", &["consume", "--once"]), &["sink"], &pipeline, counts);
    logged(&Program::run(folder, &["connect", "--once"]), "source", &pipeline);
    logged(&Program::run(folder, &["consume", "--once"]), "sink", &pipeline);
    for command in ["connect", "consume"] {
        for run in [
            run_on_terminal(folder, "", &["-q", command, "--once"]),
            Program::run(folder, &["-q", command, "--once"]),
        ] {
            assert_eq!((run.code, run.out.as_str(), run.err.as_str()), (Some(0), "", ""), "{command} -q");
        }
        // Who reads the log by a program has a terminal at times.
        let json = run_on_terminal(folder, "", &["--log-format", "json", command, "--once"]);
        assert_eq!(json.code, Some(0), "{}", json.err);
        for line in json.err.lines() {
            assert!(serde_json::from_str::<serde_json::Value>(line).is_ok(), "{line:?}");
        }
    }
    pipeline.prove(counts);
}

/// Both lines, while it runs: through Kafka and directly.
#[test]
fn run_draws_until_it_is_stopped() {
    for direct in [false, true] {
        let pipeline = Pipeline::new("drawn", Server::mysql(), direct);
        let folder = &pipeline.scratch.folder;
        pipeline.run(&["run", "--once"]);
        let counts = pipeline.seed(400);
        let run = run_on_terminal(folder, "timeout --foreground --preserve-status 8", &["run"]);
        drawn(&run, &["source", "sink"], &pipeline, counts);
        let drawings = run.err.matches(&format!("source {}", pipeline.scratch.name)).count();
        assert!(drawings > 5, "drawn only {drawings} times in 8 s: {:?}", run.err);
        assert!(run.err.contains("streaming"), "{:?}", run.err);
        logged(&Program::run(folder, &["run", "--once"]), "source", &pipeline);
        pipeline.prove(counts);
    }
}
