//! What voters say to each other, and what an election asks of the shard. Plain data.

use crate::base::{LeaderEpoch, LogEnd, Voter};

use super::ballot::Ballot;

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum VoteKind {
    /// Whether a real vote would be given; binds nobody.
    Pre,
    Real,
}

/// A voter asks one other for its vote.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct VoteAsk {
    pub kind: VoteKind,
    /// The epoch to lead: that of the candidate for a real vote, the one after it before.
    pub epoch: LeaderEpoch,
    pub candidate: Voter,
    /// Whom it asks: only the vote of this file counts, not that of another one on the same server.
    pub asked: Voter,
    /// The candidate's flushed end.
    pub log: LogEnd,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct VoteAnswer {
    /// As asked.
    pub kind: VoteKind,
    /// As asked.
    pub epoch: LeaderEpoch,
    pub from: Voter,
    pub to: Voter,
    pub granted: bool,
    /// Where the flushed log of whoever answers ends.
    pub log: LogEnd,
    /// The leader of `leader_epoch`, if whoever answers knows it.
    pub leader: Option<Voter>,
    /// The newest epoch that whoever answers knows.
    pub leader_epoch: LeaderEpoch,
}

/// The sender leads the metadata log in this epoch.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Lead {
    pub epoch: LeaderEpoch,
    pub leader: Voter,
}

/// What one voter sends to another.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Message {
    Ask(VoteAsk),
    Answer(VoteAnswer),
    Lead(Lead),
}

/// What the shard has to do after an input, in any order.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
#[must_use = "what an election decides is to be performed"]
pub struct Outcome {
    /// The file to write. No other one is asked for before `persisted` was called for this one.
    pub persist: Option<Ballot>,
    /// What may be sent now. A message to a voter that cannot be reached is dropped.
    pub send: Vec<(Voter, Message)>,
    /// The server's part has changed to this.
    pub change: Option<Change>,
}

/// A server's part in the quorum, as far as it may act on it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Change {
    /// Leads this epoch: appends a LeaderRecord.
    Lead { epoch: LeaderEpoch },
    /// Follows: opens the stream of this leader, in this epoch.
    Follow { epoch: LeaderEpoch, leader: Voter },
    /// Knows of no leader in this epoch. Whoever led before has stopped.
    Unattached { epoch: LeaderEpoch },
    /// Has led this epoch, perhaps in an earlier life, and does no more. Whoever follows is told.
    Resigned { epoch: LeaderEpoch },
}
