//! The shape in which an option is declared: once, with all that the parser, the reference page and the JSON
//! Schema need. `options!` makes of each declaration a typed field and a [`Setting`]; `words!` and `lists!`
//! join what may be written to the types that it means.

use crate::source::Dialect;

#[cfg(test)]
mod tests;

/// A table of the file: `[name]`, or `[[name]]` if it may stand several times.
#[derive(Debug)]
pub struct Section {
    /// The name between the brackets.
    pub name: &'static str,
    /// Whether it is written `[[name]]`.
    pub repeated: bool,
    /// What it is for; one sentence.
    pub doc: &'static str,
    /// In the order of the reference page.
    pub options: &'static [Setting],
}

impl Section {
    /// `[name]` or `[[name]]`.
    pub fn heading(&self) -> String {
        if self.repeated { format!("[[{}]]", self.name) } else { format!("[{}]", self.name) }
    }
}

/// One `name = value`.
#[derive(Debug)]
pub struct Setting {
    /// The key.
    pub name: &'static str,
    /// Which values it takes.
    pub kind: Kind,
    /// What holds where it is left out.
    pub left_out: LeftOut,
    /// The databases that it is for; empty: all.
    pub dialects: &'static [Dialect],
    /// What it does; sentences for the reference page.
    pub doc: &'static str,
}

impl Setting {
    /// Whether it means anything for this database.
    pub fn is_for(&self, dialect: Dialect) -> bool {
        self.dialects.is_empty() || self.dialects.contains(&dialect)
    }
}

/// Which values a setting takes.
#[derive(Debug)]
pub enum Kind {
    /// A string.
    Text {
        /// Whether an empty one says something.
        may_be_empty: bool,
    },
    /// A database URL. A `${VARIABLE}` in front of its `@` is percent-encoded when it is put in.
    Url,
    /// A list of strings.
    Texts,
    /// One of these strings.
    Choice(Choices),
    /// A list of these strings.
    SeveralOf(Choices),
    /// A whole number, both ends included.
    Number {
        /// The smallest.
        min: i64,
        /// The largest.
        max: i64,
        /// What it counts: `bytes`, `rows`, `ms`.
        unit: &'static str,
    },
    /// `true` or `false`.
    Switch,
    /// A table of names and plain values that are handed on as they are.
    Properties,
    /// A table of settings of its own.
    Group(&'static [Setting]),
}

/// Values by name.
#[derive(Debug)]
pub struct Choices {
    /// What may be written.
    pub values: &'static [&'static str],
    /// Those of them that the program cannot do yet: they are understood, and refused at the start.
    pub unbuilt: &'static [&'static str],
}

impl Choices {
    /// What may be written, but for what the program cannot do yet.
    pub fn built(&self) -> impl Iterator<Item = &'static str> {
        self.values.iter().copied().filter(|value| !self.unbuilt.contains(value))
    }
}

