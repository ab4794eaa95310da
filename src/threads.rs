//! How threads are started: with signals blocked, so that a signal is handled by the program that the engine
//! runs in.
//!
//! The kernel gives a signal to any thread that does not block it. A program that waits for Ctrl-C in its
//! main thread (Python does) would sleep on if a thread of the engine took the signal. `tests/tidy.rs` keeps
//! every other way to start a thread out of the tree.

use std::io;
use std::thread::{Builder, JoinHandle, Scope, ScopedJoinHandle};

/// Faults of the thread itself: the kernel ends a process whose thread blocks one of these and causes it, and
/// no handler can say why.
const FAULTS: [i32; 7] =
    [libc::SIGABRT, libc::SIGBUS, libc::SIGFPE, libc::SIGILL, libc::SIGSEGV, libc::SIGSYS, libc::SIGTRAP];

/// Starts a thread of this name.
pub fn spawn<T: Send + 'static>(
    name: impl Into<String>,
    work: impl FnOnce() -> T + Send + 'static,
) -> io::Result<JoinHandle<T>> {
    let _blocked = Blocked::new();
    Builder::new().name(name.into()).spawn(work)
}

/// Starts a thread that ends before `scope` does.
pub fn spawn_scoped<'scope, T: Send + 'scope>(
    scope: &'scope Scope<'scope, '_>,
    work: impl FnOnce() -> T + Send + 'scope,
) -> ScopedJoinHandle<'scope, T> {
    let _blocked = Blocked::new();
    scope.spawn(work)
}

/// Signals are blocked in this thread until it is dropped: a new thread has the mask of the one that starts
/// it, from its first instruction on.
struct Blocked(libc::sigset_t);

impl Blocked {
    #[allow(unsafe_code)]
    fn new() -> Self {
        // SAFETY: the sets are plain data on this stack, filled by the first call that gets them; none of the
        // calls keeps a pointer.
        unsafe {
            let (mut all, mut before) = (std::mem::zeroed(), std::mem::zeroed());
            libc::sigfillset(&raw mut all);
            for fault in FAULTS {
                libc::sigdelset(&raw mut all, fault);
            }
            libc::pthread_sigmask(libc::SIG_BLOCK, &raw const all, &raw mut before);
            Self(before)
        }
    }
}

impl Drop for Blocked {
    #[allow(unsafe_code)]
    fn drop(&mut self) {
        // SAFETY: the set was filled by `new`.
        unsafe {
            libc::pthread_sigmask(libc::SIG_SETMASK, &raw const self.0, std::ptr::null_mut());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The kernel's word for what this thread blocks, a bit a signal.
    fn blocked() -> u64 {
        let status = std::fs::read_to_string("/proc/thread-self/status").unwrap();
        let mask = status.lines().find_map(|line| line.strip_prefix("SigBlk:")).unwrap();
        u64::from_str_radix(mask.trim(), 16).unwrap()
    }

    #[test]
    fn threads_of_the_engine_block_signals_and_their_starter_does_not() {
        let before = blocked();
        let bit = |signal: i32| 1_u64 << (signal - 1);
        let alone = spawn("test", blocked).unwrap().join().unwrap();
        let scoped = std::thread::scope(|scope| spawn_scoped(scope, blocked).join().unwrap());
        for mask in [alone, scoped] {
            for signal in
                [libc::SIGINT, libc::SIGTERM, libc::SIGHUP, libc::SIGUSR1, libc::SIGALRM, libc::SIGCHLD]
            {
                assert_ne!(mask & bit(signal), 0, "signal {signal} is not blocked");
            }
            assert_eq!(mask & bit(libc::SIGSEGV), 0);
        }
        assert_eq!(blocked(), before);
    }
}
