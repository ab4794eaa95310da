//! What a source needs of its server, each as a question with its own answer and its own way out.

use std::collections::BTreeMap;

use super::super::{Dialect, Tables};
use super::catalog::Catalog;
use super::connection::{quote, quote_name};
use super::failure::privileges;
use super::shape::metadata_hint;
use crate::change::Identity;
use crate::error::ErrorKind;
use crate::{Code, Error, Result};

/// The server's settings that matter here, by lower-case name.
pub(super) struct Settings {
    values: BTreeMap<String, String>,
    dialect: Dialect,
}

impl Settings {
    pub fn read(catalog: &mut Catalog) -> Result<Self> {
        let rows = catalog.query(
            "SHOW GLOBAL VARIABLES WHERE Variable_name IN ('log_bin', 'binlog_format', 'binlog_row_image', \
             'binlog_row_metadata', \
             'binlog_row_value_options', 'gtid_mode', 'server_uuid', 'server_id', 'gtid_binlog_pos', \
             'version', 'lower_case_table_names', 'log_replica_updates', 'log_slave_updates')",
        )?;
        let pairs = rows.into_iter().filter_map(|row| match &row[..] {
            [Some(name), Some(value), ..] => Some((name.to_ascii_lowercase(), value.clone())),
            _ => None,
        });
        Ok(Self { values: pairs.collect(), dialect: catalog.address.dialect })
    }

    fn get(&self, name: &str) -> &str {
        self.values.get(name).map_or("", String::as_str)
    }

    /// The binary log is written.
    pub fn check_log_bin(&self) -> Result<()> {
        if self.get("log_bin").eq_ignore_ascii_case("on") || self.get("log_bin") == "1" {
            return Ok(());
        }
        Err(Error::stop(Code::LogDisabled, "the server writes no binary log (log_bin is off)")
            .hint("put log_bin = binlog and server_id = 1 under [mysqld] in my.cnf, and restart the server"))
    }

    /// It holds rows, not statements.
    pub fn check_format(&self) -> Result<()> {
        self.expect("binlog_format", "ROW")
    }

    /// Whole rows.
    pub fn check_row_image(&self) -> Result<()> {
        self.expect("binlog_row_image", "FULL")
    }

    /// With the names of their columns.
    pub fn check_row_metadata(&self) -> Result<()> {
        let found = self.get("binlog_row_metadata");
        if found.eq_ignore_ascii_case("FULL") {
            return Ok(());
        }
        let found = if found.is_empty() { "not known to this server" } else { found };
        let failure = Error::stop(
            Code::LogSetting,
            format!("binlog_row_metadata is {found}; the log must name its columns"),
        )
        .hint(metadata_hint(self.dialect));
        Err(failure.mended_by(format!("SET {} binlog_row_metadata = FULL", self.scope())))
    }

    /// Without partial JSON documents.
    pub fn check_row_values(&self) -> Result<()> {
        if self.get("binlog_row_value_options").is_empty() {
            return Ok(());
        }
        Err(Error::stop(
            Code::LogSetting,
            "binlog_row_value_options is PARTIAL_JSON; the log must hold whole values",
        )
        .hint("SET PERSIST binlog_row_value_options = ''")
        .mended_by("SET PERSIST binlog_row_value_options = ''"))
    }

    fn expect(&self, name: &str, wanted: &str) -> Result<()> {
        let found = self.get(name);
        // MySQL 9 and later may leave binlog_format out: rows are then all it knows.
        if found.is_empty() || found.eq_ignore_ascii_case(wanted) {
            return Ok(());
        }
        let statement = format!("SET {} {name} = {wanted}", self.scope());
        Err(Error::stop(Code::LogSetting, format!("{name} is {found}, and {wanted} is needed"))
            .hint(format!(
                "{statement}, put it into my.cnf too, and let the sessions that write connect again"
            ))
            .mended_by(statement))
    }

