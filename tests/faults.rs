//! Faults that pass: a database that dies, brokers that die one after the other or freeze, links that are cut
//! or held, members that freeze. The same processes go on by themselves, and every change is in the files
//! exactly once. Kills of our own processes are in `exactly_once`.

use std::process::Command;
use std::time::Duration;

use crate::rig::{Counts, Link, Monitor, Pipeline, Program, Server, alone, services};

/// Changes, and changes a second: some eight seconds of load.
const ROWS: u64 = 24_000;
const RATE: u64 = 3_000;
/// What the connector says once it has started: from then on it outlasts faults. Before, they end it, so that
/// a wrong address is told at once.
const STREAMING: &str = "streaming source=";

fn pause(seconds: u64) {
    std::thread::sleep(Duration::from_secs(seconds));
}

/// Both stages as processes, streaming.
fn start(pipeline: &Pipeline) -> (Program, Program) {
    let mut connect = pipeline.start("connect", &["connect"]);
    let consume = pipeline.start("consume", &["consume"]);
    connect.wait_for(STREAMING);
    (connect, consume)
}

/// Both stages are still the processes that were started, and end well; what they had not done yet is done,
/// and all of it is proved.
fn settle(pipeline: &Pipeline, (connect, consume): (Program, Program), counts: Counts) {
    assert_eq!(connect.stop(), Some(0));
    assert_eq!(consume.stop(), Some(0));
    pipeline.run(&["connect", "--once"]);
    pipeline.run(&["consume", "--once"]);
    pipeline.prove(counts);
}

fn counts_of(mut seed: Program) -> Counts {
    assert!(seed.wait(Duration::from_secs(180)).success(), "{}", seed.log());
    Counts::parse(&seed.log())
}

/// SIGKILL and a clean restart of the server, each with changes that are committed but perhaps not read yet.
fn database_dies(server: Server) {
    let _alone = alone();
    let name = server.name;
    let pipeline = Pipeline::new_alone("dies", server);
    let mut stages = start(&pipeline);
    let mut counts = pipeline.seed(8_000);
    services(&["kill", name]);
    services(&["up", name]);
    counts += pipeline.seed(8_000);
    stages.0.wait_for("connected again");
    services(&["restart", name]);
    counts += pipeline.seed(8_000);
    settle(&pipeline, stages, counts);
}

#[test]
fn postgres_dies() {
    database_dies(Server::postgres());
}

#[test]
fn mysql_dies() {
    database_dies(Server::mysql());
}

#[test]
fn mariadb_dies() {
    database_dies(Server::mariadb());
}

/// Each broker in turn, so every leader, the group's coordinator and the controller die once.
#[test]
fn every_broker_dies_in_turn() {
    let _alone = alone();
    let pipeline = Pipeline::new_alone("turns", Server::postgres());
    let seed = pipeline.start_seed(3 * ROWS, RATE);
    let stages = start(&pipeline);
    for broker in ["kafka.1", "kafka.2", "kafka.3"] {
        pause(2);
        services(&["kill", broker]);
        pause(3);
        services(&["up", "kafka"]);
    }
    let counts = counts_of(seed);
    settle(&pipeline, stages, counts);
    pipeline.prove_topic(counts);
}

/// All brokers at once, just as the consumer is given its partitions: a client that has no first offset yet
/// must find it afterwards.
#[test]
fn all_brokers_die_as_partitions_are_given() {
    let _alone = alone();
    let pipeline = Pipeline::new_alone("nobroker", Server::postgres());
    let mut counts = pipeline.seed(8_000);
    pipeline.run(&["connect", "--once"]);
    let mut connect = pipeline.start("connect", &["connect"]);
    connect.wait_for(STREAMING);
    let mut consume = pipeline.start("consume", &["consume"]);
    consume.wait_for("partitions assigned");
    services(&["kill", "kafka"]);
    services(&["up", "kafka"]);
    counts += pipeline.seed(8_000);
    // By the same processes: `settle` would let new ones do what these left.
    pipeline.run(&["verify", "--wait", "120"]);
    settle(&pipeline, (connect, consume), counts);
}

/// A broker that neither answers nor closes its connections, as behind a network that is split, until it
/// heals.
#[test]
fn a_broker_freezes_and_thaws() {
    let _alone = alone();
    let pipeline = Pipeline::new_alone("freeze", Server::mysql());
    let seed = pipeline.start_seed(2 * ROWS, RATE);
    let stages = start(&pipeline);
    pause(2);
    let pid = services(&["pid", "kafka.2"]);
    let signal =
        |name: &str| assert!(Command::new("kill").args([name, pid.trim()]).status().unwrap().success());
    signal("-STOP");
    pause(15);
    signal("-CONT");
    let counts = counts_of(seed);
    settle(&pipeline, stages, counts);
    pipeline.prove_topic(counts);
}

