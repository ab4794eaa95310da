//! The JSON Schema of the file, `docs/list_sync.schema.json`, made from the declarations of the options, for
//! editors and other programs. The tests hold the file against the declarations (`LIST_SYNC_BLESS=1` writes
//! it) and what it accepts and refuses against what the program does.

use serde_json::{Map, Value, json};

use super::declaration::{Choices, Kind, LeftOut, Setting};
use super::options::SECTIONS;

/// A text that holds a variable can be anything once it is put in.
const VARIABLE: &str = r"\$\{";

fn schema() -> Value {
    let sections = SECTIONS.iter().map(|section| {
        let table = table(section.options);
        let mut schema = if section.repeated { json!({ "type": "array", "items": table }) } else { table };
        schema["description"] = json!(section.doc);
        (section.name.to_owned(), schema)
    });
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "list_sync.toml",
        "description": "The configuration of list_sync. Rules between options (unique names, options of one \
            database only) are the program's own: list_sync check tells them.",
        "type": "object",
        "properties": sections.collect::<Map<_, _>>(),
        "additionalProperties": false,
    })
}

/// A table of options.
pub(super) fn table(settings: &[Setting]) -> Value {
    let required: Vec<_> = settings
        .iter()
        .filter(|setting| matches!(setting.left_out, LeftOut::Required))
        .map(|setting| setting.name)
        .collect();
    let properties: Map<_, _> =
        settings.iter().map(|setting| (setting.name.to_owned(), property(setting))).collect();
    let mut table = json!({ "type": "object", "properties": properties, "additionalProperties": false });
    if !required.is_empty() {
        table["required"] = json!(required);
    }
    table
}

fn property(setting: &Setting) -> Value {
    let mut schema = match &setting.kind {
        Kind::Text { may_be_empty: true } => json!({ "type": "string" }),
        Kind::Text { may_be_empty: false } => json!({ "type": "string", "minLength": 1 }),
        Kind::Url => {
            json!({ "type": "string", "pattern": format!("^(postgres|postgresql|mysql|mariadb)://|{VARIABLE}") })
        }
        Kind::Texts => json!({ "type": "array", "minItems": 1, "items": { "type": "string" } }),
        Kind::Choice(choices) => choice(choices),
        Kind::SeveralOf(choices) => json!({ "type": "array", "items": choice(choices) }),
        Kind::Number { min, max, .. } => json!({ "type": "integer", "minimum": min, "maximum": max }),
        Kind::Switch => json!({ "type": "boolean" }),
        Kind::Properties => {
            json!({ "type": "object", "additionalProperties": { "type": ["string", "number", "boolean"] } })
        }
        Kind::Group(settings) => table(settings),
    };
    let unbuilt = match setting.kind.unbuilt() {
        [] => String::new(),
        values => format!(" Not built yet: {}.", values.join(", ")),
    };
    let (default, left_out) = match &setting.left_out {
        LeftOut::Required => (None, String::new()),
        LeftOut::Unset(what) => (None, format!(" Left out: {what}.")),
        LeftOut::Value(value, _) => (Some(value()), String::new()),
        LeftOut::Empty(_) if matches!(setting.kind, Kind::Properties) => (Some(json!({})), String::new()),
        LeftOut::Empty(_) => (Some(json!([])), String::new()),
    };
    schema["description"] = json!(format!("{}{left_out}{unbuilt}", setting.doc));
    if let Some(default) = default {
        schema["default"] = default;
    }
    schema
}

fn choice(choices: &Choices) -> Value {
    json!({ "type": "string", "anyOf": [{ "enum": choices.values }, { "pattern": VARIABLE }] })
}

/// Whether a real validator accepts the text; the schema itself is held against its meta-schema first.
pub(super) fn accepts(text: &str) -> bool {
    let mut compiler = boon::Compiler::new();
    compiler.add_resource("schema.json", schema()).unwrap();
    let mut schemas = boon::Schemas::new();
    let index = compiler.compile("schema.json", &mut schemas).unwrap();
    let Ok(instance) = toml::from_str::<Value>(text) else { return false };
    schemas.validate(&instance, index).is_ok()
}

