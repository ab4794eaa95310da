//! Walks the parsed TOML beside the declarations: what the user typed comes out as structs of options, what
//! does not fit as faults.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::Unbuilt;
use super::declaration::{Choices, Kind, LeftOut, Section, Setting};
use super::fault::{Faults, suggestion};
use super::options::{Options, SECTIONS};
use super::overrides::Override;
use super::value::{Given, OptionType, Properties, Table, Times, Written};
use super::variables::{Outside, expand};
use crate::secret::Secret;

/// A value and where it stands.
pub type Placed<'i> = Spanned<DeValue<'i>>;

/// What was typed, and what of it is understood, but not built yet.
pub struct Typed {
    /// Section by section, in the order of the file.
    pub options: Options,
    /// Where it stands and what it is.
    pub unbuilt: Vec<Unbuilt>,
}

/// Reads the text of a file and puts what stands above it in; what is wrong goes to `faults`.
pub fn walk(
    text: &str,
    above: &[(Range<usize>, &Override)],
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
        over.put_into(&mut document, SECTIONS, span, faults);
    }
    // What is broken is told alone.
    let document = if errors.is_empty() { document } else { DeTable::new() };
    let mut reader = Reader::new(outside, faults);
    let options = Options::read(&document, &mut reader);
    Typed { options, unbuilt: reader.unbuilt }
}

/// Reads values, and notes what is wrong with them.
pub struct Reader<'a> {
    outside: Outside<'a>,
    faults: &'a mut Faults,
    unbuilt: Vec<Unbuilt>,
}

/// The options of one table, to be read one after the other.
pub struct Fields<'a, 'o> {
    /// `None`: a group that is left out.
    table: Option<&'a DeTable<'a>>,
    span: Range<usize>,
    /// The table as messages name it.
    within: &'a str,
    given: Vec<Given>,
    reader: &'a mut Reader<'o>,
}

impl Fields<'_, '_> {
    /// The value that was typed for an option; `None` if it is left out, or after a fault.
    pub fn option<T: OptionType>(&mut self, setting: &'static Setting) -> Written<Option<T>> {
        let left_out = Written { value: None, span: self.span.clone() };
        let Some(table) = self.table else { return left_out };
        let Some(typed) = table.get(setting.name) else {
            if matches!(setting.left_out, LeftOut::Required) {
                let what = format!("{} has no {:?}, which is required", self.within, setting.name);
                self.reader.faults.add(&self.span, what);
            }
            return left_out;
        };
        let Some(value) = T::read(typed, setting, self.reader) else { return left_out };
        self.given.push(Given { setting, span: typed.span() });
        Written { value: Some(value), span: typed.span() }
    }

    /// A group of options; where it is left out, each of them is.
    pub fn parts<T: Table>(&mut self, setting: &'static Setting) -> Written<T> {
        let group = self.option(setting);
        let (span, reader) = (self.span.clone(), &mut *self.reader);
        let none = || T::of(&mut Fields { table: None, span, within: "", given: Vec::new(), reader });
        group.or(none)
    }

    /// Those that were there so far.
    pub fn given(&mut self) -> Vec<Given> {
        std::mem::take(&mut self.given)
    }
}

impl<'a> Reader<'a> {
    /// A reader that has met nothing yet.
    pub fn new(outside: Outside<'a>, faults: &'a mut Faults) -> Self {
        Self { outside, faults, unbuilt: Vec::new() }
    }

    /// The section that comes next in the declarations.
    pub fn section<T: Times>(
        &mut self,
        document: &DeTable<'_>,
        sections: &mut impl Iterator<Item = &'static Section>,
    ) -> T {
        let typed = sections.next().and_then(|section| {
            let (key, value) = document.iter().find(|(key, _)| key.get_ref() == section.name)?;
            let heading = section.heading();
            T::read(value, &key.span(), &heading, self).or_else(|| {
                let what = format!("{:?} is no section; expected {heading}", section.name);
                self.faults.add(&key.span(), what);
                None
            })
        });
        typed.unwrap_or_default()
    }

    /// Notes each section that is not declared.
    pub fn refuse_unknown_sections(&mut self, document: &DeTable<'_>, sections: &[Section]) {
        let names: Vec<_> = sections.iter().map(|section| section.name).collect();
        for key in document.keys().filter(|key| !names.contains(&&**key.get_ref())) {
            let what = format!("unknown section {:?}{}", key.get_ref(), suggestion(key.get_ref(), &names));
            self.faults.add(&key.span(), what);
        }
    }

    /// The options of one table; `within` names it in messages.
    pub fn table<T: Table>(&mut self, table: &DeTable<'_>, span: Range<usize>, within: &str) -> T {
        let names: Vec<_> = T::SETTINGS.iter().map(|setting| setting.name).collect();
        for key in table.keys().filter(|key| !names.contains(&&**key.get_ref())) {
            let name: &str = key.get_ref();
            let what = format!("unknown option {name:?} in {within}{}", suggestion(name, &names));
            self.faults.add(&key.span(), what);
        }
        T::of(&mut Fields { table: Some(table), span, within, given: Vec::new(), reader: self })
    }

    /// A table of options that is the value of an option.
    pub fn group<T: Table>(&mut self, value: &Placed<'_>, setting: &Setting) -> Option<T> {
        match value.get_ref() {
            DeValue::Table(table) => Some(self.table(table, value.span(), &format!("{:?}", setting.name))),
            _ => self.unexpected(value, setting),
        }
    }

