//! A commit that has to name more files than a broker takes text for: many tables in one topic, and many
//! members in one group.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::rig::{Counts, Pipeline, Program, Scratch, Server, kafka, together};

/// So many tables in one topic, with consumers that are killed while they write.
const TABLES: usize = 1_000;

#[test]
fn a_thousand_tables_in_one_topic() {
    let (server, _together) = (Server::postgres(), together());
    let scratch = Scratch::new("thousand");
    let schema = format!("thousand_{}", std::process::id());
    let mut setup = format!("CREATE SCHEMA {schema};\n");
    for table in 0..TABLES {
        let _ = writeln!(setup, "CREATE TABLE {schema}.t{table} (id INT PRIMARY KEY, name VARCHAR(20));");
    }
    let _leftovers = server.leftovers(&scratch.name, &[]);
    server.execute(&setup);
    let brokers: Vec<String> = kafka().split(',').map(|broker| format!("{broker:?}")).collect();
    let text = format!(
        "[kafka]\nbrokers = [{}]\nproperties = {{ \"session.timeout.ms\" = \"6000\" }}\n[[source]]\nname = \
         {name:?}\nurl = {:?}\ntables = [\"{schema}.*\"]\n\
         topic = \"{{source}}\"\nsnapshot = \"never\"\n[[sink]]\nname = {name:?}\ntopics = [{name:?}]\npath \
         = \"out/{{table}}\"\ncommit_interval_ms = 100\n",
        brokers.join(", "),
        server.url,
        name = scratch.name,
    );
    scratch.write("list_sync.toml", &text);
    Program::run(&scratch.folder, &["connect", "--once"]).ok();
    let rounds = 3;
    for round in 0..rounds {
        let each =
            |table| format!("INSERT INTO {schema}.t{table} VALUES ({round}, 'a'), ({}, 'b');\n", round + 100);
        server.execute(&(0..TABLES).map(each).collect::<String>());
        Program::run(&scratch.folder, &["connect", "--once"]).ok();
        // Killed at another moment each time: while it makes its files, and while it writes to them again.
        let mut consumer = Program::start(&scratch.folder, &format!("consumer{round}"), &["consume"]);
        consumer.wait_for("partitions assigned");
        let files = |ending: &str| {
            std::fs::read_dir(scratch.path("out")).map_or(0, |found| {
                found
                    .flatten()
                    .filter(|file| file.file_name().to_str().is_some_and(|name| name.ends_with(ending)))
                    .count()
            })
        };
        let began = std::time::Instant::now();
        while round == 0 && files(".csv") < TABLES / 3 {
            assert!(began.elapsed().as_secs() < 60, "no files:\n{}", consumer.log());
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        std::thread::sleep(std::time::Duration::from_millis(150 * round));
        consumer.kill();
    }
    Program::run(&scratch.folder, &["consume", "--once"]).ok();
    server.execute(&format!("DROP SCHEMA {schema} CASCADE"));
    let mut found: BTreeMap<String, usize> = BTreeMap::new();
    for file in std::fs::read_dir(scratch.path("out")).unwrap().map(|entry| entry.unwrap().path()) {
        if file.extension().is_some_and(|ending| ending == "csv") {
            for line in std::fs::read_to_string(&file).unwrap().lines().skip(1) {
                *found.entry(line.to_owned()).or_default() += 1;
            }
        }
    }
    let twice: Vec<&String> = found.iter().filter(|(_, times)| **times > 1).map(|(line, _)| line).collect();
    assert_eq!((found.len(), twice.len()), (TABLES * 2 * rounds as usize, 0), "{twice:?}");
    // One assignment each was killed; the commits of the last one name what is left, and those of the killed
    // ones wait for their time.
    let texts = std::fs::read_dir(scratch.path("out/.list_sync")).unwrap().count();
    assert!((1..=8).contains(&texts), "{texts} files of names");
}

/// Members with long names: each partition's commit goes on naming the files of all who had it before.
/// `LIST_SYNC_TEST_MEMBERS` sets their number.
#[test]
fn many_members_of_one_topic() {
    let members: u32 = std::env::var("LIST_SYNC_TEST_MEMBERS").map_or(16, |number| number.parse().unwrap());
    let pipeline = Pipeline::new("members", Server::postgres(), false);
    pipeline.shorten_sessions();
    let text = pipeline
        .scratch
        .read("list_sync.toml")
        .replace("[kafka]\n", &format!("[kafka]\ntopic = {{ partitions = {members} }}\n"));
    let folder = format!("{}/", "long".repeat(50)).repeat(4);
    pipeline
        .scratch
        .write("list_sync.toml", &text.replace("path = \"out/", &format!("path = \"out/{folder}")));
    let mut counts = Counts::default();
    let count = members.to_string();
    // With all, with one alone, and with all again; killed each time.
    for (round, instances) in [count.as_str(), "1", count.as_str()].into_iter().enumerate() {
        counts += pipeline.seed(3_000);
        pipeline.run(&["connect", "--once"]);
        let mut consumer = pipeline.start(&format!("round{round}"), &["consume", "--instances", instances]);
        consumer.wait_for("partitions assigned");
        std::thread::sleep(std::time::Duration::from_secs(2));
        consumer.kill();
    }
    counts += pipeline.seed(3_000);
    pipeline.run(&["connect", "--once"]);
    pipeline.run(&["consume", "--once", "--instances", &count]);
    // The proof looks where the files lie.
    let proof = pipeline.run(&["verify"]);
    assert!(
        proof
            .out
            .contains(&format!("{} rows, 0 missing, 0 extra, 0 different", counts.inserted - counts.deleted)),
        "{}",
        proof.out
    );
    let written = pipeline.scratch.path("out").join(&folder);
    assert!(written.join(".list_sync").is_dir(), "no commit was too long for its text");
    let rows = |kind: &str| -> u64 {
        let files = std::fs::read_dir(&written).unwrap().map(|entry| entry.unwrap().path());
        let files = files.filter(|path| {
            path.to_str().unwrap().contains(kind) && path.extension().is_some_and(|ending| ending == "csv")
        });
        let begins = |line: &&str| line.starts_with("I,") || line.starts_with("D,");
        files.map(|path| std::fs::read_to_string(path).unwrap().lines().filter(begins).count() as u64).sum()
    };
    assert_eq!(
        (rows("_insert"), rows("_delete")),
        (counts.inserted + counts.updated, counts.deleted + counts.updated)
    );
}
