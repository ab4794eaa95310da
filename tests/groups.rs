//! Groups: three members share one, two groups read the same topics side by side, and both databases run at
//! once.

use std::time::{Duration, Instant};

use crate::rig::{Counts, Pipeline, Server};

/// For members to find each other.
const LONGEST: Duration = Duration::from_secs(60);

#[test]
fn three_members_and_a_second_group() {
    let pipeline = Pipeline::new("group", Server::postgres(), false);
    let text = pipeline.scratch.read("list_sync.toml");
    let second = text
        .replace("[[sink]]\nname = \"", "[[sink]]\nname = \"second_")
        .replace("path = \"out/", "path = \"second/");
    pipeline.scratch.write("second.toml", &second);
    // The topic comes with the first rows; then each member is given one of its partitions.
    let first = pipeline.seed(100);
    pipeline.run(&["connect", "--once"]);
    let shared = pipeline.start("three", &["consume", "--instances", "3"]);
    let began = Instant::now();
    while shared.log().matches("partitions=1").count() < 3 {
        assert!(began.elapsed() < LONGEST, "the members never shared the topic:\n{}", shared.log());
        std::thread::sleep(Duration::from_millis(50));
    }
    let more = pipeline.seed(30_000);
    let counts = Counts {
        inserted: first.inserted + more.inserted,
        updated: first.updated + more.updated,
        deleted: first.deleted + more.deleted,
    };
    let mut alone = pipeline.start("second", &["-c", "second.toml", "consume"]);
    pipeline.run(&["connect", "--once"]);
    assert_eq!(shared.stop(), Some(0));
    pipeline.run(&["consume", "--once", "--instances", "3"]);
    alone.wait_for("partitions assigned");
    assert_eq!(alone.stop(), Some(0));
    pipeline.run(&["-c", "second.toml", "consume", "--once"]);
    pipeline.prove(counts);
    let files: Vec<String> = pipeline
        .files("insert")
        .iter()
        .map(|path| path.file_name().unwrap().to_str().unwrap().to_owned())
        .collect();
    let expected: Vec<String> =
        (1..=3).map(|member| format!("{}_{member}_insert.csv", pipeline.table)).collect();
    assert_eq!(files, expected, "each member writes files of its own");
    pipeline.run(&["-c", "second.toml", "verify"]);
}

/// Consumers for themselves: each reads everything and writes files of its own; one without files reads
/// everything too.
#[test]
fn independent_consumers() {
    let pipeline = Pipeline::new("each", Server::mysql(), false);
    let counts = pipeline.seed(5_000);
    pipeline.run(&["connect", "--once"]);
    pipeline.run(&["consume", "--once", "--instances", "4", "--independent"]);
    let proof = pipeline.run(&["verify", "--independent", "4"]);
    let equal = format!("{} rows, 0 missing, 0 extra, 0 different", counts.inserted - counts.deleted);
    assert_eq!(proof.out.lines().filter(|line| line.ends_with(&equal)).count(), 4, "{}", proof.out);
    let text = pipeline
        .scratch
        .read("list_sync.toml")
        .replace("path = \"out/", "kind = \"none\"\npath = \"nothing/");
    pipeline.scratch.write("none.toml", &text);
    let run = pipeline.run(&["-c", "none.toml", "consume", "--once"]);
    assert!(run.err.contains(&format!("rows={}", counts.changes())), "{}", run.err);
    assert!(!pipeline.scratch.path("nothing").exists());
}

/// Members that come and go: the partitions move while rows flow, and one member is killed.
#[test]
fn members_come_and_go() {
    let pipeline = Pipeline::new("moving", Server::postgres(), false);
    pipeline.shorten_sessions();
    let text = pipeline.scratch.read("list_sync.toml");
    for member in ["a", "b", "c"] {
        pipeline.scratch.write(
            &format!("{member}.toml"),
            &text.replace("commit_interval_ms", &format!("id = {member:?}\ncommit_interval_ms")),
        );
    }
    let load = pipeline.start_load(3_000);
    let connect = pipeline.start("connect", &["connect"]);
    // Each has partitions, and its own files grow, before the next thing happens.
    let join = |member: &str| {
        let mut joined = pipeline.start(member, &["-c", &format!("{member}.toml"), "consume"]);
        joined.wait_for("partitions assigned");
        pipeline.wait_for_growth(&format!("{member}_insert"));
        joined
    };
    let a = join("a");
    let b = join("b");
    pipeline.wait_for_growth("a_insert");
    a.kill();
    let c = join("c");
    assert_eq!(b.stop(), Some(0));
    pipeline.wait_for_growth("c_insert");
    let counts = Counts::of_ended(load);
    assert_eq!(c.stop(), Some(0));
    assert_eq!(connect.stop(), Some(0));
    pipeline.run(&["connect", "--once"]);
    pipeline.run(&["-c", "a.toml", "consume", "--once"]);
    pipeline.prove(counts);
}

/// One connector with all databases, one consumer with all topics; the loads overlap.
#[test]
fn all_databases_at_once() {
    let first = Pipeline::new("every", Server::postgres(), false);
    let all = [
        &first,
        &Pipeline::new_alone("every", Server::mysql()),
        &Pipeline::new_alone("every", Server::mariadb()),
    ];
    let mut text = String::new();
    for pipeline in all {
        let own = pipeline.scratch.read("list_sync.toml");
        text += if text.is_empty() { &own } else { &own[own.find("[[source]]").unwrap()..] };
        // Each pipeline's own `verify` looks into its own folder.
        if pipeline.scratch.name != first.scratch.name {
            std::os::unix::fs::symlink(first.scratch.path("out"), pipeline.scratch.path("out")).unwrap();
        }
    }
    let out = format!("path = \"{}/out/", first.scratch.folder.display());
    let config = first.scratch.write("all.toml", &text.replace("path = \"out/", &out));
    let config = config.to_str().unwrap();
    let mut run = first.start("run", &["-c", config, "run"]);
    for pipeline in all {
        run.wait_for(&format!("streaming source={:?}", pipeline.scratch.name));
    }
    let loads = all.map(|pipeline| pipeline.start_load(2_000));
    // Rows of each database reach the files while all loads go on.
    for _ in 0..3 {
        for pipeline in all {
            pipeline.wait_for_growth(&format!("{}_insert", pipeline.table.trim_start_matches("t_")));
        }
    }
    let counts: Vec<Counts> = loads.into_iter().map(Counts::of_ended).collect();
    assert_eq!(run.stop(), Some(0));
    first.run(&["-c", config, "run", "--once"]);
    for (pipeline, counts) in all.into_iter().zip(counts) {
        pipeline.prove(counts);
        pipeline.prove_topic_has_each_once(counts);
    }
}
