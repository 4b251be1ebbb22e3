//! What of the log is refused to readers.

use std::ops::Range;

use crate::base::Offset;
use crate::log::damage::DamagedRanges;

use super::PartitionLog;

impl PartitionLog {
    /// Refuses these offsets to readers from now on.
    pub fn quarantine(&mut self, range: Range<Offset>) {
        self.damaged.add(range);
    }

    /// A segment was verified: its offsets are served again. What is wrong with it will be told anew.
    pub fn verified(&mut self, base: Offset) {
        let whole = base..self.end_of(base);
        self.damaged.remove(&whole);
    }

    #[must_use]
    pub fn damaged(&self) -> &DamagedRanges {
        &self.damaged
    }
}
