//! A source or sink is paused, resumed and stopped by the board of the process, alone, and nothing is lost.

use std::thread;
use std::time::{Duration, Instant};

use list_sync::config::Config;
use list_sync::control::{Command, Control, Part};
use list_sync::pipeline;

use crate::rig::{Counts, Pipeline, Server, all_servers};

const PATIENCE: Duration = Duration::from_secs(60);

/// The pipeline's own configuration, with its files where the check looks for them.
fn configuration(pipeline: &Pipeline) -> Config {
    let text = pipeline.scratch.read("list_sync.toml");
    let out = pipeline.scratch.path("out");
    let text = text.replace("\"out/", &format!("\"{}/", out.display()));
    let file = pipeline.scratch.write("here.toml", &text);
    Config::load(file.to_str().unwrap()).unwrap()
}

#[track_caller]
fn wait_until(what: &str, is_so: impl Fn() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < PATIENCE, "{what} never came");
        thread::sleep(Duration::from_millis(20));
    }
}

/// What the load has inserted and updated so far lies in the files.
fn wait_for_rows(pipeline: &Pipeline, counts: Counts) {
    wait_until("the rows", || {
        counts.inserted == 0 || pipeline.rows("insert", "I") == counts.inserted + counts.updated
    });
}

/// A check that fails ends what it runs.
struct Ends<'a>(&'a Control);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.request_stop();
    }
}

/// Pauses `part`, changes rows, which must not come, and resumes it; then stops it, and the run ends.
fn check(pipeline: &Pipeline, part: &Part, stops_with_it: bool) {
    let config = configuration(pipeline);
    let control = Control::new(false);
    let name = pipeline.scratch.name.as_str();
    let state = || match part {
        Part::Source(_) => control.progress.source(name).life.state(),
        Part::Sink(_) => control.progress.sink(name).life.state(),
    };
    thread::scope(|scope| {
        let _ends = Ends(&control);
        let running = scope.spawn(|| pipeline::run(&config, &control));
        wait_until("the stream", || control.progress.source(name).life.state() == "streaming");
        let mut counts = pipeline.seed(200);
        wait_for_rows(pipeline, counts);
        for _ in 0..2 {
            control.board.send(part, Command::Pause).unwrap();
            wait_until("the pause", || state() == "paused");
            let before = pipeline.rows("insert", "I");
            counts += pipeline.seed(100);
            thread::sleep(Duration::from_millis(700));
            assert_eq!(pipeline.rows("insert", "I"), before, "rows came during the pause");
            control.board.send(part, Command::Resume).unwrap();
            wait_for_rows(pipeline, counts);
        }
        control.board.send(part, Command::Stop).unwrap();
        if !stops_with_it {
            // The others go on; the end of the process is theirs.
            thread::sleep(Duration::from_millis(300));
            assert!(!running.is_finished());
            control.request_stop();
        }
        running.join().unwrap().unwrap();
        pipeline.prove(counts);
    });
}

#[test]
fn a_source_without_kafka() {
    for server in all_servers() {
        let pipeline = Pipeline::new("pause_direct", server, true);
        check(&pipeline, &Part::Source(pipeline.scratch.name.clone()), true);
    }
}

#[test]
fn a_source_over_kafka() {
    let pipeline = Pipeline::new("pause_source", Server::postgres(), false);
    check(&pipeline, &Part::Source(pipeline.scratch.name.clone()), false);
}

#[test]
fn a_sink_over_kafka() {
    let pipeline = Pipeline::new("pause_sink", Server::mysql(), false);
    check(&pipeline, &Part::Sink(pipeline.scratch.name.clone()), false);
}
