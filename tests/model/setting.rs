//! What one walk lets happen, and what it takes as happening at once.

use crate::world::Servers;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PreVotes {
    /// By messages, like votes.
    Asked,
    /// Everybody grants them at once. They bind nobody, so nothing that is safe may depend on them.
    Granted,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Answers {
    /// Some time after they were given.
    Late,
    AtOnce,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Writes {
    /// A write of the ballot ends some time later, or never.
    Late,
    /// At once. A crash before it ends is a crash before it began.
    AtOnce,
}

/// When followers flush what they append. Leaders take their time always.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Flushes {
    Late,
    /// At once. What a crash would take is as if it had not come; but no follower leads with records that it has not flushed.
    AtOnce,
}

/// What one walk lets happen.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// Who votes by a log without any VotersRecord.
    pub first_voters: Servers,
    /// Sets that a leader may change to.
    pub targets: &'static [Servers],
    pub pre_votes: PreVotes,
    pub answers: Answers,
    pub writes: Writes,
    pub flushes: Flushes,
    /// Leaders may lose their followers' acks, and resign.
    pub resigning: bool,
    /// Followers learn what is committed.
    pub showing: bool,
}
