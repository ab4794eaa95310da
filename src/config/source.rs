//! Resolves one `[[source]]`.

use crate::secret::Secret;
use crate::source::{Address, Dialect, KINDS, Snapshot, Tables};

use super::entry::Entry;
use super::fault::Faults;
use super::resolve::name;
use super::settings::{Delivery, Format, Headers, Include, Plugin, RowIdentity, Source};
use super::topic::{self, TopicName};
use super::variables::{Outside, without_line_end};

/// The longest name of a PostgreSQL object in bytes (`NAMEDATALEN - 1`).
const POSTGRES_NAME_MAX: usize = 63;

/// The resolved source, unless what it stands on is missing; what is wrong goes to `faults`.
pub fn source(entry: &Entry, outside: Outside<'_>, faults: &mut Faults) -> Option<Source> {
    let name = name(entry, faults);
    let address = address(entry, outside, faults);
    let (name, address) = (name?, address?);
    let topic = topic(entry, &name, faults);
    let tables = tables(entry, &address, faults);
    refuse_foreign_options(entry, address.dialect, faults);
    let own_name = format!("list_sync_{}", name.to_ascii_lowercase().replace('-', "_"));
    let slot = entry.text("slot").unwrap_or(&own_name).to_owned();
    if entry.has("slot") && !is_slot_name(&slot) {
        faults.add(
            entry.span("slot"),
            format!("{slot:?} is no slot name; expected lower-case letters, digits and \"_\", at most 63"),
        );
    }
    let publication = entry.text("publication").unwrap_or(&own_name).to_owned();
    if publication.len() > POSTGRES_NAME_MAX {
        faults.add(
            entry.span("publication"),
            format!("{publication:?} is no publication name; expected at most 63 bytes"),
        );
    }
    Some(Source {
        tables: tables?,
        topic: topic?,
        format: format(entry),
        snapshot: match entry.text("snapshot") {
            Some("never") => Snapshot::Never,
            Some("only") => Snapshot::Only,
            _ => Snapshot::Initial,
        },
        delivery: if entry.text("delivery") == Some("exactly-once") {
            Delivery::ExactlyOnce
        } else {
            Delivery::AtLeastOnce
        },
        plugin: if entry.text("plugin") == Some("wal2json") { Plugin::Wal2json } else { Plugin::Pgoutput },
        include: include(entry),
        identity: if entry.text("identity") == Some("key") { RowIdentity::Key } else { RowIdentity::Full },
        headers: headers(entry),
        server_id: server_id(entry, &name, &address),
        slot,
        publication,
        name,
        address,
    })
}

impl Source {
    /// What tells this reader from others on one server: the setting's name and its value.
    pub(super) fn mark_on_server(&self) -> (&'static str, String) {
        match self.address.dialect {
            Dialect::Postgres => ("slot", self.slot.clone()),
            Dialect::Mysql | Dialect::Mariadb => ("server_id", self.server_id.to_string()),
        }
    }
}

fn address(entry: &Entry, outside: Outside<'_>, faults: &mut Faults) -> Option<Address> {
    let parsed = entry.text("url").map(Address::parse)?;
    let mut address = parsed.map_err(|error| faults.add(entry.span("url"), told(&error))).ok()?;
    if let Some(path) = entry.text("password_file") {
        if !address.password.reveal().is_empty() {
            faults
                .add(entry.span("password_file"), "the URL has a password already; leave one of the two out");
        }
        match (outside.read)(path) {
            Ok(text) => {
                address.password = Secret::new(without_line_end(&text));
            }
            Err(cause) => faults.add(
                entry.span("password_file"),
                format!("the password file {path:?} cannot be read: {cause}"),
            ),
        }
    }
    Some(address)
}

/// PostgreSQL's `ReplicationSlotValidateName`.
fn is_slot_name(name: &str) -> bool {
    let legal = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '_';
    name.len() <= POSTGRES_NAME_MAX && name.chars().all(legal)
}

fn tables(entry: &Entry, address: &Address, faults: &mut Faults) -> Option<Tables> {
    if !entry.has("tables") {
        return None;
    }
    let default_schema = if address.dialect == Dialect::Postgres { "public" } else { &address.database };
    let tables = Tables::parse(entry.texts("tables"), default_schema);
    tables.map_err(|error| faults.add(entry.span("tables"), told(&error))).ok()
}

fn topic(entry: &Entry, name: &str, faults: &mut Faults) -> Option<TopicName> {
    let template = entry.text("topic")?;
    let plain: String = template.split('{').map(|part| part.rsplit('}').next().unwrap_or_default()).collect();
    if let Some(letter) = plain.chars().find(|letter| !topic::is_legal(*letter)) {
        faults.add(
            entry.span("topic"),
            format!("a topic cannot have {letter:?}; expected letters, digits, \".\", \"_\" and \"-\""),
        );
    }
    TopicName::parse(template, name).map_err(|what| faults.add(entry.span("topic"), what)).ok()
}

/// The options that this database does not know, and whose they are.
pub fn foreign_options(dialect: Dialect) -> Vec<(&'static str, String)> {
    let own = dialect.kind().own_options;
    let mut foreign: Vec<(&'static str, Vec<&'static str>)> = Vec::new();
    for kind in KINDS {
        for option in kind.own_options.iter().filter(|option| !own.contains(option)) {
            match foreign.iter_mut().find(|(name, _)| name == option) {
                Some((_, products)) => products.push(kind.product),
                None => foreign.push((option, vec![kind.product])),
            }
        }
    }
    foreign.into_iter().map(|(option, products)| (option, products.join(" and "))).collect()
}

/// An option that this database does not know would be ignored silently.
fn refuse_foreign_options(entry: &Entry, dialect: Dialect, faults: &mut Faults) {
    for (option, owners) in foreign_options(dialect).into_iter().filter(|(option, _)| entry.has(option)) {
        faults.add(
            entry.span(option),
            format!("{option:?} is for {owners}, and this source is {}; leave it out", dialect.product()),
        );
    }
}

fn format(entry: &Entry) -> Format {
    match entry.text("format") {
        Some("debezium") => Format::Debezium,
        Some("protobuf") => Format::Protobuf,
        Some("avro") => Format::Avro,
        _ => Format::Json,
    }
}

fn include(entry: &Entry) -> Include {
    let has = |name: &str| entry.texts("include").iter().any(|key| key == name);
    Include {
        xid: has("xid"),
        timestamp: has("timestamp"),
        lsn: has("lsn"),
        schema: has("schema"),
        types: has("type"),
    }
}

fn headers(entry: &Entry) -> Headers {
    let has = |name: &str| entry.texts("headers").iter().any(|header| header == name);
    Headers { xid: has("xid"), snapshot: has("snapshot"), schema: has("schema") }
}

/// Above what people number their replicas with, and the same at each start.
fn server_id(entry: &Entry, name: &str, address: &Address) -> u32 {
    let typed = entry.number("server_id").and_then(|number| u32::try_from(number).ok());
    let reader = format!("{name}@{}:{}/{}", address.host, address.port, address.database);
    typed.unwrap_or_else(|| 1_000_000_000 + crc32fast::hash(reader.as_bytes()) % 3_000_000_000)
}

fn told(error: &crate::Error) -> String {
    match error.hint_text() {
        Some(hint) => format!("{error}; {hint}"),
        None => error.to_string(),
    }
}
