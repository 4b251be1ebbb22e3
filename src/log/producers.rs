//! Idempotence: what each producer has written here last, as a pure function of the log's prefix.
//!
//! Per producer id the epoch and the last five batches (Kafka's client keeps at most five in flight). A batch that
//! repeats one of them is answered with its first offset; one that does not follow is refused; a producer nothing is
//! known of may begin anywhere (KIP-360).
//!
//! A log that follows another may be cut, at or above its high watermark. So there are two levels: what is settled, and the
//! batches above it, which a cut may take away; then what is left is what the shorter log would have led to. Both are in one
//! list a producer: all its batches above the high watermark, and the last five below. Nothing is moved when the high watermark
//! moves; what is not needed any more goes when the producer writes again.
//!
//! Limits: [`PRODUCERS_MAX`], and [`ABOVE_MAX`] batches more than five each in all lists together. Beyond, a cut may want the
//! states to be built again from the log ([`Prefix::Lost`]). That a producer was forgotten is not undone by a cut.

use std::collections::{BTreeMap, VecDeque};

use crate::base::{Offset, ProducerEpoch, ProducerId, TimestampMs, mark};
use crate::record::BatchHeader;

use super::cut::Cut;

/// Batches remembered per producer: what a client may have in flight.
pub const BATCHES_MAX: usize = 5;
/// Producers remembered per partition; beyond, the one silent for longest is forgotten.
pub const PRODUCERS_MAX: usize = 10_000;
/// Batches above the high watermark that are remembered per partition, besides the last five of each producer.
pub const ABOVE_MAX: usize = 4096;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProducerStates {
    producers: BTreeMap<ProducerId, ProducerState>,
    /// The high watermark: what is below stays.
    settled: Offset,
    /// A cut at or above finds all it needs, if it is at or above the high watermark too.
    known_from: Offset,
    /// Batches more than five each, in all lists.
    above: usize,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProducerState {
    pub epoch: ProducerEpoch,
    /// The largest timestamp of the newest batch: what expiry goes by.
    pub timestamp: TimestampMs,
    /// Ascending. Those of an older epoch are here for a cut only.
    batches: VecDeque<ProducedBatch>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProducedBatch {
    pub first_sequence: i32,
    pub last_sequence: i32,
    pub base_offset: Offset,
    pub epoch: ProducerEpoch,
    pub timestamp: TimestampMs,
}

/// Whether a cut has left the states of the shorter log.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Prefix {
    Known,
    /// The cut was below the high watermark, or beyond the limits: what is left is true, but something may be missing.
    Lost,
}

impl ProducedBatch {
    #[must_use]
    pub fn last_offset(&self) -> Offset {
        let records = match self.last_sequence.checked_sub(self.first_sequence) {
            Some(more @ 0..) => i64::from(more),
            _ => i64::from(self.last_sequence) - i64::from(self.first_sequence) + (1 << 31),
        };
        Offset(self.base_offset.0.saturating_add(records))
    }
}

impl ProducerState {
    /// A producer that has written these batches last, all of one epoch.
    #[must_use]
    pub fn of(epoch: ProducerEpoch, timestamp: TimestampMs, batches: Vec<ProducedBatch>) -> ProducerState {
        ProducerState { epoch, timestamp, batches: batches.into() }
    }

    /// The batches that admission goes by, the newest first.
    pub fn recent(&self) -> impl Iterator<Item = &ProducedBatch> {
        self.batches.iter().rev().take(BATCHES_MAX).filter(|batch| batch.epoch == self.epoch)
    }

    /// The state without the batches at or beyond `end`, and these; `None` if it had written nothing before.
    pub fn parted(&self, end: Offset) -> (Option<ProducerState>, impl Iterator<Item = &ProducedBatch>) {
        let below = self.batches.partition_point(|batch| batch.last_offset() < end);
        let batches: VecDeque<ProducedBatch> = self.batches.range(..below).copied().collect();
        let state = batches.back().copied().map(|ProducedBatch { epoch, timestamp, .. }| ProducerState {
            epoch,
            timestamp,
            batches,
        });
        (state, self.batches.range(below..))
    }

    fn above(&self) -> usize {
        self.batches.len().saturating_sub(BATCHES_MAX)
    }
}

/// A batch as idempotence sees it.
#[derive(Clone, Copy, Debug)]
pub struct Sequenced {
    pub producer: ProducerId,
    pub epoch: ProducerEpoch,
    pub first_sequence: i32,
    pub records: i32,
}

impl Sequenced {
    /// Sequences wrap from `i32::MAX` to 0.
    #[must_use]
    pub fn last_sequence(&self) -> i32 {
        wrapping_sequence(self.first_sequence, self.records - 1)
    }

    /// A batch that was noted before.
    pub(super) fn again(producer: ProducerId, batch: &ProducedBatch) -> Sequenced {
        let records = batch.last_offset().since(batch.base_offset).saturating_add(1);
        let records = i32::try_from(records).unwrap_or(i32::MAX);
        Sequenced { producer, epoch: batch.epoch, first_sequence: batch.first_sequence, records }
    }

    /// What a stored batch is to idempotence; `None` if it is not of a producer that numbers its records. Compaction may have
    /// taken records out: their numbers are gone all the same.
    #[must_use]
    pub fn of(header: &BatchHeader) -> Option<Sequenced> {
        (header.producer_id.0 >= 0 && !header.is_control()).then_some(Sequenced {
            producer: header.producer_id,
            epoch: header.producer_epoch,
            first_sequence: header.base_sequence,
            records: header.last_offset_delta.saturating_add(1),
        })
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// The batch follows, or the producer is new here: append it.
    Append,
    /// The batch is in the log already.
    Duplicate(ProducedBatch),
    OutOfOrder {
        expected: i32,
    },
    Fenced {
        current: ProducerEpoch,
    },
}

impl ProducerStates {
    /// Whether the batch may be appended. Changes nothing.
    #[must_use]
    pub fn admit(&self, batch: &Sequenced) -> Admission {
        let Some(state) = self.producers.get(&batch.producer) else { return Admission::Append };
        if batch.epoch < state.epoch {
            return Admission::Fenced { current: state.epoch };
        }
        if batch.epoch > state.epoch {
            return if batch.first_sequence == 0 {
                Admission::Append
            } else {
                Admission::OutOfOrder { expected: 0 }
            };
        }
        let repeats = |known: &&ProducedBatch| {
            known.first_sequence == batch.first_sequence && known.last_sequence == batch.last_sequence()
        };
        if let Some(known) = state.recent().find(repeats) {
            return Admission::Duplicate(*known);
        }
        match state.recent().next() {
            None => Admission::Append,
            Some(last) => {
                let expected = wrapping_sequence(last.last_sequence, 1);
                if batch.first_sequence == expected {
                    Admission::Append
                } else {
                    Admission::OutOfOrder { expected }
                }
            }
        }
    }

    /// Takes note of an appended batch.
    pub fn note(&mut self, batch: &Sequenced, base_offset: Offset, timestamp: TimestampMs) {
        let (epoch, settled) = (batch.epoch, self.settled);
        let produced = ProducedBatch {
            first_sequence: batch.first_sequence,
            last_sequence: batch.last_sequence(),
            base_offset,
            epoch,
            timestamp,
        };
        let state = self.producers.entry(batch.producer).or_insert_with(|| ProducerState {
            epoch,
            timestamp,
            batches: VecDeque::new(),
        });
        let is_noted = state.batches.back().is_some_and(|last| last.base_offset >= base_offset);
        if is_noted || epoch < state.epoch {
            return;
        }
        state.epoch = epoch;
        state.timestamp = timestamp;
        state.batches.push_back(produced);
        if state.batches.len() > BATCHES_MAX {
            self.above += 1;
            while state.batches.get(BATCHES_MAX).is_some_and(|sixth| sixth.last_offset() < settled) {
                state.batches.pop_front();
                self.above -= 1;
            }
            if self.above > ABOVE_MAX {
                mark("more batches above the high watermark than are remembered");
                self.above -= state.batches.drain(..state.above()).len();
                self.known_from = self.known_from.max(produced.last_offset().plus(1));
            }
        }
        self.forget_beyond_limit(batch.producer);
    }

    /// The high watermark is here, or further: nothing below will be cut.
    pub fn settle(&mut self, high_watermark: Offset) {
        self.settled = self.settled.max(high_watermark);
    }

    /// Where a cut finds all it needs, if it is not below the high watermark.
    #[must_use]
    pub fn known_from(&self) -> Offset {
        self.known_from
    }

    /// A cut below finds less than it needs: what a snapshot remembers of the states that it was made of.
    pub fn know_from(&mut self, offset: Offset) {
        self.known_from = self.known_from.max(offset);
    }

    /// Forgets producers older than `oldest`: silent for longer, or as long with a lower id.
    pub fn expire(&mut self, oldest: (TimestampMs, ProducerId)) {
        let above = &mut self.above;
        self.producers.retain(|id, state| {
            let is_kept = (state.timestamp, *id) >= oldest;
            *above -= if is_kept { 0 } else { state.above() };
            is_kept
        });
    }

    /// Forgets batches at or beyond `end`: the log turned out to end there, or was cut.
    pub fn truncate(&mut self, end: Offset) -> Prefix {
        let prefix = if end < self.settled.max(self.known_from) { Prefix::Lost } else { Prefix::Known };
        self.producers.retain(|_, state| {
            let below = state.batches.partition_point(|batch| batch.last_offset() < end);
            state.batches.truncate(below);
            let last = state.batches.back();
            last.inspect(|last| (state.epoch, state.timestamp) = (last.epoch, last.timestamp)).is_some()
        });
        self.above = self.producers.values().map(ProducerState::above).sum();
        self.settled = self.settled.min(end);
        self.known_from = self.known_from.min(end);
        prefix
    }

    /// The log is cut. Where nothing of it stays, nothing is known.
    pub fn cut(&mut self, cut: &Cut) -> Prefix {
        if !cut.keeps_nothing() {
            return self.truncate(cut.begin_at);
        }
        *self = ProducerStates::default();
        Prefix::Known
    }

    /// Takes over what a scan of the log up to `end` has found: what is known of batches from there on comes behind it.
    pub fn rebuilt(&mut self, mut scanned: ProducerStates, end: Offset) {
        let later = self.producers.iter().flat_map(|(id, state)| state.batches.iter().map(|it| (*id, *it)));
        let mut later: Vec<_> = later.filter(|(_, batch)| batch.base_offset >= end).collect();
        later.sort_by_key(|(_, batch)| batch.base_offset);
        scanned.settled = self.settled;
        for (producer, batch) in later {
            scanned.note(&Sequenced::again(producer, &batch), batch.base_offset, batch.timestamp);
        }
        *self = scanned;
    }

    /// Puts a remembered producer back, as a snapshot has it.
    pub fn restore(&mut self, producer: ProducerId, state: ProducerState) {
        if !state.batches.is_empty() {
            self.above += state.above();
            self.producers.insert(producer, state);
        }
    }

    pub fn iter(&self) -> impl Iterator<Item = (ProducerId, &ProducerState)> {
        self.producers.iter().map(|(id, state)| (*id, state))
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.producers.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.producers.is_empty()
    }

    fn forget_beyond_limit(&mut self, newest: ProducerId) {
        if self.producers.len() <= PRODUCERS_MAX {
            return;
        }
        let silent =
            self.producers.iter().filter(|(id, _)| **id != newest).min_by_key(|(_, state)| state.timestamp);
        if let Some(gone) = silent.map(|(id, _)| *id).and_then(|id| self.producers.remove(&id)) {
            self.above -= gone.above();
        }
    }
}

fn wrapping_sequence(sequence: i32, by: i32) -> i32 {
    let sum = i64::from(sequence) + i64::from(by);
    let wrapped = if sum > i64::from(i32::MAX) { sum - i64::from(i32::MAX) - 1 } else { sum };
    i32::try_from(wrapped).expect("wrapped into range")
}

#[cfg(test)]
mod tests;
