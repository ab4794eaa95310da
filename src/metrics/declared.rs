//! Every metric, declared once: name, kind, labels, help. `docs/monitoring.md` is made from this list.
//!
//! Names follow Prometheus' conventions: the unit stands at the end, in base units, and counters end in
//! `_total`.

use super::declaration::{Metric, counter, gauge, histogram};

/// Seconds: a row that is read at once, up to one that waited for an hour.
const LATENCY: &[f64] =
    &[0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0];
/// Seconds: what a broker or a disk may take.
const STEP: &[f64] = &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];

/// In the order of the reference page.
pub const METRICS: &[&Metric] = &[
    &SOURCE_UP,
    &SOURCE_READY,
    &SOURCE_ROWS,
    &SOURCE_TRANSACTIONS,
    &SOURCE_BYTES,
    &SOURCE_SENT_ROWS,
    &SOURCE_SENT_BYTES,
    &SOURCE_REPEATS,
    &SOURCE_ACKNOWLEDGED,
    &SOURCE_SNAPSHOT_ROWS,
    &SOURCE_SNAPSHOT_TABLES,
    &SOURCE_QUEUE_BYTES,
    &SOURCE_QUEUE_MESSAGES,
    &SOURCE_DELIVERY,
    &SOURCE_LAG_BYTES,
    &SOURCE_LAG_SECONDS,
    &SOURCE_LOG_RETAINED,
    &SOURCE_RESTARTS,
    &SOURCE_ERRORS,
    &SINK_UP,
    &SINK_READY,
    &SINK_MEMBERS,
    &SINK_ROWS,
    &SINK_REPEATS,
    &SINK_REJECTED,
    &SINK_UNREAD,
    &SINK_LATENCY,
    &SINK_COMMITTED,
    &SINK_LAG,
    &SINK_FILE_BYTES,
    &SINK_FILES_OPEN,
    &SINK_FLUSH,
    &SINK_RESTARTS,
    &SINK_ERRORS,
    &BUILD_INFO,
];

pub static SOURCE_UP: Metric =
    gauge("list_sync_source_up", &["source"], "1 while the source streams from its server, else 0.");
pub static SOURCE_READY: Metric = gauge(
    "list_sync_source_ready",
    &["source"],
    "1 if the source keeps up with its server as /readyz means it, else 0.",
);
pub static SOURCE_ROWS: Metric = counter(
    "list_sync_source_rows_total",
    &["source", "table", "operation"],
    "Row changes read from the log; again after a reconnect. The operation is insert, update, delete or \
     truncate.",
);
pub static SOURCE_TRANSACTIONS: Metric = counter(
    "list_sync_source_transactions_total",
    &["source"],
    "Transactions read from the log that changed captured tables; again after a reconnect.",
);
pub static SOURCE_BYTES: Metric =
    counter("list_sync_source_bytes_total", &["source"], "Bytes of values in the rows read.");
pub static SOURCE_SENT_ROWS: Metric = counter(
    "list_sync_source_sent_rows_total",
    &["source"],
    "Row changes handed on: to Kafka, or without Kafka to the sinks. Those that were there already are not \
     counted.",
);
pub static SOURCE_SENT_BYTES: Metric = counter(
    "list_sync_source_sent_bytes_total",
    &["source"],
    "Bytes of the messages made of the rows read; without Kafka of their values.",
);
pub static SOURCE_REPEATS: Metric = counter(
    "list_sync_source_repeats_total",
    &["source"],
    "Messages left out, since a partition (without Kafka: the files) held the change already.",
);
pub static SOURCE_ACKNOWLEDGED: Metric = counter(
    "list_sync_source_acknowledged_total",
    &["source"],
    "Messages that Kafka acknowledged; without Kafka row changes that are on disk.",
);
pub static SOURCE_SNAPSHOT_ROWS: Metric =
    gauge("list_sync_source_snapshot_rows", &["source"], "Rows that the snapshot has handed out so far.");
pub static SOURCE_SNAPSHOT_TABLES: Metric = gauge(
    "list_sync_source_snapshot_tables_left",
    &["source"],
    "Tables that the snapshot has not read to their ends; 0 where there is none.",
);
pub static SOURCE_QUEUE_BYTES: Metric = gauge(
    "list_sync_source_queue_bytes",
    &["source"],
    "Bytes of keys and values that wait for Kafka's acknowledgement.",
);
pub static SOURCE_QUEUE_MESSAGES: Metric =
    gauge("list_sync_source_queue_messages", &["source"], "Messages that wait for Kafka's acknowledgement.");
