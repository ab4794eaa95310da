//! What a member tells of itself: counted once a batch or a commit, never once a message.

use std::sync::Arc;
use std::time::Duration;

use super::partition::PartitionState;
use crate::error::ErrorKind;
use crate::metrics::{SinkFigures, now_us};
use crate::sink::Files;

/// Batches between two commits whose age is measured; more add nothing to a histogram.
const TIMED_MAX: usize = 1024;

/// One member's hand on the figures of its sink.
pub struct MemberFigures {
    figures: Arc<SinkFigures>,
    /// The member's number in this process.
    member: u32,
    /// Commit time of the first row in the batch; 0: not ours.
    oldest_ms: i64,
    /// The same of batches that are written and not committed.
    written_ms: Vec<i64>,
    files: Files,
    rejected: u64,
    repeats: u64,
}

impl MemberFigures {
    /// A member that has no place in its group yet.
    pub fn new(figures: Arc<SinkFigures>, member: u32) -> Self {
        figures.member(member, None);
        Self {
            figures,
            member,
            oldest_ms: 0,
            written_ms: Vec::new(),
            files: Files::default(),
            rejected: 0,
            repeats: 0,
        }
    }

    /// The first row of a batch.
    pub fn first_row(&mut self, committed_ms: i64) {
        self.oldest_ms = committed_ms;
    }

    /// A batch of the topic is written.
    pub fn wrote(&mut self, topic: &str, rows: usize) {
        self.figures.wrote(topic, rows);
        if self.oldest_ms > 0 && self.written_ms.len() < TIMED_MAX {
            self.written_ms.push(self.oldest_ms);
        }
        self.oldest_ms = 0;
    }

    /// The sink was flushed; `files` are its figures since it was made.
    pub fn flushed(&mut self, took: Duration, files: Files) {
        self.figures.flushed(took);
        self.figures.file_bytes.inc_by(files.bytes.saturating_sub(self.files.bytes));
        self.figures.files_open.add(files.open as i64 - self.files.open as i64);
        self.files = files;
    }

    /// The sink is dropped, and its files are closed with it.
    pub fn closed(&mut self) {
        self.figures.files_open.sub(self.files.open as i64);
        self.files = Files::default();
    }

    /// The commit held.
    pub fn committed(&mut self, lanes: &[PartitionState]) {
        let now_ms = now_us() / 1000;
        for written_ms in self.written_ms.drain(..) {
            self.figures.latency(Duration::from_millis((now_ms - written_ms).max(0) as u64));
        }
        self.figures.committed(self.member, offsets(lanes));
    }

    /// Messages that were dropped as repeats and put aside, both since the writer was made.
    pub fn count(&mut self, repeats: u64, rejected: u64) {
        self.figures.repeats.inc_by(repeats - self.repeats);
        self.figures.rejected.inc_by(rejected - self.rejected);
        (self.repeats, self.rejected) = (repeats, rejected);
    }

    /// The offsets from `next` up to `first` were deleted before they were read.
    pub fn unread(&self, lane: &PartitionState, next: i64, first: i64) {
        self.figures.unread.inc_by((first - next).max(0) as u64);
        tracing::error!(
            topic = lane.topic,
            partition = lane.partition,
            from = next,
            to = first - 1,
            "Kafka deleted messages before this group had read them: their changes are in no file; give the \
             topic a longer retention"
        );
    }

    /// The group gave these partitions.
    pub fn began(&mut self, lanes: &[PartitionState]) {
        self.figures.member(self.member, Some(offsets(lanes)));
    }

    /// The partitions are gone; what was not committed does not count.
    pub fn released(&mut self) {
        self.written_ms.clear();
        self.oldest_ms = 0;
        self.figures.member(self.member, None);
    }

    /// The member failed.
    pub fn failed(&self, kind: ErrorKind) {
        self.figures.error(kind);
    }
}

fn offsets(lanes: &[PartitionState]) -> crate::metrics::Committed {
    lanes.iter().map(|lane| ((lane.topic.clone(), lane.partition), lane.committed_offset())).collect()
}
