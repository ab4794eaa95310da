//! `--to -`: one JSON line a change, the same on every database, with and without Kafka.

use crate::rig::{Pipeline, Server, all_servers, kafka};

/// What `statements` do to the pipeline's table.
fn statements(table: &str) -> String {
    format!(
        "INSERT INTO {table} (id, v) VALUES (1, 'a');\nUPDATE {table} SET v = 'é \"x\"' WHERE id = 1;\n\
         DELETE FROM {table} WHERE id = 1"
    )
}

/// The lines of these changes, by their key for the action: new row, both, old row.
fn expected(server: &Server, table: &str) -> Vec<String> {
    let head =
        |action: &str| format!(r#"{{"action":"{action}","schema":"{}","table":"{table}","#, server.schema());
    let columns = |value: &str| format!(r#"[{{"name":"id","value":1}},{{"name":"v","value":"{value}"}}]"#);
    let key = r#""pk":[{"name":"id"}]}"#;
    let (old, new) = (columns("a"), columns(r#"é \"x\""#));
    vec![
        format!(r#"{}"columns":{old},{key}"#, head("I")),
        format!(r#"{}"columns":{new},"identity":{old},{key}"#, head("U")),
        format!(r#"{}"identity":{new},{key}"#, head("D")),
    ]
}

/// A small table beside the pipeline's own.
fn small(pipeline: &Pipeline) -> String {
    let table = format!("{}_s", pipeline.table);
    pipeline.server.execute(&format!("CREATE TABLE {table} (id int PRIMARY KEY, v varchar(20))"));
    if pipeline.server.name == "postgres" {
        pipeline.server.execute(&format!("ALTER TABLE {table} REPLICA IDENTITY FULL"));
    }
    table
}

fn lines(log: &str) -> Vec<String> {
    log.lines().filter(|line| line.starts_with('{')).map(str::to_owned).collect()
}

fn check(server: Server, brokers: Option<&str>) {
    let pipeline = Pipeline::new("stdout", server, true);
    std::fs::remove_file(pipeline.scratch.path("list_sync.toml")).unwrap();
    let table = small(&pipeline);
    let mut line =
        vec!["run", "--from", &pipeline.server.url, "--table", &table, "--to", "-", "--snapshot", "never"];
    line.extend(brokers.iter().flat_map(|brokers| ["--kafka", brokers]));
    let before = kept(&pipeline);
    let mut program = pipeline.start("stdout", &line);
    program.wait_for("streaming");
    let log = program.log();
    let source = log.split_once("source=\"").unwrap().1.split('"').next().unwrap();
    let _dropped = pipeline.server.leftovers(source, &[&table]);
    pipeline.server.execute(&statements(&table));
    program.wait_for(r#""action":"D""#);
    let came = lines(&program.log());
    assert_eq!(program.stop(), Some(0));
    assert_eq!(came, expected(&pipeline.server, &table));
    if brokers.is_none() {
        assert_eq!(kept(&pipeline), before, "no slot stays behind, and no state file");
    }
}

/// What would hold the server's log, and what lies in the folder.
fn kept(pipeline: &Pipeline) -> (usize, bool) {
    let slots = if pipeline.server.name == "postgres" {
        let query =
            format!("SELECT 1 FROM pg_replication_slots WHERE slot_name LIKE '%{}_s%'", pipeline.table);
        pipeline.server.connect().query(&query).unwrap().len()
    } else {
        0
    };
    let files = std::fs::read_dir(pipeline.scratch.path(".")).unwrap();
    let is_state = |path: std::path::PathBuf| path.extension().is_some_and(|ending| ending == "state");
    (slots, files.into_iter().any(|entry| is_state(entry.unwrap().path())))
}

#[test]
fn lines_without_kafka() {
    for server in all_servers() {
        check(server, None);
    }
}

#[test]
fn lines_through_kafka() {
    check(Server::postgres(), Some(&kafka()));
}
