//! Resolves one `[[source]]`.

use crate::secret::Secret;
use crate::source::{Address, Dialect, Tables};
use crate::template::{self, Piece};

use super::fault::Faults;
use super::options::SourceOptions;
use super::resolve::name;
use super::settings::Source;
use super::topic::{self, TopicName};
use super::value::Given;
use super::variables::{Outside, without_line_end};

/// The longest name of a PostgreSQL object in bytes (`NAMEDATALEN - 1`).
const POSTGRES_NAME_MAX: usize = 63;

/// The resolved source, unless what it stands on is missing; what is wrong goes to `faults`.
pub fn source(options: &SourceOptions, outside: Outside<'_>, faults: &mut Faults) -> Option<Source> {
    let name = name(&options.name, faults);
    let address = address(options, outside, faults);
    let (name, address) = (name?, address?);
    let topic = topic(options, &name, faults);
    let tables = tables(options, &address, faults);
    refuse_foreign_settings(options, address.dialect, faults);
    let own_name = format!("list_sync_{}", name.to_ascii_lowercase().replace('-', "_"));
    if let Some(slot) = options.slot.value.as_ref().filter(|slot| !is_slot_name(slot)) {
        faults.add(
            &options.slot.span,
            format!("{slot:?} is no slot name; expected lower-case letters, digits and \"_\", at most 63"),
        );
    }
    let publication = options.publication.value.as_ref().unwrap_or(&own_name).clone();
    if publication.len() > POSTGRES_NAME_MAX {
        faults.add(
            &options.publication.span,
            format!("{publication:?} is no publication name; expected at most 63 bytes"),
        );
    }
    Some(Source {
        tables: tables?,
        topic: topic?,
        format: options.format.value,
        snapshot: options.snapshot.value,
        delivery: options.delivery.value,
        plugin: options.plugin.value,
        include: options.include.value,
        identity: options.identity.value,
        headers: options.headers.value,
        server_id: options.server_id.value.unwrap_or_else(|| own_server_id(&name, &address)),
        slot: options.slot.value.clone().unwrap_or(own_name),
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

fn address(options: &SourceOptions, outside: Outside<'_>, faults: &mut Faults) -> Option<Address> {
    let parsed = options.url.value.as_ref().map(|url| Address::parse(&url.0))?;
    let mut address = parsed.map_err(|error| faults.add(&options.url.span, told(&error))).ok()?;
    if let Some(path) = &options.password_file.value {
        let span = &options.password_file.span;
        if !address.password.reveal().is_empty() {
            faults.add(span, "the URL has a password already; leave one of the two out");
        }
        match (outside.read)(path) {
            Ok(text) => {
                address.password = Secret::new(without_line_end(&text));
            }
            Err(cause) => {
                faults.add(span, format!("the password file {path:?} cannot be read: {cause}"));
            }
        }
    }
    Some(address)
}

/// PostgreSQL's `ReplicationSlotValidateName`.
fn is_slot_name(name: &str) -> bool {
    let legal = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '_';
    name.len() <= POSTGRES_NAME_MAX && name.chars().all(legal)
}

fn tables(options: &SourceOptions, address: &Address, faults: &mut Faults) -> Option<Tables> {
    let written = options.tables.value.as_ref()?;
    let default_schema = if address.dialect == Dialect::Postgres { "public" } else { &address.database };
    let tables = Tables::parse(written, default_schema);
    tables.map_err(|error| faults.add(&options.tables.span, told(&error))).ok()
}

fn topic(options: &SourceOptions, name: &str, faults: &mut Faults) -> Option<TopicName> {
    let (template, span) = (&options.topic.value, &options.topic.span);
    let mut plain = template::pieces(template).map(|piece| match piece {
        Piece::Text(text) | Piece::Unclosed(text) => text,
        Piece::Placeholder(_) => "",
    });
    let illegal = |text: &str| text.chars().find(|letter| !topic::is_legal(*letter));
    if let Some(letter) = plain.find_map(illegal) {
        faults.add(
            span,
            format!("a topic cannot have {letter:?}; expected letters, digits, \".\", \"_\" and \"-\""),
        );
    }
    TopicName::parse(template, name).map_err(|what| faults.add(span, what)).ok()
}

/// A setting that this database does not know would be ignored silently.
fn refuse_foreign_settings(options: &SourceOptions, dialect: Dialect, faults: &mut Faults) {
    for Given { setting, span } in options.given.iter().filter(|given| !given.setting.is_for(dialect)) {
        let owners: Vec<_> = setting.dialects.iter().map(|dialect| dialect.product()).collect();
        let what = format!(
            "{:?} is for {}, and this source is {}; leave it out",
            setting.name,
            owners.join(" and "),
            dialect.product()
        );
        faults.add(span, what);
    }
}

/// Above what people number their replicas with, and the same at each start.
fn own_server_id(name: &str, address: &Address) -> u32 {
    let reader = format!("{name}@{}:{}/{}", address.host, address.port, address.database);
    1_000_000_000 + crc32fast::hash(reader.as_bytes()) % 3_000_000_000
}

fn told(error: &crate::Error) -> String {
    match error.hint_text() {
        Some(hint) => format!("{error}; {hint}"),
        None => error.to_string(),
    }
}