/// What holds where a setting is left out; the last text is the reason.
#[derive(Debug)]
pub enum LeftOut {
    /// It cannot be left out.
    Required,
    /// No value; the text says what happens then.
    Unset(&'static str),
    /// This value, as the file would say it.
    Value(fn() -> serde_json::Value, &'static str),
    /// An empty list or table.
    Empty(&'static str),
}

impl Kind {
    /// What a value of this kind looks like, to complete "expected …".
    pub fn expected(&self) -> String {
        match self {
            Self::Text { .. } => "a string".to_owned(),
            Self::Url => "a URL in quotes".to_owned(),
            Self::Texts => "a list of strings".to_owned(),
            Self::Choice(choices) => one_of(choices.values),
            Self::SeveralOf(choices) => {
                format!("a list of {}", one_of(choices.values).trim_start_matches("one of "))
            }
            Self::Number { min, max, unit: "" } => format!("a whole number from {min} to {max}"),
            Self::Number { min, max, unit } => format!("a whole number of {unit} from {min} to {max}"),
            Self::Switch => "true or false".to_owned(),
            Self::Properties => "a table such as { name = \"value\" }".to_owned(),
            Self::Group(settings) => {
                let names: Vec<_> = settings.iter().map(|setting| format!("{} = …", setting.name)).collect();
                format!("a table such as {{ {} }}", names.join(", "))
            }
        }
    }

    /// The values by name of which the program cannot do some yet.
    pub fn unbuilt(&self) -> &'static [&'static str] {
        match self {
            Self::Choice(choices) | Self::SeveralOf(choices) => choices.unbuilt,
            Self::Text { .. }
            | Self::Url
            | Self::Texts
            | Self::Number { .. }
            | Self::Switch
            | Self::Properties
            | Self::Group(_) => &[],
        }
    }
}

/// `one of "a", "b"`.
pub fn one_of(names: &[&str]) -> String {
    let quoted: Vec<_> = names.iter().map(|name| format!("{name:?}")).collect();
    format!("one of {}", quoted.join(", "))
}

/// The sections of the file: `SECTIONS`, and a struct `Options` that holds what stands in each.
macro_rules! sections {
    ($( $(#[doc = $doc:literal])+ $section:ident: $Times:ident<$Options:ty>, )+) => {
        /// The sections in the order of the reference page.
        pub const SECTIONS: &[Section] = &[$(Section {
            name: stringify!($section),
            repeated: <$Times<$Options> as Times>::REPEATED,
            doc: concat!($($doc),+).trim_ascii(),
            options: <$Options as Table>::SETTINGS,
        }),+];

        /// What stands in the file, section by section, in its order.
        pub struct Options {
            $( $(#[doc = $doc])+ pub $section: $Times<$Options>, )+
        }

        impl Options {
            /// Reads a document; what is wrong goes to the faults of `reader`.
            pub fn read(document: &DeTable<'_>, reader: &mut Reader<'_>) -> Self {
                reader.refuse_unknown_sections(document, SECTIONS);
                let mut sections = SECTIONS.iter();
                Self { $($section: reader.section(document, &mut sections)),+ }
            }
        }
    };
}

/// Structs of options. An option is
///
/// ```text
/// /// What it does; sentences for the reference page.
/// name: Type = LEFT OUT [in MIN..=MAX [unit]] [, for Dialect Dialect];
/// ```
///
/// where `LEFT OUT` is one of
///
/// - `required`: the field is an `Option`, `None` after a fault that is noted already;
/// - `unset("what happens then")`: the field is an `Option`;
/// - `default(value, "reason")`, `empty("reason")`: the field is a `Type`;
/// - `parts("what happens then")`: of a type that `options!` made; each of its options as if it were left
///   out.
///
/// `in` belongs to numbers, and its ends must be ones of the type.
macro_rules! options {
    ($(
        $(#[doc = $about:literal])+
        $Options:ident {$(
            $(#[doc = $doc:literal])+
            $option:ident: $type:ty = $left_out:ident $(($($how:expr),+))?
                $(in $min:tt ..= $max:tt $($unit:ident)?)? $(, for $($dialect:ident)+)?;
        )+}
    )+) => {$(
        $(#[doc = $about])+
        #[allow(clippy::doc_markdown, reason = "these are also the words of the reference page")]
        pub struct $Options {
            $( $(#[doc = $doc])+ pub $option: Written<options!(@type $left_out $type)>, )+
            /// The options that are not left out.
            #[allow(dead_code, reason = "not every table is asked for it")]
            pub given: Vec<Given>,
        }

        #[allow(non_upper_case_globals, reason = "each is named as its option is")]
        impl $Options {
            $( const $option: Setting = Setting {
                name: stringify!($option),
                kind: options!(@kind $type $(, $min $max $($unit)?)?),
                left_out: options!(@left_out $left_out $type $(, $($how),+)?),
                dialects: &[$($(Dialect::$dialect),+)?],
                doc: concat!($($doc),+).trim_ascii(),
            }; )+
        }

        impl Table for $Options {
            const SETTINGS: &'static [Setting] = &[$(Self::$option),+];

            fn of(fields: &mut Fields<'_, '_>) -> Self {
                Self {
                    $( $option: options!(@read fields Self::$option, $left_out $type $(, $($how),+)?), )+
                    given: fields.given(),
                }
            }
        }

        impl OptionType for $Options {
            const KIND: Kind = Kind::Group(Self::SETTINGS);

            fn read(value: &Placed<'_>, setting: &Setting, reader: &mut Reader<'_>) -> Option<Self> {
                reader.group(value, setting)
            }
        }
    )+};

    (@type required $type:ty) => { Option<$type> };
    (@type unset $type:ty) => { Option<$type> };
    (@type default $type:ty) => { $type };
    (@type empty $type:ty) => { $type };
    (@type parts $type:ty) => { $type };

    (@kind $type:ty) => { <$type as OptionType>::KIND };
    (@kind $type:ty, $min:tt $max:tt $($unit:ident)?) => {{
        const ENDS: ($type, $type) = ($min, $max);
        Kind::Number { min: ENDS.0 as i64, max: ENDS.1 as i64, unit: concat!($(stringify!($unit))?) }
    }};

    (@left_out required $type:ty) => { LeftOut::Required };
    (@left_out unset $type:ty, $what:literal) => { LeftOut::Unset($what) };
    (@left_out default $type:ty, $value:expr, $reason:literal) => {
        LeftOut::Value(
            || {
                let value: $type = $value;
                value.into()
            },
            $reason,
        )
    };
    (@left_out empty $type:ty, $reason:literal) => { LeftOut::Empty($reason) };
    (@left_out parts $type:ty, $what:literal) => { LeftOut::Unset($what) };

    (@read $fields:ident $setting:path, required $type:ty) => { $fields.option::<$type>(&$setting) };
    (@read $fields:ident $setting:path, unset $type:ty, $what:literal) => {
        $fields.option::<$type>(&$setting)
    };
    (@read $fields:ident $setting:path, default $type:ty, $value:expr, $reason:literal) => {
        $fields.option::<$type>(&$setting).or(|| $value)
    };
    (@read $fields:ident $setting:path, empty $type:ty, $reason:literal) => {
        $fields.option::<$type>(&$setting).or(<$type>::default)
    };
    (@read $fields:ident $setting:path, parts $type:ty, $what:literal) => {
        $fields.parts::<$type>(&$setting)
    };
}

/// The words for each value of an enum, in the order of the reference page; a variant without one does not
/// compile. What the program cannot do yet is marked `unbuilt`.
macro_rules! words {
    ($( $Type:ident { $($variant:ident = $word:literal $($unbuilt:ident)?),+ $(,)? } )+) => {$(
        impl $Type {
            /// What may be written in the configuration.
            pub const WORDS: Choices =
                Choices { values: &[$($word),+], unbuilt: &[$($(words!(@$unbuilt $word),)?)+] };

            /// As the configuration writes it.
            pub const fn word(self) -> &'static str {
                match self {
                    $(Self::$variant => $word),+
                }
            }
        }

        impl OptionType for $Type {
            const KIND: Kind = Kind::Choice(Self::WORDS);

            fn read(value: &Placed<'_>, setting: &Setting, reader: &mut Reader<'_>) -> Option<Self> {
                let word = reader.word(value, setting, &Self::WORDS)?;
                [$(Self::$variant),+].into_iter().find(|variant| variant.word() == word)
            }
        }

        impl From<$Type> for serde_json::Value {
            fn from(value: $Type) -> Self {
                value.word().into()
            }
        }
    )+};
    (@unbuilt $word:literal) => { $word };
}

/// The words for each switch of a struct, of which a list may name some; a switch without one does not
/// compile.
macro_rules! lists {
    ($( $Type:ident { $($switch:ident = $word:literal),+ $(,)? } )+) => {$(
        impl OptionType for $Type {
            const KIND: Kind = Kind::SeveralOf(Choices { values: &[$($word),+], unbuilt: &[] });

            fn read(value: &Placed<'_>, setting: &Setting, reader: &mut Reader<'_>) -> Option<Self> {
                let words = reader.words(value, setting, &Choices { values: &[$($word),+], unbuilt: &[] })?;
                Some(Self { $($switch: words.iter().any(|word| word == $word)),+ })
            }
        }
    )+};
}

pub(super) use {lists, options, sections, words};
