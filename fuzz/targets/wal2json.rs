//! See `list_sync::fuzzing::wal2json`.
#![no_main]

use list_sync::fuzzing::{Counting, wal2json};

#[global_allocator]
static MEMORY: Counting = Counting;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| wal2json(bytes));
