//! `list_sync verify`: a line a table on stdout, keys of faults in the log, exit code 1 unless all is equal.

use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use list_sync::config::{Sink, Source};
use list_sync::control::Control;
use list_sync::verify::{Found, Proof, verify};
use list_sync::{Code, Error, Result, source};

use crate::args::Verify;
use crate::{Session, say};

/// Between two comparisons while `--wait` lasts.
const PAUSE: Duration = Duration::from_secs(1);

/// Runs the command.
pub fn run(session: &Session, flags: &Verify) -> Result<ExitCode> {
    let config = session.config(&flags.one_line())?;
    config.need_sinks(&flags.sink)?;
    let (config, sinks_named) = match flags.independent {
        Some(instances) => (config.with_independent_sinks(&flags.sink, instances), &[][..]),
        None => (config, &flags.sink[..]),
    };
    let (sources, sinks) = (config.need_sources(&flags.source)?, config.need_sinks(sinks_named)?);
    let control = Control::default();
    control.stop_on_signals()?;
    let until = Instant::now() + Duration::from_secs(flags.wait);
    let mut all_equal = true;
    let mut compared = 0;
    for source in &sources {
        for sink in &sinks {
            let proofs = prove_until(source, sink, until, &control)?;
            compared += proofs.len();
            let prefix = prefix(&sources, &sinks, source, sink);
            for proof in &proofs {
                report(&prefix, proof)?;
                all_equal &= proof.is_equal();
            }
        }
    }
    if compared == 0 {
        let hint = "look at `tables` of the source and `topics` of the sink";
        return Err(
            Error::stop(Code::NothingToDo, "no table of these sources goes to these sinks").hint(hint)
        );
    }
    Ok(if all_equal { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Compares until all is equal, or the time is over.
fn prove_until(source: &Source, sink: &Sink, until: Instant, control: &Control) -> Result<Vec<Proof>> {
    let mut database =
        source::open(&source.address).map_err(|error| error.context(format!("source {:?}", source.name)))?;
    loop {
        let proofs = verify(database.as_mut(), source, sink)?;
        let equal = proofs.iter().all(Proof::is_equal);
        if equal || Instant::now() + PAUSE > until || control.is_stopping() {
            return Ok(proofs);
        }
        thread::sleep(PAUSE);
    }
}

/// Names what the line is of where more than one could be meant.
fn prefix(sources: &[&Source], sinks: &[&Sink], source: &Source, sink: &Sink) -> String {
    let source = if sources.len() > 1 { format!("{}: ", source.name) } else { String::new() };
    let sink = if sinks.len() > 1 { format!("{}: ", sink.name) } else { String::new() };
    format!("{source}{sink}")
}

fn report(prefix: &str, proof: &Proof) -> Result<()> {
    let schema = if proof.schema.is_empty() { String::new() } else { format!("{}.", proof.schema) };
    let name = format!("{prefix}{schema}{}", proof.table);
    if let Some(reason) = &proof.not_compared {
        return say(&format!("{name}: not compared: {reason}"));
    }
    let (missing, extra, different) = (&proof.missing, &proof.extra, &proof.different);
    say(&format!(
        "{name}: {} rows, {} missing, {} extra, {} different",
        proof.rows, missing.count, extra.count, different.count
    ))?;
    for (class, found) in [("missing", missing), ("extra", extra), ("different", different)] {
        keys(&name, class, found);
    }
    for difference in &proof.differences {
        tracing::warn!("{name}: {difference}");
    }
    for problem in &proof.problems {
        tracing::warn!("{name}: {problem}");
    }
    Ok(())
}

fn keys(name: &str, class: &str, found: &Found) {
    if !found.keys.is_empty() {
        let more = if found.count > found.keys.len() as u64 { ", …" } else { "" };
        tracing::warn!("{name}: {class}: {}{more}", found.keys.join(", "));
    }
}
