//! What a statement in the log does to rows. Only its first words are read, and the names of its tables; the
//! rest is the server's business.
//!
//! A statement leaves no row events. So only what is known to leave rows alone is [`Statement::Harmless`];
//! what is not known is `Unknown`.

use super::words::{Kind, Name, Word, Words};

/// The meaning of a statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Statement {
    /// BEGIN or START TRANSACTION: what follows is one transaction.
    Begin,
    /// COMMIT, also of an XA transaction.
    Commit,
    /// ROLLBACK of all, or to a savepoint.
    Rollback { to: Option<String> },
    /// SAVEPOINT.
    Savepoint(String),
    /// XA START or BEGIN: what follows is an XA transaction.
    XaStart,
    /// XA END: nothing follows but its preparation.
    XaEnd,
    /// XA COMMIT or XA ROLLBACK of what was prepared before.
    XaOutcome,
    /// All rows of the table are gone; it may be a temporary one of its session.
    Empties(Name),
    /// The table was dropped and created again.
    Replaces(Name),
    /// Rows of these tables are changed, or those of one of them.
    ChangesRows { verb: &'static str, tables: Vec<Name> },
    /// A stored function, which may have changed rows of any table.
    Calls,
    /// The tables are gone; a renamed one has its new name beside it.
    Removes(Vec<(Name, Option<Name>)>),
    /// All tables of the schema are gone.
    RemovesSchema(String),
    /// A temporary table, which only its session sees, is made or dropped.
    Temporary { made: bool, tables: Vec<Name> },
    /// Definitions, users, maintenance: no row is changed.
    Harmless,
    /// Not known; the words that could be names of tables.
    Unknown(Vec<Name>),
}

/// What CREATE, ALTER and DROP are of. Only TABLE and DATABASE hold rows of tables.
const OBJECTS: &[&str] = &[
    "TABLE",
    "TABLES",
    "DATABASE",
    "SCHEMA",
    "VIEW",
    "INDEX",
    "TRIGGER",
    "PROCEDURE",
    "FUNCTION",
    "EVENT",
    "USER",
    "ROLE",
    "SERVER",
    "TABLESPACE",
    "LOGFILE",
    "SEQUENCE",
    "PACKAGE",
    "LIBRARY",
    "INSTANCE",
    "RESOURCE",
    "SPATIAL",
    "PREPARE",
    "CATALOG",
];

/// First words of statements that leave rows alone.
const HARMLESS: &[&str] = &[
    "",
    "RELEASE",
    "GRANT",
    "REVOKE",
    "FLUSH",
    "ANALYZE",
    "OPTIMIZE",
    "REPAIR",
    "CHECK",
    "CHECKSUM",
    "CACHE",
    "INSTALL",
    "UNINSTALL",
    "SET",
    "RESET",
    "PURGE",
    "CHANGE",
    "START",
    "STOP",
    "LOCK",
    "UNLOCK",
    "KILL",
    "USE",
    "SHOW",
    "EXPLAIN",
    "DESCRIBE",
    "DESC",
    "HELP",
    "BACKUP",
    "DEALLOCATE",
    "PREPARE",
];

impl Statement {
    /// Reads a statement that was written under this `sql_mode`.
    pub fn parse(text: &str, sql_mode: u64) -> Self {
        Self::read(Words::new(text, sql_mode))
    }

