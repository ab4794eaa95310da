//! See `list_sync::fuzzing::saved`.
#![no_main]

use list_sync::fuzzing::{Counting, saved};

#[global_allocator]
static MEMORY: Counting = Counting;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| saved(bytes));
