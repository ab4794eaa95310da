//! Carries bytes through Kafka. Knows no change, no table and no position: keys, messages, headers and saved states are bytes here.

mod acl;
mod checkpoints;
mod client;
mod complaints;
mod ends;
mod failure;
mod inspect;
mod member;
mod partitioner;
mod probe;
mod refusal;
mod revive;
mod security;
mod sender;
mod tail;
mod topics;

pub use checkpoints::Checkpoints;
pub use client::Settings;
pub use ends::{Ends, Offsets};
pub use inspect::{Wanted, inspect};
pub use member::{Claim, Event, Holder, Member, Message, subscription};
pub use partitioner::partition_of;
pub use sender::{Delivery, Outgoing, Sender};
pub use tail::{read_between, watermarks};
pub use topics::Topics;
