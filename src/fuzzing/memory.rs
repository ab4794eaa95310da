//! How much memory one input makes the library ask for. A program that fuzzes has [`Counting`] as its
//! allocator.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

/// The system's allocator, and for each thread what it holds and what it held at most.
pub struct Counting;

thread_local! {
    static HELD: Cell<isize> = const { Cell::new(0) };
    static PEAK: Cell<isize> = const { Cell::new(0) };
}

fn count(bytes: isize) {
    // A thread that ends counts no more.
    let _ = HELD.try_with(|held| {
        held.set(held.get() + bytes);
        PEAK.try_with(|peak| peak.set(peak.get().max(held.get())))
    });
}

// SAFETY: every call goes to the system's allocator as it came.
#[allow(unsafe_code)]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        // SAFETY: as the caller promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        // SAFETY: as the caller promises.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        count(-(layout.size() as isize));
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(place, layout) }
    }

    unsafe fn realloc(&self, place: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size as isize - layout.size() as isize);
        // SAFETY: as the caller promises.
        unsafe { System.realloc(place, layout, size) }
    }
}

/// Runs `work` and fails if it held more than `bytes_max` at once.
///
/// # Panics
/// Then, and if nobody counts.
pub fn bounded(bytes_max: usize, work: impl FnOnce()) {
    let before = HELD.with(Cell::get);
    PEAK.with(|peak| peak.set(before));
    drop(std::hint::black_box(vec![0_u8; 1]));
    assert!(PEAK.with(Cell::get) > before, "the program's allocator is not `Counting`");
    work();
    let most = PEAK.with(Cell::get) - before;
    assert!(most <= bytes_max as isize, "{most} bytes were held at once, and {bytes_max} are allowed");
}