/// The link to the database is cut, then held: open, and nothing comes through.
fn link_fails(server: Server) {
    let address = server.address();
    let pipeline = Pipeline::new("link", server, false);
    let upstream = format!("{}:{}", address.host, address.port);
    let link = Link::to(&pipeline.scratch.name, &upstream);
    let text = pipeline.scratch.read("list_sync.toml");
    assert!(text.contains(&upstream), "{text}");
    pipeline.scratch.write("list_sync.toml", &text.replace(&upstream, &link.address));
    // The load goes to the server itself.
    let seed = pipeline.start_seed(ROWS, RATE);
    let mut stages = start(&pipeline);
    pause(1);
    link.cut(|| pause(2));
    stages.0.wait_for("connected again");
    link.hold(|| pause(3));
    let counts = counts_of(seed);
    settle(&pipeline, stages, counts);
}

#[test]
fn link_to_postgres_fails() {
    link_fails(Server::postgres());
}

#[test]
fn link_to_mysql_fails() {
    link_fails(Server::mysql());
}

/// A member that is frozen for longer than its session lasts: another one takes over, and when it thaws it
/// writes nothing of its own accord.
#[test]
fn a_member_freezes_past_its_session() {
    let pipeline = Pipeline::new("zombie", Server::postgres(), false);
    let text = pipeline.scratch.read("list_sync.toml");
    for member in ["a", "b"] {
        let own = text.replace("commit_interval_ms", &format!("id = {member:?}\ncommit_interval_ms"));
        pipeline.scratch.write(&format!("{member}.toml"), &format!("{own}{}", Monitor::SECTION));
    }
    let seed = pipeline.start_seed(2 * ROWS, RATE);
    let connect = pipeline.start("connect", &["connect"]);
    let mut frozen = pipeline.start("a", &["-c", "a.toml", "consume"]);
    // What is not committed yet is rolled back once another member takes over.
    let sink = [("sink", pipeline.scratch.name.as_str())];
    Monitor::of(&mut frozen).wait_for_metrics("rows are committed", |metrics| {
        metrics.sum("list_sync_sink_committed_offset", &sink).is_some_and(|offset| offset > 0.0)
    });
    frozen.signal("STOP");
    let other = pipeline.start("b", &["-c", "b.toml", "consume"]);
    // The session lasts 10 s.
    pause(14);
    frozen.signal("CONT");
    let counts = counts_of(seed);
    pause(2);
    assert_eq!(connect.stop(), Some(0));
    assert_eq!(frozen.stop(), Some(0));
    assert_eq!(other.stop(), Some(0));
    pipeline.run(&["connect", "--once"]);
    pipeline.run(&["-c", "a.toml", "consume", "--once"]);
    pipeline.prove(counts);
    assert!(
        pipeline.files("insert").len() >= 2,
        "only one member ever wrote: {:?}",
        pipeline.files("insert")
    );
}

/// A consumer that is stopped while no broker is there ends with its cause, and what it could not commit is
/// read again and written once.
#[test]
fn stopped_while_kafka_is_away() {
    let _alone = alone();
    let pipeline = Pipeline::new_alone("stopaway", Server::postgres());
    let text = pipeline
        .scratch
        .read("list_sync.toml")
        .replace("commit_interval_ms = 200", "commit_interval_ms = 600000");
    pipeline.scratch.write("list_sync.toml", &format!("{text}{}", Monitor::SECTION));
    let mut counts = pipeline.seed(1_000);
    pipeline.run(&["connect", "--once"]);
    let mut consume = pipeline.start("consume", &["consume"]);
    let monitor = Monitor::of(&mut consume);
    let sink = [("sink", pipeline.scratch.name.as_str())];
    monitor.wait_for_metrics("all is written", |metrics| {
        metrics.sum("list_sync_sink_rows_total", &sink) == Some(1_000.0)
    });
    services(&["kill", "kafka"]);
    consume.signal("TERM");
    let ended = consume.wait(Duration::from_secs(60));
    let log = consume.log();
    services(&["up", "kafka"]);
    assert!(
        ended.code() == Some(1) && log.contains("Kafka did not answer the last commit"),
        "{ended:?}: {log}"
    );
    counts += pipeline.seed(100);
    pipeline.run(&["connect", "--once"]);
    pipeline.run(&["consume", "--once"]);
    pipeline.prove(counts);
}
