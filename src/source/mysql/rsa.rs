//! A few bytes encrypted for a server's public key: RSA with OAEP (RFC 8017, 7.1; SHA-1, as MySQL has it).
//! Pure: no socket.

use num_bigint::BigUint;
use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use ring::error::Unspecified;
use ring::rand::{SecureRandom as _, SystemRandom};
use rustls::pki_types::SubjectPublicKeyInfoDer;
use rustls::pki_types::pem::PemObject as _;

use super::cursor::{Cursor, Malformed, Parsed};

/// Bytes of a SHA-1.
const HASH_BYTES: usize = 20;
/// Longer keys would cost more time than a log-in is worth.
const KEY_BYTES_MAX: usize = 16_384 / 8;
/// The exponent is 65537 in all keys that anybody makes.
const EXPONENT_BYTES_MAX: usize = 8;

/// A public key.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct PublicKey {
    modulus: BigUint,
    exponent: BigUint,
    /// Bytes of the modulus.
    bytes: usize,
}

impl PublicKey {
    /// Reads `BEGIN PUBLIC KEY`.
    pub fn from_pem(pem: &[u8]) -> Parsed<Self> {
        let key = SubjectPublicKeyInfoDer::from_pem_slice(pem).map_err(|_| Malformed)?;
        Self::from_der(&key)
    }

    /// `SubjectPublicKeyInfo` of RFC 5280: the algorithm, and a bit string that holds two numbers.
    fn from_der(der: &[u8]) -> Parsed<Self> {
        let mut info = Cursor::new(part(SEQUENCE, &mut Cursor::new(der))?);
        part(SEQUENCE, &mut info)?;
        let mut bits = Cursor::new(part(BIT_STRING, &mut info)?);
        if bits.u8()? != 0 {
            return Err(Malformed);
        }
        let mut numbers = Cursor::new(part(SEQUENCE, &mut bits)?);
        let mut number = || {
            let bytes = part(INTEGER, &mut numbers)?;
            let zeros = bytes.iter().take_while(|&&byte| byte == 0).count();
            Ok(&bytes[zeros..])
        };
        let (modulus, exponent) = (number()?, number()?);
        let is_odd = |bytes: &[u8]| bytes.last().is_some_and(|byte| byte & 1 == 1);
        if modulus.len() > KEY_BYTES_MAX
            || exponent.len() > EXPONENT_BYTES_MAX
            || !is_odd(modulus)
            || !is_odd(exponent)
        {
            return Err(Malformed);
        }
        let bytes = modulus.len();
        Ok(Self {
            modulus: BigUint::from_bytes_be(modulus),
            exponent: BigUint::from_bytes_be(exponent),
            bytes,
        })
    }

    /// Bytes that only the key's owner can read. `None` if the key is too short for the message, or there is
    /// no randomness to be had.
    pub fn encrypt(&self, message: &[u8]) -> Option<Vec<u8>> {
        let zeros = self.bytes.checked_sub(message.len() + 2 * HASH_BYTES + 2)?;
        let mut seed = [0; HASH_BYTES];
        SystemRandom::new().fill(&mut seed).map_err(|Unspecified| ()).ok()?;
        let mut data = digest(&SHA1_FOR_LEGACY_USE_ONLY, b"").as_ref().to_vec();
        data.resize(HASH_BYTES + zeros, 0);
        data.push(1);
        data.extend_from_slice(message);
        mask(&mut data, &seed);
        mask(&mut seed, &data);
        let whole = BigUint::from_bytes_be(&[&seed[..], &data].concat());
        let encrypted = whole.modpow(&self.exponent, &self.modulus).to_bytes_be();
        let mut out = vec![0; self.bytes.checked_sub(encrypted.len())?];
        out.extend(encrypted);
        Some(out)
    }
}

/// Hides bytes under a mask that is made of `seed` (MGF1).
fn mask(bytes: &mut [u8], seed: &[u8]) {
    for (count, piece) in bytes.chunks_mut(HASH_BYTES).enumerate() {
        let hash = digest(&SHA1_FOR_LEGACY_USE_ONLY, &[seed, &(count as u32).to_be_bytes()].concat());
        piece.iter_mut().zip(hash.as_ref()).for_each(|(byte, mask)| *byte ^= mask);
    }
}

const INTEGER: u8 = 2;
const BIT_STRING: u8 = 3;
const SEQUENCE: u8 = 0x30;

/// The content of the next part of DER, which must be of this kind.
fn part<'a>(kind: u8, der: &mut Cursor<'a>) -> Parsed<&'a [u8]> {
    if der.u8()? != kind {
        return Err(Malformed);
    }
    let length = match der.u8()? {
        short @ 0..=127 => u64::from(short),
        more @ 0x81..=0x84 => der.number_big_endian(usize::from(more & 0x7f))?,
        _ => return Err(Malformed),
    };
    der.take(usize::try_from(length).map_err(|_| Malformed)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A key of 512 bits, made for this test; `openssl rsa -pubout` printed the first, and the second is its
    /// private exponent.
    const KEY: &str = "-----BEGIN PUBLIC KEY-----\n\
        MFwwDQYJKoZIhvcNAQEBBQADSwAwSAJBAMM4cjXU3/4HW6ef6z/90BjRZkja4uXu\n\
        pbzukRhMb9DrUSBp0ZnbW/5dRkMtKFByIdPAVORt/TJAnoeYWlg4zQUCAwEAAQ==\n\
        -----END PUBLIC KEY-----\n";
    const PRIVATE_EXPONENT: &str = "8dffa2e3912214aed9764616620786b466ac15d651309ab4278708373a7222ed\
        a25bc70d9562dc8896044521c445f1e38c53d1a3b09160e15c1037c05eb14981";

    fn decrypt(key: &PublicKey, encrypted: &[u8]) -> Vec<u8> {
        let exponent = BigUint::parse_bytes(PRIVATE_EXPONENT.as_bytes(), 16).unwrap();
        let whole = BigUint::from_bytes_be(encrypted).modpow(&exponent, &key.modulus).to_bytes_be();
        let mut bytes = vec![0; key.bytes - whole.len()];
        bytes.extend(whole);
        assert_eq!(bytes[0], 0);
        let (seed, data) = bytes[1..].split_at_mut(HASH_BYTES);
        mask(seed, data);
        mask(data, seed);
        let (hash, rest) = data.split_at(HASH_BYTES);
        assert_eq!(hash, digest(&SHA1_FOR_LEGACY_USE_ONLY, b"").as_ref());
        let start = rest.iter().position(|&byte| byte == 1).unwrap();
        rest[start + 1..].to_vec()
    }

    #[test]
    fn the_owner_of_the_key_reads_it() {
        let key = PublicKey::from_pem(KEY.as_bytes()).unwrap();
        for message in [&b""[..], b"secret\0", &[b'x'; 22]] {
            let encrypted = key.encrypt(message).unwrap();
            assert_eq!(encrypted.len(), key.bytes);
            assert_eq!(decrypt(&key, &encrypted), message);
        }
        assert_eq!(key.encrypt(&[b'x'; 23]), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_key_or_a_fault(bytes: Vec<u8>, place in 0_usize..90, turned: u8) {
            let _ = (PublicKey::from_pem(&bytes), PublicKey::from_der(&bytes));
            let mut der = SubjectPublicKeyInfoDer::from_pem_slice(KEY.as_bytes()).unwrap().to_vec();
            der[place] ^= turned;
            if let Ok(key) = PublicKey::from_der(&der) {
                let _ = key.encrypt(b"secret\0");
            }
        }
    }
}