    /// MariaDB keeps no setting over a restart but in its files.
    fn scope(&self) -> &'static str {
        if self.dialect == Dialect::Mariadb { "GLOBAL" } else { "PERSIST" }
    }

    /// As the server says it: `9.7.0`.
    pub fn version(&self) -> String {
        format!("{} {}", self.dialect.product(), self.get("version"))
    }

    /// The server's own number.
    pub fn server_id(&self) -> &str {
        self.get("server_id")
    }

    /// Whether names of tables are the same in any case, and lower-case in the log.
    pub fn has_lower_case_names(&self) -> bool {
        !matches!(self.get("lower_case_table_names"), "" | "0")
    }

    /// Whether every transaction has a GTID.
    pub fn has_gtids(&self) -> bool {
        self.dialect == Dialect::Mariadb || self.get("gtid_mode").eq_ignore_ascii_case("on")
    }

    /// MySQL: `server_uuid`. MariaDB, which has none: `server_id`, which differs between all servers that
    /// replicate from one another.
    pub fn identity(&self) -> Identity {
        let name = if self.dialect == Dialect::Mariadb { "server_id" } else { "server_uuid" };
        let product = self.dialect.product().to_ascii_lowercase();
        [(name.to_owned(), self.get(name).to_owned()), ("product".to_owned(), product)].into()
    }

    /// The URL's scheme names the product that answers.
    pub fn check_product(&self) -> Result<()> {
        let is_mariadb = self.get("version").to_ascii_lowercase().contains("mariadb");
        if is_mariadb == (self.dialect == Dialect::Mariadb) {
            return Ok(());
        }
        let (found, scheme) = if is_mariadb { ("MariaDB", "mariadb") } else { ("MySQL", "mysql") };
        Err(Error::stop(
            Code::ProductMismatch,
            format!("the server is {found}, and the URL says {}", self.dialect.product()),
        )
        .hint(format!("write {scheme}://… in the URL")))
    }
}

/// The end of the log: file, offset, and all transactions before it.
pub(super) struct End {
    pub file: String,
    pub offset: u64,
    pub gtids: String,
    /// `binlog-do-db`: only these schemas are logged; empty: all.
    pub logged: Vec<String>,
    /// `binlog-ignore-db`: these are not.
    pub ignored: Vec<String>,
}

/// Reads the end of the log. The statement has another name as of MySQL 8.2.
pub(super) fn log_end(catalog: &mut Catalog) -> Result<End> {
    let mariadb = catalog.address.dialect == Dialect::Mariadb;
    let rows = if mariadb {
        catalog.query("SHOW MASTER STATUS")?
    } else {
        match catalog.query("SHOW BINARY LOG STATUS") {
            Err(error) if error.kind() == ErrorKind::Stop => {
                catalog.query("SHOW MASTER STATUS").map_err(|_| error)?
            }
            answer => answer?,
        }
    };
    let mut values = rows.into_iter().next().unwrap_or_default().into_iter().map(Option::unwrap_or_default);
    let (Some(file), Some(Ok(offset))) = (values.next(), values.next().map(|offset| offset.parse())) else {
        return Err(Error::stop(Code::LogDisabled, "the server writes no binary log")
            .hint("put log_bin = binlog under [mysqld] in my.cnf, and restart the server"));
    };
    let mut schemas = || {
        values
            .next()
            .unwrap_or_default()
            .split(',')
            .filter(|name| !name.is_empty())
            .map(str::to_owned)
            .collect()
    };
    let (logged, ignored) = (schemas(), schemas());
    let gtids = if mariadb {
        catalog.text(&format!("SELECT BINLOG_GTID_POS({}, {offset})", quote(&file)))?.unwrap_or_default()
    } else {
        values.next().unwrap_or_default()
    };
    Ok(End { file, offset, gtids, logged, ignored })
}

