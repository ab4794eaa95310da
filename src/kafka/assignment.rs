//! What the members of a group were given, as the broker tells it: bytes of the consumer protocol.

/// What a member was given, in the consumer protocol: a version, then topics with their partitions. `None` if
/// it is something else.
pub(super) fn assigned(bytes: &[u8]) -> Option<Vec<(String, u32)>> {
    let mut rest = bytes.get(2..)?;
    let mut take = |count: usize| {
        let (head, tail) = rest.split_at_checked(count)?;
        rest = tail;
        Some(head)
    };
    let number = |bytes: &[u8]| bytes.iter().fold(0_u32, |number, byte| number << 8 | u32::from(*byte));
    let mut found = Vec::new();
    for _ in 0..number(take(4)?) {
        let length = number(take(2)?) as usize;
        let topic = std::str::from_utf8(take(length)?).ok()?.to_owned();
        for _ in 0..number(take(4)?) {
            found.push((topic.clone(), number(take(4)?)));
        }
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::assigned;

    #[test]
    fn assignments_are_read_and_rubbish_is_not() {
        let bytes =
            b"\0\0\0\0\0\x02\0\x01a\0\0\0\x02\0\0\0\0\0\0\0\x01\0\x02bc\0\0\0\x01\0\0\x01\0\xff\xff\xff\xff";
        let expected =
            [("a", 0), ("a", 1), ("bc", 256)].map(|(topic, partition)| (topic.to_owned(), partition));
        assert_eq!(assigned(bytes).as_deref(), Some(&expected[..]));
        for length in 0..bytes.len() - 4 {
            assert_eq!(assigned(&bytes[..length]), None, "{length}");
        }
    }
}
