//! How a user proves a password to a server, by each plugin that is known here. Pure: no socket.

use std::num::NonZeroU32;

use curve25519_dalek::{EdwardsPoint, Scalar, scalar::clamp_integer};
use ring::digest::{self, Algorithm, SHA1_FOR_LEGACY_USE_ONLY, SHA256, SHA512};
use ring::pbkdf2;
use ring::rand::{SecureRandom as _, SystemRandom};
use ring::signature::Ed25519KeyPair;

use super::cursor::{Cursor, Malformed, Parsed};
use super::packet::Greeting;

/// Bytes of the nonce that is signed.
const SIGNED_NONCE_BYTES: usize = 32;

/// A way to prove a password, with the server's nonce.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Plugin {
    /// `mysql_native_password`: SHA-1.
    Native([u8; Greeting::NONCE_BYTES]),
    /// `caching_sha2_password`: SHA-256; a server that does not know the hash yet wants the password itself.
    Sha2([u8; Greeting::NONCE_BYTES]),
    /// `client_ed25519` of MariaDB.
    Ed25519([u8; SIGNED_NONCE_BYTES]),
    /// `parsec` of MariaDB, as of 11.6.
    Parsec([u8; SIGNED_NONCE_BYTES]),
}

impl Plugin {
    /// How a client begins: as the server greets if that is known, else by the oldest way.
    pub fn of(greeting: &Greeting) -> Self {
        match greeting.plugin.as_str() {
            "caching_sha2_password" => Self::Sha2(greeting.nonce),
            _ => Self::Native(greeting.nonce),
        }
    }

    /// The plugin that the server changes to; `None` if it is not known.
    pub fn named(name: &str, data: &[u8]) -> Parsed<Option<Self>> {
        let mut data = Cursor::new(data);
        Ok(Some(match name {
            "mysql_native_password" => Self::Native(data.array()?),
            "caching_sha2_password" => Self::Sha2(data.array()?),
            "client_ed25519" => Self::Ed25519(data.array()?),
            "parsec" => Self::Parsec(data.array()?),
            _ => return Ok(None),
        }))
    }

    /// The name that a server knows it by.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Native(_) => "mysql_native_password",
            Self::Sha2(_) => "caching_sha2_password",
            Self::Ed25519(_) => "client_ed25519",
            Self::Parsec(_) => "parsec",
        }
    }

    /// What the client says first. No password is no bytes.
    pub fn proof(&self, password: &[u8]) -> Vec<u8> {
        match self {
            Self::Native(_) | Self::Sha2(_) if password.is_empty() => Vec::new(),
            Self::Native(nonce) => {
                let once = hash(&SHA1_FOR_LEGACY_USE_ONLY, &[password]);
                let twice = hash(&SHA1_FOR_LEGACY_USE_ONLY, &[&once]);
                xor(&once, &hash(&SHA1_FOR_LEGACY_USE_ONLY, &[nonce, &twice]))
            }
            Self::Sha2(nonce) => {
                let once = hash(&SHA256, &[password]);
                let twice = hash(&SHA256, &[&once]);
                xor(&once, &hash(&SHA256, &[&twice, nonce]))
            }
            Self::Ed25519(nonce) => sign(password, nonce).to_vec(),
            // It asks for the salt.
            Self::Parsec(_) => Vec::new(),
        }
    }
}

fn hash(algorithm: &'static Algorithm, parts: &[&[u8]]) -> Vec<u8> {
    let mut context = digest::Context::new(algorithm);
    for part in parts {
        context.update(part);
    }
    context.finish().as_ref().to_vec()
}

fn xor(left: &[u8], right: &[u8]) -> Vec<u8> {
    left.iter().zip(right).map(|(left, right)| left ^ right).collect()
}

/// The password hidden under the nonce, as it is encrypted for the server's key: with a zero byte behind it.
pub(super) fn masked(password: &[u8], nonce: &[u8; Greeting::NONCE_BYTES]) -> Vec<u8> {
    password.iter().chain(&[0]).zip(nonce.iter().cycle()).map(|(byte, mask)| byte ^ mask).collect()
}

/// A signature as of RFC 8032, 5.1.6, whose secret is the password: of any length, where the RFC's, and the
/// libraries', is of 32 bytes.
fn sign(password: &[u8], message: &[u8]) -> [u8; 64] {
    let hash = |parts: &[&[u8]]| -> [u8; 64] {
        let mut bytes = [0; 64];
        bytes.copy_from_slice(&hash(&SHA512, parts));
        bytes
    };
    let secret = hash(&[password]);
    let (scalar, prefix) = secret.split_at(32);
    let mut clamped = [0; 32];
    clamped.copy_from_slice(scalar);
    let scalar = Scalar::from_bytes_mod_order(clamp_integer(clamped));
    let public_key = EdwardsPoint::mul_base(&scalar).compress();
    let once = Scalar::from_bytes_mod_order_wide(&hash(&[prefix, message]));
    let point = EdwardsPoint::mul_base(&once).compress();
    let challenge =
        Scalar::from_bytes_mod_order_wide(&hash(&[point.as_bytes(), public_key.as_bytes(), message]));
    let mut signature = [0; 64];
    signature[..32].copy_from_slice(point.as_bytes());
    signature[32..].copy_from_slice((once + challenge * scalar).as_bytes());
    signature
}

