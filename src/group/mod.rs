//! Consumer groups: who is a member, who reads what, what has been committed; pure.
//!
//! A [`Coordinator`] is the fold of one partition of `__consumer_offsets`: its state is what the partition's records say,
//! applied in their order. Every change that must survive is a record in Kafka's own format. The record is appended to the
//! partition's log like any data, and applied at once. An answer leaves when all that was appended before it is durable.
//! Which requests wait, and until when, is *soft state*: not recorded, and lost when the coordinator starts again.
//!
//! Knows no shard, no log and no clock. The shard appends [`Outcome::records`], sends [`Outcome::replies`] once the records
//! are durable, and calls [`Coordinator::tick`] when [`Coordinator::next_deadline`] has come.

mod classic;
pub mod consumer;
mod coordinator;
mod error;
mod members;
mod offsets;
mod protocols;
mod question;
mod record;
mod request;
mod subscription;
#[cfg(test)]
mod tests;

use std::sync::Arc;

pub use crate::config::GroupLimits;
pub use coordinator::{Coordinator, Lag};
pub use question::{EachOrNone, GroupQuestion};
pub use record::{GroupRecord, RecordError};
pub use request::*;

/// The internal topic whose partitions coordinate groups.
pub const OFFSETS_TOPIC: &str = "__consumer_offsets";

/// What a decision of a coordinator wants done.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Records to append as one batch, so that either all of them are kept or none.
    pub records: Vec<GroupRecord>,
    /// Answers to give once the records, and all records before them, are durable.
    pub replies: Vec<(Ticket, GroupReply)>,
}

impl Outcome {
    pub(crate) fn reply(&mut self, ticket: Ticket, reply: GroupReply) {
        if self.replies.is_empty() {
            // Most decisions answer one request, and a reply is large: the usual first capacity of four would waste memory.
            self.replies.reserve_exact(1);
        }
        self.replies.push((ticket, reply));
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.records.is_empty() && self.replies.is_empty()
    }
}

/// The partition of `__consumer_offsets` that coordinates a group: Java's `String.hashCode`, modulo.
#[must_use]
pub fn partition_of(group: &str, partitions: usize) -> i32 {
    let hash =
        group.encode_utf16().fold(0_i32, |hash, unit| hash.wrapping_mul(31).wrapping_add(i32::from(unit)));
    // Kafka's `Utils.abs` maps i32::MIN to 0.
    let positive = if hash == i32::MIN { 0 } else { hash.unsigned_abs() };
    i32::try_from(positive as usize % partitions.max(1)).unwrap_or(0)
}

/// A shared name: of a group, member or topic.
pub(crate) type Name = Arc<str>;