pub static SOURCE_DELIVERY: Metric = histogram(
    "list_sync_source_delivery_seconds",
    &["source"],
    STEP,
    "Time from handing a message to the producer until Kafka acknowledged it. One message of each batch is \
     timed.",
);
pub static SOURCE_LAG_BYTES: Metric = gauge(
    "list_sync_source_lag_bytes",
    &["source"],
    "Bytes of log between the end of the server's log, as the server says itself, and the place before \
     which everything is acknowledged. MySQL and MariaDB: summed over the files between.",
);
pub static SOURCE_LAG_SECONDS: Metric = gauge(
    "list_sync_source_lag_seconds",
    &["source"],
    "Age of the last acknowledged change while there is more in the log; 0 when there is not.",
);
pub static SOURCE_LOG_RETAINED: Metric = gauge(
    "list_sync_source_log_retained_bytes",
    &["source"],
    "PostgreSQL: bytes of log that the server keeps for the source's slot.",
);
pub static SOURCE_RESTARTS: Metric = counter(
    "list_sync_source_restarts_total",
    &["source"],
    "Times that the source connected again, to its server or to Kafka.",
);
pub static SOURCE_ERRORS: Metric = counter(
    "list_sync_source_errors_total",
    &["source", "kind"],
    "Failures. The kind is link (it is tried again) or stop (a person is needed).",
);

pub static SINK_UP: Metric = gauge(
    "list_sync_sink_up",
    &["sink"],
    "1 if all members of the sink in this process hold a place in the group, else 0.",
);
pub static SINK_READY: Metric = gauge(
    "list_sync_sink_ready",
    &["sink"],
    "1 if the sink keeps up with its topics as /readyz means it, else 0.",
);
pub static SINK_MEMBERS: Metric =
    gauge("list_sync_sink_members", &["sink"], "Members of this process that the group has given a place.");
pub static SINK_ROWS: Metric =
    counter("list_sync_sink_rows_total", &["sink", "topic"], "Row changes written to files.");
pub static SINK_REPEATS: Metric = counter(
    "list_sync_sink_repeats_total",
    &["sink"],
    "Messages dropped, since their change was read before.",
);
pub static SINK_REJECTED: Metric = counter(
    "list_sync_sink_rejected_total",
    &["sink"],
    "Messages that are no row change and were put aside in the .rejected.jsonl file.",
);
pub static SINK_UNREAD: Metric = counter(
    "list_sync_sink_unread_total",
    &["sink"],
    "Offsets that Kafka deleted before the group had read them: their changes are in no file.",
);
pub static SINK_LATENCY: Metric = histogram(
    "list_sync_sink_latency_seconds",
    &["sink"],
    LATENCY,
    "Time from the commit in the database until the row is on disk and committed. The oldest row of each \
     batch is timed.",
);
pub static SINK_COMMITTED: Metric = gauge(
    "list_sync_sink_committed_offset",
    &["sink", "topic", "partition"],
    "The next offset that the group would read, of partitions that this process holds.",
);
pub static SINK_LAG: Metric = gauge(
    "list_sync_sink_lag_messages",
    &["sink", "topic", "partition"],
    "Messages between the committed offset and the partition's end, of partitions that this process holds.",
);
pub static SINK_FILE_BYTES: Metric =
    counter("list_sync_sink_file_bytes_total", &["sink"], "Bytes written to files.");
pub static SINK_FILES_OPEN: Metric = gauge("list_sync_sink_files_open", &["sink"], "Files that are open.");
pub static SINK_FLUSH: Metric = histogram(
    "list_sync_sink_flush_seconds",
    &["sink"],
    STEP,
    "Time that a flush took to bring all rows to the disk.",
);
pub static SINK_RESTARTS: Metric =
    counter("list_sync_sink_restarts_total", &["sink"], "Times that a member joined its group again.");
pub static SINK_ERRORS: Metric = counter(
    "list_sync_sink_errors_total",
    &["sink", "kind"],
    "Failures. The kind is link (it is tried again) or stop (a person is needed).",
);
pub static BUILD_INFO: Metric =
    gauge("list_sync_build_info", &["version"], "Always 1; the label says which version runs.");
