//! The invariants, by name, and how often each has been looked at.
//!
//! | # | where it is checked |
//! |---|---|
//! | 1 | `oracle/images`: every image names one leader an epoch; `oracle/replicas`: every look at the shards finds one writer |
//! | 2 | `oracle/log`: an answer or a read names what was acknowledged; `oracle/replicas`: leaders' ends |
//! | 3 | `oracle/replicas`: members of ISR and ELR reach to the true high watermark |
//! | 4 | `course/replicas`: files of stopped servers are equal below the least high watermark |
//! | 5 | `oracle/replicas`: the leader waits for every member of its ISR |
//! | 6 | `oracle/log`: exposed high watermarks, and those of leaders; the order of offsets is asserted by the server |
//! | 7 | `oracle/replicas`: what is acknowledged to all is durable at every member of the ISR |
//! | 8 | `course/reading`: what was acknowledged is read, after all faults; `oracle/replicas`: and durable wherever it must be |
//! | 9 | `oracle/replicas`: no log ends below a high watermark it had |
//! | 10 | `oracle/log`: one offset, one record |
//! | 11 | `oracle/log`, `clients/producer`: no duplicate, no gap in what an idempotent producer has sent |
//! | 12 | not before there are transactions |
//! | 13 | `clients/committer`: committed offsets |
//! | 14 | `oracle/images`: sets of each partition |
//! | 15 | `oracle/images`: one version, one content |
//! | 16 | `server/lives`: a start takes nothing for damaged that was not damaged |
//! | 17 | `course`: after a failed write no server answers |
//! | 18 | `course/replicas`: gauges of servers that have stopped |
//! | 19 | `course`: after the faults, within 30 seconds |
//! | 20 | `course/replicas`: nothing of a deleted topic is served by servers that have heard of it |

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

/// RELIABILITY.md 3.4 has the text of each, CLUSTER.md what has changed since.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Invariant {
    OneLeader = 1,
    LeaderComplete = 2,
    CandidatesComplete = 3,
    LogsMatch = 4,
    QuorumSuperset = 5,
    Watermarks = 6,
    NoEarlyAck = 7,
    NothingLost = 8,
    TruncationBound = 9,
    ConsistentRead = 10,
    Sequences = 11,
    GroupOffsets = 13,
    Sets = 14,
    OneMetadata = 15,
    NoFalseDamage = 16,
    NothingAfterFailure = 17,
    Accounting = 18,
    Liveness = 19,
    NoResurrection = 20,
}

/// All that are looked at.
const ALL: &[Invariant] = &[
    Invariant::OneLeader,
    Invariant::LeaderComplete,
    Invariant::CandidatesComplete,
    Invariant::LogsMatch,
    Invariant::QuorumSuperset,
    Invariant::Watermarks,
    Invariant::NoEarlyAck,
    Invariant::NothingLost,
    Invariant::TruncationBound,
    Invariant::ConsistentRead,
    Invariant::Sequences,
    Invariant::GroupOffsets,
    Invariant::Sets,
    Invariant::OneMetadata,
    Invariant::NoFalseDamage,
    Invariant::NothingAfterFailure,
    Invariant::Accounting,
    Invariant::Liveness,
    Invariant::NoResurrection,
];

impl Invariant {
    fn text(self) -> &'static str {
        match self {
            Invariant::OneLeader => "one leader a leader epoch, and epochs never go back",
            Invariant::LeaderComplete => "the leader has whatever was acknowledged",
            Invariant::CandidatesComplete => "members of ISR and ELR reach to the high watermark",
            Invariant::LogsMatch => "replicas are equal below their high watermarks",
            Invariant::QuorumSuperset => "the ISR is part of the leader's maximal ISR",
            Invariant::Watermarks => "high watermark <= flushed end <= log end, and none goes back",
            Invariant::NoEarlyAck => "nothing is acknowledged above the high watermark",
            Invariant::NothingLost => "what was acknowledged is on a disk",
            Invariant::TruncationBound => "no log is cut below its high watermark",
            Invariant::ConsistentRead => "what was served at an offset stays there",
            Invariant::Sequences => "each record of an idempotent producer is there once, in its order",
            Invariant::GroupOffsets => "committed offsets stay",
            Invariant::Sets => "ISR within replicas, apart from ELR; fenced servers in no ISR",
            Invariant::OneMetadata => "every image is the fold of a prefix of one log",
            Invariant::NoFalseDamage => "only what was damaged is taken for damaged",
            Invariant::NothingAfterFailure => "after a failed write nothing is answered",
            Invariant::Accounting => "all that is counted comes back, and limits hold",
            Invariant::Liveness => "after the faults all is well within 30 seconds",
            Invariant::NoResurrection => "nothing of a deleted topic is served",
        }
    }
}

impl fmt::Display for Invariant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "invariant {} ({})", *self as usize, self.text())
    }
}

/// By number.
static LOOKED_AT: [AtomicU64; 21] = [const { AtomicU64::new(0) }; 21];

/// Fails the course unless an invariant holds.
pub fn require(invariant: Invariant, holds: bool, what: impl FnOnce() -> String) {
    LOOKED_AT[invariant as usize].fetch_add(1, Ordering::Relaxed);
    if !holds {
        violated(invariant, what());
    }
}

pub fn violated(invariant: Invariant, what: impl fmt::Display) -> ! {
    panic!("{invariant} does not hold: {what}")
}

/// How often each invariant was looked at.
pub fn looked_at() -> impl Iterator<Item = (Invariant, u64)> {
    ALL.iter().map(|it| (*it, LOOKED_AT[*it as usize].load(Ordering::Relaxed)))
}
