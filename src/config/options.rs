//! Every option of the configuration file, declared once. `contract.md` section 2 is the promise behind it.
//!
//! A new option is one declaration in `options!` below: the file, `--set`, environment variables, the
//! reference page, the JSON Schema and `list_sync init` then know it, and `resolve` finds its value in a
//! field of its name. One that `resolve` does not use is a warning of the compiler.

use toml::de::DeTable;

use super::declaration::{Choices, Kind, LeftOut, Section, Setting, lists, options, sections, words};
use super::settings::{Delivery, Format, Headers, Include, RowIdentity};
use super::value::{AnyText, Given, OptionType, Properties, TOML_MAX, Table, Times, Url, Written};
use super::walk::{Fields, Placed, Reader};
use crate::sink;
use crate::source::postgres::Plugin;
use crate::source::{Dialect, Snapshot};

sections! {
    /// The cluster that carries the changes. Left out: databases are written to files directly.
    kafka: Option<KafkaOptions>,
    /// A database whose changes are read.
    source: Vec<SourceOptions>,
    /// Files that changes are written to.
    sink: Vec<SinkOptions>,
    /// Metrics and health over HTTP. Left out: nothing listens.
    monitor: Option<MonitorOptions>,
}

words! {
    Format { Json = "json", Debezium = "debezium" unbuilt, Protobuf = "protobuf", Avro = "avro" unbuilt }
    Snapshot { Initial = "initial", Never = "never", Only = "only" }
    Delivery { AtLeastOnce = "at-least-once", ExactlyOnce = "exactly-once" unbuilt }
    Plugin { Pgoutput = "pgoutput", Wal2json = "wal2json" }
    RowIdentity { Full = "full", Key = "key" }
}

lists! {
    Include { xid = "xid", timestamp = "timestamp", lsn = "lsn", schema = "schema", types = "type" }
    Headers { xid = "xid", snapshot = "snapshot", schema = "schema" }
}

