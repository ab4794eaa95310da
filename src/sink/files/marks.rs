//! Which of several saved lengths of a file is the newest.
//!
//! Each partition's commit names the files as they were at *its* last commit, and the partitions of a topic
//! may have been committed at different times and by different members. A length that is too old would cut
//! rows that are vouched for, so the newest one must be told from the others without a clock. Files only
//! grow, and a file's next generation is begun only after the last commit that let the one before it grow. So
//! of one family of files (`out/test_insert.csv`, `out/test_insert.0002.csv`, `out/test_delete.csv` …) the
//! commit with the highest generation knows best, among those the one whose highest generation is longest,
//! and among equals the greater length.

use std::collections::BTreeMap;

use crate::sink::{Mark, Marks};

/// The marks that hold, of those that the partitions of one topic name.
pub(super) fn merge_marks(said: &[Marks]) -> Marks {
    let mut families: BTreeMap<&str, Vec<BTreeMap<&str, u64>>> = BTreeMap::new();
    let mut merged = Marks::new();
    for marks in said {
        let mut split: BTreeMap<&str, BTreeMap<&str, u64>> = BTreeMap::new();
        for (file, mark) in marks {
            match mark.length() {
                Some(length) => drop(split.entry(family(file).0).or_default().insert(file, length)),
                // Of another kind of sink: `recover` refuses it.
                None => drop(merged.insert(file.clone(), mark.clone())),
            }
        }
        for (name, files) in split {
            families.entry(name).or_default().push(files);
        }
    }
    for mut versions in families.into_values() {
        let newest = versions.iter().map(age).max();
        versions.retain(|files| Some(age(files)) == newest);
        for (file, length) in versions.into_iter().flatten() {
            let known = merged.entry(file.to_owned()).or_insert_with(|| Mark::from(length));
            *known = length.max(known.length().unwrap_or(0)).into();
        }
    }
    merged
}

/// The highest generation, and the bytes in its files.
fn age(files: &BTreeMap<&str, u64>) -> (u32, u64) {
    // A file that was named and never written tells nothing.
    let newest =
        files.iter().filter(|(_, length)| **length > 0).map(|(file, _)| family(file).1).max().unwrap_or(0);
    (newest, files.iter().filter(|(file, _)| family(file).1 == newest).map(|(_, length)| length).sum())
}

/// Takes `PATH[_insert|_delete][.NNNN].csv` apart into `PATH` and the generation, which is 1 without a
/// number.
pub(super) fn family(file: &str) -> (&str, u32) {
    let stem =
        file.rsplit_once('.').filter(|(_, ending)| !ending.contains('/')).map_or(file, |(stem, _)| stem);
    let numbered = stem.rsplit_once('.').and_then(|(stem, number)| {
        let is_number = number.len() >= 4 && number.bytes().all(|digit| digit.is_ascii_digit());
        Some((stem, is_number.then(|| number.parse().ok()).flatten()?))
    });
    let (stem, generation) = numbered.unwrap_or((stem, 1));
    let bare = stem.strip_suffix("_insert").or_else(|| stem.strip_suffix("_delete")).unwrap_or(stem);
    (bare, generation)
}

#[cfg(test)]
mod tests {
    use super::{Marks, family, merge_marks};

    fn marks(files: &[(&str, u64)]) -> Marks {
        files.iter().map(|(file, length)| ((*file).to_owned(), (*length).into())).collect()
    }

    #[test]
    fn names_are_taken_apart() {
        for (file, expected) in [
            ("out/t_insert.csv", ("out/t", 1)),
            ("out/t_delete.0002.csv", ("out/t", 2)),
            ("out.d/t.csv", ("out.d/t", 1)),
            ("out/t.12345.csv", ("out/t", 12345)),
            ("out/v1.2_insert.csv", ("out/v1.2", 1)),
            ("out.d/t", ("out.d/t", 1)),
        ] {
            assert_eq!(family(file), expected, "{file}");
        }
    }

    #[test]
    fn the_longest_of_one_generation_holds() {
        let old = marks(&[("a_insert.csv", 10), ("a_delete.csv", 5)]);
        let new = marks(&[("a_insert.csv", 20), ("a_delete.csv", 5)]);
        assert_eq!(merge_marks(&[old.clone(), new.clone()]), new);
        assert_eq!(merge_marks(&[new.clone(), old]), new);
    }

    /// A commit from before the rotation must not cut the sealed file, which grew after it.
    #[test]
    fn a_sealed_generation_is_never_cut() {
        let old = marks(&[("a_insert.csv", 10)]);
        let new = marks(&[("a_insert.0002.csv", 3)]);
        assert_eq!(merge_marks(&[old, new.clone()]), new);
        let naming = marks(&[("a_insert.csv", 10), ("a_insert.0002.csv", 0)]);
        assert_eq!(merge_marks(&[naming, new.clone()]), new);
    }

    /// Named before a crash and never written: the older generation went on growing.
    #[test]
    fn a_name_alone_does_not_count() {
        let named = marks(&[("a_insert.csv", 10), ("a_insert.0002.csv", 0)]);
        let grown = marks(&[("a_insert.csv", 15)]);
        assert_eq!(merge_marks(&[named, grown.clone()]), grown);
    }

    #[test]
    fn other_members_files_stand_beside() {
        let (one, two) = (marks(&[("a_1_insert.csv", 10)]), marks(&[("a_2_insert.csv", 4)]));
        let both = marks(&[("a_1_insert.csv", 10), ("a_2_insert.csv", 4)]);
        assert_eq!(merge_marks(&[one, two]), both);
    }
}
