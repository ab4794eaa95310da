//! The allocator of the binary, and of the Kafka library in it: that one allocates several times a message,
//! frees on other threads, and spends a third of a connector's time in glibc's. See
//! `docs/decisions/0006-allocator.md`.

use tikv_jemallocator::Jemalloc;

#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

/// What jemalloc reads at its start (`malloc_conf` in jemalloc(3)): a pointer to text with a zero behind it.
#[repr(transparent)]
struct Options(*const std::ffi::c_char);

// SAFETY: it points to text that nobody changes.
#[allow(unsafe_code)]
unsafe impl Sync for Options {}

/// Few arenas, and memory given back after half a second: a process stays below the memory that we promise,
/// and a hundred consumers in a process do not wait for each other.
#[allow(unsafe_code)]
#[unsafe(export_name = "malloc_conf")]
static OPTIONS: Options = Options(c"narenas:4,dirty_decay_ms:500,muzzy_decay_ms:0".as_ptr());
