//! Where a database listens and who we are there: `postgres://user:password@host:port/database?option=value`.

use std::collections::BTreeMap;
use std::fmt;

use percent_encoding::percent_decode_str;
use url::Url;

use super::KINDS;
use crate::finding::Finding;
use crate::secret::Secret;
use crate::{Code, Error, Result};

/// Which database a URL's scheme names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// `postgres://` or `postgresql://`.
    Postgres,
    /// `mysql://`.
    Mysql,
    /// `mariadb://`.
    Mariadb,
}

/// A database URL, taken apart. Prints without the password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// Which database.
    pub dialect: Dialect,
    /// Host name or address; for a Unix socket its folder (PostgreSQL, as `?host=/folder`) or file (MySQL, as
    /// `?socket=/file`).
    pub host: String,
    /// TCP port; for PostgreSQL also the number in the socket's name.
    pub port: u16,
    /// Role or user.
    pub user: String,
    /// Empty if none was given.
    pub password: Secret,
    /// Database (PostgreSQL) or default schema (MySQL, MariaDB).
    pub database: String,
    /// `sslmode`, `sslrootcert`, … as libpq and MySQL's clients name them.
    pub options: BTreeMap<String, String>,
}

impl Address {
    /// Takes a URL apart; what is missing gets the default of the database's own client.
    pub fn parse(text: &str) -> Result<Self> {
        let hint = "write it as postgres://user@host:5432/database, mysql://… or mariadb://…";
        let url = Url::parse(text).map_err(|cause| {
            Error::usage(Code::UrlInvalid, "the database URL cannot be read").cause(cause).hint(hint)
        })?;
        let scheme = url.scheme();
        let Some(kind) = KINDS.iter().find(|kind| kind.schemes.contains(&scheme)) else {
            return Err(
                Error::usage(Code::UrlInvalid, format!("unknown database {scheme:?} in a URL")).hint(hint)
            );
        };
        let decode = |part: &str| percent_decode_str(part).decode_utf8_lossy().into_owned();
        let mut options: BTreeMap<String, String> =
            url.query_pairs().map(|(name, value)| (name.into_owned(), value.into_owned())).collect();
        let user = match url.username() {
            "" => kind.user.to_owned(),
            user => decode(user),
        };
        let socket = options.remove(kind.socket_option);
        let host = socket.unwrap_or_else(|| match url.host_str() {
            None | Some("") => "localhost".to_owned(),
            Some(host) => decode(host.trim_matches(['[', ']'])),
        });
        let database = decode(url.path().trim_start_matches('/'));
        if database.is_empty() {
            return Err(Error::usage(Code::UrlInvalid, "the database URL names no database").hint(hint));
        }
        Ok(Self {
            dialect: kind.dialect,
            host,
            port: url.port().unwrap_or(kind.port),
            user,
            password: Secret::new(decode(url.password().unwrap_or_default())),
            database,
            options,
        })
    }

    /// What a link that is encrypted or not, with the server's certificate verified or not, means for who
    /// might listen.
    pub(super) fn encryption(&self, is_encrypted: bool, verifies: bool, how: &str) -> Finding {
        let is_here = self.is_socket()
            || matches!(self.host.as_str(), "localhost" | "::1")
            || self.host.starts_with("127.");
        let mend = format!("add ?{how} to the URL");
        match (is_encrypted, verifies) {
            (true, true) => Finding::ok("tls", "encrypted, and the server's certificate is verified"),
            (true, false) if is_here => Finding::ok("tls", "encrypted"),
            (true, false) => {
                Finding::warn("tls", "encrypted, but the server's certificate is not verified", mend)
            }
            (false, _) if is_here => Finding::ok("tls", "not encrypted, on this machine"),
            (false, _) => Finding::warn("tls", "not encrypted: who listens on the way reads along", mend),
        }
    }

    /// Whether `host` is a path in the file system.
    pub fn is_socket(&self) -> bool {
        self.host.starts_with('/')
    }
}

/// `user@host:port/database`, for messages.
impl fmt::Display for Address {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}@{}:{}/{}", self.user, self.host, self.port, self.database)
    }
}

#[cfg(test)]
mod tests {
    use super::{Address, Dialect};

    #[test]
    fn parts_and_defaults() {
        let address = Address::parse("postgres://me:p%40ss@[::1]/shop?sslmode=require").unwrap();
        assert_eq!((address.host.as_str(), address.port, address.user.as_str()), ("::1", 5432, "me"));
        assert_eq!((address.password.reveal(), address.options["sslmode"].as_str()), ("p@ss", "require"));
        assert_eq!(format!("{address} {address:?}").find("p@ss"), None);
        let address = Address::parse("mariadb://h/d?socket=/run/my.sock").unwrap();
        assert_eq!(
            (address.dialect, address.host.as_str(), address.port),
            (Dialect::Mariadb, "/run/my.sock", 3306)
        );
    }

    #[test]
    fn other_urls_are_refused() {
        for text in ["", "shop", "oracle://h/d", "postgres://h"] {
            assert!(Address::parse(text).is_err(), "{text}");
        }
    }
}
