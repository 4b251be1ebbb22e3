//! Appending a batch to a partition: one path for producers, coordinators and the controller.

use bytes::Bytes;

use crate::base::{Offset, ProducerEpoch, ProducerId};
use crate::log::{Accepted, AppendError, AppendRules, PartitionLog};
use crate::record::{BatchHeader, Inside};

use super::super::request::PartitionError;
use super::super::turn::{News, Turn};
use super::partition::Partition;
use super::state::Store;

/// A batch on its way to a log.
#[derive(Clone, Copy, Debug)]
pub struct Incoming<'a> {
    pub(super) records: &'a Bytes,
    pub(super) inside: &'a Inside,
    /// See [`ProduceRequest::zstd_allowed`](super::super::request::ProduceRequest::zstd_allowed).
    pub(super) zstd_allowed: bool,
}

impl<'a> Incoming<'a> {
    /// A batch that this server has made.
    pub fn own(records: &'a Bytes) -> Incoming<'a> {
        Incoming { records, inside: &Inside::Unread, zstd_allowed: true }
    }
}

impl Store {
    /// Appends a batch to the partition at a slot, and keeps count.
    ///
    /// # Panics
    ///
    /// If there is no partition at the slot.
    pub fn append(
        &mut self,
        slot: u32,
        batch: Incoming<'_>,
        turn: &mut Turn<'_>,
    ) -> Result<Accepted, PartitionError> {
        let Incoming { records, inside, zstd_allowed } = batch;
        let found = match inside {
            Inside::Read(Ok(found)) => Some(*found),
            Inside::Read(Err(_)) | Inside::Unread => None,
        };
        // A batch that was compressed anew, as its topic wants it, may be in zstd even if the producer knows no zstd.
        let zstd_allowed = zstd_allowed || found.is_some_and(|found| found.recompressed);
        let mut out = std::mem::take(&mut self.log_effects);
        let (limits, allocate) = (&self.limits, &mut *self.allocate);
        let partition = self.partitions.get_mut(slot).expect("the caller found the slot");
        let before = Extent::of(partition.log());
        let result = partition.change(|log, settings| {
            let rules = AppendRules { now: turn.now, settings, limits, zstd_allowed, inside };
            log.append(records, &rules, allocate, &mut out)
        });
        let after = Extent::of(partition.log());
        assert!(
            result.is_ok() || after.log_end == before.log_end,
            "a refused batch leaves nothing in the log"
        );
        if after.log_end > before.log_end {
            self.unflushed_bytes += records.len();
        }
        self.carry_out(slot, out, turn);
        self.extended(slot, before, after, turn);
        let counters = &mut self.counters;
        if let Some(found) = found {
            counters.batches_inflated += 1;
            counters.inflated_bytes += found.inflated_bytes as u64;
            counters.batches_recompressed += u64::from(found.recompressed);
        }
        match &result {
            Ok(_) if after.log_end == before.log_end => counters.batches_duplicate += 1,
            Ok(_) => {
                counters.batches_appended += 1;
                counters.bytes_appended += records.len() as u64;
                counters.records_appended += after.log_end.since(before.log_end).unsigned_abs();
            }
            Err(_) => counters.batches_refused += 1,
        }
        result.map_err(|error| refused(error, records))
    }

    /// A log has got longer: who cares about that hears it.
    pub(super) fn extended(&mut self, slot: u32, before: Extent, after: Extent, turn: &mut Turn<'_>) {
        if after.lacks_file && !before.lacks_file {
            // The batch is a direct run, and its file is not there yet. Its producer waits for the file, which is therefore
            // made before those that nobody waits for.
            self.writeback.create_first(slot);
        }
        if after.active_base > before.active_base {
            turn.tell(News::Rolled(slot));
        }
        if after.producers > before.producers {
            self.producer_noted();
        }
        let is_streamed = self.partitions.get(slot).is_some_and(Partition::is_streamed);
        if is_streamed && after.log_end > before.log_end {
            turn.tell(News::Appended(slot));
        }
    }
}

/// What an append may change of a log.
#[derive(Clone, Copy, Debug)]
pub(super) struct Extent {
    log_end: Offset,
    producers: usize,
    active_base: Offset,
    lacks_file: bool,
}

impl Extent {
    pub(super) fn of(log: &PartitionLog) -> Extent {
        Extent {
            log_end: log.log_end(),
            producers: log.producers().len(),
            active_base: log.active_base(),
            lacks_file: log.direct_run_lacks_file(),
        }
    }
}

fn refused(error: AppendError, records: &Bytes) -> PartitionError {
    let producer = BatchHeader::parse(records).map_or(ProducerId::NONE, |header| header.producer_id);
    match error {
        AppendError::Batch(error) => PartitionError::Batch(error),
        // Whoever leads from now on cuts its log first: the producer comes again.
        AppendError::Cutting => PartitionError::NotHere,
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
