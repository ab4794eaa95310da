//! What the server says on the side of a stream. Decoders announce rows that they leave out by warnings
//! alone, so a warning passes only if it is known to be harmless.

use super::super::Tables;
use super::catalog::Catalog;
use super::failure::ServerError;
use crate::{Code, Error, Result};

/// The option of the URL that lets warnings pass: a part of their text.
pub(super) const PASS: &str = "ignore_warning";

/// Warnings that mean no row, by SQLSTATE: the server shuts down (57P01), crashed (57P02) or starts (57P03),
/// and ends the connection right after.
const HARMLESS_CODES: [&str; 3] = ["57P01", "57P02", "57P03"];
/// Warnings that mean no row, by a part of their text: a resource that the server freed late, and a library
/// of the operating system that was updated.
const HARMLESS_TEXTS: [&str; 4] =
    ["reference leak", "refcount leak", "resource was not closed", "collation version mismatch"];

/// wal2json leaves out one row: what it says before the table's name.
const LEFT_OUT: [&str; 3] = ["no tuple identifier for", "no tuple data for", "no old tuple data for"];

/// What a notice means for the stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Meaning {
    /// No row, and nobody needs to know.
    Nothing,
    /// No row.
    Harmless,
    /// A row of the table that it names is left out.
    RowLeftOut,
    /// Rows of any table are left out.
    PublicationMissing,
    /// Nobody knows.
    Unknown,
}

impl Meaning {
    fn of(notice: &ServerError, pass: Option<&str>) -> Self {
        let message = notice.message.as_str();
        if !notice.is_warning() {
            return Self::Nothing;
        }
        let is_harmless = HARMLESS_CODES.contains(&notice.code.as_str())
            || HARMLESS_TEXTS.iter().any(|text| message.contains(text));
        if is_harmless || pass.is_some_and(|text| !text.is_empty() && message.contains(text)) {
            Self::Harmless
        } else if LEFT_OUT.iter().any(|text| message.starts_with(text)) {
            Self::RowLeftOut
        } else if message.contains("skipped loading publication") {
            Self::PublicationMissing
        } else {
            Self::Unknown
        }
    }
}

/// Logs a notice of a streaming connection; `Stop` if rows are left out, or may be.
pub(super) fn judge(notice: &ServerError, wanted: &Tables, catalog: &mut Catalog) -> Result<()> {
    let ServerError { code, message, .. } = notice;
    let unsure = || {
        Error::stop(
            Code::LogDamaged,
            format!("PostgreSQL warns: {message} (SQLSTATE {code}): changes may be missing from the stream"),
        )
    };
    match Meaning::of(notice, catalog.address().options.get(PASS).map(String::as_str)) {
        Meaning::Nothing => {
            tracing::debug!("PostgreSQL says: {message} ({code})");
            Ok(())
        }
        Meaning::Harmless => {
            tracing::warn!("PostgreSQL warns: {message} ({code})");
            Ok(())
        }
        Meaning::RowLeftOut => captured_table(message, wanted, catalog)?
            .map_or(Ok(()), |table| Err(row_left_out(message, &table))),
        Meaning::PublicationMissing => Err(unsure().hint(super::failure::publication_was_gone())),
        Meaning::Unknown => Err(unsure().hint(format!(
            "see the server's log; if the warning does not concern the captured tables, add {PASS}=TEXT to \
             the URL, where TEXT is a part of it (%20 \
             for a blank)"
        ))),
    }
}

/// The captured table that a message ends with, as `"schema"."table"`.
fn captured_table(message: &str, wanted: &Tables, catalog: &mut Catalog) -> Result<Option<String>> {
    for (schema, name) in tables_named(message) {
        if catalog.published_as(wanted, schema, name)?.is_some() {
            return Ok(Some(format!("{schema}.{name}")));
        }
    }
    Ok(None)
}

/// The tables that the message may mean: quotes within names are not doubled.
fn tables_named(message: &str) -> Vec<(&str, &str)> {
    let quoted =
        message.split_once(" in table \"").and_then(|(_, names)| names.strip_suffix('"')).unwrap_or_default();
    quoted
        .match_indices("\".\"")
        .map(|(place, dot)| (&quoted[..place], &quoted[place + dot.len()..]))
        .collect()
}

fn row_left_out(message: &str, table: &str) -> Error {
    Error::stop(
        Code::KeyMissing,
        format!(
            "wal2json left out a change of table {table:?}, which had no primary key and no replica identity \
         then: {message}"
        ),
    )
    .hint(format!(
        "give it a primary key, or REPLICA IDENTITY FULL, so that the next changes are sent; leave it out \
         of `tables` (\"!{table}\") until the \
         source has read past this place, then put it back; {}",
        super::failure::FILL_AGAIN
    ))
}

#[cfg(test)]
mod tests {
    use super::{Meaning, ServerError, tables_named};

    fn notice(severity: &str, code: &str, message: &str) -> ServerError {
        let fields = [("S", "WARNUNG"), ("V", severity), ("C", code), ("M", message), ("D", "detail")];
        let body: Vec<u8> = fields
            .iter()
            .flat_map(|(kind, text)| [kind.as_bytes(), text.as_bytes(), &[0]].concat())
            .chain([0])
            .collect();
        ServerError::parse(&body).unwrap()
    }

    /// What is not known to be harmless stops the source.
    #[test]
    fn meanings() {
        for (severity, code, message, meaning) in [
            ("NOTICE", "00000", "anything", Meaning::Nothing),
            ("LOG", "00000", "logical decoding found consistent point at 0/1", Meaning::Nothing),
            (
                "WARNING",
                "57P02",
                "terminating connection because of crash of another server process",
                Meaning::Harmless,
            ),
            ("WARNING", "01000", "resource was not closed: relation \"t\"", Meaning::Harmless),
            (
                "WARNING",
                "01000",
                "no tuple identifier for UPDATE in table \"public\".\"t\"",
                Meaning::RowLeftOut,
            ),
            ("WARNING", "55000", "skipped loading publication \"p\"", Meaning::PublicationMissing),
            ("WARNING", "01000", "something new", Meaning::Unknown),
            ("FATAL", "XX000", "something new", Meaning::Unknown),
        ] {
            let notice = notice(severity, code, message);
            assert_eq!(Meaning::of(&notice, None), meaning, "{message}");
            assert_eq!(Meaning::of(&notice, Some("")), meaning, "{message}");
        }
        assert_eq!(
            Meaning::of(&notice("WARNING", "01000", "something new"), Some("thing new")),
            Meaning::Harmless
        );
    }

    #[test]
    fn names_of_tables() {
        assert_eq!(
            tables_named("no tuple identifier for UPDATE in table \"public\".\"t\""),
            [("public", "t")]
        );
        assert_eq!(
            tables_named("no tuple data for INSERT in table \"a\".\"b\".\"c\""),
            [("a", "b\".\"c"), ("a\".\"b", "c")]
        );
        assert!(tables_named("no tuple identifier").is_empty());
    }
}
