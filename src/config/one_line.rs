//! A configuration from the command line alone: `run --from URL --table T --to csv:DIR`.

use super::overrides::{Given, Override};
use super::resolve::NAME_LENGTH_MAX;
use crate::sink;

/// What the flags say. It cannot be printed, since a URL may hold a password.
#[derive(Clone, Default)]
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

    /// What a file with the same meaning would say, flag by flag; a flag that cannot be turned into that is
    /// answered with its fault.
    pub(super) fn overrides(&self) -> (Vec<Override>, Vec<(&'static str, String)>) {
        let (mut said, mut faults) = (Vec::new(), Vec::new());
        if let Some(brokers) = &self.kafka {
            let brokers = brokers.split(',').map(str::to_owned).collect();
            said.push(Override::of_flag("--kafka", "kafka.brokers", Given::List(brokers)));
        }
        if let Some(from) = &self.from {
            self.source(from, &mut said, &mut faults);
        }
        if let Some(to) = &self.to {
            self.sink(to, &mut said, &mut faults);
        }
        (said, faults)
    }

    fn source(&self, from: &str, said: &mut Vec<Override>, faults: &mut Vec<(&'static str, String)>) {
        said.push(Override::of_flag("--from", "source.0.url", Given::text(from)));
        said.push(Override::of_flag("--from", "source.0.name", Given::text(&self.name(from))));
        if self.tables.is_empty() {
            faults.push((
                "--from",
                "names a database, but no --table says what of it; expected --table public.* or the like"
                    .to_owned(),
            ));
            said.push(Override::of_flag("--from", "source.0.tables", Given::List(vec!["*".to_owned()])));
        } else {
            said.push(Override::of_flag("--table", "source.0.tables", Given::List(self.tables.clone())));
        }
        if let Some(snapshot) = &self.snapshot {
            said.push(Override::of_flag("--snapshot", "source.0.snapshot", Given::text(snapshot)));
        }
    }

    /// The source's name, which names its slot, its saved position and its topics: product, database and
    /// tables. Lines for other tables have other names, so that none takes over what another made.
    fn name(&self, from: &str) -> String {
        let Ok(address) = super::address_of_flag(from) else { return "source".to_owned() };
        let product = address.dialect.kind().schemes.first().copied().unwrap_or_default();
        let mut said: Vec<&str> = std::iter::once(address.database.as_str())
            .chain(self.tables.iter().map(String::as_str))
            .collect();
        // The same tables in another order are the same.
        said[1..].sort_unstable();
        let name = format!("{product}_{}", said.join("_"))
            .replace(|letter: char| !letter.is_ascii_alphanumeric(), "_");
        if name.len() <= NAME_LENGTH_MAX && is_told_apart(&said) {
            return name;
        }
        // A sum of what was said tells apart what is cut off, and what a name cannot hold.
        let kept: String = name.chars().take(NAME_LENGTH_MAX - "_12345678".len()).collect();
        format!("{}_{:08x}", kept.trim_end_matches('_'), crc32fast::hash(said.join("\n").as_bytes()))
    }

    fn sink(&self, to: &str, said: &mut Vec<Override>, faults: &mut Vec<(&'static str, String)>) {
        let Some((kind, folder)) = sink::Kind::of_flag(to) else {
            faults.push(("--to", format!("{to:?} is not understood; expected {}", sink::Kind::flags())));
            return;
        };
        let path = match kind.to {
            sink::To::Folder => format!("{}/{{table}}", folder.trim_end_matches('/')),
            sink::To::Dash => "{table}".to_owned(),
        };
        for (key, value) in [("name", "files"), ("kind", kind.name), ("path", &path)] {
            said.push(Override::of_flag("--to", &format!("sink.0.{key}"), Given::text(value)));
        }
        // A group of its own for each line, so that two lines do not share one group's partitions.
        let group = self.group.clone().or_else(|| self.from.as_ref().map(|from| self.name(from)));
        said.extend(group.map(|group| Override::of_flag("--group", "sink.0.group", Given::text(&group))));
        if !self.topics.is_empty() {
            said.push(Override::of_flag("--topic", "sink.0.topics", Given::List(self.topics.clone())));
        }
    }
}

/// Whether no other database and tables would have the same name: `shop` with `orders` or
/// `public.order_items`. Slots are in lower case.
fn is_told_apart(said: &[&str]) -> bool {
    let is_word = |text: &str| {
        !text.is_empty() && text.bytes().all(|letter| letter.is_ascii_lowercase() || letter.is_ascii_digit())
    };
    let [database, table] = said else { return false };
    is_word(database)
        && match table.split_once('.') {
            None => is_word(table),
            Some((schema, name)) => {
                is_word(schema)
                    && !name.is_empty()
                    && name.split('_').all(|part| part.is_empty() || is_word(part))
            }
        }
}
