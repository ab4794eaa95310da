//! What a start finds wrong: trouble that may pass is waited for, what a person must look after ends only
//! what it concerns, and both halves of `run` live or end together.

use std::time::Duration;

use crate::rig::{Counts, Link, Pipeline, Program, Server, run_on_terminal};

const PATIENCE: Duration = Duration::from_secs(60);

/// A second source whose database is `address`, in place of the first one's.
fn with_second_source(pipeline: &Pipeline, address: &str) -> String {
    let text = pipeline.scratch.read("list_sync.toml");
    let (head, rest) = text.split_once("[[source]]\n").unwrap();
    let (source, sink) = rest.split_once("[[sink]]").unwrap();
    let upstream = format!("{}:{}", pipeline.server.address().host, pipeline.server.address().port);
    let name = &pipeline.scratch.name;
    let second = source.replace(&format!("{name:?}"), &format!("\"{name}_2\"")).replace(&upstream, address);
    format!("{head}[[source]]\n{source}[[source]]\n{second}[[sink]]{sink}")
}

/// The first source streams while the second one's database is away; the second begins once that is there.
fn waits_for_its_database(direct: bool) {
    let pipeline = Pipeline::new("waits", Server::mysql(), direct);
    let name = pipeline.scratch.name.as_str();
    let link =
        Link::to(name, &format!("{}:{}", pipeline.server.address().host, pipeline.server.address().port));
    pipeline.scratch.write("list_sync.toml", &with_second_source(&pipeline, &link.address));
    let mut run = None;
    let mut counts = Counts::default();
    link.cut(|| {
        let once = Program::run(&pipeline.scratch.folder, &["run", "--once"]);
        assert_eq!(once.code, Some(1), "{}", once.err);
        assert!(once.err.contains(&format!("error: source \"{name}_2\"")), "{}", once.err);
        let mut started = pipeline.start("run", &["run"]);
        started.wait_for("trying again");
        counts += pipeline.seed(100);
        while pipeline.rows("insert", "I") < counts.inserted + counts.updated {
            assert!(started.is_running(), "{}", started.log());
            std::thread::sleep(Duration::from_millis(50));
        }
        run = Some(started);
    });
    let mut run = run.unwrap();
    // Directly, only the progress line names the source that streams.
    let second = if direct {
        format!("progress source=\"{name}_2\" state=\"streaming\"")
    } else {
        format!("streaming source=\"{name}_2\"")
    };
    let began = std::time::Instant::now();
    while !run.log().rsplit("trying again").next().unwrap().contains(&second) {
        assert!(run.is_running() && began.elapsed() < PATIENCE, "{}", run.log());
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(run.stop(), Some(0));
}

#[test]
fn a_source_waits_for_its_database_through_kafka() {
    waits_for_its_database(false);
}

#[test]
fn a_source_waits_for_its_database_directly() {
    waits_for_its_database(true);
}

#[test]
fn brokers_that_are_away_are_waited_for() {
    let pipeline = Pipeline::new("no_brokers", Server::postgres(), false);
    for command in ["connect", "consume", "run"] {
        let mut program = pipeline.start(command, &["--set", "kafka.brokers=127.0.0.1:1", command]);
        program.wait_for("127.0.0.1:1");
        program.wait_for("trying again");
        program.wait_for("hint=");
        assert_eq!(program.stop(), Some(0), "{command}");
        // A person who tries it out is told at once.
        let words = ["--set", "kafka.brokers=127.0.0.1:1", command];
        let tried = run_on_terminal(&pipeline.scratch.folder, "timeout 60", &words);
        assert!(
            tried.code == Some(1) && tried.err.contains("error: ") && tried.err.contains("hint: "),
            "{command}: {}",
            tried.err
        );
    }
}

/// A file that nobody's commit names is in the way of the sink; a database that is not there, of the source.
#[test]
fn both_halves_of_run_end_together_and_say_why() {
    for half in ["sink", "source"] {
        let pipeline = Pipeline::new("halves", Server::postgres(), false);
        if half == "sink" {
            std::fs::create_dir(pipeline.scratch.path("out")).unwrap();
            pipeline.scratch.write(&format!("out/{}_insert.csv", pipeline.table), "mine\n");
            pipeline.seed(10);
        } else {
            let text = pipeline.scratch.read("list_sync.toml");
            pipeline.scratch.write("list_sync.toml", &text.replace("/exampledb", "/no_such_db"));
        }
        let mut run = pipeline.start("run", &["run"]);
        assert_eq!(run.wait(PATIENCE).code(), Some(1), "{}", run.log());
        let (log, said) = (run.log(), if half == "sink" { "does not know it" } else { "no_such_db" });
        assert!(log.lines().any(|line| line.starts_with("error: ") && line.contains(said)), "{log}");
        assert!(log.lines().any(|line| line.contains("ERROR stopped") && line.contains("hint=")), "{log}");
    }
}
