//! A commit that can be given up: the library's own waits for the group's coordinator without an end, and
//! hides what went wrong with single partitions.

use std::ptr::null_mut;
use std::time::{Duration, Instant};

use rdkafka::bindings as native;
use rdkafka::client::Client;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::{ClientContext, TopicPartitionList};

use super::client::Settings;
use super::inbox::{FINE, Queue};
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
    let failed =
        |code: native::rd_kafka_resp_err_t| Outcome::Refused(None, KafkaError::ConsumerCommit(code.into()));
    let Some(queue) = Queue::new(client) else {
        return failed(native::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR__FAIL);
    };
    // SAFETY: client, list and queue are valid; the library copies the list, and holds a reference of its own
    // to the queue.
    #[allow(unsafe_code)]
    let asked = unsafe {
        native::rd_kafka_commit_queue(client.native_ptr(), list.ptr(), queue.as_ptr(), None, null_mut())
    };
    if asked != FINE {
        return failed(asked);
    }
    let mut patience = Patience::new(Instant::now());
    loop {
        if let Some(outcome) = answer(&queue) {
            return outcome;
        }
        // Nobody polls the client meanwhile.
        patience.look(Instant::now(), client, settings);
        if !goes_on() {
            return Outcome::GivenUp;
        }
    }
}

/// Waits for a moment.
fn answer(queue: &Queue) -> Option<Outcome> {
    // SAFETY: the queue is valid; an event is ours until it is destroyed, and its list lives as long.
    #[allow(unsafe_code)]
    unsafe {
        let event = native::rd_kafka_queue_poll(queue.as_ptr(), LOOK.as_millis() as i32);
        if event.is_null() {
            return None;
        }
        let outcome =
            (native::rd_kafka_event_type(event) == native::RD_KAFKA_EVENT_OFFSET_COMMIT).then(|| {
                outcome(
                    native::rd_kafka_event_error(event),
                    native::rd_kafka_event_topic_partition_list(event),
                )
            });
        native::rd_kafka_event_destroy(event);
        outcome
    }
}

/// # Safety
/// The list is null, or one of the library's.
#[allow(unsafe_code)]
unsafe fn outcome(
    whole: native::rd_kafka_resp_err_t,
    list: *const native::rd_kafka_topic_partition_list_t,
) -> Outcome {
    let refused = |place, code: RDKafkaErrorCode| Outcome::Refused(place, KafkaError::ConsumerCommit(code));
    // SAFETY: as the caller promises; `cnt` elements lie at `elems`.
    let partitions = unsafe {
        list.as_ref().map_or(&[][..], |list| std::slice::from_raw_parts(list.elems, list.cnt.max(0) as usize))
    };
    match partitions.iter().position(|partition| partition.err != FINE) {
        Some(place) => refused(Some(place), partitions[place].err.into()),
        None if whole != FINE => refused(None, whole.into()),
        None => Outcome::Held,
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
        let known = std::env::var("LIST_SYNC_KAFKA")
            .expect("LIST_SYNC_KAFKA is not set: eval \"$(scripts/services env)\"");
        let brokers = known.split(',').map(str::to_owned).collect();
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
