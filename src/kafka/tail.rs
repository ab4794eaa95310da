//! Reads a stretch of a topic by hand: what lies between two offsets of each partition.

use std::time::{Duration, Instant};

use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Headers, Message as _};
use rdkafka::{Offset, TopicPartitionList};

use super::acl::Acl;
use super::client::Settings;
use super::complaints::Complaints;
use super::failure::failure;
use crate::{Code, Error, Result, threads};

/// How long the brokers may send nothing.
const SILENCE: Duration = Duration::from_secs(30);

/// How long each single broker may take to tell where a partition ends, once one has told.
const EACH_BROKER: Duration = Duration::from_secs(2);

/// Between two looks whether a reader is closed: the library's own wait is 100 ms.
const CLOSING: Duration = Duration::from_millis(2);

fn client(settings: &Settings, config: &ClientConfig) -> Result<(BaseConsumer<Complaints>, Complaints)> {
    let complaints = Complaints::default();
    let fail = |cause| failure("set up a Kafka reader", &[], settings, &complaints, &cause);
    Ok((config.create_with_context(complaints.clone()).map_err(fail)?, complaints.clone()))
}

/// A client that reads by hand and closes quickly.
struct Reader(BaseConsumer<Complaints>);

impl Drop for Reader {
    fn drop(&mut self) {
        if self.0.close_queue().is_ok() {
            while !self.0.closed() {
                self.0.poll(CLOSING);
            }
        }
    }
}

/// The first offset and the end offset (one past the last message) of each partition of a topic.
///
/// A broker that stood still or was cut off goes on as the leader it was until it hears of the new one, and
/// whoever asks it who leads is told an end that is long past. So each broker is asked, and the largest end
/// counts.
pub fn watermarks(settings: &Settings, topic: &str, partitions: u32) -> Result<Vec<(i64, i64)>> {
    let (reader, complaints) = client(settings, &settings.asker())?;
    let needs = [Acl::topic("Describe", topic)];
    let fail = |cause| {
        failure(&format!("ask for the end of topic {topic:?}"), &needs, settings, &complaints, &cause)
    };
    let mut found = patient_watermarks(&reader, topic, partitions).map_err(fail)?;
    let known = reader.fetch_metadata(Some(topic), SILENCE).map_err(fail)?;
    let brokers: Vec<String> =
        known.brokers().iter().map(|broker| format!("{}:{}", broker.host(), broker.port())).collect();
    if brokers.len() < 2 {
        return Ok(found);
    }
    let told = std::thread::scope(|scope| {
        let asked: Vec<_> = brokers
            .into_iter()
            .map(|broker| threads::spawn_scoped(scope, || watermarks_by(broker, settings, topic, partitions)))
            .collect();
        asked.into_iter().filter_map(|broker| broker.join().ok().flatten()).collect::<Vec<_>>()
    });
    for (mark, other) in told.iter().flat_map(|told| (0..).zip(told)) {
        let (first, end): &mut (i64, i64) = &mut found[mark];
        (*first, *end) = ((*first).max(other.0), (*end).max(other.1));
    }
    Ok(found)
}

/// What a client says that knows no other broker at first. One that does not answer is none that leads.
fn watermarks_by(
    broker: String,
    settings: &Settings,
    topic: &str,
    partitions: u32,
) -> Option<Vec<(i64, i64)>> {
    let settings = Settings { brokers: vec![broker], ..settings.clone() };
    let (reader, _) = client(&settings, &settings.asker()).ok()?;
    (0..partitions as i32)
        .map(|partition| reader.fetch_watermarks(topic, partition, EACH_BROKER).ok())
        .collect()
}

fn patient_watermarks(
    reader: &BaseConsumer<Complaints>,
    topic: &str,
    partitions: u32,
) -> std::result::Result<Vec<(i64, i64)>, KafkaError> {
    let began = Instant::now();
    let mut found = Vec::with_capacity(partitions as usize);
    while found.len() < partitions as usize {
        match reader.fetch_watermarks(topic, found.len() as i32, SILENCE) {
            Ok(marks) => found.push(marks),
            Err(cause) if is_settling(&cause) && began.elapsed() < SILENCE => {
                std::thread::sleep(Duration::from_millis(50));
            }
            Err(cause) => return Err(cause),
        }
    }
    Ok(found)
}

