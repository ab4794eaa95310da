//! Replays what fuzzing starts from and what it found: a fault that was corrected stays so.

use std::fs;
use std::path::Path;

use super::{Counting, memory};

#[global_allocator]
static MEMORY: Counting = Counting;

type Target = (&'static str, fn(&[u8]));

/// Name of a folder in `fuzz/seeds`, and what is done with its files.
const TARGETS: [Target; 11] = [
    ("pgoutput", super::pgoutput),
    ("wal2json", super::wal2json),
    ("postgres_wire", super::postgres_wire),
    ("mysql_wire", super::mysql_wire),
    ("binlog", super::binlog),
    ("binlog_values", super::binlog_values),
    ("statement", super::statement),
    ("json", super::json),
    ("protobuf", super::protobuf),
    ("commit_text", super::commit_text),
    ("saved", super::saved),
];

#[test]
fn seeds_are_read_as_they_should() {
    let seeds = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds");
    let mut folders: Vec<_> = fs::read_dir(&seeds)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    folders.sort();
    let mut names = TARGETS.map(|(name, _)| name);
    names.sort_unstable();
    assert_eq!(folders, names, "each target has its seeds");
    for (name, target) in TARGETS {
        let mut count = 0;
        for entry in fs::read_dir(seeds.join(name)).unwrap() {
            let path = entry.unwrap().path();
            let bytes = fs::read(&path).unwrap();
            count += 1;
            // Printed where a check fails.
            println!("{}", path.display());
            target(&bytes);
            // Cut short, as a link that breaks does it.
            for end in (0..bytes.len()).step_by(1 + bytes.len() / 40) {
                target(&bytes[..end]);
            }
        }
        assert!(count > 0, "{name} has no seeds");
    }
}

/// What real servers wrote becomes rows, so that fuzzing begins where rows are.
#[test]
fn captures_hold_rows() {
    type Read = fn(&[u8], &mut dyn FnMut(&crate::change::Batch));
    let captures: [(&str, Read, usize); 8] = [
        ("pgoutput/changes", crate::source::postgres::fuzz::pgoutput, 9),
        // In two encodings.
        ("wal2json/changes", crate::source::postgres::fuzz::wal2json, 2 * 9),
        ("binlog/mysql", crate::source::mysql::fuzz::binlog, 8),
        ("binlog/mysql_compressed", crate::source::mysql::fuzz::binlog, 8),
        ("binlog/mysql_with_checksums", crate::source::mysql::fuzz::binlog, 8),
        ("binlog/mariadb", crate::source::mysql::fuzz::binlog, 8),
        ("binlog/mariadb_compressed", crate::source::mysql::fuzz::binlog, 8),
        ("binlog/mariadb_with_checksums", crate::source::mysql::fuzz::binlog, 8),
    ];
    for (name, read, expected) in captures {
        let bytes = fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds").join(name)).unwrap();
        let mut rows = 0;
        read(&bytes, &mut |batch| rows += batch.rows().len());
        assert_eq!(rows, expected, "{name}");
    }
}

#[test]
fn too_much_memory_is_seen() {
    memory::bounded(2 << 20, || drop(std::hint::black_box(vec![0_u8; 1 << 20])));
    let seen = std::panic::catch_unwind(|| {
        memory::bounded(1 << 20, || drop(std::hint::black_box(vec![0_u8; 2 << 20])));
    });
    assert!(seen.is_err());
}
