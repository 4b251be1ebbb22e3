//! Who leads the metadata log: votes, and what follows from them.

use crate::base::{LogEnd, Voter};

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum VoteKind {
    /// Whether a real vote would be given; binds nobody.
    Pre,
    Real,
}

/// A voter asks one other for its vote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VoteAsk {
    pub kind: VoteKind,
    /// The epoch to lead.
    pub epoch: i32,
    pub candidate: Voter,
    /// Whom it asks: only the vote of this file counts, not that of another one on the same server.
    pub asked: Voter,
    /// The candidate's flushed end.
    pub log: LogEnd,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VoteAnswer {
    /// As asked.
    pub kind: VoteKind,
    /// As asked.
    pub epoch: i32,
    pub from: Voter,
    pub to: Voter,
    pub granted: bool,
    /// Where the log of whoever answers ends: a voter that lacks its own last registration was restored from a copy, and its
    /// vote does not count.
    pub log: LogEnd,
    /// The leader that whoever answers knows, of `leader_epoch`.
    pub leader: Option<Voter>,
    /// The newest epoch that whoever answers knows.
    pub leader_epoch: i32,
}

/// The sender leads the metadata log in this epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lead {
    pub epoch: i32,
    pub leader: Voter,
}

/// The sender gives something up; nobody needs to wait for it to fall silent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resign {
    /// The epoch of the quorum that the sender led; `None` if it led none.
    pub epoch: Option<i32>,
    pub what: Resigned,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Resigned {
    /// Everything: its storage has failed, the process ends.
    Storage,
    /// The quorum's leadership alone.
    Leadership,
}
