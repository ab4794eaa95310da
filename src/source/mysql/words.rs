//! The words of an SQL statement: names, strings and signs, past comments. Nothing is known here of what they
//! mean.

/// `sql_mode`: text in double quotes is a name.
const ANSI_QUOTES: u64 = 1 << 2;
/// `sql_mode`: a backslash in a string is a character like others.
const NO_BACKSLASH_ESCAPES: u64 = 1 << 20;

/// What a word is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Without quotes: a keyword, a name or a number.
    Bare,
    /// A name in quotes.
    Name,
    /// A string.
    Text,
    /// One other character.
    Sign,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Word {
    pub text: String,
    pub kind: Kind,
}

impl Word {
    /// Whether this is the keyword, in any case.
    pub fn is(&self, keyword: &str) -> bool {
        self.kind == Kind::Bare && self.text.eq_ignore_ascii_case(keyword)
    }

    pub fn is_sign(&self, sign: &str) -> bool {
        self.kind == Kind::Sign && self.text == sign
    }

    pub fn is_name(&self) -> bool {
        matches!(self.kind, Kind::Bare | Kind::Name)
    }
}

/// A table's name as a statement writes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Name {
    pub schema: Option<String>,
    pub table: String,
}

/// Reads a statement from its start. The body of a comment that the server executes (`/*! … */`) counts,
/// others do not.
#[derive(Clone)]
pub(super) struct Words<'a> {
    rest: &'a str,
    sql_mode: u64,
}

impl<'a> Words<'a> {
    pub fn new(text: &'a str, sql_mode: u64) -> Self {
        Self { rest: text, sql_mode }
    }

    /// The next word, which stays.
    pub fn peek(&self) -> Option<Word> {
        self.clone().next()
    }

    /// The next word in upper case if it is not quoted; else empty.
    pub fn next_upper(&mut self) -> String {
        self.next()
            .filter(|word| word.kind == Kind::Bare)
            .map(|word| word.text.to_ascii_uppercase())
            .unwrap_or_default()
    }

    /// Goes past the keyword if it comes next.
    pub fn pass(&mut self, keyword: &str) -> bool {
        let found = self.peek().is_some_and(|word| word.is(keyword));
        if found {
            self.next();
        }
        found
    }

    /// Goes past any of these keywords, and says whether there was one.
    pub fn skip_any(&mut self, keywords: &[&str]) -> bool {
        let mut found = false;
        while keywords.iter().any(|keyword| self.pass(keyword)) {
            found = true;
        }
        found
    }

    /// Goes past the sign if it comes next.
    pub fn skip_sign(&mut self, sign: &str) -> bool {
        let found = self.peek().is_some_and(|word| word.is_sign(sign));
        if found {
            self.next();
        }
        found
    }

    /// `IF EXISTS`, `IF NOT EXISTS`.
    pub fn skip_if_exists(&mut self) {
        self.skip_any(&["IF", "NOT", "EXISTS"]);
    }

    /// A table's name: `t`, `s.t`, `.t`.
    pub fn name(&mut self) -> Option<Name> {
        let mut ahead = self.clone();
        ahead.skip_sign(".");
        let first = ahead.next().filter(Word::is_name)?;
        *self = ahead.clone();
        if ahead.skip_sign(".")
            && let Some(table) = ahead.next().filter(Word::is_name)
        {
            *self = ahead;
            return Some(Name { schema: Some(first.text), table: table.text });
        }
        Some(Name { schema: None, table: first.text })
    }

    fn quoted(&mut self, quote: char, kind: Kind) -> Word {
        let escapes = kind == Kind::Text && self.sql_mode & NO_BACKSLASH_ESCAPES == 0;
        let mut text = String::new();
        let mut characters = self.rest.char_indices().skip(1).peekable();
        let mut end = self.rest.len();
        while let Some((place, character)) = characters.next() {
            if character == '\\' && escapes {
                text.extend(characters.next().map(|(_, escaped)| escaped));
                continue;
            }
            // A quote is written twice within the name.
            if character == quote && characters.next_if(|(_, next)| *next == quote).is_none() {
                end = place + 1;
                break;
            }
            text.push(character);
        }
        self.rest = &self.rest[end..];
        Word { text, kind }
    }

    fn skip_space(&mut self) {
        loop {
            let rest = self.rest.trim_start_matches(|character: char| {
                character.is_whitespace() || character == '\0' || character == ';'
            });
            let is_line = |start: &str| {
                rest.strip_prefix(start)
                    .is_some_and(|after| after.is_empty() || after.starts_with(['\n', '\t', ' ', '\r']))
            };
            let skipped = if rest.starts_with('#') || is_line("--") {
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

impl Iterator for Words<'_> {
    type Item = Word;

    fn next(&mut self) -> Option<Word> {
        self.skip_space();
        let first = self.rest.chars().next()?;
        match first {
            '`' => return Some(self.quoted(first, Kind::Name)),
            '"' if self.sql_mode & ANSI_QUOTES != 0 => return Some(self.quoted(first, Kind::Name)),
            '"' | '\'' => return Some(self.quoted(first, Kind::Text)),
            _ => {}
        }
        let is_name = |character: char| {
            character.is_alphanumeric() || matches!(character, '_' | '$') || u32::from(character) > 127
        };
        let end = self.rest.find(|character| !is_name(character)).unwrap_or(self.rest.len());
        let kind = if end == 0 { Kind::Sign } else { Kind::Bare };
        let (word, rest) = self.rest.split_at(end.max(first.len_utf8()));
        self.rest = rest;
        Some(Word { text: word.to_owned(), kind })
    }
}

#[cfg(test)]
mod tests {
    use super::{ANSI_QUOTES, Name, Words};
    use proptest::prelude::*;

    fn texts(text: &str, sql_mode: u64) -> Vec<String> {
        Words::new(text, sql_mode).map(|word| format!("{:?} {}", word.kind, word.text)).collect()
    }

    #[test]
    fn quotes_and_comments() {
        assert_eq!(
            texts("a/**/`b``c` -- x\n'd\\'e''f' \"g\"", 0),
            ["Bare a", "Name b`c", "Text d'e'f", "Text g"]
        );
        assert_eq!(
            texts("\"g\" 'a\\' /*!50003 b */ # c", ANSI_QUOTES | 1 << 20),
            ["Name g", "Text a\\", "Bare b"]
        );
        let mut words = Words::new("s . `t` , .u, v.*", 0);
        let name = |schema: Option<&str>, table: &str| {
            Some(Name { schema: schema.map(str::to_owned), table: table.to_owned() })
        };
        assert_eq!(words.name(), name(Some("s"), "t"));
        assert!(words.skip_sign(","));
        assert_eq!(words.name(), name(None, "u"));
        assert!(words.skip_sign(","));
        assert_eq!(words.name(), name(None, "v"));
    }

    proptest! {
        #[test]
        fn any_text_is_words(text: String, sql_mode: u64) {
            for _ in Words::new(&text, sql_mode) {}
        }
    }
}
