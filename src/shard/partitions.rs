//! The shard's partitions: found by id, kept in slots, brought in line with the cluster state.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::base::hash::IdMap;
use crate::base::io::IoOp;
use crate::base::{BLOCK_BYTES, Chunk, LeaderEpoch, Offset, PartitionIndex, TopicPartition};
use crate::config::topic::TopicSettings;
use crate::log::{PartitionLog, RecoveredLog};

use super::io::IoContext;
use super::{Effect, PartitionError, Shard};

/// One partition with whoever waits on it.
#[derive(Debug)]
pub(super) struct Partition {
    pub(super) log: PartitionLog,
    /// Its topic's, or for the metadata log the defaults.
    pub(super) settings: TopicSettings,
    pub(super) acks: VecDeque<Ack>,
    /// Fetches parked on this partition.
    pub(super) fetches: Vec<u64>,
    /// Among those whose memory is freed in turn.
    pub(super) is_evictable: bool,
    ops: u32,
    life: Life,
}

/// A produce that waits until the flushed offset reaches `end`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ack {
    pub(super) end: Offset,
    pub(super) wait: u64,
    /// Which of the request's partitions this is.
    pub(super) index: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Life {
    Serving,
    /// Its topic is gone; waits until nothing is being written any more.
    Dying,
    Deleting,
}

/// Slots are never used twice: whatever comes late for a deleted partition finds nobody.
#[derive(Debug, Default)]
pub(super) struct Partitions {
    by_id: IdMap<TopicPartition, u32>,
    slots: Vec<Option<Box<Partition>>>,
    dying: Vec<u32>,
}

impl Partition {
    fn new(log: PartitionLog) -> Partition {
        Partition {
            log,
            settings: TopicSettings::default(),
            acks: VecDeque::new(),
            fetches: Vec::new(),
            is_evictable: false,
            ops: 0,
            life: Life::Serving,
        }
    }

    /// True if the topic is acknowledged from memory (`flush.messages` above 1 and `flush.ms` above 0), by its own choice.
    /// What is acknowledged so is on its way to the commit log all the same: it never waits for either bound.
    pub(super) fn acknowledges_from_memory(&self) -> bool {
        !self.settings.sync_before_ack()
    }

    /// Takes the next produce that has waited for no more than `flushed`.
    pub(super) fn next_ack(&mut self, flushed: Offset) -> Option<Ack> {
        let is_ready = self.acks.front().is_some_and(|ack| ack.end <= flushed);
        if is_ready { self.acks.pop_front() } else { None }
    }

    /// Records below are visible to consumers.
    pub(super) fn high_watermark(&self) -> Offset {
        if self.acknowledges_from_memory() { self.log.log_end() } else { self.log.flushed_offset() }
    }

    /// A request's idea of the leader epoch against ours; -1 is not checked.
    pub(super) fn check_epoch(&self, requested: LeaderEpoch) -> Result<(), PartitionError> {
        let current = self.log.epoch();
        match requested {
            LeaderEpoch(-1) => Ok(()),
            requested if requested < current => Err(PartitionError::FencedLeaderEpoch { requested, current }),
            requested if requested > current => {
                Err(PartitionError::UnknownLeaderEpoch { requested, current })
            }
            _ => Ok(()),
        }
    }
}

impl Partitions {
    pub(super) fn recovered(
        found: Vec<(TopicPartition, RecoveredLog)>,
        allocate: &mut dyn FnMut(usize) -> Chunk,
    ) -> Partitions {
        let mut partitions = Partitions::default();
        for (id, log) in found {
            partitions.add(PartitionLog::recovered(id, log, allocate));
        }
        partitions
    }

    pub(super) fn len(&self) -> usize {
        self.by_id.len()
    }

    pub(super) fn find(&self, id: TopicPartition) -> Option<u32> {
        self.by_id.get(&id).copied()
    }

    pub(super) fn find_or_add(&mut self, id: TopicPartition) -> u32 {
        self.find(id).unwrap_or_else(|| self.add(PartitionLog::empty(id)))
    }

    pub(super) fn get(&self, slot: u32) -> Option<&Partition> {
        self.slots.get(slot as usize)?.as_deref()
    }

    pub(super) fn get_mut(&mut self, slot: u32) -> Option<&mut Partition> {
        self.slots.get_mut(slot as usize)?.as_deref_mut()
    }

    /// Offsets refused to readers.
    pub(super) fn quarantined(&self) -> u64 {
        let damaged = self.slots.iter().flatten().flat_map(|it| it.log.damaged().iter());
        damaged.map(|range| range.end.since(range.start).unsigned_abs()).sum()
    }

