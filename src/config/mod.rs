//! The configuration: a TOML file, or the flags of one line. `options` declares every option once, and
//! so makes a struct of each section; `walk` fills them with what was typed; `resolve` makes of them what the
//! stages get. All faults are told together, each with its place, before anything starts.

mod declaration;
mod draft;
mod fault;
mod one_line;
mod options;
mod overrides;
mod resolve;
mod settings;
mod source;
mod topic;
mod value;
mod variables;
mod walk;

#[cfg(test)]
mod reference;
#[cfg(test)]
mod schema;
#[cfg(test)]
mod tests;

use crate::source::Address;
use crate::{Code, Error, Result};
use fault::{Faults, Places};
use overrides::Override;

pub use declaration::{Choices, Kind, LeftOut, Section, Setting};
pub use draft::Draft;
pub use one_line::OneLine;
pub use options::SECTIONS;
pub use settings::{Delivery, Format, Headers, Include, Kafka, Monitor, RowIdentity, Sink, Source};
pub use topic::{TopicName, TopicOwners};
pub use variables::Outside;

/// The file that is read where no other is named.
pub const FILE: &str = "list_sync.toml";

/// What the stages run by. Prints without secrets.
#[derive(Debug, Clone)]
pub struct Config {
    /// `None`: direct mode.
    pub kafka: Option<Kafka>,
    /// In the order of the file.
    pub sources: Vec<Source>,
    /// In the order of the file.
    pub sinks: Vec<Sink>,
    /// `None`: nothing listens.
    pub monitor: Option<Monitor>,
    unbuilt: Vec<Unbuilt>,
    /// Where it came from, for messages.
    origin: String,
}

/// An option that is understood, but that the program cannot do yet.
#[derive(Debug, Clone)]
struct Unbuilt {
    offset: usize,
    what: String,
}

impl Config {
    /// Reads a file, environment variables and password files.
    pub fn load(path: &str) -> Result<Self> {
        Self::load_with(Some(path), &[])
    }

    /// The same, with `--set KEY=VALUE` above all. Without a `path`, the file is [`FILE`]; it may be missing
    /// where variables or flags stand for it.
    pub fn load_with(path: Option<&str>, set: &[String]) -> Result<Self> {
        let mut above = overrides::of_environment(std::env::vars_os());
        above.extend(overrides::of_set(set)?);
        let file = path.unwrap_or(FILE);
        match std::fs::read_to_string(file) {
            Ok(text) => Self::parse_with(file, &text, &above, outside()),
            Err(cause)
                if cause.kind() == std::io::ErrorKind::NotFound && path.is_none() && !above.is_empty() =>
            {
                Self::parse_with("", "", &above, outside())
            }
            Err(cause) => {
                let hint = "name the file with -c FILE, write one with list_sync init, or go without: \
                    list_sync run --from URL --table TABLE --to csv:FOLDER";
                Err(Error::usage(
                    Code::ConfigInvalid,
                    format!("the configuration file {file:?} cannot be read"),
                )
                .cause(cause)
                .hint(hint))
            }
        }
    }

    /// Reads the text of a file; `file` names it in messages.
    pub fn parse(file: &str, text: &str, outside: Outside<'_>) -> Result<Self> {
        Self::parse_with(file, text, &[], outside)
    }

    fn parse_with(file: &str, text: &str, above: &[Override], outside: Outside<'_>) -> Result<Self> {
        Self::read(Places::new(file, text), text, above, &[], outside)
    }

    /// What the flags of the command line say, without a file and its variables; `set` goes before the other
    /// flags.
    pub fn from_flags(flags: &OneLine, set: &[String]) -> Result<Self> {
        let (mut above, faults) = flags.overrides();
        above.extend(overrides::of_set(set)?);
        Self::read(Places::new("", ""), "", &above, &faults, outside())
    }

    fn read(
        mut places: Places<'_>,
        text: &str,
        above: &[Override],
        faults_known: &[(&str, String)],
        outside: Outside<'_>,
    ) -> Result<Self> {
        let mut faults = Faults::default();
        for (place, what) in faults_known {
            faults.add(&places.add(place), what.clone());
        }
        let above: Vec<_> = above.iter().map(|over| (places.add(&over.place), over)).collect();
        let typed = walk::walk(text, &above, outside, &mut faults);
        let mut config = resolve::resolve(typed, outside, &mut faults);
        for unbuilt in &mut config.unbuilt {
            unbuilt.what = format!("{}: {}", places.of(unbuilt.offset), unbuilt.what);
        }
        config.origin = places.origin();
        faults.into_error(&places).map_or(Ok(config), Err)
    }

