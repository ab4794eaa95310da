//! See `list_sync::fuzzing::protobuf`.
#![no_main]

use list_sync::fuzzing::{Counting, protobuf};

#[global_allocator]
static MEMORY: Counting = Counting;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| protobuf(bytes));
