//! The figures of a process, by the names that Prometheus knows them by. One registry: what `/metrics` shows,
//! what the progress lines show and what `/readyz` judges by are the same numbers.
//!
//! `declared` lists every metric once; `SourceFigures` and `SinkFigures` are the handles that the stages
//! count with, once a batch.

mod declaration;
mod declared;
mod families;
mod life;
mod sink;
mod source;

#[cfg(test)]
mod reference;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use prometheus::{Encoder as _, TextEncoder};

use crate::{Code, Error, Result};

pub use declaration::{Kind, Metric};
pub use declared::METRICS;
use families::Families;
pub use life::{Life, Trouble};
pub use sink::{Committed, SinkFigures};
pub use source::{Finished, Lag, SourceFigures, as_of_us, now_us};

/// Figures of all stages by name; clones of the handles share them.
#[derive(Debug)]
pub struct Progress {
    families: Arc<Families>,
    sources: Mutex<BTreeMap<String, Arc<SourceFigures>>>,
    sinks: Mutex<BTreeMap<String, Arc<SinkFigures>>>,
}

impl Default for Progress {
    fn default() -> Self {
        Self { families: Arc::new(Families::new()), sources: Mutex::default(), sinks: Mutex::default() }
    }
}

impl Progress {
    /// The media type of [`Progress::render`].
    pub const MEDIA_TYPE: &str = prometheus::TEXT_FORMAT;

    /// The figures of a source; made at the first call.
    pub fn source(&self, name: &str) -> Arc<SourceFigures> {
        let mut sources = self.sources.lock().unwrap_or_else(PoisonError::into_inner);
        let make = || Arc::new(SourceFigures::new(name, &self.families));
        Arc::clone(sources.entry(name.to_owned()).or_insert_with(make))
    }

    /// The figures of a sink; made at the first call.
    pub fn sink(&self, name: &str) -> Arc<SinkFigures> {
        let mut sinks = self.sinks.lock().unwrap_or_else(PoisonError::into_inner);
        let make = || Arc::new(SinkFigures::new(name, &self.families));
        Arc::clone(sinks.entry(name.to_owned()).or_insert_with(make))
    }

    /// All sources that were asked for, by name.
    pub fn sources(&self) -> Vec<(String, Arc<SourceFigures>)> {
        all(&self.sources)
    }

    /// All sinks that were asked for, by name.
    pub fn sinks(&self) -> Vec<(String, Arc<SinkFigures>)> {
        all(&self.sinks)
    }

    /// Everything in Prometheus' text format.
    pub fn render(&self) -> Result<Vec<u8>> {
        let mut text = Vec::new();
        let encoded = TextEncoder::new().encode(&self.families.registry.gather(), &mut text);
        encoded.map_err(|cause| Error::stop(Code::Internal, "the metrics cannot be written").cause(cause))?;
        Ok(text)
    }
}

fn all<T>(named: &Mutex<BTreeMap<String, Arc<T>>>) -> Vec<(String, Arc<T>)> {
    let named = named.lock().unwrap_or_else(PoisonError::into_inner);
    named.iter().map(|(name, figures)| (name.clone(), Arc::clone(figures))).collect()
}

#[cfg(test)]
mod tests {
    use super::{Progress, SinkFigures};
    use std::collections::BTreeMap;

    fn holds(offsets: &[(u32, i64)]) -> BTreeMap<(String, u32), i64> {
        offsets.iter().map(|(partition, offset)| (("t".to_owned(), *partition), *offset)).collect()
    }

    fn lines(progress: &Progress, name: &str) -> Vec<String> {
        let text = String::from_utf8(progress.render().unwrap()).unwrap();
        text.lines().filter(|line| line.starts_with(name)).map(str::to_owned).collect()
    }

    #[test]
    fn figures_are_found_by_name() {
        let progress = Progress::default();
        progress.source("shop").rows.inc_by(7);
        progress.source("shop").life.set_state("streaming");
        let sources = progress.sources();
        assert_eq!((sources.len(), sources[0].1.rows.get()), (1, 7));
        assert_eq!((sources[0].1.life.state().as_str(), progress.sinks().len()), ("streaming", 0));
        assert_eq!(
            lines(&progress, "list_sync_source_sent_rows_total"),
            ["list_sync_source_sent_rows_total{source=\"shop\"} 7"]
        );
    }

    /// What a member gives back is shown no more, and its lag with it.
    #[test]
    fn partitions_come_and_go() {
        let progress = Progress::default();
        let sink: &SinkFigures = &progress.sink("files");
        sink.member(1, None);
        sink.member(2, Some(holds(&[(0, 5), (1, 8)])));
        assert_eq!((sink.up.get(), sink.holds().1), (0, 1));
        sink.set_ends(&holds(&[(0, 9), (1, 7), (2, 99)]));
        assert_eq!(sink.lag(), Some(4));
        sink.member(1, Some(holds(&[(1, 8)])));
        sink.member(2, Some(holds(&[(0, 5)])));
        sink.committed(2, holds(&[(0, 9)]));
        assert_eq!((sink.up.get(), sink.holds()), (1, (holds(&[(0, 9), (1, 8)]), 0)));
        assert_eq!(lines(&progress, "list_sync_sink_committed_offset").len(), 2);
        sink.set_ends(&holds(&[(0, 9), (1, 8)]));
        assert_eq!((sink.lag(), lines(&progress, "list_sync_sink_lag_messages{").len()), (Some(0), 2));
        sink.member(2, None);
        assert_eq!(lines(&progress, "list_sync_sink_committed_offset").len(), 1);
    }
}
