//! The databases and brokers that `scripts/services` started, by the variables it prints.

use std::path::Path;
use std::process::Command;

use list_sync::source::{Address, Database, Dialect, open};

/// The value of a variable that `scripts/services env` prints.
pub fn variable(name: &str) -> String {
    let hint = "start the servers: scripts/services up && eval \"$(scripts/services env)\"";
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set; {hint}"))
}

/// Bootstrap brokers, `host:port,…`.
pub fn kafka() -> String {
    variable("LIST_SYNC_KAFKA")
}

/// Runs `scripts/services`; answers what it prints.
pub fn services(arguments: &[&str]) -> String {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/services");
    let output = Command::new(script).args(arguments).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// One database server.
#[derive(Debug, Clone)]
pub struct Server {
    /// `postgres`, `mysql` or `mariadb`.
    pub name: &'static str,
    pub url: String,
}

/// The three of them.
pub fn all_servers() -> [Server; 3] {
    [Server::postgres(), Server::mysql(), Server::mariadb()]
}

impl Server {
    pub fn postgres() -> Self {
        Self { name: "postgres", url: variable("LIST_SYNC_POSTGRES_URL") }
    }

    pub fn mysql() -> Self {
        Self { name: "mysql", url: variable("LIST_SYNC_MYSQL_URL") }
    }

    pub fn mariadb() -> Self {
        Self { name: "mariadb", url: variable("LIST_SYNC_MARIADB_URL") }
    }

    pub fn address(&self) -> Address {
        Address::parse(&self.url).unwrap()
    }

    /// `public`, or the database.
    pub fn schema(&self) -> String {
        let address = self.address();
        if address.dialect == Dialect::Postgres { "public".to_owned() } else { address.database }
    }

    pub fn connect(&self) -> Box<dyn Database> {
        open(&self.address()).unwrap()
    }

    /// Runs statements that end with `;` at the end of a line, on one connection.
    pub fn execute(&self, statements: &str) {
        let mut database = self.connect();
        for statement in statements.split(";\n").map(str::trim).filter(|statement| !statement.is_empty()) {
            let statement = statement.trim_end_matches(';');
            database
                .execute(statement)
                .unwrap_or_else(|error| panic!("{} says to {statement}: {error}", self.name));
        }
    }
}

/// Drops tables, and on PostgreSQL the slot and publication of a source, when a check is over.
pub struct Leftovers {
    server: Server,
    statements: Vec<String>,
}

impl Server {
    /// What is to be removed at the end of a check.
    pub fn leftovers(&self, source: &str, tables: &[&str]) -> Leftovers {
        let mut statements: Vec<String> =
            tables.iter().map(|table| format!("DROP TABLE IF EXISTS {table}")).collect();
        if self.name == "postgres" {
            let slot = format!("list_sync_{source}");
            let of_slot = |what: &str, condition: &str| {
                format!("SELECT {what} FROM pg_replication_slots WHERE slot_name = '{slot}' AND {condition}")
            };
            statements.push(format!("DROP PUBLICATION IF EXISTS {slot}"));
            statements.push(of_slot("pg_terminate_backend(active_pid)", "active"));
            statements.push(of_slot("pg_drop_replication_slot(slot_name)", "NOT active"));
        }
        Leftovers { server: self.clone(), statements }
    }
}

impl Drop for Leftovers {
    fn drop(&mut self) {
        if let Ok(mut database) = open(&self.server.address()) {
            for statement in &self.statements {
                let _ = database.execute(statement);
            }
        }
    }
}
