//! The figures of one source. The stages call these once a batch, never once a row.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use prometheus::{Histogram, IntCounter, IntCounterVec, IntGauge};

use super::families::Families;
use super::life::Life;
use crate::change::{Batch, Checkpoint, Operation, Origin, Snapshot};
use crate::error::ErrorKind;

/// The place before which everything is acknowledged, and the time that the changes before it were committed
/// by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finished {
    /// The place.
    pub checkpoint: Checkpoint,
    /// Microseconds since 1970: the commit time of the last change before it; where the log held no change of
    /// ours, when it was read.
    pub as_of_us: i64,
}

/// Figures of one source.
#[derive(Debug)]
pub struct SourceFigures {
    name: String,
    /// What it does, and whether it ended.
    pub life: Life,
    /// Row changes handed on.
    pub rows: IntCounter,
    /// Bytes of the messages made of them.
    pub bytes: IntCounter,
    /// Messages left out, since the change was there already.
    pub repeats: IntCounter,
    /// Messages that are safe.
    pub acknowledged: IntCounter,
    /// Times that it connected again.
    pub restarts: IntCounter,
    /// Bytes that wait for an acknowledgement.
    pub queue_bytes: IntGauge,
    /// Messages that wait for an acknowledgement.
    pub queue_messages: IntGauge,
    /// Rows that a snapshot has handed out.
    snapshot_rows: IntGauge,
    /// Tables that a snapshot has still to read.
    snapshot_tables: IntGauge,
    /// As `/readyz` says.
    pub ready: IntGauge,
    /// Streaming.
    pub up: IntGauge,
    delivery: Histogram,
    read_rows: IntCounterVec,
    read_bytes: IntCounter,
    transactions: IntCounter,
    errors: IntCounterVec,
    finished: Mutex<Option<Finished>>,
    lag: Mutex<Option<Lag>>,
    families: Arc<Families>,
}

/// How far a source is behind its server.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Lag {
    /// Bytes of log.
    pub bytes: u64,
    /// Age of the last finished change; 0 if nothing is behind it.
    pub seconds: f64,
    /// PostgreSQL: bytes that the server keeps for the slot.
    pub retained_bytes: Option<u64>,
}

impl SourceFigures {
    pub(super) fn new(name: &str, families: &Arc<Families>) -> Self {
        let labels = &[name];
        let counter = |family: &IntCounterVec| family.with_label_values(labels);
        let errors = families.source_errors.clone();
        for kind in [ErrorKind::Link, ErrorKind::Stop] {
            errors.with_label_values(&[name, kind.word()]);
        }
        Self {
            life: Life::default(),
            rows: counter(&families.source_sent_rows),
            bytes: counter(&families.source_sent_bytes),
            repeats: counter(&families.source_repeats),
            acknowledged: counter(&families.source_acknowledged),
            restarts: counter(&families.source_restarts),
            queue_bytes: families.source_queue_bytes.with_label_values(labels),
            snapshot_rows: families.source_snapshot_rows.with_label_values(labels),
            snapshot_tables: families.source_snapshot_tables.with_label_values(labels),
            queue_messages: families.source_queue_messages.with_label_values(labels),
            ready: families.source_ready.with_label_values(labels),
            up: families.source_up.with_label_values(labels),
            delivery: families.source_delivery.with_label_values(labels),
            read_rows: families.source_rows.clone(),
            read_bytes: counter(&families.source_bytes),
            transactions: counter(&families.source_transactions),
            errors,
            finished: Mutex::default(),
            lag: Mutex::default(),
            name: name.to_owned(),
            families: Arc::clone(families),
        }
    }

    /// How far a snapshot is; `None`: there is none.
    fn tell_snapshot(&self, snapshot: Option<&Snapshot>) {
        let left =
            snapshot.map_or(0, |snapshot| snapshot.pending.len() + usize::from(snapshot.reading.is_some()));
        self.snapshot_tables.set(left as i64);
        if let Some(snapshot) = snapshot {
            self.snapshot_rows.set(snapshot.rows as i64);
        }
        let state = if snapshot.is_some() { "snapshot" } else { "streaming" };
        if self.life.state() != state {
            self.life.set_state(state);
        }
    }

