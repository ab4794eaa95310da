//! Golden cases: `cases/*.case` are run on every database, plugin and format; the messages and the CSV files
//! must be the same bytes.
//!
//! A case is a text file: what it shows, then sections. `== setup` makes the table, `== sql` changes it, `==
//! messages` and the files are what must come out. A file's section has the name that follows the table's in
//! the file's: `== insert`, `== delete`, `== insert.0002`; `== csv` is the one file of `split = false`, `==
//! csv.0002` the next. All files that are made must stand there. `== source` and `== sink` are options of the
//! case's own source and sink. Names behind a section's name limit it to those databases. The table is called
//! `case_` and the file's name.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;

use list_sync::change::{Batch, Position};
use list_sync::format::{Decoder, Encoder, Encoding, Options, Records};

use crate::rig::{Program, Scratch, Server, consume_topic, kafka, messages_in, together};

#[derive(Default)]
struct Case {
    table: String,
    /// Options of its own source and sink; without any it shares the database's.
    source: String,
    sink: String,
    setup: String,
    sql: String,
    messages: String,
    files: BTreeMap<String, String>,
}

impl Case {
    fn has_options(&self) -> bool {
        !self.source.is_empty() || !self.sink.is_empty()
    }

    /// The source that reads the case with this plugin.
    fn source_name(&self, name: &str, plugin: &str) -> String {
        let own = if self.has_options() {
            format!("_{}", self.table.trim_start_matches("case_"))
        } else {
            String::new()
        };
        format!("{name}_{plugin}{own}")
    }
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
    let mut case = Case { table: format!("case_{name}"), ..Case::default() };
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
            "source" => case.source += &body,
            "sink" => case.sink += &body,
            "setup" => case.setup += &body,
            "sql" => case.sql += &body,
            "messages" => case.messages += &body,
            file => {
                let ending = file.strip_prefix("csv").map_or_else(|| format!("_{file}"), str::to_owned);
                assert!(is_ending(&format!("{ending}.")), "{name}: unknown section {file:?}");
                *case.files.entry(format!("{}{ending}.csv", case.table)).or_default() += &body;
            }
        }
    }
    case
}

/// Runs all cases of a database with every plugin, and once in protobuf, at the same time: each one's source
/// reads the same log.
fn run(server: &Server, plugins: &[&str]) {
    let _together = together();
    let scratch = Scratch::new(server.name);
    let cases = cases(server.name);
    assert!(cases.len() >= 13, "only {} cases for {}", cases.len(), server.name);
    let tables: Vec<&str> = cases.iter().map(|case| case.table.as_str()).collect();
    let sources: BTreeSet<String> = cases
        .iter()
        .flat_map(|case| plugins.iter().map(|plugin| case.source_name(&scratch.name, plugin)))
        .collect();
    let _leftovers: Vec<_> = sources.iter().map(|source| server.leftovers(source, &tables)).collect();
    for case in &cases {
        server.execute(&format!("DROP TABLE IF EXISTS {};\n{}", case.table, case.setup));
    }
    scratch.write("list_sync.toml", &configuration(server, &scratch.name, plugins, &cases));
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
            let source = case.source_name(&scratch.name, plugin);
            let topic = format!("{source}.{}", case.table);
            let came = if *plugin == "protobuf" {
                protobuf_as_json(&topic, case.has_options())
            } else {
                messages_in(&topic)
            };
            let came: String =
                came.iter().flat_map(|message| [without_log_place(message), "\n".to_owned()]).collect();
            let what = format!("{} {plugin} {}", server.name, case.table);
            compare(&mut faults, &format!("{what} messages"), &case.messages, &came);
            let mut files = files(&scratch.path("out").join(&source), &case.table);
            for (file, expected) in &case.files {
                compare(
                    &mut faults,
                    &format!("{what} {file}"),
                    expected,
                    &files.remove(file).unwrap_or_default(),
                );
            }
            for (file, came) in files {
                compare(&mut faults, &format!("{what} {file}, which the case does not have"), "", &came);
            }
        }
    }
    assert!(faults.is_empty(), "{faults}");
}

/// Names and texts of a table's files.
fn files(folder: &Path, table: &str) -> BTreeMap<String, String> {
    let paths = std::fs::read_dir(folder).into_iter().flatten().map(|entry| entry.unwrap().path());
    let named = paths.map(|path| (path.file_name().unwrap().to_str().unwrap().to_owned(), path));
    let of_table = named.filter(|(file, _)| file.strip_prefix(table).is_some_and(is_ending));
    of_table
        .map(|(file, path)| (file, without_place_of_truncate(&std::fs::read_to_string(path).unwrap())))
        .collect()
}

/// What may follow a table's name in a file's: no other table's name.
fn is_ending(rest: &str) -> bool {
    ["_insert.", "_delete.", "."].iter().any(|begins| rest.starts_with(begins))
}

