//! All that a start needs of the server, each rule with its own answer; nothing is changed. The rules
//! themselves are those of the start (`checks`, `slot`).

use super::super::{Inspection, Snapshot, WITHOUT_SNAPSHOT, snapshot_fact};
use super::catalog::{Captured, Catalog, cells};
use super::connection::{Connection, Purpose};
use super::failure::{quote_identifier, quote_literal};
use super::{Plugin, Settings, checks, publication, slot};
use crate::finding::{Finding, Fix, Status, listed};
use crate::{Code, Error, Result};

/// How long the server may take to try a plugin: it waits for the transactions that are open.
const TRIAL_MS: u32 = 5_000;

/// Tries every rule.
pub(super) fn inspect(settings: &Settings) -> Inspection {
    let mut inspection = Inspection::default();
    let mut catalog = match Catalog::open(&settings.address) {
        Ok(catalog) => catalog,
        Err(error) => {
            inspection.findings.push(Finding::fail("connection", &error));
            return inspection;
        }
    };
    let found = &mut inspection.findings;
    found.push(Finding::of("connection", connected(&mut catalog)));
    found.push(encryption(&mut catalog).unwrap_or_else(|error| Finding::fail("tls", &error)));
    let before = found.len();
    found.push(Finding::of("version", checks::version_is_known(&mut catalog).map(|()| "new enough")));
    found.push(Finding::of("wal_level", checks::log_is_logical(&mut catalog).map(|()| "logical")));
    found.push(Finding::of(
        "replication privilege",
        checks::role_may_replicate(&mut catalog).map(|()| "the role may replicate"),
    ));
    found.push(Finding::of("replication slot", free_slot(&mut catalog, settings)));
    found.push(Finding::of("wal senders", free_sender(&mut catalog, settings)));
    let can_decode = found[before..].iter().all(|finding| finding.status == Status::Ok);
    let plugin = checks::plugin_is_allowed(&mut catalog, settings.plugin);
    if settings.plugin == Plugin::Wal2json && plugin.is_ok() && can_decode {
        found.push(wal2json(&mut catalog, settings).unwrap_or_else(|error| Finding::fail("plugin", &error)));
    } else {
        found.push(Finding::of("plugin", plugin.map(|()| settings.plugin.name())));
    }
    match checks::tables_are_there(&mut catalog, settings) {
        Ok(captured) => {
            tables(&mut catalog, settings, &captured, found);
            inspection.tables = captured.into_iter().map(|table| (table.schema, table.name)).collect();
        }
        Err(error) => found.push(Finding::fail("tables", &error)),
    }
    inspection
}

fn connected(catalog: &mut Catalog) -> Result<String> {
    let version = catalog.version()?;
    Ok(format!("PostgreSQL {version} at {}", catalog.address()))
}

fn encryption(catalog: &mut Catalog) -> Result<Finding> {
    let is_encrypted = catalog.connection()?.is_encrypted();
    let mode = catalog.address().options.get("sslmode").map_or("", String::as_str);
    let verifies = matches!(mode, "verify-ca" | "verify-full");
    Ok(catalog.address().encryption(is_encrypted, verifies, "sslmode=verify-full&sslrootcert=FILE"))
}

/// A slot of ours that can be read from, or room for one.
fn free_slot(catalog: &mut Catalog, settings: &Settings) -> Result<String> {
    if slot::find(catalog, settings)?.is_some() {
        return Ok(format!("slot {:?} is there", settings.slot));
    }
    let (limit, used) = limit(catalog, "max_replication_slots", "pg_catalog.pg_replication_slots")?;
    if used < limit {
        return Ok(format!("slot {:?} will be made; {used} of {limit} are used", settings.slot));
    }
    Err(Error::stop(
        Code::SlotsUsedUp,
        format!("all {limit} replication slots are used (max_replication_slots)"),
    )
    .hint(format!(
        "ALTER SYSTEM SET max_replication_slots = {}; then restart the server; or drop one that nobody \
         reads: SELECT pg_drop_replication_slot('…')",
        limit + 10
    )))
}

/// A process of the server that sends the log.
fn free_sender(catalog: &mut Catalog, settings: &Settings) -> Result<String> {
    let (limit, used) = limit(catalog, "max_wal_senders", "pg_catalog.pg_stat_replication")?;
    let reads = slot::find(catalog, settings).ok().flatten().and_then(|slot| slot.active_pid);
    if let Some(pid) = reads {
        return Ok(format!("process {pid} reads slot {:?} now", settings.slot));
    }
    if used < limit {
        return Ok(format!("{used} of {limit} are used"));
    }
    Err(Error::stop(Code::SlotsUsedUp, format!("all {limit} WAL senders are used (max_wal_senders)"))
        .hint(format!("ALTER SYSTEM SET max_wal_senders = {}; then restart the server", limit + 10)))
}