/// Answers the salt of a parsec user: a nonce of ours, and the signature of both nonces by a key that is made
/// of password and salt. `None` if there is no randomness to be had.
pub(super) fn answer_salt(
    salt: &[u8],
    password: &[u8],
    nonce: &[u8; SIGNED_NONCE_BYTES],
) -> Parsed<Option<Vec<u8>>> {
    const KEY_BY_PBKDF2: u8 = b'P';
    const SALT_BYTES: usize = 18;
    /// More rounds would take longer than the server waits.
    const FACTOR_MAX: u8 = 14;
    let mut fields = Cursor::new(salt);
    let (method, factor) = (fields.u8()?, fields.u8()?);
    let salt = fields.array::<SALT_BYTES>()?;
    if method != KEY_BY_PBKDF2 || factor > FACTOR_MAX || !fields.is_empty() {
        return Err(Malformed);
    }
    let rounds = NonZeroU32::new(1024 << factor).ok_or(Malformed)?;
    let mut seed = [0; 32];
    pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA512, rounds, &salt, password, &mut seed);
    let mut own = [0; SIGNED_NONCE_BYTES];
    if SystemRandom::new().fill(&mut own).is_err() {
        return Ok(None);
    }
    let key = Ed25519KeyPair::from_seed_unchecked(&seed).map_err(|_| Malformed)?;
    let signature = key.sign(&[&nonce[..], &own].concat());
    Ok(Some([&own[..], signature.as_ref()].concat()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hex;
    use ring::signature::{ED25519, KeyPair as _, UnparsedPublicKey};

    /// The expected answers are Python's, by the formulas of MySQL's documentation.
    #[test]
    fn proofs_by_hashes() {
        let nonce = *b"0123456789abcdefghij";
        let hex = |bytes: Vec<u8>| hex::text(&bytes);
        assert_eq!(hex(Plugin::Native(nonce).proof(b"secret")), "f5cac3f3b3df2133feb57db682c71e6ed433a988");
        assert_eq!(
            hex(Plugin::Sha2(nonce).proof(b"secret")),
            "7e4adda2f2d5ef09b4147518becb0cee2939376203650a8c2bb2815959364bd0"
        );
        for plugin in [Plugin::Native(nonce), Plugin::Sha2(nonce)] {
            assert!(plugin.proof(b"").is_empty());
        }
    }

    /// With 32 bytes it is what RFC 8032 says.
    #[test]
    fn a_password_signs_as_a_key_does() {
        let (password, nonce) = ([7; 32], [9; SIGNED_NONCE_BYTES]);
        let key = Ed25519KeyPair::from_seed_unchecked(&password).unwrap();
        assert_eq!(Plugin::Ed25519(nonce).proof(&password), key.sign(&nonce).as_ref());
    }

    #[test]
    fn a_salt_is_answered_by_a_signature() {
        let nonce = [3; SIGNED_NONCE_BYTES];
        let salt = b"P\x01salt_of_18_bytes__";
        let answer = answer_salt(salt, b"secret", &nonce).unwrap().unwrap();
        let mut seed = [0; 32];
        let rounds = NonZeroU32::new(2048).unwrap();
        pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA512, rounds, &salt[2..], b"secret", &mut seed);
        let public = Ed25519KeyPair::from_seed_unchecked(&seed).unwrap();
        let (own, signature) = answer.split_at(32);
        let signed = [&nonce[..], own].concat();
        UnparsedPublicKey::new(&ED25519, public.public_key().as_ref()).verify(&signed, signature).unwrap();
        for wrong in [
            &b""[..],
            b"Q\x01salt_of_18_bytes__",
            b"P\x0fsalt_of_18_bytes__",
            b"P\x01salt",
            b"P\x01salt_of_18_bytes___",
        ] {
            assert_eq!(answer_salt(wrong, b"secret", &nonce), Err(Malformed));
        }
    }

    #[test]
    fn plugins_by_name() {
        let data = [5; 33];
        for name in ["mysql_native_password", "caching_sha2_password", "client_ed25519", "parsec"] {
            assert_eq!(Plugin::named(name, &data).unwrap().unwrap().name(), name);
            assert_eq!(Plugin::named(name, &data[..10]), Err(Malformed));
        }
        assert_eq!(Plugin::named("sha256_password", &data), Ok(None));
    }
}