    fn read(mut words: Words) -> Self {
        let all = words.clone();
        let first = words.next_upper();
        match first.as_str() {
            "BEGIN" => Self::Begin,
            "START" if words.pass("TRANSACTION") => Self::Begin,
            "COMMIT" => Self::Commit,
            "ROLLBACK" => {
                let to = words.pass("TO").then(|| {
                    words.pass("SAVEPOINT");
                    words.next().map(|word| word.text).unwrap_or_default()
                });
                Self::Rollback { to }
            }
            "SAVEPOINT" => Self::Savepoint(words.next().map(|word| word.text).unwrap_or_default()),
            "XA" => match words.next_upper().as_str() {
                "START" | "BEGIN" => Self::XaStart,
                "END" => Self::XaEnd,
                _ => Self::XaOutcome,
            },
            "TRUNCATE" => {
                words.pass("TABLE");
                words.name().map_or_else(|| unknown(all), Self::Empties)
            }
            "INSERT" | "REPLACE" => {
                words.skip_any(&["LOW_PRIORITY", "DELAYED", "HIGH_PRIORITY", "IGNORE", "INTO"]);
                changes(if first == "INSERT" { "INSERT" } else { "REPLACE" }, words.name())
            }
            "UPDATE" => changes("UPDATE", references(words, "SET")),
            // Only rows that are no present ones are gone.
            "DELETE" if is_of_history(words.clone()) => Self::Harmless,
            "DELETE" => changes("DELETE", references(words, "WHERE")),
            "LOAD" => changes("LOAD DATA", loaded(words)),
            "WITH" => with(words),
            "SELECT" | "DO" | "CALL" | "VALUES" | "EXECUTE" => Self::Calls,
            "SET" if words.pass("STATEMENT") => match words.find(|word| word.is("FOR")) {
                Some(_) => Self::read(words),
                None => unknown(all),
            },
            // MariaDB runs the statement behind it.
            "ANALYZE"
                if !["TABLE", "LOCAL", "NO_WRITE_TO_BINLOG"].iter().any(|next| words.clone().pass(next)) =>
            {
                if words.pass("FORMAT") {
                    words.skip_sign("=");
                    words.next();
                }
                Self::read(words)
            }
            "CREATE" | "ALTER" | "DROP" | "RENAME" => {
                definition(&first, words).unwrap_or_else(|| unknown(all))
            }
            word if HARMLESS.contains(&word) && (!word.is_empty() || all.peek().is_none()) => Self::Harmless,
            _ if all.peek().is_some_and(|word| word.is_sign("(")) => Self::Calls,
            _ => unknown(all),
        }
    }
}

fn changes(verb: &'static str, tables: impl IntoIterator<Item = Name>) -> Statement {
    Statement::ChangesRows { verb, tables: tables.into_iter().collect() }
}

/// Every word that could be a table's name, alone and with the one before its point.
fn unknown(words: Words) -> Statement {
    let words: Vec<Word> = words.collect();
    let bare = words
        .iter()
        .filter(|word| word.is_name())
        .map(|word| Name { schema: None, table: word.text.clone() });
    let qualified = words.windows(3).filter_map(|three| match three {
        [schema, point, table] if point.is_sign(".") && schema.is_name() && table.is_name() => {
            Some(Name { schema: Some(schema.text.clone()), table: table.text.clone() })
        }
        _ => None,
    });
    Statement::Unknown(bare.chain(qualified).collect())
}

/// The tables of UPDATE and DELETE, up to the keyword: each name at the start, or behind a comma, a bracket
/// or a keyword that a table follows.
fn references(mut words: Words, end: &str) -> Vec<Name> {
    let mut tables = Vec::new();
    words.skip_any(&["LOW_PRIORITY", "QUICK", "IGNORE", "FROM"]);
    tables.extend(words.name());
    while let Some(word) = words.next() {
        if word.is(end) {
            break;
        }
        let before_table = [",", "("].iter().any(|sign| word.is_sign(sign))
            || ["FROM", "JOIN", "USING"].iter().any(|keyword| word.is(keyword));
        if before_table {
            words.pass("ONLY");
            tables.extend(words.name());
        }
    }
    tables
}

/// MariaDB's `DELETE HISTORY FROM t`; not a DELETE of rows of a table that is called so.
fn is_of_history(mut words: Words) -> bool {
    words.pass("HISTORY")
        && words.pass("FROM")
        && words.name().is_some_and(|table| !table.table.eq_ignore_ascii_case("history"))
        && words.peek().is_none_or(|next| next.is("BEFORE") || next.is("PARTITION"))
}

fn loaded(mut words: Words) -> Option<Name> {
    while let Some(word) = words.next() {
        if word.is("INTO") && words.pass("TABLE") {
            return words.name();
        }
    }
    None
}

/// `WITH … AS (…) UPDATE`: the statement stands behind the last bracket.
fn with(mut words: Words) -> Statement {
    let mut depth = 0_usize;
    loop {
        let here = words.clone();
        let Some(word) = words.next() else { return Statement::Calls };
        match word.text.as_str() {
            "(" if word.kind == Kind::Sign => depth += 1,
            ")" if word.kind == Kind::Sign => depth = depth.saturating_sub(1),
            _ if depth == 0 && ["UPDATE", "DELETE", "INSERT", "REPLACE"].iter().any(|verb| word.is(verb)) => {
                return Statement::read(here);
            }
            _ => {}
        }
    }
}