/// The place of a truncate in the stream differs from run to run; its 28 digits become `POSITION`.
fn without_place_of_truncate(text: &str) -> String {
    let mut parts = text.split("T@");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |before, part| {
        let (digits, rest) = part.split_at(28);
        assert!(digits.bytes().all(|digit| digit.is_ascii_hexdigit()), "{text}");
        before + "T@POSITION" + rest
    })
}

/// Transaction, time and place in the log differ from run to run; their digits, hexadecimal ones too, become
/// `#`, and only their form is compared.
fn without_log_place(message: &str) -> String {
    let mut message = message.to_owned();
    for (key, end, is_digit) in [
        ("\"xid\":", ",\"", is_lower_digit as fn(char) -> bool),
        ("\"timestamp\":\"", "\"", is_upper_digit),
        ("\"lsn\":\"", "\"", is_upper_digit),
    ] {
        // Before the table's name stand no values of a row.
        let head = message.find("\"table\":").unwrap_or(message.len());
        let Some(start) = message[..head].find(key).map(|place| place + key.len()) else { continue };
        let length = message[start..].find(end).unwrap_or(0);
        let mut form = String::new();
        for letter in message[start..start + length].chars() {
            let letter = if is_digit(letter) { '#' } else { letter };
            if !(letter == '#' && form.ends_with('#')) {
                form.push(letter);
            }
        }
        message.replace_range(start..start + length, &form);
    }
    message
}

fn is_lower_digit(letter: char) -> bool {
    letter.is_ascii_digit() || ('a'..='f').contains(&letter)
}

fn is_upper_digit(letter: char) -> bool {
    letter.is_ascii_digit() || ('A'..='F').contains(&letter)
}

/// What the messages of a topic say, written as JSON: both formats must say the same of each change. With
/// options that add keys, by the translation that programs get; else by the consumer's decoder.
fn protobuf_as_json(topic: &str, with_options: bool) -> Vec<String> {
    let (mut decoder, mut batch, mut records, mut texts) =
        (Decoder::default(), Batch::default(), Records::default(), Vec::new());
    consume_topic(topic, |_, _, message, _| {
        decoder.decode(Encoding::Protobuf, message, Position::START, &mut batch).unwrap();
        let mut space = Vec::new();
        texts.push(
            String::from_utf8(decoder.text(Encoding::Protobuf, message, &mut space).unwrap().to_vec())
                .unwrap(),
        );
    });
    if with_options {
        return texts;
    }
    Encoder::new(Encoding::Json, Options::default()).encode(&batch, &mut records);
    let rewritten = records
        .records
        .iter()
        .map(|record| String::from_utf8(records.value(record).to_vec()).unwrap())
        .collect();
    assert_eq!(rewritten, texts, "the two ways from protobuf to JSON");
    rewritten
}

fn compare(faults: &mut String, what: &str, expected: &str, came: &str) {
    if expected != came {
        let _ = writeln!(faults, "---- {what}: expected\n{expected}---- came\n{came}");
    }
}

/// A source for each plugin and a sink for them all, and the same again for each case with options.
fn configuration(server: &Server, name: &str, plugins: &[&str], cases: &[Case]) -> String {
    let brokers: Vec<String> = kafka().split(',').map(|broker| format!("{broker:?}")).collect();
    let mut text = format!("[kafka]\nbrokers = [{}]\ntopic = {{ partitions = 1 }}\n", brokers.join(", "));
    let (own, shared): (Vec<&Case>, Vec<&Case>) = cases.iter().partition(|case| case.has_options());
    let of_all: Vec<String> =
        ["case_*".to_owned()].into_iter().chain(own.iter().map(|case| format!("!{}", case.table))).collect();
    let groups = own.iter().map(|case| (*case, vec![case.table.clone()])).chain([(shared[0], of_all)]);
    for (case, tables) in groups {
        let sources: Vec<String> = plugins.iter().map(|plugin| case.source_name(name, plugin)).collect();
        for (plugin, source) in plugins.iter().zip(&sources) {
            let choice = match (*plugin, server.name) {
                ("protobuf", _) => "format = \"protobuf\"\n".to_owned(),
                (_, "postgres") => format!("plugin = {plugin:?}\n"),
                _ => String::new(),
            };
            let _ = write!(
                text,
                "[[source]]\nname = {source:?}\nurl = {:?}\ntables = {tables:?}\ntopic \
                 = \"{{source}}.{{table}}\"\nsnapshot = \"never\"\n{choice}{}",
                server.url, case.source
            );
        }
        let topics: Vec<String> = sources.iter().map(|source| format!("{source}.*")).collect();
        let sink = case.source_name(name, "files");
        let _ = write!(
            text,
            "[[sink]]\nname = {sink:?}\ntopics = {topics:?}\npath = \"out/{{source}}/{{table}}\"\n{}",
            case.sink
        );
    }
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
