//! The calls of librdkafka that the `rdkafka` crate does not offer, each behind a safe function: the only
//! file of this stage with `unsafe` in it.
//!
//! Pointers, lengths and references stay in here; what comes out is owned, or borrows from what owns it. One
//! thing the compiler cannot check, since a [`Queue`] lies inside the context that its client owns: a queue
//! and the messages from it end before their client does. [`super::inbox`] and [`super::commit`] say how.
#![allow(unsafe_code)]

use std::ffi::{CStr, CString, c_void};
use std::ptr::{NonNull, null, null_mut};
use std::time::Duration;

use rdkafka::bindings as native;
use rdkafka::client::Client;
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::{ClientContext, TopicPartitionList};

const FINE: native::rd_kafka_resp_err_t = native::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR;

/// `None`: no error.
fn error_of(answer: native::rd_kafka_resp_err_t) -> Option<RDKafkaErrorCode> {
    (answer != FINE).then(|| answer.into())
}

/// As the library counts time; more than it can count is its longest time.
fn millis(wait: Duration) -> i32 {
    i32::try_from(wait.as_millis()).unwrap_or(i32::MAX)
}

/// Gives the client these brokers (`host:port,…`) beside those that it knows; answers how many it took.
pub(super) fn add_brokers<C: ClientContext>(client: &Client<C>, brokers: &str) -> i32 {
    let Ok(brokers) = CString::new(brokers) else { return 0 };
    // SAFETY: the handle is valid as long as the client lives, and the library copies the text before it
    // returns.
    unsafe { native::rd_kafka_brokers_add(client.native_ptr(), brokers.as_ptr()) }
}

/// Sends what waits for more of its kind, and waits until all is delivered, at most for so long. Another
/// thread must poll the client meanwhile: it hands out the deliveries.
pub(super) fn flush<C: ClientContext>(client: &Client<C>, wait: Duration) {
    // SAFETY: the handle is valid as long as the client lives.
    unsafe {
        // That it took longer is no failure.
        native::rd_kafka_flush(client.native_ptr(), millis(wait));
    }
}

/// The first offset that the partition still has, as the last fetch of it said. Asks no broker; `None` if
/// nothing was fetched yet.
pub(super) fn first_offset<C: ClientContext>(client: &Client<C>, topic: &str, partition: u32) -> Option<i64> {
    let topic = CString::new(topic).ok()?;
    let (mut first, mut end) = (-1, -1);
    // SAFETY: handle and name are valid, and the library writes two numbers.
    let answer = unsafe {
        native::rd_kafka_get_watermark_offsets(
            client.native_ptr(),
            topic.as_ptr(),
            partition as i32,
            &raw mut first,
            &raw mut end,
        )
    };
    (answer == FINE && first >= 0).then_some(first)
}

/// Events that wait to be polled, without the messages that lie in a [`Queue`].
pub(super) fn waiting<C: ClientContext>(client: &Client<C>) -> usize {
    // SAFETY: the client's handle is valid as long as `client`; the reference to its queue is given back.
    unsafe {
        let Some(queue) = NonNull::new(native::rd_kafka_queue_get_consumer(client.native_ptr())) else {
            return 0;
        };
        let length = native::rd_kafka_queue_length(queue.as_ptr());
        native::rd_kafka_queue_destroy(queue.as_ptr());
        length
    }
}

/// A queue of a client's, which must end before it.
#[derive(Debug)]
pub(super) struct Queue(NonNull<native::rd_kafka_queue_t>);

// SAFETY: the library's queues may be used from any thread ("librdkafka is completely thread-safe",
// rdkafka.h).
unsafe impl Send for Queue {}

impl Queue {
    /// `None` if the library has no memory for it.
    pub fn new<C: ClientContext>(client: &Client<C>) -> Option<Self> {
        // SAFETY: the client's handle is valid as long as `client`.
        let queue = unsafe { native::rd_kafka_queue_new(client.native_ptr()) };
        NonNull::new(queue).map(Self)
    }

