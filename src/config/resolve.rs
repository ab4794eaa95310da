//! From what the user typed to what the stages get: defaults filled in, names checked against one another,
//! secrets read.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::secret::Secret;
use crate::sink;

use super::entry::Entry;
use super::fault::Faults;
use super::settings::{Kafka, Monitor, Sink};
use super::source::source;
use super::template::Template;
use super::variables::Outside;
use super::walk::Typed;
use super::{Config, Unbuilt, topic};

/// The longest name of a source or sink, so that `list_sync_NAME` stays below the 63 bytes of a PostgreSQL
/// name.
pub const NAME_LENGTH_MAX: usize = 48;

/// Resolves all sections; what is wrong goes to `faults`, and then the answer is not to be used.
pub fn resolve(typed: &Typed, outside: Outside<'_>, faults: &mut Faults) -> Config {
    let entries = |name: &str| typed.sections.get(name).map_or(&[][..], Vec::as_slice);
    let kafka = entries("kafka").first().map(|entry| kafka(entry, faults));
    let sources: Vec<_> =
        entries("source").iter().filter_map(|entry| source(entry, outside, faults)).collect();
    let topics: BTreeSet<String> = sources.iter().map(|source| source.topic.pattern()).collect();
    let topics: Vec<String> = topics.into_iter().collect();
    let sinks: Vec<_> = entries("sink")
        .iter()
        .filter_map(|entry| sink(entry, &topics, entries("source").is_empty(), faults))
        .collect();
    let monitor = entries("monitor").first().and_then(|entry| monitor(entry, faults));
    for section in ["source", "sink"] {
        names_are_unique(section, entries(section), faults);
    }
    servers_are_shared_well(&sources, entries("source"), faults);
    sinks_do_not_collide(&sinks, kafka.is_some(), entries("sink"), faults);
    let unbuilt =
        typed.unbuilt.iter().map(|(span, what)| Unbuilt { offset: span.start, what: what.clone() }).collect();
    Config { kafka, sources, sinks, monitor, unbuilt, origin: String::new() }
}

fn kafka(entry: &Entry, faults: &mut Faults) -> Kafka {
    for broker in entry.texts("brokers") {
        let port = broker.rsplit_once(':').map_or("9092", |(_, port)| port);
        if broker.contains([',', '/', ' ']) || port.parse::<u16>().is_err() {
            faults.add(entry.span("brokers"), format!("{broker:?} is no broker; expected \"host:port\""));
        }
    }
    let topic = entry.group("topic");
    let small = |name| topic.number(name).and_then(|number| i32::try_from(number).ok());
    let properties =
        entry.properties("properties").into_iter().map(|(name, value)| (name, Secret::new(value)));
    Kafka {
        brokers: entry.texts("brokers").to_vec(),
        properties: properties.collect::<BTreeMap<_, _>>(),
        partitions: small("partitions").unwrap_or(1),
        replication: small("replication"),
    }
}

fn monitor(entry: &Entry, faults: &mut Faults) -> Option<Monitor> {
    let listen = entry.text("listen")?.to_owned();
    let parts =
        listen.rsplit_once(':').filter(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok());
    if parts.is_none() {
        faults.add(
            entry.span("listen"),
            format!("{listen:?} is no address; expected \"address:port\", such as \"127.0.0.1:8080\""),
        );
    }
    Some(Monitor {
        listen,
        stalled_after: Duration::from_secs(count(entry, "stalled_after_secs").unwrap_or(30)),
    })
}

