//! Topics, read by hand.

use std::collections::BTreeMap;
use std::process::Command;

use super::Scratch;
use list_sync::kafka::{Settings, Topics, read_between, watermarks};

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
    let listed: Vec<String> =
        partitions.map(|(partition, offset)| format!("{{\"topic\":{topic:?},\"partition\":{partition},\"offset\":{offset}}}")).collect();
    scratch.write("offsets.json", &format!("{{\"version\":1,\"partitions\":[{}]}}", listed.join(",")));
    let jars = format!("{}/*", std::env::var("LIST_SYNC_KAFKA_JARS").unwrap());
    let mut command = Command::new("java");
    command.args(["-cp", &jars, "org.apache.kafka.tools.DeleteRecordsCommand", "--bootstrap-server", &super::kafka()]);
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

/// The headers of each message of a topic of one partition, as kcat prints them: `name=value,…`.
pub fn headers_in(topic: &str) -> Vec<String> {
    let brokers = super::kafka();
    let output = Command::new("kcat").args(["-C", "-q", "-e", "-b", &brokers, "-t", topic, "-f", "%h\n"]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}
