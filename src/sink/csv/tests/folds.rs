//! Files fold to the table, whatever order partitions come in and whenever the sink dies.

use proptest::prelude::*;

use super::*;
use crate::sink::csv::{Field, Fold, UNCHANGED};

fn read(folder: &Folder) -> Fold {
    Fold::read_table(&folder.path("test"), "test", &["id".to_owned()], UNCHANGED).unwrap()
}

fn text(fold: &mut Fold, key: &str, column: &str) -> Vec<String> {
    let rows = fold.take(&[Some(key.as_bytes())]).unwrap_or_default();
    let word = |field| match field {
        Field::Null => "~".to_owned(),
        Field::Unknown => "?".to_owned(),
        Field::Text(text) => String::from_utf8_lossy(text).into_owned(),
    };
    rows.iter().map(|row| word(row.value(column))).collect()
}

#[test]
fn the_last_insert_is_the_row() {
    let folder = Folder::new();
    let test = table("test", &["id*", "big", "v"]);
    let rows: &[(char, &[&str], &[&str])] = &[
        ('I', &["1", "B", "a"], &[]),
        ('U', &["1", "-", "b"], &["1", "-", "-"]),
        ('I', &["2", "~", ""], &[]),
        ('I', &["3", "x", "y"], &[]),
        ('D', &[], &["3", "-", "-"]),
    ];
    let narrow = table("test", &["id*", "v"]);
    write_all(
        &folder.settings("{table}"),
        &[batch(&test, 1, rows), batch(&narrow, 10, &[('U', &["1", "c"], &["1", "-"])])],
    );
    std::fs::write(folder.path("test_old_insert.csv"), "action,table,id\nI,test_old,1\n").unwrap();
    std::fs::write(folder.path("test_notes.txt"), "x").unwrap();
    let mut fold = read(&folder);
    assert_eq!((fold.len(), fold.problems().count()), (2, 0));
    assert_eq!((text(&mut fold, "2", "v"), text(&mut fold, "3", "v")), (vec![String::new()], vec![]));
    assert_eq!(fold.remaining().count(), 1);
    let row = fold.take(&[Some(b"1")]).unwrap().remove(0);
    assert_eq!((row.value("v"), row.value("big")), (Field::Text(b"c"), Field::Text(b"B")));
    assert!(fold.is_empty());
}

#[test]
fn rows_too_many_and_too_few_are_problems() {
    let folder = Folder::new();
    let rows: &[(char, &[&str], &[&str])] =
        &[('I', &["1", "a"], &[]), ('I', &["1", "a"], &[]), ('D', &[], &["2", "-"]), ('I', &["3", "a"], &[])];
    write_all(&folder.settings("{table}"), &[batch(&table("test", &["id*", "v"]), 1, rows)]);
    let mut problems: Vec<_> = read(&folder).problems().collect();
    problems.sort();
    assert_eq!(
        problems,
        ["-1 times inserted but not deleted: key 2", "2 times inserted but not deleted: key 1"]
    );
}

#[test]
fn without_a_key_the_row_is_the_key() {
    let folder = Folder::new();
    let test = table("test", &["a*", "b*"]);
    let rows: &[(char, &[&str], &[&str])] =
        &[('I', &["1", "~"], &[]), ('I', &["1", "~"], &[]), ('I', &["2", ""], &[]), ('D', &[], &["2", ""])];
    write_all(&folder.settings("{table}"), &[batch(&test, 1, rows)]);
    let mut fold = Fold::read(&folder.path("test"), &[], UNCHANGED).unwrap();
    assert_eq!((fold.len(), fold.problems().count()), (2, 0));
    assert!(fold.take(&[Some(b"1"), None]).is_some() && fold.take(&[Some(b"1"), None]).is_some());
    assert!(fold.take(&[Some(b"1"), None]).is_none());
}

#[test]
fn positions_choose_between_two_writers() {
    for position in [false, true] {
        let folder = Folder::new();
        let test = table("test", &["id*", "v"]);
        let settings = |id: &str| Settings { id: Some(id.into()), position, ..folder.settings("{table}") };
        write_all(&settings("a"), &[batch(&test, 1, &[('I', &["1", "old"], &[])])]);
        write_all(&settings("b"), &[batch(&test, 2, &[('U', &["1", "new"], &["1", "-"])])]);
        let expected = if position { vec!["new"] } else { vec!["old", "new"] };
        assert_eq!(text(&mut read(&folder), "1", "v"), expected);
    }
}

