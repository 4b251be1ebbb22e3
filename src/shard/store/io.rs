//! Operations under way, by number, and those that a full disk has refused.

use crate::base::MonoNanos;
use crate::base::hash::IdMap;
use crate::base::io::IoOp;

use super::super::effect::IoId;
use super::super::event::Operation;

/// Everything that was issued and has not ended.
#[derive(Debug, Default)]
pub(super) struct IoTable {
    under_way: IdMap<u64, Issued>,
    next: u64,
    /// Operations that a full disk has refused, to be tried again.
    pub(super) refused: Vec<(Operation, IoOp)>,
    pub(super) retry_at: Option<MonoNanos>,
    /// An operator has been told that there is no space, and not yet that there is again.
    pub(super) told_full: bool,
}

#[derive(Debug)]
pub(super) struct Issued {
    pub(super) operation: Operation,
    /// Kept for operations that a full disk may refuse and that must be done all the same.
    pub(super) again: Option<IoOp>,
    pub(super) tried: Tried,
}

/// Whether an operation is performed for the first time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Tried {
    First,
    /// A full disk has refused the operation before.
    Again,
}

impl IoTable {
    pub(super) fn issue(&mut self, issued: Issued) -> IoId {
        let id = IoId(self.next);
        self.next += 1;
        self.under_way.insert(id.0, issued);
        id
    }

    /// An operation has ended.
    ///
    /// # Panics
    ///
    /// If it is not under way: whoever performs operations would have answered one twice.
    pub(super) fn ended(&mut self, id: IoId) -> Issued {
        self.under_way.remove(&id.0).expect("a completion belongs to an operation under way")
    }

    /// Whether nothing is under way that a stop must wait for.
    pub(super) fn is_quiet(&self) -> bool {
        self.under_way.values().all(|issued| issued.operation.is_background()) && self.refused.is_empty()
    }

    /// Whether nothing at all is under way.
    pub(super) fn is_empty(&self) -> bool {
        self.under_way.is_empty()
    }

    pub(super) fn next_retry(&self) -> MonoNanos {
        self.retry_at.unwrap_or(MonoNanos::NEVER)
    }
}
