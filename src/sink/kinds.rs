//! The kinds of sinks there are: the one table that the configuration, the flags, `check` and `verify` read.

use std::path::Path;

use super::csv::{CsvSink, Fold};
use super::{Nothing, Settings, Sink, Stdout, inspect};
use crate::Result;
use crate::finding::Finding;

/// A kind of sink.
#[derive(Debug)]
pub struct Kind {
    /// As the configuration writes it: `kind = "csv"`.
    pub name: &'static str,
    /// What the kind writes, for the reference page.
    pub doc: &'static str,
    /// How `--to` names it.
    pub to: To,
    /// Makes one; `None`: the name is known, and the kind is not built yet.
    pub build: Option<Build>,
    /// Tries what a start needs, and changes nothing.
    pub inspect: fn(&Settings) -> Vec<Finding>,
    /// Whether two sinks of one path would write the same files.
    pub writes_files: bool,
    /// Whether what it wrote is still there after a restart. If not, direct mode saves no place: it begins at
    /// the end of the log each time, and leaves nothing behind on the server.
    pub keeps: bool,
    /// What the files of a table fold to, for `verify`.
    pub fold: Option<fn(&Folded<'_>) -> Result<Fold>>,
}

/// Makes a sink that has not recovered yet.
pub type Build = fn(&Settings) -> Result<Box<dyn Sink>>;

/// How `--to` names a kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum To {
    /// `NAME:FOLDER`.
    Folder,
    /// `-`.
    Dash,
}

/// Which files of a table are folded.
#[derive(Debug)]
pub struct Folded<'a> {
    /// Their path, as [`super::files::stem`] names it.
    pub stem: &'a Path,
    /// The table's name, without its schema.
    pub table: &'a str,
    /// The columns of its key; of a table without one, all of its columns.
    pub columns: &'a [String],
    /// Whether it has a key.
    pub has_key: bool,
    /// What stands for a value that the database did not send.
    pub unchanged: &'a str,
}

/// All of them; the first is the default.
pub const KINDS: &[Kind] = &[
    Kind {
        name: "csv",
        doc: "CSV files",
        to: To::Folder,
        build: Some(|settings| Ok(Box::new(CsvSink::new(settings.clone())?))),
        inspect,
        writes_files: true,
        keeps: true,
        fold: Some(super::csv::fold),
    },
    Kind { name: "jsonl", doc: "a JSON text a line", ..NOT_BUILT },
    Kind { name: "parquet", doc: "Apache Parquet", ..NOT_BUILT },
    Kind {
        name: "stdout",
        doc: "a JSON text a line, on stdout",
        to: To::Dash,
        build: Some(|_| Ok(Box::<Stdout>::default())),
        inspect: |_| Vec::new(),
        writes_files: false,
        keeps: false,
        fold: None,
    },
    Kind {
        name: "none",
        doc: "nothing: changes are read and decoded, for measuring",
        to: To::Folder,
        build: Some(|_| Ok(Box::new(Nothing))),
        inspect,
        writes_files: false,
        keeps: true,
        fold: None,
    },
];

/// The names of all kinds, in the order of [`KINDS`].
pub const NAMES: &[&str] = &{
    let mut names = [""; KINDS.len()];
    let mut place = 0;
    while place < KINDS.len() {
        names[place] = KINDS[place].name;
        place += 1;
    }
    names
};

/// The names of those that are not built yet.
pub const UNBUILT: &[&str] = &{
    let mut names = [""; count_unbuilt()];
    let (mut place, mut found) = (0, 0);
    while place < KINDS.len() {
        if KINDS[place].build.is_none() {
            names[found] = KINDS[place].name;
            found += 1;
        }
        place += 1;
    }
    names
};

const fn count_unbuilt() -> usize {
    let (mut place, mut count) = (0, 0);
    while place < KINDS.len() {
        count += if KINDS[place].build.is_none() { 1 } else { 0 };
        place += 1;
    }
    count
}

const NOT_BUILT: Kind = Kind {
    name: "",
    doc: "",
    to: To::Folder,
    build: None,
    inspect,
    writes_files: true,
    keeps: true,
    fold: None,
};

impl Kind {
    /// The kind of this name.
    pub fn named(name: &str) -> Option<&'static Self> {
        KINDS.iter().find(|kind| kind.name == name)
    }

    /// What `--to` may be, for messages: `csv:FOLDER`.
    pub fn flags() -> String {
        let shown = |kind: &&Self| kind.build.is_some() && (kind.writes_files || kind.to == To::Dash);
        let flag = |kind: &Self| match kind.to {
            To::Folder => format!("{}:FOLDER", kind.name),
            To::Dash => "-".to_owned(),
        };
        KINDS.iter().filter(shown).map(flag).collect::<Vec<_>>().join(" or ")
    }

    /// The kind that `--to` names, and the folder; `None` if it names none that is built.
    pub fn of_flag(to: &str) -> Option<(&'static Self, &str)> {
        let (scheme, folder) = to.split_once(':').unwrap_or(("", to));
        let names = |kind: &&Kind| match kind.to {
            To::Folder => kind.name == scheme && !folder.is_empty(),
            To::Dash => to == "-",
        };
        let kind = KINDS.iter().filter(|kind| kind.build.is_some()).find(names)?;
        Some((kind, if kind.to == To::Folder { folder } else { "" }))
    }
}

/// Kinds are told apart by their names.
impl PartialEq for Kind {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}
