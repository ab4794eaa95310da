//! TLS as MySQL's `ssl-mode`, `ssl-ca`, `ssl-cert` and `ssl-key` define it; libpq's names are understood too.

use std::path::{Path, PathBuf};

use rustls::RootCertStore;

use super::super::Address;
use crate::tls::{Identity, Names, Terms, authorities, identity};
use crate::{Code, Error, Result};

/// What a user writes for the files.
pub(super) const NAMES: Names = Names { authority: "ssl-ca", certificate: "ssl-cert", key: "ssl-key" };

/// What is asked of the connection's encryption, in MySQL's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    /// None.
    Disabled,
    /// Encrypted if the server can, without looking at its certificate.
    Preferred,
    /// Encrypted, without looking at the certificate.
    Required,
    /// Encrypted, by a certificate that a trusted authority signed.
    VerifyCa,
    /// The same, and the certificate names the host.
    VerifyIdentity,
}

/// What a URL may say behind its question mark, by MySQL's names and by libpq's; `socket` is taken out
/// before.
const OPTIONS: &[&str] = &[
    "ssl-mode",
    "sslmode",
    "ssl_mode",
    "ssl-ca",
    "sslrootcert",
    "ssl_ca",
    "ssl-cert",
    "sslcert",
    "ssl_cert",
    "ssl-key",
    "sslkey",
    "ssl_key",
];

/// An option that is not understood may be a misspelt wish for encryption: it is refused, not ignored.
pub(super) fn options_are_known(address: &Address) -> Result<()> {
    let Some(unknown) = address.options.keys().find(|name| !OPTIONS.contains(&name.as_str())) else {
        return Ok(());
    };
    Err(Error::usage(Code::UrlInvalid, format!("unknown option {unknown:?} in a database URL"))
        .hint(format!("known are {}", OPTIONS.join(", "))))
}

fn option<'a>(address: &'a Address, names: [&str; 3]) -> Option<&'a str> {
    names.iter().find_map(|name| address.options.get(*name)).map(String::as_str)
}

/// Whether the client has a certificate.
pub(super) fn shows_certificate(address: &Address) -> bool {
    option(address, ["ssl-cert", "sslcert", "ssl_cert"]).is_some()
}

impl Mode {
    /// Reads `ssl-mode` (MySQL's own name) or `sslmode`, in the words of either MySQL or libpq. The default
    /// is the clients' own: preferred.
    pub fn of(address: &Address) -> Result<Self> {
        let Some(written) = option(address, ["ssl-mode", "sslmode", "ssl_mode"]) else {
            return Ok(Self::Preferred);
        };
        match written.to_ascii_lowercase().replace('-', "_").as_str() {
            "disabled" | "disable" => Ok(Self::Disabled),
            "preferred" | "prefer" => Ok(Self::Preferred),
            "required" | "require" => Ok(Self::Required),
            "verify_ca" => Ok(Self::VerifyCa),
            "verify_identity" | "verify_full" => Ok(Self::VerifyIdentity),
            _ => {
                Err(Error::usage(Code::UrlInvalid, format!("unknown ssl-mode {written:?} in a database URL"))
                    .hint("write disabled, preferred, required, verify_ca or verify_identity"))
            }
        }
    }

    fn verifies(self) -> bool {
        matches!(self, Self::VerifyCa | Self::VerifyIdentity)
    }
}

/// What is asked of the connection. A file that cannot be used is told here, by its name.
pub(super) fn terms(address: &Address, mode: Mode) -> Result<Terms> {
    let file = option(address, ["ssl-ca", "sslrootcert", "ssl_ca"]).map(PathBuf::from);
    let authorities = match (mode.verifies(), file) {
        (false, _) => None,
        (true, Some(file)) => Some(authorities(NAMES.authority, &file)?),
        (true, None) => Some(RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() }),
    };
    Ok(Terms { authorities, checks_host: mode == Mode::VerifyIdentity, identity: own(address)? })
}

/// The client's certificate, if the address names one.
fn own(address: &Address) -> Result<Option<Identity>> {
    let certificate = option(address, ["ssl-cert", "sslcert", "ssl_cert"]);
    match (certificate, option(address, ["ssl-key", "sslkey", "ssl_key"])) {
        (None, None) => Ok(None),
        (Some(certificate), Some(key)) => identity(NAMES, Path::new(certificate), Path::new(key)).map(Some),
        _ => Err(Error::usage(Code::TlsFilesInvalid, "ssl-cert and ssl-key go together")
            .hint("name both files, of the certificate and of its key, or neither")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An authority that was made for this test.
    const AUTHORITY: &str = "-----BEGIN CERTIFICATE-----\n\
        MIIBijCCAS+gAwIBAgIUSwjKY8O2qErYXLREjlrn97MjGdcwCgYIKoZIzj0EAwIw\n\
        GTEXMBUGA1UEAwwObGlzdF9zeW5jIHRlc3QwIBcNMjYxMTI4MDYxMjM1WhgPMjEy\n\
        NjExMDQwNjEyMzVaMBkxFzAVBgNVBAMMDmxpc3Rfc3luYyB0ZXN0MFkwEwYHKoZI\n\
        zj0CAQYIKoZIzj0DAQcDQgAEJ+/FpAt97FciuJUHKH1yWD26C0cdiIJcoIH2aRfL\n\
        cVii+BQJBMr3igVzAD+6Ebskx1NGxy366BJQMFZGwAtxQqNTMFEwHQYDVR0OBBYE\n\
        FBqYR4WB2+xoO1sq7TB/JP2ufLViMB8GA1UdIwQYMBaAFBqYR4WB2+xoO1sq7TB/\n\
        JP2ufLViMA8GA1UdEwEB/wQFMAMBAf8wCgYIKoZIzj0EAwIDSQAwRgIhANhjTZkf\n\
        eJ9I0OO6mCFpQ6vSn8UZg1ZVIlxhI7QywXQwAiEAlatcTbbxZeelRo+zQyTEtQWx\n\
        zt26FEYmYcklD64kqKA=\n\
        -----END CERTIFICATE-----\n";

    fn terms_of(options: &str) -> Terms {
        let address = Address::parse(&format!("mysql://x@localhost/db?{options}")).unwrap();
        options_are_known(&address).unwrap();
        terms(&address, Mode::of(&address).unwrap()).unwrap()
    }

    /// With a file for the authority, no other one counts.
    #[test]
    fn who_is_trusted() {
        let file = std::env::temp_dir().join(format!("list_sync_authority_{}.pem", std::process::id()));
        std::fs::write(&file, AUTHORITY).unwrap();
        let file_name = file.display();
        let own = terms_of(&format!("ssl-mode=verify_ca&ssl-ca={file_name}"));
        let unseen = terms_of(&format!("ssl-mode=required&ssl-ca={file_name}"));
        std::fs::remove_file(&file).unwrap();
        assert_eq!(own.authorities.unwrap().len(), 1);
        assert!(!own.checks_host && unseen.authorities.is_none());
        let public = terms_of("sslmode=verify-full");
        assert_eq!(public.authorities.unwrap().len(), webpki_roots::TLS_SERVER_ROOTS.len());
        assert!(public.checks_host);
        assert!(terms_of("").authorities.is_none());
    }
}
