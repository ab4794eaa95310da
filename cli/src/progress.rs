//! Shows what the stages do: a line for each source and sink on a terminal, else a log line now and then.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use indicatif::{HumanBytes, HumanCount, MultiProgress, ProgressBar, ProgressStyle};
use list_sync::metrics::Progress;
use list_sync::threads;

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
        let draw = move || {
            let mut lines = Lines { bars, began: Instant::now(), shown: BTreeMap::new() };
            while stopped.recv_timeout(every) == Err(RecvTimeoutError::Timeout) {
                lines.show(&progress);
            }
            lines.end(&progress);
        };
        // Without a thread for it nothing is shown, and all goes on.
        Self { stop: Some(stop), thread: threads::spawn("progress", draw).ok() }
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
    began: Instant,
    /// Kind and name -> its line; sources come before sinks.
    shown: BTreeMap<(Stage, String), Line>,
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
    shown: Instant,
    rows_shown: u64,
    rows_per_second: f64,
    /// State and rows of the last line in the log.
    logged: Option<(String, u64)>,
}

impl Line {
    fn new(bars: Option<&MultiProgress>, began: Instant) -> Self {
        let bar = bars.map(|bars| bars.add(ProgressBar::no_length()));
        if let (Some(bar), Ok(style)) = (&bar, ProgressStyle::with_template("{spinner} {msg}")) {
            bar.set_style(style);
        }
        Self { bar, shown: began, rows_shown: 0, rows_per_second: 0.0, logged: None }
    }

    /// Whether a line in the log would say something: a source or sink that has nothing to do is not worth
    /// one.
    fn is_news(&mut self, figures: &Figures) -> bool {
        let now = (figures.state.clone(), figures.rows);
        let is_idle = figures.lag.is_none_or(|lag| lag == 0) && self.logged.as_ref() == Some(&now);
        self.logged = Some(now);
        !is_idle
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

/// What is shown of a source or sink.
struct Figures {
    state: String,
    rows: u64,
    bytes: u64,
    /// What is still to come, once the end of the log or the topics is known.
    lag: Option<u64>,
}

fn figures(progress: &Progress) -> Vec<(Stage, String, Figures)> {
    let sources = progress.sources().into_iter().map(|(name, source)| {
        let lag = source.lag().map(|lag| lag.bytes);
        (
            Stage::Source,
            name,
            Figures { state: source.life.state(), rows: source.rows.get(), bytes: source.bytes.get(), lag },
        )
    });
    let sinks = progress.sinks().into_iter().map(|(name, sink)| {
        let figures = Figures {
            state: sink.life.state(),
            rows: sink.rows(),
            bytes: sink.file_bytes.get(),
            lag: sink.lag(),
        };
        (Stage::Sink, name, figures)
    });
    sources.chain(sinks).collect()
}

impl Lines {
    fn each(&mut self, progress: &Progress, show: impl Fn(Stage, &str, &Figures, &mut Line)) {
        for (stage, name, figures) in figures(progress) {
            let line = self
                .shown
                .entry((stage, name.clone()))
                .or_insert_with(|| Line::new(self.bars.as_ref(), self.began));
            line.measure(figures.rows);
            show(stage, &name, &figures, line);
        }
    }

    fn show(&mut self, progress: &Progress) {
        self.each(progress, |stage, name, figures, line| {
            let is_news = line.is_news(figures);
            match &line.bar {
                Some(bar) => {
                    bar.set_message(text(stage, name, figures, line.rows_per_second));
                    bar.tick();
                }
                None if is_news => log(stage, name, figures, line.rows_per_second),
                None => {}
            }
        });
    }

    /// The last line of each tells the mean speed and stays.
    fn end(&mut self, progress: &Progress) {
        let seconds = self.began.elapsed().as_secs_f64().max(0.001);
        self.each(progress, |stage, name, figures, line| {
            let mean = figures.rows as f64 / seconds;
            match &line.bar {
                Some(bar) => bar.finish_with_message(text(stage, name, figures, mean)),
                None => log(stage, name, figures, mean),
            }
        });
    }
}

fn text(stage: Stage, name: &str, figures: &Figures, rows_per_second: f64) -> String {
    let lag = figures.lag.map_or_else(String::new, |lag| match stage {
        Stage::Source => format!("   lag {}", HumanBytes(lag)),
        Stage::Sink => format!("   lag {} rows", HumanCount(lag)),
    });
    let (rows, speed) =
        (HumanCount(figures.rows).to_string(), HumanCount(rows_per_second as u64).to_string());
    format!("{:<6} {name:<16} {:<12} {rows:>13} rows {speed:>9} rows/s{lag}", stage.word(), figures.state)
}

fn log(stage: Stage, name: &str, figures: &Figures, rows_per_second: f64) {
    let Figures { state, rows, bytes, lag } = figures;
    let rows_per_second = rows_per_second as u64;
    match stage {
        Stage::Source => {
            tracing::info!(source = name, state, rows, rows_per_second, bytes, lag_bytes = lag, "progress");
        }
        Stage::Sink => {
            tracing::info!(sink = name, state, rows, rows_per_second, bytes, lag_rows = lag, "progress");
        }
    }
}