    /// From now on the partition's messages come into this queue. `false` if they do not. To be called before
    /// the partition is assigned, so that none comes elsewhere; `client` is the one the queue was made for.
    pub fn receive<C: ClientContext>(&self, client: &Client<C>, topic: &str, partition: i32) -> bool {
        let Ok(topic) = CString::new(topic) else { return false };
        // SAFETY: handle and queue are valid, the library copies the topic's name and counts the references
        // that it keeps itself.
        unsafe {
            let source = native::rd_kafka_queue_get_partition(client.native_ptr(), topic.as_ptr(), partition);
            if source.is_null() {
                return false;
            }
            native::rd_kafka_queue_forward(source, self.0.as_ptr());
            native::rd_kafka_queue_destroy(source);
        }
        true
    }

    /// Takes out up to `count_max` messages and reports. With room for more than there are it waits for them
    /// until `wait` is used up.
    pub fn take(&self, count_max: usize, wait: Duration) -> Vec<Taken> {
        let mut taken = Vec::<Taken>::with_capacity(count_max);
        // SAFETY: there is room for `count_max` pointers, which have the layout of `Taken`; the library
        // writes as many as it answers, none of them null, and gives the messages to us. On an error it
        // answers -1.
        unsafe {
            let count = native::rd_kafka_consume_batch_queue(
                self.0.as_ptr(),
                millis(wait),
                taken.as_mut_ptr().cast(),
                count_max,
            );
            taken.set_len(usize::try_from(count).unwrap_or(0));
        }
        taken
    }

    /// Begins to commit the offsets of the list, with their metadata; the answer comes into this queue.
    pub fn begin_commit<C: ClientContext>(
        &self,
        client: &Client<C>,
        list: &TopicPartitionList,
    ) -> Result<(), RDKafkaErrorCode> {
        // SAFETY: client, list and queue are valid; the library copies the list, and holds a reference of its
        // own to the queue.
        let answer = unsafe {
            native::rd_kafka_commit_queue(client.native_ptr(), list.ptr(), self.0.as_ptr(), None, null_mut())
        };
        error_of(answer).map_or(Ok(()), Err)
    }

    /// Waits for the answer to a commit. `None` if it does not come in time.
    pub fn committed(&self, wait: Duration) -> Option<Committed> {
        // SAFETY: the queue is valid; an event is ours until it is destroyed, and its list, null or one of
        // the library's with `cnt` elements at `elems`, lives as long.
        unsafe {
            let event = native::rd_kafka_queue_poll(self.0.as_ptr(), millis(wait));
            if event.is_null() {
                return None;
            }
            let is_answer = native::rd_kafka_event_type(event) == native::RD_KAFKA_EVENT_OFFSET_COMMIT;
            let committed = is_answer.then(|| {
                let list = native::rd_kafka_event_topic_partition_list(event);
                let partitions = list
                    .as_ref()
                    .map_or(&[][..], |list| std::slice::from_raw_parts(list.elems, list.cnt.max(0) as usize));
                Committed {
                    whole: error_of(native::rd_kafka_event_error(event)),
                    each: partitions.iter().map(|partition| error_of(partition.err)).collect(),
                }
            });
            native::rd_kafka_event_destroy(event);
            committed
        }
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        // SAFETY: it was made by the library, is owned by this value alone, and its client still lives.
        unsafe {
            native::rd_kafka_queue_destroy(self.0.as_ptr());
        }
    }
}

/// The answer to a commit; `None`: no error.
#[derive(Debug)]
pub(super) struct Committed {
    /// What went wrong with all of it.
    pub whole: Option<RDKafkaErrorCode>,
    /// What went wrong with each partition, in the order of the list.
    pub each: Vec<Option<RDKafkaErrorCode>>,
}

/// A message, or the library's report of an error, taken out of a [`Queue`]. Given back when it is dropped.
#[repr(transparent)]
pub(super) struct Taken(NonNull<native::rd_kafka_message_t>);

/// Tells topics apart without their names, among messages of which each was alive together with the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TopicAddress(*const native::rd_kafka_topic_t);

impl Default for TopicAddress {
    /// That of no topic.
    fn default() -> Self {
        Self(null())
    }
}

