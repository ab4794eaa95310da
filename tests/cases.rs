//! Golden cases: `cases/*.case` are run on every database, plugin and format; the messages and the CSV files must be the same bytes.
//!
//! A case is a text file: what it shows, then sections. `== setup` makes the table, `== sql` changes it, `== messages` and `== insert`,
//! `== delete` (the CSV files) are what must come out. Names behind a section's name limit it to those databases. The table is
//! called `case_` and the file's name.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use list_sync::change::{Batch, Position};
use list_sync::format::{Decoder, Encoder, Encoding, Options, Records};

use crate::rig::{Program, Scratch, Server, consume_topic, kafka, messages_in, together};

struct Case {
    table: String,
    setup: String,
    sql: String,
    messages: String,
    files: BTreeMap<String, String>,
}

/// The cases of one database.
fn cases(server: &str) -> Vec<Case> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/cases");
    let mut paths: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let read = |path: &std::path::PathBuf| {
        let name = path.file_stem().unwrap().to_str().unwrap();
        parse(name, server, &std::fs::read_to_string(path).unwrap())
    };
    paths.iter().map(read).filter(|case| !case.sql.is_empty()).collect()
}

fn parse(name: &str, server: &str, text: &str) -> Case {
    let mut case =
        Case { table: format!("case_{name}"), setup: String::new(), sql: String::new(), messages: String::new(), files: BTreeMap::new() };
    for section in text.split("\n== ").skip(1) {
        let (head, body) = section.split_once('\n').unwrap_or((section, ""));
        let mut words = head.split_whitespace();
        let kind = words.next().unwrap();
        let limits: Vec<&str> = words.collect();
        if !limits.is_empty() && !limits.contains(&server) {
            continue;
        }
        let body = format!("{}\n", body.trim_end_matches('\n'));
        match kind {
            "setup" => case.setup += &body,
            "sql" => case.sql += &body,
            "messages" => case.messages += &body,
            "insert" | "delete" => *case.files.entry(kind.to_owned()).or_default() += &body,
            other => panic!("{name}: unknown section {other:?}"),
        }
    }
    case
}

/// Runs all cases of a database with every plugin, and once in protobuf, at the same time: each one's source reads the same log.
fn run(server: &Server, plugins: &[&str]) {
    let _together = together();
    let scratch = Scratch::new(server.name);
    let cases = cases(server.name);
    assert!(cases.len() >= 8, "only {} cases for {}", cases.len(), server.name);
    let tables: Vec<&str> = cases.iter().map(|case| case.table.as_str()).collect();
    let _leftovers: Vec<_> = plugins.iter().map(|plugin| server.leftovers(&format!("{}_{plugin}", scratch.name), &tables)).collect();
    for case in &cases {
        server.execute(&format!("DROP TABLE IF EXISTS {};\n{}", case.table, case.setup));
    }
    scratch.write("list_sync.toml", &configuration(server, &scratch.name, plugins));
    // The first run saves where the streams begin; what follows is the log's business alone.
    Program::run(&scratch.folder, &["connect", "--once"]).ok();
    for case in &cases {
        server.execute(&case.sql);
    }
    Program::run(&scratch.folder, &["connect", "--once"]).ok();
    Program::run(&scratch.folder, &["consume", "--once"]).ok();
    let mut faults = String::new();
    for case in &cases {
        for plugin in plugins {
            let source = format!("{}_{plugin}", scratch.name);
            let topic = format!("{source}.{}", case.table);
            let came = if *plugin == "protobuf" { protobuf_as_json(&topic) } else { messages_in(&topic) };
            let came = came.iter().flat_map(|message| [message, "\n"]).collect::<String>();
            compare(&mut faults, &format!("{} {plugin} {} messages", server.name, case.table), &case.messages, &came);
            for (kind, expected) in &case.files {
                let came = scratch.read(format!("out/{source}/{}_{kind}.csv", case.table));
                compare(&mut faults, &format!("{} {plugin} {} {kind}", server.name, case.table), expected, &came);
            }
        }
    }
    assert!(faults.is_empty(), "{faults}");
}

/// What the messages of a topic say, written as JSON: both formats must say the same of each change.
fn protobuf_as_json(topic: &str) -> Vec<String> {
    let (mut decoder, mut batch, mut records) = (Decoder::default(), Batch::default(), Records::default());
    consume_topic(topic, |_, _, message, _| decoder.decode(Encoding::Protobuf, message, Position::START, &mut batch).unwrap());
    Encoder::new(Encoding::Json, Options::default()).encode(&batch, &mut records);
    records.records.iter().map(|record| String::from_utf8(records.value(record).to_vec()).unwrap()).collect()
}

fn compare(faults: &mut String, what: &str, expected: &str, came: &str) {
    if expected != came {
        let _ = writeln!(faults, "---- {what}: expected\n{expected}---- came\n{came}");
    }
}

fn configuration(server: &Server, name: &str, plugins: &[&str]) -> String {
    let brokers: Vec<String> = kafka().split(',').map(|broker| format!("{broker:?}")).collect();
    let mut text = format!("[kafka]\nbrokers = [{}]\ntopic = {{ partitions = 1 }}\n", brokers.join(", "));
    for plugin in plugins {
        let source = format!("{name}_{plugin}");
        let choice = match (*plugin, server.name) {
            ("protobuf", _) => "format = \"protobuf\"\n".to_owned(),
            (_, "postgres") => format!("plugin = {plugin:?}\n"),
            _ => String::new(),
        };
        let _ = write!(
            text,
            "[[source]]\nname = {source:?}\nurl = {:?}\ntables = [\"case_*\"]\ntopic = \"{{source}}.{{table}}\"\nsnapshot = \"never\"\n{choice}",
            server.url
        );
    }
    let _ = write!(text, "[[sink]]\nname = \"{name}\"\ntopics = [\"{name}_*\"]\npath = \"out/{{source}}/{{table}}\"\n");
    text
}

#[test]
fn cases_on_postgres_with_both_plugins() {
    run(&Server::postgres(), &["pgoutput", "wal2json", "protobuf"]);
}

#[test]
fn cases_on_mysql() {
    run(&Server::mysql(), &["binlog", "protobuf"]);
}

#[test]
fn cases_on_mariadb() {
    run(&Server::mariadb(), &["binlog", "protobuf"]);
}
