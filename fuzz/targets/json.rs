//! See `list_sync::fuzzing::json`.
#![no_main]

use list_sync::fuzzing::{Counting, json};

#[global_allocator]
static MEMORY: Counting = Counting;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| json(bytes));
