//! What goes wrong at a user's desk: one line with the cause, one with the mend, the right exit code, and
//! nothing lost.

use std::process::Command;

use list_sync::Code;

use crate::rig::{
    Monitor, OwnPostgres, Pipeline, Program, Run, Scratch, Server, alone, ends_of, kafka, together,
};

/// Runs `connect` with a changed source.
fn connect(server: &Server, change: impl Fn(String) -> String) -> Run {
    let _together = together();
    try_to("connect", server, change)
}

/// Runs a command with a changed configuration of one source and one sink.
fn try_to(command: &str, server: &Server, change: impl Fn(String) -> String) -> Run {
    let scratch = Scratch::new("bad");
    let table = format!("t_{}", scratch.name);
    let _leftovers = server.leftovers(&scratch.name, &[&table]);
    server.execute(&format!("CREATE TABLE {table} (id INT PRIMARY KEY);\n"));
    let text = format!(
        "[kafka]\nbrokers = [{}]\n[[source]]\nname = {:?}\nurl = {:?}\ntables = [{table:?}]\nsnapshot \
         = \"never\"\n\
         [[sink]]\nname = {:?}\npath = \"out/{{table}}\"\n",
        kafka().split(',').map(|broker| format!("{broker:?}")).collect::<Vec<_>>().join(", "),
        scratch.name,
        server.url,
        scratch.name
    );
    scratch.write("list_sync.toml", &change(text));
    Program::run(&scratch.folder, &[command, "--once"])
}

/// The same while nobody else uses the servers.
fn connect_alone(server: &Server, change: impl Fn(String) -> String) -> Run {
    let _alone = alone();
    try_to("connect", server, change)
}

/// One `error:` line with these words, a `hint:` line with those, and a `code:` that is explained.
#[track_caller]
fn expect(run: &Run, code: i32, error: &[&str], hint: &[&str]) {
    assert_eq!(run.code, Some(code), "{}", run.err);
    let line = |name: &str| {
        let found: Vec<&str> = run.err.lines().filter(|line| line.starts_with(name)).collect();
        assert_eq!(found.len(), 1, "one {name:?} line in:\n{}", run.err);
        found[0].to_lowercase()
    };
    let code = line("code:");
    let code = code.strip_prefix("code: ").and_then(|rest| rest.split(' ').next()).unwrap();
    assert!(Code::of(code).is_some_and(|code| code != Code::Internal), "{code:?} in:\n{}", run.err);
    for (name, words) in [("error:", error), ("hint:", hint)] {
        let line = line(name);
        for word in words {
            assert!(line.contains(&word.to_lowercase()), "{name:?} line lacks {word:?}:\n{}", run.err);
        }
    }
}

#[test]
fn wrong_password() {
    let mysql = connect(&Server::mysql(), |text| text.replace("repl:repl@", "repl:wrong@"));
    expect(&mysql, 1, &["denied"], &["password"]);
    assert!(!mysql.err.contains("wrong"), "the password is printed:\n{}", mysql.err);
    let postgres = connect(&Server::postgres(), |text| text.replace("postgres@", "secret_user:wrong@"));
    expect(&postgres, 1, &["password authentication failed"], &["password"]);
}

#[test]
fn missing_table() {
    for server in crate::rig::all_servers() {
        let run =
            connect(&server, |text| text.replace("tables = [\"t_bad", "tables = [\"no_such_table_t_bad"));
        expect(&run, 1, &["no_such_table"], &["did you mean", "t_bad"]);
    }
}

#[test]
fn missing_database() {
    for server in crate::rig::all_servers() {
        let run = connect(&server, |text| text.replace("/exampledb", "/no_such_db"));
        expect(&run, 1, &["no_such_db"], &[]);
    }
}

#[test]
fn database_away() {
    for server in crate::rig::all_servers() {
        let port = server.address().port.to_string();
        let run = connect(&server, |text| text.replace(&format!(":{port}/"), ":1/"));
        expect(&run, 1, &["refused"], &[]);
    }
}

/// Whatever is started: it says so and ends, rather than wait for ever at a wrong address.
#[test]
fn kafka_away() {
    let _together = together();
    for command in ["connect", "consume", "run"] {
        let run = try_to(command, &Server::postgres(), |text| {
            let line = text.lines().find(|line| line.starts_with("brokers")).unwrap().to_owned();
            text.replace(&line, "brokers = [\"127.0.0.1:1\"]")
        });
        expect(&run, 1, &["127.0.0.1:1", "refused"], &["brokers"]);
    }
}

