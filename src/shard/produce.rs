//! Produce: append at once, answer when durable.
//!
//! One path for every ack level and topic: the topic's `flush.messages` only decides at which watermark the answer is
//! released, acks=0 only that it is released at append (so that an error can still close the connection). Both wait all the
//! same while too much is on its way to the disk: nothing queues without a bound.

use crate::base::hash::IdMap;
use crate::base::{Now, ProducerEpoch, ProducerId};
use bytes::Bytes;

use crate::log::{Accepted, AppendError, AppendRules};
use crate::record::{BatchHeader, Inside};

use super::partitions::Ack;
use super::request::{
    Appended, PartitionError, ProducePartition, ProduceRequest, ProduceResult, RequestId, ShardReply,
};
use super::{Effect, Shard, Stop};

/// Produce requests whose batches are appended but not all durable.
#[derive(Debug, Default)]
pub(super) struct ProduceWaits {
    waits: IdMap<u64, ProduceWait>,
    next: u64,
}

#[derive(Debug)]
struct ProduceWait {
    id: RequestId,
    results: Vec<ProduceResult>,
    remaining: usize,
}

/// A batch that comes to its log.
#[derive(Clone, Copy, Debug)]
pub(super) struct Incoming<'a> {
    records: &'a Bytes,
    inside: &'a Inside,
    /// See [`ProduceRequest::zstd_allowed`].
    zstd_allowed: bool,
}

impl<'a> Incoming<'a> {
    /// A batch that this server has made.
    pub(super) fn own(records: &'a Bytes) -> Incoming<'a> {
        Incoming { records, inside: &Inside::Unread, zstd_allowed: true }
    }
}

impl Shard {
    pub(super) fn produce(
        &mut self,
        now: Now,
        id: RequestId,
        request: ProduceRequest,
        effects: &mut Vec<Effect>,
    ) {
        let wait = self.produce.next;
        self.produce.next += 1;
        let mut results = Vec::with_capacity(request.partitions.len());
        let mut remaining = 0;
        for (index, part) in request.partitions.iter().enumerate() {
            let (outcome, waits) = match self.append(now, part, &request, (wait, index), effects) {
                Ok((appended, waits)) => (Ok(appended), waits),
                Err(error) => (Err(error), false),
            };
            remaining += usize::from(waits);
            results.push(ProduceResult { partition: part.partition, outcome });
        }
        if remaining == 0 {
            effects.push(Effect::Reply { to: id, reply: ShardReply::Produce(results) });
            self.answer_woken(effects);
        } else {
            self.produce.waits.insert(wait, ProduceWait { id, results, remaining });
        }
    }

