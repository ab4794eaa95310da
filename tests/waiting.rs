//! What waits in topics and is no message, or is seen by nobody: markers of transactions, a topic that a
//! group overlooked, one that is not there.

use std::time::{Duration, Instant};

use crate::bad_input::produce;
use crate::rig::{Pipeline, Program, Scratch, Server, kafka};

/// A consumer of one topic, whose rows have no source.
fn consumer(check: &str) -> Scratch {
    let scratch = Scratch::new(check);
    let brokers: Vec<String> = kafka().split(',').map(|broker| format!("{broker:?}")).collect();
    let name = &scratch.name;
    scratch.write(
        "list_sync.toml",
        &format!(
            "[kafka]\nbrokers = [{}]\n[[sink]]\nname = {name:?}\ntopics = [{name:?}]\npath \
            = \"out/{{table}}\"\n",
            brokers.join(", ")
        ),
    );
    scratch
}

/// The last offset of each transaction is its marker, which no reader is given.
#[test]
fn the_end_behind_a_transaction_is_reached() {
    let pipeline = Pipeline::new("marker", Server::postgres(), false);
    let counts = pipeline.seed(10);
    pipeline.run(&["connect", "--once"]);
    let row = format!(
        "{{\"action\":\"I\",\"table\":\"{}\",\"columns\":[{{\"name\":\"id\",\"value\":-1}}]}}\n",
        pipeline.table
    );
    produce(&pipeline.topic(), row, &["-X", &format!("transactional.id={}", pipeline.scratch.name)]);
    let mut once = pipeline.start("once", &["consume", "--once"]);
    assert!(once.wait(Duration::from_secs(60)).success(), "{}", once.log());
    assert_eq!(pipeline.rows("insert", "I"), counts.inserted + counts.updated + 1);
    let status = pipeline.run(&["status"]);
    assert!(status.out.contains("lag 0 messages"), "{}", status.out);
}

/// A member that was given nothing, and whose client does not look for new topics by itself, joins again.
#[test]
fn a_topic_that_the_group_overlooked_is_found() {
    let pipeline = Pipeline::new("overlooked", Server::postgres(), false);
    let text = pipeline.scratch.read("list_sync.toml");
    let deaf = text.replacen(
        "[kafka]\n",
        "[kafka]\nproperties = { \"topic.metadata.refresh.interval.ms\" = \"3600000\" }\n",
        1,
    );
    pipeline.scratch.write("deaf.toml", &deaf);
    let mut consume = pipeline.start("consume", &["-c", "deaf.toml", "consume"]);
    consume.wait_for("no topic matches");
    let counts = pipeline.seed(100);
    pipeline.run(&["connect", "--once"]);
    let began = Instant::now();
    while pipeline.rows("insert", "I") < counts.inserted + counts.updated {
        assert!(
            began.elapsed() < Duration::from_secs(60),
            "its partitions were given to nobody:\n{}",
            consume.log()
        );
        std::thread::sleep(Duration::from_millis(100));
    }
    assert!(consume.log().contains("no member of the group was given partition"), "{}", consume.log());
    assert_eq!(consume.stop(), Some(0));
    pipeline.prove(counts);
}

#[test]
fn a_named_topic_that_is_not_there_is_no_success() {
    let scratch = consumer("typo");
    let run = Program::run(&scratch.folder, &["consume", "--once"]);
    assert_eq!(run.code, Some(1), "{}", run.err);
    assert!(run.err.contains(&format!("there is no topic {:?}", scratch.name)), "{}", run.err);
}
