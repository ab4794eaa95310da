//! Tables that are captured later than their source began: their rows come first, as at a first start.

use std::time::Duration;

use crate::rig::{Counts, Program, Scratch, Server, all_servers, kafka};
use crate::snapshot::{each_row_comes_once, full, wait_for_rows};

/// A source with the tables that a check names.
struct Shop {
    server: Server,
    scratch: Scratch,
    through_kafka: bool,
    _leftovers: crate::rig::Leftovers,
}

impl Shop {
    fn new(check: &str, server: Server, through_kafka: bool) -> Self {
        let scratch = Scratch::new(&format!("{check}_{}", server.name));
        let [a, b] = ["a", "b"].map(|table| format!("{}_{table}", scratch.name));
        let leftovers = server.leftovers(&scratch.name, &[&a, &b]);
        Self { server, scratch, through_kafka, _leftovers: leftovers }
    }

    fn table(&self, name: &str) -> String {
        format!("{}_{name}", self.scratch.name)
    }

    /// Writes a configuration that captures these tables, and runs it until it has caught up.
    fn go(&self, tables: &[&str]) {
        self.configure(&tables.iter().map(|name| self.table(name)).collect::<Vec<_>>());
        let commands: &[&str] = if self.through_kafka { &["connect", "consume"] } else { &["run"] };
        for command in commands {
            Program::run(&self.scratch.folder, &[command, "--once"]).ok();
        }
    }

    fn configure(&self, tables: &[String]) {
        let Scratch { name, .. } = &self.scratch;
        let brokers: Vec<&str> = kafka().leak().split(',').collect();
        let carried =
            if self.through_kafka { format!("[kafka]\nbrokers = {brokers:?}\n") } else { String::new() };
        let text = format!(
            "{carried}[[source]]\nname = {name:?}\nurl = {:?}\ntables = {tables:?}\n[[sink]]\nname = \
             {name:?}\ntopics = [\"{name}.*\"]\npath = \"out/{{table}}\"\ncommit_interval_ms = 200\n",
            self.server.url
        );
        self.scratch.write("list_sync.toml", &text);
    }

    /// How many inserts and truncates the files of a table hold.
    fn inserts_and_truncates(&self, name: &str) -> (usize, usize) {
        let mut lines: Vec<String> = Vec::new();
        for file in std::fs::read_dir(self.scratch.path("out")).unwrap() {
            let text = std::fs::read_to_string(file.unwrap().path()).unwrap();
            lines.extend(text.lines().map(str::to_owned));
        }
        let of = |action: &str| {
            let is_of = |line: &&String| {
                let mut cells = line.split(',');
                cells.next().is_some_and(|first| first.starts_with(action))
                    && cells.next() == Some(&self.table(name))
            };
            lines.iter().filter(is_of).count()
        };
        // A truncate stands in the files of inserts and in those of deletes.
        (of("I"), of("T") / 2)
    }

    fn prove(&self, tables: usize) {
        let proof = Program::run(&self.scratch.folder, &["verify"]).ok();
        assert_eq!(proof.out.matches("0 missing, 0 extra, 0 different").count(), tables, "{}", proof.out);
    }

    fn fill(&self, name: &str, keys: std::ops::Range<u32>) {
        for key in keys {
            self.server.execute(&format!("INSERT INTO {} VALUES ({key}, 'v{key}');\n", self.table(name)));
        }
    }
}

#[test]
fn a_table_that_is_added_is_read_first() {
    for server in all_servers() {
        // One of them through Kafka too: what differs there is the same for all.
        let ways: &[bool] = if server.name == "mysql" { &[true, false] } else { &[false] };
        for &through_kafka in ways {
            let shop = Shop::new(&format!("added_{through_kafka}"), server.clone(), through_kafka);
            for name in ["a", "b"] {
                shop.server.execute(&format!(
                    "CREATE TABLE {} (id int PRIMARY KEY, v varchar(20));\n",
                    shop.table(name)
                ));
                shop.fill(name, 0..5);
            }
            shop.go(&["a"]);
            shop.fill("a", 5..6);
            shop.fill("b", 5..7);
            shop.go(&["a", "b"]);
            assert_eq!(shop.inserts_and_truncates("b"), (7, 0), "rows from before");
            shop.fill("b", 7..8);
            shop.go(&["a", "b"]);
            assert_eq!(shop.inserts_and_truncates("b"), (8, 0), "the stream goes on");
            assert_eq!(shop.inserts_and_truncates("a"), (6, 0), "and is not read again");
            shop.prove(2);
            // What happens while it is left out is in no message: its rows are read again, behind a truncate.
            shop.go(&["a"]);
            shop.fill("b", 8..9);
            shop.server.execute(&format!("DELETE FROM {} WHERE id < 2;\n", shop.table("b")));
            shop.go(&["a"]);
            shop.go(&["a", "b"]);
            assert_eq!(shop.inserts_and_truncates("b"), (8 + 7, 1));
            shop.prove(2);
        }
    }
}