fn limit(catalog: &mut Catalog, setting: &str, view: &str) -> Result<(u64, u64)> {
    let rows = catalog.ask(&format!("SELECT current_setting('{setting}'), (SELECT count(*) FROM {view})"))?;
    let [limit, used] = rows.into_iter().next().map(cells).unwrap_or_default();
    Ok((limit.parse().unwrap_or(0), used.parse().unwrap_or(0)))
}

/// A temporary slot, gone with its session, shows that the server can load the plugin.
fn wal2json(catalog: &mut Catalog, settings: &Settings) -> Result<Finding> {
    if slot::find(catalog, settings)?.is_some() {
        return Ok(Finding::ok("plugin", "wal2json, which made the slot"));
    }
    let mut session = Connection::open(&settings.address, Purpose::Sql)?;
    session.execute(&format!("SET statement_timeout = {TRIAL_MS}"))?;
    let trial = format!(
        "SELECT pg_catalog.pg_create_logical_replication_slot('list_sync_check_' || pg_backend_pid(), {}, \
         true)",
        quote_literal("wal2json")
    );
    match session.query(&trial) {
        Ok(_) => Ok(Finding::ok("plugin", "wal2json can be loaded")),
        Err(error) if error.to_string().contains("wal2json") => {
            Err(error.hint(slot::wal2json_missing(catalog.version()?)))
        }
        // The plugin is loaded before the server waits.
        Err(error) if error.to_string().contains("57014") => Ok(Finding::warn(
            "plugin",
            "wal2json can be loaded, but open transactions keep a slot from being made",
            "wait for them to end: SELECT pid, xact_start, query FROM pg_stat_activity WHERE backend_xid IS \
             NOT NULL",
        )),
        Err(error) => Err(error),
    }
}

fn tables(catalog: &mut Catalog, settings: &Settings, captured: &[Captured], found: &mut Vec<Finding>) {
    found.push(
        settings.tables.finding(captured.iter().map(|table| (table.schema.as_str(), table.name.as_str()))),
    );
    found.push(identities(settings, captured, catalog.version().unwrap_or(0)));
    found.push(
        readable(catalog, settings, captured)
            .unwrap_or_else(|error| Finding::fail("select privilege", &error)),
    );
    if settings.plugin == Plugin::Pgoutput {
        found.push(
            publication(catalog, settings, captured)
                .unwrap_or_else(|error| Finding::fail("publication", &error)),
        );
    }
    if !matches!(slot::find(catalog, settings), Ok(Some(_))) {
        found.push(Finding::of("snapshot", snapshot(catalog, settings, captured)));
    }
}

/// How much a first start would read, as the server estimates it.
fn snapshot(catalog: &mut Catalog, settings: &Settings, captured: &[Captured]) -> Result<String> {
    if settings.snapshot == Snapshot::Never {
        return Ok(WITHOUT_SNAPSHOT.to_owned());
    }
    let oids: Vec<_> = captured.iter().map(|table| table.oid.to_string()).collect();
    // A partitioned table holds nothing itself.
    let rows = catalog.ask(&format!(
        "SELECT coalesce(sum(greatest(c.reltuples, 0)), 0)::int8, \
         coalesce(sum(pg_catalog.pg_table_size(c.oid)), 0) FROM pg_catalog.pg_class c WHERE c.relkind = 'r' \
         AND (c.oid IN ({0}) OR EXISTS (SELECT FROM pg_catalog.pg_partition_ancestors(c.oid) a WHERE a.relid \
         IN ({0})))",
        if oids.is_empty() { "0".to_owned() } else { oids.join(", ") }
    ))?;
    let [rows, bytes] = rows.into_iter().next().map(cells).unwrap_or_default();
    Ok(snapshot_fact(captured.len(), rows.parse().unwrap_or(0), bytes.parse().unwrap_or(0)))
}

/// Updates and deletes can say which row it was.
fn identities(settings: &Settings, captured: &[Captured], version: u32) -> Finding {
    let without: Vec<_> =
        captured.iter().filter(|table| checks::lacks_identity(table, settings.plugin, version)).collect();
    if without.is_empty() {
        return Finding::ok("replica identity", "every table has a key or a replica identity");
    }
    let names: Vec<_> = without.iter().map(|table| format!("{}.{}", table.schema, table.name)).collect();
    let statements = without.iter().filter_map(|table| checks::identity_statement(table)).collect::<Vec<_>>();
    let fact = format!("without a key: {}; {}", listed(&names), checks::without_identity(settings.plugin));
    let hint = without.iter().map(|table| checks::identity_hint(table)).collect::<Vec<_>>().join("; ");
    Finding::fail("replica identity", &Error::stop(Code::PrivilegeMissing, fact).hint(hint))
        .fix(Fix::Statements(statements))
}

