//! What Kafka is given, seen by another client: the bytes of keys, the time of each record, the copies of a
//! topic; and what becomes of a row that Kafka does not take.

use std::process::Command;
use std::time::Duration;

use crate::rig::{
    Leftovers, Program, Record, Run, Scratch, Server, all_servers, alone, kafka, records_in, replicas_of,
    services, together,
};

/// Tables of one's own in one topic with one partition, so that their records stand in the log's order.
struct Stream {
    scratch: Scratch,
    server: Server,
    _leftovers: Leftovers,
}

impl Stream {
    /// `tables`: endings of names, and columns.
    fn new(check: &str, server: &Server, tables: &[(&str, &str)]) -> Self {
        let scratch = Scratch::new(&format!("{check}_{}", server.name));
        let names: Vec<String> =
            tables.iter().map(|(ending, _)| format!("{}_{ending}", scratch.name)).collect();
        let leftovers =
            server.leftovers(&scratch.name, &names.iter().map(String::as_str).collect::<Vec<_>>());
        for (name, (_, columns)) in names.iter().zip(tables) {
            server.execute(&format!("CREATE TABLE {name} ({columns});\n"));
        }
        let stream = Self { scratch, server: server.clone(), _leftovers: leftovers };
        stream.configure("");
        stream.connect().ok();
        stream
    }

    /// Writes the configuration with these properties of the client.
    fn configure(&self, properties: &str) {
        let name = &self.scratch.name;
        let brokers: Vec<String> = kafka().split(',').map(|broker| format!("{broker:?}")).collect();
        let text = format!(
            "[kafka]\nbrokers = [{}]\nproperties = {{ {properties} }}\ntopic = {{ partitions = 1 }}\n\
             [[source]]\nname = {name:?}\nurl = {:?}\ntables = [\"{name}_*\"]\ntopic \
             = \"{{source}}\"\nsnapshot = \"never\"\n",
            brokers.join(", "),
            self.server.url
        );
        self.scratch.write("list_sync.toml", &text);
    }

    fn connect(&self) -> Run {
        Program::run(&self.scratch.folder, &["connect", "--once"])
    }

    /// The connector ends with these words, and nothing behind the large row was sent.
    #[track_caller]
    fn stops(&self, fact: &str, hint: &str) {
        let (run, name) = (self.connect(), &self.scratch.name);
        assert_eq!(run.code, Some(1), "{}", run.err);
        for words in [&format!("source {name:?}: cannot "), &format!("topic {name:?}: {fact}"), hint] {
            assert!(run.err.contains(words), "no {words:?} in {}", run.err);
        }
        let keys = self.keys();
        assert!(keys == ["1"] || keys == ["1", "2"], "{keys:?}");
    }

    fn table(&self, ending: &str) -> String {
        format!("{}_{ending}", self.scratch.name)
    }

    fn records(&self) -> Vec<Record> {
        records_in(&self.scratch.name)
    }

    fn keys(&self) -> Vec<String> {
        self.records().into_iter().map(|record| record.key).collect()
    }

    fn number(&self, query: &str) -> i64 {
        self.server.connect().query(query).unwrap()[0][0].as_deref().unwrap().parse().unwrap()
    }

    /// Milliseconds since 1970 by the database's clock, cut.
    fn now_ms(&self) -> i64 {
        self.number(match self.server.name {
            "postgres" => "SELECT floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint",
            _ => "SELECT CAST(FLOOR(UNIX_TIMESTAMP(SYSDATE(6)) * 1000) AS SIGNED)",
        })
    }
}

const PAUSE: Duration = Duration::from_millis(1_200);

