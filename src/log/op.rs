//! What a log wants done: operations, by the log's own names for them, and bytes for the commit log.

use crate::base::io::{IoOp, SegmentId};
use crate::base::{ChunkSlice, Offset};

use super::cut::Cut;

/// The log's own name for an operation it waits for; comes back with its completion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    Create {
        base: Offset,
        names: bool,
    },
    Allocate {
        base: Offset,
        /// The space is for writes that the commit log covers.
        is_covered: bool,
    },
    /// A write the commit log covers.
    Write {
        base: Offset,
        position: u64,
    },
    /// A direct run: done means part of append `number` is durable.
    Direct {
        base: Offset,
        position: u64,
        bytes: u64,
        number: u64,
    },
    Sync {
        base: Offset,
    },
    Seal {
        base: Offset,
    },
    /// Marks only spare work: the outcome does not matter.
    WriteMarks {
        base: Offset,
    },
    /// Files that are no longer part of the log.
    Delete,
    /// The files of a cut. The answer is told to [`PartitionLog::truncated`](super::PartitionLog::truncated).
    Truncate,
}

impl Purpose {
    /// Whether the log cannot go on without this operation. What fails of the others counts as done: it only spared work.
    #[must_use]
    pub fn must_succeed(self) -> bool {
        !matches!(self, Purpose::Allocate { .. } | Purpose::WriteMarks { .. } | Purpose::Delete)
    }
}

/// An operation to be performed.
#[derive(Debug)]
pub struct LogOp {
    pub purpose: Purpose,
    pub op: IoOp,
}

/// What a state change wants done.
#[derive(Debug, Default)]
pub struct LogEffects {
    pub ops: Vec<LogOp>,
    pub to_commit_log: Vec<ToCommitLog>,
    /// At most one at a time; nothing of the partition is in the commit log's queue then. Durable:
    /// [`PartitionLog::cut_entry_durable`](super::PartitionLog::cut_entry_durable).
    pub cuts: Vec<CutEntry>,
}

/// What the commit log must say of a cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CutEntry {
    /// The log is to be cut.
    Begin(Cut),
    /// The log is cut: `begin_at` is where it ends.
    End(Cut),
}

/// Bytes that the commit log must make durable.
#[derive(Debug)]
pub struct ToCommitLog {
    pub segment: SegmentId,
    pub position: u64,
    pub flushed: Offset,
    pub high_watermark: Offset,
    pub data: [Option<ChunkSlice>; 2],
    /// The append they belong to; `None` for a tail that a release puts into the commit log again.
    pub append: Option<u64>,
}