    /// Appends one batch; tells whether its answer must wait.
    fn append(
        &mut self,
        now: Now,
        part: &ProducePartition,
        request: &ProduceRequest,
        (wait, index): (u64, usize),
        effects: &mut Vec<Effect>,
    ) -> Result<(Appended, bool), PartitionError> {
        if self.failed.is_some() {
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
        let accepted = self.append_to(now, slot, batch, effects)?;
        let is_behind = self.unflushed_bytes > self.config.unflushed_bytes_max;
        let partition = self.partitions.get_mut(slot).expect("found above");
        let relaxed = partition.acknowledges_from_memory();
        let durable = accepted.end <= partition.log.flushed_offset();
        let early = relaxed || request.answer_at_append;
        let waits = !durable && (is_behind || !early);
        if waits {
            partition.acks.push_back(Ack { end: accepted.end, wait, index });
        }
        if relaxed {
            self.fetch.wake(slot);
        }
        let log_start = self.partitions.get(slot).expect("found above").log.log_start();
        let appended = Appended {
            base_offset: accepted.base_offset,
            log_append_time: accepted.log_append_time,
            log_start,
        };
        Ok((appended, waits))
    }

    /// Appends to a slot, keeping count.
    pub(super) fn append_to(
        &mut self,
        now: Now,
        slot: u32,
        batch: Incoming<'_>,
        effects: &mut Vec<Effect>,
    ) -> Result<Accepted, PartitionError> {
        let partition = self.partitions.get_mut(slot).expect("the caller found the slot");
        let (before, producers) = (partition.log.log_end(), partition.log.producers().len());
        let base = partition.log.active_base();
        let lacked_file = partition.log.direct_run_lacks_file();
        let mut out = std::mem::take(&mut self.log_effects);
        let Incoming { records, inside, zstd_allowed } = batch;
        let found = match inside {
            Inside::Read(Ok(found)) => Some(*found),
            Inside::Read(Err(_)) | Inside::Unread => None,
        };
        // What a topic stores in zstd is its own affair, whatever the producer knows.
        let zstd_allowed = zstd_allowed || found.is_some_and(|found| found.recompressed);
        let rules =
            AppendRules { now, settings: &partition.settings, limits: &self.limits, zstd_allowed, inside };
        let result = partition.log.append(records, &rules, &mut *self.allocate, &mut out);
        let after = partition.log.log_end();
        let is_new = partition.log.producers().len() > producers;
        if result.is_ok() && after > before {
            self.unflushed_bytes += records.len();
        }
        self.absorb(slot, out, effects);
        if !lacked_file {
            self.hurry_direct_run(slot);
        }
        self.note_roll(slot, base);
        if is_new {
            self.producer_noted();
        }
        let counters = &mut self.counters;
        if let Some(found) = found {
            counters.batches_inflated += 1;
            counters.inflated_bytes += found.inflated_bytes as u64;
            counters.batches_recompressed += u64::from(found.recompressed);
        }
        match &result {
            Ok(_) if after == before => counters.batches_duplicate += 1,
            Ok(_) => {
                counters.batches_appended += 1;
                counters.bytes_appended += records.len() as u64;
                counters.records_appended += after.since(before).unsigned_abs();
            }
            Err(_) => counters.batches_refused += 1,
        }
        result.map_err(|error| refused(error, records))
    }

    /// The flushed offset of a partition has moved: release what waited for it.
    pub(super) fn flushed(&mut self, slot: u32, effects: &mut Vec<Effect>) {
        self.fetch.wake(slot);
        let Some(partition) = self.partitions.get(slot) else { return };
        let flushed = partition.log.flushed_offset();
        while let Some(ack) = self.partitions.get_mut(slot).and_then(|partition| partition.next_ack(flushed))
        {
            self.settle(ack, Ok(()), effects);
        }
        self.metadata_flushed(slot, flushed, effects);
        self.groups_flushed(slot, flushed, effects);
    }

    /// One partition of a waiting produce is done.
    pub(super) fn settle(
        &mut self,
        ack: Ack,
        outcome: Result<(), PartitionError>,
        effects: &mut Vec<Effect>,
    ) {
        let Some(wait) = self.produce.waits.get_mut(&ack.wait) else { return };
        if let (Err(error), Some(result)) = (outcome, wait.results.get_mut(ack.index)) {
            result.outcome = Err(error);
        }
        wait.remaining -= 1;
        if wait.remaining == 0
            && let Some(done) = self.produce.waits.remove(&ack.wait)
        {
            effects.push(Effect::Reply { to: done.id, reply: ShardReply::Produce(done.results) });
        }
    }
}

fn refused(error: AppendError, records: &Bytes) -> PartitionError {
    let producer = BatchHeader::parse(records).map_or(ProducerId::NONE, |header| header.producer_id);
    match error {
        AppendError::Batch(error) => PartitionError::Batch(error),
        AppendError::OutOfOrderSequence { expected, received } => {
            PartitionError::OutOfOrderSequence { producer, expected, received }
        }
        AppendError::InvalidProducerEpoch { current, received } => PartitionError::InvalidProducerEpoch {
            producer,
            current: ProducerEpoch(current),
            received: ProducerEpoch(received),
        },
    }
}
