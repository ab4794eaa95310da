//! The server's own tables of collations and of character sets: what it converts, we convert the same way.

use std::collections::HashMap;
use std::sync::Arc;

use super::super::Dialect;
use super::connection::Connection;
use super::values::charset::{Charset, ManyBytes, OneByte};
use crate::{Result, hex};

/// Number of the collation (and character set) that stands for bytes.
pub(super) const BINARY: u64 = 63;

/// What is known of collations.
#[derive(Debug, Default, Clone)]
pub(super) struct Charsets {
    /// Collation -> name of the character set and its longest character in bytes.
    names: HashMap<u64, (String, u16)>,
    converters: HashMap<String, Charset>,
}

impl Charsets {
    /// Reads the server's collations.
    pub fn load(conn: &mut Connection, dialect: Dialect) -> Result<Self> {
        let select = |table: &str| {
            format!(
                "SELECT c.ID, c.CHARACTER_SET_NAME, s.MAXLEN FROM information_schema.{table} c \
                 JOIN information_schema.CHARACTER_SETS s ON s.CHARACTER_SET_NAME = c.CHARACTER_SET_NAME \
                 WHERE c.ID IS NOT NULL"
            )
        };
        // MariaDB numbers its newer collations in this table alone, as of 10.10.
        let numbered = dialect == Dialect::Mariadb
            && !conn
                .query(
                    "SELECT 1 FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = 'information_schema' \
                 AND TABLE_NAME = 'COLLATION_CHARACTER_SET_APPLICABILITY' AND COLUMN_NAME = 'ID'",
                )?
                .is_empty();
        let table = if numbered { "COLLATION_CHARACTER_SET_APPLICABILITY" } else { "COLLATIONS" };
        let mut names = HashMap::new();
        for row in conn.query(&select(table))? {
            if let [Some(id), Some(name), Some(length)] = &row[..]
                && let (Ok(id), Ok(length)) = (id.parse(), length.parse())
            {
                names.insert(id, (name.clone(), length));
            }
        }
        Ok(Self { names, converters: HashMap::new() })
    }

    /// Name and longest character of a collation's character set.
    pub fn name(&self, collation: u64) -> Option<(&str, u16)> {
        self.names.get(&collation).map(|(name, length)| (name.as_str(), *length))
    }

    /// For fuzzing: what a server would have told.
    #[cfg(any(test, feature = "fuzzing"))]
    pub fn without_server<const N: usize>(
        names: &[(u64, &str, u16)],
        converters: [(&str, Charset); N],
    ) -> Self {
        let names = names
            .iter()
            .map(|(collation, name, length)| (*collation, ((*name).to_owned(), *length)))
            .collect();
        Self {
            names,
            converters: converters.into_iter().map(|(name, charset)| (name.to_owned(), charset)).collect(),
        }
    }

    /// How a character set becomes UTF-8, if the server need not be asked.
    pub fn known(&self, name: &str) -> Option<Charset> {
        match name {
            "utf8mb4" | "utf8mb3" | "utf8" | "ascii" => Some(Charset::Utf8),
            "ucs2" | "utf16" => Some(Charset::Utf16),
            "utf16le" => Some(Charset::Utf16LittleEndian),
            "utf32" => Some(Charset::Utf32),
            _ => self.converters.get(name).cloned(),
        }
    }

    /// Lets the server tell how a character set that is not [`Charsets::known`] becomes UTF-8; `None` if that
    /// is not built.
    pub fn converter(&mut self, conn: &mut Connection, name: &str) -> Result<Option<Charset>> {
        let converter = match self.names.values().find(|(known, _)| known == name) {
            Some((_, 1)) => one_byte(conn, name)?,
            Some((_, length_max)) => Some(many_bytes(conn, name, *length_max)?),
            None => None,
        };
        self.converters.extend(converter.clone().map(|converter| (name.to_owned(), converter)));
        Ok(converter)
    }
}