    /// Counts a batch that was read.
    pub fn read(&self, batch: &Batch) {
        let mut counts = vec![[0_u64; OPERATIONS.len()]; batch.tables().len()];
        for row in batch.rows() {
            counts[row.table as usize][place(row.operation)] += 1;
        }
        for (table, counts) in batch.tables().iter().zip(counts) {
            let name = table.qualified_name();
            for (operation, count) in OPERATIONS.iter().zip(counts).filter(|(_, count)| *count > 0) {
                self.read_rows.with_label_values(&[self.name.as_str(), &name, operation]).inc_by(count);
            }
        }
        self.read_bytes.inc_by(batch.bytes_held() as u64);
        // A transaction that began in an earlier batch was counted there.
        let of_log = batch.transactions().iter().filter(|one| one.origin == Origin::Log).count() as u64;
        let begun_before = batch.rows().first().is_some_and(|row| row.position.ordinal > 0);
        self.transactions.inc_by(of_log.saturating_sub(u64::from(begun_before)));
        if let Some(checkpoint) = &batch.checkpoint {
            self.tell_snapshot(checkpoint.snapshot.as_deref());
        }
    }

    /// A message was acknowledged after so long.
    pub fn delivered(&self, after: Duration) {
        self.delivery.observe(after.as_secs_f64());
    }

    /// Counts a failure.
    pub fn error(&self, kind: ErrorKind) {
        self.errors.with_label_values(&[self.name.as_str(), kind.word()]).inc();
    }

    /// Everything before this place is acknowledged.
    pub fn finish(&self, checkpoint: &Checkpoint, as_of_us: i64) {
        let mut finished = self.finished.lock().unwrap_or_else(PoisonError::into_inner);
        if finished.as_ref().is_none_or(|known| known.checkpoint != *checkpoint) {
            *finished = Some(Finished { checkpoint: checkpoint.clone(), as_of_us });
        }
    }

    /// The last place that was told by [`SourceFigures::finish`].
    pub fn finished(&self) -> Option<Finished> {
        self.finished.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What the server was asked for.
    pub fn set_lag(&self, lag: Lag) {
        self.families.source_lag_bytes.with_label_values(&[self.name.as_str()]).set(lag.bytes as i64);
        self.families.source_lag_seconds.with_label_values(&[self.name.as_str()]).set(lag.seconds);
        if let Some(bytes) = lag.retained_bytes {
            self.families.source_log_retained.with_label_values(&[self.name.as_str()]).set(bytes as i64);
        }
        *self.lag.lock().unwrap_or_else(PoisonError::into_inner) = Some(lag);
    }

    /// The server does not answer: how far it is behind is not known.
    pub fn forget_lag(&self) {
        let labels = &[self.name.as_str()];
        // Only what was set can be removed.
        let _ = self.families.source_lag_bytes.remove_label_values(labels);
        let _ = self.families.source_lag_seconds.remove_label_values(labels);
        *self.lag.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// How far it is behind; `None` until its server was asked.
    pub fn lag(&self) -> Option<Lag> {
        *self.lag.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

const OPERATIONS: [&str; 4] = ["insert", "update", "delete", "truncate"];

fn place(operation: Operation) -> usize {
    match operation {
        Operation::Insert => 0,
        Operation::Update => 1,
        Operation::Delete => 2,
        Operation::Truncate => 3,
    }
}

/// The time that the changes before the batch's checkpoint were committed by.
pub fn as_of_us(batch: &Batch) -> i64 {
    batch.transactions().last().map_or_else(now_us, |last| last.committed_us)
}

/// Microseconds since 1970.
pub fn now_us() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_micros() as i64
}
