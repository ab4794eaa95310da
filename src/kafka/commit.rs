//! A commit that can be given up: the library's own waits for the group's coordinator without an end, and
//! hides what went wrong with single partitions.

use std::time::{Duration, Instant};

use rdkafka::client::Client;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::{ClientContext, TopicPartitionList};

use super::client::Settings;
use super::librdkafka::{Committed, Queue};
use super::revive::Patience;

/// How often the one who waits is asked whether to go on.
const LOOK: Duration = Duration::from_millis(100);

/// How a commit ended.
#[derive(Debug)]
pub(super) enum Outcome {
    /// Every offset holds.
    Held,
    /// All were refused, or the one at this place in the list.
    Refused(Option<usize>, KafkaError),
    /// Nobody answered before the wait was given up; the commit may still come to hold.
    GivenUp,
}

/// Commits the list's offsets, with their metadata. While no answer comes, the client is looked after, and
/// `goes_on` is asked.
pub(super) fn commit<C: ClientContext>(
    client: &Client<C>,
    settings: &Settings,
    list: &TopicPartitionList,
    mut goes_on: impl FnMut() -> bool,
) -> Outcome {
    let failed = |code| Outcome::Refused(None, KafkaError::ConsumerCommit(code));
    let Some(queue) = Queue::new(client) else { return failed(RDKafkaErrorCode::Fail) };
    if let Err(code) = queue.begin_commit(client, list) {
        return failed(code);
    }
    let mut patience = Patience::new(Instant::now());
    loop {
        if let Some(committed) = queue.committed(LOOK) {
            return outcome(&committed);
        }
        // Nobody polls the client meanwhile.
        patience.look(Instant::now(), client, settings);
        if !goes_on() {
            return Outcome::GivenUp;
        }
    }
}

/// What is wrong with one partition says more than what is wrong with all.
fn outcome(committed: &Committed) -> Outcome {
    let refused = |place, code| Outcome::Refused(place, KafkaError::ConsumerCommit(code));
    match (committed.each.iter().position(Option::is_some), committed.whole) {
        (Some(place), _) => refused(Some(place), committed.each[place].unwrap_or(RDKafkaErrorCode::Fail)),
        (None, Some(code)) => refused(None, code),
        (None, None) => Outcome::Held,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use rdkafka::Offset;
    use rdkafka::config::ClientConfig;
    use rdkafka::consumer::{BaseConsumer, Consumer};

    use super::*;

    /// A client that knows no broker, as it is after the accident of `revive`, and settings that name those
    /// that run.
    fn without_brokers() -> (BaseConsumer, Settings, TopicPartitionList) {
        let brokers = crate::live::brokers();
        let settings = Settings { brokers, properties: BTreeMap::new(), partitions: 3, replication: None };
        let mut config = ClientConfig::new();
        config
            .set("group.id", format!("list_sync.test.{}", std::process::id()))
            .set("session.timeout.ms", "6000");
        let client = config.create().unwrap();
        let mut list = TopicPartitionList::new();
        list.add_partition_offset("no_such_topic", 0, Offset::Offset(7)).unwrap();
        (client, settings, list)
    }

    #[test]
    fn live_it_is_given_up_when_it_must_end() {
        let (client, settings, list) = without_brokers();
        let mut looks = 0;
        let outcome = commit(client.client(), &settings, &list, || {
            looks += 1;
            looks < 5
        });
        assert!(matches!(outcome, Outcome::GivenUp), "{outcome:?}");
        assert_eq!(looks, 5);
    }

    /// Brokers are given to it again, and the answer is about the partition.
    #[test]
    fn live_a_client_that_waits_is_looked_after() {
        let (client, settings, list) = without_brokers();
        let began = Instant::now();
        let outcome = commit(client.client(), &settings, &list, || began.elapsed() < Duration::from_mins(1));
        let Outcome::Refused(Some(0), cause) = outcome else { panic!("{outcome:?}") };
        assert_eq!(cause.rdkafka_error_code(), Some(RDKafkaErrorCode::UnknownTopicOrPartition), "{cause}");
    }
}
