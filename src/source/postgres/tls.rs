//! TLS as libpq's `sslmode`, `sslrootcert`, `sslcert` and `sslkey` define it (PostgreSQL documentation, "SSL
//! Support").

use std::io;
use std::path::{Path, PathBuf};

use rustls::{ClientConnection, RootCertStore};

use super::super::Address;
use crate::tls::{Identity, Names, Terms, authorities, explain, identity, system_authorities};
use crate::{Code, Error, Result};

/// What a user writes for the files.
pub(super) const NAMES: Names = Names { authority: "sslrootcert", certificate: "sslcert", key: "sslkey" };

/// What is asked of the connection's encryption.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Mode {
    /// None.
    Disable,
    /// Encrypted if the server can, without looking at its certificate.
    Prefer,
    /// Encrypted; the certificate is looked at only if `sslrootcert` is given.
    Require,
    /// Encrypted, by a certificate that a trusted authority signed.
    VerifyCa,
    /// The same, and the certificate names the host.
    VerifyFull,
}

const MODES: [(&str, Mode); 5] = [
    ("disable", Mode::Disable),
    ("prefer", Mode::Prefer),
    ("require", Mode::Require),
    ("verify-ca", Mode::VerifyCa),
    ("verify-full", Mode::VerifyFull),
];

impl Mode {
    /// The mode that the address asks for. A Unix socket is never encrypted.
    pub fn of(address: &Address) -> Result<Self> {
        let wanted = address.options.get("sslmode").map_or("prefer", String::as_str);
        let found = MODES.iter().find(|(name, _)| *name == wanted);
        let (_, mode) = found.ok_or_else(|| {
            let nearest = MODES
                .iter()
                .max_by(|(a, _), (b, _)| strsim::jaro(wanted, a).total_cmp(&strsim::jaro(wanted, b)));
            let nearest = nearest.map_or("prefer", |(name, _)| *name);
            Error::usage(Code::UrlInvalid, format!("unknown sslmode {wanted:?}")).hint(format!(
                "write sslmode={nearest} (or disable, prefer, require, verify-ca, verify-full)"
            ))
        })?;
        Ok(if address.is_socket() { Self::Disable } else { *mode })
    }
}

/// A client's side of TLS to this server.
pub(super) fn client(address: &Address, mode: Mode) -> Result<ClientConnection> {
    let root_file = address.options.get("sslrootcert").map(String::as_str);
    let looks = mode >= Mode::VerifyCa || (mode == Mode::Require && root_file.is_some());
    let authorities = if looks { Some(roots(root_file)?) } else { None };
    Terms { authorities, checks_host: mode == Mode::VerifyFull, identity: own(address)? }
        .client(&address.host)
}

/// The failure that a broken connection is, if what broke it is TLS and trying again does not mend it.
pub(super) fn explained(address: &Address, cause: &io::Error) -> Option<Error> {
    let failure = cause.get_ref()?.downcast_ref::<rustls::Error>()?;
    let peer = format!("PostgreSQL at {}:{}", address.host, address.port);
    explain(failure, &peer, &address.host, NAMES, address.options.contains_key(NAMES.certificate))
}

/// The client's certificate, if the address names one.
fn own(address: &Address) -> Result<Option<Identity>> {
    match (address.options.get("sslcert"), address.options.get("sslkey")) {
        (None, None) => Ok(None),
        (Some(certificate), Some(key)) => identity(NAMES, Path::new(certificate), Path::new(key)).map(Some),
        _ => Err(Error::usage(Code::TlsFilesInvalid, "sslcert and sslkey go together")
            .hint("name both files, of the certificate and of its key, or neither")),
    }
}

/// The authorities of `sslrootcert`, else of libpq's default file, else of the operating system
/// (`sslrootcert=system`).
fn roots(file: Option<&str>) -> Result<RootCertStore> {
    let default_file =
        || std::env::home_dir().map(|home| home.join(".postgresql/root.crt")).filter(|path| path.exists());
    let file = match file {
        Some("system") => None,
        Some(file) => Some(PathBuf::from(file)),
        None => default_file(),
    };
    file.map_or_else(|| Ok(system_authorities()), |file| authorities(NAMES.authority, &file))
}