fn sink(entry: &Entry, topics_of_sources: &[String], alone: bool, faults: &mut Faults) -> Option<Sink> {
    let name = name(entry, faults)?;
    let path = entry.text("path")?.to_owned();
    if let Err(what) = Template::parse(&path, &["source", "schema", "table", "topic"]) {
        faults.add(entry.span("path"), what);
    }
    if path == "~" || path.starts_with("~/") {
        faults.add(
            entry.span("path"),
            format!("{path:?}: \"~\" is not replaced here; write the whole path, or ${{HOME}}"),
        );
    }
    let topics = if entry.has("topics") { entry.texts("topics") } else { topics_of_sources };
    if topics.is_empty() && alone {
        faults.add(
            entry.span("topics"),
            "[[sink]] has no \"topics\", and there is no [[source]] to take them from",
        );
    }
    for topic in topics
        .iter()
        .filter(|topic| !topic.chars().all(|letter| topic::is_legal(letter) || matches!(letter, '*' | '?')))
    {
        faults.add(
            entry.span("topics"),
            format!(
                "{topic:?} is no topic; expected letters, digits, \".\", \"_\", \"-\", and * or ? for others"
            ),
        );
    }
    if entry.text("id").is_some_and(|id| id.contains('/')) {
        faults.add(entry.span("id"), "\"id\" stands in file names and cannot have a \"/\"");
    }
    if entry.text("unchanged").is_some_and(|text| text.contains([',', '"', '\n', '\r'])) {
        let what = "\"unchanged\" cannot hold a comma, a quote or a line end: it stands without quotes, \
            which tell a value from it";
        faults.add(entry.span("unchanged"), what);
    }
    Some(Sink {
        group: entry.text("group").unwrap_or(&name).to_owned(),
        name,
        topics: topics.to_vec(),
        // The walk lets only the names of kinds through.
        kind: entry.text("kind").and_then(sink::Kind::named)?,
        path,
        split: entry.switch("split"),
        id: entry.text("id").map(str::to_owned),
        position: entry.switch("position"),
        unchanged: entry.text("unchanged").unwrap_or_default().to_owned(),
        rotate_bytes: count(entry, "rotate_bytes"),
        rotate_rows: count(entry, "rotate_rows"),
        rotate_after: count(entry, "rotate_secs").map(Duration::from_secs),
        commit_interval: Duration::from_millis(count(entry, "commit_interval_ms").unwrap_or(1)),
    })
}

fn count(entry: &Entry, name: &str) -> Option<u64> {
    entry.number(name).and_then(|number| u64::try_from(number).ok())
}

/// The name of a source or sink, if it may stand in topics, file names and the databases' own names.
pub fn name(entry: &Entry, faults: &mut Faults) -> Option<String> {
    let name = entry.text("name")?;
    let legal = |letter: char| letter.is_ascii_alphanumeric() || letter == '_' || letter == '-';
    if name.len() > NAME_LENGTH_MAX || !name.chars().all(legal) {
        let what = format!(
            "{name:?} is no name; expected letters, digits, \"_\" and \"-\", at most {NAME_LENGTH_MAX}"
        );
        faults.add(entry.span("name"), what);
    }
    Some(name.to_owned())
}

fn names_are_unique(section: &str, entries: &[Entry], faults: &mut Faults) {
    let mut seen = BTreeSet::new();
    for entry in entries {
        if let Some(name) = entry.text("name").filter(|name| !seen.insert(*name)) {
            faults.add(
                entry.span("name"),
                format!("the name {name:?} stands twice; each [[{section}]] needs its own"),
            );
        }
    }
}

/// Two sources on one server need slots or server ids of their own.
fn servers_are_shared_well(sources: &[super::Source], entries: &[Entry], faults: &mut Faults) {
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
        if let Some(entry) = entries.iter().find(|entry| entry.text("name") == Some(&source.name)) {
            let what = format!(
                "{setting} {value:?} is also that of source {first:?} on the same server; give each its own \
                 {setting:?}"
            );
            faults.add(entry.span(setting), what);
        }
    }
}

/// Two sinks of one group get a part of the rows each; two that may get the same table's rows cannot write
/// the same files.
fn sinks_do_not_collide(sinks: &[Sink], through_kafka: bool, entries: &[Entry], faults: &mut Faults) {
    for (place, sink) in sinks.iter().enumerate() {
        for first in &sinks[..place] {
            let entry = entries.iter().find(|entry| entry.text("name") == Some(&sink.name));
            let Some(entry) = entry.filter(|_| first.name != sink.name) else { continue };
            let writes = sink.kind.writes_files && first.kind.writes_files;
            if through_kafka && sink.group == first.group && sink.path != first.path {
                let what = format!(
                    "group {:?} is also that of sink {:?}, so each would get a part of the rows; give each \
                     its own \"group\"",
                    sink.group, first.name
                );
                faults.add(entry.span("group"), what);
            } else if writes && sink.path == first.path && sink.id == first.id && share_topics(sink, first) {
                let what = format!(
                    "path {:?} is also that of sink {:?}; give each its own \"path\", or an \"id\" that \
                     stands in the names of its files",
                    sink.path, first.name
                );
                faults.add(entry.span("path"), what);
            }
        }
    }
}

/// Whether a pattern of the one takes a pattern of the other.
fn share_topics(sink: &Sink, other: &Sink) -> bool {
    sink.topics.iter().any(|topic| other.takes(topic)) || other.topics.iter().any(|topic| sink.takes(topic))
}
