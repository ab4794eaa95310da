//! ENUM and SET: numbers in the log, labels in the text. A label that is not valid in its character set is
//! `None`: a fault where a row has it.

use super::{Encoded, Fault};

/// 0 is the empty string that MySQL stores for a wrong value.
pub(in super::super) fn write_enum(number: u64, labels: &[Option<String>], out: &mut Vec<u8>) -> Encoded<()> {
    let Some(place) = number.checked_sub(1) else { return Ok(()) };
    let label = usize::try_from(place).ok().and_then(|place| labels.get(place)).ok_or(Fault::Malformed)?;
    out.extend_from_slice(label.as_ref().ok_or(Fault::Characters)?.as_bytes());
    Ok(())
}

/// One bit a label, from the lowest.
pub(in super::super) fn write_set(bits: u64, labels: &[Option<String>], out: &mut Vec<u8>) -> Encoded<()> {
    if labels.len() < 64 && bits >> labels.len() != 0 {
        return Err(Fault::Malformed);
    }
    let chosen = labels.iter().enumerate().filter(|(place, _)| *place < 64 && bits >> place & 1 == 1);
    for (count, (_, label)) in chosen.enumerate() {
        if count > 0 {
            out.push(b',');
        }
        out.extend_from_slice(label.as_ref().ok_or(Fault::Characters)?.as_bytes());
    }
    Ok(())
}
