//! Tries all that a configuration needs before anything is started, and mends what can be mended without a
//! restart. The rules are those of the stages: each answers its own `inspect`.

use std::collections::BTreeSet;

use crate::config::{self, Config};
use crate::finding::{Finding, Fix, Status};
use crate::kafka::{self, Topics};
use crate::source::{self, Address};
use crate::{Code, Error, Result};

/// One finding, and what it is about.
#[derive(Debug, Clone)]
pub struct Found {
    /// `source shop`, `kafka`, `sink files`.
    pub subject: String,
    /// What was found.
    pub finding: Finding,
    /// The server of a source's finding.
    address: Option<Address>,
}

/// What the command is asked for.
#[derive(Debug, Default)]
pub struct Scope<'a> {
    /// Only these sources; empty: all.
    pub sources: &'a [String],
    /// Only these sinks; empty: all.
    pub sinks: &'a [String],
}

/// Tries everything; changes nothing.
pub fn check(config: &Config, scope: &Scope<'_>) -> Result<Vec<Found>> {
    let sources = chosen(&config.sources, || config.need_sources(scope.sources), scope.sources)?;
    let sinks = chosen(&config.sinks, || config.need_sinks(scope.sinks), scope.sinks)?;
    if sources.is_empty() && sinks.is_empty() {
        return Err(Error::usage(
            Code::NothingToDo,
            "there is nothing to check: neither a [[source]] nor a [[sink]]",
        )
        .hint("add one, or: list_sync check --from URL --table TABLE"));
    }
    let (mut found, topics) = check_sources(&sources);
    if config.kafka.is_some() {
        found.extend(check_kafka(config, &sources, &sinks, topics)?);
    }
    for sink in sinks {
        let of_sink = |finding| Found { subject: format!("sink {}", sink.name), finding, address: None };
        found.extend(
            (sink.kind.inspect)(&crate::assembly::sink_settings(sink, None)).into_iter().map(of_sink),
        );
    }
    Ok(found)
}

/// Those that are wanted; none may be there if none is named.
fn chosen<'a, T>(
    all: &[T],
    choose: impl FnOnce() -> Result<Vec<&'a T>>,
    wanted: &[String],
) -> Result<Vec<&'a T>> {
    if all.is_empty() && wanted.is_empty() { Ok(Vec::new()) } else { choose() }
}

/// All sources at the same time; also answers the topics that they will write to.
fn check_sources(sources: &[&config::Source]) -> (Vec<Found>, BTreeSet<String>) {
    let inspections: Vec<_> = std::thread::scope(|scope| {
        let running: Vec<_> = sources
            .iter()
            .map(|source| {
                crate::threads::spawn_scoped(scope, || crate::assembly::source(source, false).inspect())
            })
            .collect();
        running.into_iter().map(|thread| thread.join().unwrap_or_default()).collect()
    });
    let (mut found, mut topics) = (Vec::new(), BTreeSet::new());
    for (source, inspection) in sources.iter().zip(inspections) {
        topics.extend(inspection.tables.iter().map(|(schema, table)| source.topic.of(schema, table)));
        let of_source = |finding| Found {
            subject: format!("source {}", source.name),
            finding,
            address: Some(source.address.clone()),
        };
        let named = inspection.tables.iter().map(|(schema, table)| (schema.as_str(), table.as_str()));
        found.extend(
            source.topic.check_tables(named).err().map(|error| of_source(Finding::fail("topics", &error))),
        );
        found.extend(inspection.findings.into_iter().map(of_source));
    }
    (found, topics)
}

fn check_kafka(
    config: &Config,
    sources: &[&config::Source],
    sinks: &[&config::Sink],
    topics: BTreeSet<String>,
) -> Result<Vec<Found>> {
    let groups: BTreeSet<String> = sinks.iter().map(|sink| sink.group.clone()).collect();
    let wanted = kafka::Wanted {
        positions: !sources.is_empty(),
        topics: topics.into_iter().collect(),
        groups: groups.into_iter().collect(),
    };
    let found = kafka::inspect(&crate::assembly::kafka(config)?, &wanted);
    Ok(found
        .into_iter()
        .map(|finding| Found { subject: "kafka".to_owned(), finding, address: None })
        .collect())
}

/// Whether nothing failed.
pub fn is_good(found: &[Found]) -> bool {
    found.iter().all(|one| one.finding.status != Status::Fail)
}

/// What `--fix` did.
#[derive(Debug)]
pub struct Done {
    /// What it was about.
    pub subject: String,
    /// The statement, topic or folder.
    pub what: String,
    /// How it went.
    pub result: Result<()>,
}

/// Applies every fix. Statements are run as the user of `admins` on the same server, if there is one, else as
/// the source's own.
pub fn fix(config: &Config, found: &[Found], admins: &[Address]) -> Vec<Done> {
    let mut done = Vec::new();
    for one in found {
        let mut note =
            |what: String, result: Result<()>| done.push(Done { subject: one.subject.clone(), what, result });
        match (&one.finding.fix, &one.address) {
            (Some(Fix::Statements(statements)), Some(address)) => {
                for statement in statements {
                    note(statement.clone(), execute(&admin_of(address, admins), statement));
                }
            }
            (Some(Fix::Topic { name, compacted }), _) => {
                note(format!("topic {name:?}"), make_topic(config, name, *compacted));
            }
            (Some(Fix::Folder(folder)), _) => {
                let made = std::fs::create_dir_all(folder)
                    .map_err(|cause| crate::sink::file_failure("make", folder, cause));
                note(format!("folder \"{}\"", folder.display()), made);
            }
            _ => {}
        }
    }
    done
}

/// The admin's login, in the source's database.
fn admin_of(address: &Address, admins: &[Address]) -> Address {
    let same = |admin: &&Address| {
        (admin.dialect, &admin.host, admin.port) == (address.dialect, &address.host, address.port)
    };
    let admin = admins.iter().find(same).unwrap_or(address);
    Address { database: address.database.clone(), ..admin.clone() }
}

fn execute(address: &Address, statement: &str) -> Result<()> {
    source::open(address)?.execute(statement).map(|_| ())
}

fn make_topic(config: &Config, name: &str, compacted: bool) -> Result<()> {
    Topics::connect(&crate::assembly::kafka(config)?)?.ensure(name, compacted).map(|_| ())
}
