//! Databases -> files without Kafka: position and files move together, through kills.

use std::time::Duration;

use crate::rig::{Counts, Pipeline, Program, Server, all_servers};

fn killed(server: Server) {
    let pipeline = Pipeline::new("direct", server, true);
    let mut begin = pipeline.start("run", &["run"]);
    begin.wait_for("streaming");
    assert_eq!(begin.stop(), Some(0));
    let load = pipeline.start_load(5_000);
    for pause_ms in [700, 1300, 400, 900] {
        let mut run = pipeline.start("run", &["run"]);
        run.wait_for("streaming");
        std::thread::sleep(Duration::from_millis(pause_ms));
        // It dies with rows that were written and belong to no saved position yet.
        pipeline.wait_for_growth("");
        run.kill();
    }
    let counts = Counts::of_ended(load);
    pipeline.run(&["run", "--once"]);
    pipeline.prove(counts);
}

#[test]
fn killed_on_postgres() {
    killed(Server::postgres());
}

#[test]
fn killed_on_mysql() {
    killed(Server::mysql());
}

/// The same load through Kafka and directly gives the same files.
#[test]
fn the_same_files_as_through_kafka() {
    for server in all_servers() {
        let through = Pipeline::new("same", server.clone(), false);
        let script = format!(
            "CREATE TABLE {0}_d (id INT PRIMARY KEY, name VARCHAR(20), at TIMESTAMP NULL);\n\
             INSERT INTO {0}_d VALUES (1, 'a,b', '2026-01-01 00:00:00'), (2, '', NULL), (3, NULL, NULL);\n\
             UPDATE {0}_d SET name = 'x' WHERE id = 2;\nUPDATE {0}_d SET id = 9 WHERE id = 3;\nDELETE FROM \
             {0}_d WHERE id = 1;\n",
            through.table
        );
        let (create, changes) = script.split_once(";\n").unwrap();
        server.execute(&format!("{create};\n"));
        let table = format!("{}_d", through.table);
        let sources = [format!("{}_k", through.scratch.name), format!("{}_x", through.scratch.name)];
        let _leftovers: Vec<_> = sources.iter().map(|source| server.leftovers(source, &[&table])).collect();
        let line = |source: &str, folder: &str, kafka: bool| {
            let carried = if kafka {
                let brokers: Vec<String> =
                    crate::rig::kafka().split(',').map(|broker| format!("{broker:?}")).collect();
                format!("[kafka]\nbrokers = [{}]\ntopic = {{ partitions = 1 }}\n", brokers.join(", "))
            } else {
                String::new()
            };
            let text = format!(
                "{carried}[[source]]\nname = {source:?}\nurl = {:?}\ntables = [{table:?}]\nsnapshot \
                 = \"never\"\n\
                 [[sink]]\nname = {source:?}\ntopics = [\"{source}.*\"]\npath = \"{folder}/{{table}}\"\n",
                server.url
            );
            through.scratch.write(&format!("{folder}.toml"), &text);
        };
        line(&sources[0], "kafka", true);
        line(&sources[1], "direct", false);
        through.run(&["-c", "kafka.toml", "run", "--once"]);
        through.run(&["-c", "direct.toml", "run", "--once"]);
        server.execute(changes);
        through.run(&["-c", "kafka.toml", "run", "--once"]);
        through.run(&["-c", "direct.toml", "run", "--once"]);
        for kind in ["insert", "delete"] {
            let file = format!("{table}_{kind}.csv");
            assert_eq!(
                through.scratch.read(format!("kafka/{file}")),
                through.scratch.read(format!("direct/{file}")),
                "{} {kind}",
                server.name
            );
        }
    }
}

/// Rows of two tables in one transaction, so in one batch: each goes to its own files.
#[test]
fn two_tables_at_once() {
    let server = Server::postgres();
    let pipeline = Pipeline::new("two", server.clone(), true);
    let other = format!("{}_b", pipeline.table);
    server.execute(&format!("CREATE TABLE {other} (id INT PRIMARY KEY);\n"));
    let _leftovers = server.leftovers("", &[&other]);
    let text =
        pipeline.scratch.read("list_sync.toml").replace("tables = [", &format!("tables = [{other:?}, "));
    pipeline.scratch.write("list_sync.toml", &pipeline.as_owner(&text));
    pipeline.run(&["run", "--once"]);
    server.execute(&format!(
        "BEGIN;\nINSERT INTO {0} (id) VALUES (1);\nINSERT INTO {other} VALUES (7);\nINSERT INTO {0} (id) \
         VALUES (2);\nCOMMIT;\n",
        pipeline.table
    ));
    pipeline.run(&["run", "--once"]);
    assert_eq!(
        pipeline.scratch.read(format!("out/{other}_insert.csv")),
        format!("action,table,id\nI,{other},7\n")
    );
    let proof = pipeline.run(&["verify"]);
    assert!(
        proof.out.contains("2 rows, 0 missing") && proof.out.contains("1 rows, 0 missing"),
        "{}",
        proof.out
    );
}

/// The same command from another folder would take the slot's changes away from the files that it feeds.
#[test]
fn a_slot_that_feeds_files_in_another_folder() {
    let pipeline = Pipeline::new("elsewhere", Server::postgres(), true);
    pipeline.run(&["run", "--once"]);
    let counts = pipeline.seed(10);
    let elsewhere = pipeline.scratch.path("elsewhere");
    std::fs::create_dir(&elsewhere).unwrap();
    let run = Program::run(&elsewhere, &["-c", "../list_sync.toml", "run", "--once"]);
    assert_eq!(run.code, Some(1), "{}", run.err);
    assert!(run.err.contains("is there already, but no saved position in \"out/.list_sync."), "{}", run.err);
    pipeline.run(&["run", "--once"]);
    pipeline.prove(counts);
}