    /// Notes what is wrong with a value.
    pub fn fault(&mut self, value: &Placed<'_>, what: impl Into<String>) {
        self.faults.add(&value.span(), what);
    }

    /// Notes that a value is not one that the setting takes.
    pub fn unexpected<T>(&mut self, value: &Placed<'_>, setting: &Setting) -> Option<T> {
        let found = match value.get_ref() {
            DeValue::String(_) => "a string".to_owned(),
            DeValue::Integer(number) => number.to_string(),
            DeValue::Float(_) => "a number with a fraction".to_owned(),
            DeValue::Boolean(switch) => switch.to_string(),
            DeValue::Datetime(_) => "a time".to_owned(),
            DeValue::Array(_) => "a list".to_owned(),
            DeValue::Table(_) => "a table".to_owned(),
        };
        self.fault(value, format!("{:?} is {found}; expected {}", setting.name, setting.kind.expected()));
        None
    }

    /// Notes that an empty string or list says nothing.
    pub fn unless_empty(&mut self, is_empty: bool, value: &Placed<'_>, setting: &Setting) -> Option<()> {
        if is_empty {
            self.fault(value, format!("{:?} is empty; leave it out or give it a value", setting.name));
        }
        (!is_empty).then_some(())
    }

    /// A string with variables put in by `expand`.
    pub fn text(&mut self, value: &Placed<'_>, setting: &Setting, expand: Expand) -> Option<String> {
        match value.get_ref() {
            DeValue::String(text) => self.expanded(value, text, expand),
            _ => self.unexpected(value, setting),
        }
    }

    /// A list whose elements `each` reads.
    pub fn elements<T>(
        &mut self,
        value: &Placed<'_>,
        setting: &Setting,
        each: &mut dyn FnMut(&mut Self, &Placed<'_>) -> Option<T>,
    ) -> Option<Vec<T>> {
        match value.get_ref() {
            DeValue::Array(array) => array.iter().map(|element| each(self, element)).collect(),
            _ => self.unexpected(value, setting),
        }
    }

    /// An element of a list of strings.
    pub fn element(&mut self, element: &Placed<'_>) -> Option<String> {
        if let DeValue::String(text) = element.get_ref() {
            return self.expanded(element, text, expand);
        }
        self.fault(element, "expected a string in this list");
        None
    }

    /// A number within the range of its setting.
    pub fn number(&mut self, value: &Placed<'_>, setting: &Setting) -> Option<i64> {
        let number = match (value.get_ref(), &setting.kind) {
            (DeValue::Integer(number), Kind::Number { min, max, .. }) => {
                let digits = number.as_str().replace('_', "");
                let number = i64::from_str_radix(&digits, number.radix()).ok();
                number.filter(|number| (min..=max).contains(&number))
            }
            _ => None,
        };
        number.or_else(|| self.unexpected(value, setting))
    }

    /// One of these words.
    pub fn word(&mut self, value: &Placed<'_>, setting: &Setting, choices: &Choices) -> Option<String> {
        match value.get_ref() {
            DeValue::String(text) => self.choice(value, text, setting, choices),
            _ => self.unexpected(value, setting),
        }
    }

    /// A list of these words.
    pub fn words(&mut self, value: &Placed<'_>, setting: &Setting, choices: &Choices) -> Option<Vec<String>> {
        self.elements(value, setting, &mut |reader, element| match element.get_ref() {
            DeValue::String(text) => reader.choice(element, text, setting, choices),
            _ => reader.element(element),
        })
    }

    /// Names and plain values.
    pub fn properties(&mut self, table: &DeTable<'_>) -> Properties {
        let mut properties = Properties::new();
        for (name, value) in table {
            let text = match value.get_ref() {
                DeValue::String(text) => self.expanded(value, text, expand),
                DeValue::Integer(number) => Some(number.to_string()),
                DeValue::Float(number) => Some(number.to_string()),
                DeValue::Boolean(switch) => Some(switch.to_string()),
                DeValue::Datetime(_) | DeValue::Array(_) | DeValue::Table(_) => {
                    let what = format!(
                        "the property {:?} is no plain value; write a dotted name in quotes",
                        name.get_ref()
                    );
                    self.fault(value, what);
                    None
                }
            };
            properties.extend(text.map(|text| (name.get_ref().to_string(), Secret::new(text))));
        }
        properties
    }

    fn expanded(&mut self, value: &Placed<'_>, text: &str, expand: Expand) -> Option<String> {
        expand(text, self.outside).map_err(|what| self.fault(value, what)).ok()
    }

    fn choice(
        &mut self,
        value: &Placed<'_>,
        text: &str,
        setting: &Setting,
        choices: &Choices,
    ) -> Option<String> {
        let text = self.expanded(value, text, expand)?;
        if !choices.values.contains(&text.as_str()) {
            let near = suggestion(&text, choices.values);
            self.fault(value, format!("{:?} cannot be {text:?}{near}", setting.name));
            return None;
        }
        if choices.unbuilt.contains(&text.as_str()) {
            let what = format!("{} = {text:?}", setting.name);
            self.unbuilt.push(Unbuilt { offset: value.span().start, what });
        }
        Some(text)
    }
}

/// Puts variables in.
type Expand = fn(&str, Outside<'_>) -> Result<String, String>;
