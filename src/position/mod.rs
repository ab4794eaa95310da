//! Where a source reads on, shown, moved or forgotten from outside: the saved place, and what the source
//! keeps on its server. The source must not run meanwhile. A place is only moved forward: what was sent
//! already is recognised by its position and not sent again.

mod kept;

use crate::change::{Checkpoint, Position, Restart};
use crate::config::{self, Config};
use crate::error::ErrorKind;
use crate::kafka::Topics;
use crate::monitor::live;
use crate::source::{Dialect, Distance, Snapshot, measure, open};
use crate::{Code, Error, Result, assembly, connector, direct};
use kept::Kept;

/// How long a server may take to answer.
const ANSWER_TIME: std::time::Duration = std::time::Duration::from_secs(10);

/// What there is of a source.
pub struct Place<'a> {
    config: &'a Config,
    source: &'a config::Source,
    /// Where the source reads on; `None` if it has not begun.
    pub saved: Option<Checkpoint>,
    /// Why what is saved cannot be read: it can still be forgotten.
    unreadable: Option<Error>,
    kept: Kept,
}

impl<'a> Place<'a> {
    /// Looks it up, and changes nothing.
    pub fn look(config: &'a Config, source: &'a config::Source) -> Result<Self> {
        let context = |error: Error| error.context(format!("source {:?}", source.name));
        let saved = match &config.kafka {
            Some(_) => {
                let settings = assembly::kafka(config)?;
                let topics = Topics::connect(&settings)?;
                connector::saved(&settings, &topics, &source.name)
                    .map(|saved| saved.map(|(checkpoint, ..)| checkpoint))
            }
            None => direct::saved(config, source),
        };
        let (saved, unreadable) = match saved {
            Ok(saved) => (saved, None),
            Err(error) if error.kind() == ErrorKind::Stop => (None, Some(error)),
            Err(error) => return Err(error),
        };
        let kept = Kept::look(source).map_err(context)?;
        Ok(Self { config, source, saved, unreadable, kept })
    }

    fn is_saved(&self) -> bool {
        self.saved.is_some() || self.unreadable.is_some()
    }

    /// Where the place is saved.
    pub fn stored_in(&self) -> String {
        match &self.config.kafka {
            Some(_) => format!("topic {}", crate::kafka::Checkpoints::TOPIC),
            None => format!("file {}", direct::state_path(self.config, self.source).display()),
        }
    }

    /// The lines that `position get` prints.
    pub fn lines(&self) -> Vec<String> {
        let name = &self.source.name;
        let mut lines = match &self.saved {
            None if self.unreadable.is_some() => self.unreadable.iter().map(ToString::to_string).collect(),
            None => vec![format!("source {name}: no place is saved in {}", self.stored_in())],
            Some(saved) => match self.distance(&saved.restart) {
                Ok(Distance { place, end, bytes, .. }) => {
                    vec![format!(
                        "source {name}: at {place} of {end}, {bytes} bytes behind, saved in {}",
                        self.stored_in()
                    )]
                }
                Err(error) => vec![
                    format!("source {name}: at {}, saved in {}", saved.restart, self.stored_in()),
                    format!("the server was not asked how far that is: {error}"),
                ],
            },
        };
        lines.extend(self.kept.lines());
        lines
    }

    fn distance(&self, place: &Restart) -> Result<Distance> {
        measure(&self.source.address, &self.source.slot, ANSWER_TIME).behind(place)
    }

    /// What [`Place::forget`] would remove, a line each; none if there is nothing.
    pub fn removable(&self) -> Vec<String> {
        let mut lines = self.kept.removable();
        if self.is_saved() {
            lines.push(format!("the saved place in {}", self.stored_in()));
        }
        lines
    }

    /// Removes publication, slot and saved place, in this order: what fails or is cut off is done by the next
    /// call.
    pub fn forget(&self) -> Result<()> {
        self.need_rest()?;
        self.kept
            .remove(self.source)
            .map_err(|error| error.context(format!("source {:?}", self.source.name)))?;
        match &self.config.kafka {
            Some(_) if self.is_saved() => {
                connector::replace_saved(&assembly::kafka(self.config)?, &self.source.name, None)
            }
            Some(_) => Ok(()),
            None => direct::forget_saved(self.config, self.source),
        }
    }

    /// The place that `to` names: `latest`, a PostgreSQL LSN, or `FILE:OFFSET` of a binary log.
    pub fn find(&self, to: &str) -> Result<Checkpoint> {
        let Some(saved) = &self.saved else {
            return Err(Error::stop(
                Code::PositionMissing,
                format!("source {:?} has no saved place to move", self.source.name),
            )
            .hint("start it: with snapshot = \"never\" it begins at the end of the log"));
        };
        match (to, self.source.address.dialect) {
            ("latest", Dialect::Postgres) => {
                self.forward(saved, Restart::Postgres { lsn: self.kept.end_lsn, last: None })
            }
            ("latest", _) => self.end_of_binlog(saved),
            (_, Dialect::Postgres) => {
                let lsn =
                    parse_lsn(to).ok_or_else(|| unknown(to, "latest, or an LSN such as 16/B374D848"))?;
                self.forward(saved, Restart::Postgres { lsn, last: None })
            }
            _ => {
                if matches!(saved.restart, Restart::Binlog { gtid: Some(_), .. }) {
                    return Err(Error::usage(
                        Code::PositionInvalid,
                        format!(
                            "the place of source {:?} is a GTID set, and {to:?} is none",
                            self.source.name
                        ),
                    )
                    .hint("move it to the end of the log: list_sync position set SOURCE latest"));
                }
                let found = to
                    .rsplit_once(':')
                    .and_then(|(file, offset)| Some((file.to_owned(), offset.parse().ok()?)));
                let (file, offset) =
                    found.ok_or_else(|| unknown(to, "latest, or FILE:OFFSET such as binlog.000042:157"))?;
                self.forward(saved, Restart::Binlog { gtid: None, file, offset, begun: None })
            }
        }
    }

