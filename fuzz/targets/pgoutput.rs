//! See `list_sync::fuzzing::pgoutput`.
#![no_main]

use list_sync::fuzzing::{Counting, pgoutput};

#[global_allocator]
static MEMORY: Counting = Counting;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| pgoutput(bytes));
