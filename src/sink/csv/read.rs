//! Reads back the files of this sink, strictly: what it did not write is refused.
//!
//! It tells NULL (an empty unquoted field) from the empty string (`""`).

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::ops::Range;
use std::path::{Path, PathBuf};

use super::row::truncate_position;
use crate::change::Position;
use crate::{Code, Error, Result};

/// What a row says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// `I`: the row is there now.
    Insert,
    /// `D`: the row is gone.
    Delete,
    /// `T@<position>`: every row from before the position is gone.
    Truncate(Position),
}

/// Reads a file record by record.
#[derive(Debug)]
pub struct Reader {
    path: PathBuf,
    input: BufReader<std::io::Take<File>>,
    columns: Vec<String>,
    record: Record,
}

/// One record. Fields 0 and 1 are action and table.
#[derive(Debug, Default)]
pub(super) struct Record {
    pub raw: Vec<u8>,
    /// The fields' texts, without quotes.
    text: Vec<u8>,
    /// Where each field lies in `text`; `None` is NULL.
    pub fields: Vec<Option<Range<usize>>>,
    /// Which fields stand in quotes, rising.
    pub quoted: Vec<usize>,
}

/// A row of a file.
#[derive(Debug, Clone, Copy)]
pub struct FileRow<'a> {
    /// What it says.
    pub action: Action,
    /// The table's name.
    pub table: &'a [u8],
    record: &'a Record,
}

impl<'a> FileRow<'a> {
    /// Number of fields behind action and table.
    pub fn width(&self) -> usize {
        self.record.fields.len() - 2
    }

    /// The field of a column; `None` is NULL.
    pub fn value(&self, column: usize) -> Option<&'a [u8]> {
        self.record.field(column + 2)
    }

    /// Whether the field of a column is this text without quotes: a placeholder, and no value.
    pub fn is_bare(&self, column: usize, text: &[u8]) -> bool {
        self.value(column) == Some(text) && self.record.quoted.binary_search(&(column + 2)).is_err()
    }
}

impl Reader {
    /// Opens a file and reads its header. `None` if it is empty.
    pub fn open(path: &Path) -> Result<Option<Self>> {
        Self::open_part(path, u64::MAX)
    }

    /// As [`Reader::open`], but reads no more than `bytes`.
    pub fn open_part(path: &Path, bytes: u64) -> Result<Option<Self>> {
        let file = File::open(path).map_err(|cause| {
            Error::stop(Code::FileFailed, format!("cannot open \"{}\"", path.display())).cause(cause)
        })?;
        let input = BufReader::with_capacity(128 * 1024, file.take(bytes));
        let mut reader =
            Self { path: path.to_owned(), input, columns: Vec::new(), record: Record::default() };
        if !reader.read()? {
            return Ok(None);
        }
        let names = (0..reader.record.fields.len())
            .map(|place| reader.record.field(place).map(|name| String::from_utf8_lossy(name).into_owned()));
        match names.collect::<Option<Vec<_>>>().as_deref() {
            Some([action, table, columns @ ..]) if action == "action" && table == "table" => {
                reader.columns = columns.to_vec();
            }
            _ => return Err(reader.malformed("it does not begin with the header action,table,…")),
        }
        Ok(Some(reader))
    }

    /// The header's names behind `action,table`.
    pub fn columns(&self) -> &[String] {
        &self.columns
    }

