//! What is answered to which path.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use super::http::{Answer, Request};
use super::watch::{Verdict, Watched, judge_sink, judge_source};
use crate::metrics::{Progress, SinkFigures, SourceFigures};

/// All that the pages show.
pub struct Pages {
    pub progress: Arc<Progress>,
    pub sources: Vec<Arc<Watched<SourceFigures>>>,
    pub sinks: Vec<Arc<Watched<SinkFigures>>>,
    pub through_kafka: bool,
    pub stalled_after: Duration,
}

const INDEX: &str = "list_sync\n\n/metrics     figures for Prometheus\n\
                     /healthz     200 while the process lives and no source or sink has ended\n\
                     /readyz      200 while every source and sink moves\n/api/status  the same for programs, as JSON\n";

impl Pages {
    /// The answer to a request.
    pub fn answer(&self, request: &Request) -> Answer {
        if !matches!(request.method().as_str(), "GET" | "HEAD") {
            return Answer { allow: Some("GET, HEAD"), ..Answer::text(405, "only GET and HEAD\n") };
        }
        match request.uri().path() {
            "/" => Answer::text(200, INDEX),
            "/metrics" => self.metrics(),
            "/healthz" => self.health(),
            "/readyz" => self.readiness(),
            "/api/status" => self.status(),
            _ => Answer::text(404, format!("there is no such page\n\n{INDEX}")),
        }
    }

    fn verdicts(&self) -> Vec<Verdict> {
        let sources = self.sources.iter().map(|source| judge_source(source, self.stalled_after));
        sources
            .chain(self.sinks.iter().map(|sink| judge_sink(sink, self.through_kafka, self.stalled_after)))
            .collect()
    }

    fn metrics(&self) -> Answer {
        // The judgement sets the gauges of readiness.
        let _ = self.verdicts();
        match self.progress.render() {
            Ok(body) => Answer::new(200, Progress::MEDIA_TYPE, body),
            Err(error) => Answer::text(500, format!("{error}\n")),
        }
    }

    fn health(&self) -> Answer {
        let verdicts = self.verdicts();
        let failed: Vec<&Verdict> = verdicts.iter().filter(|verdict| verdict.failed).collect();
        if failed.is_empty() {
            return Answer::text(200, "ok\n");
        }
        Answer::text(503, failed.iter().map(|verdict| line(verdict)).collect::<String>())
    }

    fn readiness(&self) -> Answer {
        let verdicts = self.verdicts();
        let status = if verdicts.iter().all(|verdict| verdict.ready) { 200 } else { 503 };
        Answer::text(status, verdicts.iter().map(line).collect::<String>())
    }

    fn status(&self) -> Answer {
        let verdicts = self.verdicts();
        let ready = verdicts.iter().all(|verdict| verdict.ready);
        let said =
            serde_json::json!({ "version": env!("CARGO_PKG_VERSION"), "ready": ready, "stages": verdicts });
        Answer::new(200, "application/json", format!("{said}\n"))
    }
}

fn line(verdict: &Verdict) -> String {
    let mut line =
        format!("{} {}: {}", verdict.stage, verdict.name, if verdict.ready { "ready" } else { "not ready" });
    if !verdict.ready {
        let _ = write!(line, ": {}", verdict.reason.replace('\n', " "));
    }
    if let (Some(bytes), Some(seconds)) = (verdict.lag_bytes, verdict.lag_seconds) {
        let _ = write!(line, " (lag {bytes} bytes, {seconds:.1} s)");
    }
    if let Some(messages) = verdict.lag_messages {
        let _ = write!(line, " (lag {messages} messages)");
    }
    line + "\n"
}
