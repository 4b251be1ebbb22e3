//! Stand-ins until the log has them.
use bytes::Bytes;

use super::partition::PartitionLog;
use crate::base::{LeaderEpoch, Offset};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunGap {
    None,
    Compacted,
    Damaged,
}
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RunHeader {
    pub base: Offset,
    pub end: Offset,
    pub epoch: LeaderEpoch,
    pub gap: RunGap,
}
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReplicateError {
    #[error("not yet")]
    NotYet,
}
impl PartitionLog {
    pub fn high_watermark(&self) -> Offset {
        self.flushed_offset()
    }
    pub fn last_epoch(&self) -> Option<LeaderEpoch> {
        self.epochs().latest()
    }
    pub fn epoch_end_at_most(&self, epoch: LeaderEpoch) -> Option<(LeaderEpoch, Offset)> {
        self.epoch_end(epoch)
    }
    pub fn epoch_before_start(&self) -> LeaderEpoch {
        LeaderEpoch(-1)
    }
    pub fn replicate(&mut self, _run: &Bytes, _header: RunHeader) -> Result<(), ReplicateError> {
        Err(ReplicateError::NotYet)
    }
}
