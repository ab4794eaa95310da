//! A cable with a delay: two network interfaces, and each frame that goes into one comes out of the other
//! after a fixed time, as with the kernel's netem, which not every kernel has. The rate is not its business:
//! `tc` limits what goes in.
//!
//! `wire NEAR FAR NEAR_TO_FAR_MS FAR_TO_NEAR_MS` makes both interfaces, says `ready` and works until it is
//! killed; the interfaces go with it. Each line on stdin is answered by a line of counters for each
//! direction.

mod tap;

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read, Write};
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// Frames under way in one direction, bytes. 1,000 Mbit/s for 200 ms are 25 MB; more is a fault of the
/// set-up, and what comes then is dropped and counted.
const UNDER_WAY_BYTES_MAX: usize = 64 << 20;

/// What one direction did so far.
#[derive(Debug, Default)]
struct Counters {
    frames: AtomicU64,
    bytes: AtomicU64,
    /// There was no room for them.
    dropped: AtomicU64,
    /// The other interface was down.
    lost: AtomicU64,
}

#[derive(Debug, Default)]
struct UnderWay {
    frames: VecDeque<(Instant, Vec<u8>)>,
    bytes: usize,
}

/// One direction: a queue of frames, each with the time at which it arrives.
#[derive(Debug, Default)]
struct Direction {
    delay: Duration,
    under_way: Mutex<UnderWay>,
    sent: Condvar,
    counters: Counters,
}

impl Direction {
    fn new(delay: Duration) -> Arc<Self> {
        Arc::new(Self { delay, ..Self::default() })
    }

    /// Takes in what the kernel sends, for as long as the interface is there.
    fn take_in(&self, mut interface: &File) -> io::Result<()> {
        let mut frame = vec![0; tap::FRAME_BYTES_MAX];
        loop {
            let length = interface.read(&mut frame)?;
            let arrives = Instant::now() + self.delay;
            let mut under_way = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
            if under_way.bytes + length > UNDER_WAY_BYTES_MAX {
                self.counters.dropped.fetch_add(1, Ordering::Relaxed);
                continue;
            }
            under_way.bytes += length;
            under_way.frames.push_back((arrives, frame[..length].to_vec()));
            drop(under_way);
            self.sent.notify_one();
        }
    }

    /// Hands out each frame at its time.
    fn hand_out(&self, mut interface: &File) -> io::Result<()> {
        loop {
            let (arrives, frame) = self.next();
            thread::sleep(arrives.saturating_duration_since(Instant::now()));
            match interface.write(&frame) {
                Ok(_) => {
                    self.counters.frames.fetch_add(1, Ordering::Relaxed);
                    self.counters.bytes.fetch_add(frame.len() as u64, Ordering::Relaxed);
                }
                // The interface is down, or the kernel finds no room: on a cable such a frame is gone.
                Err(cause) if is_passing(&cause) => {
                    self.counters.lost.fetch_add(1, Ordering::Relaxed);
                }
                Err(cause) => return Err(cause),
            }
        }
    }

    fn next(&self) -> (Instant, Vec<u8>) {
        let mut under_way = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(found) = under_way.frames.pop_front() {
                under_way.bytes -= found.1.len();
                return found;
            }
            under_way = self.sent.wait(under_way).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn report(&self, name: &str) -> String {
        let Counters { frames, bytes, dropped, lost } = &self.counters;
        let now = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        format!(
            "{name} frames={} bytes={} dropped={} lost={}",
            now(frames),
            now(bytes),
            now(dropped),
            now(lost)
        )
    }
}

fn is_passing(cause: &io::Error) -> bool {
    use rustix::io::Errno;
    [Errno::IO, Errno::NOBUFS, Errno::NOMEM, Errno::AGAIN]
        .iter()
        .any(|errno| cause.raw_os_error() == Some(errno.raw_os_error()))
}

fn arguments() -> Option<(String, String, Duration, Duration)> {
    let given: Vec<String> = std::env::args().skip(1).collect();
    let [near, far, there, back] = <[String; 4]>::try_from(given).ok()?;
    let delay = |text: String| text.parse().ok().filter(|ms| *ms <= 10_000).map(Duration::from_millis);
    Some((near, far, delay(there)?, delay(back)?))
}

fn run(near: &str, far: &str, directions: &[Arc<Direction>; 2]) -> io::Result<()> {
    let interfaces = [Arc::new(tap::open(near)?), Arc::new(tap::open(far)?)];
    for (which, direction) in directions.iter().enumerate() {
        let (from, to) = (Arc::clone(&interfaces[which]), Arc::clone(&interfaces[1 - which]));
        let (taker, giver) = (Arc::clone(direction), Arc::clone(direction));
        thread::Builder::new().spawn(move || end(taker.take_in(&from)))?;
        thread::Builder::new().spawn(move || end(giver.hand_out(&to)))?;
    }
    println!("ready");
    for _ in io::stdin().lines() {
        println!("{}", directions[0].report("near_to_far"));
        println!("{}", directions[1].report("far_to_near"));
    }
    loop {
        thread::park();
    }
}

/// A cable with one direction is none.
fn end(result: io::Result<()>) {
    if let Err(cause) = result {
        eprintln!("wire: {cause}");
    }
    std::process::exit(1);
}

fn main() -> ExitCode {
    let Some((near, far, there, back)) = arguments() else {
        eprintln!(
            "usage: wire NEAR FAR NEAR_TO_FAR_MS FAR_TO_NEAR_MS   (names of interfaces to make; at most \
             10000 ms)"
        );
        return ExitCode::from(2);
    };
    match run(&near, &far, &[Direction::new(there), Direction::new(back)]) {
        Ok(()) => ExitCode::SUCCESS,
        Err(cause) => {
            eprintln!("wire: cannot make {near} and {far}: {cause}");
            ExitCode::FAILURE
        }
    }
}
