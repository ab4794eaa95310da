//! Where partitions end and what a group has committed, asked from outside the group, in one question each.

use std::collections::BTreeMap;
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::{Offset, TopicPartitionList};

use super::acl::Acl;
use super::client::Settings;
use super::complaints::Complaints;
use super::failure::failure;
use crate::Result;

/// Topic and partition -> an offset.
pub type Offsets = BTreeMap<(String, u32), i64>;

/// A light client for questions about offsets.
pub struct Ends {
    settings: Settings,
    complaints: Complaints,
    client: BaseConsumer<Complaints>,
    group: String,
    time_out: Duration,
}

impl Ends {
    /// For ends alone, or with `group` also for what that group has committed. The brokers have `time_out`
    /// for each answer.
    pub fn new(settings: &Settings, group: Option<&str>, time_out: Duration) -> Result<Self> {
        let complaints = Complaints::default();
        let config = group.map_or_else(|| settings.asker(), |group| settings.consumer(group));
        let fail = |cause| failure("set up a Kafka client", &[], settings, &complaints, &cause);
        let client = config.create_with_context(complaints.clone()).map_err(fail)?;
        Ok(Self {
            settings: settings.clone(),
            complaints,
            client,
            group: group.unwrap_or_default().to_owned(),
            time_out,
        })
    }

    /// One past the last message of each partition. A partition that is not there is left out.
    pub fn ends<'a>(&self, partitions: impl IntoIterator<Item = &'a (String, u32)>) -> Result<Offsets> {
        let mut list = TopicPartitionList::new();
        let needs = [Acl::topic("Describe", "*")];
        let fail =
            |cause| failure("ask for the ends of topics", &needs, &self.settings, &self.complaints, &cause);
        for (topic, partition) in partitions {
            list.add_partition_offset(topic, *partition as i32, Offset::End).map_err(fail)?;
        }
        if list.count() == 0 {
            return Ok(Offsets::new());
        }
        Ok(offsets(&self.client.offsets_for_times(list, self.time_out).map_err(fail)?))
    }

    /// The next message that the group would read, of each partition that it has committed.
    pub fn committed<'a>(&self, partitions: impl IntoIterator<Item = &'a (String, u32)>) -> Result<Offsets> {
        let mut list = TopicPartitionList::new();
        for (topic, partition) in partitions {
            list.add_partition(topic, *partition as i32);
        }
        if list.count() == 0 {
            return Ok(Offsets::new());
        }
        let needs = [Acl::group("Describe", &self.group)];
        let fail = |cause| {
            failure("ask for the offsets of a group", &needs, &self.settings, &self.complaints, &cause)
        };
        Ok(offsets(&self.client.committed_offsets(list, self.time_out).map_err(fail)?))
    }
}

fn offsets(list: &TopicPartitionList) -> Offsets {
    let known = list.elements().into_iter().filter_map(|found| match (found.error(), found.offset()) {
        (Ok(()), Offset::Offset(offset)) => {
            Some(((found.topic().to_owned(), found.partition() as u32), offset))
        }
        _ => None,
    });
    known.collect()
}
