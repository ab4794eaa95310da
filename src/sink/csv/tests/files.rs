//! Which files there are and what stands in them.

use super::*;
use crate::error::ErrorKind;

const ID: &[&str] = &["id*", "v"];

#[test]
fn inserts_and_deletes_in_a_file_each() {
    let folder = Folder::new();
    let test = table("test", ID);
    let rows: &[(char, &[&str], &[&str])] = &[
        ('I', &["1", "a,\"b\""], &[]),
        ('I', &["2", ""], &[]),
        ('U', &["1", "~"], &["1", "~"]),
        ('D', &[], &["2", ""]),
    ];
    let saved = write_all(&folder.settings("deep/er/{table}"), &[batch(&test, 1, rows)]);
    let files = folder.files();
    assert_eq!(
        files["deep/er/test_insert.csv"],
        "action,table,id,v\nI,test,1,\"a,\"\"b\"\"\"\nI,test,2,\"\"\nI,test,1,\n"
    );
    assert_eq!(files["deep/er/test_delete.csv"], "action,table,id,v\nD,test,1,\nD,test,2,\"\"\n");
    let marks = &saved["shop.public.test"];
    assert_eq!(marks.values().cloned().collect::<Vec<_>>(), [40.into(), 59.into()]);
    assert_eq!(marks.keys().next().unwrap(), folder.path("deep/er/test_delete.csv").to_str().unwrap());
}

#[test]
fn one_file_with_positions_and_an_id() {
    let folder = Folder::new();
    let settings = Settings {
        split: false,
        position: true,
        id: Some("7".into()),
        ..folder.settings("{source}-{table}")
    };
    let rows: &[(char, &[&str], &[&str])] =
        &[('I', &["1", "a"], &[]), ('U', &["1", "b"], &["1", "-"]), ('D', &[], &["1", "-"])];
    write_all(&settings, &[batch(&table("test", ID), 1, rows)]);
    let position = |commit: u64| Position::first_of(0, commit).to_string();
    let (one, two, three) = (position(1), position(2), position(3));
    let expected = format!(
        "action,table,id,v,position\nI,test,1,a,{one}\nD,test,1,,{two}\nI,test,1,b,{two}\nD,test,1,,{three}\n"
    );
    assert_eq!(folder.files()["shop-test_7.csv"], expected);
}

#[test]
fn values_that_were_not_sent() {
    let folder = Folder::new();
    let test = table("test", &["id*", "big", "v"]);
    let rows: &[(char, &[&str], &[&str])] =
        &[('U', &["1", "-", "x"], &["1", "old", "-"]), ('U', &["1", "-", "y"], &["1", "-", "-"])];
    write_all(&folder.settings("{table}"), &[batch(&test, 1, rows)]);
    assert_eq!(
        folder.files()["test_insert.csv"],
        "action,table,id,big,v\nI,test,1,old,x\nI,test,1,__list_sync_unchanged__,y\n"
    );
    assert_eq!(folder.files()["test_delete.csv"], "action,table,id,big\nD,test,1,old\nD,test,1,\n");
}

#[test]
fn other_columns_start_the_next_generation() {
    let folder = Folder::new();
    let (old, new) = (table("test", ID), table("test", &["id*", "v", "w"]));
    let key_only = table("test", &["id*"]);
    let first = batch(&old, 1, &[('I', &["1", "a"], &[])]);
    let second = batch(&new, 2, &[('I', &["2", "b", "c"], &[])]);
    let third = batch(&key_only, 3, &[('D', &[], &["1"])]);
    write_all(&folder.settings("{table}"), &[first, second, third]);
    let files = folder.files();
    assert_eq!(files["test_insert.csv"], "action,table,id,v\nI,test,1,a\n");
    assert_eq!(files["test_insert.0002.csv"], "action,table,id,v,w\nI,test,2,b,c\n");
    assert_eq!(files["test_delete.0002.csv"], "action,table,id\nD,test,1\n");
    assert_eq!(files.len(), 3);
}

#[test]
fn a_delete_file_of_keys_does_not_swallow_values() {
    let folder = Folder::new();
    let first = batch(&table("test", &["id*"]), 1, &[('D', &[], &["1"])]);
    let wide = table("test", &["id*", "v"]);
    let second = batch(&wide, 2, &[('U', &["2", "a"], &["2", "-"]), ('U', &["2", "b"], &["2", "a"])]);
    write_all(&folder.settings("{table}"), &[first, second]);
    let files = folder.files();
    assert_eq!(files["test_delete.csv"], "action,table,id\nD,test,1\nD,test,2\n");
    assert_eq!(files["test_delete.0002.csv"], "action,table,id,v\nD,test,2,a\n");
    assert_eq!(files["test_insert.0002.csv"], "action,table,id,v\nI,test,2,b\n");
}

