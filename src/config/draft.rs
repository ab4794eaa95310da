//! A new configuration file for a person to go on from: what was chosen is set, every other option stands
//! beside it as a comment with its default.

use std::fmt::Write as _;

use super::declaration::{Kind, LeftOut, Section, Setting};
use super::options::SECTIONS;
use super::{Config, Outside};
use crate::source::{Address, Dialect};
use crate::{Code, Error, Result};

/// The longest line of a comment, in characters.
const LINE: usize = 110;

/// What a new file is to say.
#[derive(Debug, Clone, Default)]
pub struct Draft {
    /// `[kafka] brokers`; empty: direct mode.
    pub brokers: Vec<String>,
    /// Name of the source.
    pub name: String,
    /// Its URL, as it is to stand in the file: with `${NAME}` for a password.
    pub url: String,
    /// Where its password stands.
    pub password_file: Option<String>,
    /// Its tables.
    pub tables: Vec<String>,
    /// What is done with rows that are there already.
    pub snapshot: Option<String>,
    /// The folder of the CSV files.
    pub folder: String,
}

impl Draft {
    /// The text of the file. What was chosen wrongly is told as for a file, though none is written yet.
    pub fn text(&self, file: &str) -> Result<String> {
        if Address::parse(&self.url)
            .is_ok_and(|address| !self.url.contains("${") && !address.password.reveal().is_empty())
        {
            return Err(Self::password_in_url());
        }
        let text = self.render();
        // A variable or a password file may come later: any value that is not known yet does here.
        let variable = |name: &str| std::env::var(name).ok().or_else(|| Some("x".to_owned()));
        let outside = Outside { variable: &variable, read: &|_| Ok("x".to_owned()) };
        Config::parse(file, &text, outside).map_err(|error| {
            let told: Vec<_> = error.to_string().lines().map(|line| without_place(line, file)).collect();
            Error::usage(Code::ConfigInvalid, told.join("\n")).hint("nothing was written")
        })?;
        Ok(text)
    }

    /// The refusal of a URL that holds a password: the file is read by more people than the command line is.
    pub fn password_in_url() -> Error {
        Error::usage(Code::PasswordInFile, "the password in the URL would stand in the file for all to read")
            .hint(
                "write '${NAME}' in its place and set that environment variable, or leave it out and give \
                --password-file FILE",
            )
    }

    fn render(&self) -> String {
        let mut text = "# The configuration of list_sync. `list_sync check` tries all that it needs; \
            `list_sync run` runs it.\n\
                        # What stands behind a # is the default, or an option that is left out. ${NAME} \
                        stands for an environment variable.\n"
            .to_owned();
        let dialect = Address::parse(&self.url).ok().map(|address| address.dialect);
        for section in SECTIONS {
            section_of(section, &self.chosen(section.name), dialect, &mut text);
        }
        text
    }

    fn chosen(&self, section: &str) -> Vec<(&'static str, String)> {
        let mut chosen = Vec::new();
        match section {
            "kafka" if !self.brokers.is_empty() => chosen.push(("brokers", list(&self.brokers))),
            "source" => {
                chosen.extend([
                    ("name", quoted(&self.name)),
                    ("url", quoted(&self.url)),
                    ("tables", list(&self.tables)),
                ]);
                chosen.extend(self.password_file.as_ref().map(|file| ("password_file", quoted(file))));
                chosen.extend(self.snapshot.as_ref().map(|snapshot| ("snapshot", quoted(snapshot))));
            }
            "sink" => {
                let path = format!("{}/{{table}}", self.folder.trim_end_matches('/'));
                chosen.extend([("name", quoted("files")), ("path", quoted(&path))]);
            }
            _ => {}
        }
        chosen
    }
}

/// A fault without line and column, which mean nothing to who has not seen the file.
fn without_place(line: &str, file: &str) -> String {
    let behind = line.strip_prefix(file).unwrap_or(line);
    behind.trim_start_matches(|letter: char| letter == ':' || letter.is_ascii_digit()).trim_start().to_owned()
}

/// A section with the options that mean something for the database.
fn section_of(section: &Section, chosen: &[(&str, String)], dialect: Option<Dialect>, text: &mut String) {
    let mark = if chosen.is_empty() { "# " } else { "" };
    text.push('\n');
    comment(section.doc, text);
    let _ = writeln!(text, "{mark}{}", section.heading());
    let is_meant = |setting: &&Setting| dialect.is_none_or(|dialect| setting.is_for(dialect));
    for setting in section.options.iter().filter(is_meant) {
        option("", setting, chosen, text);
    }
}

/// An option with its doc above it, set or as a comment; the options of a group stand as `group.option`.
fn option(group: &str, setting: &Setting, chosen: &[(&str, String)], text: &mut String) {
    if let Kind::Group(settings) = &setting.kind {
        for part in *settings {
            option(&format!("{group}{}.", setting.name), part, &[], text);
        }
        return;
    }
    text.push('\n');
    let name = format!("{group}{}", setting.name);
    let left_out = match &setting.left_out {
        LeftOut::Unset(what) => format!(" Left out: {what}."),
        LeftOut::Required | LeftOut::Value(..) | LeftOut::Empty(_) => String::new(),
    };
    comment(&format!("{}{left_out}", setting.doc), text);
    if let Some((_, value)) = chosen.iter().find(|(chosen, _)| *chosen == setting.name) {
        let _ = writeln!(text, "{name} = {value}");
        return;
    }
    // What JSON writes for a default, TOML does too.
    let _ = match &setting.left_out {
        LeftOut::Value(value, _) => writeln!(text, "# {name} = {}", value()),
        LeftOut::Empty(_) if matches!(setting.kind, Kind::Properties) => writeln!(text, "# {name} = {{}}"),
        LeftOut::Empty(_) => writeln!(text, "# {name} = []"),
        LeftOut::Required | LeftOut::Unset(_) => writeln!(text, "# {name} = …"),
    };
}

