//! Names of files: the template of a path, and the parts that follow it.

use std::path::{Path, PathBuf};

use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

use crate::change::Table;
use crate::template::{self, Fault};
use crate::{Code, Error, Result};

/// Which rows a file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Side {
    /// `…_insert.csv`: new rows.
    Insert,
    /// `…_delete.csv`: old rows.
    Delete,
    /// `….csv`: both, in order.
    Both,
}

/// A path with `{table}`, `{schema}`, `{topic}` and `{source}`, checked.
#[derive(Debug, Clone)]
pub(super) struct Template {
    path: template::Template,
    /// `_ID`, or nothing.
    suffix: String,
}

impl Template {
    /// Checks the template.
    pub fn parse(path: &str, id: Option<&str>) -> Result<Self> {
        let whole = template::Template::parse(path, &["table", "schema", "topic", "source"]);
        let whole = whole.map_err(|fault| {
            let fact = match fault {
                Fault::Unclosed => format!("the path {path:?} has a brace that is not closed"),
                Fault::Unknown(name) => format!("the path {path:?} has an unknown placeholder {{{name}}}"),
            };
            Error::usage(Code::PathTemplateInvalid, fact).hint("write {table}, {schema}, {topic} or {source}")
        })?;
        let suffix = id.map_or_else(String::new, |id| format!("_{}", safe(id)));
        Ok(Self { path: whole, suffix })
    }

    /// Whether the path has `{schema}` in it.
    pub fn names_schema(&self) -> bool {
        self.path.has("schema")
    }

    /// `PATH[_ID]` for a table's files.
    pub fn stem(&self, channel: &str, table: &Table) -> String {
        let filled = self.path.fill(|name| match name {
            "table" => safe(&table.name),
            "schema" => safe(&table.schema),
            "topic" => safe(channel),
            _ => safe(channel.split('.').next().unwrap_or_default()),
        });
        filled + &self.suffix
    }

    /// Whether a file with this stem, in which the rows of `table` stand, is one of ours. The file does not
    /// tell the schema.
    pub fn is_stem_of(&self, stem: &str, channel: &str, table: &str) -> bool {
        if self.names_schema() {
            return stem.ends_with(&self.suffix);
        }
        stem == self.stem(channel, &Table { name: table.to_owned(), ..Table::default() })
    }

    /// Whether the stem may be one of ours, as far as its name alone tells.
    pub fn may_be_ours(&self, stem: &str) -> bool {
        stem.ends_with(&self.suffix)
    }
}

/// What may not stand in the name of a file.
const UNSAFE: &AsciiSet = &CONTROLS.add(b'/');

/// A name as part of a file's name: `/`, control characters and leading dots are percent-encoded.
fn safe(name: &str) -> String {
    let dots = name.len() - name.trim_start_matches('.').len();
    // Written by hand where percent-encoding would take non-ASCII letters along.
    let mut out = "%2E".repeat(dots);
    for letter in name[dots..].chars() {
        if letter.is_ascii() {
            out.extend(utf8_percent_encode(letter.encode_utf8(&mut [0; 4]), UNSAFE));
        } else {
            out.push(letter);
        }
    }
    out
}

/// `STEM_insert.csv`, `STEM_insert.0002.csv`, … `ending`: `.csv`.
pub(super) fn file_name(stem: &str, side: Side, number: u32, ending: &str) -> String {
    let side = match side {
        Side::Insert => "_insert",
        Side::Delete => "_delete",
        Side::Both => "",
    };
    if number == 1 { format!("{stem}{side}{ending}") } else { format!("{stem}{side}.{number:04}{ending}") }
}

