//! TLS as a client needs it: certificate files, how far the server's certificate is looked at, and what a
//! failed handshake means, as a sentence with the mend. Knows no server and no socket.

use std::fmt::Display;
use std::path::Path;
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{
    AlertDescription, CertificateError, ClientConfig, ClientConnection, DigitallySignedStruct, RootCertStore,
    SignatureScheme,
};

use crate::{Code, Error, Result};

/// Certificates of a client, its own first, and the key.
pub type Identity = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

/// The names that a user writes for the three files, for messages.
#[derive(Debug, Clone, Copy)]
pub struct Names {
    /// Holds the authorities that are trusted.
    pub authority: &'static str,
    /// Holds the client's certificate.
    pub certificate: &'static str,
    /// Holds the client's key.
    pub key: &'static str,
}

/// What is asked of a connection.
#[derive(Debug)]
pub struct Terms {
    /// Who may have signed the server's certificate; `None`: nobody looks at it.
    pub authorities: Option<RootCertStore>,
    /// The certificate must name the host.
    pub checks_host: bool,
    /// Shown to the server if it asks.
    pub identity: Option<Identity>,
}

impl Terms {
    /// The client's side of a connection to `host`.
    pub fn client(self, host: &str) -> Result<ClientConnection> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let chain = match self.authorities {
            Some(roots) => {
                let built =
                    WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
                        .build();
                Some(built.map_err(|cause| {
                    Error::usage(Code::TlsFilesInvalid, "there is no authority to trust").cause(cause)
                })?)
            }
            None => None,
        };
        let verifier = Verifier { chain, checks_host: self.checks_host, provider: Arc::clone(&provider) };
        let name = ServerName::try_from(host.to_owned()).map_err(|cause| {
            Error::usage(Code::UrlInvalid, format!("host {host:?} cannot be used with TLS")).cause(cause)
        })?;
        let identity = self.identity;
        let build = || {
            let config =
                ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
            let config = config.dangerous().with_custom_certificate_verifier(Arc::new(verifier));
            let config = match identity {
                Some((certificates, key)) => config.with_client_auth_cert(certificates, key)?,
                None => config.with_no_client_auth(),
            };
            ClientConnection::new(Arc::new(config), name)
        };
        build().map_err(|cause| match cause {
            rustls::Error::InconsistentKeys(_) => {
                Error::usage(Code::TlsFilesInvalid, "the client's key is not that of its certificate")
                    .hint("name the two files that were made together")
            }
            cause => Error::stop(Code::TlsFailed, "TLS cannot be set up").cause(cause),
        })
    }
}

/// The authorities of the operating system.
pub fn system_authorities() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    roots
}

/// The authorities in a PEM file, which `option` names.
pub fn authorities(option: &str, file: &Path) -> Result<RootCertStore> {
    let hint = format!(
        "point {option} to a file in PEM form that holds the certificate of the authority that signed the \
         server's"
    );
    let mut roots = RootCertStore::empty();
    for certificate in certificates(option, file)? {
        roots.add(certificate).map_err(|cause| unreadable(option, file, cause).hint(hint.clone()))?;
    }
    if roots.is_empty() {
        return Err(unreadable(option, file, "it holds no certificate").hint(hint));
    }
    Ok(roots)
}

/// The client's certificate and key, in PEM files.
pub fn identity(names: Names, certificate: &Path, key: &Path) -> Result<Identity> {
    let chain = certificates(names.certificate, certificate)?;
    if chain.is_empty() {
        return Err(unreadable(names.certificate, certificate, "it holds no certificate")
            .hint("write the certificate in PEM form"));
    }
    let key = PrivateKeyDer::from_pem_file(key).map_err(|cause| {
        unreadable(names.key, key, cause)
            .hint("name a file in PEM form that holds the key without a password, readable for this user")
    })?;
    Ok((chain, key))
}

fn certificates(option: &str, file: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let failed =
        |cause| unreadable(option, file, cause).hint("check the path, and that this user may read it");
    CertificateDer::pem_file_iter(file)
        .map_err(failed)?
        .collect::<std::result::Result<_, _>>()
        .map_err(failed)
}

fn unreadable(option: &str, file: &Path, cause: impl Display) -> Error {
    // The library's words for a missing file begin with "I/O error: ".
    let cause = cause.to_string();
    Error::usage(
        Code::TlsFilesInvalid,
        format!(
            "the file {:?} of {option} cannot be read: {}",
            file.display().to_string(),
            cause.trim_start_matches("I/O error: ")
        ),
    )
}

