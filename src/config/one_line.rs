//! A configuration from the command line alone: `run --from URL --table T --to csv:DIR`.

use super::declaration::Section;
use super::entry::{Entry, Value};
use super::fault::Faults;
use super::options::SECTIONS;
use super::resolve::NAME_LENGTH_MAX;
use super::variables::{Outside, expand_url};
use super::walk::Typed;

/// What the flags say.
#[derive(Debug, Clone, Default)]
pub struct OneLine {
    /// `--from`: the URL of a database; `${VARIABLE}` stands for an environment variable.
    pub from: Option<String>,
    /// `--table`: patterns as in `tables`.
    pub tables: Vec<String>,
    /// `--to`: `csv:FOLDER`.
    pub to: Option<String>,
    /// `--kafka`: brokers, separated by commas.
    pub kafka: Option<String>,
    /// `--topic`: topics to read.
    pub topics: Vec<String>,
    /// `--group`.
    pub group: Option<String>,
    /// `--snapshot`: as in a file.
    pub snapshot: Option<String>,
}

impl OneLine {
    /// Whether any of the flags is there, so that no file is read.
    pub fn is_used(&self) -> bool {
        self.from.is_some() || self.to.is_some()
    }

    /// The sections that a file with the same meaning would have.
    pub(super) fn typed(&self, outside: Outside<'_>, faults: &mut Faults) -> Typed {
        let mut typed = Typed::default();
        if let Some(brokers) = &self.kafka {
            let brokers = brokers.split(',').map(str::to_owned).collect();
            add(&mut typed, "kafka", vec![("brokers", Value::Texts(brokers))]);
        }
        if let Some(from) = &self.from {
            self.source(from, &mut typed, outside, faults);
        }
        if let Some(to) = &self.to {
            self.sink(to, &mut typed, faults);
        }
        typed
    }

    fn source(&self, from: &str, typed: &mut Typed, outside: Outside<'_>, faults: &mut Faults) {
        let url = expand_url(from, outside).unwrap_or_else(|what| {
            faults.add(&(0..0), what);
            from.to_owned()
        });
        if self.tables.is_empty() {
            faults.add(&(0..0), "--from names a database, but no --table says what of it; expected --table public.* or the like");
        }
        let name = self.name(from);
        let mut settings = vec![("name", Value::Text(name)), ("url", Value::Text(url)), ("tables", Value::Texts(self.tables.clone()))];
        if let Some(snapshot) = &self.snapshot {
            match snapshot.as_str() {
                "initial" | "never" => settings.push(("snapshot", Value::Text(snapshot.clone()))),
                "only" => typed.unbuilt.push((0..0, "--snapshot only".to_owned())),
                other => faults.add(&(0..0), format!("--snapshot is {other:?}; expected initial or never")),
            }
        }
        add(typed, "source", settings);
    }

    /// The source's name, which names its slot, its saved position and its topics: product, database and tables, so that lines for other tables or
    /// another server do not take over what this one made.
    fn name(&self, from: &str) -> String {
        let Ok(address) = super::address_of_flag(from) else { return "source".to_owned() };
        let tables = self.tables.iter().map(|table| name_of(table.trim_matches('*'))).collect::<Vec<_>>().join("_");
        let name = format!("{}_{}_{tables}", address.dialect.product().to_ascii_lowercase(), name_of(&address.database));
        name.trim_end_matches('_').chars().take(NAME_LENGTH_MAX).collect()
    }

    fn sink(&self, to: &str, typed: &mut Typed, faults: &mut Faults) {
        let (kind, folder) = to.split_once(':').unwrap_or(("", to));
        if !matches!(kind, "csv" | "none") || folder.is_empty() {
            faults.add(&(0..0), format!("--to is {to:?}; expected csv:FOLDER"));
        }
        let path = format!("{}/{{table}}", folder.trim_end_matches('/'));
        // A group of its own for each line, so that two lines do not share one group's partitions.
        let group = self.group.clone().or_else(|| self.from.as_ref().map(|from| self.name(from)));
        let mut settings =
            vec![("name", Value::Text("files".to_owned())), ("kind", Value::Text(kind.to_owned())), ("path", Value::Text(path))];
        settings.extend(group.map(|group| ("group", Value::Text(group))));
        if !self.topics.is_empty() {
            settings.push(("topics", Value::Texts(self.topics.clone())));
        }
        add(typed, "sink", settings);
    }
}

fn add(typed: &mut Typed, section: &'static str, settings: Vec<(&'static str, Value)>) {
    let declared: Option<&'static Section> = SECTIONS.iter().find(|declared| declared.name == section);
    let mut entry = Entry::new(declared.map_or(&[], |declared| declared.options), 0..0);
    for (name, value) in settings {
        entry.set(name, 0..0, value);
    }
    typed.sections.entry(section).or_default().push(entry);
}

/// What stands for a database and its tables in a name: letters, digits and `_`.
fn name_of(text: &str) -> String {
    text.chars().map(|letter| if letter.is_ascii_alphanumeric() { letter } else { '_' }).collect()
}
