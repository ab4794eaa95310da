//! See `list_sync::fuzzing::statement`.
#![no_main]

use list_sync::fuzzing::{Counting, statement};

#[global_allocator]
static MEMORY: Counting = Counting;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| statement(bytes));
