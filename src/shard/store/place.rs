//! Brings the partitions in line with the cluster state: new ones begin, those whose topic is gone are dropped, and their
//! files are removed once nothing is under way on them.

use std::ops::Range;
use std::sync::Arc;

use crate::base::io::IoOp;
use crate::base::{BLOCK_BYTES, LeaderEpoch, Offset, Rule, ShardId, TopicId, TopicPartition, holds, mark};
use crate::commit::{CutHeader, Logged, Pending, Receipt, Says};
use crate::controller::{Change, MetadataImage, Published, Resource, TopicImage};
use crate::log;

use super::super::event::Operation;
use super::super::request::PartitionError;
use super::super::turn::{News, Turn};
use super::state::Store;

/// What is new in an image.
#[derive(Clone, Copy, Debug)]
pub struct ImageChanged {
    /// Partitions came or went, or their states changed.
    pub partitions: bool,
    /// Topics may have other settings, or none any more.
    pub settings: bool,
    /// Topics are gone.
    pub removals: bool,
}

impl ImageChanged {
    fn of(changes: &[Change]) -> ImageChanged {
        ImageChanged {
            partitions: changes.iter().any(Change::is_of_partitions),
            settings: changes.iter().any(Change::is_of_settings),
            removals: changes.iter().any(Change::is_a_removal),
        }
    }
}

impl Store {
    /// A new cluster state, and what is new in it; `None` if it is older than the one there is, and nothing has changed.
    pub fn take_image(&mut self, published: &Published, turn: &mut Turn<'_>) -> Option<ImageChanged> {
        if published.image.version < self.image.version {
            return None;
        }
        let before = std::mem::replace(&mut self.image, Arc::clone(&published.image));
        let changes = &published.changes;
        if before.version == published.from_version {
            self.follow_changes(&before, changes, turn);
            return Some(ImageChanged::of(changes));
        }
        self.place_partitions(turn);
        Some(ImageChanged { partitions: true, settings: true, removals: true })
    }

    /// Brings the partitions in line with the image, whatever was there before.
    pub(super) fn place_partitions(&mut self, turn: &mut Turn<'_>) {
        let image = Arc::clone(&self.image);
        for topic in image.topics.values() {
            self.place(&image, topic, 0..topic.partitions.len(), turn);
        }
        self.leave_strays(turn);
        self.count_partitions();
    }

    /// Brings the partitions in line with what has changed since the image `before`: nothing else is looked at.
    fn follow_changes(&mut self, before: &MetadataImage, changes: &[Change], turn: &mut Turn<'_>) {
        let image = Arc::clone(&self.image);
        for change in changes {
            match change {
                Change::TopicAdded(id) | Change::TopicConfigs(id) => {
                    self.place_topic(&image, *id, 0..usize::MAX, turn);
                }
                Change::Partitions(run) => {
                    self.leave_moved(before, run.topic, run.partitions.clone(), turn);
                    self.place_topic(&image, run.topic, run.partitions.clone(), turn);
                }
                Change::SomePartitions(runs) => {
                    for run in runs {
                        self.leave_moved(before, run.topic, run.partitions.clone(), turn);
                        self.place_topic(&image, run.topic, run.partitions.clone(), turn);
                    }
                }
                Change::TopicRemoved(id) => {
                    for id in before.topic_by_id(*id).iter().flat_map(|topic| topic.partition_ids()) {
                        self.leave(id, before, turn);
                    }
                }
                Change::Configs(Resource::AllBrokers | Resource::Broker(_)) => {
                    for topic in image.topics.values() {
                        self.place(&image, topic, 0..topic.partitions.len(), turn);
                    }
                }
                // Who may join an in-sync set, and this server's own registration.
                Change::Servers if self.config.cluster.is_some() => {
                    for topic in image.topics.values() {
                        self.place(&image, topic, 0..topic.partitions.len(), turn);
                    }
                }
                Change::Configs(_) | Change::Servers | Change::Counters => {}
            }
        }
        self.remove_dropped(turn);
        self.count_partitions();
    }

