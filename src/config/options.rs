//! Every option of the configuration file, declared once. `contract.md` section 2 is the promise behind it.

use crate::sink;

use super::declaration::{Choices, Default, Kind, Section, Setting};

/// The sections in the order of the reference page.
pub const SECTIONS: &[Section] = &[
    Section {
        name: "kafka",
        repeated: false,
        built: true,
        doc: "The cluster that carries the changes. Left out: databases are written to files directly.",
        options: KAFKA,
    },
    Section {
        name: "source",
        repeated: true,
        built: true,
        doc: "A database whose changes are read.",
        options: SOURCE,
    },
    Section {
        name: "sink",
        repeated: true,
        built: true,
        doc: "Files that changes are written to.",
        options: SINK,
    },
    Section {
        name: "monitor",
        repeated: false,
        built: true,
        doc: "Metrics and health over HTTP. Left out: nothing listens.",
        options: MONITOR,
    },
];

const KAFKA: &[Setting] = &[
    Setting {
        name: "brokers",
        kind: Kind::Texts,
        default: Default::Required,
        doc: "Where the cluster is asked first, each as \"host:port\". One that answers is enough; the \
            others stand in for it.",
    },
    Setting {
        name: "properties",
        kind: Kind::Properties,
        default: Default::Empty("the built-in ones are set for idempotent, compressed sending"),
        doc: "Any librdkafka property by its own name; it goes before the built-in ones. Values are never \
            printed.",
    },
    Setting {
        name: "topic",
        kind: Kind::Group(KAFKA_TOPIC),
        default: Default::Unset("each part has its default"),
        doc: "How a topic that is missing is created.",
    },
];

const KAFKA_TOPIC: &[Setting] = &[
    Setting {
        name: "partitions",
        kind: Kind::Number { min: 1, max: 10_000, unit: "" },
        default: Default::Number(3, "three members of a group can share the topic, at little cost for one"),
        doc: "Partitions of a new topic. Rows of one key always lie in one partition, in order.",
    },
    Setting {
        name: "replication",
        kind: Kind::Number { min: 1, max: 1_000, unit: "" },
        default: Default::Unset("three copies, or as many as the cluster has brokers"),
        doc: "Copies of each partition of a new topic.",
    },
];

const SOURCE: &[Setting] = &[
    Setting {
        name: "name",
        kind: Kind::Text,
        default: Default::Required,
        doc: "Names the source in topics, positions and messages, and its slot, publication and server id \
            on the database. Letters, digits, _ and -, at most 48.",
    },
    Setting {
        name: "url",
        kind: Kind::Url,
        default: Default::Required,
        doc: "postgres://user@host:5432/database?sslmode=verify-full, mysql://… or mariadb://…",
    },
    Setting {
        name: "password_file",
        kind: Kind::Text,
        default: Default::Unset("the password of the URL, if it has one"),
        doc: "A file that holds the password and nothing else; a line end at its end is left off.",
    },
    Setting {
        name: "tables",
        kind: Kind::Texts,
        default: Default::Required,
        doc: "Which tables are captured: schema.table with * and ?; ! in front leaves out. The last pattern \
            that matches decides.",
    },
    Setting {
        name: "topic",
        kind: Kind::Text,
        default: Default::Text("{source}.{schema}.{table}", "a topic a table, as Debezium has it"),
        doc: "The topic of a table's changes, made of {source}, {schema} and {table}; a fixed name puts \
            many tables in one topic.",
    },
    Setting {
        name: "format",
        kind: Kind::Choice(Choices {
            values: &["json", "debezium", "protobuf", "avro"],
            unbuilt: &["debezium", "avro"],
        }),
        default: Default::Text("json", "readable, and what wal2json's users have"),
        doc: "How a change is written as a message. Consumers recognise it by themselves.",
    },
    Setting {
        name: "snapshot",
        kind: Kind::Choice(Choices { values: &["initial", "never", "only"], unbuilt: &["only"] }),
        default: Default::Text(
            "initial",
            "without the rows that are there already the files do not fold to the table",
        ),
        doc: "What happens to rows that are there before the stream begins: read first, left out, or read \
            and nothing else. Snapshots are not built yet: until then \"initial\" stops at a table that \
            holds rows, and \"never\" streams from now on.",
    },
    Setting {
        name: "delivery",
        kind: Kind::Choice(Choices {
            values: &["at-least-once", "exactly-once"],
            unbuilt: &["exactly-once"],
        }),
        default: Default::Text(
            "at-least-once",
            "the files are exactly-once all the same, and transactions cost latency",
        ),
        doc: "What the topic promises after a crash.",
    },
    Setting {
        name: "plugin",
        kind: Kind::Choice(Choices { values: &["pgoutput", "wal2json"], unbuilt: &[] }),
        default: Default::Text("pgoutput", "part of every PostgreSQL, and a quarter of wal2json's bytes"),
        doc: "PostgreSQL: the output plugin of the slot. The messages are the same.",
    },
    Setting {
        name: "include",
        kind: Kind::SeveralOf(Choices {
            values: &["xid", "timestamp", "lsn", "schema", "type"],
            unbuilt: &[],
        }),
        default: Default::Empty("short messages"),
        doc: "wal2json's own keys that are added to each message.",
    },
    Setting {
        name: "identity",
        kind: Kind::Choice(Choices { values: &["full", "key"], unbuilt: &[] }),
        default: Default::Text(
            "full",
            "a consumer may need the old values, and what was dropped cannot be had back",
        ),
        doc: "How much of the old row an update or delete carries: all that the database sends, or the key.",
    },
    Setting {
        name: "headers",
        kind: Kind::SeveralOf(Choices { values: &["xid", "snapshot", "schema"], unbuilt: &[] }),
        default: Default::Empty("`position` is always there and enough to drop repeats"),
        doc: "Record headers besides `position`: `xid`, the transaction id or the GTID (none without a \
            GTID); `snapshot`, whether a snapshot read the row (`false` until they are built); `schema`, \
            the table's. Consumers of ours need none of them.",
    },
    Setting {
        name: "server_id",
        kind: Kind::Number { min: 1, max: 4_294_967_295, unit: "" },
        default: Default::Unset("a number above 1,000,000,000 made of the name and the URL's host"),
        doc: "MySQL, MariaDB: the number this reader has among the replicas. No other replica of that \
            server may have it.",
    },
    Setting {
        name: "slot",
        kind: Kind::Text,
        default: Default::Unset("list_sync_ and the source's name"),
        doc: "PostgreSQL: the replication slot; lower-case letters, digits and _, at most 63. Made if \
            missing; dropped only by hand.",
    },
    Setting {
        name: "publication",
        kind: Kind::Text,
        default: Default::Unset("list_sync_ and the source's name"),
        doc: "PostgreSQL: the publication; made if missing.",
    },
];