/// Lets the server convert every byte.
fn one_byte(conn: &mut Connection, name: &str) -> Result<Option<Charset>> {
    let bytes = hex::text(&std::array::from_fn::<u8, 256, _>(|place| place as u8));
    let statement = format!("SELECT HEX(CONVERT(_{name} x'{bytes}' USING utf32))");
    let digits = conn.query(&statement)?.into_iter().flatten().next().flatten().unwrap_or_default();
    let (units, _) = digits.as_bytes().as_chunks::<8>();
    let characters: Option<Vec<char>> =
        units.iter().map(|unit| character(std::str::from_utf8(unit).ok()?)).collect();
    let table: Option<[char; 256]> = characters.and_then(|characters| characters.try_into().ok());
    Ok(table.map(|characters| {
        let low_is_ascii = (0..128).all(|byte| characters[usize::from(byte)] == char::from(byte));
        Charset::Table(Arc::new(OneByte { characters, low_is_ascii }))
    }))
}

/// Lets the server convert every sequence of up to `length_max` bytes that is one character.
fn many_bytes(conn: &mut Connection, name: &str, length_max: u16) -> Result<Charset> {
    let bytes = |arguments: &str| format!("CHAR({arguments} USING binary)");
    let to_utf32 = |from: &str| {
        format!("CAST(CONVERT(CAST({from} AS CHAR CHARACTER SET {name}) USING utf32) AS BINARY)")
    };
    let mut ask = |from: &str, to: &str, tables: &str| -> Result<Vec<(u32, u32)>> {
        let statement = format!(
            "WITH RECURSIVE d(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM d WHERE n < 255) \
             SELECT HEX(f), HEX(t) FROM (SELECT {from} AS f, {to} AS t FROM {tables}) AS pairs WHERE \
             LENGTH(t) = 4"
        );
        let rows = conn.query(&statement)?;
        let number = |text: &Option<String>| u32::from_str_radix(text.as_deref()?, 16).ok();
        Ok(rows.iter().filter_map(|row| Some((number(row.first()?)?, number(row.get(1)?)?))).collect())
    };
    let mut table = ManyBytes {
        singles: ['\0'; 256],
        pairs: vec!['\0'; ManyBytes::PAIRS],
        longer: HashMap::new(),
        counts_on: false,
    };
    let single = bytes("a.n");
    for (byte, code) in ask(&single, &to_utf32(&single), "d a")? {
        // MariaDB makes a question mark of what is no character.
        if code != u32::from('?') {
            table.singles[(byte & 0xff) as usize] = char::from_u32(code).unwrap_or_default();
        }
    }
    let pair = bytes("a.n, b.n");
    for (bytes, code) in ask(&pair, &to_utf32(&pair), "d a CROSS JOIN d b WHERE a.n > 127")? {
        let [.., first, second] = bytes.to_be_bytes();
        table.pairs[ManyBytes::place(first, second)] = char::from_u32(code).unwrap_or_default();
    }
    if length_max == 3 {
        let three = bytes("143, a.n, b.n");
        let found = ask(&three, &to_utf32(&three), "d a CROSS JOIN d b WHERE a.n > 127 AND b.n > 127")?;
        table.longer =
            found.into_iter().filter_map(|(bytes, code)| Some((bytes, char::from_u32(code)?))).collect();
    } else if length_max == 4 {
        // The other way round, since there are fewer characters than sequences.
        let utf32 = bytes("0, 0, a.n, b.n");
        let back = format!("CAST(CONVERT(CAST({utf32} AS CHAR CHARACTER SET utf32) USING {name}) AS BINARY)");
        let found = ask(&utf32, &back, "d a CROSS JOIN d b")?;
        table.longer =
            found.into_iter().filter_map(|(code, bytes)| Some((bytes, char::from_u32(code)?))).collect();
        table.counts_on = true;
    }
    Ok(Charset::Many(Arc::new(table)))
}

fn character(digits: &str) -> Option<char> {
    char::from_u32(u32::from_str_radix(digits, 16).ok()?)
}
