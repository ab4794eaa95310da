//! The databases there are: the one table that addresses, the configuration and everything that asks a server
//! read.

use std::time::Duration;

use super::mysql::{self, MysqlMeasure, MysqlSource};
use super::postgres::{self, PostgresMeasure, PostgresSource};
use super::{Address, Database, Dialect, Measure, Snapshot, Source, Tables};
use crate::Result;

/// A kind of database.
///
/// To add one: a folder here that implements [`Source`], [`Database`] and [`Measure`], a [`Dialect`] with an
/// entry in [`KINDS`], and its server in the golden cases (`tests/cases`).
#[derive(Debug)]
pub struct Kind {
    /// Which SQL it speaks.
    pub dialect: Dialect,
    /// The product's name as its makers write it.
    pub product: &'static str,
    /// What its URLs begin with; the first stands in names that are made of a URL.
    pub schemes: &'static [&'static str],
    /// Its servers' TCP port.
    pub port: u16,
    /// Who we are if a URL names nobody.
    pub user: &'static str,
    /// The URL's option that names a Unix socket instead of a host.
    pub socket_option: &'static str,
    /// Makes a source, which does nothing before its start.
    pub build: fn(Settings) -> Box<dyn Source>,
    /// Connects for plain SQL.
    pub open: fn(&Address) -> Result<Box<dyn Database>>,
    /// What asks the server how far its log goes; `slot` is PostgreSQL's, the time is for an answer.
    pub measure: fn(&Address, &str, Duration) -> Box<dyn Measure>,
}

/// What a source is made with: the options that all kinds share, and those of one kind.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The source's name, for messages and for what it makes on the server.
    pub name: String,
    /// Where the server listens, and who we are there.
    pub address: Address,
    /// Which tables are captured.
    pub tables: Tables,
    /// What is done with rows that are there before the stream begins.
    pub snapshot: Snapshot,
    /// The server forgets the reader with its connection, and then the stream cannot go on.
    pub temporary: bool,
    /// PostgreSQL: what decodes the log.
    pub plugin: postgres::Plugin,
    /// PostgreSQL: the replication slot.
    pub slot: String,
    /// PostgreSQL: the publication.
    pub publication: String,
    /// MySQL and MariaDB: our number among the server's replicas.
    pub server_id: u32,
}

/// All of them.
pub const KINDS: &[Kind] = &[
    Kind {
        dialect: Dialect::Postgres,
        product: "PostgreSQL",
        schemes: &["postgres", "postgresql"],
        port: 5432,
        user: "postgres",
        socket_option: "host",
        build: build_postgres,
        open: |address| Ok(Box::new(postgres::open(address)?)),
        measure: |address, slot, time_out| Box::new(PostgresMeasure::new(address, slot, time_out)),
    },
    Kind { dialect: Dialect::Mysql, product: "MySQL", schemes: &["mysql"], ..MYSQL },
    Kind { dialect: Dialect::Mariadb, product: "MariaDB", schemes: &["mariadb"], ..MYSQL },
];

/// What MySQL and MariaDB share.
const MYSQL: Kind = Kind {
    dialect: Dialect::Mysql,
    product: "",
    schemes: &[],
    port: 3306,
    user: "root",
    socket_option: "socket",
    build: build_mysql,
    open: |address| Ok(Box::new(mysql::open(address)?)),
    measure: |address, _, time_out| Box::new(MysqlMeasure::new(address, time_out)),
};

fn build_postgres(settings: Settings) -> Box<dyn Source> {
    let Settings { name, address, tables, snapshot, plugin, slot, temporary, publication, .. } = settings;
    let settings =
        postgres::Settings { name, address, tables, snapshot, plugin, slot, temporary, publication };
    Box::new(PostgresSource::new(settings))
}

fn build_mysql(settings: Settings) -> Box<dyn Source> {
    let Settings { name, address, tables, snapshot, server_id, .. } = settings;
    let server_id = Some(server_id);
    Box::new(MysqlSource::new(mysql::Settings { name, address, tables, snapshot, server_id }))
}

impl Dialect {
    /// The kind of database that speaks it.
    pub fn kind(self) -> &'static Kind {
        // A test looks at every dialect.
        KINDS.iter().find(|kind| kind.dialect == self).unwrap_or(&KINDS[0])
    }

    /// The product's name as its makers write it.
    pub fn product(self) -> &'static str {
        self.kind().product
    }
}

/// Connects for plain SQL.
pub fn open(address: &Address) -> Result<Box<dyn Database>> {
    (address.dialect.kind().open)(address)
}

/// What asks the server of this address how far its log goes; `slot` is PostgreSQL's. Nothing is connected
/// before the first question.
pub fn measure(address: &Address, slot: &str, time_out: Duration) -> Box<dyn Measure> {
    (address.dialect.kind().measure)(address, slot, time_out)
}

#[cfg(test)]
mod tests {
    use super::{Dialect, KINDS};

    #[test]
    fn each_dialect_has_its_kind_and_each_scheme_one() {
        for dialect in [Dialect::Postgres, Dialect::Mysql, Dialect::Mariadb] {
            assert_eq!(dialect.kind().dialect, dialect);
        }
        let mut schemes: Vec<_> = KINDS.iter().flat_map(|kind| kind.schemes).collect();
        let count = schemes.len();
        schemes.sort_unstable();
        schemes.dedup();
        assert_eq!((schemes.len(), KINDS.len()), (count, 3));
    }
}
