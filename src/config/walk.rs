//! Walks the parsed TOML beside the declarations: what the user typed comes out as entries, what does not fit
//! as faults.

use std::collections::BTreeMap;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::declaration::{Choices, Kind, Section, Setting};
use super::entry::{Entry, Value};
use super::fault::{Faults, suggestion};
use super::overrides::Override;
use super::variables::{Outside, expand, expand_url};

type Placed<'i> = Spanned<DeValue<'i>>;

/// What was typed, section by section, in the order of the file.
#[derive(Debug, Default)]
pub struct Typed {
    /// Section name -> its entries.
    pub sections: BTreeMap<&'static str, Vec<Entry>>,
    /// Understood, but not built yet: where it stands and what it is.
    pub unbuilt: Vec<(Range<usize>, String)>,
}

/// Reads the text of a file and puts what stands above it in; what is wrong goes to `faults`.
pub fn walk(
    text: &str,
    above: &[(Range<usize>, &Override)],
    sections: &'static [Section],
    outside: Outside<'_>,
    faults: &mut Faults,
) -> Typed {
    let (document, errors) = DeTable::parse_recoverable(text);
    for error in &errors {
        faults.add(
            &error.span().unwrap_or(0..0),
            format!("this is no TOML: {}", error.message().replace('\n', " ")),
        );
    }
    let mut document = document.into_inner();
    for (span, over) in above {
        over.put_into(&mut document, sections, span, faults);
    }
    let mut walk = Walk { outside, faults, typed: Typed::default() };
    if errors.is_empty() {
        walk.document(&document, sections);
    }
    walk.typed
}

struct Walk<'a> {
    outside: Outside<'a>,
    faults: &'a mut Faults,
    typed: Typed,
}

