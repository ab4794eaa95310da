//! From what the user typed to what the stages get: options checked against one another, secrets read. A
//! default stands in the declarations, unless it is made of other options.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::source::Dialect;
use crate::template::Template;

use super::fault::{Faults, template_fault};
use super::options::{KafkaOptions, MonitorOptions, SinkOptions, SourceOptions};
use super::settings::{Kafka, Monitor, Sink, Source};
use super::source::source;
use super::value::Written;
use super::variables::Outside;
use super::walk::Typed;
use super::{Config, topic};

/// The longest name of a source or sink, so that `list_sync_NAME` stays below the 63 bytes of a PostgreSQL
/// name.
pub const NAME_LENGTH_MAX: usize = 48;

/// What may stand in braces in the path of a sink.
const PLACEHOLDERS: &[&str] = &["source", "schema", "table", "topic"];

/// Resolves all sections; what is wrong goes to `faults`, and then the answer is not to be used.
pub fn resolve(typed: Typed, outside: Outside<'_>, faults: &mut Faults) -> Config {
    let options = typed.options;
    let sources: Vec<_> =
        options.source.iter().filter_map(|options| source(options, outside, faults)).collect();
    let topics: BTreeSet<String> = sources.iter().map(|source| source.topic.pattern()).collect();
    let topics: Vec<String> = topics.into_iter().collect();
    let alone = options.source.is_empty();
    let sinks: Vec<_> =
        options.sink.iter().filter_map(|options| sink(options, &topics, alone, faults)).collect();
    names_are_unique("source", options.source.iter().map(|options| &options.name), faults);
    names_are_unique("sink", options.sink.iter().map(|options| &options.name), faults);
    servers_are_shared_well(&sources, &options.source, faults);
    sinks_do_not_collide(&sinks, options.kafka.is_some(), &options.sink, faults);
    Config {
        kafka: options.kafka.map(|options| kafka(options, faults)),
        sources,
        sinks,
        monitor: options.monitor.map(|options| monitor(options, faults)),
        unbuilt: typed.unbuilt,
        origin: String::new(),
    }
}

fn kafka(options: KafkaOptions, faults: &mut Faults) -> Kafka {
    let brokers = options.brokers.value.unwrap_or_default();
    for broker in &brokers {
        let port = broker.rsplit_once(':').map_or("9092", |(_, port)| port);
        if broker.contains([',', '/', ' ']) || port.parse::<u16>().is_err() {
            faults.add(&options.brokers.span, format!("{broker:?} is no broker; expected \"host:port\""));
        }
    }
    let topic = options.topic.value;
    Kafka {
        brokers,
        properties: options.properties.value,
        partitions: topic.partitions.value,
        replication: topic.replication.value,
    }
}

fn monitor(options: MonitorOptions, faults: &mut Faults) -> Monitor {
    let listen = options.listen.value;
    let parts =
        listen.rsplit_once(':').filter(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok());
    if parts.is_none() {
        faults.add(
            &options.listen.span,
            format!("{listen:?} is no address; expected \"address:port\", such as \"127.0.0.1:8080\""),
        );
    }
    Monitor { listen, stalled_after: Duration::from_secs(options.stalled_after_secs.value) }
}

fn sink(
    options: &SinkOptions,
    topics_of_sources: &[String],
    alone: bool,
    faults: &mut Faults,
) -> Option<Sink> {
    let name = name(&options.name, faults)?;
    let path = options.path.value.clone()?;
    if let Err(fault) = Template::parse(&path, PLACEHOLDERS) {
        faults.add(&options.path.span, template_fault(&path, fault, PLACEHOLDERS));
    }
    if path == "~" || path.starts_with("~/") {
        faults.add(
            &options.path.span,
            format!("{path:?}: \"~\" is not replaced here; write the whole path, or ${{HOME}}"),
        );
    }
    let topics = options.topics.value.as_deref().unwrap_or(topics_of_sources);
    if topics.is_empty() && alone {
        faults.add(
            &options.topics.span,
            "[[sink]] has no \"topics\", and there is no [[source]] to take them from",
        );
    }
    for topic in topics
        .iter()
        .filter(|topic| !topic.chars().all(|letter| topic::is_legal(letter) || matches!(letter, '*' | '?')))
    {
        faults.add(
            &options.topics.span,
            format!(
                "{topic:?} is no topic; expected letters, digits, \".\", \"_\", \"-\", and * or ? for others"
            ),
        );
    }
    let id = options.id.value.clone();
    if id.as_ref().is_some_and(|id| id.contains('/')) {
        faults.add(&options.id.span, "\"id\" stands in file names and cannot have a \"/\"");
    }
    let unchanged = options.unchanged.value.0.clone();
    if unchanged.contains([',', '"', '\n', '\r']) {
        let what = "\"unchanged\" cannot hold a comma, a quote or a line end: it stands without quotes, \
            which tell a value from it";
        faults.add(&options.unchanged.span, what);
    }
    Some(Sink {
        group: options.group.value.clone().unwrap_or_else(|| name.clone()),
        name,
        topics: topics.to_vec(),
        kind: options.kind.value,
        path,
        split: options.split.value,
        id,
        position: options.position.value,
        unchanged,
        rotate_bytes: options.rotate_bytes.value,
        rotate_rows: options.rotate_rows.value,
        rotate_after: options.rotate_secs.value.map(Duration::from_secs),
        commit_interval: Duration::from_millis(options.commit_interval_ms.value),
    })
}