    /// Places some partitions of a topic, which may be gone again.
    fn place_topic(
        &mut self,
        image: &MetadataImage,
        id: TopicId,
        partitions: Range<usize>,
        turn: &mut Turn<'_>,
    ) {
        if let Some(topic) = image.topic_by_id(id) {
            let end = partitions.end.min(topic.partitions.len());
            self.place(image, topic, partitions.start.min(end)..end, turn);
        }
    }

    /// Partitions of a topic that this shard keeps exist from now on, with the epoch and the settings of the image.
    fn place(
        &mut self,
        image: &MetadataImage,
        topic: &TopicImage,
        partitions: Range<usize>,
        turn: &mut Turn<'_>,
    ) {
        let placed = topic.partitions_by_id().skip(partitions.start).take(partitions.len());
        for (id, state) in placed {
            if image.replica_here(state) == Some(self.id()) {
                if self.is_kept_elsewhere(id) {
                    return self.start_again(id, turn);
                }
                let Some(slot) = self.find_or_add(id, turn) else { continue };
                let partition = self.partitions.get_mut(slot).expect("just found or added");
                partition.set(image.settings(topic));
                self.assign(slot, topic, state, turn);
            }
        }
    }

    /// The slot of a partition that this shard keeps from now on; `None` as long as files of an earlier replica are being
    /// removed, and before this life of the server is registered: images of long ago name partitions that are gone.
    fn find_or_add(&mut self, id: TopicPartition, turn: &mut Turn<'_>) -> Option<u32> {
        if let Some(slot) = self.partitions.find(id) {
            return Some(slot);
        }
        if self.member().is_none() {
            mark("an image from before this server's registration makes no partition");
            return None;
        }
        let has_left = self.moved_away.contains(&id);
        if has_left && self.partitions.is_leaving(id) {
            mark("a replica comes back before its files are gone");
            return None;
        }
        let slot = self.partitions.find_or_add(id);
        if has_left {
            self.moved_away.remove(&id);
            mark("a replica comes back after it was moved away");
            self.with_log(slot, turn, |log, out| {
                log.begin_cut(log::Cut::to_begin_at(Offset(0), LeaderEpoch(-1)), out)
            });
        }
        Some(slot)
    }

    /// Shard 0 keeps what recovery could not place. A log made here beside it would begin at nothing.
    fn is_kept_elsewhere(&self, id: TopicPartition) -> bool {
        self.id() != ShardId(0) && self.unplaced.contains(&id)
    }

    fn start_again(&mut self, id: TopicPartition, turn: &mut Turn<'_>) {
        mark("a partition is where the metadata did not say when the server started");
        self.fail(format!("{id} belongs to another shard than this start knew: the next start knows"), turn);
    }

    /// What depends on how many partitions there are.
    fn count_partitions(&mut self) {
        self.commit.reserve_for(self.partitions.len());
        self.limit_chunks();
    }

    /// Unfinished chunks of all partitions together take half of the tails' memory at most.
    fn limit_chunks(&mut self) {
        let each = self.config.cache_bytes / 2 / self.partitions.len().max(1);
        let each = each.checked_ilog2().map_or(0, |log| 1 << log);
        self.limits.chunk_bytes_max = each.clamp(BLOCK_BYTES, self.config.limits.chunk_bytes_max);
    }

    /// Partitions of a topic that were this shard's to keep and are no more.
    fn leave_moved(
        &mut self,
        before: &MetadataImage,
        topic: TopicId,
        partitions: Range<usize>,
        turn: &mut Turn<'_>,
    ) {
        let image = Arc::clone(&self.image);
        let Some(then) = before.topic_by_id(topic) else { return };
        let now = image.topic_by_id(topic);
        let some = then.partitions_by_id().skip(partitions.start).take(partitions.len());
        for (id, state) in some {
            let index = usize::try_from(id.partition.0).expect("an index of a list");
            let stays = now.and_then(|now| now.partitions.get(index)).and_then(|it| image.replica_here(it));
            if before.replica_here(state) == Some(self.id()) && stays != Some(self.id()) {
                mark("a replica is moved away");
                self.moved_away.insert(id);
                self.leave(id, before, turn);
            }
        }
    }

