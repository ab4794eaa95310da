//! The name of a table's topic: a template with `{source}`, `{schema}` and `{table}`.

use super::template::{Template, TemplateFault};

/// The topics of one source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicName {
    template: Template,
    source: String,
}

impl TopicName {
    /// The template as it is typed, for the source of this name. The error completes "…: ".
    pub fn parse(template: &str, source: &str) -> Result<Self, TemplateFault> {
        let template = Template::parse(template, &["source", "schema", "table"])?;
        Ok(Self { template, source: source.to_owned() })
    }

    /// The topic of a table. Kafka allows letters, digits, `.`, `_` and `-` (`Topic.java`, `LEGAL_CHARS`); any other character of a name
    /// becomes `_`, as Debezium does it. Two tables may so meet in one topic: that is no harm, each message names its table.
    pub fn of(&self, schema: &str, table: &str) -> String {
        let name = self.template.fill(|part| match part {
            "source" => &self.source,
            "schema" => schema,
            _ => table,
        });
        name.chars().map(|letter| if is_legal(letter) { letter } else { '_' }).collect()
    }

    /// The pattern that the topics of all tables match: `shop.*.*`.
    pub fn pattern(&self) -> String {
        self.template.fill(|part| if part == "source" { &self.source } else { "*" })
    }

    /// Whether all tables share one topic.
    pub fn is_fixed(&self) -> bool {
        !self.pattern().contains('*')
    }
}

/// Whether a topic's name may have this character.
pub fn is_legal(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || matches!(letter, '.' | '_' | '-')
}

/// Whether `name` is one that `pattern` means: `*` stands for any characters, `?` for one.
pub fn topic_matches(pattern: &str, name: &str) -> bool {
    let (pattern, name) = (pattern.as_bytes(), name.as_bytes());
    let (mut at, mut place) = (0, 0);
    // Where the last `*` stood, and how far it reaches so far.
    let mut star = None;
    while place < name.len() {
        match pattern.get(at) {
            Some(b'*') => {
                star = Some((at, place));
                at += 1;
            }
            Some(letter) if *letter == b'?' || *letter == name[place] => (at, place) = (at + 1, place + 1),
            _ => {
                let Some((stood, reach)) = star else { return false };
                star = Some((stood, reach + 1));
                (at, place) = (stood + 1, reach + 1);
            }
        }
    }
    pattern[at..].iter().all(|letter| *letter == b'*')
}

#[cfg(test)]
mod tests {
    use super::{TopicName, topic_matches};

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
    fn patterns_match_whole_names() {
        for (pattern, name) in [("a", "a"), ("*", ""), ("a.*", "a.b.c"), ("*.c", "a.b.c"), ("a*b*c", "a1b2bc"), ("a?c", "abc"), ("**", "x")]
        {
            assert!(topic_matches(pattern, name), "{pattern} {name}");
        }
        for (pattern, name) in [("a", "ab"), ("", "a"), ("a.*", "ab.c"), ("?", ""), ("a*b", "a1b2"), ("*ab", "b")] {
            assert!(!topic_matches(pattern, name), "{pattern} {name}");
        }
    }
}