    /// Slots of serving partitions, in order.
    pub(super) fn slots(&self) -> Vec<u32> {
        let serving = |(slot, it): (usize, &Option<Box<Partition>>)| {
            it.as_ref().is_some_and(|it| it.life == Life::Serving).then(|| slot_number(slot))
        };
        self.slots.iter().enumerate().filter_map(serving).collect()
    }

    pub(super) fn is_serving(&self, slot: u32) -> bool {
        self.get(slot).is_some_and(|it| it.life == Life::Serving)
    }

    pub(super) fn all_finished(&self) -> bool {
        self.slots.iter().flatten().all(|it| it.life != Life::Serving || it.log.is_finished())
    }

    pub(super) fn op_issued(&mut self, slot: u32) {
        if let Some(partition) = self.get_mut(slot) {
            partition.ops += 1;
        }
    }

    pub(super) fn op_done(&mut self, slot: u32) {
        if let Some(partition) = self.get_mut(slot) {
            partition.ops -= 1;
        }
    }

    fn take(&mut self, slot: u32) -> Option<Box<Partition>> {
        self.slots.get_mut(slot as usize)?.take()
    }

    fn add(&mut self, log: PartitionLog) -> u32 {
        let slot = slot_number(self.slots.len());
        self.by_id.insert(log.id, slot);
        self.slots.push(Some(Box::new(Partition::new(log))));
        slot
    }
}

impl Shard {
    /// Brings the partitions in line with the image.
    pub(super) fn place_partitions(&mut self, effects: &mut Vec<Effect>) {
        let image = Arc::clone(&self.image);
        for topic in image.topics.values() {
            for (index, state) in topic.partitions.iter().enumerate() {
                let partition = PartitionIndex(i32::try_from(index).expect("partition counts fit i32"));
                if image.shard_of(topic, partition) == self.config.shard {
                    let id = TopicPartition { topic: topic.id, partition };
                    let slot = self.partitions.find_or_add(id);
                    let place = self.partitions.get_mut(slot).expect("just found or added");
                    place.log.lead(state.leader_epoch);
                    place.settings.clone_from(&topic.settings);
                }
            }
        }
        self.drop_partitions(effects);
        self.seat_coordinators(effects);
        self.commit.reserve_for(self.partitions.len());
        self.limit_chunks();
    }

    /// Unfinished chunks of all partitions together take half of the tails' memory at most.
    fn limit_chunks(&mut self) {
        let each = self.config.cache_bytes / 2 / self.partitions.len().max(1);
        let each = each.checked_ilog2().map_or(0, |log| 1 << log);
        self.limits.chunk_bytes_max = each.clamp(BLOCK_BYTES, self.config.limits.chunk_bytes_max);
    }

    /// Drops partitions whose topic is gone.
    fn drop_partitions(&mut self, effects: &mut Vec<Effect>) {
        let gone = |(id, _): &(&TopicPartition, &u32)| {
            **id != TopicPartition::METADATA && !self.image.topics_by_id.contains_key(&id.topic)
        };
        let mut gone: Vec<(TopicPartition, u32)> =
            self.partitions.by_id.iter().filter(gone).map(|(id, slot)| (*id, *slot)).collect();
        gone.sort_unstable();
        for (id, slot) in gone {
            self.partitions.by_id.remove(&id);
            let Some(partition) = self.partitions.get_mut(slot) else { continue };
            partition.life = Life::Dying;
            let acks = std::mem::take(&mut partition.acks);
            let fetches = std::mem::take(&mut partition.fetches);
            self.partitions.dying.push(slot);
            for ack in acks {
                self.settle(ack, Err(PartitionError::NotHere), effects);
            }
            for fetch in fetches {
                self.fetch.wake_one(fetch, slot);
                self.answer_fetch(fetch, effects);
            }
        }
        self.delete_finished(effects);
    }

    /// A dropped partition's files are gone, or will be after the next start.
    pub(super) fn partition_deleted(&mut self, slot: u32) {
        if let Some(gone) = self.partitions.take(slot) {
            self.unflushed_bytes -= gone.log.unflushed_bytes();
        }
        self.touch(slot);
    }

    /// Deletes dropped partitions on which nothing is under way any more.
    pub(super) fn delete_finished(&mut self, effects: &mut Vec<Effect>) {
        if self.partitions.dying.is_empty() {
            return;
        }
        for slot in std::mem::take(&mut self.partitions.dying) {
            match self.partitions.get_mut(slot) {
                Some(partition) if partition.ops > 0 => self.partitions.dying.push(slot),
                Some(partition) => {
                    partition.life = Life::Deleting;
                    self.cache.forget_partition(partition.log.id);
                    let op = IoOp::DeletePartition { partition: partition.log.id };
                    self.issue(IoContext::Delete { slot }, op, effects);
                }
                None => {}
            }
        }
    }
}

fn slot_number(index: usize) -> u32 {
    u32::try_from(index).expect("a shard has fewer than 2^32 partitions")
}
