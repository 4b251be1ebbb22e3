//! What a connection has been told of leaders, and which batches are refused because of it.

use std::collections::BTreeMap;

use crate::base::{ProducerEpoch, ProducerId, TopicPartition};
use crate::record::BatchHeader;

/// Partitions of a connection that are remembered; those beyond get no hints.
pub(super) const PARTITIONS_MAX: usize = 1024;

/// What a connection has been told already.
#[derive(Clone, Debug, Default)]
pub struct Hints {
    given: BTreeMap<TopicPartition, Given>,
}

#[derive(Clone, Copy, Debug)]
enum Given {
    Done,
    /// This batch was refused and has not come again.
    Behind(Sequence),
}

/// Where a batch stands among those of its producer.
#[derive(Clone, Copy, Debug)]
struct Sequence {
    producer: ProducerId,
    epoch: ProducerEpoch,
    sequence: i32,
}

impl Sequence {
    fn of(batch: &BatchHeader) -> Option<Sequence> {
        let (producer, epoch, sequence) = (batch.producer_id, batch.producer_epoch, batch.base_sequence);
        (producer != ProducerId::NONE && sequence >= 0).then_some(Sequence { producer, epoch, sequence })
    }

    /// Whether this batch was sent after `refused`. Sequences start over at 0 after the greatest `i32`.
    fn is_behind(self, refused: Sequence) -> bool {
        let ahead = self.sequence.wrapping_sub(refused.sequence) & i32::MAX;
        (self.producer, self.epoch) == (refused.producer, refused.epoch) && (1..1 << 30).contains(&ahead)
    }
}

impl Hints {
    /// Whether a Fetch of a partition elsewhere is to be refused.
    pub(super) fn refuses_fetch(&mut self, partition: TopicPartition) -> bool {
        !self.given.contains_key(&partition) && self.give(partition, Given::Done)
    }

    /// Whether a batch for a partition elsewhere is to be refused.
    pub(super) fn refuses_produce(&mut self, partition: TopicPartition, batch: &BatchHeader) -> bool {
        let Some(sequence) = Sequence::of(batch) else { return false };
        match self.given.get(&partition) {
            None => self.give(partition, Given::Behind(sequence)),
            Some(Given::Done) => false,
            Some(Given::Behind(refused)) => {
                let is_behind = sequence.is_behind(*refused);
                if !is_behind {
                    self.give(partition, Given::Done);
                }
                is_behind
            }
        }
    }

    fn give(&mut self, partition: TopicPartition, given: Given) -> bool {
        let has_room = self.given.len() < PARTITIONS_MAX || self.given.contains_key(&partition);
        if has_room {
            self.given.insert(partition, given);
        }
        has_room
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sequences_start_over_behind_the_greatest() {
        let sequence = |sequence| Sequence { producer: ProducerId(7), epoch: ProducerEpoch(0), sequence };
        let check = |one, other, behind| {
            assert_eq!(sequence(one).is_behind(sequence(other)), behind, "{one} behind {other}");
        };
        check(5, 5, false);
        check(6, 5, true);
        check(4, 5, false);
        check(3, i32::MAX - 2, true);
        check(i32::MAX - 2, 3, false);
    }
}