    /// The next row; `None` at the end.
    pub fn next_row(&mut self) -> Result<Option<FileRow<'_>>> {
        if !self.read()? {
            return Ok(None);
        }
        if self.record.fields.len() != self.columns.len() + 2 {
            return Err(self.malformed("a row has not as many fields as the header"));
        }
        let action = match self.record.field(0) {
            Some(b"I") => Action::Insert,
            Some(b"D") => Action::Delete,
            other => match other.and_then(truncate_position) {
                Some(position) => Action::Truncate(position),
                None => return Err(self.malformed("a row's action is unknown")),
            },
        };
        Ok(Some(FileRow { action, table: self.record.field(1).unwrap_or_default(), record: &self.record }))
    }

    /// Reads the next record; false at the end.
    fn read(&mut self) -> Result<bool> {
        let raw = &mut self.record.raw;
        raw.clear();
        let mut quotes = 0;
        loop {
            let start = raw.len();
            let read = self.input.read_until(b'\n', raw);
            let bytes = read.map_err(|cause| {
                Error::stop(Code::FileFailed, format!("cannot read \"{}\"", self.path.display())).cause(cause)
            })?;
            if bytes == 0 && start == 0 {
                return Ok(false);
            }
            if raw.last() != Some(&b'\n') || bytes == 0 {
                return Err(self.malformed("its last row is not finished"));
            }
            // A line end within quotes belongs to the field.
            quotes += memchr::memchr_iter(b'"', raw.get(start..).unwrap_or_default()).count();
            if quotes.is_multiple_of(2) {
                break;
            }
        }
        match self.record.split() {
            Some(()) => Ok(true),
            None => Err(self.malformed("a quote or carriage return stands where none may stand")),
        }
    }

    fn malformed(&self, reason: &str) -> Error {
        Error::stop(
            Code::FileForeign,
            format!("file \"{}\" is not as this sink writes it: {reason}", self.path.display()),
        )
        .hint("move it away if it is not a file of list_sync; if it is, report it")
    }
}

impl Record {
    pub fn field(&self, place: usize) -> Option<&[u8]> {
        self.text.get(self.fields.get(place)?.clone()?)
    }

    /// Takes the raw record apart; `None` if it is malformed.
    pub fn split(&mut self) -> Option<()> {
        let Self { raw, text, fields, quoted: in_quotes } = self;
        text.clear();
        fields.clear();
        in_quotes.clear();
        let mut rest = raw.strip_suffix(b"\n")?;
        loop {
            let start = text.len();
            if let Some(quoted) = rest.strip_prefix(b"\"") {
                rest = quoted;
                loop {
                    let (head, tail) = rest.split_at_checked(memchr::memchr(b'"', rest)?)?;
                    text.extend_from_slice(head);
                    rest = tail.get(1..)?;
                    let Some(more) = rest.strip_prefix(b"\"") else { break };
                    text.push(b'"');
                    rest = more;
                }
                in_quotes.push(fields.len());
                fields.push(Some(start..text.len()));
            } else {
                let end = memchr::memchr(b',', rest).unwrap_or(rest.len());
                let (head, tail) = rest.split_at_checked(end)?;
                if memchr::memchr3(b'"', b'\r', b'\n', head).is_some() {
                    return None;
                }
                text.extend_from_slice(head);
                fields.push(if head.is_empty() { None } else { Some(start..text.len()) });
                rest = tail;
            }
            match rest.split_first() {
                None => return Some(()),
                Some((b',', tail)) => rest = tail,
                Some(_) => return None,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Record;
    use crate::sink::csv::row::write_field;
    use proptest::prelude::*;

    fn split(raw: &[u8]) -> Option<Vec<Option<Vec<u8>>>> {
        let mut record = Record { raw: raw.to_vec(), ..Record::default() };
        record.split()?;
        Some((0..record.fields.len()).map(|place| record.field(place).map(<[u8]>::to_vec)).collect())
    }

    #[test]
    fn what_may_not_stand_is_refused() {
        for raw in ["a\"b\n", "\"a\"b\n", "\"a\n", "a", "\"a\"\"\n", "a\rb\n"] {
            assert_eq!(split(raw.as_bytes()), None, "{raw:?}");
        }
        assert_eq!(split(b"\n"), Some(vec![None]));
        assert_eq!(split(b",\"\",a\n"), Some(vec![None, Some(vec![]), Some(b"a".to_vec())]));
    }

    proptest! {
        #[test]
        fn there_and_back(
            fields in prop::collection::vec(prop::option::of("[a-c\",\\r\\n]{0,6}"), 1..6),
            any: Vec<u8>,
        ) {
            let mut raw = Vec::new();
            for (place, field) in fields.iter().enumerate() {
                if place > 0 {
                    raw.push(b',');
                }
                if let Some(field) = field {
                    write_field(field.as_bytes(), &mut raw);
                }
            }
            raw.push(b'\n');
            let expected: Vec<_> =
                fields.iter().map(|field| field.as_ref().map(|text| text.as_bytes().to_vec())).collect();
            prop_assert_eq!(split(&raw), Some(expected));
            split(&any);
        }
    }
}
