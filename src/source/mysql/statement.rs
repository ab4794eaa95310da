//! What a statement in the log does to the stream. Only its first words are read; the rest is the server's business.

/// The meaning of a statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Statement {
    /// BEGIN or START TRANSACTION: what follows is one transaction.
    Begin,
    /// COMMIT, also of an XA transaction.
    Commit,
    /// ROLLBACK of all, or to a savepoint.
    Rollback { to_savepoint: bool },
    /// SAVEPOINT, RELEASE.
    Savepoint,
    /// XA START or BEGIN: what follows is an XA transaction.
    XaStart,
    /// XA END: nothing follows but its preparation.
    XaEnd,
    /// XA COMMIT or XA ROLLBACK of what was prepared before.
    XaOutcome,
    /// TRUNCATE of a table; the schema if it is written.
    Truncate(Option<String>, String),
    /// Rows changed by a statement, so that the log holds no rows.
    ChangesRows,
    /// All else: definitions, users, maintenance.
    Other,
}

impl Statement {
    /// Reads the first words, past comments.
    pub fn parse(text: &str) -> Self {
        let mut words = Words { rest: text };
        let first = words.next_upper();
        match first.as_str() {
            "BEGIN" => Self::Begin,
            "START" if words.next_upper() == "TRANSACTION" => Self::Begin,
            "COMMIT" => Self::Commit,
            "ROLLBACK" => Self::Rollback { to_savepoint: words.next_upper() == "TO" },
            "SAVEPOINT" | "RELEASE" => Self::Savepoint,
            "XA" => match words.next_upper().as_str() {
                "START" | "BEGIN" => Self::XaStart,
                "END" => Self::XaEnd,
                _ => Self::XaOutcome,
            },
            "TRUNCATE" => parse_truncate(&mut words),
            "INSERT" | "UPDATE" | "DELETE" | "REPLACE" | "LOAD" | "WITH" | "IMPORT" | "CALL" | "DO" => Self::ChangesRows,
            "SET" if words.next_upper() == "STATEMENT" => {
                while let Some(word) = words.next() {
                    if !word.quoted && word.text.eq_ignore_ascii_case("FOR") {
                        return Self::parse(words.rest);
                    }
                }
                Self::Other
            }
            _ => Self::Other,
        }
    }
}

fn parse_truncate(words: &mut Words) -> Statement {
    let Some(mut name) = words.next() else { return Statement::Other };
    if !name.quoted
        && name.text.eq_ignore_ascii_case("TABLE")
        && let Some(next) = words.next()
    {
        name = next;
    }
    let mut after = Words { rest: words.rest };
    if after.next().is_some_and(|word| !word.quoted && word.text == ".")
        && let Some(table) = after.next()
    {
        return Statement::Truncate(Some(name.text), table.text);
    }
    Statement::Truncate(None, name.text)
}

struct Word {
    text: String,
    quoted: bool,
}

/// Words, quoted names and single other characters. The body of a comment that the server executes (`/*! … */`) counts, others do not.
struct Words<'a> {
    rest: &'a str,
}

impl Words<'_> {
    fn next_upper(&mut self) -> String {
        self.next().filter(|word| !word.quoted).map(|word| word.text.to_ascii_uppercase()).unwrap_or_default()
    }

    fn next(&mut self) -> Option<Word> {
        self.skip();
        let first = self.rest.chars().next()?;
        if matches!(first, '`' | '"' | '\'') {
            return Some(self.quoted(first));
        }
        let is_name = |character: char| character.is_alphanumeric() || matches!(character, '_' | '$') || u32::from(character) > 127;
        let end = self.rest.find(|character| !is_name(character)).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end.max(first.len_utf8()));
        self.rest = rest;
        Some(Word { text: word.to_owned(), quoted: false })
    }

    /// A quote is written twice within the name.
    fn quoted(&mut self, quote: char) -> Word {
        let mut text = String::new();
        let mut characters = self.rest.char_indices().skip(1).peekable();
        let mut end = self.rest.len();
        while let Some((place, character)) = characters.next() {
            if character == quote && characters.next_if(|(_, next)| *next == quote).is_none() {
                end = place + 1;
                break;
            }
            text.push(character);
        }
        self.rest = &self.rest[end..];
        Word { text, quoted: true }
    }

    fn skip(&mut self) {
        loop {
            let rest = self.rest.trim_start_matches(|character: char| character.is_whitespace() || character == '\0' || character == ';');
            let skipped = if rest.starts_with('#') || rest.starts_with("-- ") || rest.starts_with("--\n") || rest.starts_with("--\t") {
                rest.find('\n').map_or("", |end| &rest[end..])
            } else if let Some(body) = rest.strip_prefix("/*!").or_else(|| rest.strip_prefix("/*M!")) {
                body.trim_start_matches(|character: char| character.is_ascii_digit())
            } else if rest.starts_with("/*") {
                rest.find("*/").map_or("", |end| &rest[end + 2..])
            } else if let Some(after) = rest.strip_prefix("*/") {
                after
            } else {
                self.rest = rest;
                return;
            };
            self.rest = skipped;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Statement;
    use proptest::prelude::*;

    #[test]
    fn first_words_decide() {
        let truncate = |schema: Option<&str>, table: &str| Statement::Truncate(schema.map(str::to_owned), table.to_owned());
        for (text, expected) in [
            ("BEGIN", Statement::Begin),
            ("start  transaction read write", Statement::Begin),
            ("XA START X'31',X'',1", Statement::XaStart),
            ("XA COMMIT X'31'", Statement::XaOutcome),
            ("ROLLBACK TO `a`", Statement::Rollback { to_savepoint: true }),
            ("truncate t", truncate(None, "t")),
            ("TRUNCATE TABLE `a``b`", truncate(None, "a`b")),
            ("/* why */ TRUNCATE/**/table -- x\n `s` . `t` ;", truncate(Some("s"), "t")),
            ("/*!40000 TRUNCATE TABLE s.größe */", truncate(Some("s"), "größe")),
            ("TRUNCATE `table`", truncate(None, "table")),
            ("# c\nINSERT INTO t VALUES (1)", Statement::ChangesRows),
            ("SET STATEMENT max_statement_time=1 FOR DELETE FROM t", Statement::ChangesRows),
            ("SET PASSWORD FOR x", Statement::Other),
            ("CREATE TABLE t AS SELECT 1", Statement::Other),
            ("", Statement::Other),
            ("/* open", Statement::Other),
        ] {
            assert_eq!(Statement::parse(text), expected, "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_a_statement(text: String, start in "(TRUNCATE|SET STATEMENT|/\\*!)?") {
            let _ = Statement::parse(&format!("{start} {text}"));
        }
    }
}
