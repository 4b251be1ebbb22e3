//! A server's part in the election, and the times by which it changes.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{Hash, Hasher};

use crate::base::rng::Rng;
use crate::base::{MonoNanos, Voter};

/// How long whoever elects waits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Timers {
    /// A round of votes, and whoever knows of no leader, waits for so long and up to the same again.
    pub election_ms: u64,
    /// A follower that hears nothing for so long asks for votes; a leader that hears no majority for half as long again
    /// resigns.
    pub fetch_timeout_ms: u64,
}

impl Default for Timers {
    fn default() -> Timers {
        Timers { election_ms: 1_000, fetch_timeout_ms: 2_000 }
    }
}

impl Timers {
    /// After a leader's connection was closed, its followers wait for less than so long, each for another time.
    pub const GONE_MS: u64 = 150;

    /// After so long, whoever did not answer is asked again.
    #[must_use]
    pub fn again_ms(&self) -> u64 {
        (self.election_ms / 4).max(1)
    }

    /// A leader names itself to voters that it has not heard for so long.
    #[must_use]
    pub fn silent_ms(&self) -> u64 {
        (self.fetch_timeout_ms / 2).max(1)
    }

    /// A leader resigns when it has heard no majority for so long (rule Q9).
    #[must_use]
    pub fn resign_ms(&self) -> u64 {
        self.fetch_timeout_ms + self.fetch_timeout_ms / 2
    }
}

/// What a server is in its epoch. Whether it votes is another question: also whoever does not keeps a ballot.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Standing {
    /// Knows of no leader and gave no vote.
    Unattached,
    /// Knows of no leader, and gave its vote to another.
    Voted,
    Following {
        leader: Voter,
        contact: Contact,
    },
    /// Asks whether it would get votes. The leader is the one it has lost; the epoch is still that one's.
    Asking {
        granted: BTreeSet<Voter>,
        leader: Option<Voter>,
    },
    /// Asks for votes.
    Candidate {
        granted: BTreeSet<Voter>,
        refused: BTreeSet<Voter>,
    },
    Leading,
    /// Led this epoch, perhaps before the process was started.
    Resigned,
}

/// What a follower has heard of its leader.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Contact {
    /// Somebody has named it.
    Never,
    /// The leader itself was heard.
    Heard,
    /// Nothing any more, for too long or because its connection was closed.
    Lost,
}

/// Times. Two servers that differ in these alone count as the same where states are compared by their hash: the exhaustive
/// walk in tests/model lets time pass as it likes.
#[derive(Clone, Debug)]
pub struct Clock {
    rng: Rng,
    /// When the standing ends by itself.
    pub standing_ends: MonoNanos,
    /// When whoever did not answer is asked, or told, once more.
    pub again: MonoNanos,
    /// When a leader heard each of the voters; at first when it began to lead.
    pub heard: BTreeMap<Voter, MonoNanos>,
}

impl Clock {
    pub fn new(seed: u64) -> Clock {
        Clock {
            rng: Rng::seeded(seed),
            standing_ends: MonoNanos::NEVER,
            again: MonoNanos::NEVER,
            heard: BTreeMap::new(),
        }
    }

    /// A standing of its own length, without anything to repeat.
    pub fn begin(&mut self, standing_ends: MonoNanos) {
        self.standing_ends = standing_ends;
        self.again = MonoNanos::NEVER;
        self.heard.clear();
    }

    /// `now` and up to `ms` milliseconds, to the microsecond.
    pub fn within_ms(&mut self, now: MonoNanos, ms: u64) -> MonoNanos {
        let us = self.rng.below(ms.saturating_mul(1_000).max(1));
        MonoNanos(now.0.saturating_add(us.saturating_mul(1_000)))
    }

    pub fn next(&self) -> MonoNanos {
        self.standing_ends.min(self.again)
    }
}

impl Hash for Clock {
    fn hash<H: Hasher>(&self, _: &mut H) {}
}