impl Taken {
    #[inline]
    fn raw(&self) -> &native::rd_kafka_message_t {
        // SAFETY: the message is ours until it is dropped, and nobody changes it.
        unsafe { self.0.as_ref() }
    }

    /// What is reported; `None` for a message.
    #[inline]
    pub fn error(&self) -> Option<RDKafkaErrorCode> {
        error_of(self.raw().err)
    }

    /// See there.
    #[inline]
    pub fn topic_address(&self) -> TopicAddress {
        TopicAddress(self.raw().rkt)
    }

    /// Name of the topic; empty for a report that is of none.
    pub fn topic(&self) -> String {
        let topic = self.raw().rkt;
        if topic.is_null() {
            return String::new();
        }
        // SAFETY: the name is text with a zero behind it and lives as long as the topic, which lives as long
        // as the message.
        let name = unsafe { CStr::from_ptr(native::rd_kafka_topic_name(topic)) };
        name.to_string_lossy().into_owned()
    }

    /// Partition number.
    #[inline]
    pub fn partition(&self) -> u32 {
        self.raw().partition as u32
    }

    /// Its place in the partition.
    #[inline]
    pub fn offset(&self) -> i64 {
        self.raw().offset
    }

    /// Message bytes; empty for a tombstone.
    #[inline]
    pub fn value(&self) -> &[u8] {
        let raw = self.raw();
        // SAFETY: they belong to the message, and live as long.
        unsafe { bytes(raw.payload, raw.len) }
    }

    /// Milliseconds since 1970; 0 if there is none.
    #[inline]
    pub fn timestamp_ms(&self) -> i64 {
        let mut kind = native::rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_NOT_AVAILABLE;
        // SAFETY: a message of the library's.
        let timestamp_ms = unsafe { native::rd_kafka_message_timestamp(self.0.as_ptr(), &raw mut kind) };
        timestamp_ms.max(0)
    }

    /// Values of the first headers of these names, found in one walk.
    #[inline]
    pub fn headers<const N: usize>(&self, names: [&str; N]) -> [Option<&[u8]>; N] {
        let (mut found, mut headers) = ([None; N], null_mut());
        // SAFETY: a message of the library's, in which it keeps the headers that it parses; names end with a
        // zero, and all live as long as the message.
        unsafe {
            if native::rd_kafka_message_headers(self.0.as_ptr(), &raw mut headers) != FINE {
                return found;
            }
            let (mut name, mut value, mut len) = (null(), null(), 0);
            let mut place = 0;
            while native::rd_kafka_header_get_all(headers, place, &raw mut name, &raw mut value, &raw mut len)
                == FINE
            {
                let name = CStr::from_ptr(name).to_bytes();
                if let Some((_, slot)) = names
                    .iter()
                    .zip(&mut found)
                    .find(|(wanted, slot)| wanted.as_bytes() == name && slot.is_none())
                {
                    *slot = (!value.is_null()).then(|| bytes(value, len));
                }
                place += 1;
            }
        }
        found
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        // SAFETY: the library gave it to us alone, and this is behind its last use.
        unsafe {
            native::rd_kafka_message_destroy(self.0.as_ptr());
        }
    }
}

/// # Safety
/// `len` bytes at `start`, if it is not null, live and stay as they are for `'a`.
unsafe fn bytes<'a>(start: *const c_void, len: usize) -> &'a [u8] {
    if start.is_null() {
        return &[];
    }
    // SAFETY: as the caller promises.
    unsafe { std::slice::from_raw_parts(start.cast(), len) }
}

#[cfg(test)]
mod tests {
    use rdkafka::Offset;
    use rdkafka::config::ClientConfig;
    use rdkafka::consumer::{BaseConsumer, Consumer};
    use rdkafka::message::{Header, OwnedHeaders};
    use rdkafka::mocking::MockCluster;
    use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

    use super::*;

    /// Long enough for the broker that the library plays in this process.
    const WAIT: Duration = Duration::from_secs(10);

    fn client<T: rdkafka::config::FromClientConfig>(brokers: &str) -> T {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", brokers).set("group.id", "g").set("enable.partition.eof", "true");
        config.set("enable.auto.commit", "false").create().unwrap()
    }

