//! TLS to MySQL and MariaDB, by the driver: which files and how strictly; and a guard, since the driver
//! trusts the public authorities beside the user's own, which would let anybody with a certificate of his own
//! host pass as the server where names are not looked at.

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::sync::Once;

use mysql::{ClientIdentity, SslOpts};
use rustls::SignatureScheme;
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms};
use rustls::pki_types::{AlgorithmIdentifier, InvalidSignature, SignatureVerificationAlgorithm};

use super::super::Address;
use crate::tls::{Names, authorities, identity};
use crate::{Error, Result};

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
    Err(Error::usage(format!("unknown option {unknown:?} in a database URL"))
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
            _ => Err(Error::usage(format!("unknown ssl-mode {written:?} in a database URL"))
                .hint("write disabled, preferred, required, verify_ca or verify_identity")),
        }
    }

    fn verifies(self) -> bool {
        matches!(self, Self::VerifyCa | Self::VerifyIdentity)
    }
}

/// The driver's options. A file that cannot be used is told here, by its name.
pub(super) fn options(address: &Address, mode: Mode) -> Result<SslOpts> {
    let authority =
        option(address, ["ssl-ca", "sslrootcert", "ssl_ca"]).map(PathBuf::from).filter(|_| mode.verifies());
    Ok(SslOpts::default()
        .with_root_cert_path(authority)
        .with_client_identity(own(address)?)
        .with_danger_accept_invalid_certs(!mode.verifies())
        .with_danger_skip_domain_validation(mode != Mode::VerifyIdentity))
}

fn own(address: &Address) -> Result<Option<ClientIdentity>> {
    let certificate = option(address, ["ssl-cert", "sslcert", "ssl_cert"]);
    match (certificate, option(address, ["ssl-key", "sslkey", "ssl_key"])) {
        (None, None) => Ok(None),
        (Some(certificate), Some(key)) => {
            identity(NAMES, Path::new(certificate), Path::new(key))?;
            Ok(Some(ClientIdentity::new(PathBuf::from(certificate), PathBuf::from(key))))
        }
        _ => Err(Error::usage("ssl-cert and ssl-key go together")
            .hint("name both files, of the certificate and of its key, or neither")),
    }
}

thread_local! {
    /// While set, only these authorities' keys are trusted on this thread: those of the user's file.
    static TRUSTED: RefCell<Option<Vec<Vec<u8>>>> = const { RefCell::new(None) };
}

/// Runs `connect`, during which of all authorities only those of the address's own file are trusted, if it
/// names one to verify by.
pub(super) fn guarded<T>(address: &Address, mode: Mode, connect: impl FnOnce() -> T) -> Result<T> {
    install();
    let file = option(address, ["ssl-ca", "sslrootcert", "ssl_ca"])
        .filter(|_| mode.verifies() && !address.is_socket());
    if let Some(file) = file {
        let roots = authorities(NAMES.authority, Path::new(file))?;
        let keys = roots.roots.iter().map(|anchor| anchor.subject_public_key_info.as_ref().to_vec());
        TRUSTED.set(Some(keys.collect()));
    }
    let answer = connect();
    TRUSTED.set(None);
    Ok(answer)
}

/// Makes the guard part of the process's default for TLS, which is what the driver takes.
fn install() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let mut provider = rustls::crypto::ring::default_provider();
        provider.signature_verification_algorithms = guard(provider.signature_verification_algorithms);
        if CryptoProvider::install_default(provider).is_err() {
            tracing::warn!(
                "another part of this process chose its TLS before: the public authorities stay \
                trusted beside those of ssl-ca"
            );
        }
    });
}

type Algorithms = &'static [&'static dyn SignatureVerificationAlgorithm];

/// The same algorithms behind the guard; leaked once a process, since they must live as long as it.
fn guard(plain: WebPkiSupportedAlgorithms) -> WebPkiSupportedAlgorithms {
    let one =
        |plain: &&'static dyn SignatureVerificationAlgorithm| -> &'static dyn SignatureVerificationAlgorithm {
            Box::leak(Box::new(Guarded(*plain)))
        };
    let all = |plain: Algorithms| -> Algorithms { plain.iter().map(one).collect::<Vec<_>>().leak() };
    let mapping: Vec<(SignatureScheme, Algorithms)> =
        plain.mapping.iter().map(|(scheme, plain)| (*scheme, all(plain))).collect();
    WebPkiSupportedAlgorithms { all: all(plain.all), mapping: mapping.leak() }
}

#[derive(Debug)]
struct Guarded(&'static dyn SignatureVerificationAlgorithm);

impl SignatureVerificationAlgorithm for Guarded {
    fn verify_signature(
        &self,
        public_key: &[u8],
        message: &[u8],
        signature: &[u8],
    ) -> std::result::Result<(), InvalidSignature> {
        if is_foreign(public_key) {
            return Err(InvalidSignature);
        }
        self.0.verify_signature(public_key, message, signature)
    }

    fn public_key_alg_id(&self) -> AlgorithmIdentifier {
        self.0.public_key_alg_id()
    }

    fn signature_alg_id(&self) -> AlgorithmIdentifier {
        self.0.signature_alg_id()
    }

    fn fips(&self) -> bool {
        self.0.fips()
    }
}

/// Whether this is the key of a public authority that the user's own file does not hold. A key stands at the
/// end of its description.
fn is_foreign(public_key: &[u8]) -> bool {
    TRUSTED.with_borrow(|trusted| {
        let Some(own) = trusted else { return false };
        !own.iter().any(|key| key.ends_with(public_key))
            && webpki_roots::TLS_SERVER_ROOTS
                .iter()
                .any(|anchor| anchor.subject_public_key_info.ends_with(public_key))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn public_authorities_are_foreign_unless_named() {
        let description = webpki_roots::TLS_SERVER_ROOTS[0].subject_public_key_info.as_ref();
        let key = &description[description.len() - 64..];
        assert!(!is_foreign(key), "without a file the public authorities count");
        TRUSTED.set(Some(vec![b"own".to_vec()]));
        assert!(is_foreign(key) && !is_foreign(b"own"));
        TRUSTED.set(Some(vec![description.to_vec()]));
        assert!(!is_foreign(key));
        TRUSTED.set(None);
    }
}
