//! `list_sync seed`: loads the test table of one database, or of all sources at the same time.

use std::process::ExitCode;
use std::thread;
use std::time::Instant;

use list_sync::control::Control;
use list_sync::seed::{Counts, Load, seed};
use list_sync::source::{self, Address};
use list_sync::{Code, Error, Result, config};

use crate::args::Seed;
use crate::{Session, say};

/// Runs the command.
pub fn run(session: &Session, flags: &Seed) -> Result<ExitCode> {
    let targets = targets(session, flags)?;
    let load = Load {
        table: flags.table.clone(),
        rows: flags.rows,
        batch: flags.batch,
        rate: flags.rate,
        mix: flags.mix,
        random_seed: flags.seed,
    };
    let (control, watch) = session.control(false)?;
    let results: Vec<_> = thread::scope(|scope| {
        let running: Vec<_> = targets
            .iter()
            .map(|(name, address)| {
                list_sync::threads::spawn_scoped(scope, || timed(name, address, &load, &control))
            })
            .collect();
        running
            .into_iter()
            .map(|thread| {
                thread.join().unwrap_or_else(|_| Err(Error::stop(Code::Internal, "the load broke off")))
            })
            .collect()
    });
    drop(watch);
    let mut failure = None;
    for ((name, _), result) in targets.iter().zip(results) {
        let prefix = if targets.len() > 1 { format!("{name}: ") } else { String::new() };
        match result {
            Ok((counts, seconds)) => tell(&prefix, counts, seconds)?,
            Err(error) => failure = Some(error.context(format!("source {name:?}"))),
        }
    }
    failure.map_or(Ok(ExitCode::SUCCESS), Err)
}

fn targets(session: &Session, flags: &Seed) -> Result<Vec<(String, Address)>> {
    if let Some(url) = &flags.url {
        let address = config::address_of_flag(url)?;
        return Ok(vec![(address.database.clone(), address)]);
    }
    let config = session.config(&config::OneLine::default())?;
    let sources = config.need_sources(&flags.source)?;
    Ok(sources.into_iter().map(|source| (source.name.clone(), source.address.clone())).collect())
}

fn timed(name: &str, address: &Address, load: &Load, control: &Control) -> Result<(Counts, f64)> {
    let started = Instant::now();
    let figures = control.progress.source(name);
    figures.life.set_state("loading");
    let mut database = source::open(address)?;
    let counts = seed(database.as_mut(), address, load, control, &figures)?;
    figures.life.set_state("loaded");
    Ok((counts, started.elapsed().as_secs_f64()))
}

fn tell(prefix: &str, counts: Counts, seconds: f64) -> Result<()> {
    say(&format!("{prefix}inserted rows: {}", counts.inserted))?;
    say(&format!("{prefix}updated rows: {}", counts.updated))?;
    say(&format!("{prefix}deleted rows: {}", counts.deleted))?;
    say(&format!("{prefix}seconds: {seconds:.2}"))
}
