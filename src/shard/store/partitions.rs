//! The shard's partitions: found by id, kept in slots.
//!
//! A partition's log changes only through [`Partition::change`], which keeps its watermarks in line. A slot is the shard's
//! own short name for a partition; no slot is used twice, so that what comes late for a deleted partition finds nobody.

use std::collections::VecDeque;

use crate::base::hash::IdMap;
use crate::base::{Chunk, LeaderEpoch, Offset, TopicPartition};
use crate::config::topic::TopicSettings;
use crate::log::{PartitionLog, RecoveredLog};

use super::super::request::PartitionError;
use super::watermarks::{VisibleWhen, Watermarks};

/// One partition with the producers that wait on it.
#[derive(Debug)]
pub struct Partition {
    log: PartitionLog,
    marks: Watermarks,
    /// The topic's settings; the defaults for the metadata log.
    settings: TopicSettings,
    pub(super) acks: VecDeque<Ack>,
    /// Whether the partition is in line to have its memory freed.
    pub(super) is_evictable: bool,
    /// Operations under way on the partition's files, or handed out to be issued.
    ops: u32,
    life: Life,
}

/// A produce request that waits until the flushed offset reaches `end`.
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
    /// The partition's topic is gone; it waits until nothing is being written any more.
    Dying,
    Deleting,
}

/// All partitions of the shard.
#[derive(Debug, Default)]
pub struct Partitions {
    by_id: IdMap<TopicPartition, u32>,
    slots: Vec<Option<Box<Partition>>>,
    dying: Vec<u32>,
}

impl Partition {
    fn new(log: PartitionLog) -> Partition {
        let settings = TopicSettings::default();
        Partition {
            marks: Watermarks::of(&log, visible_when(&settings)),
            log,
            settings,
            acks: VecDeque::new(),
            is_evictable: false,
            ops: 0,
            life: Life::Serving,
        }
    }

    pub fn log(&self) -> &PartitionLog {
        &self.log
    }

    pub fn settings(&self) -> &TopicSettings {
        &self.settings
    }

    pub fn watermarks(&self) -> &Watermarks {
        &self.marks
    }

    /// Changes the log, and its watermarks with it.
    pub fn change<R>(&mut self, change: impl FnOnce(&mut PartitionLog, &TopicSettings) -> R) -> R {
        let result = change(&mut self.log, &self.settings);
        self.marks.follow(&self.log, visible_when(&self.settings));
        result
    }

    /// The topic has these settings from now on, and the partition this leader epoch.
    pub(super) fn place(&mut self, settings: &TopicSettings, epoch: LeaderEpoch) {
        self.settings.clone_from(settings);
        self.log.lead(epoch);
        // A topic that no longer acknowledges from memory hides what is not durable yet.
        self.marks = Watermarks::of(&self.log, visible_when(&self.settings));
    }

    /// True if the topic is acknowledged from memory (`flush.messages` above 1 and `flush.ms` above 0), by its own choice.
    /// What is acknowledged so is on its way to the commit log all the same: it never waits for either bound.
    pub(super) fn acknowledges_from_memory(&self) -> bool {
        visible_when(&self.settings) == VisibleWhen::Appended
    }

    /// Takes the next produce that has waited for no more than `flushed`.
    pub(super) fn next_ack(&mut self, flushed: Offset) -> Option<Ack> {
        let is_ready = self.acks.front().is_some_and(|ack| ack.end <= flushed);
        if is_ready { self.acks.pop_front() } else { None }
    }

    /// A request's idea of the leader epoch against ours; -1 is not checked.
    pub fn check_epoch(&self, requested: LeaderEpoch) -> Result<(), PartitionError> {
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

fn visible_when(settings: &TopicSettings) -> VisibleWhen {
    if settings.sync_before_ack() { VisibleWhen::Flushed } else { VisibleWhen::Appended }
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
        let damaged = self.slots.iter().flatten().flat_map(|it| it.log.damaged().iter());
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
            assert!(partition.ops > 0, "an operation ends once");
            partition.ops -= 1;
        }
    }

    /// Lives on until nothing is being written any more; nobody finds it by its id.
    pub(super) fn drop_partition(&mut self, id: TopicPartition, slot: u32) -> VecDeque<Ack> {
        self.by_id.remove(&id);
        let Some(partition) = self.get_mut(slot) else { return VecDeque::new() };
        assert_eq!(partition.life, Life::Serving, "a partition is dropped once");
        partition.life = Life::Dying;
        let acks = std::mem::take(&mut partition.acks);
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
                    quiet.push((slot, partition.log.id));
                }
                None => {}
            }
        }
        quiet
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
