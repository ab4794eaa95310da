//! What direct mode tells of itself: the figures of a source, and of the sinks it writes to.

use std::sync::Arc;
use std::time::Duration;

use crate::change::Batch;
use crate::control::Control;
use crate::metrics::{SinkFigures, SourceFigures, as_of_us, now_us};
use crate::sink::Files;

/// Batches between two flushes whose age is measured; more add nothing to a histogram.
const TIMED_MAX: usize = 1024;

/// The figures of one source and its sinks, in the order of the sinks.
pub struct DirectFigures {
    pub source: Arc<SourceFigures>,
    sinks: Vec<(Arc<SinkFigures>, Files)>,
    written_us: Vec<i64>,
    unsaved: u64,
    /// When the changes before the newest checkpoint were committed.
    as_of_us: i64,
}

impl DirectFigures {
    /// Nothing was done yet.
    pub fn new(control: &Control, source: &str, sinks: impl Iterator<Item = String>) -> Self {
        let sinks = sinks.map(|name| (control.progress.sink(&name), Files::default())).collect();
        Self {
            source: control.progress.source(source),
            sinks,
            written_us: Vec::new(),
            unsaved: 0,
            as_of_us: now_us(),
        }
    }

    /// The source and its sinks are at work.
    pub fn streaming(&self) {
        self.source.life.set_state("streaming");
        self.source.up.set(1);
        for (sink, _) in &self.sinks {
            sink.life.set_state("writing");
            sink.up.set(1);
        }
    }

    /// A batch was read.
    pub fn read(&mut self, batch: &Batch) {
        self.source.read(batch);
        if batch.checkpoint.is_some() {
            self.as_of_us = as_of_us(batch);
        }
    }

    /// What is new of a batch went to the sinks.
    pub fn handed_on(&mut self, batch: &Batch) {
        self.source.rows.inc_by(batch.rows().len() as u64);
        self.source.bytes.inc_by(batch.bytes_held() as u64);
        self.unsaved += batch.rows().len() as u64;
        if let (Some(first), true) = (batch.transactions().first(), self.written_us.len() < TIMED_MAX) {
            self.written_us.push(first.committed_us);
        }
    }

    /// A sink took rows of a channel.
    pub fn wrote(&self, sink: usize, channel: &str, rows: usize) {
        self.sinks[sink].0.wrote(channel, rows);
    }

    /// A sink was flushed.
    pub fn flushed(&mut self, sink: usize, took: Duration, files: Files) {
        let (figures, before) = &mut self.sinks[sink];
        figures.flushed(took);
        figures.file_bytes.inc_by(files.bytes.saturating_sub(before.bytes));
        figures.files_open.add(files.open as i64 - before.open as i64);
        *before = files;
    }

    /// Position and files are saved.
    pub fn saved(&mut self, checkpoint: &crate::change::Checkpoint) {
        let now_us = now_us();
        for written_us in self.written_us.drain(..) {
            let after = Duration::from_micros((now_us - written_us).max(0) as u64);
            self.sinks.iter().for_each(|(sink, _)| sink.latency(after));
        }
        self.source.acknowledged.inc_by(std::mem::take(&mut self.unsaved));
        self.source.finish(checkpoint, self.as_of_us);
    }
}
