//! `list_sync position`: what is shown, what is skipped, and that a forgotten source leaves nothing behind.

use crate::rig::{Pipeline, Program, Server};

#[track_caller]
fn says(pipeline: &Pipeline, arguments: &[&str]) -> String {
    pipeline.run(&[&["position"], arguments].concat()).out
}

fn shown_moved_forgotten(server: Server) {
    let is_postgres = server.url.starts_with("postgres");
    let pipeline = Pipeline::new("place", server, false);
    // Only its owner may drop a publication.
    let text = pipeline.as_owner(&pipeline.scratch.read("list_sync.toml"));
    pipeline.scratch.write("list_sync.toml", &text);
    let name = pipeline.scratch.name.as_str();
    let shown = says(&pipeline, &["get", name]);
    assert!(
        shown.contains(&format!("source {name}: at "))
            && shown.contains("saved in topic list_sync.positions"),
        "{shown}"
    );
    assert_eq!(shown.contains("slot list_sync_"), is_postgres, "{shown}");

    // What is skipped is never sent, and what follows is.
    pipeline.seed(100);
    let preview = says(&pipeline, &["set", name, "latest"]);
    assert!(
        preview.contains(&format!("would move source {name} from "))
            && preview.contains("nothing was changed"),
        "{preview}"
    );
    says(&pipeline, &["set", name, "latest", "--yes"]);
    let counts = pipeline.seed(40);
    pipeline.run(&["connect", "--once"]);
    pipeline.prove_topic(counts);
    if is_postgres {
        let back = Program::run(&pipeline.scratch.folder, &["position", "set", name, "0/1", "--yes"]);
        assert!(back.code == Some(1) && back.err.contains("lies before the saved place"), "{}", back.err);
        let beyond = Program::run(&pipeline.scratch.folder, &["position", "set", name, "FFFFFF/0", "--yes"]);
        assert!(beyond.code == Some(1), "{}", beyond.err);
        let mut connect = pipeline.start("connect", &["connect"]);
        connect.wait_for("streaming");
        let running = Program::run(&pipeline.scratch.folder, &["position", "forget", name, "--yes"]);
        assert!(running.code == Some(1) && running.err.contains("is running"), "{}", running.err);
        assert_eq!(connect.stop(), Some(0));
    }

    let preview = says(&pipeline, &["forget", name]);
    assert!(
        preview.contains("would remove the saved place") && preview.contains("nothing was changed"),
        "{preview}"
    );
    assert!(says(&pipeline, &["get", name]).contains(": at "), "a preview changes nothing");
    let removed = says(&pipeline, &["forget", name, "--yes"]);
    assert_eq!(
        removed.contains("removed slot list_sync_") && removed.contains("removed publication list_sync_"),
        is_postgres,
        "{removed}"
    );
    assert_eq!(
        says(&pipeline, &["get", name]),
        format!("source {name}: no place is saved in topic list_sync.positions\n")
    );
    assert!(says(&pipeline, &["forget", name, "--yes"]).contains("nothing to remove"));

    // A first start again: from now on, and what was sent before does not come again.
    pipeline.seed(100);
    pipeline.run(&["connect", "--once"]);
    pipeline.prove_topic(counts);
}

#[test]
fn of_postgres() {
    shown_moved_forgotten(Server::postgres());
}

#[test]
fn of_mysql() {
    shown_moved_forgotten(Server::mysql());
}

#[test]
fn without_kafka_it_is_a_file() {
    let pipeline = Pipeline::new("place_file", Server::mysql(), true);
    let name = pipeline.scratch.name.as_str();
    assert!(says(&pipeline, &["get", name]).contains("no place is saved in file out/.list_sync."));
    pipeline.run(&["run", "--once"]);
    pipeline.seed(100);
    says(&pipeline, &["set", name, "latest", "--yes"]);
    let counts = pipeline.seed(40);
    pipeline.run(&["run", "--once"]);
    assert_eq!(pipeline.rows("insert", "I"), counts.inserted + counts.updated);
    says(&pipeline, &["forget", name, "--yes"]);
    assert!(says(&pipeline, &["get", name]).contains("no place is saved"));
    // What is damaged can be forgotten, too.
    let state = format!("out/.list_sync.{name}.state");
    pipeline.scratch.write(&state, "damaged");
    assert!(says(&pipeline, &["get", name]).contains("is damaged"));
    says(&pipeline, &["forget", name, "--yes"]);
    assert!(says(&pipeline, &["get", name]).contains("no place is saved"));
    // The files are nobody's now, and the message says so.
    let again = Program::run(&pipeline.scratch.folder, &["run", "--once"]);
    pipeline.seed(10);
    let again = if again.code == Some(0) {
        Program::run(&pipeline.scratch.folder, &["run", "--once"])
    } else {
        again
    };
    assert!(again.code == Some(1) && again.err.contains("the saved state does not know it"), "{}", again.err);
    assert!(
        again.err.contains("a place that is not saved any more") && again.err.contains("move it away"),
        "{}",
        again.err
    );
}

/// A terminal that goes away does not end what runs.
#[test]
fn a_hangup_is_no_end() {
    let pipeline = Pipeline::new("hangup", Server::postgres(), true);
    let mut run = pipeline.start("run", &["run"]);
    run.wait_for("streaming");
    run.signal("HUP");
    let counts = pipeline.seed(100);
    pipeline.wait_for_growth("insert");
    assert_eq!(run.stop(), Some(0));
    assert_eq!(pipeline.rows("insert", "I"), counts.inserted + counts.updated);
}

/// `help CMD` and a status without a file.
#[test]
fn asked_without_a_file() {
    let pipeline = Pipeline::new("asked", Server::postgres(), true);
    let help = pipeline.run(&["help", "position"]).out;
    assert!(help.contains("list_sync position forget shop"), "{help}");
    let (url, table) = (pipeline.server.url.clone(), pipeline.table.clone());
    let said = pipeline.run(&["status", "--from", &url, "--table", &table, "--to", "csv:out"]).out;
    let lines: Vec<&str> = said.lines().filter(|line| line.starts_with("source ")).collect();
    assert!(lines.len() == 1 && lines[0].contains(" new "), "{said}");
}
