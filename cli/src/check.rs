//! `list_sync check`: one line a check on stdout, or one JSON object; exit code 1 if one failed.

use std::process::ExitCode;

use list_sync::check::{Done, Found, Scope, check, fix, is_good};
use list_sync::config;
use list_sync::finding::{Fix, Status};
use list_sync::{Code, Result};
use serde_json::{Value, json};

use crate::args::Check;
use crate::{Session, say};

/// Runs the command.
pub fn run(session: &Session, flags: &Check) -> Result<ExitCode> {
    let config = session.config(&flags.one_line())?;
    config.refuse_unbuilt()?;
    let admins = flags.admin.iter().map(|url| config::address_of_flag(url)).collect::<Result<Vec<_>>>()?;
    let scope = Scope { sources: &flags.source, sinks: &flags.sink };
    let mut found = check(&config, &scope)?;
    let mut done = Vec::new();
    if flags.fix {
        done = fix(&config, &found, &admins);
        done.iter().for_each(log);
        if !done.is_empty() {
            found = check(&config, &scope)?;
        }
    }
    if flags.json {
        say(&format!("{:#}", as_json(&found, &done)))?;
    } else {
        found.iter().try_for_each(|one| say(&line(one)))?;
    }
    Ok(if is_good(&found) { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn log(done: &Done) {
    match &done.result {
        Ok(()) => tracing::info!("{}: done: {}", done.subject, done.what),
        Err(error) => tracing::error!("{}: not done: {}: {error}", done.subject, done.what),
    }
}

/// `fail  source shop: wal_level: what was found; fix: what to do`
fn line(one: &Found) -> String {
    let finding = &one.finding;
    let mend = finding.mend.as_ref().map_or_else(String::new, |mend| format!("; fix: {mend}"));
    format!("{:<4}  {}: {}: {}{mend}", finding.status.name(), one.subject, finding.check, finding.fact)
}

/// As docs/check.md describes it.
fn as_json(found: &[Found], done: &[Done]) -> Value {
    let worst = found.iter().map(|one| one.finding.status).max().unwrap_or(Status::Ok);
    let checks = found.iter().map(|one| {
        let finding = &one.finding;
        json!({
            "subject": one.subject,
            "check": finding.check,
            "status": finding.status.name(),
            "fact": finding.fact,
            "code": finding.code.map(Code::slug),
            "mend": finding.mend,
            "fix": finding.fix.as_ref().map(fix_as_json),
        })
    });
    let done = done.iter().map(|one| {
        let error = one.result.as_ref().err().map(ToString::to_string);
        let code = one.result.as_ref().err().map(|error| error.code().slug());
        json!({ "subject": one.subject, "what": one.what, "error": error, "code": code })
    });
    json!({ "status": worst.name(), "checks": checks.collect::<Vec<_>>(), "done": done.collect::<Vec<_>>() })
}

fn fix_as_json(fix: &Fix) -> Value {
    match fix {
        Fix::Statements(statements) => json!({ "statements": statements }),
        Fix::Topic { name, .. } => json!({ "topic": name }),
        Fix::Folder(folder) => json!({ "folder": folder }),
    }
}
