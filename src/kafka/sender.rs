//! Sends messages, in order per partition, and reports each delivery.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Header, Message as _, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer, ProducerContext};

use super::acl::Acl;
use super::client::{Settings, queue_bytes_max};
use super::complaints::Complaints;
use super::failure::{failure, refused_for_good};
use super::librdkafka;
use super::revive::revive;
use crate::{Code, Error, Result, threads};

/// A poll hands out deliveries as they come but returns only after this time, so an end waits for it.
const POLL: Duration = Duration::from_millis(20);
/// How long brokers that refused us are asked whether they still do.
const ASKING: Duration = Duration::from_secs(3);
/// How long messages that are thrown away may take to be reported.
const PURGING: Duration = Duration::from_millis(500);

/// Hears what became of each message. Called on the sender's own thread, for one partition in the order of
/// sending.
pub trait Delivery: Send + Sync + 'static {
    /// All replicas hold the message, at this offset. `tag` is the one it was sent with, `bytes` the length
    /// of its key and value.
    fn delivered(&self, tag: usize, offset: i64, bytes: usize);

    /// The message is lost and so may be all behind it: nothing more may be counted as delivered.
    fn failed(&self, tag: usize, error: Error);
}

/// One message to send.
#[derive(Debug, Clone, Copy)]
pub struct Outgoing<'a> {
    /// Topic name.
    pub topic: &'a str,
    /// Partition number.
    pub partition: u32,
    /// Key bytes.
    pub key: &'a [u8],
    /// Message bytes.
    pub value: &'a [u8],
    /// Milliseconds since 1970; 0: now.
    pub timestamp_ms: i64,
    /// Names and values.
    pub headers: &'a [(&'a str, &'a [u8])],
    /// Comes back with the delivery.
    pub tag: usize,
}

struct Context<D> {
    settings: Settings,
    complaints: Complaints,
    delivery: Arc<D>,
}

impl<D: Delivery> ClientContext for Context<D> {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.complaints.log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.complaints.error(error, reason);
    }
}

impl<D: Delivery> ProducerContext for Context<D> {
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, tag: usize) {
        match result {
            Ok(message) => {
                self.complaints.went_well();
                self.delivery.delivered(tag, message.offset(), message.key_len() + message.payload_len());
            }
            Err((cause, message)) => {
                let what = format!("deliver a message to topic {:?}", message.topic());
                let needs = [Acl::topic("Write", message.topic())];
                self.delivery.failed(tag, failure(&what, &needs, &self.settings, &self.complaints, cause));
            }
        }
    }
}

/// An idempotent producer and the thread that serves it.
pub struct Sender<D: Delivery> {
    producer: Arc<BaseProducer<Context<D>>>,
    settings: Settings,
    queue_bytes_max: u64,
    complaints: Complaints,
    ended: Arc<AtomicBool>,
    poller: Option<JoinHandle<()>>,
}

impl<D: Delivery> Sender<D> {
    /// Sets up the producer; brokers are contacted in the background.
    pub fn new(settings: &Settings, delivery: Arc<D>) -> Result<Self> {
        let complaints = Complaints::default();
        let context = Context { settings: settings.clone(), complaints: complaints.clone(), delivery };
        let fail = |cause| failure("set up the Kafka producer", &[], settings, &complaints, &cause);
        let config = settings.producer();
        let queue_bytes_max = queue_bytes_max(&config);
        let producer: Arc<BaseProducer<Context<D>>> =
            Arc::new(config.create_with_context(context).map_err(fail)?);
        let ended = Arc::new(AtomicBool::new(false));
        let poller = {
            let (producer, ended) = (Arc::clone(&producer), Arc::clone(&ended));
            let (settings, complaints) = (settings.clone(), complaints.clone());
            let work = move || {
                while !ended.load(Ordering::Relaxed) {
                    revive(producer.client(), &settings, &complaints);
                    producer.poll(POLL);
                }
            };
            threads::spawn("kafka-poll", work)
                .map_err(|cause| Error::stop(Code::SystemRefused, "cannot start a thread").cause(cause))?
        };
        Ok(Self {
            producer,
            settings: settings.clone(),
            queue_bytes_max,
            complaints,
            ended,
            poller: Some(poller),
        })
    }

    /// Queues a message. `false`: the queue is full, try again when some are delivered.
    pub fn send(&self, message: &Outgoing<'_>) -> Result<bool> {
        let mut headers = OwnedHeaders::new_with_capacity(message.headers.len());
        for (key, value) in message.headers {
            headers = headers.insert(Header { key, value: Some(*value) });
        }
        let mut record = BaseRecord::with_opaque_to(message.topic, message.tag)
            .partition(message.partition as i32)
            .key(message.key)
            .payload(message.value)
            .headers(headers);
        if message.timestamp_ms > 0 {
            record = record.timestamp(message.timestamp_ms);
        }
        match self.producer.send(record) {
            Ok(()) => Ok(true),
            // However much is delivered: it would never fit.
            Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), _))
                if message.value.len() as u64 > self.queue_bytes_max =>
            {
                let (bytes, topic) = (message.value.len(), message.topic);
                Err(Error::stop(
                    Code::MessageTooLarge,
                    format!(
                        "cannot send a message of {bytes} bytes to topic {topic:?}: it is larger than the \
                     producer's queue"
                    ),
                )
                .hint("raise queue.buffering.max.kbytes under [kafka] properties, or leave it out"))
            }
            Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), _)) => Ok(false),
            Err((cause, _)) => {
                let what =
                    format!("send a message of {} bytes to topic {:?}", message.value.len(), message.topic);
                Err(failure(
                    &what,
                    &[Acl::topic("Write", message.topic)],
                    &self.settings,
                    &self.complaints,
                    &cause,
                ))
            }
        }
    }

    /// Sends what waits for more of its kind, and waits until all is delivered, at most for so long.
    pub fn hasten(&self, wait: Duration) {
        // The other thread hands out the deliveries; this one only waits for their number to fall.
        librdkafka::flush(self.producer.client(), wait);
    }

    /// Fails if nobody hears of deliveries any more, or if the brokers have refused us for so long that it
    /// will not pass.
    pub fn check(&self) -> Result<()> {
        if self.poller.as_ref().is_some_and(JoinHandle::is_finished) {
            return Err(Error::stop(Code::Internal, "the thread that receives delivery reports died"));
        }
        refused_for_good(
            || "send to Kafka".to_owned(),
            &self.settings,
            &self.complaints,
            || self.producer.client().fetch_metadata(None, ASKING).is_ok(),
        )
    }

    /// Messages that wait for their delivery.
    pub fn in_flight(&self) -> usize {
        usize::try_from(self.producer.in_flight_count()).unwrap_or(0)
    }
}

impl<D: Delivery> Drop for Sender<D> {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        if let Some(poller) = self.poller.take() {
            // A panic of that thread has been printed; there is nothing left to do about it here.
            let _ = poller.join();
        }
        // What is still queued belongs to positions that were not saved: it is thrown away, not waited for.
        self.producer.purge(rdkafka::producer::PurgeConfig::default().queue().inflight());
        let began = Instant::now();
        while self.in_flight() > 0 && began.elapsed() < PURGING {
            self.producer.poll(Duration::from_millis(1));
        }
    }
}
