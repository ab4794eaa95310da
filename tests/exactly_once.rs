//! SIGKILL of connector, consumer and a broker in mid-stream, on each database: every change is in the files exactly once, with no manual step.

use std::time::Duration;

use crate::rig::{Counts, Pipeline, Program, Server, alone, services};

/// Changes, and changes a second: some ten seconds of load.
const ROWS: u64 = 40_000;
const RATE: u64 = 4_000;

fn wait_for_seed(mut seed: Program) -> Counts {
    assert!(seed.wait(Duration::from_secs(120)).success(), "{}", seed.log());
    Counts::parse(&seed.log())
}

/// Lets the stages catch up, one after the other, and proves the result.
fn settle(pipeline: &Pipeline, counts: Counts) {
    pipeline.run(&["connect", "--once"]);
    pipeline.run(&["consume", "--once"]);
    pipeline.prove(counts);
}

fn kill_both(server: Server) {
    let pipeline = Pipeline::new("kill", server, false);
    let seed = pipeline.start_seed(ROWS, RATE);
    // Odd pauses, so that the kills meet the stages at different steps of their work.
    for pause_ms in [900, 1300, 500, 1700, 1100] {
        let mut connect = pipeline.start("connect", &["connect"]);
        let consume = pipeline.start("consume", &["consume"]);
        connect.wait_for("streaming");
        std::thread::sleep(Duration::from_millis(pause_ms));
        connect.kill();
        std::thread::sleep(Duration::from_millis(pause_ms / 2));
        consume.kill();
    }
    let counts = wait_for_seed(seed);
    settle(&pipeline, counts);
    pipeline.prove_topic(counts);
}

#[test]
fn killed_connector_and_consumer_on_postgres() {
    kill_both(Server::postgres());
}

#[test]
fn killed_connector_and_consumer_on_mysql() {
    kill_both(Server::mysql());
}

#[test]
fn killed_connector_and_consumer_on_mariadb() {
    kill_both(Server::mariadb());
}

#[test]
fn killed_broker() {
    let _alone = alone();
    let pipeline = Pipeline::new_alone("broker", Server::postgres());
    let seed = pipeline.start_seed(ROWS, RATE);
    let mut connect = pipeline.start("connect", &["connect"]);
    let consume = pipeline.start("consume", &["consume"]);
    connect.wait_for("streaming");
    std::thread::sleep(Duration::from_secs(2));
    services(&["kill", "kafka.2"]);
    std::thread::sleep(Duration::from_secs(4));
    services(&["up", "kafka"]);
    let counts = wait_for_seed(seed);
    assert_eq!(connect.stop(), Some(0));
    assert_eq!(consume.stop(), Some(0));
    settle(&pipeline, counts);
    pipeline.prove_topic(counts);
}

/// A stop by SIGTERM in mid-stream commits what it has and exits 0; the next start repeats nothing.
#[test]
fn stopped_in_mid_stream() {
    let pipeline = Pipeline::new("stop", Server::mysql(), false);
    let seed = pipeline.start_seed(ROWS / 2, RATE);
    for _ in 0..3 {
        let mut connect = pipeline.start("connect", &["connect"]);
        let consume = pipeline.start("consume", &["consume"]);
        connect.wait_for("streaming");
        std::thread::sleep(Duration::from_millis(1500));
        assert_eq!(connect.stop(), Some(0));
        assert_eq!(consume.stop(), Some(0));
    }
    let counts = wait_for_seed(seed);
    settle(&pipeline, counts);
    pipeline.prove_topic(counts);
}
