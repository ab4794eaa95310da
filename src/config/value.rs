//! The types that an option may have: which values each takes, and how one is read.

use std::collections::BTreeMap;
use std::ops::Range;

use toml::de::DeValue;

use super::declaration::{Choices, Kind, Setting};
use super::variables::{expand, expand_url};
use super::walk::{Fields, Placed, Reader};
use crate::secret::Secret;
use crate::sink;

/// A type that an option may have.
pub trait OptionType: Sized {
    /// Which values it takes.
    const KIND: Kind;

    /// The value that was typed for `setting`; `None` after a fault.
    fn read(value: &Placed<'_>, setting: &Setting, reader: &mut Reader<'_>) -> Option<Self>;
}

/// A struct of options.
pub trait Table: OptionType {
    /// Its options in the order of the reference page.
    const SETTINGS: &'static [Setting];

    /// Its options from what was typed.
    fn of(fields: &mut Fields<'_, '_>) -> Self;
}

/// An option as it stands in the file. Nothing prints it: the value may be a password.
pub struct Written<T> {
    /// What was typed, or else what holds where it is left out.
    pub value: T,
    /// Where the value stands; if it is left out, its section.
    pub span: Range<usize>,
}

impl<T> Written<Option<T>> {
    /// With what holds where it is left out. It also stands for a value that was refused, so that the rest
    /// can be checked.
    pub fn or(self, default: impl FnOnce() -> T) -> Written<T> {
        Written { value: self.value.unwrap_or_else(default), span: self.span }
    }
}

/// An option that was typed.
pub struct Given {
    /// Which one.
    pub setting: &'static Setting,
    /// Where its value stands.
    pub span: Range<usize>,
}

/// A string that says something even if it is empty.
pub struct AnyText(pub String);

/// A database URL as it was typed, with variables put in.
pub struct Url(pub String);

/// Names and values that are handed on.
pub type Properties = BTreeMap<String, Secret>;

/// The largest whole number of a TOML file.
pub const TOML_MAX: u64 = i64::MAX as u64;

impl OptionType for String {
    const KIND: Kind = Kind::Text { may_be_empty: false };

    fn read(value: &Placed<'_>, setting: &Setting, reader: &mut Reader<'_>) -> Option<Self> {
        let text = reader.text(value, setting, expand)?;
        reader.unless_empty(text.is_empty(), value, setting).map(|()| text)
    }
}

impl OptionType for AnyText {
    const KIND: Kind = Kind::Text { may_be_empty: true };

    fn read(value: &Placed<'_>, setting: &Setting, reader: &mut Reader<'_>) -> Option<Self> {
        reader.text(value, setting, expand).map(Self)
    }
}

impl From<AnyText> for serde_json::Value {
    fn from(text: AnyText) -> Self {
        text.0.into()
    }
}

impl OptionType for Url {
    const KIND: Kind = Kind::Url;

    fn read(value: &Placed<'_>, setting: &Setting, reader: &mut Reader<'_>) -> Option<Self> {
        let text = reader.text(value, setting, expand_url)?;
        reader.unless_empty(text.is_empty(), value, setting).map(|()| Self(text))
    }
}

/// The kinds of sinks are declared in [`sink::KINDS`].
const SINK_KINDS: Choices = Choices { values: sink::NAMES, unbuilt: sink::UNBUILT };

impl OptionType for &'static sink::Kind {
    const KIND: Kind = Kind::Choice(SINK_KINDS);

    fn read(value: &Placed<'_>, setting: &Setting, reader: &mut Reader<'_>) -> Option<Self> {
        sink::Kind::named(&reader.word(value, setting, &SINK_KINDS)?)
    }
}

impl From<&'static sink::Kind> for serde_json::Value {
    fn from(kind: &'static sink::Kind) -> Self {
        kind.name.into()
    }
}

impl OptionType for Vec<String> {
    const KIND: Kind = Kind::Texts;

    fn read(value: &Placed<'_>, setting: &Setting, reader: &mut Reader<'_>) -> Option<Self> {
        let texts = reader.elements(value, setting, &mut |reader, element| reader.element(element))?;
        reader.unless_empty(texts.is_empty(), value, setting).map(|()| texts)
    }
}

impl OptionType for bool {
    const KIND: Kind = Kind::Switch;

    fn read(value: &Placed<'_>, setting: &Setting, reader: &mut Reader<'_>) -> Option<Self> {
        match value.get_ref() {
            DeValue::Boolean(switch) => Some(*switch),
            _ => reader.unexpected(value, setting),
        }
    }
}

impl OptionType for Properties {
    const KIND: Kind = Kind::Properties;

    fn read(value: &Placed<'_>, setting: &Setting, reader: &mut Reader<'_>) -> Option<Self> {
        match value.get_ref() {
            DeValue::Table(table) => Some(reader.properties(table)),
            _ => reader.unexpected(value, setting),
        }
    }
}

/// Whole numbers. Each option narrows the range with `in`.
macro_rules! numbers {
    ($($Type:ty)+) => {$(
        impl OptionType for $Type {
            const KIND: Kind = Kind::Number { min: 0, max: i64::MAX, unit: "" };

            fn read(value: &Placed<'_>, setting: &Setting, reader: &mut Reader<'_>) -> Option<Self> {
                let number = reader.number(value, setting)?;
                Self::try_from(number).ok().or_else(|| reader.unexpected(value, setting))
            }
        }
    )+};
}

numbers! { i32 u32 u64 }

/// Whether a section may stand once or several times.
pub trait Times: Sized + Default {
    /// Whether it is written `[[name]]`.
    const REPEATED: bool;

    /// What stands under the section's name; `None` if that is no section of this shape.
    fn read(value: &Placed<'_>, at: &Range<usize>, heading: &str, reader: &mut Reader<'_>) -> Option<Self>;
}

impl<T: Table> Times for Option<T> {
    const REPEATED: bool = false;

    fn read(value: &Placed<'_>, at: &Range<usize>, heading: &str, reader: &mut Reader<'_>) -> Option<Self> {
        match value.get_ref() {
            DeValue::Table(table) => Some(Some(reader.table(table, at.clone(), heading))),
            _ => None,
        }
    }
}

impl<T: Table> Times for Vec<T> {
    const REPEATED: bool = true;

    fn read(value: &Placed<'_>, _at: &Range<usize>, heading: &str, reader: &mut Reader<'_>) -> Option<Self> {
        let DeValue::Array(array) = value.get_ref() else { return None };
        let each = array.iter().filter_map(|element| {
            if let DeValue::Table(table) = element.get_ref() {
                return Some(reader.table(table, element.span(), heading));
            }
            reader.fault(element, format!("expected {heading}"));
            None
        });
        Some(each.collect())
    }
}