impl End {
    /// The log holds the schemas of these tables.
    pub fn check_filters(&self, tables: &[(String, String)]) -> Result<()> {
        let is_logged = |schema: &String| {
            (self.logged.is_empty() || self.logged.contains(schema)) && !self.ignored.contains(schema)
        };
        let Some((schema, _)) = tables.iter().find(|(schema, _)| !is_logged(schema)) else { return Ok(()) };
        let option = if self.ignored.contains(schema) { "binlog-ignore-db" } else { "binlog-do-db" };
        Err(Error::stop(
            Code::LogFiltered,
            format!("the server does not log database {schema:?} ({option}): its rows would never come"),
        )
        .hint(format!(
            "correct {option} in my.cnf and restart the server, or leave the tables out with \"!{schema}.*\""
        )))
    }
}

/// A replica logs what it takes over from its source. Who may not ask whether it is one goes without this
/// answer.
pub(super) fn check_replica(catalog: &mut Catalog, settings: &Settings) -> Result<()> {
    let option =
        if catalog.address.dialect == Dialect::Mariadb { "log_slave_updates" } else { "log_replica_updates" };
    let ask = if catalog.address.dialect == Dialect::Mariadb {
        "SHOW ALL SLAVES STATUS"
    } else {
        "SHOW REPLICA STATUS"
    };
    let is_off = matches!(settings.get(option).to_ascii_lowercase().as_str(), "off" | "0");
    if !is_off || catalog.query(ask).unwrap_or_default().is_empty() {
        return Ok(());
    }
    Err(Error::stop(
        Code::LogFiltered,
        format!(
            "the server is a replica with {option} off: rows that it takes over from its \
        source are not in its log"
        ),
    )
    .hint(format!(
        "put {option} = ON under [mysqld] in my.cnf and restart the server, or read from the server \
            that it replicates from"
    )))
}

/// The user may read the log and the tables. Asked of the grants themselves where they are given directly;
/// roles are the server's to check.
pub(super) fn check_privileges(catalog: &mut Catalog) -> Result<()> {
    let grants: String = catalog
        .query("SHOW GRANTS")?
        .into_iter()
        .flatten()
        .flatten()
        .collect::<Vec<_>>()
        .join("\n")
        .to_ascii_uppercase();
    let everywhere =
        |privilege: &str| grants.lines().any(|grant| grant.contains(privilege) && grant.contains(" ON *.* "));
    let by_role = grants.lines().any(|grant| !grant.contains(" ON "));
    if by_role
        || everywhere("ALL PRIVILEGES")
        || everywhere("REPLICATION SLAVE")
        || everywhere("REPLICATION REPLICA")
    {
        return Ok(());
    }
    let failure = Error::stop(
        Code::PrivilegeMissing,
        format!("user {:?} lacks the privilege REPLICATION SLAVE", catalog.address.user),
    );
    let account = account(catalog)?;
    let grant = privileges(&catalog.address, &account);
    Err(failure.hint(&grant).mended_by(grant))
}

/// The account that the server took the user for, as `GRANT` writes it: `'repl'@'%'`.
fn account(catalog: &mut Catalog) -> Result<String> {
    let account = catalog.text("SELECT CURRENT_USER()")?.unwrap_or_default();
    let (user, host) = account.rsplit_once('@').unwrap_or((&account, "%"));
    Ok(format!("{}@{}", quote(user), quote(host)))
}

/// Tables that the patterns name, sorted; the server's own schemas are left out.
pub(super) fn matching_tables(catalog: &mut Catalog, wanted: &Tables) -> Result<Vec<(String, String)>> {
    Ok(all_tables(catalog)?.into_iter().filter(|(schema, name)| wanted.contains(schema, name)).collect())
}

