//! Who is watched, and what they are judged by: not whether they are connected, but whether they move while
//! there is something to do.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::metrics::{Lag, SinkFigures, SourceFigures, Trouble};

/// A source or sink that is watched.
pub struct Watched<T> {
    /// Its name.
    pub name: String,
    /// What it tells.
    pub figures: Arc<T>,
    pulse: Mutex<Pulse>,
}

/// What the last questions have shown.
struct Pulse {
    /// When something was finished, or there was nothing to do.
    moved: Instant,
    /// When the server, or Kafka, last answered.
    answered: Instant,
    /// Why it did not.
    problem: Option<String>,
    /// Whether it ever answered.
    is_known: bool,
    /// What was last said of it, so that only a change is logged.
    was_ready: Option<bool>,
}

impl<T> Watched<T> {
    /// Nothing is known yet.
    pub fn new(name: &str, figures: Arc<T>) -> Self {
        let now = Instant::now();
        Self {
            name: name.to_owned(),
            figures,
            pulse: Mutex::new(Pulse {
                moved: now,
                answered: now,
                problem: None,
                is_known: false,
                was_ready: None,
            }),
        }
    }

    fn pulse(&self) -> MutexGuard<'_, Pulse> {
        self.pulse.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The server answered; `moved`: something was finished since the last time, or nothing was to be done.
    pub fn answered(&self, moved: bool) {
        let mut pulse = self.pulse();
        pulse.answered = Instant::now();
        pulse.problem = None;
        pulse.is_known = true;
        if moved {
            pulse.moved = pulse.answered;
        }
    }

    /// The server did not answer.
    pub fn unanswered(&self, problem: String) {
        self.pulse().problem = Some(problem);
    }

    /// Until the first answer.
    fn lacks(&self, what: &str) -> Option<String> {
        (!self.pulse().is_known).then(|| what.to_owned())
    }

    /// Logs a verdict that differs from the one before.
    pub fn log_change(&self, verdict: &Verdict) {
        let before = self.pulse().was_ready.replace(verdict.ready);
        match before {
            Some(true) if !verdict.ready => {
                tracing::warn!("{} {:?} is not ready: {}", verdict.stage, self.name, verdict.reason);
            }
            Some(false) if verdict.ready => {
                tracing::info!("{} {:?} is ready again", verdict.stage, self.name);
            }
            _ => {}
        }
    }

    /// Why it counts as standing still, if it does.
    fn stalled(&self, after: Duration, server: &str, behind: bool, lag: &str) -> Option<String> {
        let pulse = self.pulse();
        let (silent, still) = (pulse.answered.elapsed(), pulse.moved.elapsed());
        if silent > after {
            let problem = pulse.problem.as_deref().map_or_else(String::new, |problem| format!(": {problem}"));
            return Some(format!("{server} has not answered for {} s{problem}", silent.as_secs()));
        }
        (behind && still > after)
            .then(|| format!("nothing was finished for {} s, and {lag} wait", still.as_secs()))
    }
}

/// What is said of one source or sink.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    /// `source` or `sink`.
    pub stage: String,
    /// Its name.
    pub name: String,
    /// What it does, in a word.
    pub state: String,
    /// Whether it moves.
    pub ready: bool,
    /// Why not; empty if it does.
    pub reason: String,
    /// The code of the error behind the reason, if there is one ([`crate::Code`]).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// It ended, and nothing in this process starts it again.
    pub failed: bool,
    /// Source: bytes of log that are not finished.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lag_bytes: Option<u64>,
    /// Source: age of the last finished change while there are others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lag_seconds: Option<f64>,
    /// Sink: messages that are not committed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lag_messages: Option<u64>,
    /// Row changes handed on or written by this process.
    pub rows: u64,
}

/// Judges a source.
pub fn judge_source(source: &Watched<SourceFigures>, stalled_after: Duration) -> Verdict {
    let figures = &source.figures;
    let (state, lag, failure) = (figures.life.state(), figures.lag(), figures.life.failure());
    let (bytes, seconds) = (lag.map(|lag: Lag| lag.bytes), lag.map(|lag| lag.seconds));
    let trouble = figures.life.trouble();
    let reason = if let Some(failure) = &failure {
        Some(format!("it ended: {}", failure.text))
    } else if figures.up.get() == 0 {
        let why = trouble.as_ref().map_or_else(String::new, |trouble| format!(": {}", trouble.text));
        Some(format!("it is not connected ({}){why}", if state.is_empty() { "not started" } else { &state }))
    } else if bytes.is_none() {
        let lacks = || source.lacks("its server was not asked for its position yet");
        source.stalled(stalled_after, "its server", false, "").or_else(lacks)
    } else {
        let waiting = bytes.unwrap_or(0);
        source.stalled(stalled_after, "its server", waiting > 0, &format!("{waiting} bytes of log"))
    };
    figures.ready.set(i64::from(reason.is_none()));
    Verdict {
        stage: "source".to_owned(),
        name: source.name.clone(),
        state,
        ready: reason.is_none(),
        code: code_of(reason.is_some(), failure.as_ref().or(trouble.as_ref())),
        reason: reason.unwrap_or_default(),
        failed: failure.is_some(),
        lag_bytes: bytes,
        lag_seconds: seconds,
        lag_messages: None,
        rows: figures.rows.get(),
    }
}

