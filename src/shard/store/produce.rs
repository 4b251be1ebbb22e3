//! Produce: append at once, answer when durable.
//!
//! One path for every ack level and topic. Acks and the topic's `flush.messages` only decide at which watermark the answer is
//! released: at append (acks=0, so that an error can still close the connection), when the batch is durable here (acks=1), or
//! at the high watermark (acks=all). All wait while too much is on its way to the disk: nothing queues without a bound.
//!
//! Whoever waits for other servers waits for `timeout.ms` at most. A disk that does not answer ends the process.

use crate::base::{MonoNanos, Offset};

use super::super::request::{
    Acks, Appended, PartitionError, ProducePartition, ProduceRequest, ProduceResult, RequestId, ShardReply,
};
use super::super::turn::Turn;
use super::acks::{Ack, Until};
use super::append::Incoming;
use super::partition::Partition;
use super::state::{Stop, Store};

/// What the answer for one batch waits for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Awaits {
    Nothing,
    Disk,
    Servers,
}

impl Store {
    /// Appends each batch of a request. The answer leaves when all of them are as durable as their topics demand.
    pub fn produce(&mut self, id: RequestId, request: ProduceRequest, turn: &mut Turn<'_>) {
        let wait = self.produce.next();
        let mut results = Vec::with_capacity(request.partitions.len());
        let (mut awaited, mut on_servers) = (Vec::new(), false);
        for (index, part) in request.partitions.iter().enumerate() {
            let (outcome, awaits) = match self.produce_to(part, &request, (wait, index), turn) {
                Ok((appended, awaits)) => (Ok(appended), awaits),
                Err(error) => (Err(error), Awaits::Nothing),
            };
            if awaits != Awaits::Nothing {
                awaited.push(index);
                on_servers |= awaits == Awaits::Servers;
            }
            results.push(ProduceResult { partition: part.partition, outcome });
        }
        if awaited.is_empty() {
            return turn.reply(id, ShardReply::Produce(results));
        }
        let until = on_servers.then(|| turn.now.mono.plus_ms(u64::from(request.timeout_ms)));
        self.produce.insert(wait, id, results, awaited, until);
    }

    /// Appends one batch; tells what its answer waits for.
    fn produce_to(
        &mut self,
        part: &ProducePartition,
        request: &ProduceRequest,
        (wait, index): (u64, usize),
        turn: &mut Turn<'_>,
    ) -> Result<(Appended, Awaits), PartitionError> {
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
        self.judge_produce(slot, request.acks, turn.now.mono)?;
        let ProducePartition { records, inside, .. } = part;
        let batch = Incoming { records, inside, zstd_allowed: request.zstd_allowed };
        let accepted = self.append(slot, batch, turn)?;
        let is_behind = self.unflushed_bytes > self.config.unflushed_bytes_max;
        let partition = self.partitions.get_mut(slot).expect("found above");
        let relaxed = partition.acknowledges_from_memory();
        let marks = *partition.watermarks();
        let asked = match request.acks {
            Acks::None => None,
            Acks::Leader if relaxed => None,
            Acks::Leader => Some((Until::Flushed, marks.flushed)),
            Acks::All => Some((Until::HighWatermark, marks.high)),
        };
        let behind = is_behind.then_some((Until::Flushed, marks.flushed));
        let is_missing = |until: &(Until, Offset)| accepted.end > until.1;
        let until = asked.filter(is_missing).or(behind.filter(is_missing)).map(|(until, _)| until);
        if let Some(until) = until {
            let epoch = partition.epoch();
            partition.wait(until, Ack { end: accepted.end, wait, epoch, index });
        }
        let awaits = match until {
            None => Awaits::Nothing,
            Some(Until::HighWatermark) if partition.has_followers() => Awaits::Servers,
            Some(_) => Awaits::Disk,
        };
        if relaxed {
            self.moved(slot, turn);
        }
        let appended = Appended {
            base_offset: accepted.base_offset,
            log_append_time: accepted.log_append_time,
            log_start: marks.log_start,
        };
        Ok((appended, awaits))
    }

    /// Whether this server may take a batch for the partition, as its role and its replicas are.
    fn judge_produce(&self, slot: u32, acks: Acks, now: MonoNanos) -> Result<(), PartitionError> {
        let partition = self.partitions.get(slot).ok_or(PartitionError::NotHere)?;
        if !partition.leads() {
            return Err(PartitionError::NotLeader);
        }
        if acks == Acks::All && !partition.has_enough_replicas() {
            return Err(PartitionError::NotEnoughReplicas);
        }
        // What waits for all is safe by itself: each ack of this epoch shows that nobody else leads yet.
        if acks != Acks::All && partition.has_followers() && !self.holds_lease(now) {
            return Err(PartitionError::NotLeader);
        }
        Ok(())
    }

    /// The flushed offset or the high watermark of a partition has moved: releases the produce requests that waited for it.
    pub(super) fn progressed(&mut self, slot: u32, turn: &mut Turn<'_>) {
        self.moved(slot, turn);
        while let Some(ack) = self.partitions.get_mut(slot).and_then(Partition::next_ack) {
            self.settle(ack, Ok(()), turn);
        }
    }

    /// One partition of a waiting request is done.
    pub(super) fn settle(&mut self, ack: Ack, outcome: Result<(), PartitionError>, turn: &mut Turn<'_>) {
        if let Some((id, results)) = self.produce.settle(ack, outcome) {
            turn.reply(id, ShardReply::Produce(results));
        }
    }

    /// Requests that wait for acks of a partition fail: another epoch begins, or nothing of it is left here.
    pub(super) fn fail_acks(&mut self, slot: u32, error: &PartitionError, turn: &mut Turn<'_>) {
        let acks = self.partitions.get_mut(slot).map(Partition::take_acks).unwrap_or_default();
        for ack in acks {
            self.settle(ack, Err(error.clone()), turn);
        }
    }

    /// Answers requests that have waited for other servers long enough.
    pub fn expire_produces(&mut self, turn: &mut Turn<'_>) {
        while let Some((wait, mut due)) = self.produce.take_due(turn.now.mono) {
            let awaited: Vec<usize> = due.awaited().to_vec();
            for index in awaited {
                let Some(result) = due.results.get_mut(index) else { continue };
                let slot = self.partitions.find(result.partition);
                let partition = slot.and_then(|slot| self.partitions.get_mut(slot));
                let has_enough = partition.as_ref().is_some_and(|it| it.has_enough_replicas());
                if let Some(partition) = partition {
                    partition.forget_ack(wait);
                }
                result.outcome = Err(match has_enough {
                    true => PartitionError::TimedOut,
                    false => PartitionError::NotEnoughReplicasAfterAppend,
                });
            }
            turn.reply(due.id, ShardReply::Produce(due.results));
        }
    }
}
