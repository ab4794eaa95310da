//! Crashes: whatever was written after the last save, a restart brings the files to what they are without a
//! crash.

use proptest::prelude::*;

use super::*;

fn change(step: u64) -> Batch {
    let narrow = table("test", &["id*", "v"]);
    let wide = table("test", &["id*", "v", "w"]);
    let id = (step % 7).to_string();
    match step % 5 {
        0 => batch(&narrow, step * 10, &[('I', &[&id, "a\n\"b"], &[]), ('D', &[], &[&id, "-"])]),
        1 => batch(&narrow, step * 10, &[('U', &[&id, "~"], &[&id, "-"])]),
        2 if step % 20 == 2 => batch(&table("test", &[]), step * 10, &[('T', &[], &[])]),
        _ if step % 13 > 8 => batch(&wide, step * 10, &[('I', &[&id, "", "x,y"], &[])]),
        _ => batch(&narrow, step * 10, &[('D', &[], &[&id, "-"])]),
    }
}

/// Writes `steps` batches; at each step of `kills` the sink dies with its tail on the disk cut to a part.
fn run(settings: &Settings, steps: u64, flush_every: u64, kills: &[(u64, usize)]) {
    let mut saved = (Saved::new(), 0);
    let mut kills = kills.to_vec();
    let mut sink = start(settings, &saved.0).unwrap();
    let mut step = 0;
    while step < steps {
        let next = change(step);
        if sink.prepare("c", &next).unwrap() {
            saved = (sink.flush().unwrap(), step);
        }
        sink.write("c", &next).unwrap();
        step += 1;
        if step % flush_every == 0 {
            saved = (sink.flush().unwrap(), step);
        }
        if let Some(place) = kills.iter().position(|(at, _)| *at == step) {
            let (_, cut) = kills.remove(place);
            // The kernel has it, the caller's save does not: any part of the tail may be there.
            let reached = sink.flush().unwrap();
            drop(sink);
            for (path, mark) in &reached["c"] {
                let length = mark.length().unwrap();
                let floor = saved.0.get("c").and_then(|marks| marks.get(path)?.length()).unwrap_or(0);
                let keep = floor + (cut as u64 % (length - floor + 1));
                let Ok(file) = std::fs::OpenOptions::new().write(true).open(path) else { continue };
                file.set_len(keep).unwrap();
            }
            sink = start(settings, &saved.0).unwrap();
            step = saved.1;
        }
    }
    sink.flush().unwrap();
}

fn check(split: bool, steps: u64, flush_every: u64, kills: &[(u64, usize)]) {
    let (calm, stormy) = (Folder::new(), Folder::new());
    let settings = |folder: &Folder| Settings { split, ..folder.settings("{table}") };
    run(&settings(&calm), steps, flush_every, &[]);
    run(&settings(&stormy), steps, flush_every, kills);
    assert_eq!(calm.files(), stormy.files(), "split {split}, flush every {flush_every}, kills {kills:?}");
}

#[test]
fn a_tail_of_any_length_is_cut() {
    for cut in 0..60 {
        check(true, 12, 5, &[(8, cut)]);
        check(false, 12, 5, &[(1, cut), (9, cut)]);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn any_crashes(
        split: bool,
        flush_every in 1_u64..9,
        kills in prop::collection::vec((1_u64..40, 0_usize..400), 0..6),
    ) {
        check(split, 40, flush_every, &kills);
    }
}

#[test]
fn a_file_shorter_than_its_mark_stops() {
    let folder = Folder::new();
    let settings = folder.settings("{table}");
    let saved = write_all(&settings, &[change(0)]);
    std::fs::write(folder.path("test_insert.csv"), "action,table,id,v\n").unwrap();
    let error = start(&settings, &saved).unwrap_err();
    assert!(error.to_string().contains("but the saved state needs"), "{error}");
    assert!(error.hint_text().unwrap().contains("put the file back"));
}

#[test]
fn files_that_were_moved_away_stay_away() {
    let folder = Folder::new();
    let settings = folder.settings("{table}");
    let mut saved = write_all(&settings, &[change(0)]);
    std::fs::remove_file(folder.path("test_insert.csv")).unwrap();
    let mut sink = start(&settings, &saved).unwrap();
    feed(&mut sink, &mut saved, &change(0)).unwrap();
    sink.flush().unwrap();
    let names: Vec<_> = folder.files().into_keys().collect();
    assert_eq!(names, ["test_delete.0002.csv", "test_delete.csv", "test_insert.0002.csv"]);
}

#[test]
fn a_full_disk_stops_and_goes_on_when_there_is_room() {
    // /dev/full takes no byte; a link to it is a file on a full disk.
    let folder = Folder::new();
    let settings = folder.settings("{table}");
    let mut saved = Saved::new();
    let mut sink = start(&settings, &saved).unwrap();
    assert!(sink.prepare("c", &change(0)).unwrap());
    saved.clone_from(&sink.flush().unwrap());
    sink.write("c", &change(0)).unwrap();
    std::os::unix::fs::symlink("/dev/full", folder.path("test_insert.csv")).unwrap();
    let error = sink.flush().unwrap_err();
    assert_eq!(error.kind(), crate::error::ErrorKind::Stop, "{error}");
    drop(sink);
    std::fs::remove_file(folder.path("test_insert.csv")).unwrap();
    let mut sink = start(&settings, &saved).unwrap();
    feed_channel(&mut sink, &mut saved, "c", &change(0)).unwrap();
    sink.flush().unwrap();
    assert_eq!(folder.files().len(), 2);
}

#[test]
fn a_file_system_that_is_full_is_named_with_a_hint() {
    let folder = Folder::new();
    let small = folder.path("small");
    std::fs::create_dir(&small).unwrap();
    let mount = |program: &str, arguments: &[&str]| {
        let path = small.to_str().unwrap();
        std::process::Command::new(program)
            .args(arguments)
            .arg(path)
            .output()
            .is_ok_and(|output| output.status.success())
    };
    if !mount("mount", &["-t", "tmpfs", "-o", "size=64k", "tmpfs"]) {
        eprintln!("not run: this user may not mount");
        return;
    }
    let settings = folder.settings("small/{table}");
    let mut saved = Saved::new();
    let mut sink = start(&settings, &saved).unwrap();
    let mut step = 0;
    let error = loop {
        let text = "x".repeat(5_000);
        let next = batch(&table("test", &["id*", "v"]), step, &[('I', &["1", &text], &[])]);
        if let Err(error) = feed(&mut sink, &mut saved, &next) {
            break error;
        }
        match sink.flush() {
            Ok(marks) => saved = marks,
            Err(error) => break error,
        }
        step += 1;
    };
    drop(sink);
    let recovered = start(&settings, &saved).map(|_| length(&small.join("test_insert.csv")));
    mount("umount", &[]);
    assert!(error.hint_text().unwrap().contains("make room on the disk"), "{error}");
    assert_eq!(Some(recovered.unwrap()), saved["shop.public.test"].values().next().unwrap().length());
}