#[test]
fn a_partition_that_lags_does_not_start_generations() {
    let folder = Folder::new();
    let (old, new) = (table("test", ID), table("test", &["id*", "v", "w"]));
    let insert = |table, commit, row| batch(table, commit, &[('I', row, &[])]);
    let batches = [
        insert(&old, 10, &["1", "a"]),
        insert(&new, 100, &["2", "b", "c"]),
        insert(&old, 50, &["3", "d"]),
        insert(&new, 110, &["4", "e", "f"]),
        insert(&old, 60, &["5", "g"]),
        insert(&old, 120, &["6", "h"]),
    ];
    write_all(&folder.settings("{table}"), &batches);
    let files = folder.files();
    assert_eq!(files["test_insert.csv"], "action,table,id,v\nI,test,1,a\nI,test,3,d\nI,test,5,g\n");
    assert_eq!(files["test_insert.0002.csv"], "action,table,id,v,w\nI,test,2,b,c\nI,test,4,e,f\n");
    assert_eq!(files["test_insert.0003.csv"], "action,table,id,v\nI,test,6,h\n");
}

#[test]
fn a_truncate_from_each_partition_counts_once() {
    let folder = Folder::new();
    let settings = folder.settings("{table}");
    let test = table("test", ID);
    let bare = table("test", &[]);
    let truncate = |commit| batch(&bare, commit, &[('T', &[], &[])]);
    let insert = |commit, row| batch(&test, commit, &[('I', row, &[])]);
    let batches = [
        insert(1, &["1", "a"]),
        truncate(10),
        insert(11, &["2", "b"]),
        insert(2, &["3", "c"]),
        truncate(10),
        insert(12, &["4", "d"]),
    ];
    let saved = write_all(&settings, &batches);
    let digits = Position::first_of(0, 10).to_string();
    let check = |late: &str, more: &str| {
        let files = folder.files();
        assert_eq!(files["test_insert.csv"], format!("action,table,id,v\nI,test,1,a\nI,test,3,c\n{late}"));
        assert_eq!(
            files["test_insert.0002.csv"],
            format!("action,table,id,v\nT@{digits},test,,\nI,test,2,b\nI,test,4,d\n{more}")
        );
        assert_eq!(files["test_delete.0002.csv"], format!("action,table,id,v\nT@{digits},test,,\n"));
        assert_eq!(files.len(), 3);
    };
    check("", "");
    // The same after a restart: the files tell where the truncate stands.
    let mut saved = saved;
    let mut sink = start(&settings, &saved).unwrap();
    for batch in [truncate(10), insert(3, &["5", "e"]), insert(13, &["6", "f"])] {
        feed(&mut sink, &mut saved, &batch).unwrap();
    }
    sink.flush().unwrap();
    check("I,test,5,e\n", "I,test,6,f\n");
}

#[test]
fn what_a_truncate_empties_is_left_out_if_its_file_is_finished() {
    let folder = Folder::new();
    let settings = folder.settings("{table}");
    let test = table("test", ID);
    let mut saved = write_all(&settings, &[batch(&test, 10, &[('T', &[], &[]), ('I', &["1", "a"], &[])])]);
    let mut sink = start(&settings, &saved).unwrap();
    feed(&mut sink, &mut saved, &batch(&test, 5, &[('I', &["2", "b"], &[])])).unwrap();
    sink.flush().unwrap();
    assert!(!folder.files()["test_insert.csv"].contains("2,b"));
    assert_eq!(folder.files().len(), 2);
}

#[test]
fn limits_rotate_after_a_flush() {
    let folder = Folder::new();
    let settings = Settings { rotate_rows: Some(2), ..folder.settings("{table}") };
    let test = table("test", ID);
    let mut saved = Saved::new();
    let mut sink = start(&settings, &saved).unwrap();
    for commit in 1..=5 {
        let id = commit.to_string();
        feed(&mut sink, &mut saved, &batch(&test, commit, &[('I', &[&id, "a"], &[])])).unwrap();
        saved = sink.flush().unwrap();
    }
    // A row from before goes to the newest all the same: the columns did not change.
    feed(&mut sink, &mut saved, &batch(&test, 1, &[('D', &[], &["1", "-"])])).unwrap();
    saved = sink.flush().unwrap();
    let files = folder.files();
    assert_eq!(files["test_insert.csv"], "action,table,id,v\nI,test,1,a\nI,test,2,a\n");
    assert_eq!(files["test_insert.0002.csv"], "action,table,id,v\nI,test,3,a\nI,test,4,a\n");
    assert_eq!(files["test_insert.0003.csv"], "action,table,id,v\nI,test,5,a\n");
    assert_eq!(files["test_delete.0003.csv"], "action,table,id\nD,test,1\n");
    let marked: Vec<_> =
        saved["shop.public.test"].keys().map(|path| path.rsplit('/').next().unwrap()).collect();
    assert_eq!(marked, ["test_delete.0003.csv", "test_insert.0003.csv"]);
}

#[test]
fn bytes_rotate_too() {
    let folder = Folder::new();
    let settings = Settings { rotate_bytes: Some(1), split: false, ..folder.settings("x") };
    let test = table("test", ID);
    let mut saved = Saved::new();
    let mut sink = start(&settings, &saved).unwrap();
    for commit in 1..=3 {
        feed(&mut sink, &mut saved, &batch(&test, commit, &[('I', &["1", "a"], &[])])).unwrap();
        saved = sink.flush().unwrap();
    }
    assert_eq!(folder.files().keys().collect::<Vec<_>>(), ["x.0002.csv", "x.0003.csv", "x.csv"]);
}