fn code_of(has_reason: bool, trouble: Option<&Trouble>) -> Option<String> {
    trouble.filter(|_| has_reason).map(|trouble| trouble.code.slug().to_owned())
}

/// Judges a sink; `through_kafka` is false in direct mode, where a sink has no lag of its own.
pub fn judge_sink(sink: &Watched<SinkFigures>, through_kafka: bool, stalled_after: Duration) -> Verdict {
    let figures = &sink.figures;
    let (state, failure, lag) = (figures.life.state(), figures.life.failure(), figures.lag());
    let trouble = figures.life.trouble();
    let (_, without_place) = figures.holds();
    let reason = if let Some(failure) = &failure {
        Some(format!("it ended: {}", failure.text))
    } else if let Some(trouble) = &trouble {
        Some(format!("{state}: {}", trouble.text))
    } else if !through_kafka {
        (figures.up.get() == 0).then(|| "it has not started".to_owned())
    } else if figures.unheld() > 0 {
        Some(format!("{} partitions of its topics are held by no member of its group", figures.unheld()))
    } else if state == SinkFigures::WAITING {
        None
    } else if without_place > 0 || state.is_empty() {
        Some(format!("{without_place} of its members have no place in the group yet"))
    } else if let Some(lag) = lag {
        sink.stalled(stalled_after, "Kafka", lag > 0, &format!("{lag} messages"))
    } else {
        let lacks = || sink.lacks("Kafka was not asked for the topics' ends yet");
        sink.stalled(stalled_after, "Kafka", false, "").or_else(lacks)
    };
    figures.ready.set(i64::from(reason.is_none()));
    Verdict {
        stage: "sink".to_owned(),
        name: sink.name.clone(),
        state,
        ready: reason.is_none(),
        code: code_of(reason.is_some(), failure.as_ref().or(trouble.as_ref())),
        reason: reason.unwrap_or_default(),
        failed: failure.is_some(),
        lag_bytes: None,
        lag_seconds: None,
        lag_messages: lag,
        rows: figures.rows(),
    }
}

#[cfg(test)]
mod tests {
    use super::{Watched, judge_sink, judge_source};
    use crate::metrics::{Lag, Progress, SinkFigures};
    use std::time::Duration;

    const NEVER: Duration = Duration::from_hours(1);

    fn lag(bytes: u64) -> Lag {
        Lag { bytes, seconds: 0.0, retained_bytes: None }
    }

    #[test]
    fn a_source_is_ready_when_it_moves_and_not_when_it_is_merely_connected() {
        let source = Watched::new("shop", Progress::default().source("shop"));
        let reason = |after| judge_source(&source, after).reason;
        assert!(reason(NEVER).contains("not connected (not started)"));
        source.figures.life.set_state("streaming");
        source.figures.up.set(1);
        assert!(reason(NEVER).contains("not asked"));
        source.figures.set_lag(lag(7));
        source.answered(true);
        assert_eq!(reason(NEVER), "");
        assert_eq!(source.figures.ready.get(), 1);
        std::thread::sleep(Duration::from_millis(30));
        source.answered(false);
        assert_eq!(
            reason(Duration::from_millis(20)),
            "nothing was finished for 0 s, and 7 bytes of log wait"
        );
        source.figures.set_lag(lag(0));
        source.answered(false);
        assert_eq!(reason(Duration::from_millis(20)), "", "nothing to do is no standstill");
        std::thread::sleep(Duration::from_millis(30));
        source.unanswered("refused".to_owned());
        assert_eq!(reason(Duration::from_millis(20)), "its server has not answered for 0 s: refused");
        source.figures.life.fail(&crate::Error::stop(crate::Code::SlotLost, "the slot is gone"));
        assert_eq!(judge_source(&source, NEVER).code.as_deref(), Some("slot-lost"));
        assert!(judge_source(&source, NEVER).failed && reason(NEVER).contains("the slot is gone"));
    }

    #[test]
    fn a_sink_needs_its_place_and_kafka() {
        let sink = Watched::new("files", Progress::default().sink("files"));
        let reason = || judge_sink(&sink, true, NEVER).reason;
        sink.figures.member(1, None);
        sink.figures.life.set_state(SinkFigures::WAITING);
        assert_eq!(reason(), "", "without topics there is nothing to do");
        sink.figures.life.set_state("joining");
        assert!(reason().contains("1 of its members"));
        sink.figures.member(1, Some([(("t".to_owned(), 0), 5)].into()));
        sink.figures.life.set_state("consuming");
        assert!(reason().contains("not asked"));
        sink.figures.set_ends(&[(("t".to_owned(), 0), 9)].into());
        assert_eq!((reason().as_str(), judge_sink(&sink, true, NEVER).lag_messages), ("", Some(4)));
    }
}
