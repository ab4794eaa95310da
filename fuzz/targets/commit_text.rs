//! See `list_sync::fuzzing::commit_text`.
#![no_main]

use list_sync::fuzzing::{Counting, commit_text};

#[global_allocator]
static MEMORY: Counting = Counting;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| commit_text(bytes));