#[test]
fn two_tables_of_one_path_share_its_numbers() {
    let folder = Folder::new();
    let settings = folder.settings("all");
    let (one, two) = (table("one", ID), table("two", ID));
    let insert = |table, commit| batch(table, commit, &[('I', &["1", "a"], &[])]);
    let mut saved = write_all(&settings, &[insert(&one, 1), insert(&two, 2), insert(&one, 3)]);
    let mut sink = start(&settings, &saved).unwrap();
    for batch in [insert(&two, 4), insert(&one, 5)] {
        feed(&mut sink, &mut saved, &batch).unwrap();
    }
    sink.flush().unwrap();
    assert_eq!(folder.files()["all_insert.csv"].matches("I,one").count(), 3);
    assert_eq!(folder.files()["all_insert.0002.csv"].matches("I,two").count(), 2);
    assert_eq!(folder.files().len(), 2);
}

#[test]
fn a_foreign_file_is_not_touched() {
    let folder = Folder::new();
    let settings = folder.settings("{table}");
    std::fs::write(folder.path("test_insert.csv"), "mine").unwrap();
    let mut sink = start(&settings, &Saved::new()).unwrap();
    let error = sink.prepare("c", &batch(&table("test", ID), 1, &[('I', &["1", "a"], &[])])).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Stop);
    assert!(error.to_string().contains("exists, but the saved state does not know it"), "{error}");
    assert_eq!(folder.files()["test_insert.csv"], "mine");
}

#[test]
fn two_sinks_do_not_share_a_file() {
    let folder = Folder::new();
    let settings = folder.settings("{table}");
    let mut saved = Saved::new();
    let mut sink = start(&settings, &saved).unwrap();
    feed(&mut sink, &mut saved, &batch(&table("test", ID), 1, &[('I', &["1", "a"], &[])])).unwrap();
    saved = sink.flush().unwrap();
    let error = start(&settings, &saved).unwrap_err();
    assert!(error.to_string().contains("is held by another process"), "{error}");
    // One with an id of its own leaves it alone while it is held, and cuts it when it is not.
    let path = folder.path("test_insert.csv");
    feed(&mut sink, &mut saved, &batch(&table("test", ID), 2, &[('I', &["2", "a"], &[])])).unwrap();
    sink.flush().unwrap();
    let other = Settings { id: Some("2".into()), ..settings };
    start(&other, &saved).unwrap();
    let marked = saved["shop.public.test"][path.to_str().unwrap()].length().unwrap();
    assert!(length(&path) > marked);
    drop(sink);
    start(&other, &saved).unwrap();
    assert_eq!(length(&path), marked);
}

#[test]
fn more_tables_than_open_files() {
    let folder = Folder::new();
    let settings = folder.settings("{table}");
    let mut saved = Saved::new();
    let mut sink = start(&settings, &saved).unwrap();
    for round in 1..=3 {
        for number in 0..150 {
            let test = table(&format!("t{number}"), ID);
            feed(&mut sink, &mut saved, &batch(&test, round, &[('U', &["1", "a"], &["1", "-"])])).unwrap();
        }
        saved = sink.flush().unwrap();
        assert!(sink.files().open <= 128, "{:?}", sink.files());
        if round == 2 {
            drop(sink);
            sink = start(&settings, &saved).unwrap();
        }
    }
    drop(sink);
    let files = folder.files();
    assert_eq!(files.len(), 300);
    assert!(files.values().all(|text| text.lines().count() == 4));
}

/// A path that ends in `/` has files without a name of their own in it, and they are found again.
#[test]
fn a_path_that_ends_in_a_slash() {
    let folder = Folder::new();
    let settings = Settings { path: format!("{}/{{table}}/", folder.0.display()), ..Settings::default() };
    write_all(
        &settings,
        &[batch(&table("test", ID), 1, &[('I', &["1", "a"], &[]), ('D', &[], &["1", "-"])])],
    );
    assert_eq!(folder.files().into_keys().collect::<Vec<_>>(), ["test/_delete.csv", "test/_insert.csv"]);
    let stem = crate::sink::csv::stem(&settings.path, "c", &table("test", ID)).unwrap();
    assert_eq!(crate::sink::csv::list(&stem).unwrap().len(), 2);
}

/// What stands for a value that was not sent stands bare; a value of the same text is quoted.
#[test]
fn a_value_with_the_text_of_the_placeholder() {
    let folder = Folder::new();
    let settings = Settings { unchanged: "7".into(), ..folder.settings("{table}") };
    let rows: &[(char, &[&str], &[&str])] = &[('I', &["1", "7"], &[]), ('U', &["2", "-"], &["2", "-"])];
    write_all(&settings, &[batch(&table("test", ID), 1, rows)]);
    assert_eq!(folder.files()["test_insert.csv"], "action,table,id,v\nI,test,1,\"7\"\nI,test,2,7\n");
}