const SINK: &[Setting] = &[
    Setting {
        name: "name",
        kind: Kind::Text,
        default: Default::Required,
        doc: "Names the sink in messages and on the command line. Letters, digits, _ and -, at most 48.",
    },
    Setting {
        name: "group",
        kind: Kind::Text,
        default: Default::Unset("the sink's name"),
        doc: "The Kafka consumer group that shares the topics among its members.",
    },
    Setting {
        name: "topics",
        kind: Kind::Texts,
        default: Default::Unset("the topics of the sources in this file"),
        doc: "Which topics are read: names with * and ?.",
    },
    Setting {
        name: "kind",
        kind: Kind::Choice(Choices { values: sink::NAMES, unbuilt: sink::UNBUILT }),
        default: Default::Text("csv", "every database loads it"),
        doc: "The kind of file. \"none\" reads, decodes and commits without writing rows, to measure the \
            rest.",
    },
    Setting {
        name: "path",
        kind: Kind::Text,
        default: Default::Required,
        doc: "The files' path without ending, made of {table}, {schema}, {topic} and {source} (the topic up \
            to its first dot); relative to where the program is started.",
    },
    Setting {
        name: "split",
        kind: Kind::Switch,
        default: Default::Switch(true, "inserts and deletes load without looking at each row"),
        doc: "Inserts and deletes in files of their own (PATH_insert.csv, PATH_delete.csv), or one PATH.csv.",
    },
    Setting {
        name: "id",
        kind: Kind::Text,
        default: Default::Unset("no part of the file name"),
        doc: "Stands in the file names as PATH_ID_insert.csv, so that several writers share a folder.",
    },
    Setting {
        name: "position",
        kind: Kind::Switch,
        default: Default::Switch(false, "the files hold the table's columns and nothing else"),
        doc: "Adds a column `position`, which sorts rows of split files in stream order.",
    },
    Setting {
        name: "unchanged",
        kind: Kind::Text,
        default: Default::Text("__list_sync_unchanged__", "no value that a table is likely to hold"),
        doc: "What stands for a value that the database did not send because it is stored out of line \
            (TOAST) and did not change.",
    },
    Setting {
        name: "rotate_bytes",
        kind: Kind::Number { min: 1, max: i64::MAX, unit: "bytes" },
        default: Default::Unset("files grow without end"),
        doc: "The next file begins when one has this size.",
    },
    Setting {
        name: "rotate_rows",
        kind: Kind::Number { min: 1, max: i64::MAX, unit: "rows" },
        default: Default::Unset("files grow without end"),
        doc: "The next file begins when one has this many rows.",
    },
    Setting {
        name: "rotate_secs",
        kind: Kind::Number { min: 1, max: 31_536_000, unit: "seconds" },
        default: Default::Unset("files grow without end"),
        doc: "The next file begins when one is this old.",
    },
    Setting {
        name: "commit_interval_ms",
        kind: Kind::Number { min: 10, max: 600_000, unit: "ms" },
        default: Default::Number(
            1_000,
            "a second of work is soon repeated, and a disk bears one sync a second",
        ),
        doc: "How often rows are brought to the disk and their offsets committed; what a crash repeats, and \
            how late rows are safe. Far from the brokers less often: commits take at most a tenth of the \
            time.",
    },
];

const MONITOR: &[Setting] = &[
    Setting {
        name: "listen",
        kind: Kind::Text,
        default: Default::Text("127.0.0.1:8080", "nobody outside the machine sees it unless asked to"),
        doc: "Address and port of /metrics, /healthz, /readyz and /api/status. Port 0 takes a free one, \
            which the log tells.",
    },
    Setting {
        name: "stalled_after_secs",
        kind: Kind::Number { min: 5, max: 86_400, unit: "seconds" },
        default: Default::Number(30, "longer than a reconnect or a rebalance takes"),
        doc: "A source or sink that has work and finishes nothing for so long, or whose server does not \
            answer for so long, is not ready.",
    },
];
