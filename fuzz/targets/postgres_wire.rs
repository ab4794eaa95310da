//! See `list_sync::fuzzing::postgres_wire`.
#![no_main]

use list_sync::fuzzing::{Counting, postgres_wire};

#[global_allocator]
static MEMORY: Counting = Counting;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| postgres_wire(bytes));