/// The stem, side and number of the name of a file with this ending; a name without `_insert` and `_delete`
/// holds both sides.
pub(super) fn parse_file_name<'a>(path: &'a str, ending: &str) -> Option<(&'a str, Side, u32)> {
    let name = path.strip_suffix(ending)?;
    let (name, number) = match name.rsplit_once('.') {
        Some((name, digits)) if digits.len() >= 4 && digits.bytes().all(|byte| byte.is_ascii_digit()) => {
            (name, digits.parse().ok()?)
        }
        _ => (name, 1),
    };
    if let Some(stem) = name.strip_suffix("_insert") {
        return Some((stem, Side::Insert, number));
    }
    Some(name.strip_suffix("_delete").map_or((name, Side::Both, number), |stem| (stem, Side::Delete, number)))
}

/// A file of a stem, as it lies in its folder.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Part {
    /// The writer's id; empty without one.
    pub id: String,
    /// The generation, from 1.
    pub number: u32,
    /// Which rows it holds.
    pub side: Side,
    /// Where it lies.
    pub path: PathBuf,
}

/// The files of `PATH`, of all ids and generations: by id, then generation, inserts before deletes. A folder
/// that is not there has none.
pub fn list(stem: &Path, ending: &str) -> Result<Vec<Part>> {
    // A path may end in "/": then the files have no name before `_insert`.
    let whole = stem.to_str().ok_or_else(|| {
        Error::stop(Code::FileFailed, format!("the path \"{}\" is not UTF-8", stem.display()))
    })?;
    let (folder, name) = whole
        .rsplit_once('/')
        .map_or((".", whole), |(folder, name)| (if folder.is_empty() { "/" } else { folder }, name));
    let folder = Path::new(folder);
    let unreadable = |cause: std::io::Error| {
        Error::stop(Code::FileFailed, format!("cannot read the folder \"{}\"", folder.display())).cause(cause)
    };
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(cause) => return Err(unreadable(cause)),
    };
    let mut parts = Vec::new();
    for entry in entries {
        let entry = entry.map_err(unreadable)?;
        let file = entry.file_name();
        let Some((own, side, number)) = file.to_str().and_then(|name| parse_file_name(name, ending)) else {
            continue;
        };
        let id = match own.strip_prefix(name) {
            Some("") => "",
            Some(rest) => match rest.strip_prefix('_') {
                Some(id) => id,
                None => continue,
            },
            None => continue,
        };
        parts.push(Part { id: id.to_owned(), number, side, path: entry.path() });
    }
    parts.sort_unstable();
    Ok(parts)
}

/// `PATH` of a table's files as a sink with this `path` names them, without a writer's id: what [`list`]
/// looks for.
pub fn stem(path: &str, channel: &str, table: &Table) -> Result<PathBuf> {
    Template::parse(path, None).map(|template| PathBuf::from(template.stem(channel, table)))
}

#[cfg(test)]
mod tests {
    use super::{Side, Template, file_name, parse_file_name};
    use crate::change::Table;

    #[test]
    fn templates() {
        let table = Table { schema: "public".into(), name: "../a/b\0é".into(), ..Table::default() };
        let template = Template::parse("out/{source}/{schema}.{table}-{topic}", Some("7")).unwrap();
        assert_eq!(
            template.stem("shop.public.x", &table),
            "out/shop/public.%2E%2E%2Fa%2Fb%00é-shop.public.x_7"
        );
        for path in ["out/{tabel}", "out/{table"] {
            let error = Template::parse(path, None).unwrap_err();
            assert_eq!(error.exit_code(), 2, "{error}");
        }
    }

    #[test]
    fn names_there_and_back() {
        for side in [Side::Insert, Side::Delete, Side::Both] {
            for number in [1, 2, 9_999, 10_000] {
                assert_eq!(
                    parse_file_name(&file_name("out/a.b_1", side, number, ".csv"), ".csv"),
                    Some(("out/a.b_1", side, number))
                );
            }
        }
        assert_eq!(file_name("out/test", Side::Insert, 2, ".csv"), "out/test_insert.0002.csv");
        assert_eq!(parse_file_name("out/test.parquet", ".csv"), None);
    }
}