/// A property that exactly-once rests on is not the user's.
#[test]
fn a_fixed_property() {
    let _together = together();
    for (command, property, value) in [
        ("connect", "acks", "1"),
        ("connect", "enable.idempotence", "false"),
        ("run", "message.timeout.ms", "1000"),
        ("consume", "enable.auto.commit", "true"),
        ("consume", "isolation.level", "read_uncommitted"),
    ] {
        let run = try_to(command, &Server::postgres(), |text| {
            text.replacen('\n', &format!("\nproperties = {{ {property:?} = {value:?} }}\n"), 1)
        });
        let sentence =
            format!("[kafka] properties: {property:?} is not to be set, since exactly-once rests on it");
        expect(&run, 2, &[&sentence], &["leave it out"]);
    }
}

#[test]
fn unknown_key() {
    let run = connect(&Server::postgres(), |text| text.replace("snapshot =", "snapshots ="));
    expect(&run, 2, &["list_sync.toml:7:1", "snapshots", "snapshot"], &[]);
}

/// The log must hold rows, not statements.
#[test]
fn binlog_format_statement() {
    for server in [Server::mysql(), Server::mariadb()] {
        let run = connect_alone(&server, |text| {
            server.execute("SET GLOBAL binlog_format = 'STATEMENT';\n");
            text
        });
        server.execute("SET GLOBAL binlog_format = 'ROW';\n");
        expect(&run, 1, &["binlog_format"], &["binlog_format", "ROW"]);
    }
}

/// A server of its own whose log is too terse for logical decoding.
#[test]
fn wal_level_replica() {
    let own = OwnPostgres::start("wal", "-c wal_level=replica");
    let run = connect(&own.server, |text| text);
    expect(&run, 1, &["wal_level"], &["wal_level", "logical", "restart"]);
}

#[test]
fn no_privilege() {
    let scratch = Scratch::new("priv");
    let name = scratch.name.clone();
    let postgres = Server::postgres();
    postgres.execute(&format!("CREATE ROLE {name} LOGIN PASSWORD 'x';\n"));
    let run = connect(&postgres, |text| text.replace("postgres@", &format!("{name}:x@")));
    postgres.execute(&format!("DROP ROLE {name};\n"));
    expect(&run, 1, &[], &["replication"]);
    for server in [Server::mysql(), Server::mariadb()] {
        server.execute(&format!("CREATE USER {name} IDENTIFIED BY 'x';\nGRANT SELECT ON *.* TO {name};\n"));
        let run = connect(&server, |text| text.replace("repl:repl@", &format!("{name}:x@")));
        server.execute(&format!("DROP USER {name};\n"));
        expect(&run, 1, &[], &["grant", "replication"]);
    }
}

