//! The figures of one sink: all of its members in this process together.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use prometheus::{Histogram, IntCounter, IntCounterVec, IntGauge};

use super::families::Families;
use super::life::Life;
use crate::error::ErrorKind;

/// Topic and partition -> the next offset that the group would read.
pub type Committed = BTreeMap<(String, u32), i64>;

/// Figures of one sink.
#[derive(Debug)]
pub struct SinkFigures {
    name: String,
    /// What it does, and whether it ended.
    pub life: Life,
    /// Messages that were read before.
    pub repeats: IntCounter,
    /// Messages put aside.
    pub rejected: IntCounter,
    /// Offsets that were deleted before they were read.
    pub unread: IntCounter,
    /// Bytes written to files.
    pub file_bytes: IntCounter,
    /// Files that are open.
    pub files_open: IntGauge,
    /// Times that a member joined again.
    pub restarts: IntCounter,
    /// As `/readyz` says.
    pub ready: IntGauge,
    /// All members hold a place.
    pub up: IntGauge,
    /// The sum of the next one, for progress.
    rows: AtomicU64,
    rows_by_topic: IntCounterVec,
    latency: Histogram,
    flush: Histogram,
    errors: IntCounterVec,
    /// By the member's number; `None` while it has no place in the group.
    members: Mutex<BTreeMap<u32, Option<Committed>>>,
    lag: Mutex<Option<u64>>,
    /// Partitions of its topics that no member of the group holds.
    unheld: AtomicUsize,
    families: Arc<Families>,
}

impl SinkFigures {
    /// The state of a sink whose topics are not there yet: it has nothing to do, and no place in the group.
    pub const WAITING: &str = "waiting for topics";

    pub(super) fn new(name: &str, families: &Arc<Families>) -> Self {
        let labels = &[name];
        let errors = families.sink_errors.clone();
        for kind in [ErrorKind::Link, ErrorKind::Stop] {
            errors.with_label_values(&[name, kind.word()]);
        }
        Self {
            life: Life::default(),
            rows: AtomicU64::new(0),
            repeats: families.sink_repeats.with_label_values(labels),
            rejected: families.sink_rejected.with_label_values(labels),
            unread: families.sink_unread.with_label_values(labels),
            file_bytes: families.sink_file_bytes.with_label_values(labels),
            files_open: families.sink_files_open.with_label_values(labels),
            restarts: families.sink_restarts.with_label_values(labels),
            ready: families.sink_ready.with_label_values(labels),
            up: families.sink_up.with_label_values(labels),
            rows_by_topic: families.sink_rows.clone(),
            latency: families.sink_latency.with_label_values(labels),
            flush: families.sink_flush.with_label_values(labels),
            errors,
            members: Mutex::default(),
            lag: Mutex::default(),
            unheld: AtomicUsize::new(0),
            name: name.to_owned(),
            families: Arc::clone(families),
        }
    }

    /// Counts rows of a topic that were written.
    pub fn wrote(&self, topic: &str, rows: usize) {
        self.rows.fetch_add(rows as u64, Ordering::Relaxed);
        self.rows_by_topic.with_label_values(&[self.name.as_str(), topic]).inc_by(rows as u64);
    }

    /// Row changes written.
    pub fn rows(&self) -> u64 {
        self.rows.load(Ordering::Relaxed)
    }

    /// A row that was committed in the database so long ago is on disk.
    pub fn latency(&self, after: Duration) {
        self.latency.observe(after.as_secs_f64());
    }

    /// A flush took so long.
    pub fn flushed(&self, took: Duration) {
        self.flush.observe(took.as_secs_f64());
    }

    /// Counts a failure.
    pub fn error(&self, kind: ErrorKind) {
        self.errors.with_label_values(&[self.name.as_str(), kind.word()]).inc();
    }

    fn members(&self) -> MutexGuard<'_, BTreeMap<u32, Option<Committed>>> {
        self.members.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A member of this process holds these partitions; `None`: it has no place in the group.
    pub fn member(&self, number: u32, holds: Option<Committed>) {
        let mut members = self.members();
        let gone = members.insert(number, holds.clone()).flatten().unwrap_or_default();
        let is_held =
            |partition: &(String, u32)| members.values().flatten().any(|held| held.contains_key(partition));
        for (topic, partition) in gone.keys().filter(|partition| !is_held(partition)) {
            let labels = &[self.name.as_str(), topic, &partition.to_string()];
            // Only what was set can be removed; a partition that was never looked at has no lag.
            let _ = self.families.sink_committed.remove_label_values(labels);
            let _ = self.families.sink_lag.remove_label_values(labels);
        }
        let joined = members.values().flatten().count();
        self.up.set(i64::from(joined == members.len()));
        self.families.sink_members.with_label_values(&[self.name.as_str()]).set(joined as i64);
        drop(members);
        self.committed(number, holds.unwrap_or_default());
    }

    /// The group has committed these offsets.
    pub fn committed(&self, number: u32, offsets: Committed) {
        for ((topic, partition), offset) in &offsets {
            self.families
                .sink_committed
                .with_label_values(&[self.name.as_str(), topic, &partition.to_string()])
                .set(*offset);
        }
        if let Some(Some(held)) = self.members().get_mut(&number) {
            held.extend(offsets);
        }
    }

    /// What all members hold, and how many have no place in the group.
    pub fn holds(&self) -> (Committed, usize) {
        let members = self.members();
        let held = members
            .values()
            .flatten()
            .flatten()
            .map(|(partition, offset)| (partition.clone(), *offset))
            .collect();
        (held, members.values().filter(|held| held.is_none()).count())
    }

    /// The partitions end here; a member may have committed more since.
    pub fn set_ends(&self, ends: &Committed) {
        let (held, _) = self.holds();
        let mut sum = 0;
        for ((topic, partition), offset) in held {
            let Some(end) = ends.get(&(topic.clone(), partition)) else { continue };
            let lag = (end - offset).max(0);
            sum += lag as u64;
            self.families
                .sink_lag
                .with_label_values(&[self.name.as_str(), &topic, &partition.to_string()])
                .set(lag);
        }
        *self.lag.lock().unwrap_or_else(PoisonError::into_inner) = Some(sum);
    }

    /// Kafka does not answer: how much is left is not known.
    pub fn forget_lag(&self) {
        let (held, _) = self.holds();
        for (topic, partition) in held.keys() {
            // Only what was set can be removed.
            let _ = self.families.sink_lag.remove_label_values(&[
                self.name.as_str(),
                topic,
                &partition.to_string(),
            ]);
        }
        *self.lag.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// So many partitions of its topics are held by no member of the group.
    pub fn set_unheld(&self, partitions: usize) {
        self.unheld.store(partitions, Ordering::Relaxed);
    }

    /// Partitions of its topics that no member of the group holds.
    pub fn unheld(&self) -> usize {
        self.unheld.load(Ordering::Relaxed)
    }

    /// Messages that are not committed; `None` until Kafka was asked.
    pub fn lag(&self) -> Option<u64> {
        *self.lag.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