    /// What was sent comes out of the queue that the partition was forwarded to, and then its end.
    #[test]
    fn messages_come_with_all_that_they_hold() {
        let cluster = MockCluster::new(1).unwrap();
        cluster.create_topic("t", 2, 1).unwrap();
        let brokers = cluster.bootstrap_servers();
        let producer: BaseProducer = client(&brokers);
        let headers = OwnedHeaders::new();
        let headers = ["one", "two", "one"].iter().enumerate().fold(headers, |headers, (place, key)| {
            headers.insert(Header { key, value: Some(&[place as u8][..]) })
        });
        let headers = headers.insert(Header { key: "none", value: None::<&[u8]> });
        let record = BaseRecord::<(), _>::to("t").partition(1).payload("value").timestamp(7);
        producer.send(record.headers(headers)).unwrap();
        producer.send(BaseRecord::<_, ()>::to("t").partition(1).key("k")).unwrap();
        producer.flush(WAIT).unwrap();

        let consumer: BaseConsumer = client(&brokers);
        let queue = Queue::new(consumer.client()).unwrap();
        assert!(queue.receive(consumer.client(), "t", 1) && !queue.receive(consumer.client(), "t\0", 1));
        assert_eq!(first_offset(consumer.client(), "t", 1), None);
        let mut list = TopicPartitionList::new();
        list.add_partition_offset("t", 1, Offset::Beginning).unwrap();
        consumer.assign(&list).unwrap();
        let taken: Vec<Taken> = (0..3).flat_map(|_| queue.take(1, WAIT)).collect();
        let [first, tombstone, end] = &taken[..] else { panic!("{} came", taken.len()) };

        assert_eq!((first.topic().as_str(), first.partition(), first.offset()), ("t", 1, 0));
        assert_eq!((first.error(), first.value(), first.timestamp_ms()), (None, &b"value"[..], 7));
        assert_eq!(
            first.headers(["two", "one", "none", "other"]),
            [Some(&[1][..]), Some(&[0][..]), None, None]
        );
        assert_eq!((tombstone.value(), tombstone.headers(["one"]), tombstone.offset()), (&[][..], [None], 1));
        assert_eq!(first.topic_address(), tombstone.topic_address());
        assert_ne!(first.topic_address(), TopicAddress::default());
        assert_eq!((end.error(), end.offset()), (Some(RDKafkaErrorCode::PartitionEOF), 2));
        assert_eq!(first_offset(consumer.client(), "t", 1), Some(0));
        assert!(queue.take(8, Duration::ZERO).is_empty());
        drop(taken);
        drop(queue);
    }

    #[test]
    fn a_commit_is_answered_partition_by_partition() {
        let cluster = MockCluster::new(1).unwrap();
        cluster.create_topic("t", 1, 1).unwrap();
        let consumer: BaseConsumer = client(&cluster.bootstrap_servers());
        let queue = Queue::new(consumer.client()).unwrap();
        let mut list = TopicPartitionList::new();
        list.add_partition_offset("t", 0, Offset::Offset(7)).unwrap();
        queue.begin_commit(consumer.client(), &list).unwrap();
        let committed = queue.committed(WAIT).unwrap();
        assert_eq!((committed.whole, &committed.each[..]), (None, &[None][..]));
        let held = consumer.committed_offsets(list, WAIT).unwrap();
        assert_eq!(held.find_partition("t", 0).unwrap().offset(), Offset::Offset(7));
        assert!(queue.committed(Duration::ZERO).is_none());
        drop(queue);
    }

    #[test]
    fn brokers_are_added_and_counted() {
        let cluster = MockCluster::new(1).unwrap();
        let producer: BaseProducer = ClientConfig::new().create().unwrap();
        assert_eq!(add_brokers(producer.client(), "no\0text"), 0);
        assert_eq!(add_brokers(producer.client(), &cluster.bootstrap_servers()), 1);
        assert!(!producer.client().fetch_metadata(None, WAIT).unwrap().brokers().is_empty());
        flush(producer.client(), WAIT);
    }
}
