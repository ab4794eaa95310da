//! One section of the file as it was typed: values by option, each with its place; what was left out has its
//! declared default.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;

use super::declaration::{Default, Setting};

/// A value of the kind that its setting declares.
#[derive(Clone)]
pub enum Value {
    /// Of `Text`, `Url` and `Choice`.
    Text(String),
    /// Of `Texts` and `SeveralOf`.
    Texts(Vec<String>),
    /// Of `Number`.
    Number(i64),
    /// Of `Switch`.
    Switch(bool),
    /// Of `Properties`.
    Properties(BTreeMap<String, String>),
    /// Of `Group`.
    Group(Entry),
}

/// Without the value, which may be a password.
impl fmt::Debug for Value {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("***")
    }
}

/// The settings of one section.
#[derive(Debug, Clone)]
pub struct Entry {
    settings: &'static [Setting],
    span: Range<usize>,
    typed: BTreeMap<&'static str, (Range<usize>, Value)>,
}

impl Entry {
    /// An entry that stands at `span`, with nothing typed yet.
    pub fn new(settings: &'static [Setting], span: Range<usize>) -> Self {
        Self { settings, span, typed: BTreeMap::new() }
    }

    /// What was typed for a setting, and where.
    pub fn set(&mut self, name: &'static str, span: Range<usize>, value: Value) {
        self.typed.insert(name, (span, value));
    }

    /// Whether the setting was typed.
    pub fn has(&self, name: &str) -> bool {
        self.typed.contains_key(name)
    }

    /// Where the setting stands, or else its section.
    pub fn span(&self, name: &str) -> &Range<usize> {
        self.typed.get(name).map_or(&self.span, |(span, _)| span)
    }

    /// The names of the settings that must be there and are not.
    pub fn missing(&self) -> impl Iterator<Item = &'static str> {
        let required = self.settings.iter().filter(|setting| matches!(setting.default, Default::Required));
        required.map(|setting| setting.name).filter(|name| !self.has(name))
    }

    /// A string; `None` if it was left out and has no default.
    pub fn text(&self, name: &str) -> Option<&str> {
        match (self.typed.get(name), self.default(name)) {
            (Some((_, Value::Text(text))), _) => Some(text),
            (None, Some(Default::Text(text, _))) => Some(text),
            _ => None,
        }
    }

    /// A list; empty if it was left out.
    pub fn texts(&self, name: &str) -> &[String] {
        match self.typed.get(name) {
            Some((_, Value::Texts(texts))) => texts,
            _ => &[],
        }
    }

    /// A number; `None` if it was left out and has no default.
    pub fn number(&self, name: &str) -> Option<i64> {
        match (self.typed.get(name), self.default(name)) {
            (Some((_, Value::Number(number))), _) | (None, Some(Default::Number(number, _))) => Some(*number),
            _ => None,
        }
    }

    /// A switch; off if it was left out and has no default.
    pub fn switch(&self, name: &str) -> bool {
        matches!(
            (self.typed.get(name), self.default(name)),
            (Some((_, Value::Switch(true))), _) | (None, Some(Default::Switch(true, _)))
        )
    }

    /// Names and values that are handed on.
    pub fn properties(&self, name: &str) -> BTreeMap<String, String> {
        match self.typed.get(name) {
            Some((_, Value::Properties(properties))) => properties.clone(),
            _ => BTreeMap::new(),
        }
    }

    /// The settings of a group; all defaults if it was left out.
    pub fn group(&self, name: &str) -> Self {
        let settings =
            match self.settings.iter().find(|setting| setting.name == name).map(|setting| &setting.kind) {
                Some(super::declaration::Kind::Group(settings)) => settings,
                _ => &[][..],
            };
        match self.typed.get(name) {
            Some((_, Value::Group(group))) => group.clone(),
            _ => Self::new(settings, self.span.clone()),
        }
    }

    fn default(&self, name: &str) -> Option<&'static Default> {
        let found = self.settings.iter().find(|setting| setting.name == name);
        debug_assert!(found.is_some(), "no setting {name:?} is declared");
        found.map(|setting| &setting.default)
    }
}
