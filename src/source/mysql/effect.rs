//! A statement of the log, seen from the captured tables: it is carried, let pass or refused.
//!
//! A statement leaves no row events, so it passes only if it is known to leave captured rows alone. What
//! removes all rows of a table is carried as a TRUNCATE. DROP and RENAME are definitions: the files keep what
//! they have, and the log says so.

use std::collections::HashSet;
use std::sync::Arc;

use super::super::Dialect;
use super::captured::Captured;
use super::checks;
use super::connection::quote;
use super::event::{Context, Query};
use super::failure::BEGIN_AGAIN;
use super::place::Place;
use super::statement::Statement;
use super::values::charset::Charset;
use super::words::Name;
use crate::change::Table;
use crate::{Code, Error, Result};

/// Temporary tables and uncaptured tables that are remembered; with more all are forgotten.
const REMEMBERED_MAX: usize = 4096;

/// Who ran a statement, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Said {
    /// The session's database.
    pub schema: String,
    /// The session's number.
    pub thread: u32,
    /// All databases that the statement may have changed, where the log tells.
    pub schemas: Option<Vec<String>>,
    /// A temporary table is meant.
    pub of_session: bool,
}

impl Said {
    pub fn by(query: &Query, of_session: bool) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let schemas =
            query.context.schemas.as_ref().map(|schemas| schemas.iter().map(|schema| text(schema)).collect());
        Self { schema: text(query.schema), thread: query.thread, schemas, of_session }
    }
}

/// What is remembered between statements.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// Session, schema and name of temporary tables that hide others of their name.
    temporary: HashSet<(u32, String, String)>,
    /// Uncaptured tables and functions that were told of.
    told: HashSet<String>,
}

impl Captured {
    /// The text of a statement, which is in the character set of its client. What is not valid there becomes
    /// U+FFFD.
    pub fn text_of(&mut self, context: &Context, text: &[u8]) -> Result<String> {
        if text.is_ascii() {
            return Ok(String::from_utf8_lossy(text).into_owned());
        }
        let name = context
            .collation
            .and_then(|collation| self.catalog.charsets.name(collation))
            .map(|(name, _)| name.to_owned());
        let charset =
            name.map(|name| self.catalog.converter(&name)).transpose()?.flatten().unwrap_or(Charset::Utf8);
        Ok(charset.text(text).unwrap_or_else(|_| String::from_utf8_lossy(text).into_owned()))
    }

    /// What the statement does to captured rows: the table that it empties, nothing, or a reason to stop.
    pub fn effect(
        &mut self,
        statement: &Statement,
        said: &Said,
        place: &Place,
    ) -> Result<Option<Arc<Table>>> {
        match statement {
            // MariaDB calls every CREATE OR REPLACE one of its session.
            Statement::Empties(_) if said.of_session => {}
            Statement::Empties(name) | Statement::Replaces(name) => {
                let (schema, table) = self.full(name, said, place)?;
                return self.table(&schema, &table);
            }
            Statement::ChangesRows { verb, tables } if !tables.is_empty() => {
                for name in tables {
                    self.refuse_change(verb, name, said, place)?;
                }
            }
            Statement::ChangesRows { .. } | Statement::Calls => self.refuse_call(said, place)?,
            Statement::Removes(pairs) => {
                for (from, to) in pairs {
                    self.tell_of_removed(from, to.as_ref(), said, place)?;
                }
            }
            Statement::RemovesSchema(schema) => {
                let schema = self.folded(schema);
                if self.has_captured(&schema) {
                    tracing::error!(source = self.source, schema, at = %place, "DROP DATABASE of captured \
                        tables: their files keep the rows");
                }
            }
            Statement::Temporary { made, tables } => {
                for name in tables {
                    let (schema, table) = self.full(name, said, place)?;
                    self.remember_temporary((said.thread, schema, table), *made);
                }
            }
            Statement::Unknown(names) => self.refuse_unknown(names, said, place)?,
            _ => {}
        }
        Ok(None)
    }

