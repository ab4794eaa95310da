//! Servers that wait for their reader only briefly, and starts that take longer.

use std::time::{Duration, Instant};

use crate::rig::{OwnPostgres, Program, Scratch, kafka, together};

/// More topics than can be looked at in that time: after a kill each takes 0.6 s.
const TABLES: usize = 12;
const SERVER_PATIENCE_SECS: u64 = 4;

#[test]
fn a_start_over_many_topics_keeps_the_server() {
    let _together = together();
    let own = OwnPostgres::start(
        "many",
        &format!("-c wal_level=logical -c wal_sender_timeout={SERVER_PATIENCE_SECS}s -c fsync=off"),
    );
    let scratch = Scratch::new("topics");
    let name = &scratch.name;
    let each = |statement: &str| {
        (1..=TABLES).map(|number| statement.replace('#', &format!("{name}_{number}"))).collect::<String>()
    };
    own.server.execute(&each("CREATE TABLE # (id INT PRIMARY KEY);\n"));
    let brokers: Vec<String> = kafka().split(',').map(|broker| format!("{broker:?}")).collect();
    let text = format!(
        "[kafka]\nbrokers = [{}]\ntopic = {{ partitions = 1 }}\n[[source]]\nname = {name:?}\nurl = \
         {:?}\ntables = [\"{name}_*\"]\n",
        brokers.join(", "),
        own.server.url
    );
    scratch.write("list_sync.toml", &text);
    Program::run(&scratch.folder, &["connect", "--once"]).ok();
    own.server.execute(&each("INSERT INTO # VALUES (1);\n"));
    let mut connect = Program::start(&scratch.folder, "first", &["connect"]);
    let began = Instant::now();
    while connect.log().matches("topic created").count() < TABLES {
        assert!(connect.is_running() && began.elapsed() < Duration::from_secs(60), "{}", connect.log());
        std::thread::sleep(Duration::from_millis(50));
    }
    connect.kill();
    own.server.execute(&each("INSERT INTO # VALUES (2);\n"));
    let began = Instant::now();
    let again = Program::run(&scratch.folder, &["connect", "--once"]).ok();
    assert!(
        began.elapsed() > Duration::from_secs(SERVER_PATIENCE_SECS),
        "the start was too short to tell anything"
    );
    assert!(!again.err.contains("connecting again"), "{}", again.err);
}
