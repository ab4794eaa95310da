//! Files that are moved, removed or truncated while they are written, and numbers that are never used twice.

use std::fs;

use super::*;

/// A sink whose file holds one saved row.
struct Begun {
    folder: Folder,
    settings: Settings,
    saved: Saved,
    sink: CsvSink,
    commit: u64,
}

impl Begun {
    fn new() -> Self {
        Self::with(|folder| folder.settings("{table}"))
    }

    fn with(settings: impl FnOnce(&Folder) -> Settings) -> Self {
        let folder = Folder::new();
        let settings = settings(&folder);
        let sink = start(&settings, &Saved::new()).unwrap();
        let mut begun = Self { folder, settings, saved: Saved::new(), sink, commit: 0 };
        begun.insert("a");
        begun.save();
        begun
    }

    fn insert(&mut self, value: &str) {
        self.feed('I', &["1", value], &[]);
    }

    fn feed(&mut self, letter: char, new: &[&str], old: &[&str]) {
        self.commit += 1;
        let rows: &[(char, &[&str], &[&str])] = &[(letter, new, old)];
        feed(&mut self.sink, &mut self.saved, &batch(&table("test", &["id*", "v"]), self.commit, rows))
            .unwrap();
    }

    fn save(&mut self) -> usize {
        save(&mut self.sink, &mut self.saved).unwrap()
    }

    fn restart(&mut self) {
        let other = CsvSink::new(self.settings.clone()).unwrap();
        drop(std::mem::replace(&mut self.sink, other));
        self.sink.recover(&self.saved).unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path(name)
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }
}

const HEAD: &str = "action,table,id,v\n";
const FIRST: &str = "action,table,id,v\nI,test,1,a\n";

#[test]
fn a_moved_file_keeps_what_was_saved_and_the_next_one_goes_on() {
    let mut begun = Begun::new();
    fs::rename(begun.path("test_insert.csv"), begun.path("taken")).unwrap();
    begun.insert("b");
    assert_eq!(begun.save(), 2, "the next file is named before it is made");
    begun.insert("c");
    assert_eq!(begun.save(), 1);
    assert_eq!(begun.read("taken"), FIRST);
    assert_eq!(begun.read("test_insert.0002.csv"), format!("{HEAD}I,test,1,b\nI,test,1,c\n"));
}

/// Rows that went to the file after the last save are in the next one; the file is cut where the save left
/// it.
#[test]
fn rows_that_no_save_covers_go_along() {
    let mut begun = Begun::new();
    begun.insert("b");
    begun.sink.write_out().unwrap();
    fs::rename(begun.path("test_insert.csv"), begun.path("taken")).unwrap();
    begun.insert("c");
    begun.save();
    assert_eq!(begun.read("taken"), FIRST);
    assert_eq!(begun.read("test_insert.0002.csv"), format!("{HEAD}I,test,1,b\nI,test,1,c\n"));
}

/// The same of a file that no save had given a length yet: its header goes along, too.
#[test]
fn a_file_without_a_saved_row_goes_along_whole() {
    let folder = Folder::new();
    let settings = folder.settings("{table}");
    let (mut sink, mut saved) = (start(&settings, &Saved::new()).unwrap(), Saved::new());
    feed(&mut sink, &mut saved, &batch(&table("test", &["id*", "v"]), 1, &[('I', &["1", "a"], &[])]))
        .unwrap();
    sink.write_out().unwrap();
    fs::remove_file(folder.path("test_insert.csv")).unwrap();
    save(&mut sink, &mut saved).unwrap();
    assert_eq!(folder.files(), BTreeMap::from([("test_insert.0002.csv".to_owned(), FIRST.to_owned())]));
}

#[test]
fn a_removed_file_and_one_that_another_took_the_place_of() {
    for replace in [false, true] {
        let mut begun = Begun::new();
        fs::remove_file(begun.path("test_insert.csv")).unwrap();
        if replace {
            fs::write(begun.path("test_insert.csv"), FIRST).unwrap();
        }
        begun.insert("b");
        begun.save();
        assert_eq!(begun.read("test_insert.0002.csv"), format!("{HEAD}I,test,1,b\n"));
        assert_eq!(begun.path("test_insert.csv").exists(), replace);
    }
}

#[test]
fn a_truncated_file_is_left_and_the_next_one_goes_on() {
    let mut begun = Begun::new();
    fs::write(begun.path("test_insert.csv"), "").unwrap();
    begun.insert("b");
    begun.save();
    begun.restart();
    begun.insert("c");
    begun.save();
    assert_eq!(
        (begun.read("test_insert.csv").as_str(), begun.read("test_insert.0002.csv").lines().count()),
        ("", 3)
    );
}

