//! All that a start needs of the server, each rule with its own answer; nothing is changed. The rules
//! themselves are those of the start (`checks`).

use super::super::{Dialect, Inspection, Snapshot, WITHOUT_SNAPSHOT, snapshot_fact};
use super::catalog::Catalog;
use super::connection::{quote, quote_name};
use super::{Settings, checks};
use crate::finding::{Finding, listed};
use crate::{Code, Error, Result};

/// Tries every rule. `server_id` is our number among the replicas.
pub(super) fn inspect(settings: &Settings, server_id: u32) -> Inspection {
    let mut inspection = Inspection::default();
    let found = &mut inspection.findings;
    let opened = Catalog::open(&settings.address)
        .and_then(|mut catalog| Ok((checks::Settings::read(&mut catalog)?, catalog)));
    let (server, mut catalog) = match opened {
        Ok(opened) => opened,
        Err(error) => {
            found.push(Finding::fail("connection", &error));
            return inspection;
        }
    };
    found.push(Finding::of(
        "connection",
        server.check_product().map(|()| format!("{} at {}", server.version(), settings.address)),
    ));
    found.push(encryption(&mut catalog).unwrap_or_else(|error| Finding::fail("tls", &error)));
    found.push(Finding::of("log_bin", server.check_log_bin().map(|()| "the binary log is written")));
    found.push(Finding::of("binlog_format", server.check_format().map(|()| "ROW")));
    found.push(Finding::of("binlog_row_image", server.check_row_image().map(|()| "FULL")));
    found.push(Finding::of("binlog_row_metadata", server.check_row_metadata().map(|()| "FULL")));
    found.push(Finding::of("binlog_row_value_options", server.check_row_values().map(|()| "whole values")));
    found.push(gtids(&server));
    found.push(server_ids(&mut catalog, &server, server_id));
    found.push(Finding::of(
        "replication privilege",
        checks::check_privileges(&mut catalog).map(|()| "the user may read the log"),
    ));
    let mut end = None;
    if server.check_log_bin().is_ok() {
        found.push(match checks::log_end(&mut catalog) {
            Ok(at) => {
                let finding = Finding::ok("log position", format!("{}:{}", at.file, at.offset));
                end = Some(at);
                finding
            }
            Err(error) => Finding::fail("log position", &error),
        });
        let replica = checks::check_replica(&mut catalog, &server);
        found.push(Finding::of("replica", replica.map(|()| "all changes of this server are in its own log")));
    }
    match checks::check_tables(&mut catalog, &settings.tables) {
        Ok(tables) => {
            found.extend(of_tables(&mut catalog, settings, end.as_ref(), &tables));
            inspection.tables = tables;
        }
        Err(error) => found.push(Finding::fail("tables", &error)),
    }
    inspection
}

/// The rules for the captured tables (schema and name); `end` is the end of the log, if it is written.
fn of_tables(
    catalog: &mut Catalog,
    settings: &Settings,
    end: Option<&checks::End>,
    tables: &[(String, String)],
) -> Vec<Finding> {
    let names = tables.iter().map(|(schema, name)| (schema.as_str(), name.as_str()));
    let mut found = vec![settings.tables.finding(names)];
    if let Some(end) = end {
        let logged = end.check_filters(tables);
        found.push(Finding::of("log filter", logged.map(|()| "the databases of all tables are logged")));
    }
    if let Err(error) = checks::check_versioning(catalog, tables) {
        found.push(Finding::fail("system versioning", &error));
    }
    found.push(keys(catalog, tables).unwrap_or_else(|error| Finding::fail("keys", &error)));
    let readable = readable(catalog, tables);
    let can_read = readable.is_ok();
    found.push(Finding::of("select privilege", readable.map(|()| "the user may read every table")));
    if can_read {
        found.push(Finding::of("snapshot", snapshot(catalog, settings, tables)));
    }
    found
}

/// How much a first start would read, as the server estimates it.
fn snapshot(catalog: &mut Catalog, settings: &Settings, tables: &[(String, String)]) -> Result<String> {
    if settings.snapshot == Snapshot::Never {
        return Ok(WITHOUT_SNAPSHOT.to_owned());
    }
    let (mut rows, mut bytes) = (0, 0);
    for names in tables.chunks(500) {
        let of_table = |(schema, name): &(String, String)| format!("({}, {})", quote(schema), quote(name));
        let found = catalog.query(&format!(
            "SELECT COALESCE(SUM(TABLE_ROWS), 0), COALESCE(SUM(DATA_LENGTH), 0) FROM \
             information_schema.TABLES WHERE (TABLE_SCHEMA, TABLE_NAME) IN ({})",
            names.iter().map(of_table).collect::<Vec<_>>().join(", ")
        ))?;
        let number = |place: usize| -> u64 {
            found.first().and_then(|row| row.get(place)?.as_deref()?.parse().ok()).unwrap_or(0)
        };
        (rows, bytes) = (rows + number(0), bytes + number(1));
    }
    Ok(snapshot_fact(tables.len(), rows, bytes))
}