/// One key column: its text; several: a JSON array; none: the table's name. The time is the commit's: not the
/// statement's, nor the sending's.
#[test]
fn keys_and_times() {
    let _together = together();
    for server in all_servers() {
        let tables = [
            ("one", "id BIGINT PRIMARY KEY"),
            ("two", "a INT, b VARCHAR(20), PRIMARY KEY (a, b)"),
            ("none", "a INT"),
        ];
        let stream = Stream::new("record", &server, &tables);
        let mut transaction = server.connect();
        transaction.execute("BEGIN").unwrap();
        for (table, values) in [("one", "-42"), ("two", "7, 'é\"x'"), ("none", "1")] {
            transaction.execute(&format!("INSERT INTO {} VALUES ({values})", stream.table(table))).unwrap();
        }
        std::thread::sleep(PAUSE);
        let before_ms = stream.now_ms();
        transaction.execute("COMMIT").unwrap();
        let after_ms = stream.now_ms();
        std::thread::sleep(PAUSE);
        stream.connect().ok();
        let none = format!("{}.{}", server.schema(), stream.table("none"));
        assert_eq!(stream.keys(), ["-42", r#"[7,"é\"x"]"#, &none], "{}", server.name);
        // MariaDB's log counts seconds.
        let before_ms = if server.name == "mariadb" { before_ms / 1_000 * 1_000 } else { before_ms };
        for record in stream.records() {
            assert!(
                (before_ms..=after_ms).contains(&record.timestamp_ms),
                "{}: {before_ms}..={after_ms} {record:?}",
                server.name
            );
        }
    }
}

/// Three copies, or as many as there are brokers.
#[test]
fn copies_of_a_new_topic() {
    let _alone = alone();
    let stream = Stream::new(
        "copies",
        &Server::postgres(),
        &[("a", "id INT PRIMARY KEY"), ("b", "id INT PRIMARY KEY")],
    );
    let text = stream.scratch.read("list_sync.toml").replace("\"{source}\"", "\"{source}.{table}\"");
    stream.scratch.write("list_sync.toml", &text);
    let copies = |ending: &str| {
        stream.server.execute(&format!("INSERT INTO {} VALUES (1);\n", stream.table(ending)));
        let run = stream.connect();
        (run, replicas_of(&format!("{}.{}", stream.scratch.name, stream.table(ending))))
    };
    let (run, three) = copies("a");
    run.ok();
    services(&["kill", "kafka.3"]);
    while crate::rig::brokers_alive() > 2 {
        std::thread::sleep(Duration::from_millis(200));
    }
    let (run, two) = copies("b");
    services(&["up", "kafka"]);
    run.ok();
    assert_eq!((three, two), (vec![3], vec![2]));
}

/// A row that is refused stops its source at every start, and nothing behind it gets ahead, until somebody
/// raises the limit.
fn refused(server: &Server, value: &str, raise_limit: impl Fn(&Stream)) {
    let _together = together();
    let stream =
        Stream::new("large", server, &[("rows", if server.name == "postgres" { TEXTS } else { LONG_TEXTS })]);
    let table = stream.table("rows");
    server.execute(&format!("INSERT INTO {table} VALUES (1, 'a');\n"));
    stream.connect().ok();
    server.execute(&format!(
        "INSERT INTO {table} VALUES (2, 'b');\nINSERT INTO {table} VALUES (3, '{value}');\nINSERT INTO \
         {table} VALUES (4, 'c');\n"
    ));
    for _ in 0..2 {
        let hint = "hint: raise max.message.bytes of the topic (or message.max.bytes of the brokers), and \
            message.max.bytes under [kafka] properties";
        stream.stops("a message is larger than Kafka takes", hint);
    }
    raise_limit(&stream);
    stream.connect().ok();
    assert_eq!(stream.keys(), ["1", "2", "3", "4"]);
}

const TEXTS: &str = "id INT PRIMARY KEY, value_ TEXT";
const LONG_TEXTS: &str = "id INT PRIMARY KEY, value_ LONGTEXT";

/// More than the `message.max.bytes` of the client; the brokers would take it, since it is small when it is
/// compressed.
#[test]
fn larger_than_the_client_takes() {
    let large = "x".repeat(9_000_000);
    for server in [Server::postgres(), Server::mysql()] {
        refused(&server, &large, |stream| {
            let limit = "\"message.max.bytes\" = \"20000000\"";
            // A queue that can never take it is no reason to wait for ever.
            stream.configure(&format!("{limit}, \"queue.buffering.max.kbytes\" = \"8192\""));
            stream.stops("it is larger than the producer's queue", "hint: raise queue.buffering.max.kbytes");
            stream.configure(limit);
        });
    }
}

/// More than the brokers take by default, 1 MB, and nothing that could be compressed to less.
#[test]
fn larger_than_the_topic_takes() {
    let mut state = 1_u64;
    let mut letter = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        char::from(b'A' + (state >> 33) as u8 % 26)
    };
    let large: String = std::iter::repeat_with(&mut letter).take(3_000_000).collect();
    refused(&Server::postgres(), &large, |stream| raise_limit_of_topic(&stream.scratch.name));
}

fn raise_limit_of_topic(topic: &str) {
    let jars = format!("{}/*", crate::rig::variable("LIST_SYNC_KAFKA_JARS"));
    let brokers = kafka();
    let change = ["--alter", "--topic", topic, "--add-config", "max.message.bytes=8000000"];
    let mut java = Command::new("java");
    java.args(["-cp", &jars, "kafka.admin.ConfigCommand", "--bootstrap-server", &brokers]).args(change);
    assert!(java.output().unwrap().status.success());
}