/// What was cut off and belongs to no save cannot be had back from the disk: nothing may be saved.
#[test]
fn rows_that_were_cut_off_before_their_save_stop() {
    let mut begun = Begun::new();
    begun.insert("b");
    begun.sink.write_out().unwrap();
    fs::write(begun.path("test_insert.csv"), FIRST).unwrap();
    begun.insert("c");
    let error = begun.sink.flush().unwrap_err();
    assert!(
        error.to_string().contains("was truncated to 29 bytes by something else; 40 were written"),
        "{error}"
    );
    // The way out that the hint names.
    fs::remove_file(begun.path("test_insert.csv")).unwrap();
    begun.restart();
    for value in ["b", "c"] {
        begun.insert(value);
    }
    begun.save();
    assert_eq!(begun.read("test_insert.0002.csv"), format!("{HEAD}I,test,1,b\nI,test,1,c\n"));
}

#[test]
fn lines_of_others_stop_before_anything_is_written_behind_them() {
    let mut begun = Begun::new();
    fs::write(begun.path("test_insert.csv"), format!("{FIRST}mine\n")).unwrap();
    begun.insert("b");
    let error = begun.sink.flush().unwrap_err();
    assert!(error.to_string().contains("something else wrote to it"), "{error}");
}

/// The file of old rows is still there: it is finished with its generation, and nothing of it is lost or
/// twice.
#[test]
fn the_other_half_of_a_generation_is_finished() {
    let mut begun = Begun::new();
    begun.feed('D', &[], &["1", "-"]);
    begun.save();
    fs::remove_file(begun.path("test_insert.csv")).unwrap();
    begun.insert("b");
    begun.feed('D', &[], &["1", "-"]);
    begun.save();
    begun.feed('D', &[], &["2", "-"]);
    begun.save();
    assert_eq!(begun.read("test_delete.csv"), "action,table,id\nD,test,1\nD,test,1\n");
    assert_eq!(begun.read("test_delete.0002.csv"), "action,table,id\nD,test,2\n");
    assert_eq!(begun.read("test_insert.0002.csv"), format!("{HEAD}I,test,1,b\n"));
}

/// The crash comes when the next file has its name and no row, or its rows and no save.
#[test]
fn a_crash_between_the_two_flushes_loses_nothing() {
    for flushes in [1, 2] {
        let mut begun = Begun::new();
        begun.feed('D', &[], &["1", "-"]);
        begun.save();
        begun.insert("b");
        begun.feed('D', &[], &["1", "-"]);
        begun.sink.write_out().unwrap();
        fs::rename(begun.path("test_insert.csv"), begun.path("taken")).unwrap();
        begun.saved = begun.sink.flush().unwrap();
        if flushes == 2 {
            begun.sink.flush().unwrap();
        }
        begun.restart();
        begun.insert("b");
        begun.feed('D', &[], &["1", "-"]);
        begun.save();
        let files = begun.folder.files();
        assert_eq!(files["taken"], FIRST, "{flushes}");
        let count = |what: &str| files.values().map(|text| text.matches(what).count()).sum::<usize>();
        assert_eq!((count("I,test,1,b"), count("D,test,1")), (1, 2), "{flushes}: {files:?}");
    }
}

/// Of more files than may be open: those that were closed meanwhile are looked at when they are opened again.
#[test]
fn a_file_that_was_closed_is_missed_when_it_is_written_to() {
    let mut begun = Begun::new();
    for number in 0..140 {
        let other = table(&format!("t{number}"), &["id*", "v"]);
        feed(&mut begun.sink, &mut begun.saved, &batch(&other, 1, &[('I', &["1", "a"], &[])])).unwrap();
    }
    begun.save();
    fs::remove_file(begun.path("test_insert.csv")).unwrap();
    begun.insert("b");
    begun.save();
    assert_eq!(begun.read("test_insert.0002.csv"), format!("{HEAD}I,test,1,b\n"));
    assert_eq!(begun.sink.files().open, begun.sink.count_open());
}

/// Whatever was moved away, and however often the program starts in between, what is moved later overwrites
/// nothing.
#[test]
fn numbers_are_never_used_twice() {
    let mut begun = Begun::new();
    for round in 1..=3 {
        for (file, _) in begun.folder.files() {
            fs::remove_file(begun.path(&file)).unwrap();
        }
        for _ in 0..3 {
            begun.restart();
            begun.save();
        }
        begun.insert("b");
        begun.save();
        let names: Vec<_> = begun.folder.files().into_keys().collect();
        assert_eq!(names, [format!("test_insert.{:04}.csv", round + 1)]);
    }
}

#[test]
fn rows_of_both_sides_in_one_file_with_positions() {
    let mut begun =
        Begun::with(|folder| Settings { split: false, position: true, ..folder.settings("{table}") });
    fs::remove_file(begun.path("test.csv")).unwrap();
    begun.feed('U', &["1", "b"], &["1", "-"]);
    begun.save();
    let position = Position::first_of(0, 2);
    assert_eq!(
        begun.read("test.0002.csv"),
        format!("action,table,id,v,position\nD,test,1,,{position}\nI,test,1,b,{position}\n")
    );
}