    fn remember_temporary(&mut self, table: (u32, String, String), made: bool) {
        if made {
            if self.seen.temporary.len() >= REMEMBERED_MAX {
                self.seen.temporary.clear();
            }
            self.seen.temporary.insert(table);
        } else {
            self.seen.temporary.remove(&table);
        }
    }

    /// As the server holds a name: `lower_case_table_names` may say so.
    fn folded(&self, name: &str) -> String {
        if self.lower_case { name.to_lowercase() } else { name.to_owned() }
    }

    /// Schema and name of a table in a statement.
    fn full(&self, name: &Name, said: &Said, place: &Place) -> Result<(String, String)> {
        let (schema, table) =
            (self.folded(name.schema.as_deref().unwrap_or(&said.schema)), self.folded(&name.table));
        if schema.contains('\u{fffd}') || table.contains('\u{fffd}') {
            return Err(Error::stop(Code::ValueUnreadable, format!(
                "the name of a table in the statement at {place} is not valid in its client's character set"
            ))
            .hint(BEGIN_AGAIN));
        }
        Ok((schema, table))
    }

    fn refuse_change(&mut self, verb: &str, name: &Name, said: &Said, place: &Place) -> Result<()> {
        let (schema, table) = self.full(name, said, place)?;
        if said.of_session && self.seen.temporary.contains(&(said.thread, schema.clone(), table.clone())) {
            return Ok(());
        }
        if !self.patterns.contains(&schema, &table) {
            return self.refuse_side_effects(verb, &schema, &table, said, place);
        }
        let captured = [(schema.clone(), table.clone())];
        checks::check_versioning(&mut self.catalog, &captured)
            .map_err(|error| error.context(format!("{verb} at {place}")))?;
        Err(Error::stop(
            Code::RowsNotLogged,
            format!(
                "{verb} changed rows of table \"{schema}.{table}\" at {place}, and the binary log holds the \
             statement instead of the rows"
            ),
        )
        .hint(format!(
            "leave the table out with \"!{schema}.{table}\", and the source goes on with the \
            others. {}",
            prevention(verb)
        )))
    }

    /// A statement on a table that is not captured may reach a captured one: by a view, a trigger or a
    /// foreign key.
    fn refuse_side_effects(
        &mut self,
        verb: &str,
        schema: &str,
        table: &str,
        said: &Said,
        place: &Place,
    ) -> Result<()> {
        let elsewhere = match &said.schemas {
            Some(schemas) => !schemas.iter().any(|schema| self.has_captured(schema)),
            None => !self.has_captured(schema) && !self.has_captured(&said.schema),
        };
        if elsewhere || !self.tell_once(format!("{schema}.{table}")) {
            return Ok(());
        }
        let (schema_text, table_text) = (quote(schema), quote(table));
        let reaches = self.catalog.text(&format!(
            "SELECT 'a view' FROM information_schema.VIEWS WHERE TABLE_SCHEMA = {schema_text} AND \
             TABLE_NAME = {table_text} \
             UNION ALL SELECT CONCAT('trigger ', TRIGGER_NAME) FROM information_schema.TRIGGERS \
             WHERE EVENT_OBJECT_SCHEMA = {schema_text} AND EVENT_OBJECT_TABLE = {table_text} \
             UNION ALL SELECT CONCAT('foreign key ', CONSTRAINT_NAME) FROM \
             information_schema.REFERENTIAL_CONSTRAINTS \
             WHERE UNIQUE_CONSTRAINT_SCHEMA = {schema_text} AND REFERENCED_TABLE_NAME = {table_text} \
             AND (DELETE_RULE NOT IN ('RESTRICT', 'NO ACTION') OR UPDATE_RULE NOT IN ('RESTRICT', 'NO \
             ACTION'))"
        ))?;
        match reaches {
            None => {
                tracing::warn!(
                    source = self.source,
                    table = format!("{schema}.{table}"),
                    at = %place,
                    "a statement on a table that is not captured stands in the binary log instead of its \
                     rows: what triggers and \
                     functions of it did to captured tables would be lost; set binlog_format = ROW in that \
                     session"
                );
                Ok(())
            }
            Some(by) => {
                self.seen.told.remove(&format!("{schema}.{table}"));
                Err(Error::stop(Code::RowsNotLogged, format!(
                    "{verb} on \"{schema}.{table}\" at {place} may have changed captured rows ({by}), and \
                     the binary log holds the statement \
                     instead of the rows"
                ))
                .hint(format!("{BEGIN_AGAIN}. {}", prevention(verb))))
            }
        }
    }

