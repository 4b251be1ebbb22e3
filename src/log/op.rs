//! The operations a log wants done, by the log's own names for them.

use crate::base::Offset;
use crate::base::io::IoOp;

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
