//! How the clients are set up: the defaults that `[kafka]` starts from, and what a user may override.

use std::collections::BTreeMap;

use rdkafka::config::{ClientConfig, RDKafkaLogLevel};

use crate::secret::Secret;
use crate::{Code, Error, Result};

/// `[kafka]` of the configuration.
#[derive(Debug, Clone)]
pub struct Settings {
    /// `host:port` of some brokers; the others are found through them.
    pub brokers: Vec<String>,
    /// librdkafka properties; they win over the defaults of this file.
    pub properties: BTreeMap<String, Secret>,
    /// Partitions of a topic that is created.
    pub partitions: u32,
    /// Replicas of a topic that is created; `None`: three, or as many as there are brokers.
    pub replication: Option<u32>,
}

/// What every client shares.
const CLIENT: &[(&str, &str)] = &[
    ("client.id", "list_sync"),
    // A broker that came back is to be used at once, not after the default 10 s.
    ("reconnect.backoff.max.ms", "2000"),
    ("socket.keepalive.enable", "true"),
    ("socket.nagle.disable", "true"),
    // A topic that was created meanwhile is seen after 5 s, not 5 minutes.
    ("topic.metadata.refresh.interval.ms", "5000"),
    // The quotes of large messages: contract with the broker's message.max.bytes.
    ("message.max.bytes", "8000000"),
];

const QUEUE_KBYTES: &str = "queue.buffering.max.kbytes";

/// What a producer adds. Duplicates and reordering are excluded by idempotence; a broker that is away never
/// turns a message into an error (no time-out): the queue fills and the source is held back, within
/// `queue.buffering.max.kbytes`.
const PRODUCER: &[(&str, &str)] = &[
    ("enable.idempotence", "true"),
    // A message that the brokers refuse for good ends the producer: what is behind it in its partition must
    // not get ahead.
    ("enable.gapless.guarantee", "true"),
    ("acks", "all"),
    ("message.timeout.ms", "0"),
    ("compression.type", "lz4"),
    // Long, for full batches while there is much to send; what is little is hastened (`Sender::hasten`). As
    // long as messages of a partition are in flight the library sends no more of them, and asks without a
    // pause whether it may once they have waited for this long.
    ("linger.ms", "50"),
    ("batch.size", "1000000"),
    ("batch.num.messages", "20000"),
    (QUEUE_KBYTES, "8192"),
    ("queue.buffering.max.messages", "20000"),
];

/// What a consumer adds. The fetch queue is bounded in bytes; the back-off of 10 ms keeps a full queue from
/// stopping the fetcher for a whole second (the library's default).
const CONSUMER: &[(&str, &str)] = &[
    ("enable.auto.commit", "false"),
    ("enable.auto.offset.store", "false"),
    ("auto.offset.reset", "earliest"),
    ("partition.assignment.strategy", "range"),
    ("session.timeout.ms", "10000"),
    ("heartbeat.interval.ms", "2000"),
    ("max.poll.interval.ms", "300000"),
    ("fetch.queue.backoff.ms", "10"),
    ("queued.min.messages", "10000"),
    ("queued.max.messages.kbytes", "2048"),
    ("fetch.message.max.bytes", "524288"),
    ("fetch.max.bytes", "8388608"),
    ("fetch.wait.max.ms", "100"),
    ("isolation.level", "read_committed"),
    // The last offsets of a partition may be no messages (the markers of transactions): the end that was
    // reached is told beside the messages.
    ("enable.partition.eof", "true"),
];

/// What a consumer far from its brokers has instead. A fetch that is smaller than what the link carries in a
/// round trip leaves it idle, and so does a queue that is full before a commit is answered. Near the brokers
/// it would be memory for nothing.
const CONSUMER_FAR: &[(&str, &str)] = &[
    ("queued.min.messages", "40000"),
    ("queued.max.messages.kbytes", "8192"),
    ("fetch.message.max.bytes", "1048576"),
];

/// Properties that the promises of delivery rest on: another value would break them without a word.
const FIXED: &[&str] = &[
    "acks",
    "enable.auto.commit",
    "enable.auto.offset.store",
    "enable.gapless.guarantee",
    "enable.idempotence",
    "group.id",
    "group.protocol",
    "isolation.level",
    "message.timeout.ms",
    "partition.assignment.strategy",
    "request.required.acks",
    "transactional.id",
];

impl Settings {
    /// Refuses properties that are not the user's to set, and what cannot work.
    pub fn check(&self) -> Result<()> {
        let Some(fixed) = self.properties.keys().find(|name| FIXED.contains(&name.as_str())) else {
            return self.check_security();
        };
        Err(Error::usage(
            Code::KafkaPropertyInvalid,
            format!("[kafka] properties: {fixed:?} is not to be set, since exactly-once rests on it"),
        )
        .hint("leave it out"))
    }

