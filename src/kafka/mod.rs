//! Carries bytes through Kafka. Knows no change, no table and no position: keys, messages, headers and saved
//! states are bytes here.

mod acl;
mod assignment;
mod client;
mod commit;
mod compacted;
mod complaints;
mod ends;
mod failure;
mod group_commit;
mod inbox;
mod inspect;
mod librdkafka;
mod member;
mod partitioner;
mod probe;
mod refusal;
mod revive;
mod security;
mod sender;
mod tail;
mod topics;

use std::sync::{Mutex, MutexGuard, PoisonError};

pub use client::Settings;
pub use compacted::{Checkpoints, Shapes};
pub use ends::{Ends, Offsets};
pub use group_commit::OffsetCommit;
pub use inbox::{Fetched, Message};
pub use inspect::{Wanted, inspect};
pub use member::{Event, Holder, Member};
pub use partitioner::partition_of;
pub use sender::{Delivery, Outgoing, Sender};
pub use tail::{read_between, watermarks};
pub use topics::Topics;

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
