//! GTIDs: which transactions are finished. MySQL counts sets of intervals per server, MariaDB the last number
//! per domain.

use std::collections::BTreeMap;
use std::fmt;

use crate::hex;

/// The GTID of one transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Gtid {
    /// `uuid:n`, or `uuid:tag:n` as of MySQL 8.3; the tag is empty without.
    Mysql { server: [u8; 16], tag: String, number: u64 },
    /// `domain-server-n`.
    Mariadb { domain: u32, server: u32, number: u64 },
}

impl fmt::Display for Gtid {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mysql { server, tag, number } => {
                write_uuid(server, formatter)?;
                if !tag.is_empty() {
                    write!(formatter, ":{tag}")?;
                }
                write!(formatter, ":{number}")
            }
            Self::Mariadb { domain, server, number } => write!(formatter, "{domain}-{server}-{number}"),
        }
    }
}

fn write_uuid(bytes: &[u8; 16], formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
    let digits = hex::text(bytes);
    let (parts, last) = digits.split_at(20);
    let (first, parts) = parts.split_at(8);
    write!(formatter, "{first}-{}-{}-{}-{last}", &parts[..4], &parts[4..8], &parts[8..])
}

fn parse_uuid(text: &str) -> Option<[u8; 16]> {
    let digits: Vec<u8> =
        text.bytes().filter(|&byte| byte != b'-').map(|byte| byte.to_ascii_lowercase()).collect();
    let (parts, rest) = digits.as_chunks::<8>();
    let mut uuid = [[0; 4]; 4];
    if parts.len() != uuid.len() || !rest.is_empty() {
        return None;
    }
    for (bytes, digits) in uuid.iter_mut().zip(parts) {
        *bytes = hex::number(*digits)?.to_be_bytes();
    }
    uuid.as_flattened().try_into().ok()
}

/// Start and last number of a run, both in it.
type Run = (u64, u64);

/// Finished transactions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum GtidSet {
    /// Runs per server and tag, rising, with gaps between.
    Mysql(BTreeMap<([u8; 16], String), Vec<Run>>),
    /// Domain -> server and number of its last transaction.
    Mariadb(BTreeMap<u32, (u32, u64)>),
}