    pub(super) fn producer(&self) -> ClientConfig {
        self.client(PRODUCER)
    }

    pub(super) fn consumer(&self, group: &str) -> ClientConfig {
        self.grouped(CONSUMER, group)
    }

    /// For a consumer of which [`super::Topics::is_far`] is true.
    pub(super) fn consumer_far(&self, group: &str) -> ClientConfig {
        self.grouped(&[CONSUMER, CONSUMER_FAR].concat(), group)
    }

    fn grouped(&self, defaults: &[(&str, &str)], group: &str) -> ClientConfig {
        let mut config = self.client(defaults);
        config.set("group.id", group);
        config
    }

    /// For reading topics by hand. The library assigns partitions only to a client with a group, though
    /// nobody joins it.
    pub(super) fn reader(&self) -> ClientConfig {
        let mut config = self.consumer("list_sync.reader");
        config.set("enable.partition.eof", "false");
        config
    }

    /// For questions about topics and offsets. A client without a group has nothing to close, and closing
    /// takes a tenth of a second.
    pub(super) fn asker(&self) -> ClientConfig {
        self.client(CONSUMER)
    }

    pub(super) fn admin(&self) -> ClientConfig {
        self.client(&[])
    }

    /// Where the brokers are, for messages.
    pub fn address(&self) -> String {
        self.brokers.join(",")
    }

    fn client(&self, defaults: &[(&str, &str)]) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", self.address());
        for (name, value) in CLIENT.iter().chain(defaults) {
            config.set(*name, *value);
        }
        for (name, value) in &self.properties {
            config.set(name, value.reveal());
        }
        self.make_room(&mut config);
        // A wrong security.protocol is told as an information only.
        config.set_log_level(RDKafkaLogLevel::Info);
        config
    }

    /// What a larger message needs: the library refuses a fetch that is smaller, and a queue that is smaller
    /// would be full for ever. Whoever raises the one raises all.
    fn make_room(&self, config: &mut ClientConfig) {
        let Some(message) = number(config, "message.max.bytes") else { return };
        for (name, unit) in [("fetch.max.bytes", 1), (QUEUE_KBYTES, 1024)] {
            let is_less = number(config, name).is_some_and(|room| room * unit < message);
            if is_less && !self.properties.contains_key(name) {
                config.set(name, message.div_ceil(unit).to_string());
            }
        }
    }
}

fn number(config: &ClientConfig, name: &str) -> Option<u64> {
    config.get(name)?.parse().ok()
}

/// Bytes that a producer of these settings may hold: no message can be larger.
pub(super) fn queue_bytes_max(producer: &ClientConfig) -> u64 {
    number(producer, QUEUE_KBYTES).map_or(u64::MAX, |kbytes| kbytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn far_brokers_get_larger_fetches_and_the_user_has_the_last_word() {
        let mut settings = Settings {
            brokers: vec!["far:9092".to_owned()],
            properties: BTreeMap::new(),
            partitions: 3,
            replication: None,
        };
        let fetch = |config: &ClientConfig| config.get("fetch.message.max.bytes").map(str::to_owned);
        assert_eq!(fetch(&settings.consumer("g")).as_deref(), Some("524288"));
        assert_eq!(fetch(&settings.consumer_far("g")).as_deref(), Some("1048576"));
        settings.properties.insert("fetch.message.max.bytes".to_owned(), Secret::new("7".to_owned()));
        assert_eq!(fetch(&settings.consumer_far("g")).as_deref(), Some("7"));
    }

    #[test]
    fn a_larger_message_needs_no_second_property() {
        let mut settings = Settings {
            brokers: vec!["b:9092".to_owned()],
            properties: BTreeMap::new(),
            partitions: 3,
            replication: None,
        };
        let rooms = |settings: &Settings| {
            (number(&settings.consumer("g"), "fetch.max.bytes"), queue_bytes_max(&settings.producer()))
        };
        assert_eq!(rooms(&settings), (Some(8_388_608), 8_388_608));
        let mut set = |name: &str, value: &str| {
            settings.properties.insert(name.to_owned(), Secret::new(value.to_owned()));
            settings.clone()
        };
        let larger = set("message.max.bytes", "20000000");
        assert_eq!(rooms(&larger), (Some(20_000_000), 20_000_768));
        assert!(larger.asker().create::<rdkafka::consumer::BaseConsumer>().is_ok());
        set("fetch.max.bytes", "30000000");
        assert_eq!(
            rooms(&set("queue.buffering.max.kbytes", "9")),
            (Some(30_000_000), 9_216),
            "the user has the last word"
        );
    }
}