/// Partitions move, so a key's changes lie in several chains, and in one chain they need not lie in order.
#[test]
fn positions_tell_the_newest_row_and_its_values_in_any_chain() {
    let folder = Folder::new();
    let test = table("test", &["id*", "big", "v"]);
    let settings = |id: &str| Settings { id: Some(id.into()), position: true, ..folder.settings("{table}") };
    let update =
        |commit, big: &str, v: &str| batch(&test, commit, &[('U', &["1", big, v], &["1", "-", "-"])]);
    write_all(&settings("a"), &[batch(&test, 1, &[('I', &["1", "old", "a"], &[])]), update(5, "-", "e")]);
    write_all(&settings("b"), &[update(3, "new", "c"), update(4, "-", "d"), update(2, "between", "b")]);
    let mut fold = read(&folder);
    assert_eq!(fold.problems().count(), 0);
    let row = fold.take(&[Some(b"1")]).unwrap();
    assert_eq!(
        (row.len(), row[0].value("big"), row[0].value("v")),
        (1, Field::Text(b"new"), Field::Text(b"e"))
    );
}

/// What one partition brings: `(commit, operation, key, value)`.
type Stream = Vec<(u64, char, u8, u64)>;

/// A table's life: each step an operation on a key, a truncate to all partitions, or another set of columns.
fn life(steps: &[(u8, u8)], partitions: usize) -> (Vec<Stream>, BTreeMap<u8, u64>) {
    let (mut streams, mut rows) = (vec![Stream::new(); partitions], BTreeMap::new());
    for (&(choice, key), commit) in steps.iter().zip(1_u64..) {
        let stream = &mut streams[usize::from(key) % partitions];
        match choice {
            0 => {
                rows.clear();
                for stream in &mut streams {
                    stream.push((commit, 'T', 0, commit));
                }
            }
            1..=3 if rows.remove(&key).is_some() => stream.push((commit, 'D', key, commit)),
            _ => {
                stream.push((
                    commit,
                    if rows.insert(key, commit).is_some() { 'U' } else { 'I' },
                    key,
                    commit,
                ));
            }
        }
    }
    (streams, rows)
}

/// The batch of one change; the columns change at some commits.
fn as_batch(&(commit, operation, key, value): &(u64, char, u8, u64)) -> Batch {
    let (key, value) = (key.to_string(), value.to_string());
    let wide = commit % 30 >= 20;
    let test = if wide { table("test", &["id*", "v", "w"]) } else { table("test", &["id*", "v"]) };
    let new: &[&str] = if wide { &[&key, &value, "x"] } else { &[&key, &value] };
    let old: &[&str] = if wide { &[&key, "-", "-"] } else { &[&key, "-"] };
    match operation {
        'T' => batch(&table("test", &[]), commit, &[('T', &[], &[])]),
        'D' if commit % 2 == 0 => batch(&table("test", &["id*"]), commit, &[('D', &[], &[&key])]),
        'D' => batch(&test, commit, &[('D', &[], old)]),
        'U' => batch(&test, commit, &[('U', new, old)]),
        _ => batch(&test, commit, &[('I', new, &[])]),
    }
}

fn deliver(settings: &Settings, streams: &[Stream], order: &[(u8, u8)]) {
    let mut saved = (Saved::new(), vec![0; streams.len()]);
    let mut next = saved.1.clone();
    let mut sink = start(settings, &saved.0).unwrap();
    let mut order = order.iter();
    loop {
        let (choice, event) = order.next().copied().unwrap_or((0, 5));
        let open: Vec<_> =
            (0..streams.len()).filter(|&partition| next[partition] < streams[partition].len()).collect();
        if open.is_empty() {
            break;
        }
        let partition = open[usize::from(choice) % open.len()];
        let batch = as_batch(&streams[partition][next[partition]]);
        if sink.prepare("c", &batch).unwrap() {
            saved = (sink.flush().unwrap(), next.clone());
        }
        sink.write("c", &batch).unwrap();
        next[partition] += 1;
        match event {
            0 => {
                // Killed, its bytes on the disk but nothing saved.
                sink.flush().unwrap();
                drop(sink);
                sink = start(settings, &saved.0).unwrap();
                next.clone_from(&saved.1);
            }
            1 | 2 => saved = (sink.flush().unwrap(), next.clone()),
            _ => {}
        }
    }
    sink.flush().unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]
    #[test]
    fn files_fold_to_the_table(
        steps in prop::collection::vec((0_u8..30, 0_u8..8), 1..120),
        order in prop::collection::vec((any::<u8>(), 0_u8..8), 0..300),
        partitions in 1_usize..4,
        split: bool,
        position: bool,
        rotate in prop::option::of(1_u64..6),
    ) {
        let folder = Folder::new();
        let (streams, rows) = life(&steps, partitions);
        let settings = Settings { split, position, rotate_rows: rotate, ..folder.settings("{table}") };
        deliver(&settings, &streams, &order);
        let mut fold = read(&folder);
        prop_assert_eq!(fold.problems().collect::<Vec<_>>(), Vec::<String>::new());
        prop_assert_eq!(fold.len(), rows.len());
        for (key, value) in rows {
            prop_assert_eq!(text(&mut fold, &key.to_string(), "v"), vec![value.to_string()]);
        }
        prop_assert!(fold.is_empty());
    }
}
