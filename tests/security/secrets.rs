//! Secrets in files and in the environment, and that nothing prints them: no log, error or list of processes.

use super::kafka::Login;
use crate::rig::{Pipeline, Server};

/// All that a run says, at its most talkative.
fn said(pipeline: &Pipeline, command: &str) -> String {
    let run = pipeline.run(&["-vv", command, "--once"]);
    format!("{}{}", run.out, run.err)
}

#[test]
fn files_hold_the_passwords_and_nothing_prints_them() {
    let pipeline = Pipeline::new("secrets", Server::postgres(), false);
    let scratch = &pipeline.scratch;
    scratch.write("database", "geheim\n");
    scratch.write("kafka", "secret\r\n");
    Login::sasl("SCRAM-SHA-256", "secret_user", "${file:kafka}").apply(scratch);
    let text = scratch.read("list_sync.toml");
    let in_url = text.replace("least:geheim@", "least:${file:database}@");
    let apart =
        text.replace("least:geheim@", "least@").replace("tables =", "password_file = \"database\"\ntables =");
    assert!(in_url != text && apart != text);
    let mut counts = crate::rig::Counts::default();
    for text in [in_url, apart] {
        scratch.write("list_sync.toml", &text);
        counts += pipeline.seed(400);
        let said = said(&pipeline, "connect") + &said(&pipeline, "consume");
        assert!(!said.contains("geheim"), "{said}");
        assert!(!said.replace("secret_user", "").contains("\"secret\""), "{said}");
    }
    pipeline.prove(counts);
    let faulty = scratch.read("list_sync.toml").replace("${file:kafka}", "${file:nowhere}");
    scratch.write("list_sync.toml", &faulty);
    let run = crate::rig::Program::run(&scratch.folder, &["connect", "--once"]);
    super::expect(&run, 2, &["list_sync.toml:3:", "\"nowhere\"", "no such file"], &[]);
}

#[test]
fn a_password_that_was_typed_leaves_the_list_of_processes() {
    let server = Server::mysql();
    let pipeline = Pipeline::new("typed", server.clone(), true);
    let url = server.least(&pipeline.scratch.name, &pipeline.table);
    assert!(url.contains(":geheim@"));
    let mut program = pipeline.start(
        "typed",
        &["run", "--from", &url, "--table", &pipeline.table, "--snapshot", "never", "--to", "csv:typed"],
    );
    program.wait_for("streaming");
    let shown = program.command_line();
    assert!(!shown.contains("geheim") && shown.contains("least:${LIST_SYNC_HIDDEN_1}@"), "{shown}");
    let log = program.log();
    assert_eq!(program.stop(), Some(0));
    assert!(!log.contains("geheim"), "{log}");
}
