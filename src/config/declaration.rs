//! The shape in which an option is declared: once, with all that the parser, the reference page and the JSON
//! Schema need.

/// A table of the file: `[name]`, or `[[name]]` if it may stand several times.
#[derive(Debug)]
pub struct Section {
    /// The name between the brackets.
    pub name: &'static str,
    /// Whether it is written `[[name]]`.
    pub repeated: bool,
    /// False while the program cannot do yet what the section asks for.
    pub built: bool,
    /// What it is for; one sentence.
    pub doc: &'static str,
    /// In the order of the reference page.
    pub options: &'static [Setting],
}

/// One `name = value`.
#[derive(Debug)]
pub struct Setting {
    /// The key.
    pub name: &'static str,
    /// Which values it takes.
    pub kind: Kind,
    /// What holds where it is left out.
    pub default: Default,
    /// What it does; sentences for the reference page.
    pub doc: &'static str,
}

/// Which values a setting takes.
#[derive(Debug)]
pub enum Kind {
    /// A string.
    Text,
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

/// What holds where a setting is left out; the last text is the reason.
#[derive(Debug)]
pub enum Default {
    /// It cannot be left out.
    Required,
    /// No value; the text says what happens then.
    Unset(&'static str),
    /// This string.
    Text(&'static str, &'static str),
    /// This number, in the unit of the setting.
    Number(i64, &'static str),
    /// This switch.
    Switch(bool, &'static str),
    /// An empty list.
    Empty(&'static str),
}

impl Kind {
    /// What a value of this kind looks like, to complete "expected …".
    pub fn expected(&self) -> String {
        match self {
            Self::Text => "a string".to_owned(),
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
}

/// `one of "a", "b"`.
pub fn one_of(names: &[&str]) -> String {
    let quoted: Vec<_> = names.iter().map(|name| format!("{name:?}")).collect();
    format!("one of {}", quoted.join(", "))
}
