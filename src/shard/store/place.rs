//! Brings the partitions in line with the cluster state: new ones begin, those whose topic is gone are dropped, and their
//! files are removed once nothing is under way on them.

use std::sync::Arc;

use crate::base::io::IoOp;
use crate::base::{BLOCK_BYTES, TopicPartition};

use super::super::event::Operation;
use super::super::request::{Image, PartitionError};
use super::super::turn::{News, Turn};
use super::state::Store;

impl Store {
    /// A new cluster state. `false` if it is older than the one there is, and nothing has changed.
    pub fn take_image(&mut self, image: Image, turn: &mut Turn<'_>) -> bool {
        if image.version < self.image.version {
            return false;
        }
        self.image = image;
        self.place_partitions(turn);
        true
    }

    pub(super) fn place_partitions(&mut self, turn: &mut Turn<'_>) {
        let image = Arc::clone(&self.image);
        for topic in image.topics.values() {
            for (id, state) in topic.partitions_by_id() {
                if image.replica_here(state) == Some(self.id()) {
                    let slot = self.partitions.find_or_add(id);
                    let partition = self.partitions.get_mut(slot).expect("just found or added");
                    partition.place(image.settings(topic), state.leader_epoch());
                }
            }
        }
        self.drop_partitions(turn);
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
    fn drop_partitions(&mut self, turn: &mut Turn<'_>) {
        let image = Arc::clone(&self.image);
        let is_gone =
            |id: &TopicPartition| *id != TopicPartition::METADATA && image.topic_by_id(id.topic).is_none();
        let mut gone: Vec<_> = self.partitions.by_id().filter(|(id, _)| is_gone(id)).collect();
        gone.sort_unstable();
        for (id, slot) in gone {
            for ack in self.partitions.drop_partition(id, slot) {
                self.settle(ack, Err(PartitionError::NotHere), turn);
            }
            turn.tell(News::Dropped(slot));
        }
        self.remove_dropped(turn);
    }

    /// Removes the files of dropped partitions on which nothing is under way any more.
    pub fn remove_dropped(&mut self, turn: &mut Turn<'_>) {
        for (slot, partition) in self.partitions.take_quiet() {
            turn.tell(News::Removed(partition));
            let op = IoOp::DeletePartition { partition };
            self.issue(Operation::DeletePartition { slot }, op, turn);
        }
    }

    /// A dropped partition's files are gone, or will be after the next start.
    pub fn partition_deleted(&mut self, slot: u32) {
        if let Some(gone) = self.partitions.take(slot) {
            self.unflushed_bytes -= gone.log().unflushed_bytes();
        }
        self.touch(slot);
    }
}
