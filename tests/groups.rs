//! Groups: three members share one, two groups read the same topics side by side, and both databases run at once.

use crate::rig::{Pipeline, Server};

#[test]
fn three_members_and_a_second_group() {
    let pipeline = Pipeline::new("group", Server::postgres(), false);
    let counts = pipeline.seed(30_000);
    pipeline.run(&["connect", "--once"]);
    let text = pipeline.scratch.read("list_sync.toml");
    let second = text.replace("[[sink]]\nname = \"", "[[sink]]\nname = \"second_").replace("path = \"out/", "path = \"second/");
    pipeline.scratch.write("second.toml", &second);
    let mut shared = pipeline.start("three", &["consume", "--once", "--instances", "3"]);
    let mut alone = pipeline.start("second", &["-c", "second.toml", "consume", "--once"]);
    let longest = std::time::Duration::from_secs(90);
    assert!(shared.wait(longest).success(), "{}", shared.log());
    assert!(alone.wait(longest).success(), "{}", alone.log());
    pipeline.prove(counts);
    let files: Vec<String> = pipeline.files("insert").iter().map(|path| path.file_name().unwrap().to_str().unwrap().to_owned()).collect();
    let expected: Vec<String> = (1..=3).map(|member| format!("{}_{member}_insert.csv", pipeline.table)).collect();
    assert_eq!(files, expected, "each member writes files of its own");
    pipeline.run(&["-c", "second.toml", "verify"]);
}

/// Members that come and go: the partitions move while rows flow, and one member is killed.
#[test]
fn members_come_and_go() {
    let pipeline = Pipeline::new("moving", Server::postgres(), false);
    let text = pipeline.scratch.read("list_sync.toml");
    for member in ["a", "b", "c"] {
        pipeline
            .scratch
            .write(&format!("{member}.toml"), &text.replace("commit_interval_ms", &format!("id = {member:?}\ncommit_interval_ms")));
    }
    let mut seed = pipeline.start_seed(40_000, 3_000);
    let connect = pipeline.start("connect", &["connect"]);
    let pause = |seconds: u64| std::thread::sleep(std::time::Duration::from_secs(seconds));
    let a = pipeline.start("a", &["-c", "a.toml", "consume"]);
    pause(3);
    let b = pipeline.start("b", &["-c", "b.toml", "consume"]);
    pause(3);
    a.kill();
    let c = pipeline.start("c", &["-c", "c.toml", "consume"]);
    pause(4);
    assert_eq!(b.stop(), Some(0));
    assert!(seed.wait(std::time::Duration::from_secs(120)).success());
    let counts = crate::rig::Counts::parse(&seed.log());
    assert_eq!(c.stop(), Some(0));
    assert_eq!(connect.stop(), Some(0));
    pipeline.run(&["connect", "--once"]);
    pipeline.run(&["-c", "a.toml", "consume", "--once"]);
    pipeline.prove(counts);
}

/// One connector with both databases, one consumer with both topics.
#[test]
fn both_databases_at_once() {
    let (postgres, mysql) = (Pipeline::new("both", Server::postgres(), false), Pipeline::new("both", Server::mysql(), false));
    let text = postgres.scratch.read("list_sync.toml")
        + mysql.scratch.read("list_sync.toml").split_once("[[source]]").map(|(_, rest)| "[[source]]".to_owned() + rest).unwrap().as_str();
    let config = postgres
        .scratch
        .write("both.toml", &text.replace("path = \"out/", &format!("path = \"{}/out/", postgres.scratch.folder.display())));
    // Each pipeline's own `verify` looks into its own folder.
    std::os::unix::fs::symlink(postgres.scratch.path("out"), mysql.scratch.path("out")).unwrap();
    let config = config.to_str().unwrap();
    let mut run = postgres.start("run", &["-c", config, "run"]);
    run.wait_for("streaming");
    let counts = [postgres.seed(20_000), mysql.seed(20_000)];
    assert_eq!(run.stop(), Some(0));
    postgres.run(&["-c", config, "run", "--once"]);
    for (pipeline, counts) in [&postgres, &mysql].into_iter().zip(counts) {
        pipeline.prove(counts);
        pipeline.prove_topic(counts);
    }
}
