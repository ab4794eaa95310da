//! `--log-format json`: every line of every command is one JSON object with the same keys, whatever happens.

use std::fs::File;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::rig::{Link, Pipeline, Program, Server};

/// Parses a log; each line must have what a log store sorts by.
#[track_caller]
fn lines(log: &str) -> Vec<Value> {
    let parse = |line: &str| {
        let parsed: Value = serde_json::from_str(line).unwrap_or_else(|cause| panic!("{cause}: {line}"));
        for key in ["timestamp", "level", "target", "message"] {
            assert!(parsed[key].as_str().is_some_and(|text| !text.is_empty()), "no {key} in {line}");
        }
        assert!(
            ["ERROR", "WARN", "INFO", "DEBUG", "TRACE"].contains(&parsed["level"].as_str().unwrap()),
            "{line}"
        );
        parsed
    };
    log.lines().map(parse).collect()
}

/// Nobody reads the log, or its disk is full: the work goes on.
#[test]
fn a_log_that_cannot_be_written() {
    let pipeline = Pipeline::new("full_log", Server::postgres(), false);
    let counts = pipeline.seed(300);
    for command in ["connect", "consume"] {
        let full = File::options().write(true).open("/dev/full").unwrap();
        let mut program = Command::new(env!("CARGO_BIN_EXE_list_sync"));
        program
            .args([command, "--once"])
            .current_dir(&pipeline.scratch.folder)
            .stdout(Stdio::null())
            .stderr(full);
        let status = program.status().unwrap();
        assert!(status.success(), "{command}: {status}");
    }
    pipeline.prove(counts);
}

fn find<'a>(lines: &'a [Value], message: &str) -> &'a Value {
    let found = lines.iter().find(|line| line["message"] == message);
    let found =
        found.or_else(|| lines.iter().find(|line| line["message"].as_str().unwrap().contains(message)));
    found.unwrap_or_else(|| panic!("no {message:?} in {lines:#?}"))
}

#[test]
fn every_line_is_an_object() {
    let server = Server::postgres();
    let address = server.address();
    let pipeline = Pipeline::new("json", server, false);
    let name = pipeline.scratch.name.as_str();
    let text = pipeline.scratch.read("list_sync.toml");
    let upstream = format!("{}:{}", address.host, address.port);
    let link = Link::to(name, &upstream);
    pipeline.scratch.write("link.toml", &text.replace(&upstream, &link.address));
    let mut connect =
        pipeline.start("connect", &["-c", "link.toml", "--log-format", "json", "-v", "connect"]);
    connect.wait_for("streaming from");
    connect.wait_for("\"message\":\"streaming\"");
    link.cut(|| std::thread::sleep(Duration::from_millis(500)));
    connect.wait_for("connected again");
    pipeline.seed(1_000);
    connect.signal("TERM");
    assert!(connect.wait(Duration::from_secs(60)).success());
    let said = lines(&connect.log());
    for message in ["streaming", "connecting again", "connected again", "progress"] {
        assert_eq!(find(&said, message)["source"], name, "{message}");
    }
    let broke = find(&said, "connecting again");
    assert_eq!(
        (broke["level"].as_str(), broke["code"].as_str()),
        (Some("WARN"), Some("database-disconnected"))
    );
    assert!(find(&said, "progress")["rows"].is_u64());
    let consume =
        Program::run(&pipeline.scratch.folder, &["--log-format", "json", "-vv", "consume", "--once"]);
    let said = lines(&consume.err);
    for message in ["partitions assigned", "progress"] {
        assert_eq!(find(&said, message)["sink"], name, "{message}");
    }
    // A failure too, with its hint and its code.
    let failed =
        Program::run(&pipeline.scratch.folder, &["--log-format", "json", "connect", "--source", "none"]);
    let said = lines(&failed.err);
    assert_eq!((failed.code, said[0]["level"].as_str()), (Some(2), Some("ERROR")));
    assert!(!said[0]["hint"].as_str().unwrap().is_empty());
    assert_eq!(said[0]["code"], "argument-invalid", "{said:?}");
}
