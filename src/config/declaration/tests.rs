//! What one declaration gives: a typed field, and the same option in the file, above it, in the reference
//! page and in the JSON Schema.

use serde_json::json;
use toml::de::DeTable;

use super::super::value::{Given, OptionType, Table, Written};
use super::super::walk::{Fields, Placed, Reader};
use super::super::{Config, Outside, SECTIONS, fault::Faults, reference, schema};
use super::{Choices, Kind, LeftOut, Section, Setting, options, words};
use crate::source::Dialect;

#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Colour {
    Red,
    Green,
}

words! {
    Colour { Red = "red", Green = "green" unbuilt }
}

options! {
    /// A table of the tests.
    Sample {
        /// How wide it is,
        /// in full.
        width: u32 = default(40, "it fits") in 1..=100 rows, for Mysql;

        /// Its colour.
        colour: Colour = default(Colour::Red, "it is seen");

        /// What it is called.
        label: String = unset("it has no name");
    }
}

/// The sample as it is read from a text, with the faults.
fn read(text: &str) -> (Sample, String) {
    let outside = Outside { variable: &|_| None, read: &|_| Ok(String::new()) };
    let mut faults = Faults::default();
    let document = DeTable::parse(text).unwrap();
    let sample = Reader::new(outside, &mut faults).table(document.get_ref(), 0..1, "[sample]");
    let places = super::super::Places::new("c.toml", text);
    (sample, faults.into_error(&places).map(|error| error.to_string()).unwrap_or_default())
}

#[test]
fn one_declaration_gives_field_reader_page_and_schema() {
    let (left_out, faults) = read("");
    assert_eq!(
        (left_out.width.value, left_out.colour.value, left_out.label.value, faults.as_str()),
        (40, Colour::Red, None, "")
    );
    let (typed, faults) = read("colour = \"green\"\nwidth = 7\nlabel = \"x\"");
    assert_eq!(
        (typed.width.value, typed.colour.value, typed.label.value.as_deref(), faults.as_str()),
        (7, Colour::Green, Some("x"), "")
    );
    assert_eq!((typed.width.span, left_out.width.span), (25..26, 0..1));
    let given: Vec<_> = typed.given.iter().map(|given| given.setting.name).collect();
    assert_eq!((given.join(" ").as_str(), left_out.given.len()), ("width colour label", 0));
    assert_eq!(
        read("width = 101\ncolour = \"gren\"\nlable = 1").1.lines().collect::<Vec<_>>(),
        [
            "c.toml:1:9: \"width\" is 101; expected a whole number of rows from 1 to 100",
            "c.toml:2:10: \"colour\" cannot be \"gren\"; did you mean \"green\"?",
            "c.toml:3:1: unknown option \"lable\" in [sample]; did you mean \"label\"?",
        ]
    );
    let mut page = String::new();
    reference::rows("", Sample::SETTINGS, &mut page);
    assert_eq!(
        page.lines().collect::<Vec<_>>(),
        [
            "| `width` | a whole number of rows from 1 to 100 | `40`: it fits | How wide it is, in full. |",
            "| `colour` | one of \"red\", \"green\"; *not built yet: \"green\"* | `\"red\"`: it is seen | Its \
             colour. |",
            "| `label` | a string | it has no name | What it is called. |",
        ]
    );
    let schema = schema::table(Sample::SETTINGS);
    assert_eq!(
        (&schema["properties"]["width"], &schema["properties"]["colour"]["default"]),
        (
            &json!({ "type": "integer", "minimum": 1, "maximum": 100, "default": 40,
                "description": "How wide it is, in full." }),
            &json!("red")
        )
    );
    assert_eq!(Sample::SETTINGS[0].dialects, [Dialect::Mysql]);
    assert!(!Sample::width.is_for(Dialect::Postgres) && Sample::label.is_for(Dialect::Postgres));
}

/// A file that says this one thing besides what is required.
fn file(section: &Section, line: &str, setting: &Setting) -> String {
    let scheme = if setting.is_for(Dialect::Postgres) { "postgres" } else { "mysql" };
    let required = |option: &Setting| match (option.name, &option.kind) {
        _ if option.name == setting.name || !matches!(option.left_out, LeftOut::Required) => String::new(),
        ("url", _) => format!("url = \"{scheme}://h/d\"\n"),
        ("brokers", _) => "brokers = [\"a:1\"]\n".to_owned(),
        (name, Kind::Texts) => format!("{name} = [\"t\"]\n"),
        (name, _) => format!("{name} = \"x\"\n"),
    };
    // Without a source, a sink needs them.
    let topics = if section.name == "sink" && setting.name != "topics" { "topics = [\"t\"]\n" } else { "" };
    let required: String = section.options.iter().map(required).collect();
    format!("{}\n{required}{topics}{line}\n", section.heading())
}

fn fault(text: &str) -> Option<String> {
    let outside = Outside { variable: &|_| None, read: &|_| Ok("x".to_owned()) };
    Config::parse("c.toml", text, outside).err().map(|error| error.to_string())
}

/// Values that a kind takes, and ones that it does not.
fn values(kind: &Kind) -> (Vec<String>, Vec<String>) {
    let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
    match kind {
        Kind::Choice(choices) => {
            (choices.values.iter().map(|word| format!("{word:?}")).collect(), texts(&["\"\"", "\"?\"", "1"]))
        }
        Kind::SeveralOf(choices) => {
            (vec!["[]".to_owned(), format!("{:?}", choices.values)], texts(&["[\"?\"]", "\"\"", "1"]))
        }
        Kind::Number { min, max, .. } => {
            let outside = [min.checked_sub(1), max.checked_add(1)].into_iter().flatten();
            (
                vec![min.to_string(), max.to_string()],
                outside.map(|number| number.to_string()).chain(["1.5".to_owned()]).collect(),
            )
        }
        Kind::Switch => (texts(&["true", "false"]), texts(&["1", "\"true\""])),
        Kind::Text { may_be_empty: true } => (texts(&["\"\""]), texts(&["1"])),
        // Which texts are right is not the declaration's to say.
        Kind::Text { may_be_empty: false } | Kind::Url => (Vec::new(), texts(&["\"\"", "1"])),
        Kind::Texts => (Vec::new(), texts(&["[]", "\"x\"", "1"])),
        Kind::Properties => (texts(&["{}", "{ a = 1 }"]), texts(&["1", "\"x\""])),
        Kind::Group(_) => (texts(&["{}"]), texts(&["1"])),
    }
}

/// Words, both ends of each range, and what lies outside: the program and the schema agree with the
/// declaration.
#[test]
fn every_option_takes_what_it_declares_and_nothing_else() {
    let mut count = 0;
    for section in SECTIONS {
        let all = section.options.iter().flat_map(|option| {
            let parts = if let Kind::Group(parts) = &option.kind { *parts } else { &[] };
            let parts = parts.iter().map(|part| (format!("{}.{}", option.name, part.name), part));
            parts.chain([(option.name.to_owned(), option)])
        });
        for (name, setting) in all {
            let (right, wrong) = values(&setting.kind);
            count += right.len() + wrong.len();
            for value in right {
                let text = file(section, &format!("{name} = {value}"), setting);
                assert_eq!((fault(&text), schema::accepts(&text)), (None, true), "{text}");
            }
            for value in wrong {
                let text = file(section, &format!("{name} = {value}"), setting);
                let told = fault(&text).unwrap_or_default();
                let is_told = told.contains(&format!("{:?}", setting.name));
                assert!(is_told && !schema::accepts(&text), "{text}{told}");
            }
        }
    }
    assert!(count > 100, "only {count} values were tried");
}