/// CREATE, ALTER, DROP, RENAME; `None` if it is not known of what.
fn definition(verb: &str, mut words: Words) -> Option<Statement> {
    let (mut temporary, mut replaces, mut ignores) = (false, false, false);
    let object = loop {
        let word = words.next()?;
        temporary |= word.is("TEMPORARY");
        replaces |= word.is("REPLACE");
        ignores |= word.is("IGNORE");
        // The definer's name is a word like any other.
        if word.is("DEFINER") && words.skip_sign("=") {
            definer(&mut words);
            continue;
        }
        if let Some(object) = OBJECTS.iter().find(|object| word.is(object)) {
            break *object;
        }
    };
    let is_table = matches!(object, "TABLE" | "TABLES");
    let is_schema = matches!(object, "DATABASE" | "SCHEMA");
    words.skip_if_exists();
    match verb {
        "DROP" if is_table && temporary => {
            Some(Statement::Temporary { made: false, tables: list(&mut words) })
        }
        "DROP" if is_table => {
            Some(Statement::Removes(list(&mut words).into_iter().map(|table| (table, None)).collect()))
        }
        "RENAME" if is_table => renamed(&mut words),
        "ALTER" if is_table => altered(words, ignores),
        "CREATE" if is_table => created(words, temporary, replaces),
        "DROP" if is_schema => words.next().map(|name| Statement::RemovesSchema(name.text)),
        "CREATE" if is_schema && replaces => words.next().map(|name| Statement::RemovesSchema(name.text)),
        _ => Some(Statement::Harmless),
    }
}

/// `` `user`@`host` `` or `CURRENT_USER()`.
fn definer(words: &mut Words) {
    words.next();
    if words.skip_sign("@") {
        words.next();
    }
    if words.skip_sign("(") {
        words.skip_sign(")");
    }
}

fn list(words: &mut Words) -> Vec<Name> {
    let mut tables: Vec<Name> = words.name().into_iter().collect();
    while words.skip_sign(",") {
        tables.extend(words.name());
    }
    tables
}

fn renamed(words: &mut Words) -> Option<Statement> {
    let mut pairs = Vec::new();
    loop {
        let from = words.name()?;
        // MariaDB: how long to wait for a lock stands in between.
        words.find(|word| word.is("TO"))?;
        pairs.push((from, Some(words.name()?)));
        if !words.skip_sign(",") {
            return Some(Statement::Removes(pairs));
        }
        words.skip_if_exists();
    }
}

fn created(mut words: Words, temporary: bool, replaces: bool) -> Option<Statement> {
    let table = words.name()?;
    if temporary {
        return Some(Statement::Temporary { made: true, tables: vec![table] });
    }
    while let Some(word) = words.next() {
        let begins_values =
            word.is("VALUES") && !words.peek().is_some_and(|next| next.is("LESS") || next.is("IN"));
        if word.is("SELECT") || word.is("TABLE") || begins_values {
            return Some(changes("CREATE TABLE … SELECT", [table]));
        }
    }
    Some(if replaces { Statement::Replaces(table) } else { Statement::Harmless })
}

/// ALTER TABLE: what it does to rows stands outside all brackets.
fn altered(mut words: Words, ignores: bool) -> Option<Statement> {
    let table = words.name()?;
    if ignores {
        return Some(changes("ALTER IGNORE TABLE", [table]));
    }
    let mut depth = 0_usize;
    while let Some(word) = words.next() {
        match word.text.as_str() {
            "(" if word.kind == Kind::Sign => depth += 1,
            ")" if word.kind == Kind::Sign => depth = depth.saturating_sub(1),
            _ => {}
        }
        let partition = |words: &Words| words.peek().is_some_and(|next| next.is("PARTITION"));
        if depth > 0 {
        } else if word.is("TRUNCATE") && partition(&words) {
            words.next();
            return Some(if words.pass("ALL") {
                Statement::Empties(table)
            } else {
                changes("ALTER TABLE … TRUNCATE PARTITION", [table])
            });
        } else if word.is("DROP") && partition(&words) {
            return Some(changes("ALTER TABLE … DROP PARTITION", [table]));
        } else if word.is("EXCHANGE") && partition(&words)
            || word.is("CONVERT") && (partition(&words) || words.peek()?.is("TABLE"))
        {
            words.find(|word| word.is("TABLE"))?;
            return Some(changes(
                "ALTER TABLE … PARTITION",
                [Some(table), words.name()].into_iter().flatten(),
            ));
        } else if word.is("TABLESPACE")
            && !words.peek().is_some_and(|next| next.is_name() || next.is_sign("="))
        {
            return Some(changes("ALTER TABLE … TABLESPACE", [table]));
        } else if word.is("RENAME")
            && !words.peek().is_some_and(|next| ["COLUMN", "INDEX", "KEY"].iter().any(|part| next.is(part)))
        {
            words.skip_any(&["TO", "AS"]);
            words.skip_sign("=");
            return Some(Statement::Removes(vec![(table, Some(words.name()?))]));
        }
    }
    Some(Statement::Harmless)
}

#[cfg(test)]
mod tests;
