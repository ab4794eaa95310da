//! `list_sync position`: shows, moves or removes the place where a source reads on. Without `--yes` it only
//! says what it would do.

use std::process::ExitCode;

use list_sync::Result;
use list_sync::config::{Config, OneLine};
use list_sync::position::Place;

use crate::args::PositionAction;
use crate::{Session, say};

/// Runs the command.
pub fn run(session: &Session, action: &PositionAction) -> Result<ExitCode> {
    let config = session.config(&OneLine::default())?;
    match action {
        PositionAction::Get(of) => {
            for line in place(&config, &of.source)?.lines() {
                say(&line)?;
            }
        }
        PositionAction::Set { of, place: to, yes } => {
            set(&place(&config, &of.source)?, &of.source, to, *yes)?;
        }
        PositionAction::Forget { of, yes } => {
            forget(&place(&config, &of.source)?, &of.source, *yes, config.kafka.is_some())?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn place<'a>(config: &'a Config, source: &str) -> Result<Place<'a>> {
    Place::look(config, config.need_sources(&[source.to_owned()])?[0])
}

fn set(place: &Place<'_>, source: &str, to: &str, yes: bool) -> Result<()> {
    let found = place.find(to)?;
    let from = place.saved.as_ref().map(|saved| saved.restart.to_string()).unwrap_or_default();
    let to = found.restart.to_string();
    if !yes {
        say(&format!(
            "would move source {source} from {from} to {to}: changes between these places would never be sent"
        ))?;
        return say("nothing was changed; add --yes to do it");
    }
    place.set(found)?;
    say(&format!("source {source}: moved from {from} to {to}"))
}

fn forget(place: &Place<'_>, source: &str, yes: bool, through_kafka: bool) -> Result<()> {
    let removable = place.removable();
    if removable.is_empty() {
        return say(&format!("source {source}: nothing to remove"));
    }
    if yes {
        place.forget()?;
    }
    for line in removable {
        say(&format!("{} {line}", if yes { "removed" } else { "would remove" }))?;
    }
    if yes {
        return Ok(());
    }
    say(if through_kafka {
        "The source's next start begins as a first one. Give it another name if its server's log was reset \
         or replaced: consumers drop what lies \
         before the last change they have seen under this name."
    } else {
        "The source's next start begins as a first one. Move its files away before: they are not continued."
    })?;
    say("nothing was changed; add --yes to do it")
}
