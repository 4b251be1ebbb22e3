//! What a follower does to its logs: takes runs, and cuts where its leader's log goes another way.

use bytes::Bytes;

use crate::base::{Offset, TopicId, TopicPartition};
use crate::controller::PartitionImage;
use crate::log::{ReplicateError, RunHeader};
use crate::replication::Cut;

use super::super::turn::Turn;
use super::state::Store;

impl Store {
    /// Takes a run that the leader has sent.
    ///
    /// # Errors
    ///
    /// When it does not fit; then the log is as it was.
    pub fn replicate(
        &mut self,
        slot: u32,
        run: &Bytes,
        header: RunHeader,
        turn: &mut Turn<'_>,
    ) -> Result<(), ReplicateError> {
        let result = self.with_log(slot, turn, |log, _| log.replicate(run, header));
        result.unwrap_or(Err(ReplicateError::NotYet))
    }

    /// Begins to cut a followed log.
    pub fn begin_cut(&mut self, slot: u32, cut: Cut, turn: &mut Turn<'_>) {
        _ = (slot, cut, turn);
    }

    /// A follower's log begins here from now on.
    pub fn advance_start(&mut self, slot: u32, start: Offset, turn: &mut Turn<'_>) {
        if let Some(partition) = self.partitions.get_mut(slot) {
            partition.change(|log, _| log.advance_start(start));
            self.moved(slot, turn);
        }
    }

    /// Where a log begins as a checkpoint has it: there it will begin after any crash.
    pub fn named_start(&self, slot: u32) -> Offset {
        self.partitions.get(slot).map_or(Offset(0), |it| it.log().log_start())
    }

    /// Up to here a leader may send what it has. Of the metadata log's voters no more than is durable, where that decides.
    pub fn sendable_end(&self, slot: u32) -> Offset {
        self.partitions.get(slot).map_or(Offset(0), |it| it.sendable_end())
    }

    /// Whether the image has the partition's topic.
    pub fn knows_topic(&self, partition: TopicPartition) -> bool {
        self.image().topic_by_id(partition.topic).is_some()
    }

    /// The partition as the image has it.
    pub fn partition_image(&self, partition: TopicPartition) -> Option<&PartitionImage> {
        let TopicPartition { topic, partition } = partition;
        if topic == TopicId::METADATA {
            return None;
        }
        self.image().topic_by_id(topic)?.partitions.get(usize::try_from(partition.0).ok()?)
    }
}
