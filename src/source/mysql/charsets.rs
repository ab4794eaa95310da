//! The server's own tables of collations and of one-byte character sets: what it converts, we convert the same way.

use std::collections::HashMap;
use std::sync::Arc;

use mysql::Conn;

use super::super::{Address, Dialect};
use super::connection::query;
use super::values::charset::Charset;
use super::values::special::write_hex;
use crate::Result;

/// Number of the collation (and character set) that stands for bytes.
pub(super) const BINARY: u64 = 63;

/// What is known of collations.
#[derive(Debug, Default)]
pub(super) struct Charsets {
    /// Collation -> name of the character set and its longest character in bytes.
    names: HashMap<u64, (String, u16)>,
    converters: HashMap<String, Option<Charset>>,
}

impl Charsets {
    /// Reads the server's collations.
    pub fn load(conn: &mut Conn, address: &Address) -> Result<Self> {
        let select = |table: &str| {
            format!(
                "SELECT c.ID, c.CHARACTER_SET_NAME, s.MAXLEN FROM information_schema.{table} c \
                 JOIN information_schema.CHARACTER_SETS s ON s.CHARACTER_SET_NAME = c.CHARACTER_SET_NAME WHERE c.ID IS NOT NULL"
            )
        };
        // MariaDB numbers its newer collations in this table alone, as of 10.10.
        let numbered = address.dialect == Dialect::Mariadb
            && !query(
                conn,
                address,
                "SELECT 1 FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = 'information_schema' \
                 AND TABLE_NAME = 'COLLATION_CHARACTER_SET_APPLICABILITY' AND COLUMN_NAME = 'ID'",
            )?
            .is_empty();
        let table = if numbered { "COLLATION_CHARACTER_SET_APPLICABILITY" } else { "COLLATIONS" };
        let mut names = HashMap::new();
        for row in query(conn, address, &select(table))? {
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

    /// How a character set becomes UTF-8; `None` if that is not built.
    pub fn converter(&mut self, conn: &mut Conn, address: &Address, name: &str) -> Result<Option<Charset>> {
        if let Some(known) = self.converters.get(name) {
            return Ok(known.clone());
        }
        let converter = match name {
            "utf8mb4" | "utf8mb3" | "utf8" | "ascii" => Some(Charset::Utf8),
            "ucs2" | "utf16" => Some(Charset::Utf16),
            "utf16le" => Some(Charset::Utf16LittleEndian),
            "utf32" => Some(Charset::Utf32),
            _ if self.names.values().any(|(known, length)| known == name && *length == 1) => one_byte(conn, address, name)?,
            _ => None,
        };
        self.converters.insert(name.to_owned(), converter.clone());
        Ok(converter)
    }
}

/// Lets the server convert the bytes from 128 to 255.
fn one_byte(conn: &mut Conn, address: &Address, name: &str) -> Result<Option<Charset>> {
    let mut bytes = Vec::new();
    write_hex(&std::array::from_fn::<u8, 128, _>(|place| 128 + place as u8), &mut bytes);
    let bytes = String::from_utf8_lossy(&bytes);
    let statement = format!("SELECT HEX(CONVERT(_{name} x'{bytes}' USING utf32))");
    let hex = query(conn, address, &statement)?.into_iter().flatten().next().flatten().unwrap_or_default();
    let (units, _) = hex.as_bytes().as_chunks::<8>();
    let characters = units.iter().map(|unit| {
        let code = std::str::from_utf8(unit).ok().and_then(|unit| u32::from_str_radix(unit, 16).ok());
        code.and_then(char::from_u32)
    });
    let characters: Option<Vec<char>> = characters.collect();
    let table: Option<[char; 128]> = characters.and_then(|characters| characters.try_into().ok());
    Ok(table.map(|table| Charset::Table(Arc::new(table))))
}
