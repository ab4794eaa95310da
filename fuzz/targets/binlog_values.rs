//! See `list_sync::fuzzing::binlog_values`.
#![no_main]

use list_sync::fuzzing::{Counting, binlog_values};

#[global_allocator]
static MEMORY: Counting = Counting;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| binlog_values(bytes));
