//! What must hold on the server before a stream begins; each answers with the statement that mends it.

use super::catalog::{Captured, Catalog};
use super::connection::Connection;
use super::failure::{quote_identifier, quote_literal};
use super::{Plugin, Settings};
use crate::{Code, Error, Result};

/// The oldest version whose replication is read.
const VERSION_MIN: u32 = 13;

/// From this version on, pgoutput sends generated columns.
const COMPUTED_SENT: u32 = 18;

/// All that a stream needs of the server itself.
pub(super) fn server_is_ready(catalog: &mut Catalog, plugin: Plugin) -> Result<()> {
    version_is_known(catalog)?;
    log_is_logical(catalog)?;
    role_may_replicate(catalog)?;
    plugin_is_allowed(catalog, plugin)
}

/// The server is new enough.
pub(super) fn version_is_known(catalog: &mut Catalog) -> Result<()> {
    match catalog.version()? {
        VERSION_MIN.. => Ok(()),
        old => Err(Error::stop(Code::ServerTooOld, format!("PostgreSQL {old} is too old"))
            .hint(format!("version {VERSION_MIN} or newer is needed"))),
    }
}

/// `wal_level` is `logical`.
pub(super) fn log_is_logical(catalog: &mut Catalog) -> Result<()> {
    match catalog.ask_one("SHOW wal_level")?.as_deref() {
        Some("logical") => Ok(()),
        level => Err(Error::stop(
            Code::LogDisabled,
            format!("wal_level is {:?}, and must be \"logical\"", level.unwrap_or_default()),
        )
        .hint("ALTER SYSTEM SET wal_level = logical; then restart the server")),
    }
}

/// The role may replicate.
pub(super) fn role_may_replicate(catalog: &mut Catalog) -> Result<()> {
    let may = "SELECT rolsuper OR rolreplication OR EXISTS (SELECT FROM pg_catalog.pg_roles r WHERE \
        r.rolname IN ('rds_replication', \
               'alloydbreplica') AND pg_catalog.pg_has_role(r.oid, 'member')) FROM pg_catalog.pg_roles \
               WHERE rolname = current_user";
    if catalog.ask_one(may)?.as_deref() == Some("t") {
        return Ok(());
    }
    let role = catalog.address().user.clone();
    let statement = format!("ALTER ROLE {} REPLICATION", quote_identifier(&role));
    Err(Error::stop(Code::PrivilegeMissing, format!("role {role:?} may not replicate"))
        .hint(&statement)
        .mended_by(&statement))
}

/// An update or delete of the table cannot say which row it was.
pub(super) fn lacks_identity(table: &Captured, plugin: Plugin, version: u32) -> bool {
    let is_refused = table.virtual_identity || table.computed_identity && version < COMPUTED_SENT;
    !table.has_identity || is_refused && plugin == Plugin::Pgoutput
}

/// What follows where a table's updates and deletes cannot say which row it was.
pub(super) fn without_identity(plugin: Plugin) -> &'static str {
    match plugin {
        Plugin::Pgoutput => {
            "PostgreSQL will refuse its updates and deletes, or, if its key has a generated column, they \
             stop the source"
        }
        Plugin::Wal2json => "its updates and deletes will stop the source",
    }
}

/// The statement that gives a table an identity that is sent: the whole row, or the primary key where the
/// whole row is not to be had.
pub(super) fn identity_statement(table: &Captured) -> Option<String> {
    let identity = match (table.virtual_identity, table.has_key) {
        (false, _) => "FULL",
        (true, true) => "DEFAULT",
        (true, false) => return None,
    };
    Some(format!(
        "ALTER TABLE {}.{} REPLICA IDENTITY {identity}",
        quote_identifier(&table.schema),
        quote_identifier(&table.name)
    ))
}

/// What helps a table whose updates and deletes cannot say which row it was.
pub(super) fn identity_hint(table: &Captured) -> String {
    match (identity_statement(table), table.virtual_identity) {
        (Some(statement), false) => format!("add a primary key, or {statement}"),
        (Some(statement), true) => format!(
            "the whole row of a table with a virtual generated column cannot be its identity: {statement}"
        ),
        (None, _) => format!(
            "the whole row of a table with a virtual generated column cannot be its identity: add a primary \
             key to \"{}.{}\", and set REPLICA \
             IDENTITY DEFAULT",
            table.schema, table.name
        ),
    }
}

/// Warns of tables whose updates name no row.
pub(super) fn warn_of_identities(captured: &[Captured], plugin: Plugin, version: u32) {
    for table in captured.iter().filter(|table| lacks_identity(table, plugin, version)) {
        tracing::warn!(
            table = format!("{}.{}", table.schema, table.name),
            "the table has no replica identity that can be used: {}; {}",
            without_identity(plugin),
            identity_hint(table)
        );
    }
}

/// The tables that the patterns name; none is a `Stop`.
pub(super) fn tables_are_there(catalog: &mut Catalog, settings: &Settings) -> Result<Vec<Captured>> {
    let captured = catalog.captured(&settings.tables)?;
    if captured.is_empty() {
        let pattern = settings
            .tables
            .written
            .iter()
            .find(|pattern| !pattern.starts_with('!'))
            .map_or("", String::as_str);
        let qualified = if pattern.contains('.') { pattern.to_owned() } else { format!("public.{pattern}") };
        let names = catalog.names()?;
        let nearest = names.iter().max_by(|a, b| {
            strsim::jaro_winkler(&qualified, a).total_cmp(&strsim::jaro_winkler(&qualified, b))
        });
        let failure = Error::stop(
            Code::TableMissing,
            format!("no table of database {:?} matches {pattern:?}", settings.address.database),
        );
        return Err(match nearest {
            Some(nearest) => failure.hint(format!("did you mean {nearest:?}?")),
            None => failure.hint("the database holds no table yet: create it first"),
        });
    }
    Ok(captured)
}

/// The server lets the plugin be loaded, where it keeps a list of those (PostgreSQL 18.6 and newer).
pub(super) fn plugin_is_allowed(catalog: &mut Catalog, plugin: Plugin) -> Result<()> {
    // The setting is hidden from ordinary roles, and on older servers it is not there: then the server itself
    // refuses, if it must.
    let readable = "SELECT setting FROM pg_catalog.pg_settings WHERE name = 'output_plugin_libraries'";
    let Some(list) = catalog.ask_one(readable)? else { return Ok(()) };
    let allowed = list.split(',').map(|name| name.trim().trim_matches('"'));
    if list.is_empty() || allowed.clone().any(|name| name == plugin.name() || name == "*") {
        return Ok(());
    }
    let longer = allowed.chain([plugin.name()]).map(quote_literal).collect::<Vec<_>>().join(", ");
    Err(Error::stop(
        Code::PluginRefused,
        format!("output_plugin_libraries does not allow the plugin {:?}", plugin.name()),
    )
    .hint(format!(
        "ALTER SYSTEM SET output_plugin_libraries = {longer}; SELECT pg_reload_conf(); or set \
            plugin = \"pgoutput\""
    )))
}

/// Whether there is a row in it.
pub(super) fn holds_rows(connection: &mut Connection, table: &Captured) -> Result<bool> {
    let name = format!("{}.{}", quote_identifier(&table.schema), quote_identifier(&table.name));
    let only = if table.partitioned { "" } else { "ONLY " };
    let rows = connection.query(&format!("SELECT EXISTS (SELECT FROM {only}{name})"))?;
    Ok(rows.first().and_then(|row| row.first()?.as_deref()) != Some("f"))
}