    /// A function may have changed any table; MySQL tells in which databases, MariaDB in none.
    fn refuse_call(&mut self, said: &Said, place: &Place) -> Result<()> {
        let own = std::slice::from_ref(&said.schema);
        if said.schemas.as_deref().unwrap_or(own).iter().any(|schema| self.has_captured(schema)) {
            return Err(Error::stop(Code::RowsNotLogged, format!(
                "a stored function may have changed captured rows at {place}, and the binary log holds its \
                 call instead of the rows"
            ))
            .hint(format!("{BEGIN_AGAIN}. {}", prevention("SELECT"))));
        }
        if self.catalog.address.dialect == Dialect::Mariadb
            && self.tell_once(format!("calls in {}", said.schema))
        {
            let schema = &said.schema;
            tracing::error!(source = self.source, schema, at = %place, "a call of a stored function stands \
                in the binary log instead of its rows: what \
                it did to captured tables is lost; set binlog_format = ROW in that session");
        }
        Ok(())
    }

    fn tell_of_removed(&mut self, from: &Name, to: Option<&Name>, said: &Said, place: &Place) -> Result<()> {
        let (schema, table) = self.full(from, said, place)?;
        let was_captured = self.patterns.contains(&schema, &table);
        let old = format!("{schema}.{table}");
        let Some(to) = to else {
            if was_captured {
                tracing::warn!(source = self.source, table = old, at = %place, "DROP TABLE: the files keep \
                    the rows");
            }
            return Ok(());
        };
        let (schema, table) = self.full(to, said, place)?;
        let new = format!("{schema}.{table}");
        if self.patterns.contains(&schema, &table) {
            tracing::error!(
                source = self.source,
                table = new,
                was = old,
                at = %place,
                "a table was renamed to a captured one: the rows it held are in no message under this name"
            );
        } else if was_captured {
            tracing::warn!(source = self.source, table = old, now = new, at = %place, "a captured table was \
                renamed: what comes after is not captured");
        }
        Ok(())
    }

    fn refuse_unknown(&mut self, names: &[Name], said: &Said, place: &Place) -> Result<()> {
        for name in names {
            let (schema, table) = self.full(name, said, place)?;
            if self.patterns.contains(&schema, &table) && self.catalog_has(&schema, &table)? {
                return Err(Error::stop(
                    Code::RowsNotLogged,
                    format!(
                        "a statement at {place} names table \"{schema}.{table}\", and this version does not \
                     know whether it changes rows"
                    ),
                )
                .hint(format!("leave the table out with \"!{schema}.{table}\", or update list_sync")));
            }
        }
        tracing::error!(source = self.source, at = %place, "a statement that this version does not know was \
            passed over");
        Ok(())
    }

    fn has_captured(&self, schema: &str) -> bool {
        self.schemas.iter().any(|captured| captured == schema)
    }

    /// True the first time.
    fn tell_once(&mut self, what: String) -> bool {
        if self.seen.told.len() >= REMEMBERED_MAX {
            self.seen.told.clear();
        }
        self.seen.told.insert(what)
    }

    fn catalog_has(&mut self, schema: &str, table: &str) -> Result<bool> {
        Ok(!self.catalog.columns(schema, table)?.is_empty())
    }
}

/// How rows get into the log.
fn prevention(verb: &str) -> &'static str {
    if verb.starts_with("ALTER TABLE … TRUNCATE") || verb.starts_with("ALTER TABLE … DROP") {
        "DELETE FROM … PARTITION (…) before it writes the rows into the log"
    } else if verb.starts_with("ALTER") {
        "INSERT and DELETE instead of it write the rows into the log"
    } else {
        "To prevent it: binlog_format = ROW, on the server and in each session that sets another"
    }
}