fn is_passing(cause: &KafkaError) -> bool {
    use RDKafkaErrorCode::{
        AllBrokersDown, BrokerTransportFailure, GroupAuthorizationFailed, OperationTimedOut, Resolve,
    };
    // Nobody joins the reader's group, so it needs no right on it.
    let passing =
        [AllBrokersDown, BrokerTransportFailure, GroupAuthorizationFailed, OperationTimedOut, Resolve];
    cause.rdkafka_error_code().is_some_and(|code| passing.contains(&code))
}

/// The brokers hear of a new topic one after the other, and a partition's new leader knows its end only once
/// its followers have asked.
fn is_settling(cause: &KafkaError) -> bool {
    use RDKafkaErrorCode as Code;
    let settling = [
        Code::UnknownTopic,
        Code::UnknownPartition,
        Code::UnknownTopicOrPartition,
        Code::LeaderNotAvailable,
        Code::NotLeaderForPartition,
        Code::OffsetNotAvailable,
        Code::UnknownLeaderEpoch,
        Code::FencedLeaderEpoch,
        // The client forgot the broker it had asked: brokers disagree for a moment on who is there.
        Code::DestroyBroker,
    ];
    cause.rdkafka_error_code().is_some_and(|code| settling.contains(&code))
}

/// One message of a stretch.
pub struct Stored<'a> {
    /// Partition number.
    pub partition: u32,
    /// Key bytes.
    pub key: &'a [u8],
    /// Message bytes.
    pub value: &'a [u8],
    /// Values of the headers that were asked for.
    pub headers: [Option<&'a [u8]>; 2],
}

/// Hands out the messages of `topic` in `[from, to)` of each partition (a triple of partition, from, to), in
/// the order of each partition.
pub fn read_between(
    settings: &Settings,
    topic: &str,
    ranges: &[(u32, i64, i64)],
    headers: [&str; 2],
    mut each: impl FnMut(&Stored<'_>),
) -> Result<()> {
    let mut left: Vec<(u32, i64, i64)> = ranges.iter().copied().filter(|(_, from, to)| from < to).collect();
    if left.is_empty() {
        return Ok(());
    }
    let (reader, complaints) = client(settings, &settings.reader())?;
    let reader = Reader(reader);
    let needs = [Acl::topic("Read", topic)];
    let fail = |cause| failure(&format!("read topic {topic:?}"), &needs, settings, &complaints, &cause);
    let mut list = TopicPartitionList::new();
    for (partition, from, _) in &left {
        list.add_partition_offset(topic, *partition as i32, Offset::Offset(*from)).map_err(fail)?;
    }
    reader.0.assign(&list).map_err(fail)?;
    let mut heard = Instant::now();
    let mut since_look = 0;
    while !left.is_empty() {
        let message = match reader.0.poll(Duration::from_millis(20)).transpose() {
            Ok(message) => message,
            // One broker of several is away: the library asks the others.
            Err(cause) if is_passing(&cause) => None,
            Err(cause) => return Err(fail(cause)),
        };
        since_look += 1;
        if let Some(message) = &message {
            heard = Instant::now();
            let partition = message.partition() as u32;
            if left.iter().any(|range| range.0 == partition && message.offset() < range.2) {
                let found = headers.map(|name| {
                    let all = message.headers()?;
                    all.iter().find(|found| found.key == name).and_then(|found| found.value)
                });
                each(&Stored {
                    partition,
                    key: message.key().unwrap_or_default(),
                    value: message.payload().unwrap_or_default(),
                    headers: found,
                });
            }
        } else if heard.elapsed() > SILENCE {
            return Err(Error::link(
                Code::KafkaTimeout,
                format!("topic {topic:?} cannot be read: no message for {} s", SILENCE.as_secs()),
            ));
        }
        // Offsets have holes (transactions, compaction), so the end is where the reader stands, not which
        // message came last.
        if message.is_none() || since_look == 1000 {
            since_look = 0;
            let position = reader.0.position().map_err(fail)?;
            left.retain(|(partition, _, to)| {
                let stands = position.find_partition(topic, *partition as i32).map(|found| found.offset());
                !matches!(stands, Some(Offset::Offset(offset)) if offset >= *to)
            });
        }
    }
    Ok(())
}