fn encryption(catalog: &mut Catalog) -> Result<Finding> {
    let rows = catalog.query("SHOW SESSION STATUS LIKE 'Ssl_cipher'")?;
    let cipher = rows.into_iter().next().and_then(|row| row.into_iter().nth(1)).flatten().unwrap_or_default();
    let options = &catalog.address.options;
    let mode = ["ssl-mode", "sslmode", "ssl_mode"]
        .iter()
        .find_map(|name| options.get(*name))
        .map_or("", String::as_str);
    let verifies = mode.to_ascii_lowercase().starts_with("verify");
    Ok(catalog.address.encryption(!cipher.is_empty(), verifies, "ssl-mode=verify_identity&ssl-ca=FILE"))
}

fn gtids(server: &checks::Settings) -> Finding {
    if server.has_gtids() {
        return Finding::ok(
            "gtid",
            "every transaction has one: the source can go on from another server of the group",
        );
    }
    Finding::warn(
        "gtid",
        "off: the place in the log is file and offset on this one server",
        "SET PERSIST enforce_gtid_consistency = ON; SET PERSIST gtid_mode = OFF_PERMISSIVE; SET PERSIST \
         gtid_mode = ON_PERMISSIVE; SET PERSIST gtid_mode = ON",
    )
}

/// The server has a number, and no other replica has ours.
fn server_ids(catalog: &mut Catalog, server: &checks::Settings, ours: u32) -> Finding {
    let own = server.server_id();
    if own == "0" {
        let statement = if catalog.address.dialect == Dialect::Mariadb {
            "SET GLOBAL server_id = 1"
        } else {
            "SET PERSIST server_id = 1"
        };
        let error =
            Error::stop(Code::ServerIdInUse, "the server has no server_id, and sends its log to nobody")
                .hint(statement)
                .mended_by(statement);
        return Finding::fail("server id", &error);
    }
    if own == ours.to_string() {
        return Finding::fail(
            "server id",
            &Error::stop(Code::ServerIdInUse, format!("{ours} is the server's own number"))
                .hint("set server_id = … of the [[source]] to another one"),
        );
    }
    let ask = if catalog.address.dialect == Dialect::Mariadb { "SHOW SLAVE HOSTS" } else { "SHOW REPLICAS" };
    // Who may not ask, or asks an older server, goes without this answer.
    let replicas = catalog.query(ask).unwrap_or_default();
    if replicas.iter().any(|row| row.first().and_then(Option::as_deref) == Some(&ours.to_string())) {
        let fact = format!(
            "a replica with our number {ours} is connected: this source runs already, or another reader has \
             its number"
        );
        return Finding::warn(
            "server id",
            fact,
            "if it is another reader, give the [[source]] another name or server_id",
        );
    }
    Finding::ok("server id", format!("ours is {ours}, the server's {own}"))
}

/// Tables without a primary key are captured, but all their changes have one message key.
fn keys(catalog: &mut Catalog, tables: &[(String, String)]) -> Result<Finding> {
    let pairs: Vec<_> =
        tables.iter().map(|(schema, name)| format!("({}, {})", quote(schema), quote(name))).collect();
    let rows = catalog.query(&format!(
        "SELECT TABLE_SCHEMA, TABLE_NAME FROM information_schema.STATISTICS WHERE INDEX_NAME = 'PRIMARY' \
         AND (TABLE_SCHEMA, TABLE_NAME) IN ({})",
        pairs.join(", ")
    ))?;
    let keyed: Vec<Vec<String>> = rows.into_iter().map(|row| row.into_iter().flatten().collect()).collect();
    let without: Vec<_> = tables
        .iter()
        .filter(|(schema, name)| !keyed.iter().any(|pair| pair[..] == [schema.clone(), name.clone()]))
        .collect();
    if without.is_empty() {
        return Ok(Finding::ok("keys", "every table has a primary key"));
    }
    let names: Vec<_> = without.iter().map(|(schema, name)| format!("{schema}.{name}")).collect();
    let statements: Vec<_> = without
        .iter()
        .map(|(schema, name)| {
            format!("ALTER TABLE {}.{} ADD PRIMARY KEY (…)", quote_name(schema), quote_name(name))
        })
        .collect();
    let fact =
        format!("without a primary key, so all changes of one go to one partition: {}", listed(&names));
    Ok(Finding::warn("keys", fact, listed(&statements)))
}

/// Whether the user may read the tables, as snapshots and `verify` do.
fn readable(catalog: &mut Catalog, tables: &[(String, String)]) -> Result<()> {
    tables.iter().try_for_each(|(schema, name)| {
        catalog.query(&format!("SELECT 1 FROM {}.{} LIMIT 0", quote_name(schema), quote_name(name)))?;
        Ok(())
    })
}