    /// A partition is not this shard's to keep any more, as the change from `before` says. Its files go only if this server had
    /// caught up before that (rule R12): an image of long ago may take away what a later one has given back.
    fn leave(&mut self, id: TopicPartition, before: &MetadataImage, turn: &mut Turn<'_>) {
        if self.member_of(before).is_some() || !holds(Rule::R12) {
            return self.drop_partition(id, turn);
        }
        mark("a partition that an old image takes away is kept");
        if let Some(slot) = self.partitions.find(id) {
            self.stand_aside(slot, turn);
        }
    }

    /// What the image does not give to this shard is kept and not served: no absence is a reason to delete (rule R12).
    fn leave_strays(&mut self, turn: &mut Turn<'_>) {
        let image = Arc::clone(&self.image);
        let here = self.id();
        let is_given = |id: &TopicPartition| {
            let state = usize::try_from(id.partition.0).ok();
            let state = image.topic_by_id(id.topic).zip(state).and_then(|(it, at)| it.partitions.get(at));
            state.and_then(|state| image.replica_here(state)) == Some(here)
        };
        let is_stray = |(id, _): &(TopicPartition, u32)| *id != TopicPartition::METADATA && !is_given(id);
        let mut strays: Vec<_> = self.partitions.by_id().filter(is_stray).collect();
        strays.sort_unstable();
        for (id, slot) in strays {
            if holds(Rule::R12) {
                self.stand_aside(slot, turn);
            } else {
                self.drop_partition(id, turn);
            }
        }
        self.remove_dropped(turn);
    }

    /// Lets go of a partition, if it is here: whoever waits on it is answered, and its files follow.
    fn drop_partition(&mut self, id: TopicPartition, turn: &mut Turn<'_>) {
        let Some(slot) = self.partitions.find(id) else { return };
        for ack in self.partitions.drop_partition(id, slot) {
            self.settle(ack, Err(PartitionError::NotHere), turn);
        }
        turn.tell(News::Dropped(slot));
    }

    /// Removes the files of dropped partitions on which nothing is under way any more. Before that the commit log says so: else
    /// a start might make files again of what it has of the partition, whose beginning is gone.
    pub fn remove_dropped(&mut self, turn: &mut Turn<'_>) {
        for (slot, partition) in self.partitions.take_quiet() {
            turn.tell(News::Removed(partition));
            if !holds(Rule::Intent) {
                self.delete_partition(slot, turn);
                continue;
            }
            let nothing =
                CutHeader { partition, below: Offset(0), begin_at: Offset(0), epoch: LeaderEpoch(-1) };
            let receipt = Receipt { slot, logged: Logged::Drop };
            self.waiting_since.get_or_insert(turn.now.mono);
            self.commit.relog(Pending { says: Says::Cut(nothing), data: [None, None], receipt });
        }
    }

    /// The commit log says that a dropped partition is gone.
    pub(super) fn delete_partition(&mut self, slot: u32, turn: &mut Turn<'_>) {
        let Some(partition) = self.partitions.get(slot).map(|it| it.log().id) else { return };
        self.issue(Operation::DeletePartition { slot }, IoOp::DeletePartition { partition }, turn);
    }

    /// A dropped partition's files are gone, or will be after the next start.
    pub fn partition_deleted(&mut self, slot: u32, turn: &mut Turn<'_>) {
        if let Some(gone) = self.partitions.take(slot) {
            self.unflushed_bytes -= gone.log().unflushed_bytes();
            self.place_again(gone.log().id, turn);
        }
        self.touch(slot);
    }

    /// The image may have given a partition back while its files were being removed.
    fn place_again(&mut self, id: TopicPartition, turn: &mut Turn<'_>) {
        let image = Arc::clone(&self.image);
        let Ok(index) = usize::try_from(id.partition.0) else { return };
        if self.is_running() && image.topic_by_id(id.topic).is_some() {
            self.place_topic(&image, id.topic, index..index + 1, turn);
        }
    }
}
