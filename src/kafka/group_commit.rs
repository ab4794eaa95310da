//! A commit of a group: offsets, and for each a text of the caller's that belongs to it. Both are one record
//! in the group's log, so they hold or fail together.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::TopicPartitionList;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::topic_partition_list::{Offset, TopicPartitionListElem};

use super::acl::Acl;
use super::client::Settings;
use super::commit::{self, Outcome};
use super::complaints::Complaints;
use super::failure::failure;
use crate::{Code, Error, Result};

/// How long a member that is to end waits for the answer to its last commit.
const LAST_ANSWER: Duration = Duration::from_secs(5);

/// What the group knows, or is to know, of a partition.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct OffsetCommit {
    /// Topic name.
    pub topic: String,
    /// Partition number.
    pub partition: u32,
    /// The next message to read; `None` if nothing was committed yet.
    pub offset: Option<i64>,
    /// The caller's text, at most [`OffsetCommit::TEXT_MAX`] bytes.
    pub text: String,
}

impl OffsetCommit {
    /// The broker's default limit for the text (`offset.metadata.max.bytes`), bytes.
    pub const TEXT_MAX: usize = 4096;
}

/// Whether a member is to end.
pub type Stopping = Arc<dyn Fn() -> bool + Send + Sync>;

/// Who the member is, for what goes wrong.
#[derive(Clone)]
pub struct MemberInfo {
    /// Where Kafka is.
    pub settings: Settings,
    /// What the client complained of.
    pub complaints: Complaints,
    /// Its name.
    pub group: String,
    /// The sink's patterns, with `*` and `?`.
    pub topics: Vec<String>,
    /// From when on it says so, commits that nobody answers are given up.
    pub is_stopping: Stopping,
}

impl MemberInfo {
    /// An error of the client. `topic`: the one that it is about, if that is known.
    pub fn failed(&self, what: &str, topic: Option<&str>, cause: &KafkaError) -> Error {
        let topic = topic.or_else(|| self.topics.first().map(String::as_str)).unwrap_or("*");
        let needs = [Acl::group("Read", &self.group), Acl::topic("Read", topic)];
        failure(what, &needs, &self.settings, &self.complaints, cause)
    }

    /// A commit that a missing right prevents is for a person to mend; after all others the member joins
    /// again.
    fn refused(&self, topic: Option<&str>, cause: &KafkaError) -> Error {
        let what = format!("commit for group {:?}", self.group);
        match cause.rdkafka_error_code() {
            Some(RDKafkaErrorCode::TopicAuthorizationFailed | RDKafkaErrorCode::GroupAuthorizationFailed) => {
                self.failed(&what, topic, cause)
            }
            Some(RDKafkaErrorCode::OffsetMetadataTooLarge) => Error::stop(
                Code::CommitTooLong,
                format!("group {:?}: the broker refused the text of a commit as too long", self.group),
            )
            .hint(format!(
                "set offset.metadata.max.bytes={} on all brokers (Kafka's default), or more, and \
                restart them",
                OffsetCommit::TEXT_MAX
            )),
            _ => Error::link(Code::KafkaFailed, "the group refused the commit").cause(cause.to_string()),
        }
    }
}

/// Commits `commits`; on success the group holds every one, after an error possibly none.
pub fn commit<C: ConsumerContext>(
    info: &MemberInfo,
    consumer: &BaseConsumer<C>,
    commits: &[OffsetCommit],
) -> Result<()> {
    let mut list = TopicPartitionList::with_capacity(commits.len());
    for entry in commits {
        let Some(offset) = entry.offset else { continue };
        if entry.text.len() > OffsetCommit::TEXT_MAX {
            let (bytes, topic) = (entry.text.len(), &entry.topic);
            return Err(Error::stop(
                Code::CommitTooLong,
                format!("the text of a commit of topic {topic:?} has {bytes} bytes, more than brokers take"),
            ));
        }
        let refused = |cause: KafkaError| {
            Error::stop(Code::KafkaFailed, "cannot prepare a commit").cause(cause.to_string())
        };
        list.add_partition_offset(&entry.topic, entry.partition as i32, Offset::Offset(offset))
            .map_err(refused)?;
    }
    if list.count() == 0 {
        return Ok(());
    }
    for mut element in list.elements() {
        let entry = commits
            .iter()
            .find(|entry| entry.partition as i32 == element.partition() && entry.topic == element.topic());
        element.set_metadata(entry.map_or("", |entry| entry.text.as_str()));
    }
    // Without an end, as long as the program runs: brokers that are away come back.
    let mut stopping = None;
    let goes_on = || {
        let is_stopping = (info.is_stopping)();
        !is_stopping || stopping.get_or_insert_with(Instant::now).elapsed() < LAST_ANSWER
    };
    match commit::commit(consumer.client(), &info.settings, &list, goes_on) {
        Outcome::Held => {
            info.complaints.went_well();
            Ok(())
        }
        Outcome::Refused(place, cause) => {
            let elements = list.elements();
            let topic = place
                .map_or_else(|| elements.first(), |place| elements.get(place))
                .map(TopicPartitionListElem::topic);
            Err(info.refused(topic, &cause))
        }
        Outcome::GivenUp => {
            Err(Error::link(Code::KafkaTimeout, "Kafka did not answer the last commit in time")
                .hint("what it did not commit is read again at the next start"))
        }
    }
}
