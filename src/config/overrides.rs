//! What stands above the file: environment variables such as `LIST_SYNC__KAFKA__BROKERS`, and flags such as
//! `--set kafka.brokers=…`. Both are put into the parsed document before it is walked, so that they are held
//! against the declarations like all that was typed there.

use std::borrow::Cow;
use std::ffi::OsString;
use std::fmt;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue};

use super::declaration::{Kind, Section, Setting};
use super::fault::{Faults, suggestion};
use crate::secret::Secret;
use crate::{Code, Error, Result};

#[cfg(test)]
mod tests;

/// What the names of our variables begin with; `__` stands where a key has a dot.
const PREFIX: &str = "LIST_SYNC__";

/// Properties of librdkafka whose names have a `_`; in all others the `_` of a variable's name stands for a
/// dot.
const UNDERSCORED: &[&str] = &["log_level"];

/// One value from outside the file.
#[derive(Debug, Clone)]
pub struct Override {
    /// What messages name: `--set kafka.brokers`, `LIST_SYNC__KAFKA__BROKERS`.
    pub place: String,
    /// Section, then the element's name or number if the section may stand several times, then the option.
    path: Vec<String>,
    value: Given,
    of_environment: bool,
}

/// The value as it was given.
#[derive(Clone)]
pub enum Given {
    /// Read by the kind of the option that it is for.
    Text(Secret),
    /// A list already.
    List(Vec<String>),
}

impl Given {
    /// A text.
    pub fn text(text: &str) -> Self {
        Self::Text(Secret::new(text))
    }
}

/// Without the value, which may hold a password.
impl fmt::Debug for Given {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("***")
    }
}

/// The variables that are ours, sorted by name.
pub fn of_environment(variables: impl Iterator<Item = (OsString, OsString)>) -> Vec<Override> {
    let ours = variables.filter_map(|(name, value)| {
        let name = name.into_string().ok()?;
        let path = name.strip_prefix(PREFIX)?.to_ascii_lowercase().split("__").map(str::to_owned).collect();
        Some(Override {
            path,
            value: Given::text(&value.to_string_lossy()),
            place: name,
            of_environment: true,
        })
    });
    let mut ours: Vec<_> = ours.collect();
    ours.sort_by(|a, b| a.place.cmp(&b.place));
    ours
}

/// What `--set KEY=VALUE` says, in the order of the line.
pub fn of_set(set: &[String]) -> Result<Vec<Override>> {
    let parse = |text: &String| {
        let hint =
            "write --set kafka.brokers=host:9092, or --set source.NAME.tables=public.orders,public.customers";
        // The text may hold a password and is not repeated.
        let (key, value) = text.split_once('=').ok_or_else(|| {
            Error::usage(Code::ArgumentInvalid, "--set has no \"=\" between key and value").hint(hint)
        })?;
        if key.trim().rsplit('.').next() == Some("url") {
            super::warn_of_password(value);
        }
        Ok(Override::of_flag(&format!("--set {}", key.trim()), key.trim(), Given::text(value)))
    };
    set.iter().map(parse).collect()
}

impl Override {
    /// A flag that says what the option `key` says in a file.
    pub fn of_flag(place: &str, key: &str, value: Given) -> Self {
        Self {
            place: place.to_owned(),
            path: key.split('.').map(str::to_owned).collect(),
            value,
            of_environment: false,
        }
    }

