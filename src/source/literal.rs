//! Strings as SQL writes them.

use super::Dialect;

/// A string literal: with `standard_conforming_strings` on in PostgreSQL, and without `NO_BACKSLASH_ESCAPES`
/// in MySQL.
pub fn write_literal(out: &mut String, text: &str, dialect: Dialect) {
    out.push('\'');
    for letter in text.chars() {
        match letter {
            '\'' => out.push_str("''"),
            '\\' if dialect != Dialect::Postgres => out.push_str("\\\\"),
            _ => out.push(letter),
        }
    }
    out.push('\'');
}

#[cfg(test)]
mod tests {
    use super::{Dialect, write_literal};

    #[test]
    fn literals_are_quoted_for_each_database() {
        for (dialect, expected) in [
            (Dialect::Postgres, r"'it''s \'"),
            (Dialect::Mysql, r"'it''s \\'"),
            (Dialect::Mariadb, r"'it''s \\'"),
        ] {
            let mut out = String::new();
            write_literal(&mut out, r"it's \", dialect);
            assert_eq!(out, expected);
        }
    }
}
