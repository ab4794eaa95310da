//! Where a member's messages gather: one queue for all its partitions, emptied many messages at a time.
//!
//! The client's own queue holds events of any kind and hands them out one by one, which costs more than
//! decoding the message. So the partitions put their messages into a queue of ours, and what is left in the
//! client's are rebalances and errors (`rd_kafka_queue_forward`, `rd_kafka_consume_batch_queue` in
//! librdkafka's `rdkafka.h`).

use std::ffi::{CStr, CString};
use std::marker::PhantomData;
use std::ptr::{NonNull, null, null_mut};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rdkafka::ClientContext;
use rdkafka::bindings as native;
use rdkafka::client::Client;
use rdkafka::error::RDKafkaErrorCode;

use super::lock;

/// The most messages that are taken out at once. More save nothing that can be measured, and hold memory.
const COUNT_MAX: usize = 256;

pub(super) const FINE: native::rd_kafka_resp_err_t = native::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR;

/// The queue of one member.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    queue: Mutex<Option<Queue>>,
    is_fed: AtomicBool,
}

/// A queue of the client's, which must end before it.
#[derive(Debug)]
pub(super) struct Queue(NonNull<native::rd_kafka_queue_t>);

// SAFETY: the library's queues may be used from any thread ("librdkafka is completely thread-safe",
// rdkafka.h).
#[allow(unsafe_code)]
unsafe impl Send for Queue {}

impl Queue {
    /// `None` if the library has no memory for it.
    pub fn new<C: ClientContext>(client: &Client<C>) -> Option<Self> {
        // SAFETY: the client's handle is valid as long as `client`.
        #[allow(unsafe_code)]
        let queue = unsafe { native::rd_kafka_queue_new(client.native_ptr()) };
        NonNull::new(queue).map(Self)
    }

    pub fn as_ptr(&self) -> *mut native::rd_kafka_queue_t {
        self.0.as_ptr()
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        // SAFETY: it was made by the library, is owned by this value alone, and its client still lives.
        #[allow(unsafe_code)]
        unsafe {
            native::rd_kafka_queue_destroy(self.0.as_ptr());
        }
    }
}

/// Events that wait to be polled, without the messages that lie in an inbox.
pub(super) fn waiting<C: ClientContext>(client: &Client<C>) -> usize {
    // SAFETY: the client's handle is valid as long as `client`; the reference to its queue is given back.
    #[allow(unsafe_code)]
    unsafe {
        let Some(queue) = NonNull::new(native::rd_kafka_queue_get_consumer(client.native_ptr())) else {
            return 0;
        };
        let length = native::rd_kafka_queue_length(queue.as_ptr());
        native::rd_kafka_queue_destroy(queue.as_ptr());
        length
    }
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
        let (queue, Ok(topic)) = (lock(&self.queue), CString::new(topic)) else { return };
        let Some(queue) = queue.as_ref() else { return };
        // SAFETY: handle and queue are valid, the library copies the topic's name and counts the references
        // that it keeps itself.
        #[allow(unsafe_code)]
        unsafe {
            let source = native::rd_kafka_queue_get_partition(client.native_ptr(), topic.as_ptr(), partition);
            if !source.is_null() {
                native::rd_kafka_queue_forward(source, queue.as_ptr());
                native::rd_kafka_queue_destroy(source);
            }
        }
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
        let mut fetched = Fetched::empty();
        if let Some(queue) = lock(&self.queue).as_ref() {
            fetched.fill(queue, COUNT_MAX, Duration::ZERO);
            if fetched.raw.is_empty() {
                // With room for more it would wait until that is used up.
                fetched.fill(queue, 1, wait);
            }
            fetched.is_full = fetched.raw.len() == COUNT_MAX;
            fetched.sort();
        }
        fetched
    }
}

/// Messages that were taken out together, to be read one after the other.
pub struct Fetched<'a> {
    raw: Vec<NonNull<native::rd_kafka_message_t>>,
    /// Messages that were read.
    read: usize,
    /// What the library reported among them.
    pub(super) errors: Vec<RDKafkaErrorCode>,
    /// Partitions that were read to their end, and the offset of that end: every message before it was taken
    /// out by now.
    pub ends: Vec<(String, u32, i64)>,
    /// Whether more may have been there than were taken.
    pub is_full: bool,
    /// Name of the last message's topic, and the library's object of it.
    topic: (*mut native::rd_kafka_topic_t, String),
    member: PhantomData<&'a Inbox>,
}