/// What a failed handshake with `peer` means, if it is one that trying again cannot mend.
/// `shows_certificate`: the client has one.
pub fn explain(
    failure: &rustls::Error,
    peer: &str,
    host: &str,
    names: Names,
    shows_certificate: bool,
) -> Option<Error> {
    match failure {
        rustls::Error::InvalidCertificate(fault) => Some(explain_certificate(fault, peer, host, names)),
        rustls::Error::AlertReceived(alert) if is_about_client(*alert) => {
            Some(if shows_certificate {
                Error::stop(Code::ClientCertificateRefused, format!("{peer} refuses the client certificate: {alert:?}")).hint(format!(
                "show one that is valid now and signed by an authority that the server trusts; openssl x509 \
                 -noout -subject -issuer -dates -in \
                 FILE tells what the file of {} is",
                names.certificate
            ))
            } else {
                Error::stop(
                    Code::ClientCertificateMissing,
                    format!("{peer} wants a client certificate, and none is shown"),
                )
                .hint(format!(
                    "set {} and {} to the files of a certificate that the server trusts",
                    names.certificate, names.key
                ))
            })
        }
        rustls::Error::AlertReceived(
            AlertDescription::ProtocolVersion | AlertDescription::HandshakeFailure,
        )
        | rustls::Error::PeerIncompatible(_) => Some(
            Error::stop(
                Code::TlsFailed,
                format!("{peer} and this program have no version or cipher of TLS in common"),
            )
            .cause(failure.to_string())
            .hint("let the server take TLS 1.2 or 1.3"),
        ),
        rustls::Error::InvalidMessage(_) => Some(
            Error::stop(Code::TlsFailed, format!("{peer} does not answer in TLS")).cause(failure.to_string()),
        ),
        _ => None,
    }
}

fn is_about_client(alert: AlertDescription) -> bool {
    use AlertDescription::{
        AccessDenied, BadCertificate, CertificateExpired, CertificateRequired, CertificateRevoked,
        CertificateUnknown, DecryptError, NoCertificate, UnknownCA, UnsupportedCertificate,
    };
    matches!(
        alert,
        AccessDenied
            | BadCertificate
            | CertificateExpired
            | CertificateRequired
            | CertificateRevoked
            | CertificateUnknown
            | DecryptError
            | NoCertificate
            | UnknownCA
            | UnsupportedCertificate
    )
}

fn explain_certificate(fault: &CertificateError, peer: &str, host: &str, names: Names) -> Error {
    match fault {
        CertificateError::Expired => expired(peer, None),
        CertificateError::ExpiredContext { time, not_after } => {
            expired(peer, Some(time.as_secs().saturating_sub(not_after.as_secs()) / 3600))
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            Error::stop(Code::CertificateExpired, format!("the certificate of {peer} is not valid yet"))
                .hint("check the clocks of both machines")
        }
        CertificateError::NotValidForName => not_named(peer, host, "other names"),
        CertificateError::NotValidForNameContext { presented, .. } => {
            let presented = presented
                .join(", ")
                .replace("DnsName(", "")
                .replace("IpAddress(", "")
                .replace([')', '"'], "");
            not_named(peer, host, if presented.is_empty() { "no name" } else { &presented })
        }
        CertificateError::UnknownIssuer => Error::stop(
            Code::CertificateUntrusted,
            format!("the certificate of {peer} is signed by an authority that is not trusted here"),
        )
        .hint(format!(
            "put the certificate of the authority that signed it, in PEM form, into the file of {}",
            names.authority
        )),
        other => {
            Error::stop(Code::CertificateUntrusted, format!("the certificate of {peer} cannot be trusted"))
                .cause(rustls::Error::InvalidCertificate(other.clone()).to_string())
                .hint(format!("let the authority of {} issue another one", names.authority))
        }
    }
}

fn expired(peer: &str, hours: Option<u64>) -> Error {
    let since = match hours {
        None => String::new(),
        Some(hours) if hours < 48 => format!(" {hours} hours ago"),
        Some(hours) => format!(" {} days ago", hours / 24),
    };
    Error::stop(Code::CertificateExpired, format!("the certificate of {peer} expired{since}"))
        .hint("renew it on the server; if it is valid, check the clock of this machine")
}

fn not_named(peer: &str, host: &str, presented: &str) -> Error {
    Error::stop(
        Code::CertificateName,
        format!("the certificate of {peer} does not name {host:?}: it names {presented}"),
    )
    .hint(
        "connect by a name that the certificate has, or let one be issued with this name among its \
            subjectAltName",
    )
}

/// Looks at the chain, and at the host's name in the certificate, only as far as the terms ask.
#[derive(Debug)]
struct Verifier {
    chain: Option<Arc<WebPkiServerVerifier>>,
    checks_host: bool,
    provider: Arc<CryptoProvider>,
}

