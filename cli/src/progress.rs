//! Shows what the stages do: a line for each source and sink on a terminal, else a log line now and then.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use indicatif::{HumanBytes, HumanCount, MultiProgress, ProgressBar, ProgressStyle};
use list_sync::control::{Figures, Progress};

/// Between two drawings: slow enough to read.
const DRAW_EVERY: Duration = Duration::from_millis(250);
/// Between two log lines of one source or sink.
const LOG_EVERY: Duration = Duration::from_secs(10);

/// Shows progress until it is dropped.
pub struct Watch {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Watch {
    /// Begins: draws to `bars`, or logs without.
    pub fn start(progress: Arc<Progress>, bars: Option<MultiProgress>) -> Self {
        let (stop, stopped) = mpsc::channel();
        let every = if bars.is_some() { DRAW_EVERY } else { LOG_EVERY };
        let thread = thread::spawn(move || {
            let mut lines = Lines { bars, lines: BTreeMap::new() };
            while stopped.recv_timeout(every) == Err(RecvTimeoutError::Timeout) {
                lines.show(&progress);
            }
            lines.end(&progress);
        });
        Self { stop: Some(stop), thread: Some(thread) }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.stop.take();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

struct Lines {
    bars: Option<MultiProgress>,
    /// Kind and name -> its line; sources come before sinks.
    lines: BTreeMap<(Stage, String), Line>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    Source,
    Sink,
}

impl Stage {
    fn word(self) -> &'static str {
        if self == Self::Source { "source" } else { "sink" }
    }
}

struct Line {
    bar: Option<ProgressBar>,
    began: Instant,
    rows_at_first: u64,
    shown: Instant,
    rows_shown: u64,
    rows_per_second: f64,
}

impl Line {
    fn new(bars: Option<&MultiProgress>, rows: u64) -> Self {
        let bar = bars.map(|bars| bars.add(ProgressBar::no_length()));
        if let (Some(bar), Ok(style)) = (&bar, ProgressStyle::with_template("{spinner} {msg}")) {
            bar.set_style(style);
        }
        let now = Instant::now();
        Self { bar, began: now, rows_at_first: rows, shown: now, rows_shown: rows, rows_per_second: 0.0 }
    }

    /// Takes the speed over the time since it was last taken, at least a second.
    fn measure(&mut self, rows: u64) {
        let seconds = self.shown.elapsed().as_secs_f64();
        if seconds >= 1.0 {
            self.rows_per_second = rows.saturating_sub(self.rows_shown) as f64 / seconds;
            (self.shown, self.rows_shown) = (Instant::now(), rows);
        }
    }
}

impl Lines {
    fn each(&mut self, progress: &Progress, show: impl Fn(Stage, &str, &Figures, &mut Line)) {
        let sources = progress.sources().into_iter().map(|(name, figures)| (Stage::Source, name, figures));
        let sinks = progress.sinks().into_iter().map(|(name, figures)| (Stage::Sink, name, figures));
        for (stage, name, figures) in sources.chain(sinks) {
            let rows = figures.rows.load(Relaxed);
            let line = self.lines.entry((stage, name.clone())).or_insert_with(|| Line::new(self.bars.as_ref(), rows));
            line.measure(rows);
            show(stage, &name, &figures, line);
        }
    }

    fn show(&mut self, progress: &Progress) {
        self.each(progress, |stage, name, figures, line| match &line.bar {
            Some(bar) => {
                bar.set_message(text(stage, name, figures, line.rows_per_second));
                bar.tick();
            }
            None => log(stage, name, figures, line.rows_per_second),
        });
    }

    /// The last line of each tells the mean speed and stays.
    fn end(&mut self, progress: &Progress) {
        self.each(progress, |stage, name, figures, line| {
            let rows = figures.rows.load(Relaxed).saturating_sub(line.rows_at_first);
            let mean = rows as f64 / line.began.elapsed().as_secs_f64().max(0.001);
            match &line.bar {
                Some(bar) => bar.finish_with_message(text(stage, name, figures, mean)),
                None => log(stage, name, figures, mean),
            }
        });
    }
}

fn text(stage: Stage, name: &str, figures: &Figures, rows_per_second: f64) -> String {
    let lag = match stage {
        Stage::Source => HumanBytes(figures.lag_bytes.load(Relaxed)).to_string(),
        Stage::Sink => format!("{} rows", HumanCount(figures.lag_rows.load(Relaxed))),
    };
    let (rows, speed) = (HumanCount(figures.rows.load(Relaxed)), HumanCount(rows_per_second as u64));
    format!("{:<6} {name:<16} {:<12} {rows:>13} rows {speed:>9} rows/s   lag {lag}", stage.word(), figures.state())
}

fn log(stage: Stage, name: &str, figures: &Figures, rows_per_second: f64) {
    let (rows, bytes, state) = (figures.rows.load(Relaxed), figures.bytes.load(Relaxed), figures.state());
    let rows_per_second = rows_per_second as u64;
    match stage {
        Stage::Source => {
            let lag_bytes = figures.lag_bytes.load(Relaxed);
            tracing::info!(source = name, state, rows, rows_per_second, bytes, lag_bytes, "progress");
        }
        Stage::Sink => {
            let lag_rows = figures.lag_rows.load(Relaxed);
            tracing::info!(sink = name, state, rows, rows_per_second, bytes, lag_rows, "progress");
        }
    }
}
