//! SIGKILL of connector, consumer and a broker in mid-stream, on each database: every change is in the files
//! exactly once, with no manual step.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::bad_input::produce;
use crate::rig::{Counts, Pipeline, Program, Server, alone, consume_topic, services};

/// Changes, and changes a second: some ten seconds of load.
const ROWS: u64 = 40_000;
const RATE: u64 = 4_000;
/// Changes a second while stages are killed: most of that time a killed member's session runs out.
const RATE_KILLED: u64 = 2_000;

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

/// Both stages, until rows flow through them: the connector streams, the consumer holds partitions and its
/// files grow.
fn start(pipeline: &Pipeline) -> (Program, Program) {
    let mut connect = pipeline.start("connect", &["connect"]);
    let mut consume = pipeline.start("consume", &["consume"]);
    connect.wait_for("streaming source=");
    consume.wait_for("partitions assigned");
    pipeline.wait_for_growth("");
    (connect, consume)
}

fn kill_both(server: Server) {
    let pipeline = Pipeline::new("kill", server, false);
    pipeline.shorten_sessions();
    let load = pipeline.start_load(RATE_KILLED);
    // Odd pauses, so that the kills meet the stages at different steps of their work.
    for pause_ms in [370, 930, 110, 570] {
        let (connect, consume) = start(&pipeline);
        std::thread::sleep(Duration::from_millis(pause_ms));
        pipeline.wait_for_growth("");
        consume.kill();
        std::thread::sleep(Duration::from_millis(pause_ms / 2));
        connect.kill();
    }
    let counts = Counts::of_ended(load);
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
    let load = pipeline.start_load(RATE);
    for pause_ms in [900, 300, 1500] {
        let (connect, consume) = start(&pipeline);
        std::thread::sleep(Duration::from_millis(pause_ms));
        assert_eq!(connect.stop(), Some(0));
        assert_eq!(consume.stop(), Some(0));
    }
    let counts = Counts::of_ended(load);
    settle(&pipeline, counts);
    pipeline.prove_topic_has_each_once(counts);
}

/// A topic may hold changes twice, after a connector that was killed or a tool that copied it: the files hold
/// them once, whether they come again in the same run or were committed by one before.
#[test]
fn changes_that_come_again_in_the_topic() {
    const AGAIN: usize = 5;
    let pipeline = Pipeline::new("again", Server::postgres(), false);
    let counts = pipeline.seed(300);
    pipeline.run(&["connect", "--once"]);
    let mut messages: BTreeMap<u32, Vec<[String; 3]>> = BTreeMap::new();
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    consume_topic(&pipeline.topic(), |partition, key, value, position| {
        messages.entry(partition).or_default().push([text(key), text(value), text(position)]);
    });
    let mut written = 0;
    for _ in 1..=2 {
        for (partition, messages) in &messages {
            for [key, value, position] in &messages[messages.len().saturating_sub(AGAIN)..] {
                let (partition, header) = (partition.to_string(), format!("position={position}"));
                produce(
                    &pipeline.topic(),
                    format!("{value}\n"),
                    &["-p", &partition, "-k", key, "-H", &header],
                );
                written += 1;
            }
        }
        assert!(written > 0);
        assert_eq!(pipeline.prove_topic(counts), counts.changes() + written, "messages in the topic");
        pipeline.run(&["consume", "--once"]);
        pipeline.prove(counts);
    }
}
