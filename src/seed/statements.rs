//! The SQL of the load, in each database's dialect.

use std::fmt::Write as _;

use super::random::Random;
use super::row::{write_category, write_domain, write_values};
use crate::source::{Dialect, write_literal};

/// The test table in one database.
#[derive(Debug, Clone)]
pub struct TestTable {
    /// Which SQL is spoken.
    pub dialect: Dialect,
    /// Schema (PostgreSQL) or database.
    pub schema: String,
    /// Name.
    pub name: String,
}

impl TestTable {
    /// Settings of the session that the literals rely on.
    pub fn session(&self) -> &'static [&'static str] {
        match self.dialect {
            Dialect::Postgres => &["SET standard_conforming_strings = on"],
            // A time zone with summer time lacks an hour a year, and a TIMESTAMP in it would be refused.
            Dialect::Mysql | Dialect::Mariadb => {
                &["SET SESSION time_zone = '+00:00'", "SET SESSION sql_mode = 'STRICT_ALL_TABLES'"]
            }
        }
    }

    /// Counts the tables of this name: 0 or 1.
    pub fn exists(&self) -> String {
        let (mut schema, mut name) = (String::new(), String::new());
        write_literal(&mut schema, &self.schema, self.dialect);
        write_literal(&mut name, &self.name, self.dialect);
        format!(
            "SELECT count(*) FROM information_schema.tables WHERE table_schema = {schema} AND table_name = \
             {name}"
        )
    }

    /// Makes the table and its index on `domain`.
    pub fn create(&self) -> Vec<String> {
        let (table, index) = (self.qualified(), self.quoted(&format!("{}_domain", self.name)));
        match self.dialect {
            Dialect::Postgres => vec![
                format!(
                    "CREATE TABLE {table} (id BIGINT PRIMARY KEY, category VARCHAR(255), domain \
                     VARCHAR(255), \"timestamp\" TIMESTAMP)"
                ),
                format!("CREATE INDEX {index} ON {table} (domain)"),
            ],
            Dialect::Mysql | Dialect::Mariadb => vec![format!(
                "CREATE TABLE {table} (id BIGINT PRIMARY KEY, category VARCHAR(255), domain VARCHAR(255), \
                 `timestamp` TIMESTAMP(6) NULL DEFAULT NULL, INDEX {index} (domain)) CHARACTER SET utf8mb4"
            )],
        }
    }

    /// The ids above `after`, in order, at most `limit`.
    pub fn ids(&self, after: Option<i64>, limit: usize) -> String {
        let above = after.map_or_else(String::new, |after| format!("WHERE id > {after} "));
        format!("SELECT id FROM {} {above}ORDER BY id LIMIT {limit}", self.qualified())
    }

    /// Inserts rows with these ids.
    pub fn insert(&self, ids: std::ops::Range<i64>, random: &mut Random) -> String {
        let mut statement = format!(
            "INSERT INTO {} (id, category, domain, {}) VALUES ",
            self.qualified(),
            self.quoted("timestamp")
        );
        for id in ids.clone() {
            let comma = if id == ids.start { "" } else { ", " };
            let _ = write!(statement, "{comma}({id}, ");
            write_values(&mut statement, random, self.dialect);
            statement.push(')');
        }
        statement
    }

    /// Changes the rows with these ids; one second more makes each row differ from what it was, as MySQL
    /// would skip a row that does not.
    pub fn update(&self, ids: &[i64], random: &mut Random) -> String {
        let time = self.quoted("timestamp");
        let mut statement = format!("UPDATE {} SET category = ", self.qualified());
        write_category(&mut statement, random, self.dialect);
        statement.push_str(", domain = ");
        write_domain(&mut statement, random, self.dialect);
        let second =
            if self.dialect == Dialect::Postgres { "INTERVAL '1 second'" } else { "INTERVAL 1 SECOND" };
        let _ = write!(statement, ", {time} = COALESCE({time}, TIMESTAMP '2001-01-01 00:00:00') + {second} ");
        write_which(&mut statement, ids);
        statement
    }

    /// Deletes the rows with these ids.
    pub fn delete(&self, ids: &[i64]) -> String {
        let mut statement = format!("DELETE FROM {} ", self.qualified());
        write_which(&mut statement, ids);
        statement
    }

    fn qualified(&self) -> String {
        format!("{}.{}", self.quoted(&self.schema), self.quoted(&self.name))
    }

    fn quoted(&self, name: &str) -> String {
        let quote = if self.dialect == Dialect::Postgres { '"' } else { '`' };
        format!("{quote}{}{quote}", name.replace(quote, &format!("{quote}{quote}")))
    }
}

fn write_which(statement: &mut String, ids: &[i64]) {
    statement.push_str("WHERE id IN (");
    for (place, id) in ids.iter().enumerate() {
        let _ = write!(statement, "{}{id}", if place == 0 { "" } else { ", " });
    }
    statement.push(')');
}

#[cfg(test)]
mod tests {
    use super::{Dialect, Random, TestTable};

    #[test]
    fn names_are_quoted_and_dialects_differ() {
        let table = |dialect| TestTable { dialect, schema: "s".into(), name: "a\"b`c".into() };
        let (postgres, mysql) = (table(Dialect::Postgres), table(Dialect::Mysql));
        assert_eq!(postgres.delete(&[1, 2]), "DELETE FROM \"s\".\"a\"\"b`c\" WHERE id IN (1, 2)");
        assert_eq!(mysql.ids(Some(7), 10), "SELECT id FROM `s`.`a\"b``c` WHERE id > 7 ORDER BY id LIMIT 10");
        assert!(
            postgres.update(&[1], &mut Random::new(1)).ends_with("+ INTERVAL '1 second' WHERE id IN (1)")
        );
        assert!(mysql.update(&[1], &mut Random::new(1)).ends_with("+ INTERVAL 1 SECOND WHERE id IN (1)"));
        assert_eq!(mysql.insert(5..8, &mut Random::new(1)).matches("), (").count(), 2);
    }
}
