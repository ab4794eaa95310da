//! Topics, read by hand.

use std::collections::BTreeMap;
use std::process::Command;

use serde_json::Value;

use list_sync::kafka::{Checkpoints, Settings, Topics, read_between, watermarks};

fn settings() -> Settings {
    Settings {
        brokers: super::kafka().split(',').map(str::to_owned).collect(),
        properties: BTreeMap::new(),
        partitions: 3,
        replication: None,
    }
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
    read_between(&settings, topic, &ranges, "position", |message| {
        each(message.partition, message.key, message.value, message.header.unwrap_or_default());
    })
    .unwrap();
}

/// The messages of a topic as text, partition by partition.
pub fn messages_in(topic: &str) -> Vec<String> {
    let mut messages: BTreeMap<u32, Vec<String>> = BTreeMap::new();
    consume_topic(topic, |partition, _, value, _| messages.entry(partition).or_default().push(String::from_utf8(value.to_vec()).unwrap()));
    messages.into_values().flatten().collect()
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