    fn forward(&self, saved: &Checkpoint, restart: Restart) -> Result<Checkpoint> {
        let position = Position::first_of(saved.position.epoch, number(&restart));
        if position < saved.position {
            return Err(Error::stop(
                Code::PositionInvalid,
                format!("{restart} lies before the saved place {}", saved.restart),
            )
            .hint(
                "a place is only moved forward: to read older changes again, give the source another \
                    name and begin there",
            ));
        }
        // A place that the server does not have yet, or does not have any more, is an error of this question.
        self.distance(&restart).map_err(|error| error.context(format!("{restart} cannot be read from")))?;
        if let Restart::Postgres { lsn, .. } = restart
            && lsn > self.kept.end_lsn
        {
            return Err(Error::stop(
                Code::PositionInvalid,
                format!("{restart} lies behind the end of the server's log"),
            )
            .hint("name a place up to `latest`"));
        }
        let identity = saved.identity.clone();
        Ok(Checkpoint { identity, position, restart, snapshot: None, known: None }.with_tables_of(saved))
    }

    /// A fresh start tells where a binary log ends, with its GTID set. In a log that began again the next
    /// changes are of a new epoch, so that they count as new wherever the old ones were seen.
    fn end_of_binlog(&self, saved: &Checkpoint) -> Result<Checkpoint> {
        let source = config::Source { snapshot: Snapshot::Never, ..self.source.clone() };
        let mut end = assembly::source(&source, false).start(None)?;
        end.position.epoch = saved.position.epoch;
        if end.position < saved.position || end.identity != saved.identity {
            end.position.epoch = saved.position.epoch.saturating_add(1);
        }
        Ok(end.with_tables_of(saved))
    }

    /// Saves a place that [`Place::find`] found.
    pub fn set(&self, checkpoint: Checkpoint) -> Result<()> {
        self.need_rest()?;
        match &self.config.kafka {
            Some(_) => {
                connector::replace_saved(&assembly::kafka(self.config)?, &self.source.name, Some(checkpoint))
            }
            None => direct::replace_saved(self.config, self.source, checkpoint),
        }
    }

    /// A source that runs would save its own place over ours.
    fn need_rest(&self) -> Result<()> {
        let verdicts = self.config.monitor.as_ref().map(|monitor| live(&monitor.listen)).unwrap_or_default();
        let runs = verdicts
            .iter()
            .any(|verdict| verdict.stage == "source" && verdict.name == self.source.name && !verdict.failed);
        if runs || self.kept.is_read() {
            return Err(Error::stop(
                Code::SourceRunning,
                format!("source {:?} is running", self.source.name),
            )
            .hint("stop its process, then try again"));
        }
        Ok(())
    }
}

fn unknown(to: &str, expected: &str) -> Error {
    Error::usage(Code::PositionInvalid, format!("{to:?} is no place; expected {expected}"))
}

fn parse_lsn(text: &str) -> Option<u64> {
    let (high, low) = text.split_once('/')?;
    let half = |digits: &str| {
        u32::from_str_radix(digits, 16).ok().filter(|_| digits.bytes().all(|digit| digit.is_ascii_hexdigit()))
    };
    Some(u64::from(half(high)?) << 32 | u64::from(half(low)?))
}

/// As in a position: see [`Position::commit`].
fn number(restart: &Restart) -> u64 {
    match restart {
        Restart::Postgres { lsn, .. } => *lsn,
        Restart::Binlog { file, offset, .. } => {
            let digits =
                file.rsplit('.').next().and_then(|digits| digits.parse::<u32>().ok()).unwrap_or_default();
            u64::from(digits) << 32 | (*offset).min(u64::from(u32::MAX))
        }
    }
}

/// Plain SQL on the source's server, in a connection of its own.
fn ask(source: &config::Source, query: &str) -> Result<Vec<Vec<Option<String>>>> {
    open(&source.address)?.query(query)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_as_people_write_them() {
        assert_eq!(parse_lsn("16/B374D848"), Some(0x16_B374_D848));
        for text in ["", "16", "16/", "/1", "1/2/3", "x/1", "+1/2", "123456789/0"] {
            assert_eq!(parse_lsn(text), None, "{text}");
        }
        let place =
            Restart::Binlog { gtid: None, file: "binlog.000042".to_owned(), offset: 157, begun: None };
        assert_eq!(number(&place), 0x2A_0000_009D);
    }
}