/// Whether the role may read the tables, as snapshots and `verify` do.
fn readable(catalog: &mut Catalog, settings: &Settings, captured: &[Captured]) -> Result<Finding> {
    let of_table =
        |table: &Captured| format!("({}, {})", quote_literal(&table.schema), quote_literal(&table.name));
    let wanted = captured.iter().map(of_table).collect::<Vec<_>>().join(", ");
    let rows = catalog.ask(&format!(
        "SELECT n.nspname, c.relname, has_schema_privilege(n.oid, 'USAGE') FROM pg_catalog.pg_class c JOIN \
         pg_catalog.pg_namespace n ON n.oid = \
         c.relnamespace WHERE (n.nspname, c.relname) IN ({wanted}) AND NOT (has_schema_privilege(n.oid, \
         'USAGE') AND has_table_privilege(c.oid, \
         'SELECT')) ORDER BY 1, 2"
    ))?;
    if rows.is_empty() {
        return Ok(Finding::ok("select privilege", "the role may read every table"));
    }
    let role = quote_identifier(&settings.address.user);
    let (mut names, mut tables, mut statements) = (Vec::new(), Vec::new(), Vec::new());
    for [schema, name, usage] in rows.into_iter().map(cells::<3>) {
        let grant = format!("GRANT USAGE ON SCHEMA {} TO {role}", quote_identifier(&schema));
        if usage != "t" && !statements.contains(&grant) {
            statements.push(grant);
        }
        tables.push(format!("{}.{}", quote_identifier(&schema), quote_identifier(&name)));
        names.push(format!("{schema}.{name}"));
    }
    statements.push(format!("GRANT SELECT ON {} TO {role}", tables.join(", ")));
    let fact = format!("role {:?} may not read {}", settings.address.user, listed(&names));
    let mend = statements.join("; ");
    let finding = if settings.snapshot == Snapshot::Never {
        Finding::warn("select privilege", format!("{fact}: `list_sync verify` needs it"), mend)
    } else {
        Finding::fail("select privilege", &Error::stop(Code::PrivilegeMissing, fact).hint(mend))
    };
    Ok(finding.fix(Fix::Statements(statements)))
}

/// The publication is right, or the start may make it so.
fn publication(catalog: &mut Catalog, settings: &Settings, captured: &[Captured]) -> Result<Finding> {
    let name = &settings.publication;
    let changes = publication::changes(catalog, settings, captured)?;
    if changes.is_empty() {
        return Ok(Finding::ok("publication", format!("{name:?} is there, with these tables")));
    }
    if changes.is_foreign {
        // Whoever made it decides; not even `--fix` changes it.
        return Ok(Finding::fail("publication", &publication::refused(settings, &changes)));
    }
    let is_new = changes.is_new;
    let changes = changes.statements();
    let may = if is_new {
        "has_database_privilege(current_database(), 'CREATE')"
    } else {
        "pg_has_role(p.pubowner, 'USAGE')"
    };
    let of_publication = if is_new {
        String::new()
    } else {
        format!(" FROM pg_catalog.pg_publication p WHERE p.pubname = {}", quote_literal(name))
    };
    let may = catalog.ask_one(&format!("SELECT {may}{of_publication}"))?.as_deref() == Some("t");
    let foreign = foreign_tables(catalog, captured)?;
    if may && foreign.is_empty() {
        let what = if is_new { "made" } else { "set right" };
        return Ok(Finding::ok("publication", format!("{name:?} will be {what} at the start"))
            .fix(Fix::Statements(changes)));
    }
    let role = &settings.address.user;
    let why = match (foreign.is_empty(), is_new) {
        (false, _) => format!("role {role:?} does not own {}", listed(&foreign)),
        (true, true) => format!("role {role:?} may not create in database {:?}", settings.address.database),
        (true, false) => format!("role {role:?} does not own it"),
    };
    let what = if is_new { "is missing" } else { "is not right" };
    let error = Error::stop(Code::PublicationIncomplete, format!("publication {name:?} {what}, and {why}"))
        .hint(format!("run as the owner of the tables: {}", changes.join("; ")));
    Ok(Finding::fail("publication", &error).fix(Fix::Statements(changes)))
}

/// Tables that the role does not own; only owners may publish.
fn foreign_tables(catalog: &mut Catalog, captured: &[Captured]) -> Result<Vec<String>> {
    let of_table =
        |table: &Captured| format!("({}, {})", quote_literal(&table.schema), quote_literal(&table.name));
    let wanted = captured.iter().map(of_table).collect::<Vec<_>>().join(", ");
    let rows = catalog.ask(&format!(
        "SELECT n.nspname || '.' || c.relname FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON \
         n.oid = c.relnamespace WHERE \
         (n.nspname, c.relname) IN ({wanted}) AND NOT pg_has_role(c.relowner, 'USAGE') ORDER BY 1"
    ))?;
    Ok(rows.into_iter().flatten().flatten().collect())
}
