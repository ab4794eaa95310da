//! From the arguments of a call to a configuration. Python writes them as TOML, so that every option is
//! declared, checked and defaulted in one place, the library's; nobody sees that text, so faults are told
//! without its lines.

use list_sync::config::{Config, Outside};
use list_sync::{Error, Result};

/// Reads the arguments of `call`; faults name the arguments alone.
pub fn of_call(call: &str, text: &str) -> Result<Config> {
    let outside =
        Outside { variable: &|name| std::env::var(name).ok(), read: &|path| std::fs::read_to_string(path) };
    let config = Config::parse(call, text, outside).map_err(|error| without_places(call, &error))?;
    config.refuse_unbuilt().map_err(|error| without_places(call, &error))?;
    Ok(config)
}

/// Reads a configuration file.
pub fn of_file(path: &str) -> Result<Config> {
    let config = Config::load(path)?;
    config.refuse_unbuilt()?;
    Ok(config)
}

fn without_places(call: &str, error: &Error) -> Error {
    let facts = error.to_string();
    let told: Vec<String> =
        facts.lines().map(|line| format!("{call}: {}", without_place(call, line))).collect();
    Error::new(error.code(), error.kind(), told.join("\n"))
        .hint("look at the arguments' names, types and values")
}

/// The line without `CALL:LINE:COLUMN: ` in front.
fn without_place<'a>(call: &str, line: &'a str) -> &'a str {
    let Some(rest) = line.strip_prefix(call) else { return line };
    rest.trim_start_matches(|letter: char| letter == ':' || letter.is_ascii_digit()).trim_start()
}
