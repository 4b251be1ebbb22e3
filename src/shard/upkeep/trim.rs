//! DeleteRecords: a log's start moves up, at once for readers and for good once a checkpoint says so.
//!
//! The start lives in the checkpoint; segments below it go with retention's. Requests that come while one is being
//! written share the next.

use crate::base::Offset;

use super::super::request::{DeleteRecordsPartition, PartitionError, RequestId, ShardReply};
use super::super::store::Store;
use super::super::turn::Turn;

type Outcomes = Vec<Result<Offset, PartitionError>>;

#[derive(Debug, Default)]
pub(super) struct Trims {
    /// Requests that wait for the next checkpoint.
    waiting: Vec<(RequestId, Outcomes)>,
    /// Requests that wait for the checkpoint under way.
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

    pub(super) fn delete_records(
        &mut self,
        id: RequestId,
        partitions: &[DeleteRecordsPartition],
        store: &mut Store,
        turn: &mut Turn<'_>,
    ) {
        let outcomes: Outcomes = partitions.iter().map(|asked| trim(*asked, store, turn)).collect();
        if outcomes.iter().any(Result::is_ok) {
            self.waiting.push((id, outcomes));
        } else {
            turn.reply(id, ShardReply::DeleteRecords(outcomes));
        }
    }

    /// A checkpoint with the new starts is on stable storage.
    pub(super) fn written(&mut self, turn: &mut Turn<'_>) {
        for (id, outcomes) in std::mem::take(&mut self.writing) {
            turn.reply(id, ShardReply::DeleteRecords(outcomes));
        }
    }
}

fn trim(
    asked: DeleteRecordsPartition,
    store: &mut Store,
    turn: &mut Turn<'_>,
) -> Result<Offset, PartitionError> {
    if store.is_failed() {
        return Err(PartitionError::StorageFailed);
    }
    if store.is_stopping() {
        return Err(PartitionError::NotHere);
    }
    let slot = store.partitions.find(asked.partition).ok_or(PartitionError::NotHere)?;
    let partition = store.partitions.get_mut(slot).ok_or(PartitionError::NotHere)?;
    let marks = *partition.watermarks();
    let target = asked.before.unwrap_or(marks.high);
    if target.0 < 0 || target > marks.high {
        let (log_start, log_end) = (marks.log_start, marks.high);
        return Err(PartitionError::OffsetOutOfRange { requested: target, log_start, log_end });
    }
    let log_start = partition.change(|log, _| log.advance_start(target));
    store.moved(slot, turn);
    Ok(log_start)
}