impl Walk<'_> {
    fn document(&mut self, document: &DeTable<'_>, sections: &'static [Section]) {
        for (key, value) in document {
            let Some(section) = sections.iter().find(|section| section.name == key.get_ref()) else {
                let names: Vec<_> = sections.iter().map(|section| section.name).collect();
                self.faults.add(
                    &key.span(),
                    format!("unknown section {:?}{}", key.get_ref(), suggestion(key.get_ref(), &names)),
                );
                continue;
            };
            if !section.built {
                self.typed.unbuilt.push((key.span(), format!("[{}]", section.name)));
            }
            let entries = match (value.get_ref(), section.repeated) {
                (DeValue::Table(table), false) => {
                    vec![self.entry(table, section.options, key.span(), &heading(section))]
                }
                (DeValue::Array(array), true) => {
                    array.iter().filter_map(|element| self.element(element, section)).collect()
                }
                _ => {
                    self.faults.add(
                        &key.span(),
                        format!("{:?} is no section; expected {}", section.name, heading(section)),
                    );
                    continue;
                }
            };
            self.typed.sections.insert(section.name, entries);
        }
    }

    fn element(&mut self, element: &Placed<'_>, section: &'static Section) -> Option<Entry> {
        if let DeValue::Table(table) = element.get_ref() {
            return Some(self.entry(table, section.options, element.span(), &heading(section)));
        }
        self.faults.add(&element.span(), format!("expected {}", heading(section)));
        None
    }

    /// The settings of one table; `within` names it in messages.
    fn entry(
        &mut self,
        table: &DeTable<'_>,
        settings: &'static [Setting],
        span: Range<usize>,
        within: &str,
    ) -> Entry {
        let mut entry = Entry::new(settings, span.clone());
        let mut names_met = Vec::new();
        for (key, value) in table {
            let name: &str = key.get_ref();
            let Some(setting) = settings.iter().find(|setting| setting.name == name) else {
                let names: Vec<_> = settings.iter().map(|setting| setting.name).collect();
                self.faults.add(
                    &key.span(),
                    format!("unknown option {name:?} in {within}{}", suggestion(name, &names)),
                );
                continue;
            };
            names_met.push(setting.name);
            if let Some(typed) = self.value(value, setting) {
                entry.set(setting.name, value.span(), typed);
            }
        }
        for name in entry.missing().filter(|name| !names_met.contains(name)) {
            self.faults.add(&span, format!("{within} has no {name:?}, which is required"));
        }
        entry
    }

    fn value(&mut self, value: &Placed<'_>, setting: &'static Setting) -> Option<Value> {
        let typed = match (&setting.kind, value.get_ref()) {
            (Kind::Text, DeValue::String(text)) => self.expanded(value, text, expand).map(Value::Text),
            (Kind::Url, DeValue::String(text)) => self.expanded(value, text, expand_url).map(Value::Text),
            (Kind::Choice(choices), DeValue::String(text)) => {
                self.choice(value, text, choices, setting.name).map(Value::Text)
            }
            (Kind::Texts, DeValue::Array(array)) => {
                array.iter().map(|element| self.text(element)).collect::<Option<_>>().map(Value::Texts)
            }
            (Kind::SeveralOf(choices), DeValue::Array(array)) => {
                let typed = array.iter().map(|element| match element.get_ref() {
                    DeValue::String(text) => self.choice(element, text, choices, setting.name),
                    _ => self.text(element),
                });
                typed.collect::<Option<_>>().map(Value::Texts)
            }
            (Kind::Number { min, max, .. }, DeValue::Integer(number)) => {
                let digits = number.as_str().replace('_', "");
                let number = i64::from_str_radix(&digits, number.radix())
                    .ok()
                    .filter(|number| (min..=max).contains(&number));
                if number.is_none() {
                    self.unexpected(value, setting);
                }
                number.map(Value::Number)
            }
            (Kind::Switch, DeValue::Boolean(switch)) => Some(Value::Switch(*switch)),
            (Kind::Properties, DeValue::Table(table)) => Some(Value::Properties(self.properties(table))),
            (Kind::Group(settings), DeValue::Table(table)) => {
                Some(Value::Group(self.entry(table, settings, value.span(), &format!("{:?}", setting.name))))
            }
            _ => {
                self.unexpected(value, setting);
                None
            }
        };
        typed.filter(|typed| !self.is_empty(typed, value, setting))
    }

    /// An empty string or list says nothing; only `unchanged` and the list of what is added may be empty on
    /// purpose.
    fn is_empty(&mut self, typed: &Value, value: &Placed<'_>, setting: &'static Setting) -> bool {
        let empty = match typed {
            Value::Text(text) => text.is_empty() && setting.name != "unchanged",
            Value::Texts(texts) => texts.is_empty() && matches!(setting.kind, Kind::Texts),
            _ => false,
        };
        if empty {
            self.faults
                .add(&value.span(), format!("{:?} is empty; leave it out or give it a value", setting.name));
        }
        empty
    }

    fn unexpected(&mut self, value: &Placed<'_>, setting: &Setting) {
        let found = match value.get_ref() {
            DeValue::String(_) => "a string".to_owned(),
            DeValue::Integer(number) => number.to_string(),
            DeValue::Float(_) => "a number with a fraction".to_owned(),
            DeValue::Boolean(switch) => switch.to_string(),
            DeValue::Datetime(_) => "a time".to_owned(),
            DeValue::Array(_) => "a list".to_owned(),
            DeValue::Table(_) => "a table".to_owned(),
        };
        self.faults.add(
            &value.span(),
            format!("{:?} is {found}; expected {}", setting.name, setting.kind.expected()),
        );
    }

    /// An element of a list of strings.
    fn text(&mut self, element: &Placed<'_>) -> Option<String> {
        if let DeValue::String(text) = element.get_ref() {
            return self.expanded(element, text, expand);
        }
        self.faults.add(&element.span(), "expected a string in this list");
        None
    }

    fn expanded(
        &mut self,
        value: &Placed<'_>,
        text: &str,
        expand: fn(&str, Outside<'_>) -> Result<String, String>,
    ) -> Option<String> {
        expand(text, self.outside).map_err(|what| self.faults.add(&value.span(), what)).ok()
    }

    fn choice(&mut self, value: &Placed<'_>, text: &str, choices: &Choices, setting: &str) -> Option<String> {
        let text = self.expanded(value, text, expand)?;
        if !choices.values.contains(&text.as_str()) {
            self.faults.add(
                &value.span(),
                format!("{setting:?} cannot be {text:?}{}", suggestion(&text, choices.values)),
            );
            return None;
        }
        if choices.unbuilt.contains(&text.as_str()) {
            self.typed.unbuilt.push((value.span(), format!("{setting} = {text:?}")));
        }
        Some(text)
    }

    fn properties(&mut self, table: &DeTable<'_>) -> BTreeMap<String, String> {
        let mut properties = BTreeMap::new();
        for (name, value) in table {
            let text = match value.get_ref() {
                DeValue::String(text) => self.expanded(value, text, expand),
                DeValue::Integer(number) => Some(number.to_string()),
                DeValue::Float(number) => Some(number.to_string()),
                DeValue::Boolean(switch) => Some(switch.to_string()),
                _ => {
                    let what = format!(
                        "the property {:?} is no plain value; write a dotted name in quotes",
                        name.get_ref()
                    );
                    self.faults.add(&value.span(), what);
                    None
                }
            };
            properties.extend(text.map(|text| (name.get_ref().to_string(), text)));
        }
        properties
    }
}

fn heading(section: &Section) -> String {
    if section.repeated { format!("[[{}]]", section.name) } else { format!("[{}]", section.name) }
}