impl Fetched<'_> {
    fn empty() -> Self {
        Self {
            raw: Vec::new(),
            read: 0,
            errors: Vec::new(),
            ends: Vec::new(),
            is_full: false,
            topic: (null_mut(), String::new()),
            member: PhantomData,
        }
    }

    fn fill(&mut self, queue: &Queue, count_max: usize, wait: Duration) {
        self.raw.reserve(count_max);
        let wait_ms = i32::try_from(wait.as_millis()).unwrap_or(i32::MAX);
        // SAFETY: there is room for `count_max` pointers, which have the layout of `NonNull`; the library
        // writes as many as it answers, none of them null, and gives the messages to us. On an error it
        // answers -1.
        #[allow(unsafe_code)]
        unsafe {
            let count = native::rd_kafka_consume_batch_queue(
                queue.as_ptr(),
                wait_ms,
                self.raw.as_mut_ptr().cast(),
                count_max,
            );
            self.raw.set_len(usize::try_from(count).unwrap_or(0));
        }
    }

    /// Whether there is neither a message nor an end.
    pub fn is_empty(&self) -> bool {
        self.raw.is_empty() && self.ends.is_empty()
    }

    /// The next message; the one before it is given back to the library.
    pub fn read(&mut self) -> Option<Message<'_>> {
        let message = self.raw.get(self.read)?.as_ptr();
        if let Some(before) = self.read.checked_sub(1) {
            destroy(self.raw[before]);
        }
        self.read += 1;
        // SAFETY: the message is ours until `destroy`; its topic lives as long as it does. The one before it
        // had been alive beside this one, so an equal address is the same topic.
        #[allow(unsafe_code)]
        let raw = unsafe { &*message };
        if raw.rkt != self.topic.0 {
            self.topic = (raw.rkt, topic_of(raw));
        }
        Some(Message { raw, topic: &self.topic.1 })
    }

    /// Takes out what is no message but the library's report of an error.
    fn sort(&mut self) {
        let (errors, ends) = (&mut self.errors, &mut self.ends);
        self.raw.retain(|message| {
            // SAFETY: ours until `destroy`.
            #[allow(unsafe_code)]
            let raw = unsafe { message.as_ref() };
            if raw.err == FINE {
                return true;
            }
            match raw.err.into() {
                RDKafkaErrorCode::PartitionEOF => {
                    ends.push((topic_of(raw), raw.partition as u32, raw.offset))
                }
                code => errors.push(code),
            }
            destroy(*message);
            false
        });
    }
}

impl Drop for Fetched<'_> {
    fn drop(&mut self) {
        // The last one that was read is still ours.
        self.raw.iter().skip(self.read.saturating_sub(1)).for_each(|raw| destroy(*raw));
    }
}

fn destroy(message: NonNull<native::rd_kafka_message_t>) {
    // SAFETY: called once for each message, behind its last use.
    #[allow(unsafe_code)]
    unsafe {
        native::rd_kafka_message_destroy(message.as_ptr());
    }
}

fn topic_of(message: &native::rd_kafka_message_t) -> String {
    if message.rkt.is_null() {
        return String::new();
    }
    // SAFETY: the name is text with a zero behind it and lives as long as the topic.
    #[allow(unsafe_code)]
    let name = unsafe { CStr::from_ptr(native::rd_kafka_topic_name(message.rkt)) };
    name.to_string_lossy().into_owned()
}

/// A message as it lies in the client's memory.
pub struct Message<'a> {
    raw: &'a native::rd_kafka_message_t,
    topic: &'a str,
}

impl<'a> Message<'a> {
    /// Topic name.
    pub fn topic(&self) -> &'a str {
        self.topic
    }

    /// Partition number.
    pub fn partition(&self) -> u32 {
        self.raw.partition as u32
    }

    /// Its place in the partition.
    pub fn offset(&self) -> i64 {
        self.raw.offset
    }

    /// Message bytes; empty for a tombstone.
    pub fn value(&self) -> &'a [u8] {
        // SAFETY: they belong to the message, and live as long.
        #[allow(unsafe_code)]
        unsafe {
            bytes(self.raw.payload, self.raw.len)
        }
    }

    /// Milliseconds since 1970; 0 if there is none.
    pub fn timestamp_ms(&self) -> i64 {
        let mut kind = native::rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_NOT_AVAILABLE;
        // SAFETY: a message of the library's.
        #[allow(unsafe_code)]
        let timestamp_ms = unsafe { native::rd_kafka_message_timestamp(self.raw, &raw mut kind) };
        timestamp_ms.max(0)
    }

    /// Values of the first headers of these names, found in one walk.
    pub fn headers<const N: usize>(&self, names: [&str; N]) -> [Option<&'a [u8]>; N] {
        let (mut found, mut headers) = ([None; N], null_mut());
        // SAFETY: a message of the library's, in which it keeps the headers that it parses; names end with a
        // zero, and all live as long as the message.
        #[allow(unsafe_code)]
        unsafe {
            if native::rd_kafka_message_headers(self.raw, &raw mut headers) != FINE {
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

/// # Safety
/// `len` bytes at `start`, if it is not null, live and stay as they are for `'a`.
#[allow(unsafe_code)]
unsafe fn bytes<'a>(start: *const std::ffi::c_void, len: usize) -> &'a [u8] {
    if start.is_null() {
        return &[];
    }
    // SAFETY: as the caller promises.
    unsafe { std::slice::from_raw_parts(start.cast(), len) }
}
