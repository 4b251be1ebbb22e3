//! How a server stands to a partition: what it is to it, and whom it follows.

use crate::base::{Offset, ServerId, ShardId};
use crate::log::PartitionLog;
use crate::replication::{Ends, Following, Leading};

/// What this server is to a partition.
#[derive(Debug)]
pub enum Role {
    /// Nothing, as far as this server knows: what is here is kept and not served.
    Idle,
    Leading(Box<Leading>),
    Following(Box<Follows>),
    /// Leads the metadata log, of which a majority of voters decides what is committed.
    Presiding {
        high_watermark: Offset,
        /// Records from there on are sent to nobody yet.
        sends_until: Option<Offset>,
    },
}

/// A partition that another server leads.
#[derive(Debug)]
pub struct Follows {
    pub following: Following,
    pub led_by: LedBy,
}

/// Whom a follower asks for records.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct LedBy {
    pub server: ServerId,
    pub shard: ShardId,
}

/// What an image makes of a partition here.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Part {
    Idle,
    Leads,
    Follows(LedBy),
}

/// Where a log begins and ends.
pub fn ends(log: &PartitionLog) -> Ends {
    Ends { log_start: log.log_start(), flushed: log.flushed_offset(), log_end: log.log_end() }
}
