//! What the stages get: the configuration with every default filled in. Plain data.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::glob::Glob;
use crate::secret::Secret;
use crate::sink;
use crate::source::postgres::Plugin;
use crate::source::{Address, Snapshot, Tables};

use super::TopicName;

/// Where Kafka is and how it is talked to.
#[derive(Debug, Clone)]
pub struct Kafka {
    /// `host:port` of brokers that are asked first.
    pub brokers: Vec<String>,
    /// librdkafka properties of the user, which go before ours. Secret, since some of them are passwords.
    pub properties: BTreeMap<String, Secret>,
    /// Partitions of a topic that is created.
    pub partitions: i32,
    /// Copies of each partition of a topic that is created; `None`: three, or as many as there are brokers.
    pub replication: Option<i32>,
}

/// A database whose changes are read.
#[derive(Debug, Clone)]
pub struct Source {
    /// Letters, digits, `_` and `-`; at most 48.
    pub name: String,
    /// With the password of `password_file`, if there is one.
    pub address: Address,
    /// What is captured; `tables.written` are the patterns as typed.
    pub tables: Tables,
    /// The topic of each table.
    pub topic: TopicName,
    /// How a change is written as a message.
    pub format: Format,
    /// What is done with rows that are there already.
    pub snapshot: Snapshot,
    /// What the topic promises after a crash.
    pub delivery: Delivery,
    /// PostgreSQL: the output plugin.
    pub plugin: Plugin,
    /// wal2json's keys that are added to each message.
    pub include: Include,
    /// How much of the old row a message carries.
    pub identity: RowIdentity,
    /// Record headers besides `position`.
    pub headers: Headers,
    /// MySQL and MariaDB: our number among the replicas.
    pub server_id: u32,
    /// PostgreSQL: the replication slot.
    pub slot: String,
    /// PostgreSQL: the publication.
    pub publication: String,
}

/// How a change is written as a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    /// As `contract.md` section 3 says.
    Json,
    /// Debezium's envelope.
    Debezium,
    /// Protocol buffers.
    Protobuf,
    /// Avro with a schema registry.
    Avro,
}

/// What the topic promises after a crash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Delivery {
    /// The tail may come twice.
    AtLeastOnce,
    /// By transactions, not even that.
    ExactlyOnce,
}

/// How much of the old row a message carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RowIdentity {
    /// All that the database sends.
    Full,
    /// The key columns.
    Key,
}

/// wal2json's keys that are added to each message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[expect(clippy::struct_excessive_bools, reason = "five independent switches, as the user types them")]
pub struct Include {
    /// Transaction id or GTID.
    pub xid: bool,
    /// Commit time.
    pub timestamp: bool,
    /// Place in the log.
    pub lsn: bool,
    /// Schema of the table.
    pub schema: bool,
    /// Type of each column.
    pub types: bool,
}

/// Record headers besides `position`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Headers {
    /// Transaction id or GTID.
    pub xid: bool,
    /// Whether the row was read by a snapshot.
    pub snapshot: bool,
    /// Schema of the table.
    pub schema: bool,
}

/// Files that changes are written to.
#[derive(Debug, Clone)]
pub struct Sink {
    /// Letters, digits, `_` and `-`; at most 48.
    pub name: String,
    /// Kafka consumer group.
    pub group: String,
    /// Topic names with `*` and `?`; at least one.
    pub topics: Vec<String>,
    /// What it writes.
    pub kind: &'static sink::Kind,
    /// Path with `{source}`, `{schema}`, `{table}`, `{topic}`, without ending.
    pub path: String,
    /// Inserts and deletes in files of their own.
    pub split: bool,
    /// Part of the file names.
    pub id: Option<String>,
    /// Whether the rows carry their position.
    pub position: bool,
    /// What stands for a value that was not sent.
    pub unchanged: String,
    /// Bytes after which the next file begins.
    pub rotate_bytes: Option<u64>,
    /// Rows after which the next file begins.
    pub rotate_rows: Option<u64>,
    /// Age at which the next file begins.
    pub rotate_after: Option<Duration>,
    /// How often rows are brought to the disk and offsets committed.
    pub commit_interval: Duration,
}

impl Sink {
    /// The sink of independent consumer `number`: a group of its own, and files in a folder of its own beside
    /// the others'.
    #[must_use]
    pub fn independent(&self, number: u32) -> Self {
        let (folder, file) = self
            .path
            .rsplit_once('/')
            .map_or((None, self.path.as_str()), |(folder, file)| (Some(folder), file));
        let path =
            folder.map_or_else(|| format!("{number}/{file}"), |folder| format!("{folder}/{number}/{file}"));
        Self {
            name: format!("{}_{number}", self.name),
            group: format!("{}_{number}", self.group),
            path,
            ..self.clone()
        }
    }

    /// Whether the sink reads this topic.
    pub fn takes(&self, topic: &str) -> bool {
        self.topics.iter().any(|pattern| Glob::new(pattern).matches(topic))
    }
}

/// Metrics and health over HTTP.
#[derive(Debug, Clone)]
pub struct Monitor {
    /// `address:port`.
    pub listen: String,
    /// What has work and finishes nothing for so long is not ready.
    pub stalled_after: Duration,
}
