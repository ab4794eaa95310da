//! The name of a table's topic: a template with `{source}`, `{schema}` and `{table}`.

use std::collections::HashMap;

use super::fault::template_fault;
use crate::template::Template;
use crate::{Code, Error};

const NAMES: &[&str] = &["source", "schema", "table"];

/// The topics of one source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicName {
    template: Template,
    source: String,
}

impl TopicName {
    /// The template as it is typed, for the source of this name. The error completes "…: ".
    pub fn parse(template: &str, source: &str) -> Result<Self, String> {
        let template =
            Template::parse(template, NAMES).map_err(|fault| template_fault(template, fault, NAMES))?;
        Ok(Self { template, source: source.to_owned() })
    }

    /// The topic of a table. Kafka allows letters, digits, `.`, `_` and `-` (`Topic.java`, `LEGAL_CHARS`);
    /// any other character of a name becomes `_`, as Debezium does it.
    pub fn of(&self, schema: &str, table: &str) -> String {
        self.spelled_out(schema, table)
            .chars()
            .map(|letter| if is_legal(letter) { letter } else { '_' })
            .collect()
    }

    /// The same before any character is replaced. Tables of which this differs, and [`TopicName::of`] does
    /// not, would share one topic although the template keeps them apart.
    pub fn spelled_out(&self, schema: &str, table: &str) -> String {
        self.template.fill(|part| match part {
            "source" => self.source.as_str(),
            "schema" => schema,
            _ => table,
        })
    }

    /// Fails if two of these tables (schema and name) would share a topic that the template keeps apart.
    pub fn check_tables<'a>(&self, tables: impl Iterator<Item = (&'a str, &'a str)>) -> Result<(), Error> {
        let mut owners = TopicOwners::default();
        tables.into_iter().try_for_each(|(schema, table)| owners.add(self, schema, table))
    }

    /// The pattern that the topics of all tables match: `shop.*.*`.
    pub fn pattern(&self) -> String {
        self.template.fill(|part| if part == "source" { self.source.as_str() } else { "*" })
    }

    /// Whether all tables share one topic.
    pub fn is_fixed(&self) -> bool {
        !self.pattern().contains('*')
    }
}

/// Which table of a source each topic belongs to, to find tables that would share one only because of
/// characters that Kafka does not allow.
#[derive(Debug, Default)]
pub struct TopicOwners(HashMap<String, (String, String)>);

impl TopicOwners {
    /// Notes a table. A `Stop` if its topic is one of another table, and the source's template does not want
    /// that.
    pub fn add(&mut self, topic: &TopicName, schema: &str, table: &str) -> Result<(), Error> {
        let (name, spelled) = (topic.of(schema, table), topic.spelled_out(schema, table));
        let qualified = format!("{schema}.{table}");
        match self.0.get(&name) {
            Some((other, of)) if *other != spelled => Err(Error::stop(
                Code::TopicsCollide,
                format!(
                    "tables {of:?} and {qualified:?} would share topic {name:?}: Kafka allows letters, \
                 digits, \".\", \"_\" and \"-\" in a topic's name, \
                 and every other character becomes \"_\""
                ),
            )
            .hint(
                "leave one of them out of `tables`, or give it a source of its own, with a `topic` of its \
                own",
            )),
            Some(_) => Ok(()),
            None => {
                self.0.insert(name, (spelled, qualified));
                Ok(())
            }
        }
    }
}

/// Whether a topic's name may have this character.
pub fn is_legal(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || matches!(letter, '.' | '_' | '-')
}

#[cfg(test)]
mod tests {
    use super::{TopicName, TopicOwners};

    #[test]
    fn names_and_patterns() {
        let topic = TopicName::parse("{source}.{schema}.{table}", "shop").unwrap();
        assert_eq!(topic.of("public", "test"), "shop.public.test");
        assert_eq!(topic.of("public", "größe in m"), "shop.public.gr__e_in_m");
        assert_eq!((topic.pattern().as_str(), topic.is_fixed()), ("shop.*.*", false));
        let fixed = TopicName::parse("everything", "shop").unwrap();
        assert_eq!((fixed.of("a", "b").as_str(), fixed.is_fixed()), ("everything", true));
        assert!(TopicName::parse("{sauce}", "shop").is_err());
    }

    #[test]
    fn tables_that_only_the_topic_does_not_tell_apart_are_refused() {
        let topic = TopicName::parse("{source}.{schema}.{table}", "shop").unwrap();
        let mut owners = TopicOwners::default();
        for (schema, table) in [("tenant 1", "t"), ("tenant-1", "t"), ("tenant 1", "t"), ("public", "größe")]
        {
            owners.add(&topic, schema, table).unwrap();
        }
        for (schema, table) in [("tenant_1", "t"), ("public", "gräße")] {
            let error = owners.add(&topic, schema, table).unwrap_err().to_string();
            assert!(
                error.contains("would share topic \"shop.") && error.contains(&format!("{schema}.{table}")),
                "{error}"
            );
        }
        let fixed = TopicName::parse("{source}.{table}", "shop").unwrap();
        let mut owners = TopicOwners::default();
        for schema in ["a", "b"] {
            owners.add(&fixed, schema, "t").unwrap();
        }
    }
}
