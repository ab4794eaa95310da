//! See `list_sync::fuzzing::mysql_wire`.
#![no_main]

use list_sync::fuzzing::{Counting, mysql_wire};

#[global_allocator]
static MEMORY: Counting = Counting;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| mysql_wire(bytes));
