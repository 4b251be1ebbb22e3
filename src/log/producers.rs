//! Idempotence: what each producer has written here last, as a pure function of the log's prefix.
//!
//! Per producer id the epoch and the last five batches (Kafka's client keeps at most five in flight). A batch that
//! repeats one of them is answered with its first offset; one that does not follow is refused; a producer nothing is
//! known of may begin anywhere (KIP-360).

use std::collections::BTreeMap;

use crate::base::{Offset, ProducerEpoch, ProducerId, TimestampMs};

/// Batches remembered per producer: what a client may have in flight.
pub const BATCHES_MAX: usize = 5;
/// Producers remembered per partition; beyond, the one silent for longest is forgotten.
pub const PRODUCERS_MAX: usize = 10_000;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProducerStates {
    producers: BTreeMap<ProducerId, ProducerState>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProducerState {
    pub epoch: ProducerEpoch,
    /// The last batches, the newest at the end.
    pub batches: Vec<ProducedBatch>,
    /// The largest timestamp of the newest batch: what expiry goes by.
    pub timestamp: TimestampMs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProducedBatch {
    pub first_sequence: i32,
    pub last_sequence: i32,
    pub base_offset: Offset,
    pub last_offset: Offset,
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
        if let Some(known) = state.batches.iter().find(repeats) {
            return Admission::Duplicate(*known);
        }
        match state.batches.last() {
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
        let last_offset = base_offset.plus(i64::from(batch.records) - 1);
        let produced = ProducedBatch {
            first_sequence: batch.first_sequence,
            last_sequence: batch.last_sequence(),
            base_offset,
            last_offset,
        };
        let state = self.producers.entry(batch.producer).or_insert_with(|| ProducerState {
            epoch: batch.epoch,
            batches: Vec::new(),
            timestamp,
        });
        if batch.epoch > state.epoch {
            state.epoch = batch.epoch;
            state.batches.clear();
        }
        if state.batches.last().is_some_and(|last| last.last_offset >= base_offset) {
            return;
        }
        if state.batches.len() == BATCHES_MAX {
            state.batches.remove(0);
        }
        state.batches.push(produced);
        state.timestamp = timestamp;
        self.forget_beyond_limit(batch.producer);
    }

    /// Forgets producers older than `oldest`: silent for longer, or as long with a lower id.
    pub fn expire(&mut self, oldest: (TimestampMs, ProducerId)) {
        self.producers.retain(|id, state| (state.timestamp, *id) >= oldest);
    }

    /// Forgets batches at or beyond `end`: the log turned out to end there.
    pub fn truncate(&mut self, end: Offset) {
        for state in self.producers.values_mut() {
            state.batches.retain(|batch| batch.last_offset < end);
        }
        self.producers.retain(|_, state| !state.batches.is_empty());
    }

    /// Puts a remembered producer back, as a snapshot has it.
    pub fn restore(&mut self, producer: ProducerId, state: ProducerState) {
        self.producers.insert(producer, state);
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
        if let Some(id) = silent.map(|(id, _)| *id) {
            self.producers.remove(&id);
        }
    }
}

fn wrapping_sequence(sequence: i32, by: i32) -> i32 {
    let sum = i64::from(sequence) + i64::from(by);
    let wrapped = if sum > i64::from(i32::MAX) { sum - i64::from(i32::MAX) - 1 } else { sum };
    i32::try_from(wrapped).expect("wrapped into range")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(epoch: i16, first_sequence: i32, records: i32) -> Sequenced {
        Sequenced { producer: ProducerId(7), epoch: ProducerEpoch(epoch), first_sequence, records }
    }

    fn states() -> ProducerStates {
        let mut states = ProducerStates::default();
        for index in 0..7 {
            states.note(&batch(1, index * 10, 10), Offset(i64::from(index) * 10), TimestampMs(5));
        }
        states
    }

    #[test]
    fn five_batches_are_remembered_and_the_next_must_follow() {
        let states = states();
        assert_eq!(states.admit(&batch(1, 70, 3)), Admission::Append);
        assert_eq!(states.admit(&batch(1, 71, 3)), Admission::OutOfOrder { expected: 70 });
        assert!(
            matches!(states.admit(&batch(1, 20, 10)), Admission::Duplicate(known) if known.base_offset == Offset(20))
        );
        assert_eq!(states.admit(&batch(1, 10, 10)), Admission::OutOfOrder { expected: 70 });
        assert_eq!(states.admit(&batch(0, 70, 1)), Admission::Fenced { current: ProducerEpoch(1) });
        assert_eq!(states.admit(&batch(2, 0, 1)), Admission::Append);
        assert_eq!(states.admit(&batch(2, 5, 1)), Admission::OutOfOrder { expected: 0 });
    }

    #[test]
    fn sequences_wrap_and_truncation_forgets() {
        let mut states = ProducerStates::default();
        states.note(&batch(0, i32::MAX - 1, 4), Offset(0), TimestampMs(1));
        assert_eq!(states.admit(&batch(0, 2, 1)), Admission::Append);
        let mut states = self::states();
        states.truncate(Offset(45));
        assert_eq!(states.admit(&batch(1, 40, 10)), Admission::Append);
        states.truncate(Offset(0));
        assert!(states.is_empty());
    }
}
