//! Words of a follower's half.

use crate::base::{LeaderEpoch, MonoNanos, Offset};

/// What a follower is doing.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Phase {
    /// Asks the leader whether the logs agree, or is about to.
    Opening,
    /// Cuts its log; asks again when that is done.
    Truncating(Cut),
    /// Is sent a snapshot; its log begins anew behind it.
    Installing(Cut),
    /// Takes what the leader sends; the next run begins here.
    Streaming { next: Offset },
    /// Asks again at this time.
    Waiting { until: MonoNanos },
    /// The disk is too full to take more.
    Paused,
    /// The leader's log lacks what was committed here: keeps every byte, until an operator or another leader decides.
    Diverged,
}

/// What is taken away from a log.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Cut {
    /// Everything at this offset and above.
    To(Offset),
    /// Everything. The log begins anew at `begin`, behind a record of `epoch`.
    All { begin: Offset, epoch: LeaderEpoch },
}

impl Cut {
    /// Where the log ends after it.
    #[must_use]
    pub fn end(self) -> Offset {
        match self {
            Cut::To(end) | Cut::All { begin: end, .. } => end,
        }
    }
}

/// What kind of partition it is, which says when it stops for lack of disk.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Kind {
    Metadata,
    /// Kafka's own topics, such as the consumers' offsets.
    Internal,
    User,
}

/// How much the disk has left.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Room {
    Enough,
    /// Below the reserve.
    Low,
    /// Nothing.
    Full,
}

impl Room {
    /// Whether a partition of this kind takes more. Metadata is always taken: else nothing could be deleted any more.
    #[must_use]
    pub fn takes(self, kind: Kind) -> bool {
        match (kind, self) {
            (Kind::Metadata, _) | (_, Room::Enough) | (Kind::Internal, Room::Low) => true,
            (Kind::User, Room::Low | Room::Full) | (Kind::Internal, Room::Full) => false,
        }
    }
}

/// Whether offsets may be missing before, between and behind a run's batches.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Gap {
    None,
    /// Compaction has removed them.
    Compacted,
    /// The leader has lost them: the follower notes the range as damaged, and goes on.
    Damaged,
}
