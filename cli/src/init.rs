//! `list_sync init`: writes a commented configuration file from flags, or from what is answered on a
//! terminal.

use std::fs::{self, File};
use std::io::{self, BufRead, IsTerminal, Write};
use std::path::Path;
use std::process::ExitCode;

use list_sync::config::{Draft, FILE};
use list_sync::source::Address;
use list_sync::{Code, Error, Result};

use crate::args::Init;
use crate::hide::is_hidden;
use crate::{Session, say};

/// Runs the command.
pub fn run(session: &Session, flags: &Init) -> Result<ExitCode> {
    let file = session.config_path().unwrap_or(FILE);
    if !flags.force && Path::new(file).exists() {
        return Err(is_there(file));
    }
    // The variable that stands in its place is this process's own: in the file it would name nothing.
    if flags.from.as_deref().is_some_and(is_hidden) {
        return Err(Draft::password_in_url());
    }
    let draft = if io::stdin().is_terminal() { asked(flags, &mut Terminal)? } else { of_flags(flags)? };
    let text = draft.text(file)?;
    write(file, &text, flags.force)?;
    say(&format!(
        "{file} is written; next: list_sync check{}",
        if file == FILE { String::new() } else { format!(" -c {file}") }
    ))?;
    Ok(ExitCode::SUCCESS)
}

fn is_there(file: &str) -> Error {
    Error::usage(Code::FileExists, format!("the file {file:?} is there already"))
        .hint("write another one with -c FILE, or replace it with --force")
}

fn write(file: &str, text: &str, force: bool) -> Result<()> {
    let failed = |cause: io::Error| {
        if cause.kind() == io::ErrorKind::AlreadyExists {
            return is_there(file);
        }
        Error::stop(Code::FileFailed, format!("the file {file:?} cannot be written"))
            .cause(cause)
            .hint("name a file in a folder that is there and yours with -c FILE")
    };
    if force {
        return fs::write(file, text).map_err(failed);
    }
    File::create_new(file).and_then(|mut new| new.write_all(text.as_bytes())).map_err(failed)
}

/// Without a terminal the flags must say it all.
fn of_flags(flags: &Init) -> Result<Draft> {
    let missing: Vec<&str> =
        [("--from", flags.from.is_none()), ("--table", flags.table.is_empty()), ("--to", flags.to.is_none())]
            .into_iter()
            .filter_map(|(flag, is_missing)| is_missing.then_some(flag))
            .collect();
    if !missing.is_empty() {
        return Err(Error::usage(
            Code::TerminalMissing,
            format!("there is no terminal to ask on, and {} is missing", missing.join(", ")),
        )
        .hint(
            "list_sync init --from postgres://repl@db/shop --table 'public.*' --kafka host:9092 --to csv:out",
        ));
    }
    draft(flags, flags.from.clone().unwrap_or_default())
}

fn draft(flags: &Init, url: String) -> Result<Draft> {
    let folder = flags.to.as_deref().unwrap_or("csv:out");
    let folder = folder.strip_prefix("csv:").filter(|folder| !folder.is_empty());
    Ok(Draft {
        brokers: brokers(flags.kafka.as_deref().unwrap_or_default()),
        name: flags.name.clone().unwrap_or_else(|| name_for(&url)),
        url,
        password_file: flags.password_file.clone(),
        tables: flags.table.clone(),
        snapshot: flags.snapshot.clone(),
        folder: folder
            .ok_or_else(|| {
                Error::usage(Code::ArgumentInvalid, "--to is not understood; expected csv:FOLDER")
            })?
            .to_owned(),
    })
}

fn brokers(written: &str) -> Vec<String> {
    written.split(',').map(|broker| broker.trim().to_owned()).filter(|broker| !broker.is_empty()).collect()
}

/// The database's name, in the letters that a source's name may have.
fn name_for(url: &str) -> String {
    let database = Address::parse(url).map_or_else(|_| "source".to_owned(), |address| address.database);
    database
        .chars()
        .map(|letter| if letter.is_ascii_alphanumeric() || letter == '-' { letter } else { '_' })
        .take(48)
        .collect()
}

/// Who answers questions.
trait Person {
    /// Asks one question; `None` if there is nobody to answer any more.
    fn answer(&mut self, question: &str) -> Result<Option<String>>;
}

struct Terminal;

impl Person for Terminal {
    fn answer(&mut self, question: &str) -> Result<Option<String>> {
        let failed =
            |cause: io::Error| Error::stop(Code::TerminalMissing, "the terminal cannot be used").cause(cause);
        write!(io::stderr(), "{question} ").and_then(|()| io::stderr().flush()).map_err(failed)?;
        let mut line = String::new();
        let length = io::stdin().lock().read_line(&mut line).map_err(failed)?;
        Ok((length > 0).then(|| line.trim().to_owned()))
    }
}

