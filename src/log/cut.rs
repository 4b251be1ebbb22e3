//! Cutting a log: what a replica drops that its leader does not have.
//!
//! ```text
//! 1 quiet    appends are refused; what is in memory goes to finished, synced segments, by the code that rolls any segment
//! 2 begin    an entry in the commit log says that the log is to be cut, and is durable
//! 3 cut      the files are cut, durably (IoOp::TruncateLog)
//! 4 state    the log is the shorter one, and goes on in a fresh segment
//! 5 end      an entry in the commit log says that the log is cut, and is durable; only then are appends taken
//! ```
//!
//! Why so. Entries of what is cut off still stand in the commit log, and large batches in the file. Some of it may follow what
//! comes behind the cut by offset and by epoch, so neither tells them apart after a crash: a start goes by the entries of
//! steps 2 and 5 (`commit::plan`), and later checkpoints by the sequence of the second one (the *fence*). A cut always ends a
//! segment, so no block is written twice. From 2 to 5 the partition needs the commit file with the first entry.
//!
//! A cut that keeps some of the log leaves alone what lies below its start: spares, and files that wait for their deletion, hold
//! only such offsets. A cut that keeps nothing may let the log begin lower than before. It drops the spare and waits for old
//! files in step 1: what they hold may be just what the new log is going to expect.
//!
//! The steps are in `partition::cut`. Limits: one cut at a time; whoever wants another waits for it.

use crate::base::{LeaderEpoch, Offset};

/// Where a log is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cut {
    /// Records at or above go. It is 0 if nothing stays.
    pub below: Offset,
    /// Where the log goes on: the same as `below`, but if nothing stays.
    pub begin_at: Offset,
    /// If nothing stays: the epoch of the record before `begin_at`; -1 if there is none.
    pub epoch: LeaderEpoch,
}

/// What came of asking for a cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CutAsked {
    /// The cut has begun.
    Begun,
    /// The log ends there: nothing was to be cut.
    Needless,
    /// Another cut is under way. That one is finished first.
    Busy,
    /// The log is being closed.
    Stopping,
}

impl Cut {
    /// Records at or above `to` go.
    #[must_use]
    pub fn at(to: Offset) -> Cut {
        Cut { below: to, begin_at: to, epoch: LeaderEpoch(-1) }
    }

    /// Nothing stays. The log begins at `begin_at`, before which there was a record of `epoch` (-1 if there was none).
    #[must_use]
    pub fn to_begin_at(begin_at: Offset, epoch: LeaderEpoch) -> Cut {
        Cut { below: Offset(0), begin_at, epoch }
    }

    #[must_use]
    pub fn keeps_nothing(&self) -> bool {
        self.below <= Offset(0)
    }
}
