//! Carries bytes through Kafka. Knows no change, no table and no position: keys, messages, headers and saved states are bytes here.

mod checkpoints;
mod client;
mod failure;
mod member;
mod partitioner;
mod sender;
mod tail;
mod topics;

pub use checkpoints::Checkpoints;
pub use client::Settings;
pub use member::{Claim, Event, Holder, Member, Message};
pub use partitioner::partition_of;
pub use sender::{Delivery, Outgoing, Sender};
pub use tail::{read_between, watermarks};
pub use topics::Topics;