    /// Puts the value where its key says; a key that leads nowhere goes to `faults`. Its place there is
    /// `span`.
    pub fn put_into<'i>(
        &'i self,
        document: &mut DeTable<'i>,
        sections: &'static [Section],
        span: &Range<usize>,
        faults: &mut Faults,
    ) {
        if let Err(what) = self.put(document, sections, span) {
            faults.add(span, what);
        }
    }

    fn put<'i>(
        &'i self,
        document: &mut DeTable<'i>,
        sections: &'static [Section],
        span: &Range<usize>,
    ) -> Result<(), String> {
        let (name, rest) =
            self.path.split_first().map_or(("", &[][..]), |(name, rest)| (name.as_str(), rest));
        let Some(section) = sections.iter().find(|section| section.name == name) else {
            let names: Vec<_> = sections.iter().map(|section| section.name).collect();
            return Err(format!("unknown section {name:?}{}", suggestion(name, &names)));
        };
        if section.repeated {
            let (element, rest) = rest.split_first().ok_or_else(|| self.lacks_option(section))?;
            let elements = child(document, name, span, || DeValue::Array(DeArray::new()));
            // What is of the wrong kind in the file is told when it is walked.
            let DeValue::Array(elements) = elements else { return Ok(()) };
            match self.element(elements, element, section, span)? {
                DeValue::Table(table) => self.set(table, rest, section, span),
                _ => Ok(()),
            }
        } else {
            match child(document, name, span, || DeValue::Table(DeTable::new())) {
                DeValue::Table(table) => self.set(table, rest, section, span),
                _ => Ok(()),
            }
        }
    }

    fn lacks_option(&self, section: &Section) -> String {
        let key = if section.repeated {
            format!("{}.NAME.OPTION", section.name)
        } else {
            format!("{}.OPTION", section.name)
        };
        let key = if self.of_environment {
            format!("{PREFIX}{}", key.to_uppercase().replace('.', "__"))
        } else {
            key
        };
        format!("names no option; expected {key}")
    }

    /// The element of this name, or else of this number from 0; the number behind the last one makes a new
    /// element.
    fn element<'d, 'i>(
        &self,
        elements: &'d mut DeArray<'i>,
        wanted: &str,
        section: &Section,
        span: &Range<usize>,
    ) -> Result<&'d mut DeValue<'i>, String> {
        let names: Vec<String> =
            elements.iter().map(|element| name_of(element.get_ref()).to_owned()).collect();
        let same = |name: &String| {
            if self.of_environment { variable_part(name) == variable_part(wanted) } else { name == wanted }
        };
        let found: Vec<usize> = (0..names.len()).filter(|&index| same(&names[index])).collect();
        let index = match (&found[..], wanted.parse::<usize>()) {
            ([index], _) => *index,
            ([], Ok(number)) if number < names.len() => number,
            ([], Ok(number)) if number == names.len() => {
                elements.push(Spanned::new(span.clone(), DeValue::Table(DeTable::new())));
                number
            }
            ([], Ok(number)) => {
                return Err(format!(
                    "there is no [[{}]] number {number}; the next new one is {}",
                    section.name,
                    names.len()
                ));
            }
            ([], Err(_)) => {
                let names: Vec<&str> = names.iter().map(String::as_str).collect();
                let near = if names.is_empty() { String::new() } else { suggestion(wanted, &names) };
                return Err(format!(
                    "there is no [[{}]] {wanted:?}{near}; number {} would be a new one",
                    section.name,
                    names.len()
                ));
            }
            _ => {
                return Err(format!(
                    "{wanted:?} could be more than one [[{}]]; write its number, counted from 0",
                    section.name
                ));
            }
        };
        elements.get_mut(index).map(Spanned::get_mut).ok_or_else(|| "no element".to_owned())
    }

    /// Sets the option that `path` names within a table of these settings.
    fn set<'i>(
        &'i self,
        table: &mut DeTable<'i>,
        path: &[String],
        section: &'static Section,
        span: &Range<usize>,
    ) -> Result<(), String> {
        let (mut table, mut path, mut settings) = (table, path, section.options);
        loop {
            let (name, rest) = path.split_first().ok_or_else(|| self.lacks_option(section))?;
            let declared: Option<&'static Setting> = settings.iter().find(|setting| setting.name == name);
            match declared.map(|setting| &setting.kind) {
                Some(Kind::Group(within)) if !rest.is_empty() => {
                    let DeValue::Table(group) = child(table, name, span, || DeValue::Table(DeTable::new()))
                    else {
                        return Ok(());
                    };
                    (table, path, settings) = (group, rest, within);
                }
                Some(Kind::Properties) if !rest.is_empty() => {
                    let DeValue::Table(properties) =
                        child(table, name, span, || DeValue::Table(DeTable::new()))
                    else {
                        return Ok(());
                    };
                    insert(properties, &self.property(rest), span, self.value(None));
                    return Ok(());
                }
                _ if !rest.is_empty() => {
                    return Err(format!("{name:?} is no table of options; nothing can stand behind it"));
                }
                kind => {
                    insert(table, name, span, self.value(kind));
                    return Ok(());
                }
            }
        }
    }

    fn property(&self, path: &[String]) -> String {
        let written = path.join(".");
        let is_known = UNDERSCORED.contains(&written.as_str());
        if self.of_environment && !is_known { written.replace('_', ".") } else { written }
    }

    /// The value as the option's kind writes it; one that does not fit stays a text, which the walk refuses.
    fn value(&self, kind: Option<&Kind>) -> DeValue<'_> {
        let text = match &self.value {
            Given::List(texts) => return list(texts.iter().cloned()),
            Given::Text(text) => text.reveal(),
        };
        let as_toml = || DeValue::parse(text).ok().map(Spanned::into_inner);
        let text_of = || DeValue::String(Cow::Owned(text.to_owned()));
        match kind {
            Some(Kind::Texts | Kind::SeveralOf(_)) if !text.trim_start().starts_with('[') => {
                list(text.split(',').map(|part| part.trim().to_owned()).filter(|part| !part.is_empty()))
            }
            Some(
                Kind::Texts
                | Kind::SeveralOf(_)
                | Kind::Number { .. }
                | Kind::Switch
                | Kind::Properties
                | Kind::Group(_),
            ) => as_toml().unwrap_or_else(text_of),
            None | Some(Kind::Text { .. } | Kind::Url | Kind::Choice(_)) => text_of(),
        }
    }
}

