//! Where a member's messages gather: one queue for all its partitions, emptied many messages at a time.
//!
//! The client's own queue holds events of any kind and hands them out one by one, which costs more than
//! decoding the message. So the partitions put their messages into a queue of ours, and what is left in the
//! client's are rebalances and errors (`rd_kafka_queue_forward`, `rd_kafka_consume_batch_queue` in
//! librdkafka's `rdkafka.h`).

use std::marker::PhantomData;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use std::vec::IntoIter;

use rdkafka::ClientContext;
use rdkafka::client::Client;
use rdkafka::error::RDKafkaErrorCode;

use super::librdkafka::{Queue, Taken, TopicAddress};
use super::lock;

/// The most messages that are taken out at once. More save nothing that can be measured, and hold memory.
const COUNT_MAX: usize = 256;

/// The queue of one member.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    queue: Mutex<Option<Queue>>,
    is_fed: AtomicBool,
}

impl Inbox {
    /// Opens it for a client that has no partitions yet.
    pub fn open<C: ClientContext>(&self, client: &Client<C>) {
        *lock(&self.queue) = Queue::new(client);
    }

    /// Closes it; what lies in it is thrown away. Must come before the end of its client.
    pub fn close(&self) {
        *lock(&self.queue) = None;
    }

    /// From now on the partition's messages come here. To be called before it is assigned, so that none comes
    /// elsewhere.
    pub fn feed<C: ClientContext>(&self, client: &Client<C>, topic: &str, partition: i32) {
        let queue = lock(&self.queue);
        let Some(queue) = queue.as_ref() else { return };
        queue.receive(client, topic, partition);
        self.is_fed.store(true, Ordering::Release);
    }

    /// The partitions are gone.
    pub fn starve(&self) {
        self.is_fed.store(false, Ordering::Release);
    }

    /// Whether messages can come here.
    pub fn is_fed(&self) -> bool {
        self.is_fed.load(Ordering::Acquire)
    }

    /// Takes out what is there; if that is nothing, waits for the first message. The client that it was
    /// opened for must live as long as what was taken.
    pub fn fetch(&self, wait: Duration) -> Fetched<'_> {
        let mut taken = Vec::new();
        if let Some(queue) = lock(&self.queue).as_ref() {
            taken = queue.take(COUNT_MAX, Duration::ZERO);
            if taken.is_empty() {
                // With room for more it would wait until that is used up.
                taken = queue.take(1, wait);
            }
        }
        Fetched::new(taken)
    }
}

/// Messages that were taken out together, to be read one after the other.
pub struct Fetched<'a> {
    unread: IntoIter<Taken>,
    /// The message that was read last.
    current: Option<Taken>,
    /// What the library reported among them.
    pub(super) errors: Vec<RDKafkaErrorCode>,
    /// Partitions that were read to their end, and the offset of that end: every message before it was taken
    /// out by now.
    pub ends: Vec<(String, u32, i64)>,
    /// Whether more may have been there than were taken.
    pub is_full: bool,
    /// The topic of the message that was read last, and its name.
    topic: (TopicAddress, String),
    member: PhantomData<&'a Inbox>,
}

impl Fetched<'_> {
    fn new(mut taken: Vec<Taken>) -> Self {
        let (mut errors, mut ends) = (Vec::new(), Vec::new());
        let is_full = taken.len() == COUNT_MAX;
        taken.retain(|message| {
            match message.error() {
                None => return true,
                Some(RDKafkaErrorCode::PartitionEOF) => {
                    ends.push((message.topic(), message.partition(), message.offset()));
                }
                Some(code) => errors.push(code),
            }
            false
        });
        Self {
            unread: taken.into_iter(),
            current: None,
            errors,
            ends,
            is_full,
            topic: (TopicAddress::default(), String::new()),
            member: PhantomData,
        }
    }

    /// Whether there is neither a message nor an end.
    pub fn is_empty(&self) -> bool {
        self.unread.as_slice().is_empty() && self.current.is_none() && self.ends.is_empty()
    }

    /// The next message; the one before it is given back to the library.
    pub fn read(&mut self) -> Option<Message<'_>> {
        // The one before it had been alive beside this one, so an equal address is the same topic.
        let taken = self.current.insert(self.unread.next()?);
        if taken.topic_address() != self.topic.0 {
            self.topic = (taken.topic_address(), taken.topic());
        }
        Some(Message { taken, topic: &self.topic.1 })
    }
}

/// A message as it lies in the client's memory.
pub struct Message<'a> {
    taken: &'a Taken,
    topic: &'a str,
}

impl<'a> Message<'a> {
    /// Topic name.
    pub fn topic(&self) -> &'a str {
        self.topic
    }

    /// Partition number.
    pub fn partition(&self) -> u32 {
        self.taken.partition()
    }

    /// Its place in the partition.
    pub fn offset(&self) -> i64 {
        self.taken.offset()
    }

    /// Message bytes; empty for a tombstone.
    pub fn value(&self) -> &'a [u8] {
        self.taken.value()
    }

    /// Milliseconds since 1970; 0 if there is none.
    pub fn timestamp_ms(&self) -> i64 {
        self.taken.timestamp_ms()
    }

    /// Values of the first headers of these names, found in one walk.
    pub fn headers<const N: usize>(&self, names: [&str; N]) -> [Option<&'a [u8]>; N] {
        self.taken.headers(names)
    }
}