fn parses(text: &str) -> bool {
    let variable = |name: &str| Some(name.to_owned());
    super::Config::parse(
        "c.toml",
        text,
        super::Outside { variable: &variable, read: &|_| Ok("secret".to_owned()) },
    )
    .is_ok()
}

#[test]
fn the_schema_is_what_the_declarations_say() {
    let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/list_sync.schema.json");
    if std::env::var_os("LIST_SYNC_BLESS").is_some() {
        std::fs::write(&file, format!("{:#}\n", schema())).unwrap();
    }
    let written: Option<Value> =
        std::fs::read_to_string(&file).ok().and_then(|text| serde_json::from_str(&text).ok());
    assert!(
        written == Some(schema()),
        "docs/list_sync.schema.json is not what src/config/options.rs declares; write it again with \
         LIST_SYNC_BLESS=1"
    );
}

const WHOLE: &str = r#"
[kafka]
brokers = ["broker1:9092", "${MORE}:9094"]
properties = { "compression.type" = "lz4", "linger.ms" = 5, "enable.ssl.certificate.verification" = false }
topic = { partitions = 3, replication = 3 }

[[source]]
name = "shop"
url = "postgres://repl@db-pgsql:5432/shop?sslmode=verify-full"
password_file = "/run/secrets/shop"
tables = ["public.*", "!public.audit"]
topic = "{source}.{schema}.{table}"
format = "json"
snapshot = "${WHEN}"
delivery = "at-least-once"
include = ["xid", "timestamp"]

[[sink]]
name = "files"
path = "out/{table}"
unchanged = ""
split = true
rotate_bytes = 1_000_000
"#;

#[test]
fn what_the_program_reads_is_valid() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let pages = ["README.md", "docs/quickstart.md"]
        .map(|page| std::fs::read_to_string(root.join(page)).unwrap())
        .concat();
    let of_pages: Vec<&str> =
        pages.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    assert!(of_pages.len() > 1);
    let whole = WHOLE.replace("${WHEN}", "never");
    for text in of_pages.into_iter().chain([whole.as_str(), ""]) {
        assert!(parses(text) && accepts(text), "{text}");
    }
    assert!(accepts(WHOLE), "a variable may stand for any text");
}

/// Each kind of fault that a schema can express, and one that it cannot.
#[test]
fn what_the_program_refuses_is_invalid() {
    let whole = WHOLE.replace("${WHEN}", "never");
    for (right, wrong) in [
        ("[kafka]", "[kafkas]"),
        ("[kafka]", "[[kafka]]"),
        ("[[sink]]", "[sink]"),
        ("brokers = [", "broker = ["),
        ("brokers = [\"broker1:9092\", \"${MORE}:9094\"]", "brokers = \"broker1:9092\""),
        ("brokers = [\"broker1:9092\", \"${MORE}:9094\"]", "brokers = []"),
        ("\"broker1:9092\"", "9092"),
        ("\"linger.ms\" = 5", "\"linger.ms\" = [5]"),
        ("partitions = 3", "partitions = 0"),
        ("partitions = 3", "partitions = 3.5"),
        ("partitions = 3", "partition = 3"),
        ("replication = 3", "replication = \"3\""),
        ("topic = { partitions = 3, replication = 3 }", "topic = 3"),
        ("name = \"shop\"", "nam = \"shop\""),
        ("name = \"shop\"", "name = \"\""),
        ("name = \"shop\"\n", ""),
        ("postgres://", "oracle://"),
        ("\"json\"", "\"jason\""),
        ("\"json\"", "true"),
        ("\"timestamp\"", "\"time\""),
        ("[\"xid\", \"timestamp\"]", "\"xid\""),
        ("split = true", "split = \"yes\""),
        ("split = true", "splitt = true"),
        ("1_000_000", "-1"),
        ("1_000_000", "1979-05-27"),
    ] {
        let text = whole.replacen(right, wrong, 1);
        assert!(text != whole && !parses(&text) && !accepts(&text), "{right} -> {wrong}");
    }
    let text = whole.replace("tables = [", "server_id = 7\ntables = [");
    assert!(!parses(&text) && accepts(&text), "a rule between options is the program's own");
}