impl GtidSet {
    /// Reads what `@@gtid_executed` prints.
    pub fn parse_mysql(text: &str) -> Option<Self> {
        let mut set = BTreeMap::<_, Vec<Run>>::new();
        for server_set in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            let mut parts = server_set.split(':').map(str::trim);
            let (server, mut tag) = (parse_uuid(parts.next()?)?, String::new());
            for part in parts {
                if part.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_') {
                    tag = part.to_ascii_lowercase();
                    continue;
                }
                let (first, last) = part.split_once('-').unwrap_or((part, part));
                let (first, last): Run = (first.parse().ok()?, last.parse().ok()?);
                if first == 0 || last < first {
                    return None;
                }
                let runs = set.entry((server, tag.clone())).or_default();
                insert_run(runs, (first, last));
            }
        }
        Some(Self::Mysql(set))
    }

    /// Reads what `@@gtid_binlog_pos` prints.
    pub fn parse_mariadb(text: &str) -> Option<Self> {
        let mut list = BTreeMap::new();
        for gtid in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            let mut numbers = gtid.splitn(3, '-');
            let domain = numbers.next()?.parse().ok()?;
            list.insert(domain, (numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?));
        }
        Some(Self::Mariadb(list))
    }

    /// Counts a transaction as finished. A GTID of the other dialect is not counted.
    pub fn add(&mut self, gtid: &Gtid) {
        match (self, gtid) {
            (Self::Mysql(set), Gtid::Mysql { server, tag, number }) => {
                // The common case, without a copy of the tag: the transaction right after the last one of its
                // server.
                if tag.is_empty()
                    && let Some(runs) = set.get_mut(&(*server, String::new()))
                {
                    insert_run(runs, (*number, *number));
                } else {
                    insert_run(set.entry((*server, tag.clone())).or_default(), (*number, *number));
                }
            }
            (Self::Mariadb(list), Gtid::Mariadb { domain, server, number }) => {
                list.insert(*domain, (*server, *number));
            }
            _ => {}
        }
    }

    /// Whether a MySQL transaction is in the set. MariaDB's lists start exactly where they say: never.
    pub fn contains(&self, gtid: &Gtid) -> bool {
        match (self, gtid) {
            (Self::Mysql(set), Gtid::Mysql { server, tag, number }) => set
                .get(&(*server, tag.clone()))
                .is_some_and(|runs| runs.iter().rev().any(|(first, last)| (first..=last).contains(&number))),
            _ => false,
        }
    }

    /// Whether all transactions of another set are in this one. Only of MySQL's sets can that be said.
    pub fn includes(&self, other: &Self) -> bool {
        let (Self::Mysql(set), Self::Mysql(other)) = (self, other) else { return false };
        other.iter().all(|(server, runs)| {
            let known = set.get(server).map(Vec::as_slice).unwrap_or_default();
            runs.iter().all(|(first, last)| known.iter().any(|(from, to)| from <= first && last <= to))
        })
    }

    /// Whether nothing is finished.
    pub fn is_empty(&self) -> bool {
        match self {
            Self::Mysql(set) => set.is_empty(),
            Self::Mariadb(list) => list.is_empty(),
        }
    }

    /// MariaDB: the domains whose last number here lies before the one in `other`.
    pub fn domains_behind(&self, other: &Self) -> Vec<u32> {
        let (Self::Mariadb(own), Self::Mariadb(other)) = (self, other) else { return Vec::new() };
        let behind = other
            .iter()
            .filter(|(domain, (_, number))| own.get(domain).is_none_or(|(_, last)| last < number));
        behind.map(|(domain, _)| *domain).collect()
    }
}

/// A set of MySQL's as `COM_BINLOG_DUMP_GTID` carries it. A tag needs another form of the whole.
pub(super) fn encoded(set: &BTreeMap<([u8; 16], String), Vec<Run>>) -> Vec<u8> {
    const WITH_TAGS: u64 = 1 << 56;
    let is_tagged = set.keys().any(|(_, tag)| !tag.is_empty());
    let count = set.len() as u64;
    let mut bytes = if is_tagged { WITH_TAGS | count << 8 } else { count }.to_le_bytes().to_vec();
    for ((server, tag), runs) in set {
        bytes.extend(server);
        if is_tagged {
            bytes.push((tag.len() as u8) << 1); // a number of variable length; a tag has up to 32 letters
            bytes.extend(tag.bytes());
        }
        bytes.extend((runs.len() as u64).to_le_bytes());
        for (first, last) in runs {
            bytes.extend(first.to_le_bytes());
            bytes.extend(last.saturating_add(1).to_le_bytes());
        }
    }
    bytes
}

/// Puts a run into rising runs, and joins those that touch.
fn insert_run(runs: &mut Vec<Run>, (first, last): Run) {
    if let Some(end) = runs.last_mut()
        && end.1.checked_add(1) == Some(first)
    {
        end.1 = last;
        return;
    }
    let from = runs.partition_point(|run| run.1.saturating_add(1) < first);
    let to = runs.partition_point(|run| run.0 <= last.saturating_add(1));
    let joined =
        runs[from..to].iter().fold((first, last), |joined, run| (joined.0.min(run.0), joined.1.max(run.1)));
    runs.splice(from..to, [joined]);
}

