//! Topics, read by hand.

use std::collections::BTreeMap;
use std::process::Command;

use super::Scratch;
use list_sync::kafka::{Checkpoints, Settings, Topics, read_between, watermarks};
use serde_json::Value;

fn settings() -> Settings {
    Settings {
        brokers: super::kafka().split(',').map(str::to_owned).collect(),
        properties: BTreeMap::new(),
        partitions: 3,
        replication: None,
    }
}

/// The offset that the next message of each partition will have.
pub fn ends_of(topic: &str) -> Vec<i64> {
    let settings = settings();
    let partitions = Topics::connect(&settings).unwrap().partitions(topic).unwrap();
    watermarks(&settings, topic, partitions).unwrap().into_iter().map(|(_, end)| end).collect()
}

/// Deletes what each partition holds before an offset, as its retention would.
pub fn delete_before(scratch: &Scratch, topic: &str, offsets: &[i64]) {
    let partitions = offsets.iter().enumerate();
    let listed: Vec<String> = partitions
        .map(|(partition, offset)| {
            format!("{{\"topic\":{topic:?},\"partition\":{partition},\"offset\":{offset}}}")
        })
        .collect();
    scratch.write("offsets.json", &format!("{{\"version\":1,\"partitions\":[{}]}}", listed.join(",")));
    let jars = format!("{}/*", super::variable("LIST_SYNC_KAFKA_JARS"));
    let mut command = Command::new("java");
    command.args([
        "-cp",
        &jars,
        "org.apache.kafka.tools.DeleteRecordsCommand",
        "--bootstrap-server",
        &super::kafka(),
    ]);
    let output = command.arg("--offset-json-file").arg(scratch.path("offsets.json")).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.matches("low_watermark").count() == offsets.len(), "{said}");
}

/// Hands out every message of a topic: partition, key, value and `position` header.
pub fn consume_topic(topic: &str, mut each: impl FnMut(u32, &[u8], &[u8], &[u8])) {
    let settings = settings();
    let partitions = Topics::connect(&settings).unwrap().partitions(topic).unwrap();
    let ranges: Vec<_> = watermarks(&settings, topic, partitions)
        .unwrap()
        .into_iter()
        .enumerate()
        .map(|(partition, (first, end))| (partition as u32, first, end))
        .collect();
    read_between(&settings, topic, &ranges, ["position", ""], |message| {
        each(message.partition, message.key, message.value, message.headers[0].unwrap_or_default());
    })
    .unwrap();
}

/// The messages of a topic as text, partition by partition.
pub fn messages_in(topic: &str) -> Vec<String> {
    let mut messages: BTreeMap<u32, Vec<String>> = BTreeMap::new();
    consume_topic(topic, |partition, _, value, _| {
        messages.entry(partition).or_default().push(String::from_utf8(value.to_vec()).unwrap());
    });
    messages.into_values().flatten().collect()
}

/// The headers of each message of a topic of one partition, as kcat prints them: `name=value,…`.
pub fn headers_in(topic: &str) -> Vec<String> {
    kcat(&["-C", "-q", "-e", "-t", topic, "-f", "%h\n"]).lines().map(str::to_owned).collect()
}

/// What another client sees of a message.
#[derive(Debug)]
pub struct Record {
    pub key: String,
    pub timestamp_ms: i64,
}

/// The records of a topic that has one partition.
pub fn records_in(topic: &str) -> Vec<Record> {
    let record = |line: &str| {
        let seen: Value = serde_json::from_str(line).unwrap();
        assert_eq!(seen["tstype"], "create", "{line}");
        Record { key: seen["key"].as_str().unwrap().to_owned(), timestamp_ms: seen["ts"].as_i64().unwrap() }
    };
    kcat(&["-C", "-e", "-q", "-J", "-t", topic]).lines().map(record).collect()
}

/// How many copies each partition has.
pub fn replicas_of(topic: &str) -> Vec<usize> {
    let seen: Value = serde_json::from_str(&kcat(&["-L", "-J", "-t", topic])).unwrap();
    let partitions = seen["topics"][0]["partitions"].as_array().unwrap();
    partitions.iter().map(|partition| partition["replicas"].as_array().unwrap().len()).collect()
}

/// How many brokers the cluster knows of.
pub fn brokers_alive() -> usize {
    let seen: Value = serde_json::from_str(&kcat(&["-L", "-J", "-t", Checkpoints::TOPIC])).unwrap();
    seen["brokers"].as_array().unwrap().len()
}

fn kcat(arguments: &[&str]) -> String {
    let output = Command::new("kcat").args(["-b", &super::kafka()]).args(arguments).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}
