//! Produce: append at once, answer when durable.
//!
//! One path for every ack level and topic: the topic's `flush.messages` only decides at which watermark the answer is
//! released, acks=0 only that it is released at append (so that an error can still close the connection). Both wait all the
//! same while too much is on its way to the disk: nothing queues without a bound.

use super::super::request::{
    Appended, PartitionError, ProducePartition, ProduceRequest, ProduceResult, RequestId, ShardReply,
};
use super::super::turn::Turn;
use super::append::Incoming;
use super::partitions::Ack;
use super::state::{Stop, Store};

impl Store {
    /// Appends each batch of a request. The answer leaves when all of them are as durable as their topics demand.
    pub fn produce(&mut self, id: RequestId, request: ProduceRequest, turn: &mut Turn<'_>) {
        let wait = self.produce.next();
        let mut results = Vec::with_capacity(request.partitions.len());
        let mut remaining = 0;
        for (index, part) in request.partitions.iter().enumerate() {
            let (outcome, waits) = match self.produce_to(part, &request, (wait, index), turn) {
                Ok((appended, waits)) => (Ok(appended), waits),
                Err(error) => (Err(error), false),
            };
            remaining += usize::from(waits);
            results.push(ProduceResult { partition: part.partition, outcome });
        }
        if remaining == 0 {
            turn.reply(id, ShardReply::Produce(results));
        } else {
            self.produce.insert(wait, id, results, remaining);
        }
    }

    /// Appends one batch; tells whether its answer must wait.
    fn produce_to(
        &mut self,
        part: &ProducePartition,
        request: &ProduceRequest,
        (wait, index): (u64, usize),
        turn: &mut Turn<'_>,
    ) -> Result<(Appended, bool), PartitionError> {
        if self.is_failed() {
            return Err(PartitionError::StorageFailed);
        }
        if self.disk_full || self.disk_low {
            return Err(PartitionError::DiskFull);
        }
        if self.stop != Stop::Running {
            return Err(PartitionError::NotHere);
        }
        let slot = self.partitions.find(part.partition).ok_or(PartitionError::NotHere)?;
        let ProducePartition { records, inside, .. } = part;
        let batch = Incoming { records, inside, zstd_allowed: request.zstd_allowed };
        let accepted = self.append(slot, batch, turn)?;
        let is_behind = self.unflushed_bytes > self.config.unflushed_bytes_max;
        let partition = self.partitions.get_mut(slot).expect("found above");
        let relaxed = partition.acknowledges_from_memory();
        let marks = *partition.watermarks();
        let durable = accepted.end <= marks.flushed;
        let waits = !durable && (is_behind || !(relaxed || request.answer_at_append));
        if waits {
            partition.acks.push_back(Ack { end: accepted.end, wait, index });
        }
        if relaxed {
            self.moved(slot, turn);
        }
        let appended = Appended {
            base_offset: accepted.base_offset,
            log_append_time: accepted.log_append_time,
            log_start: marks.log_start,
        };
        Ok((appended, waits))
    }

    /// The flushed offset of a partition has moved: releases the produce requests that waited for it.
    pub(super) fn progressed(&mut self, slot: u32, turn: &mut Turn<'_>) {
        self.moved(slot, turn);
        let Some(flushed) = self.partitions.get(slot).map(|it| it.watermarks().flushed) else { return };
        while let Some(ack) = self.partitions.get_mut(slot).and_then(|partition| partition.next_ack(flushed))
        {
            self.settle(ack, Ok(()), turn);
        }
    }

    /// One partition of a waiting request is done.
    pub(super) fn settle(&mut self, ack: Ack, outcome: Result<(), PartitionError>, turn: &mut Turn<'_>) {
        if let Some((id, results)) = self.produce.settle(ack, outcome) {
            turn.reply(id, ShardReply::Produce(results));
        }
    }
}