/// As the server prints it, sorted.
impl fmt::Display for GtidSet {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mysql(set) => {
                for (place, ((server, tag), runs)) in set.iter().enumerate() {
                    formatter.write_str(if place > 0 { "," } else { "" })?;
                    write_uuid(server, formatter)?;
                    if !tag.is_empty() {
                        write!(formatter, ":{tag}")?;
                    }
                    for (first, last) in runs {
                        write!(formatter, ":{first}")?;
                        if last > first {
                            write!(formatter, "-{last}")?;
                        }
                    }
                }
            }
            Self::Mariadb(list) => {
                for (place, (domain, (server, number))) in list.iter().enumerate() {
                    write!(formatter, "{}{domain}-{server}-{number}", if place > 0 { "," } else { "" })?;
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{Gtid, GtidSet, encoded, insert_run};
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    const SERVER: &str = "6051a3b7-e78d-11f1-bd88-02fc00000001";

    #[test]
    fn sets_are_printed_as_they_are_read() {
        for text in ["", &format!("{SERVER}:1-5:7"), &format!("{SERVER}:1,{SERVER}:tag:3-4")] {
            assert_eq!(GtidSet::parse_mysql(text).unwrap().to_string(), *text);
        }
        assert_eq!(
            GtidSet::parse_mysql(&format!("{SERVER}:1:5:tag:3,\n{SERVER}:2-4")).unwrap().to_string(),
            format!("{SERVER}:1-5,{SERVER}:tag:3")
        );
        assert_eq!(GtidSet::parse_mariadb("1-2-3, 0-1-270").unwrap().to_string(), "0-1-270,1-2-3");
        for wrong in ["x:1", &format!("{SERVER}:0"), &format!("{SERVER}:5-4")] {
            assert_eq!(GtidSet::parse_mysql(wrong), None);
        }
    }

    #[test]
    fn transactions_are_counted() {
        let mut set = GtidSet::parse_mysql(&format!("{SERVER}:1-5")).unwrap();
        let gtid =
            |number| Gtid::Mysql { server: super::parse_uuid(SERVER).unwrap(), tag: String::new(), number };
        set.add(&gtid(6));
        set.add(&gtid(9));
        assert_eq!(set.to_string(), format!("{SERVER}:1-6:9"));
        assert!(set.contains(&gtid(6)) && !set.contains(&gtid(7)));
        let mut list = GtidSet::parse_mariadb("0-1-5").unwrap();
        list.add(&Gtid::Mariadb { domain: 0, server: 2, number: 6 });
        assert_eq!(list.to_string(), "0-2-6");
        assert_eq!(GtidSet::parse_mariadb("0-1-5").unwrap().domains_behind(&list), [0]);
    }

    /// As MySQL's own replicas send them.
    #[test]
    fn sets_as_a_server_takes_them() {
        let encode = |text: &str| match GtidSet::parse_mysql(text).unwrap() {
            GtidSet::Mysql(set) => encoded(&set),
            GtidSet::Mariadb(_) => unreachable!(),
        };
        let number = u64::to_le_bytes;
        let server = super::parse_uuid(SERVER).unwrap();
        assert_eq!(encode(""), number(0));
        let runs = [number(2), number(1), number(6), number(7), number(8)].concat();
        assert_eq!(encode(&format!("{SERVER}:1-5:7")), [&number(1)[..], &server, &runs].concat());
        let one = [number(1), number(3), number(4)].concat();
        assert_eq!(
            encode(&format!("{SERVER}:1-5:7,{SERVER}:tag:3")),
            [&[0, 2, 0, 0, 0, 0, 0, 1][..], &server, &[0], &runs, &server, b"\x06tag", &one].concat()
        );
    }

    proptest! {
        #[test]
        fn runs_hold_what_was_put_in(inserted in prop::collection::vec((1_u64..50, 0_u64..5), 0..30)) {
            let (mut runs, mut expected) = (Vec::new(), BTreeSet::new());
            for (first, more) in inserted {
                insert_run(&mut runs, (first, first + more));
                expected.extend(first..=first + more);
            }
            let held: Vec<u64> = runs.iter().flat_map(|run| run.0..=run.1).collect();
            prop_assert_eq!(held, expected.into_iter().collect::<Vec<_>>());
            prop_assert!(runs.is_sorted_by(|a, b| a.1 + 1 < b.0));
        }
    }
}
