//! Files that somebody takes away while they are written: each row is in exactly one file, of those that were
//! taken and those that are there.

use std::fs;
use std::time::{Duration, Instant};

use crate::rig::{Counts, Pipeline, Server};

/// Moves every file to an inbox now and then while rows flow; then all files together hold each change once.
fn moved_while_written(check: &str, server: Server, direct: bool) {
    let pipeline = Pipeline::new(check, server, direct);
    let mut running = if direct {
        pipeline.run(&["run", "--once"]);
        vec![pipeline.start("run", &["run"])]
    } else {
        vec![pipeline.start("connect", &["connect"]), pipeline.start("consume", &["consume"])]
    };
    running[0].wait_for("streaming");
    let load = pipeline.start_load(4_000);
    let inbox = pipeline.scratch.path("inbox");
    fs::create_dir_all(&inbox).unwrap();
    for _ in 0..4 {
        pipeline.wait_for_growth("insert");
        for file in pipeline.files("") {
            fs::rename(&file, inbox.join(file.file_name().unwrap())).unwrap();
        }
    }
    pipeline.wait_for_growth("insert");
    let counts = Counts::of_ended(load);
    let (began, out) = (Instant::now(), pipeline.scratch.path("out"));
    // Back beside the others, whose numbers go on behind theirs.
    let all = |kind: &str, action: &str| {
        let begins = format!("{action},{},", pipeline.table);
        let files = [&out, &inbox]
            .into_iter()
            .flat_map(|folder| fs::read_dir(folder).unwrap())
            .map(|entry| entry.unwrap().path());
        let texts = files
            .filter(|path| path.to_str().unwrap().contains(kind))
            .map(|path| fs::read_to_string(path).unwrap());
        texts.map(|text| text.lines().filter(|line| line.starts_with(&begins)).count() as u64).sum::<u64>()
    };
    while all("_insert", "I") < counts.inserted + counts.updated
        || all("_delete", "D") < counts.deleted + counts.updated
    {
        assert!(
            began.elapsed() < Duration::from_secs(60),
            "rows are in no file: {} of {counts:?}",
            all("_insert", "I")
        );
        std::thread::sleep(Duration::from_millis(100));
    }
    assert!(running.into_iter().all(|program| program.stop() == Some(0)));
    for entry in fs::read_dir(&inbox).unwrap() {
        let path = entry.unwrap().path();
        let back = out.join(path.file_name().unwrap());
        assert!(!back.exists(), "{} was used twice", back.display());
        fs::rename(&path, back).unwrap();
    }
    pipeline.prove(counts);
}

#[test]
fn through_kafka() {
    moved_while_written("taken", Server::postgres(), false);
}

#[test]
fn directly() {
    moved_while_written("taken_direct", Server::mysql(), true);
}