fn all_tables(catalog: &mut Catalog) -> Result<Vec<(String, String)>> {
    let rows = catalog.query(
        "SELECT TABLE_SCHEMA, TABLE_NAME FROM information_schema.TABLES WHERE TABLE_TYPE IN ('BASE TABLE', \
         'SYSTEM VERSIONED') \
         AND TABLE_SCHEMA NOT IN ('mysql', 'sys', 'information_schema', 'performance_schema') ORDER BY 1, 2",
    )?;
    let pairs = rows.into_iter().filter_map(|row| {
        let mut values = row.into_iter().flatten();
        Some((values.next()?, values.next()?))
    });
    let mut tables: Vec<_> = pairs.collect();
    tables.sort();
    Ok(tables)
}

/// At least one table is there; else the nearest name is told.
pub(super) fn check_tables(catalog: &mut Catalog, wanted: &Tables) -> Result<Vec<(String, String)>> {
    let found = matching_tables(catalog, wanted)?;
    if !found.is_empty() {
        return Ok(found);
    }
    let written = wanted.written.join("\", \"");
    let all: Vec<String> =
        all_tables(catalog)?.into_iter().map(|(schema, name)| format!("{schema}.{name}")).collect();
    let near =
        all.iter().map(|name| (nearness(name, &wanted.written), name)).max_by(|a, b| a.0.total_cmp(&b.0));
    let hint = match near {
        Some((score, name)) if score > 0.6 => format!("did you mean {name:?}?"),
        _ => format!("create the table, or give user {:?} SELECT on it", catalog.address.user),
    };
    Err(Error::stop(Code::TableMissing, format!("no table matches \"{written}\"")).hint(hint))
}

/// MariaDB logs the changes of a table whose row versions are numbered by transactions as statements,
/// whatever `binlog_format` says.
pub(super) fn check_versioning(catalog: &mut Catalog, tables: &[(String, String)]) -> Result<()> {
    if catalog.address.dialect != Dialect::Mariadb {
        return Ok(());
    }
    let versioned = catalog.query(
        "SELECT TABLE_SCHEMA, TABLE_NAME FROM information_schema.TABLES WHERE TABLE_TYPE = \
            'SYSTEM VERSIONED'",
    )?;
    let versioned: Vec<Vec<String>> =
        versioned.into_iter().map(|row| row.into_iter().flatten().collect()).collect();
    for (schema, table) in tables
        .iter()
        .filter(|(schema, table)| versioned.iter().any(|pair| pair[..] == [schema.clone(), table.clone()]))
    {
        let columns = catalog.columns(schema, table)?;
        let by_number = |which: &str| {
            columns.iter().find(|column| column.generation == which && column.data_type == "bigint")
        };
        let (Some(start), Some(end)) = (by_number("ROW START"), by_number("ROW END")) else { continue };
        let [name, start, end] = [table, &start.name, &end.name].map(|name| quote_name(name));
        let name = format!("{}.{name}", quote_name(schema));
        return Err(Error::stop(
            Code::RowsNotLogged,
            format!(
                "table \"{schema}.{table}\" is versioned by transaction numbers: MariaDB logs its statements \
             instead of its rows"
            ),
        )
        .hint(format!(
            "leave the table out with \"!{schema}.{table}\", and the source goes on with the others. To \
             take it in again, version it by time, \
             which removes the earlier rows: SET system_versioning_alter_history = KEEP; ALTER TABLE {name} \
             DROP SYSTEM VERSIONING, DROP PERIOD \
             FOR SYSTEM_TIME, DROP COLUMN {start}, DROP COLUMN {end}; ALTER TABLE {name} ADD SYSTEM \
             VERSIONING"
        )));
    }
    Ok(())
}

fn nearness(name: &str, patterns: &[String]) -> f64 {
    let bare = name.split_once('.').map_or(name, |(_, table)| table);
    let score =
        |pattern: &String| strsim::jaro_winkler(if pattern.contains('.') { name } else { bare }, pattern);
    patterns.iter().map(score).fold(0.0, f64::max)
}
