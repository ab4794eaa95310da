//! The threads that ask: each source's own server for the end of its log, and Kafka for the ends of the
//! sinks' topics. Each has a connection of its own, so nothing that runs waits for them, and one server that
//! does not answer keeps no other from being asked.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use super::watch::{Watched, judge_sink, judge_source};
use crate::change::Position;
use crate::kafka::{Ends, Settings};
use crate::metrics::{Committed, Lag, SinkFigures, SourceFigures, now_us};
use crate::source::Measure;
use crate::{Code, Error, Result, threads};

/// Between two questions.
pub const ASK_EVERY: Duration = Duration::from_secs(2);
/// How long an answer may take.
pub const ANSWER_TIME: Duration = Duration::from_secs(5);

/// Asks a source's server until `stopped` says so.
pub fn ask_server(
    source: Arc<Watched<SourceFigures>>,
    measure: Box<dyn Measure>,
    stalled_after: Duration,
    stopped: Receiver<()>,
) -> Result<()> {
    spawn(format!("lag-{}", source.name), move || {
        let mut asker = ServerAsker { source, measure, last: None, caught_up_us: 0 };
        while stopped.recv_timeout(ASK_EVERY) == Err(RecvTimeoutError::Timeout) {
            asker.ask();
            asker.source.log_change(&judge_source(&asker.source, stalled_after));
        }
    })
}

fn spawn(name: String, work: impl FnOnce() + Send + 'static) -> Result<()> {
    threads::spawn(name, work)
        .map(drop)
        .map_err(|cause| Error::stop(Code::SystemRefused, "cannot start a thread").cause(cause))
}

struct ServerAsker {
    source: Arc<Watched<SourceFigures>>,
    measure: Box<dyn Measure>,
    /// What was finished at the last question: the place, and messages.
    last: Option<(Position, u64)>,
    /// When there was last nothing to do; microseconds since 1970.
    caught_up_us: i64,
}

impl ServerAsker {
    fn ask(&mut self) {
        // Where the source has not begun, there is no place to measure from.
        let Some(finished) = self.source.figures.finished() else { return };
        match self.measure.behind(&finished.checkpoint.restart) {
            Ok(distance) => {
                let now = now_us();
                if distance.bytes == 0 {
                    self.caught_up_us = now;
                }
                let since_us = finished.as_of_us.max(self.caught_up_us);
                let seconds = if distance.bytes == 0 { 0.0 } else { (now - since_us).max(0) as f64 / 1e6 };
                self.source.figures.set_lag(Lag {
                    bytes: distance.bytes,
                    seconds,
                    retained_bytes: distance.retained_bytes,
                });
                let reached = Some((finished.checkpoint.position, self.source.figures.acknowledged.get()));
                self.source.answered(distance.bytes == 0 || reached != self.last);
                self.last = reached;
            }
            Err(error) => {
                self.source.figures.forget_lag();
                self.source.unanswered(error.to_string());
            }
        }
    }
}

/// Asks Kafka for the ends of all that the sinks hold.
pub fn ask_kafka(
    sinks: Vec<Arc<Watched<SinkFigures>>>,
    settings: Settings,
    stalled_after: Duration,
    stopped: Receiver<()>,
) -> Result<()> {
    let mut last: Vec<Committed> = vec![Committed::new(); sinks.len()];
    spawn("lag-kafka".to_owned(), move || {
        let mut client = None;
        while stopped.recv_timeout(ASK_EVERY) == Err(RecvTimeoutError::Timeout) {
            if let Err(error) = ask_ends(&sinks, &settings, &mut client, &mut last) {
                // A client can lose all its brokers for good: docs/decisions/0005-clients-without-brokers.md.
                client = None;
                for sink in &sinks {
                    sink.figures.forget_lag();
                    sink.unanswered(error.to_string());
                }
            }
            for sink in &sinks {
                sink.log_change(&judge_sink(sink, true, stalled_after));
            }
        }
    })
}

fn ask_ends(
    sinks: &[Arc<Watched<SinkFigures>>],
    settings: &Settings,
    client: &mut Option<Ends>,
    last: &mut [Committed],
) -> Result<()> {
    let held: Vec<Committed> = sinks.iter().map(|sink| sink.figures.holds().0).collect();
    let wanted: BTreeSet<&(String, u32)> = held.iter().flat_map(Committed::keys).collect();
    let client = match client {
        Some(client) => client,
        None => client.insert(Ends::new(settings, None, ANSWER_TIME)?),
    };
    let ends = client.ends(wanted)?;
    for ((sink, held), last) in sinks.iter().zip(held).zip(last) {
        sink.figures.set_ends(&ends);
        let moved = sink.figures.lag() == Some(0) || held != *last;
        sink.answered(moved);
        *last = held;
    }
    Ok(())
}