/// What was sent of it, and not saved, is not sent again.
#[test]
fn killed_while_an_added_table_is_read() {
    for server in all_servers() {
        let (pipeline, before) = full("addkill", server, 60_000, true);
        let other = format!("o_{}", pipeline.scratch.name);
        let _leftovers = pipeline.server.leftovers(&pipeline.scratch.name, &[&other]);
        pipeline.server.execute(&format!("CREATE TABLE {other} (id int PRIMARY KEY);\n"));
        let text = pipeline.as_owner(&pipeline.scratch.read("list_sync.toml"));
        let tables =
            |names: &[&String]| text.replace(&format!("[{:?}]", pipeline.table), &format!("{names:?}"));
        pipeline.scratch.write("list_sync.toml", &tables(&[&other]));
        pipeline.run(&["connect", "--once"]);
        pipeline.scratch.write("list_sync.toml", &tables(&[&other, &pipeline.table]));
        let load = pipeline.start_load(1_000);
        for pause_ms in [30, 120, 60] {
            let mut connect = pipeline.start("connect", &["connect"]);
            wait_for_rows(&mut connect);
            std::thread::sleep(Duration::from_millis(pause_ms));
            connect.kill();
        }
        let counts = before + Counts::of_ended(load);
        pipeline.run(&["connect", "--once"]);
        pipeline.run(&["consume", "--once"]);
        each_row_comes_once(&pipeline);
        crate::snapshot::proved(&pipeline, counts.inserted - counts.deleted);
    }
}

/// A table that is made while the source runs is in its publication some seconds later, and what others have
/// changed by then without a commit is in no message: the snapshot waits for them.
#[test]
fn a_table_that_is_made_meanwhile() {
    let shop = Shop::new("made", Server::postgres(), false);
    let [a, b] = ["a", "b"].map(|name| shop.table(name));
    let create = |table: &str| format!("CREATE TABLE {table} (id int PRIMARY KEY, v varchar(20));\n");
    shop.server.execute(&create(&a));
    shop.configure(&[format!("{}_*", shop.scratch.name)]);
    let mut run = Program::start(&shop.scratch.folder, "run", &["run"]);
    run.wait_for("snapshot complete");
    // At once: the next look at the catalog is some seconds away.
    let rows = format!("INSERT INTO {b} SELECT g, 'v' FROM generate_series(0, 99) g;\n");
    shop.server.execute(&(create(&b) + &rows));
    let mut session = shop.server.connect();
    session.execute("BEGIN").unwrap();
    session.execute(&format!("INSERT INTO {b} VALUES (100, 'open'), (101, 'open')")).unwrap();
    run.wait_for("new tables: their rows are read first");
    session.execute(&format!("UPDATE {b} SET v = 'later' WHERE id = 101")).unwrap();
    std::thread::sleep(Duration::from_secs(1));
    assert!(!run.log().contains("left=0 rows=102"), "{}", run.log());
    session.execute("COMMIT").unwrap();
    run.wait_for("left=0 rows=102");
    shop.fill("b", 102..103);
    let since = std::time::Instant::now();
    while shop.inserts_and_truncates("b") != (103, 0) {
        assert!(since.elapsed() < Duration::from_secs(60), "{:?}", shop.inserts_and_truncates("b"));
        std::thread::sleep(Duration::from_millis(100));
    }
    assert_eq!(run.stop(), Some(0));
    shop.prove(2);
}
