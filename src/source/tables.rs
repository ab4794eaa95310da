//! Which tables a source captures: patterns over `schema.table`.

use crate::finding::{Finding, listed};
use crate::glob::Glob;
use crate::{Code, Error, Result};

/// The patterns of one source, in the order they were written; the last one that matches decides.
#[derive(Debug, Clone)]
pub struct Tables {
    patterns: Vec<(bool, Glob)>,
    /// As written, for messages.
    pub written: Vec<String>,
}

impl Tables {
    /// `*` stands for any characters and `?` for one; `!` in front leaves out what it matches. A name without
    /// a schema lies in `default_schema`.
    pub fn parse(written: &[String], default_schema: &str) -> Result<Self> {
        if !written.iter().any(|pattern| !pattern.starts_with('!')) {
            return Err(Error::usage(Code::ConfigInvalid, "`tables` names no table")
                .hint("write tables = [\"public.*\"] or the like"));
        }
        let patterns = written.iter().map(|pattern| {
            let (wanted, name) =
                pattern.strip_prefix('!').map_or((true, pattern.as_str()), |name| (false, name));
            let name = if name.contains('.') { name.to_owned() } else { format!("{default_schema}.{name}") };
            (wanted, Glob::new(name))
        });
        Ok(Self { patterns: patterns.collect(), written: written.to_vec() })
    }

    /// Whether the table is captured.
    pub fn contains(&self, schema: &str, table: &str) -> bool {
        let name = format!("{schema}.{table}");
        self.patterns
            .iter()
            .rev()
            .find(|(_, pattern)| pattern.matches(&name))
            .is_some_and(|(wanted, _)| *wanted)
    }

    /// Whether a pattern with `!` says that the table is not captured; of other tables nobody has spoken.
    pub fn leaves_out(&self, schema: &str, table: &str) -> bool {
        let name = format!("{schema}.{table}");
        self.patterns
            .iter()
            .rev()
            .find(|(_, pattern)| pattern.matches(&name))
            .is_some_and(|(wanted, _)| !*wanted)
    }

    /// The patterns, as written, that match none of these tables (schema and name): misspelt, or of tables
    /// that are still to come.
    pub fn unmatched<'a>(&self, tables: impl Iterator<Item = (&'a str, &'a str)>) -> Vec<&str> {
        let names: Vec<String> = tables.map(|(schema, name)| format!("{schema}.{name}")).collect();
        let is_idle =
            |(wanted, pattern): &(bool, Glob)| *wanted && !names.iter().any(|name| pattern.matches(name));
        self.patterns
            .iter()
            .zip(&self.written)
            .filter(|(pattern, _)| is_idle(pattern))
            .map(|(_, written)| written.as_str())
            .collect()
    }

    /// What `check` says of the tables that matched.
    pub fn finding<'a>(&self, tables: impl Iterator<Item = (&'a str, &'a str)> + Clone) -> Finding {
        let names: Vec<String> = tables.clone().map(|(schema, name)| format!("{schema}.{name}")).collect();
        let fact = format!("{} matched: {}", names.len(), listed(&names));
        match self.unmatched(tables)[..] {
            [] => Finding::ok("tables", fact),
            ref idle => Finding::warn(
                "tables",
                format!("{fact}; nothing matches {}", listed(idle)),
                "correct the patterns, or create the tables",
            ),
        }
    }

    /// Tells of them when a source starts.
    pub fn warn_of_unmatched<'a>(&self, source: &str, tables: impl Iterator<Item = (&'a str, &'a str)>) {
        for pattern in self.unmatched(tables) {
            tracing::warn!(source, pattern, "no table matches this pattern");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Tables;

    #[test]
    fn the_last_match_decides() {
        let written =
            ["public.*", "!public.audit*", "public.audit_log", "Mixed", "shop.o?"].map(str::to_owned);
        let tables = Tables::parse(&written, "public").unwrap();
        let captured =
            |name: &str| name.split_once('.').is_some_and(|(schema, table)| tables.contains(schema, table));
        for name in ["public.test", "public.audit_log", "public.Mixed", "shop.o1"] {
            assert!(captured(name), "{name}");
        }
        for name in ["public.audit_old", "private.test", "shop.orders", "publicxtest"] {
            assert!(!captured(name), "{name}");
        }
        let left_out = ["public.audit_old", "private.test", "public.test"].map(|name| {
            let (schema, table) = name.split_once('.').unwrap();
            tables.leaves_out(schema, table)
        });
        assert_eq!(left_out, [true, false, false]);
        assert!(Tables::parse(&["!a.b".to_owned()], "public").is_err());
        let there = [("public", "test"), ("shop", "o1")];
        assert_eq!(tables.unmatched(there.into_iter()), ["public.audit_log", "Mixed"]);
    }
}