/// The name of a source or sink, if it may stand in topics, file names and the databases' own names.
pub fn name(option: &Written<Option<String>>, faults: &mut Faults) -> Option<String> {
    let name = option.value.as_ref()?;
    let legal = |letter: char| letter.is_ascii_alphanumeric() || letter == '_' || letter == '-';
    if name.len() > NAME_LENGTH_MAX || !name.chars().all(legal) {
        let what = format!(
            "{name:?} is no name; expected letters, digits, \"_\" and \"-\", at most {NAME_LENGTH_MAX}"
        );
        faults.add(&option.span, what);
    }
    Some(name.clone())
}

fn names_are_unique<'a>(
    section: &str,
    options: impl Iterator<Item = &'a Written<Option<String>>>,
    faults: &mut Faults,
) {
    let mut seen = BTreeSet::new();
    for option in options {
        if let Some(name) = option.value.as_ref().filter(|name| !seen.insert(*name)) {
            faults.add(
                &option.span,
                format!("the name {name:?} stands twice; each [[{section}]] needs its own"),
            );
        }
    }
}

/// Two sources on one server need slots or server ids of their own.
fn servers_are_shared_well(sources: &[Source], options: &[SourceOptions], faults: &mut Faults) {
    let mut seen = BTreeMap::new();
    for source in sources {
        let (setting, value) = source.mark_on_server();
        let server = (source.address.host.clone(), source.address.port);
        let Some(first) = seen
            .insert((server, setting, value.clone()), &source.name)
            .filter(|first| *first != &source.name)
        else {
            continue;
        };
        if let Some(options) =
            options.iter().find(|options| options.name.value.as_ref() == Some(&source.name))
        {
            let span = match source.address.dialect {
                Dialect::Postgres => &options.slot.span,
                Dialect::Mysql | Dialect::Mariadb => &options.server_id.span,
            };
            let what = format!(
                "{setting} {value:?} is also that of source {first:?} on the same server; give each its own \
                 {setting:?}"
            );
            faults.add(span, what);
        }
    }
}

/// Two sinks of one group get a part of the rows each; two that may get the same table's rows cannot write
/// the same files.
fn sinks_do_not_collide(sinks: &[Sink], through_kafka: bool, options: &[SinkOptions], faults: &mut Faults) {
    for (place, sink) in sinks.iter().enumerate() {
        for first in &sinks[..place] {
            let options = options.iter().find(|options| options.name.value.as_ref() == Some(&sink.name));
            let Some(options) = options.filter(|_| first.name != sink.name) else { continue };
            let writes = sink.kind.writes_files && first.kind.writes_files;
            if through_kafka && sink.group == first.group && sink.path != first.path {
                let what = format!(
                    "group {:?} is also that of sink {:?}, so each would get a part of the rows; give each \
                     its own \"group\"",
                    sink.group, first.name
                );
                faults.add(&options.group.span, what);
            } else if writes && sink.path == first.path && sink.id == first.id && share_topics(sink, first) {
                let what = format!(
                    "path {:?} is also that of sink {:?}; give each its own \"path\", or an \"id\" that \
                     stands in the names of its files",
                    sink.path, first.name
                );
                faults.add(&options.path.span, what);
            }
        }
    }
}

/// Whether a pattern of the one takes a pattern of the other.
fn share_topics(sink: &Sink, other: &Sink) -> bool {
    sink.topics.iter().any(|topic| other.takes(topic)) || other.topics.iter().any(|topic| sink.takes(topic))
}
