//! Words of replication that several rooms share.

use std::fmt;

use super::ids::{LeaderEpoch, Offset, ServerId, VoterId};

/// Where a log ends, as candidates and voters compare it: first by epoch, then by offset.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct LogEnd {
    /// The epoch of the last record, or of the snapshot that stands for what is before the log; -1 for a log of nothing.
    pub last_epoch: LeaderEpoch,
    pub end: Offset,
}

impl LogEnd {
    /// The end of a log that never held anything.
    pub const EMPTY: LogEnd = LogEnd { last_epoch: LeaderEpoch(-1), end: Offset(0) };
}

/// One vote in the quorum. A server whose metadata log was lost or dropped has another voter id.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Voter {
    pub server: ServerId,
    pub id: VoterId,
}

/// Who opened a lane's connection.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum LaneId {
    /// The shard itself, which counts its lanes.
    Dialled(u64),
    /// A peer; whoever accepts connections counts them.
    Accepted(u64),
}

impl fmt::Display for LaneId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LaneId::Dialled(number) => write!(f, "out {number}"),
            LaneId::Accepted(number) => write!(f, "in {number}"),
        }
    }
}

/// A stream's number on its lane. A lane never uses a number twice.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct StreamNumber(pub u32);