options! {
    /// `[kafka]`.
    KafkaOptions {
        /// Where the cluster is asked first, each as "host:port". One that answers is enough; the others
        /// stand in for it.
        brokers: Vec<String> = required;

        /// Any librdkafka property by its own name; it goes before the built-in ones. Values are never
        /// printed.
        properties: Properties = empty("the built-in ones are set for idempotent, compressed sending");

        /// How a topic that is missing is created.
        topic: TopicOptions = parts("each part has its default");
    }

    /// `topic` of `[kafka]`.
    TopicOptions {
        /// Partitions of a new topic. Rows of one key always lie in one partition, in order.
        partitions: i32 = default(3, "three members of a group can share the topic, at little cost for one")
            in 1..=10_000;

        /// Copies of each partition of a new topic.
        replication: i32 = unset("three copies, or as many as the cluster has brokers") in 1..=1_000;
    }

    /// `[[source]]`.
    SourceOptions {
        /// Names the source in topics, positions and messages, and its slot, publication and server id on the
        /// database. Letters, digits, _ and -, at most 48.
        name: String = required;

        /// postgres://user@host:5432/database?sslmode=verify-full, mysql://… or mariadb://…
        url: Url = required;

        /// A file that holds the password and nothing else; a line end at its end is left off.
        password_file: String = unset("the password of the URL, if it has one");

        /// Which tables are captured: schema.table with * and ?; ! in front leaves out. The last pattern that
        /// matches decides.
        tables: Vec<String> = required;

        /// The topic of a table's changes, made of {source}, {schema} and {table}; a fixed name puts many
        /// tables in one topic.
        topic: String =
            default("{source}.{schema}.{table}".to_owned(), "a topic a table, as Debezium has it");

        /// How a change is written as a message. Consumers recognise it by themselves.
        format: Format = default(Format::Json, "readable, and what wal2json's users have");

        /// What happens to rows that are there before the stream begins: read first, left out, or read and
        /// nothing else. The stream goes on meanwhile, and a restart goes on where the snapshot was; a source
        /// that was started before has none.
        snapshot: Snapshot = default(
            Snapshot::Initial,
            "without the rows that are there already the files do not fold to the table"
        );

        /// What the topic promises after a crash.
        delivery: Delivery = default(
            Delivery::AtLeastOnce,
            "the files are exactly-once all the same, and transactions cost latency"
        );

        /// PostgreSQL: the output plugin of the slot. The messages are the same.
        plugin: Plugin =
            default(Plugin::Pgoutput, "part of every PostgreSQL, and a quarter of wal2json's bytes"),
            for Postgres;

        /// wal2json's own keys that are added to each message.
        include: Include = empty("short messages");

        /// How much of the old row an update or delete carries: all that the database sends, or the key.
        identity: RowIdentity = default(
            RowIdentity::Full,
            "a consumer may need the old values, and what was dropped cannot be had back"
        );

        /// Record headers besides `position`: `xid`, the transaction id or the GTID (none without a GTID);
        /// `snapshot`, whether a snapshot read the row (`true`, `last` for the last row of a table, else
        /// `false`); `schema`, the table's.
        /// Consumers of ours need none of them.
        headers: Headers = empty("`position` is always there and enough to drop repeats");

        /// MySQL, MariaDB: the number this reader has among the replicas. No other replica of that server may
        /// have it.
        server_id: u32 = unset("a number above 1,000,000,000 made of the name and the URL's host")
            in 1..=4_294_967_295, for Mysql Mariadb;

        /// PostgreSQL: the replication slot; lower-case letters, digits and _, at most 63. Made if missing;
        /// dropped only by hand.
        slot: String = unset("list_sync_ and the source's name"), for Postgres;

        /// PostgreSQL: the publication; made if missing.
        publication: String = unset("list_sync_ and the source's name"), for Postgres;
    }

    /// `[[sink]]`.
    SinkOptions {
        /// Names the sink in messages and on the command line. Letters, digits, _ and -, at most 48.
        name: String = required;

        /// The Kafka consumer group that shares the topics among its members.
        group: String = unset("the sink's name");

        /// Which topics are read: names with * and ?.
        topics: Vec<String> = unset("the topics of the sources in this file");

        /// The kind of file. "none" reads, decodes and commits without writing rows, to measure the rest.
        kind: &'static sink::Kind = default(&sink::KINDS[0], "every database loads it");

        /// The files' path without ending, made of {table}, {schema}, {topic} and {source} (the topic up to
        /// its first dot); relative to where the program is started.
        path: String = required;

        /// Inserts and deletes in files of their own (PATH_insert.csv, PATH_delete.csv), or one PATH.csv.
        split: bool = default(true, "inserts and deletes load without looking at each row");

        /// Stands in the file names as PATH_ID_insert.csv, so that several writers share a folder.
        id: String = unset("no part of the file name");

        /// Adds a column `position`, which sorts rows of split files in stream order.
        position: bool = default(false, "the files hold the table's columns and nothing else");

        /// What stands for a value that the database did not send because it is stored out of line (TOAST)
        /// and did not change.
        unchanged: AnyText = default(
            AnyText("__list_sync_unchanged__".to_owned()),
            "no value that a table is likely to hold"
        );

        /// The next file begins when one has this size.
        rotate_bytes: u64 = unset("files grow without end") in 1..=TOML_MAX bytes;

        /// The next file begins when one has this many rows.
        rotate_rows: u64 = unset("files grow without end") in 1..=TOML_MAX rows;

        /// The next file begins when one is this old.
        rotate_secs: u64 = unset("files grow without end") in 1..=31_536_000 seconds;

        /// How often rows are brought to the disk and their offsets committed; what a crash repeats, and how
        /// late rows are safe. Far from the brokers less often: commits take at most a tenth of the time.
        commit_interval_ms: u64 =
            default(1_000, "a second of work is soon repeated, and a disk bears one sync a second")
            in 10..=600_000 ms;
    }

    /// `[monitor]`.
    MonitorOptions {
        /// Address and port of /metrics, /healthz, /readyz and /api/status. Port 0 takes a free one, which
        /// the log tells.
        listen: String =
            default("127.0.0.1:8080".to_owned(), "nobody outside the machine sees it unless asked to");

        /// A source or sink that has work and finishes nothing for so long, or whose server does not answer
        /// for so long, is not ready.
        stalled_after_secs: u64 = default(30, "longer than a reconnect or a rebalance takes")
            in 5..=86_400 seconds;
    }
}
