//! DeleteRecords: a log's start moves up, at once for readers and for good once a checkpoint says so.
//!
//! The start lives in the checkpoint; segments below it go with retention's. Requests that come while one is being written share the next.

use crate::base::Offset;

use super::request::{DeleteRecordsPartition, PartitionError, RequestId, ShardReply};
use super::{Effect, Shard, Stop};

type Outcomes = Vec<Result<Offset, PartitionError>>;

#[derive(Debug, Default)]
pub(super) struct Trims {
    /// For the next checkpoint.
    waiting: Vec<(RequestId, Outcomes)>,
    /// For the one under way.
    writing: Vec<(RequestId, Outcomes)>,
}

impl Trims {
    pub(super) fn want_checkpoint(&self) -> bool {
        !self.waiting.is_empty()
    }

    pub(super) fn begin(&mut self) {
        self.writing.append(&mut self.waiting);
    }

    /// A full disk refused the checkpoint.
    pub(super) fn refused(&mut self) {
        self.waiting.splice(0..0, self.writing.drain(..));
    }
}

impl Shard {
    pub(super) fn delete_records(
        &mut self,
        id: RequestId,
        partitions: &[DeleteRecordsPartition],
        effects: &mut Vec<Effect>,
    ) {
        let outcomes: Outcomes = partitions.iter().map(|asked| self.trim(*asked)).collect();
        if outcomes.iter().any(Result::is_ok) {
            self.trims.waiting.push((id, outcomes));
        } else {
            effects.push(Effect::Reply { to: id, reply: ShardReply::DeleteRecords(outcomes) });
        }
    }

    /// A checkpoint with the new starts is on stable storage.
    pub(super) fn trims_written(&mut self, effects: &mut Vec<Effect>) {
        for (id, outcomes) in std::mem::take(&mut self.trims.writing) {
            effects.push(Effect::Reply { to: id, reply: ShardReply::DeleteRecords(outcomes) });
        }
    }

    fn trim(&mut self, asked: DeleteRecordsPartition) -> Result<Offset, PartitionError> {
        if self.failed.is_some() {
            return Err(PartitionError::StorageFailed);
        }
        if self.stop != Stop::Running {
            return Err(PartitionError::NotHere);
        }
        let slot = self.partitions.find(asked.partition).ok_or(PartitionError::NotHere)?;
        let partition = self.partitions.get_mut(slot).ok_or(PartitionError::NotHere)?;
        let high_watermark = partition.high_watermark();
        let target = asked.before.unwrap_or(high_watermark);
        if target.0 < 0 || target > high_watermark {
            let (log_start, log_end) = (partition.log.log_start(), high_watermark);
            return Err(PartitionError::OffsetOutOfRange { requested: target, log_start, log_end });
        }
        let log_start = partition.log.advance_start(target);
        self.fetch.wake(slot);
        Ok(log_start)
    }
}