    /// Refuses a start with what the program cannot do yet, rather than leaving it out silently.
    pub fn refuse_unbuilt(&self) -> Result<()> {
        let Some(first) = self.unbuilt.iter().min_by_key(|unbuilt| unbuilt.offset) else { return Ok(()) };
        Err(Error::usage(Code::SinkUnknown, format!("{} is not built yet", first.what))
            .hint("leave it out; its default is built"))
    }

    /// The Kafka settings, which this command cannot go without.
    pub fn need_kafka(&self) -> Result<&Kafka> {
        self.kafka.as_ref().ok_or_else(|| {
            self.lacks("[kafka]", "add [kafka] brokers = [\"host:9092\"], or --kafka host:9092")
        })
    }

    /// The sources with these names, or all if none is named; at least one.
    pub fn need_sources(&self, names: &[String]) -> Result<Vec<&Source>> {
        let found = chosen(&self.sources, names, "source", |source| &source.name)?;
        let lacks = || {
            self.lacks("[[source]]", "add [[source]] with name, url and tables, or --from URL --table TABLE")
        };
        if found.is_empty() { Err(lacks()) } else { Ok(found) }
    }

    /// The sinks with these names, or all if none is named; at least one.
    pub fn need_sinks(&self, names: &[String]) -> Result<Vec<&Sink>> {
        let found = chosen(&self.sinks, names, "sink", |sink| &sink.name)?;
        let lacks = || self.lacks("[[sink]]", "add [[sink]] with name, topics and path, or --to csv:FOLDER");
        if found.is_empty() { Err(lacks()) } else { Ok(found) }
    }

    /// With each sink `instances` times, every one a consumer for itself: see [`Sink::independent`].
    #[must_use]
    pub fn with_independent_sinks(mut self, names: &[String], instances: u32) -> Self {
        self.sinks.retain(|sink| names.is_empty() || names.contains(&sink.name));
        self.sinks = self
            .sinks
            .iter()
            .flat_map(|sink| (1..=instances).map(|number| sink.independent(number)))
            .collect();
        self
    }

    fn lacks(&self, section: &str, hint: &str) -> Error {
        Error::usage(Code::NothingToDo, format!("{} has no {section}, which this command needs", self.origin))
            .hint(hint)
    }
}

/// The declared default of an option, as a flag's help names it; empty if there is none.
pub fn default_of(section: &str, option: &str) -> String {
    let declared = SECTIONS.iter().find(|declared| declared.name == section).map_or(&[][..], |it| it.options);
    match declared.iter().find(|setting| setting.name == option).map(|setting| &setting.left_out) {
        Some(LeftOut::Value(value, _)) => {
            let value = value();
            value.as_str().map_or_else(|| value.to_string(), str::to_owned)
        }
        Some(LeftOut::Required | LeftOut::Unset(_) | LeftOut::Empty(_)) | None => String::new(),
    }
}

/// The database that a flag names. A password that is typed out shows in the list of processes, so it is
/// warned of.
pub fn address_of_flag(url: &str) -> Result<Address> {
    let expanded =
        variables::expand_url(url, outside()).map_err(|fact| Error::usage(Code::UrlInvalid, fact))?;
    let address = Address::parse(&expanded)?;
    warn_of_password(url);
    Ok(address)
}

fn warn_of_password(url: &str) {
    let has_password = Address::parse(url).is_ok_and(|address| !address.password.reveal().is_empty());
    if !url.contains("${") && has_password {
        tracing::warn!(
            "the password was typed into the command line, which the shell may remember; write '${{NAME}}' \
             for it and set that environment variable"
        );
    }
}

fn chosen<'a, T>(
    all: &'a [T],
    names: &[String],
    what: &str,
    name_of: impl Fn(&T) -> &str,
) -> Result<Vec<&'a T>> {
    let known: Vec<&str> = all.iter().map(&name_of).collect();
    if let Some(unknown) = names.iter().find(|name| !known.contains(&name.as_str())) {
        let suggestion = if known.is_empty() { String::new() } else { fault::suggestion(unknown, &known) };
        return Err(Error::usage(
            Code::ArgumentInvalid,
            format!("there is no {what} {unknown:?}{suggestion}"),
        )
        .hint(format!("the {what}s are listed in the configuration")));
    }
    Ok(all.iter().filter(|one| names.is_empty() || names.iter().any(|name| name == name_of(one))).collect())
}

/// The real environment and file system.
fn outside() -> Outside<'static> {
    Outside { variable: &|name| std::env::var(name).ok(), read: &|path| std::fs::read_to_string(path) }
}
