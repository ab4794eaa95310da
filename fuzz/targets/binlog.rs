//! See `list_sync::fuzzing::binlog`.
#![no_main]

use list_sync::fuzzing::{Counting, binlog};

#[global_allocator]
static MEMORY: Counting = Counting;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| binlog(bytes));