fn list(texts: impl Iterator<Item = String>) -> DeValue<'static> {
    let mut array = DeArray::new();
    texts.for_each(|text| array.push(Spanned::new(0..0, DeValue::String(Cow::Owned(text)))));
    DeValue::Array(array)
}

/// The value of this key, made if it is not there.
fn child<'d, 'i>(
    table: &'d mut DeTable<'i>,
    key: &str,
    span: &Range<usize>,
    new: impl FnOnce() -> DeValue<'i>,
) -> &'d mut DeValue<'i> {
    let key = Spanned::new(span.clone(), Cow::Owned(key.to_owned()));
    table.entry(key).or_insert_with(|| Spanned::new(span.clone(), new())).get_mut()
}

/// Replaces key and value, so that both stand where the override does.
fn insert<'i>(table: &mut DeTable<'i>, key: &str, span: &Range<usize>, value: DeValue<'i>) {
    table.remove(key);
    table.insert(Spanned::new(span.clone(), Cow::Owned(key.to_owned())), placed(value, span));
}

/// The value with all that is in it at one place.
fn placed<'i>(value: DeValue<'i>, span: &Range<usize>) -> Spanned<DeValue<'i>> {
    let value = match value {
        DeValue::Array(array) => {
            let mut moved = DeArray::new();
            array.into_iter().for_each(|element| moved.push(placed(element.into_inner(), span)));
            DeValue::Array(moved)
        }
        DeValue::Table(table) => {
            let entries = table.into_iter().map(|(key, value)| {
                (Spanned::new(span.clone(), key.into_inner()), placed(value.into_inner(), span))
            });
            DeValue::Table(entries.collect())
        }
        plain => plain,
    };
    Spanned::new(span.clone(), value)
}

fn name_of<'d>(element: &'d DeValue<'_>) -> &'d str {
    let DeValue::Table(table) = element else { return "" };
    match table.get("name").map(Spanned::get_ref) {
        Some(DeValue::String(name)) => name,
        _ => "",
    }
}

/// A name as it stands in a variable's: `web-shop` as `WEB_SHOP`.
fn variable_part(name: &str) -> String {
    name.to_ascii_lowercase().replace('-', "_")
}
