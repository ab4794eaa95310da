//! How far everybody is, asked from outside: the saved positions, the servers' own ends of their logs, the
//! groups' offsets. No process has to run; one with a `[monitor]` that answers adds what it is doing now. A
//! server that is away costs its own line, not the others'.

mod group;
mod origin;

use serde::Serialize;

use crate::config::{Config, Sink, Source};
use crate::kafka::{Settings, Topics};
use crate::monitor::{Verdict, live};
use crate::{Result, threads};
pub use group::{GroupStatus, PartitionStatus};
pub use origin::SourceStatus;

/// Everything that was found.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// `None` in direct mode.
    pub kafka: Option<KafkaStatus>,
    /// In the order of the configuration.
    pub sources: Vec<SourceStatus>,
    /// Groups of the sinks; none in direct mode.
    pub groups: Vec<GroupStatus>,
    /// In the order of the configuration.
    pub sinks: Vec<SinkStatus>,
}

/// The cluster.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct KafkaStatus {
    /// Where it was asked.
    pub brokers: Vec<String>,
    /// Why it did not answer.
    pub problem: Option<String>,
    /// The code of that error ([`crate::Code`]).
    pub problem_code: Option<&'static str>,
}

/// One sink.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SinkStatus {
    /// Its name.
    pub name: String,
    /// `csv` and the like.
    pub kind: &'static str,
    /// As it is configured.
    pub path: String,
    /// Its group; `None` in direct mode.
    pub group: Option<String>,
    /// What the running process says of it, if its monitor answers.
    pub live: Option<Verdict>,
}

impl Report {
    /// What could not be asked.
    pub fn problems(&self) -> impl Iterator<Item = &str> {
        let kafka = self.kafka.iter().filter_map(|kafka| kafka.problem.as_deref());
        let sources = self.sources.iter().filter_map(|source| source.problem.as_deref());
        kafka.chain(sources).chain(self.groups.iter().filter_map(|group| group.problem.as_deref()))
    }
}

/// Asks for these sources and sinks.
pub fn ask(config: &Config, sources: &[&Source], sinks: &[&Sink]) -> Result<Report> {
    let verdicts = config.monitor.as_ref().map(|monitor| live(&monitor.listen)).unwrap_or_default();
    let verdict = |stage: &str, name: &str| {
        verdicts.iter().find(|verdict| verdict.stage == stage && verdict.name == name).cloned()
    };
    let mut report = Report { kafka: None, sources: Vec::new(), groups: Vec::new(), sinks: Vec::new() };
    let mut cluster = None;
    if let Some(kafka) = &config.kafka {
        let settings = crate::assembly::kafka(config)?;
        let topics = Topics::connect(&settings);
        let error = topics.as_ref().err();
        report.kafka = Some(KafkaStatus {
            brokers: kafka.brokers.clone(),
            problem: error.map(ToString::to_string),
            problem_code: error.map(|error| error.code().slug()),
        });
        cluster = Some((settings, topics.ok()));
    }
    if let Some((settings, Some(topics))) = &cluster {
        for sink in sinks {
            if !report.groups.iter().any(|known| known.group == sink.group) {
                report.groups.push(group::ask(settings, topics, sink));
            }
        }
    }
    report.sources =
        ask_sources(config, cluster.as_ref().map(|(settings, topics)| (settings, topics.as_ref())), sources);
    for source in &mut report.sources {
        source.live = verdict("source", &source.name);
    }
    report.sinks = sinks
        .iter()
        .map(|sink| sink_status(sink, config.kafka.is_some(), verdict("sink", &sink.name)))
        .collect();
    Ok(report)
}

/// All at the same time: one that does not answer holds nobody up.
fn ask_sources(
    config: &Config,
    cluster: Option<(&Settings, Option<&Topics>)>,
    sources: &[&Source],
) -> Vec<SourceStatus> {
    let saved: Vec<_> = sources.iter().map(|source| origin::saved(config, cluster, source)).collect();
    std::thread::scope(|scope| {
        let asked: Vec<_> = sources
            .iter()
            .zip(saved)
            .map(|(source, saved)| (source, threads::spawn_scoped(scope, move || origin::ask(source, saved))))
            .collect();
        asked
            .into_iter()
            .map(|(source, asked)| asked.join().unwrap_or_else(|_| SourceStatus::broken(source)))
            .collect()
    })
}

fn sink_status(sink: &Sink, through_kafka: bool, live: Option<Verdict>) -> SinkStatus {
    SinkStatus {
        name: sink.name.clone(),
        kind: sink.kind.name,
        path: sink.path.clone(),
        group: through_kafka.then(|| sink.group.clone()),
        live,
    }
}
