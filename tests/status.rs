//! `list_sync status`: what is saved and what is there, asked from outside; with and without a process that
//! runs, with and without the servers.

use serde_json::Value;

use crate::rig::{Monitor, Pipeline, Program, Run, Server, all_servers, alone};

fn status(pipeline: &Pipeline, arguments: &[&str]) -> Run {
    Program::run(&pipeline.scratch.folder, &[&["status"], arguments].concat())
}

#[track_caller]
fn json(run: &Run) -> Value {
    serde_json::from_str(&run.out).unwrap_or_else(|cause| panic!("{cause}: {}\n{}", run.out, run.err))
}

/// Nothing runs: the position, the lag in bytes and the group's lag are those of the load.
#[test]
fn nobody_runs() {
    let _alone = alone();
    for server in all_servers() {
        let pipeline = Pipeline::new_alone("status", server);
        let before = json(&status(&pipeline, &["--json"]).ok());
        let source = &before["sources"][0];
        assert_eq!(
            (&source["name"], source["state"] == "ended"),
            (&Value::from(pipeline.scratch.name.clone()), true),
            "{before}"
        );
        let counts = pipeline.seed(2_000);
        let run = status(&pipeline, &["--json"]).ok();
        let behind = json(&run);
        let source = &behind["sources"][0];
        assert!(
            source["lag_bytes"].as_u64() > Some(50_000) && source["lag_seconds"].as_f64() > Some(0.0),
            "{behind}"
        );
        assert_eq!(source["position"], before["sources"][0]["position"], "nobody moved it");
        assert_ne!(source["end"], source["position"]);
        pipeline.run(&["connect", "--once"]);
        let read = json(&status(&pipeline, &["--json"]).ok());
        assert_eq!(read["groups"][0]["lag_messages"], counts.changes(), "{read}");
        assert_eq!(read["groups"][0]["partitions"].as_array().unwrap().len(), 3);
        assert_eq!(read["groups"][0]["partitions"][0]["committed"], Value::Null);
        pipeline.run(&["consume", "--once"]);
        let text = status(&pipeline, &[]).ok().out;
        assert!(
            text.contains("lag 0 messages")
                && text.contains("source  ")
                && text.contains("sink    ")
                && text.contains("  answers"),
            "{text}"
        );
        assert!(!format!("{}{}{text}", run.out, run.err).contains("repl:repl"), "a password is shown");
    }
}

/// A process with a monitor says what it is doing.
#[test]
fn somebody_runs() {
    let pipeline = Pipeline::new("live", Server::postgres(), false);
    let text = pipeline.scratch.read("list_sync.toml");
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    pipeline.scratch.write("list_sync.toml", &format!("{text}[monitor]\nlisten = \"0.0.0.0:{port}\"\n"));
    let mut run = pipeline.start("run", &["run"]);
    Monitor::of(&mut run).wait_for_ready(200);
    let waits = json(&status(&pipeline, &["--json"]).ok());
    assert_eq!(waits["sinks"][0]["live"]["state"], "waiting for topics", "{waits}");
    pipeline.seed(100);
    let monitor = Monitor::of(&mut run);
    monitor.wait_for_metrics("rows written", |metrics| {
        metrics.sum("list_sync_sink_rows_total", &[]) == Some(100.0)
    });
    let said = json(&status(&pipeline, &["--json"]).ok());
    assert_eq!(said["sources"][0]["state"], "streaming", "{said}");
    let live = &said["sources"][0]["live"];
    assert!(live["ready"] == true && live["state"] == "streaming" && live["lag_bytes"].is_u64(), "{said}");
    assert_eq!(said["sinks"][0]["live"]["state"], "consuming", "{said}");
    // A watch looks until it is stopped.
    let watch = pipeline.start("watch", &["status", "--watch", "--json"]);
    while watch.log().lines().count() < 2 {
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    assert_eq!(watch.stop(), Some(0));
    assert_eq!(run.stop(), Some(0));
}

/// A server that is away costs a line and the exit code, and the rest is shown.
#[test]
fn a_server_is_away() {
    let pipeline = Pipeline::new("away", Server::mysql(), false);
    let text = pipeline.scratch.read("list_sync.toml");
    let port = format!(":{}/", pipeline.server.address().port);
    pipeline.scratch.write("list_sync.toml", &text.replace(&port, ":1/"));
    let run = status(&pipeline, &["--json"]);
    let said = json(&run);
    assert_eq!(run.code, Some(1), "{said}");
    assert!(said["sources"][0]["problem"].as_str().unwrap().contains("refused"), "{said}");
    assert_eq!(said["sources"][0]["problem_code"], "database-unreachable", "{said}");
    assert!(said["sources"][0]["position"].is_string(), "the saved position is known all the same: {said}");
    let group = &said["groups"][0];
    assert!(group["problem"] == Value::Null && group["problem_code"] == Value::Null, "{said}");
    let brokers = text.lines().find(|line| line.starts_with("brokers")).unwrap();
    pipeline.scratch.write("list_sync.toml", &text.replace(brokers, "brokers = [\"127.0.0.1:1\"]"));
    let run = status(&pipeline, &[]);
    assert_eq!(run.code, Some(1));
    let line = |name: &str| {
        run.out
            .lines()
            .find(|line| line.starts_with(name))
            .unwrap_or_else(|| panic!("no {name} in {}", run.out))
            .to_owned()
    };
    assert!(line("kafka").contains("problem: ") && line("kafka").contains("refused"), "{}", run.out);
    assert!(
        line("source").contains("Kafka, which does not answer")
            && line("sink").contains(&pipeline.scratch.name),
        "{}",
        run.out
    );
}

/// Without Kafka the state file is read, and nothing is changed by looking.
#[test]
fn direct_mode() {
    let pipeline = Pipeline::new("looks", Server::postgres(), true);
    assert_eq!(json(&status(&pipeline, &["--json"]).ok())["sources"][0]["state"], "new");
    pipeline.run(&["run", "--once"]);
    pipeline.seed(500);
    let said = json(&status(&pipeline, &["--json"]).ok());
    assert_eq!((&said["kafka"], said["groups"].as_array().unwrap().len()), (&Value::Null, 0));
    assert!(
        said["sources"][0]["lag_bytes"].as_u64() > Some(10_000) && said["sources"][0]["state"] == "idle",
        "{said}"
    );
    let unknown = status(&pipeline, &["--source", "none"]);
    assert_eq!((unknown.code, unknown.out.as_str()), (Some(2), ""), "{}", unknown.err);
}

/// A slot that is gone is a loss, not a state.
#[test]
fn a_slot_that_is_gone() {
    let pipeline = Pipeline::new("gone", Server::postgres(), false);
    pipeline
        .server
        .execute(&format!("SELECT pg_drop_replication_slot('list_sync_{}');\n", pipeline.scratch.name));
    let run = status(&pipeline, &["--json"]);
    let said = json(&run);
    assert_eq!((run.code, said["sources"][0]["state"].as_str()), (Some(1), Some("lost")), "{said}");
    assert!(said["sources"][0]["problem"].as_str().unwrap().contains("is gone"), "{said}");
}