/// Signatures that a server may show where nobody looks at its certificate: those that are not computed here
/// too.
const UNSEEN: [SignatureScheme; 4] = [
    SignatureScheme::ECDSA_NISTP521_SHA512,
    SignatureScheme::ED448,
    SignatureScheme::RSA_PKCS1_SHA1,
    SignatureScheme::ECDSA_SHA1_Legacy,
];

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
            Err(rustls::Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) if !self.checks_host => Ok(ServerCertVerified::assertion()),
            answer => answer,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        // The key of a certificate that nobody looks at proves nothing. Some are of version 1, which cannot
        // be read here.
        if self.chain.is_none() {
            return Ok(HandshakeSignatureValid::assertion());
        }
        verify_tls12_signature(
            message,
            certificate,
            signature,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        if self.chain.is_none() {
            return Ok(HandshakeSignatureValid::assertion());
        }
        verify_tls13_signature(
            message,
            certificate,
            signature,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        let mut schemes = self.provider.signature_verification_algorithms.supported_schemes();
        if self.chain.is_none() {
            schemes.extend(UNSEEN);
        }
        schemes
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use rustls::crypto::ring::{default_provider, sign::any_supported_type};
    use rustls::pki_types::pem::PemObject as _;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer};
    use rustls::server::{ClientHello, ResolvesServerCert};
    use rustls::sign::CertifiedKey;
    use rustls::{RootCertStore, ServerConfig, ServerConnection};

    use super::Terms;

    /// `openssl x509 -req` makes a certificate of version 1, without extensions. Made for this test.
    const CERTIFICATE: &str = "-----BEGIN CERTIFICATE-----\n\
        MIIBGDCBvwIUSklReOjCZwHpRoOSPGkPw9eENTswCgYIKoZIzj0EAwIwDjEMMAoG\n\
        A1UEAwwDb2xkMCAXDTI2MTEyODA2MDYwOFoYDzIxMjYxMTA0MDYwNjA4WjAOMQww\n\
        CgYDVQQDDANvbGQwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAASdY925QOhmoIHs\n\
        ahswENehsIciKjaQqgNakcj0LhPlipgZE1mAqC0EkDIDoLjcmxEiqENThr2EdoSR\n\
        E95ZNzWHMAoGCCqGSM49BAMCA0gAMEUCIFlRvHcTlECbmJ0lTYzNf+O/ewsKnJPN\n\
        4C/HHmaN+fCjAiEAktjhnanAzY65eMSXY0HIamNOxYvpnQRWnJV8i8wfZ58=\n\
        -----END CERTIFICATE-----\n";
    const KEY: &str = "-----BEGIN PRIVATE KEY-----\n\
        MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgu4+3kHxAaXmbgU72\n\
        iVSMDviXvi+frMchG8oNJos5O1ihRANCAASdY925QOhmoIHsahswENehsIciKjaQ\n\
        qgNakcj0LhPlipgZE1mAqC0EkDIDoLjcmxEiqENThr2EdoSRE95ZNzWH\n\
        -----END PRIVATE KEY-----\n";

    #[derive(Debug)]
    struct Shown(Arc<CertifiedKey>);

    impl ResolvesServerCert for Shown {
        fn resolve(&self, _: ClientHello) -> Option<Arc<CertifiedKey>> {
            Some(Arc::clone(&self.0))
        }
    }

    /// Whether a client with these terms comes through a handshake.
    fn shake_hands(terms: Terms) -> Result<(), rustls::Error> {
        let certificate = CertificateDer::from_pem_slice(CERTIFICATE.as_bytes()).unwrap();
        let key = any_supported_type(&PrivateKeyDer::from_pem_slice(KEY.as_bytes()).unwrap()).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(Shown(Arc::new(CertifiedKey::new(vec![certificate], key)))));
        let mut server = ServerConnection::new(Arc::new(config)).unwrap();
        let mut client = terms.client("127.0.0.1").unwrap();
        while client.is_handshaking() {
            let mut bytes = Vec::new();
            while client.wants_write() {
                client.write_tls(&mut bytes).unwrap();
            }
            server.read_tls(&mut &bytes[..]).unwrap();
            server.process_new_packets().unwrap();
            let mut bytes = Vec::new();
            while server.wants_write() {
                server.write_tls(&mut bytes).unwrap();
            }
            let mut rest = &bytes[..];
            while !rest.is_empty() {
                client.read_tls(&mut rest).unwrap();
                client.process_new_packets()?;
            }
        }
        Ok(())
    }

    #[test]
    fn a_certificate_that_nobody_looks_at_may_be_of_any_form() {
        shake_hands(Terms { authorities: None, checks_host: false, identity: None }).unwrap();
        let mut roots = RootCertStore::empty();
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
        shake_hands(Terms { authorities: Some(roots), checks_host: false, identity: None }).unwrap_err();
    }
}
