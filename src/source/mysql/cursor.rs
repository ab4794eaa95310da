//! Checked reading of the protocol's bytes. Numbers are little-endian unless a name says otherwise.

/// The bytes end too early, or hold what the protocol does not allow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Malformed;

pub(super) type Parsed<T> = Result<T, Malformed>;

/// What is left to be read of a slice.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cursor<'a> {
    rest: &'a [u8],
}

impl<'a> Cursor<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    #[inline]
    pub fn take(&mut self, length: usize) -> Parsed<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or(Malformed)?;
        self.rest = rest;
        Ok(taken)
    }

    #[inline]
    pub fn array<const N: usize>(&mut self) -> Parsed<[u8; N]> {
        let (taken, rest) = self.rest.split_first_chunk::<N>().ok_or(Malformed)?;
        self.rest = rest;
        Ok(*taken)
    }

    #[inline]
    pub fn u8(&mut self) -> Parsed<u8> {
        Ok(self.array::<1>()?[0])
    }

    #[inline]
    pub fn u16(&mut self) -> Parsed<u16> {
        self.array().map(u16::from_le_bytes)
    }

    #[inline]
    pub fn u32(&mut self) -> Parsed<u32> {
        self.array().map(u32::from_le_bytes)
    }

    #[inline]
    pub fn u64(&mut self) -> Parsed<u64> {
        self.array().map(u64::from_le_bytes)
    }

    /// A number of up to 8 bytes.
    #[inline]
    pub fn number(&mut self, bytes: usize) -> Parsed<u64> {
        Ok(self.take(bytes)?.iter().rev().fold(0, |number, &byte| number << 8 | u64::from(byte)))
    }

    /// A number of up to 8 bytes, highest byte first.
    #[inline]
    pub fn number_big_endian(&mut self, bytes: usize) -> Parsed<u64> {
        Ok(self.take(bytes)?.iter().fold(0, |number, &byte| number << 8 | u64::from(byte)))
    }

    /// A "length encoded integer" of the protocol.
    #[inline]
    pub fn packed(&mut self) -> Parsed<u64> {
        match self.u8()? {
            first @ 0..=250 => Ok(u64::from(first)),
            252 => self.number(2),
            253 => self.number(3),
            254 => self.u64(),
            _ => Err(Malformed),
        }
    }

    /// A `packed` length and as many bytes.
    pub fn packed_bytes(&mut self) -> Parsed<&'a [u8]> {
        let length = usize::try_from(self.packed()?).map_err(|_| Malformed)?;
        self.take(length)
    }

    /// What stands in front of a zero byte, which is passed over.
    pub fn until_zero(&mut self) -> Parsed<&'a [u8]> {
        let taken = self.take(memchr::memchr(0, self.rest).ok_or(Malformed)?)?;
        self.take(1)?;
        Ok(taken)
    }

    /// A length of `length_bytes` bytes and as many bytes.
    #[inline]
    pub fn sized_bytes(&mut self, length_bytes: usize) -> Parsed<&'a [u8]> {
        let length = self.number(length_bytes)?;
        self.take(usize::try_from(length).map_err(|_| Malformed)?)
    }
}
