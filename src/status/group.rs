//! What a consumer group has committed, beside the ends of its topics.

use std::time::Duration;

use serde::Serialize;

use crate::Result;
use crate::config::Sink;
use crate::kafka::{Ends, Settings, Topics};

/// How long the brokers may take for an answer.
const ANSWER_TIME: Duration = Duration::from_secs(5);

/// One group.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct GroupStatus {
    /// Its name.
    pub group: String,
    /// Messages that it has not committed.
    pub lag_messages: Option<u64>,
    /// By topic and number.
    pub partitions: Vec<PartitionStatus>,
    /// Why it could not be asked.
    pub problem: Option<String>,
    /// The code of that error ([`crate::Code`]).
    pub problem_code: Option<&'static str>,
}

/// One partition of a topic that the group reads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PartitionStatus {
    /// Topic name.
    pub topic: String,
    /// Partition number.
    pub partition: u32,
    /// The next message that the group would read; `None`: it committed nothing yet.
    pub committed: Option<i64>,
    /// One past the last message.
    pub end: i64,
    /// Messages in between. Where nothing is committed: all.
    pub lag_messages: u64,
}

/// Asks for the group of a sink.
pub fn ask(settings: &Settings, topics: &Topics, sink: &Sink) -> GroupStatus {
    let group = sink.group.clone();
    match partitions(settings, topics, sink) {
        Ok(partitions) => {
            let lag_messages = Some(partitions.iter().map(|partition| partition.lag_messages).sum());
            GroupStatus { group, lag_messages, partitions, problem: None, problem_code: None }
        }
        Err(error) => GroupStatus {
            group,
            lag_messages: None,
            partitions: Vec::new(),
            problem: Some(error.to_string()),
            problem_code: Some(error.code().slug()),
        },
    }
}

fn partitions(settings: &Settings, topics: &Topics, sink: &Sink) -> Result<Vec<PartitionStatus>> {
    let mut wanted = Vec::new();
    for topic in topics.names()?.into_iter().filter(|topic| sink.takes(topic)) {
        let count = topics.partitions(&topic)?;
        wanted.extend((0..count).map(|partition| (topic.clone(), partition)));
    }
    let client = Ends::new(settings, Some(&sink.group), ANSWER_TIME)?;
    let (ends, committed) = (client.ends(&wanted)?, client.committed(&wanted)?);
    let status = |place: (String, u32)| {
        let (end, committed) = (ends.get(&place).copied().unwrap_or(0), committed.get(&place).copied());
        let lag_messages = (end - committed.unwrap_or(0)).max(0) as u64;
        PartitionStatus { topic: place.0, partition: place.1, committed, end, lag_messages }
    };
    Ok(wanted.into_iter().map(status).collect())
}
