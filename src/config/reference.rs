//! The reference page of the options, `docs/configuration.md`, rendered from their declarations. The test
//! holds the page against them; with `LIST_SYNC_BLESS=1` it writes the page.

use std::fmt::Write as _;

use super::declaration::{Kind, LeftOut, Section, Setting};
use super::options::SECTIONS;

const OPENING: &str = "# Configuration

*Made from `src/config/options.rs` by `LIST_SYNC_BLESS=1 cargo test --lib config::reference`. Change an option there.*

A TOML file, `list_sync.toml` in the current folder or the one that `-c FILE` names. All faults are reported together, each with line, column
and the nearest valid name, before anything starts; an unknown key is a fault. What is marked *not built yet* is understood and refused.

- `${NAME}` in a text stands for the environment variable `NAME`, `${file:/PATH}` for what a file holds, without the line end at its end; `$${` is `${` itself. In
  front of the `@` of a `url` its value is percent-encoded, so a password may have any characters. A variable that is not set is a fault.
- A section in double brackets may stand several times.
- `list_sync init` writes a file with all of this as comments. [list_sync.schema.json](list_sync.schema.json) is the JSON Schema of the file, for editors and
  other programs: Taplo and its relatives read it where the first line is `#:schema PATH/list_sync.schema.json`.

## Above the file: environment variables and `--set`

Every option can also be set from outside, for one start. Flags stand above variables, variables above the file. What is wrong with them is reported
with the file's faults, by the variable's or the flag's name.

| in the file | variable | flag of every command |
|---|---|---|
| `[kafka] brokers = [\"a:9092\", \"b:9092\"]` | `LIST_SYNC__KAFKA__BROKERS=a:9092,b:9092` | `--set kafka.brokers=a:9092,b:9092` |
| `[kafka] topic = { partitions = 6 }` | `LIST_SYNC__KAFKA__TOPIC__PARTITIONS=6` | `--set kafka.topic.partitions=6` |
| `[kafka] properties = { \"sasl.password\" = \"…\" }` | `LIST_SYNC__KAFKA__PROPERTIES__SASL_PASSWORD=…` | `--set kafka.properties.sasl.password=…` |
| `[[source]] name = \"web-shop\"`, `url = \"…\"` | `LIST_SYNC__SOURCE__WEB_SHOP__URL=…` | `--set source.web-shop.url=…` |
| the first `[[sink]]`: `split = false` | `LIST_SYNC__SINK__0__SPLIT=false` | `--set sink.0.split=false` |

- `__` in a variable's name is the dot of the key. In a property's name `_` is a dot too (but in `log_level`).
- A `[[source]]` or `[[sink]]` is meant by its name or by its number in the file, counted from 0; the number behind the last one makes a new one, which
  then has its name: `--set sink.1.name=more --set sink.more.path=more/{table}`. In a variable a name has `_` for `-`, and capitals do not matter.
- Texts stand as they are, without quotes; lists are separated by commas, or written as in the file (`[\"a,b\", \"c\"]`), as are tables (`{ … }`). A list
  replaces the file's. `${NAME}` works as in the file.
- What a flag says, the shell may remember: passwords belong into variables, `${NAME}`, `${file:/PATH}` or `password_file`.
- Without `-c FILE`, the file may be missing where variables or `--set` say all. A line with `--from` or `--to` stands for a file and its variables; `--set`
  goes above it.
";

fn page() -> String {
    let mut page = OPENING.to_owned();
    for section in SECTIONS {
        let _ = write!(page, "\n{}", section_of(section));
    }
    page
}

fn section_of(section: &Section) -> String {
    let mut text = format!(
        "## `{}`\n\n{}\n\n| option | value | where it is left out | what it does \
         |\n|---|---|---|---|\n",
        section.heading(),
        section.doc
    );
    rows("", section.options, &mut text);
    text
}

/// A row a setting; those of a group follow it, as `group.name`.
pub(super) fn rows(group: &str, settings: &[Setting], text: &mut String) {
    for setting in settings {
        let name = format!("{group}{}", setting.name);
        let (value, default) = (value(&setting.kind), default(&setting.left_out));
        let _ = writeln!(text, "| `{name}` | {value} | {default} | {} |", setting.doc.replace('|', "\\|"));
        if let Kind::Group(settings) = &setting.kind {
            rows(&format!("{name}."), settings, text);
        }
    }
}

fn value(kind: &Kind) -> String {
    let quoted: Vec<_> = kind.unbuilt().iter().map(|value| format!("{value:?}")).collect();
    let unbuilt =
        if quoted.is_empty() { String::new() } else { format!("; *not built yet: {}*", quoted.join(", ")) };
    format!("{}{unbuilt}", kind.expected())
}

fn default(left_out: &LeftOut) -> String {
    match left_out {
        LeftOut::Required => "**required**".to_owned(),
        LeftOut::Unset(what) => (*what).to_owned(),
        LeftOut::Value(value, reason) => format!("`{}`: {reason}", value()),
        LeftOut::Empty(reason) => format!("empty: {reason}"),
    }
}

#[test]
fn the_reference_page_is_what_the_declarations_say() {
    let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/configuration.md");
    if std::env::var_os("LIST_SYNC_BLESS").is_some() {
        std::fs::write(&file, page()).unwrap();
    }
    let written = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(
        written == page(),
        "docs/configuration.md is not what src/config/options.rs declares; write it again with \
         LIST_SYNC_BLESS=1"
    );
}
