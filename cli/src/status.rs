//! `list_sync status`: a line for each source, group and sink on stdout, or one JSON object; exit code 1 if
//! something could not be asked.

use std::fmt::Write as _;
use std::io::{self, IsTerminal};
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use indicatif::{HumanBytes, HumanCount};
use list_sync::control::Control;
use list_sync::monitor::Verdict;
use list_sync::status::{GroupStatus, Report, SinkStatus, SourceStatus, ask};
use list_sync::{Code, Error, Result};

use crate::args::Status;
use crate::{Session, say};

/// Between two looks with `--watch`.
const EVERY: Duration = Duration::from_secs(2);
/// Puts the cursor home and clears what is below.
const CLEAR: &str = "\x1b[H\x1b[J";

/// Runs the command.
pub fn run(session: &Session, flags: &Status) -> Result<ExitCode> {
    let config = session.config(&flags.one_line())?;
    let sources = if flags.source.is_empty() && !flags.sink.is_empty() {
        Vec::new()
    } else {
        chosen_sources(&config, flags)?
    };
    let sinks = if flags.sink.is_empty() && !flags.source.is_empty() || config.sinks.is_empty() {
        Vec::new()
    } else {
        config.need_sinks(&flags.sink)?
    };
    let control = Control::default();
    if flags.watch {
        control.stop_on_signals()?;
    }
    loop {
        let report = ask(&config, &sources, &sinks)?;
        let failed = report.problems().next().is_some();
        show(&report, flags)?;
        if !flags.watch {
            return Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS });
        }
        let next = Instant::now() + EVERY;
        while Instant::now() < next {
            if control.is_stopping() {
                return Ok(ExitCode::SUCCESS);
            }
            thread::sleep(Duration::from_millis(50));
        }
    }
}

/// A configuration may have sinks alone.
fn chosen_sources<'a>(
    config: &'a list_sync::config::Config,
    flags: &Status,
) -> Result<Vec<&'a list_sync::config::Source>> {
    if config.sources.is_empty() && !config.sinks.is_empty() && flags.source.is_empty() {
        return Ok(Vec::new());
    }
    config.need_sources(&flags.source)
}

fn show(report: &Report, flags: &Status) -> Result<()> {
    if flags.json {
        let text = serde_json::to_string(report)
            .map_err(|cause| Error::stop(Code::Internal, "the report cannot be written").cause(cause))?;
        return say(&text);
    }
    let text = text(report);
    let clear = if flags.watch && io::stdout().is_terminal() { CLEAR } else { "" };
    say(&format!("{clear}{}", text.trim_end()))
}

fn text(report: &Report) -> String {
    let mut text = String::new();
    if let Some(kafka) = &report.kafka {
        let said = kafka
            .problem
            .as_ref()
            .map_or_else(|| "answers".to_owned(), |problem| format!("problem: {problem}"));
        let _ = writeln!(text, "kafka   {}  {said}", kafka.brokers.join(","));
    }
    report.sources.iter().for_each(|source| text += &source_line(source));
    report.groups.iter().for_each(|group| text += &group_lines(group));
    report.sinks.iter().for_each(|sink| text += &sink_line(sink));
    text
}

fn source_line(source: &SourceStatus) -> String {
    let mut line = format!("source  {:<16}  {:<9}  {}", source.name, source.state, source.database);
    if let Some(position) = &source.position {
        let _ = write!(line, "  at {position}");
    }
    if let Some(end) = &source.end {
        let _ = write!(line, " of {end}");
    }
    if let Some(bytes) = source.lag_bytes {
        let _ = write!(line, "  lag {}", HumanBytes(bytes));
    }
    if let Some(seconds) = source.lag_seconds {
        let _ = write!(line, ", {seconds:.1} s");
    }
    if let Some(bytes) = source.retained_bytes {
        let _ = write!(line, "  server keeps {}", HumanBytes(bytes));
    }
    line + &tail(source.live.as_ref(), source.problem.as_deref())
}

fn group_lines(group: &GroupStatus) -> String {
    let lag =
        group.lag_messages.map_or_else(String::new, |lag| format!("  lag {} messages", HumanCount(lag)));
    let mut lines = format!("group   {:<16}{lag}{}", group.group, tail(None, group.problem.as_deref()));
    for partition in &group.partitions {
        let committed = partition.committed.map_or_else(|| "nothing".to_owned(), |offset| offset.to_string());
        let (topic, number, end, lag) =
            (&partition.topic, partition.partition, partition.end, partition.lag_messages);
        let _ = writeln!(lines, "        {topic} {number}  committed {committed} of {end}  lag {lag}");
    }
    lines
}

fn sink_line(sink: &SinkStatus) -> String {
    let group = sink.group.as_ref().map_or_else(String::new, |group| format!("  group {group}"));
    format!("sink    {:<16}  {} {}{group}", sink.name, sink.kind, sink.path) + &tail(sink.live.as_ref(), None)
}

fn tail(live: Option<&Verdict>, problem: Option<&str>) -> String {
    let mut tail = String::new();
    if let Some(live) = live {
        let ready = if live.ready { "ready".to_owned() } else { format!("not ready: {}", live.reason) };
        let _ = write!(tail, "  now {} ({} rows), {ready}", live.state, HumanCount(live.rows));
    }
    if let Some(problem) = problem {
        let _ = write!(tail, "  problem: {problem}");
    }
    tail.replace('\n', " ") + "\n"
}
