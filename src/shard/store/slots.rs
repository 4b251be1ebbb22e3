//! The shard's partitions: found by id, kept in slots.
//!
//! A slot is the shard's own short name for a partition; no slot is used twice, so that what comes late for a deleted partition
//! finds nobody.

use crate::base::hash::IdMap;
use crate::base::{Chunk, TopicPartition};
use crate::log::{PartitionLog, RecoveredLog};

use super::acks::Ack;
use super::partition::{Life, Partition};

/// All partitions of the shard.
#[derive(Debug, Default)]
pub struct Partitions {
    by_id: IdMap<TopicPartition, u32>,
    slots: Vec<Option<Box<Partition>>>,
    dying: Vec<u32>,
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

    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    pub fn find(&self, id: TopicPartition) -> Option<u32> {
        self.by_id.get(&id).copied()
    }

    pub fn find_or_add(&mut self, id: TopicPartition) -> u32 {
        self.find(id).unwrap_or_else(|| self.add(PartitionLog::empty(id)))
    }

    pub fn get(&self, slot: u32) -> Option<&Partition> {
        self.slots.get(slot as usize)?.as_deref()
    }

    pub fn get_mut(&mut self, slot: u32) -> Option<&mut Partition> {
        self.slots.get_mut(slot as usize)?.as_deref_mut()
    }

    /// Offsets that are refused to readers because they are damaged or gone.
    pub fn quarantined(&self) -> u64 {
        let damaged = self.slots.iter().flatten().flat_map(|it| it.log().damaged().iter());
        damaged.map(|range| range.end.since(range.start).unsigned_abs()).sum()
    }

    /// Slots of serving partitions, in order.
    pub fn slots(&self) -> Vec<u32> {
        let serving = |(slot, it): (usize, &Option<Box<Partition>>)| {
            it.as_ref().is_some_and(|it| it.life == Life::Serving).then(|| slot_number(slot))
        };
        self.slots.iter().enumerate().filter_map(serving).collect()
    }

    pub fn is_serving(&self, slot: u32) -> bool {
        self.get(slot).is_some_and(|it| it.life == Life::Serving)
    }

    /// Nothing may touch the partition's files any more.
    pub(super) fn is_being_deleted(&self, slot: u32) -> bool {
        self.get(slot).is_some_and(|it| it.life == Life::Deleting)
    }

    pub(super) fn all_finished(&self) -> bool {
        self.slots.iter().flatten().all(|it| it.life != Life::Serving || it.log().is_finished())
    }

    pub(super) fn op_issued(&mut self, slot: u32) {
        if let Some(partition) = self.get_mut(slot) {
            partition.ops += 1;
        }
    }

    pub(super) fn op_done(&mut self, slot: u32) {
        if let Some(partition) = self.get_mut(slot) {
            assert!(partition.ops > 0, "an operation ends once");
            partition.ops -= 1;
        }
    }

    /// Lives on until nothing is being written any more; nobody finds it by its id.
    pub(super) fn drop_partition(&mut self, id: TopicPartition, slot: u32) -> Vec<Ack> {
        self.by_id.remove(&id);
        let Some(partition) = self.get_mut(slot) else { return Vec::new() };
        assert_eq!(partition.life, Life::Serving, "a partition is dropped once");
        partition.life = Life::Dying;
        let acks = partition.take_acks();
        self.dying.push(slot);
        acks
    }

    /// Dropped partitions on which nothing is under way any more, each once.
    pub(super) fn take_quiet(&mut self) -> Vec<(u32, TopicPartition)> {
        let mut quiet = Vec::new();
        for slot in std::mem::take(&mut self.dying) {
            match self.get_mut(slot) {
                Some(partition) if partition.ops > 0 => self.dying.push(slot),
                Some(partition) => {
                    partition.life = Life::Deleting;
                    quiet.push((slot, partition.log().id));
                }
                None => {}
            }
        }
        quiet
    }

    /// Whether a partition that was dropped still has files.
    pub(super) fn is_leaving(&self, id: TopicPartition) -> bool {
        let leaves = |it: &Partition| it.life != Life::Serving && it.log().id == id;
        self.slots.iter().flatten().any(|it| leaves(it))
    }

    /// An operation beside the log itself begins on its files.
    pub(super) fn begun_beside(&mut self, slot: u32) {
        if let Some(partition) = self.get_mut(slot) {
            partition.ops_beside += 1;
        }
    }

    /// An operation beside the log itself has ended. Says whether a cut has waited for it.
    pub(super) fn ended_beside(&mut self, slot: u32) -> bool {
        let Some(partition) = self.get_mut(slot) else { return false };
        assert!(partition.ops_beside > 0, "an operation ends once");
        partition.ops_beside -= 1;
        partition.ops_beside == 0 && partition.waiting_cut.is_some()
    }

    /// Every partition that can be found, with its slot.
    pub(super) fn by_id(&self) -> impl Iterator<Item = (TopicPartition, u32)> + '_ {
        self.by_id.iter().map(|(id, slot)| (*id, *slot))
    }

    pub(super) fn take(&mut self, slot: u32) -> Option<Box<Partition>> {
        self.slots.get_mut(slot as usize)?.take()
    }

    fn add(&mut self, log: PartitionLog) -> u32 {
        let slot = slot_number(self.slots.len());
        self.by_id.insert(log.id, slot);
        self.slots.push(Some(Box::new(Partition::new(log))));
        slot
    }
}

fn slot_number(index: usize) -> u32 {
    u32::try_from(index).expect("a shard has fewer than 2^32 partitions")
}
