//! Patterns over names, of tables and of topics: `*` stands for any characters, `?` for one.
//!
//! No library: those for files give `/`, `[` and `{` meanings of their own.

/// Whether a text means other names than itself.
pub fn is_pattern(text: &str) -> bool {
    text.contains(['*', '?'])
}

/// A pattern. Every text is one; without `*` and `?` it means the name itself.
///
/// ```
/// use list_sync::glob::Glob;
///
/// let glob = Glob::new("shop.*.o?");
/// assert!(glob.matches("shop.public.o1") && !glob.matches("shop.public.orders"));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Glob(String);

impl Glob {
    /// Of the pattern as it was typed.
    pub fn new(pattern: impl Into<String>) -> Self {
        Self(pattern.into())
    }

    /// Whether the whole name is one that the pattern means.
    pub fn matches(&self, name: &str) -> bool {
        let (mut pattern, mut rest) = (self.0.as_str(), name);
        // What follows the last `*`, and what that `*` leaves of the name. The ones before it took as little
        // as they could, so only the last one may have to take more.
        let mut star: Option<(&str, &str)> = None;
        loop {
            if let Some(behind) = pattern.strip_prefix('*') {
                (pattern, star) = (behind, Some((behind, rest)));
                continue;
            }
            let (mut wanted, mut left) = (pattern.chars(), rest.chars());
            match (wanted.next(), left.next()) {
                (None, None) => return true,
                (Some(one), Some(other)) if one == '?' || one == other => {
                    (pattern, rest) = (wanted.as_str(), left.as_str());
                }
                _ => {
                    let Some((behind, left)) = star else { return false };
                    let mut left = left.chars();
                    if left.next().is_none() {
                        return false;
                    }
                    (pattern, rest) = (behind, left.as_str());
                    star = Some((pattern, rest));
                }
            }
        }
    }

    /// A regular expression from `^` to `$` that matches the same names, as Kafka's clients take it for a
    /// subscription (POSIX, extended). For names without line ends.
    pub fn to_regex(&self) -> String {
        let mut out = String::from("^");
        for letter in self.0.chars() {
            match letter {
                '*' => out.push_str(".*"),
                '?' => out.push('.'),
                _ if r"\.+()|[]{}^$-".contains(letter) => out.extend(['\\', letter]),
                _ => out.push(letter),
            }
        }
        out.push('$');
        out
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use regex::Regex;

    use super::Glob;

    #[test]
    fn patterns_match_whole_names() {
        for (pattern, name) in [
            ("a", "a"),
            ("*", ""),
            ("a.*", "a.b.c"),
            ("*.c", "a.b.c"),
            ("a*b*c", "a1b2bc"),
            ("a?c", "abc"),
            ("gr??e", "größe"),
            ("*\n*", "a\nb"),
            ("**", "x"),
        ] {
            assert!(Glob::new(pattern).matches(name), "{pattern} {name}");
        }
        for (pattern, name) in
            [("a", "ab"), ("", "a"), ("a.*", "ab.c"), ("?", ""), ("a*b", "a1b2"), ("*ab", "b"), ("a?", "aßb")]
        {
            assert!(!Glob::new(pattern).matches(name), "{pattern} {name}");
        }
    }

    #[test]
    fn regular_expressions_are_anchored_and_escaped() {
        assert_eq!(Glob::new("shop.public.*").to_regex(), r"^shop\.public\..*$");
        assert_eq!(Glob::new("a-b_c?").to_regex(), r"^a\-b_c.$");
    }

    /// As the meaning is said, letter by letter; slow.
    fn means(pattern: &[char], name: &[char]) -> bool {
        match (pattern, name) {
            ([], []) => true,
            (['*', behind @ ..], _) => (0..=name.len()).any(|taken| means(behind, &name[taken..])),
            (['?', behind @ ..], [_, rest @ ..]) => means(behind, rest),
            ([one, behind @ ..], [other, rest @ ..]) => one == other && means(behind, rest),
            _ => false,
        }
    }

    proptest! {
        #[test]
        fn names_match_as_it_is_said(pattern in "[abß*?]{0,8}", name in "[abß\n]{0,10}") {
            let [one, other] = [&pattern, &name].map(|text| text.chars().collect::<Vec<_>>());
            prop_assert_eq!(Glob::new(&pattern).matches(&name), means(&one, &other));
        }

        #[test]
        fn the_regular_expression_matches_the_same_names(pattern in "[a.*?+^$|(){}\\[\\]\\\\-]{0,8}",
            name in "[a.*?+^$|(){}\\[\\]\\\\-]{0,8}")
        {
            let glob = Glob::new(&pattern);
            let regex = Regex::new(&glob.to_regex()).unwrap();
            prop_assert_eq!(regex.is_match(&name), glob.matches(&name));
            // A name as a pattern of itself, lest hardly any pair matches.
            let itself = Glob::new(name.replace(['*', '?'], "?"));
            prop_assert!(itself.matches(&name) && Regex::new(&itself.to_regex()).unwrap().is_match(&name));
        }
    }
}
