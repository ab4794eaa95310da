//! TLS as libpq's `sslmode` and `sslrootcert` define it (PostgreSQL documentation, "SSL Support"), by rustls.

use std::path::PathBuf;
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, ClientConnection, DigitallySignedStruct, RootCertStore, SignatureScheme};

use super::super::Address;
use crate::{Error, Result};

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
            let nearest = MODES.iter().max_by(|(a, _), (b, _)| strsim::jaro(wanted, a).total_cmp(&strsim::jaro(wanted, b)));
            let nearest = nearest.map_or("prefer", |(name, _)| *name);
            Error::usage(format!("unknown sslmode {wanted:?}"))
                .hint(format!("write sslmode={nearest} (or disable, prefer, require, verify-ca, verify-full)"))
        })?;
        Ok(if address.is_socket() { Self::Disable } else { *mode })
    }
}

/// A client's side of TLS to this server.
pub(super) fn client(address: &Address, mode: Mode) -> Result<ClientConnection> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let root_file = address.options.get("sslrootcert");
    let chain = if mode >= Mode::VerifyCa || (mode == Mode::Require && root_file.is_some()) {
        let roots = Arc::new(roots(root_file.map(String::as_str))?);
        let built = WebPkiServerVerifier::builder_with_provider(roots, Arc::clone(&provider)).build();
        Some(built.map_err(|cause| Error::usage("the certificates of `sslrootcert` cannot be used").cause(cause))?)
    } else {
        None
    };
    let verifier = Verifier { chain, host: mode == Mode::VerifyFull, provider: Arc::clone(&provider) };
    let name = ServerName::try_from(address.host.clone())
        .map_err(|cause| Error::usage(format!("host {:?} cannot be used with TLS", address.host)).cause(cause))?;
    let build = || {
        let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
        let config = config.dangerous().with_custom_certificate_verifier(Arc::new(verifier)).with_no_client_auth();
        ClientConnection::new(Arc::new(config), name)
    };
    build().map_err(|cause| Error::stop("TLS cannot be set up").cause(cause))
}

/// The authorities of `sslrootcert`, else of libpq's default file, else of the operating system (`sslrootcert=system`).
fn roots(file: Option<&str>) -> Result<RootCertStore> {
    let default_file = || std::env::home_dir().map(|home| home.join(".postgresql/root.crt")).filter(|path| path.exists());
    let file = match file {
        Some("system") => None,
        Some(file) => Some(PathBuf::from(file)),
        None => default_file(),
    };
    let mut roots = RootCertStore::empty();
    let Some(file) = file else {
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        return Ok(roots);
    };
    let failed = |cause: Box<dyn std::error::Error + Send + Sync>| {
        Error::usage(format!("certificate file {:?} cannot be read", file.display().to_string()))
            .cause(cause)
            .hint("point sslrootcert to a file in PEM form that holds the authority that signed the server's certificate")
    };
    for certificate in CertificateDer::pem_file_iter(&file).map_err(|cause| failed(cause.into()))? {
        roots.add(certificate.map_err(|cause| failed(cause.into()))?).map_err(|cause| failed(cause.into()))?;
    }
    Ok(roots)
}

/// Looks at the chain, and at the host's name in the certificate, only as far as the mode asks.
#[derive(Debug)]
struct Verifier {
    chain: Option<Arc<WebPkiServerVerifier>>,
    host: bool,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let Some(chain) = &self.chain else { return Ok(ServerCertVerified::assertion()) };
        match chain.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now) {
            // The name is looked at last, so the chain is good when only the name is not.
            Err(rustls::Error::InvalidCertificate(CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. }))
                if !self.host =>
            {
                Ok(ServerCertVerified::assertion())
            }
            answer => answer,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