/// A message that is none goes to `.rejected.jsonl` with its place, once; the consumer goes on, also after it
/// was killed before and after the commit of what it put aside.
#[test]
fn malformed_messages() {
    let pipeline = Pipeline::new("reject", Server::postgres(), false);
    let mut counts = pipeline.seed(1_000);
    pipeline.run(&["connect", "--once"]);
    let ends = ends_of(&pipeline.topic());
    let expected: Vec<_> = [(0, 0), (0, 1), (0, 2), (1, 0), (2, 0)]
        .map(|(partition, behind)| (partition, ends[partition] + behind))
        .into();
    produce(
        &pipeline.topic(),
        "{\"action\":\"I\",\"table\":\nnot json\n{\"action\":\"Q\",\"table\":\"x\"}\n",
        &["-p", "0"],
    );
    produce(&pipeline.topic(), b"\x08\xff\xfe\n", &["-p", "1", "-H", "format=protobuf"]);
    produce(
        &pipeline.topic(),
        "{\"action\":\"T\",\"table\":\"x\"}\n",
        &["-p", "2", "-H", "format=of tomorrow"],
    );
    counts += pipeline.seed(1_000);
    pipeline.run(&["connect", "--once"]);

    let text = format!("{}{}", pipeline.scratch.read("list_sync.toml"), Monitor::SECTION);
    pipeline.scratch.write("list_sync.toml", &text);
    let rejected = ("list_sync_sink_rejected_total", [("sink", pipeline.scratch.name.as_str())]);
    // It commits nothing but the names of its files, so what it put aside comes again.
    pipeline
        .scratch
        .write("late.toml", &text.replace("commit_interval_ms = 200", "commit_interval_ms = 600000"));
    let mut late = pipeline.start("late", &["-c", "late.toml", "consume"]);
    let monitor = Monitor::of(&mut late);
    monitor.wait_for_metrics("put aside", |metrics| metrics.sum(rejected.0, &rejected.1) == Some(5.0));
    assert_eq!(put_aside(&pipeline), expected);
    late.kill();
    // As it is when the crash comes in the middle of a line.
    let file = pipeline.scratch.path("out").join(rejected_file(&pipeline));
    let whole = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, &whole[..whole.len() - 10]).unwrap();

    let mut again = pipeline.start("again", &["consume"]);
    let monitor = Monitor::of(&mut again);
    let all = counts.changes() as f64 + 5.0;
    monitor.wait_for_metrics("committed", |metrics| {
        metrics.sum("list_sync_sink_committed_offset", &rejected.1) == Some(all)
    });
    monitor.metrics().is(rejected.0, &rejected.1, 5.0);
    again.kill();
    assert_eq!(
        put_aside(&pipeline),
        expected,
        "those that came again are not written twice, and the torn one is whole"
    );

    // What is committed does not come again.
    counts += pipeline.seed(100);
    pipeline.run(&["connect", "--once"]);
    pipeline.run(&["consume", "--once"]);
    assert_eq!(put_aside(&pipeline), expected);
    assert!(pipeline.scratch.read(&file).contains(r#""message_hex":"08fffe""#));
    pipeline.prove(counts);
}

/// The one file of what was put aside.
#[track_caller]
fn rejected_file(pipeline: &Pipeline) -> String {
    let names = std::fs::read_dir(pipeline.scratch.path("out"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let names: Vec<_> = names.filter(|name| name.ends_with(".rejected.jsonl")).collect();
    assert_eq!(names.len(), 1, "{names:?}");
    names[0].clone()
}

/// Partition and offset of each message that was put aside, sorted; each line tells the topic and the reason
/// as well.
#[track_caller]
fn put_aside(pipeline: &Pipeline) -> Vec<(usize, i64)> {
    let text = pipeline.scratch.read(format!("out/{}", rejected_file(pipeline)));
    let place = |line: &str| {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        assert!(line["topic"] == pipeline.topic() && !line["reason"].as_str().unwrap().is_empty(), "{line}");
        (line["partition"].as_u64().unwrap() as usize, line["offset"].as_i64().unwrap())
    };
    let mut places: Vec<_> = text.lines().map(place).collect();
    places.sort_unstable();
    places
}

/// Writes lines into a topic, each a message.
pub fn produce(topic: &str, lines: impl AsRef<[u8]>, options: &[&str]) {
    use std::io::Write;
    let brokers = kafka();
    let mut kcat = Command::new("kcat")
        .args(["-P", "-b", &brokers, "-t", topic])
        .args(options)
        .stdin(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    kcat.stdin.take().unwrap().write_all(lines.as_ref()).unwrap();
    assert!(kcat.wait().unwrap().success());
}

/// A disk without room: the consumer stops with the file's name before it commits, and goes on when there is
/// room again.
#[test]
fn disk_full() {
    let pipeline = Pipeline::new("full", Server::postgres(), false);
    let counts = pipeline.seed(20_000);
    pipeline.run(&["connect", "--once"]);
    std::fs::create_dir_all(pipeline.scratch.path("out")).unwrap();
    let mount = pipeline.scratch.path("out");
    let mount = mount.to_str().unwrap();
    let command = |program: &str, arguments: &[&str]| {
        Command::new(program).args(arguments).status().is_ok_and(|status| status.success())
    };
    assert!(
        command("mount", &["-t", "tmpfs", "-o", "size=256k", "tmpfs", mount]),
        "this check mounts a small file system and needs root"
    );
    let run = Program::run(&pipeline.scratch.folder, &["consume", "--once"]);
    let roomy = command("mount", &["-o", "remount,size=64m", mount]);
    let again = Program::run(&pipeline.scratch.folder, &["consume", "--once"]);
    let proof = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| pipeline.prove(counts)));
    command("umount", &[mount]);
    expect(&run, 1, &["csv", "no space"], &["room"]);
    assert!(roomy);
    again.ok();
    proof.unwrap();
}