/// A comment of lines that are not too long.
fn comment(words: &str, text: &mut String) {
    let mut line = "#".to_owned();
    for word in words.split_whitespace() {
        if line.chars().count() + 1 + word.chars().count() > LINE {
            text.push_str(&line);
            text.push('\n');
            "#".clone_into(&mut line);
        }
        line.push(' ');
        line.push_str(word);
    }
    text.push_str(&line);
    text.push('\n');
}

/// A string as TOML writes it; JSON's escapes are TOML's too.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn list(texts: &[String]) -> String {
    let quoted: Vec<_> = texts.iter().map(|text| quoted(text)).collect();
    format!("[{}]", quoted.join(", "))
}

#[cfg(test)]
mod tests {
    use super::Draft;
    use crate::config::{Config, Outside};

    fn draft() -> Draft {
        Draft {
            brokers: vec!["a:9092".to_owned(), "b:9092".to_owned()],
            name: "shop".to_owned(),
            url: "postgres://repl:${SHOP_PASSWORD}@db/shop".to_owned(),
            tables: vec!["public.*".to_owned()],
            folder: "out/".to_owned(),
            ..Draft::default()
        }
    }

    fn parse(text: &str) -> Config {
        let outside = Outside {
            variable: &|name| (name == "SHOP_PASSWORD").then(|| "geheim".to_owned()),
            read: &|_| Ok("x".to_owned()),
        };
        Config::parse("c.toml", text, outside).unwrap_or_else(|error| panic!("{error}\n{text}"))
    }

    #[test]
    fn what_is_written_is_read_again() {
        let config = parse(&draft().text("c.toml").unwrap());
        let (source, sink) = (&config.sources[0], &config.sinks[0]);
        assert_eq!(
            (
                source.name.as_str(),
                source.address.password.reveal(),
                source.tables.written.join(" ").as_str()
            ),
            ("shop", "geheim", "public.*")
        );
        assert_eq!((sink.path.as_str(), config.need_kafka().unwrap().brokers.len()), ("out/{table}", 2));
        let direct = Draft {
            brokers: Vec::new(),
            url: "mariadb://repl@db/shop".to_owned(),
            password_file: Some("/run/a \"secret\"".to_owned()),
            snapshot: Some("never".to_owned()),
            ..draft()
        };
        let text = direct.text("c.toml").unwrap();
        let config = parse(&text);
        assert!(
            config.kafka.is_none() && text.contains("\n# [kafka]\n") && !text.contains("# publication ="),
            "{text}"
        );
    }

    /// Each default that stands there as a comment is one that the program takes.
    #[test]
    fn commented_options_can_be_switched_on() {
        let text = draft().text("c.toml").unwrap();
        let is_option = |line: &&str| {
            line.starts_with("# ")
                && line.contains(" = ")
                && !line.contains('…')
                && !line[2..].starts_with(char::is_uppercase)
        };
        let options: Vec<&str> = text
            .lines()
            .filter(is_option)
            .filter(|line| line[2..].split(" = ").next().is_some_and(|name| !name.contains(' ')))
            .collect();
        assert!(options.len() > 10, "{options:?}");
        for option in options {
            let at = text.find(&format!("\n{option}\n")).unwrap();
            // Of a section that is left out, the heading is switched on with its option.
            let is_heading = |start: &usize| text[*start..].trim_start_matches("# ").starts_with('[');
            let heading = text[..at].rmatch_indices('\n').map(|(end, _)| end + 1).find(is_heading).unwrap();
            let (before, section) = text[..at].split_at(heading);
            let section = section.strip_prefix("# ").unwrap_or(section);
            parse(&format!("{before}{section}\n{}{}", &option[2..], &text[at + 1 + option.len()..]));
        }
        assert!(text.lines().all(|line| line.chars().count() <= 130), "{text}");
    }

    #[test]
    fn what_is_chosen_wrongly_is_told_before_anything_is_written() {
        for (draft, expected) in [
            (Draft { url: "oracle://h/d".to_owned(), ..draft() }, "unknown database \"oracle\" in a URL"),
            (
                Draft { url: "mysql://me:geheim@h/d".to_owned(), ..draft() },
                "the password in the URL would stand in the file",
            ),
            (Draft { name: "a shop".to_owned(), ..draft() }, "\"a shop\" is no name"),
            (Draft { brokers: vec!["a:b".to_owned()], ..draft() }, "\"a:b\" is no broker"),
            (Draft { tables: Vec::new(), ..draft() }, "\"tables\" is empty"),
            (
                Draft { snapshot: Some("nevr".to_owned()), ..draft() },
                "\"snapshot\" cannot be \"nevr\"; did you mean \"never\"?",
            ),
        ] {
            let error = draft.text("c.toml").unwrap_err();
            assert!(
                error.to_string().starts_with(expected) && !error.to_string().contains("geheim"),
                "{error}"
            );
        }
    }
}