/// Asks for what the flags do not say.
fn asked(flags: &Init, person: &mut dyn Person) -> Result<Draft> {
    let url = match &flags.from {
        Some(url) => url.clone(),
        None => ask_url(flags.password_file.is_some(), person)?,
    };
    let mut draft = draft(flags, url)?;
    if flags.name.is_none() {
        draft.name = ask("Name of the source, for topics, slot and saved position", &draft.name, person)?;
    }
    if flags.table.is_empty() {
        let all = if draft.url.starts_with("postgres") { "public.*" } else { "*" };
        let tables =
            ask("Tables, separated by commas; * stands for any letters, ! in front leaves out", all, person)?;
        draft.tables = tables
            .split(',')
            .map(|table| table.trim().to_owned())
            .filter(|table| !table.is_empty())
            .collect();
    }
    if flags.kafka.is_none() {
        draft.brokers = brokers(&ask(
            "Kafka's brokers, HOST:PORT separated by commas; nothing: straight to files",
            "",
            person,
        )?);
    }
    if flags.to.is_none() {
        draft.folder = ask("Folder of the CSV files", "out", person)?;
    }
    Ok(draft)
}

/// A question with what an empty answer means.
fn ask(question: &str, default: &str, person: &mut dyn Person) -> Result<String> {
    let shown = if default.is_empty() { format!("{question}:") } else { format!("{question} [{default}]:") };
    match person.answer(&shown)? {
        Some(answer) if answer.is_empty() => Ok(default.to_owned()),
        Some(answer) => Ok(answer),
        None => Err(Error::usage(Code::TerminalMissing, "the answers broke off")
            .hint("nothing was written; list_sync init --help lists the flags")),
    }
}

/// Asks for the URL until it is one, then where its password stands.
fn ask_url(has_password_file: bool, person: &mut dyn Person) -> Result<String> {
    let url = loop {
        let url = ask("Database, postgres://user@host:5432/database, mysql://… or mariadb://…", "", person)?;
        match Address::parse(&url) {
            Ok(_) => break url,
            Err(error) => tracing::error!("{error}; {}", error.hint_text().unwrap_or_default()),
        }
    };
    let has_password = url
        .split_once("://")
        .and_then(|(_, rest)| rest.rsplit_once('@'))
        .is_some_and(|(user, _)| user.contains(':'));
    if has_password || has_password_file {
        return Ok(url);
    }
    let variable =
        ask("Environment variable that will hold the password; nothing: none is needed", "", person)?;
    let variable = variable.trim_start_matches("${").trim_start_matches('$').trim_end_matches('}');
    if variable.is_empty() {
        return Ok(url);
    }
    let (scheme, rest) = url.split_once("://").unwrap_or(("", &url));
    let (user, host) = rest
        .rsplit_once('@')
        .unwrap_or((if scheme.starts_with("postgres") { "postgres" } else { "root" }, rest));
    Ok(format!("{scheme}://{user}:${{{variable}}}@{host}"))
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::{Person, asked};
    use crate::args::Init;

    struct Answers(VecDeque<&'static str>);

    impl Person for Answers {
        fn answer(&mut self, _question: &str) -> list_sync::Result<Option<String>> {
            Ok(self.0.pop_front().map(str::to_owned))
        }
    }

    #[test]
    fn a_wrong_url_is_asked_for_again_and_empty_answers_take_the_default() {
        let mut person =
            Answers(["nonsense", "mysql://repl@db/my shop", "DB_PASSWORD", "", "", "a:1, b:2", ""].into());
        let draft = asked(&Init::default(), &mut person).unwrap();
        assert_eq!(
            (draft.url.as_str(), draft.name.as_str()),
            ("mysql://repl:${DB_PASSWORD}@db/my shop", "my_shop")
        );
        assert_eq!(
            (draft.tables.join(" ").as_str(), draft.brokers.join(" ").as_str(), draft.folder.as_str()),
            ("*", "a:1 b:2", "out")
        );
        assert!(person.0.is_empty());
    }

    #[test]
    fn what_the_flags_say_is_not_asked() {
        let flags = Init {
            from: Some("postgres://h/d".to_owned()),
            name: Some("n".to_owned()),
            to: Some("csv:files".to_owned()),
            ..Init::default()
        };
        let draft = asked(&flags, &mut Answers(["public.a", ""].into())).unwrap();
        assert_eq!(
            (
                draft.name.as_str(),
                draft.tables.join(" ").as_str(),
                draft.brokers.len(),
                draft.folder.as_str()
            ),
            ("n", "public.a", 0, "files")
        );
        assert_eq!(
            asked(&flags, &mut Answers(["public.a"].into())).unwrap_err().to_string(),
            "the answers broke off"
        );
    }
}
