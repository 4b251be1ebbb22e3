//! What a follower does to its logs: takes runs, and cuts where its leader's log goes another way.

use bytes::Bytes;

use crate::base::io::CutSegment;
use crate::base::{Offset, TopicId, TopicPartition, mark};
use crate::config::topic::TopicSettings;
use crate::controller::PartitionImage;
use crate::log::{self, CutAsked, ReplicateError, ReplicateRules, RunHeader};
use crate::replication::Cut;

use super::super::turn::{News, Turn};
use super::append::Extent;
use super::partition::Partition;
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
        let mut out = std::mem::take(&mut self.log_effects);
        let (limits, allocate) = (&self.limits, &mut *self.allocate);
        let partition = self.partitions.get_mut(slot).expect("the caller found the slot");
        let before = Extent::of(partition.log());
        let result = partition.change(|log, settings| {
            let rules = ReplicateRules { now: turn.now, settings, limits };
            let before = log.unflushed_bytes();
            let result = log.replicate(run, header, &rules, allocate, &mut out);
            result.map(|_| log.unflushed_bytes() - before)
        });
        let after = Extent::of(partition.log());
        self.unflushed_bytes += result.as_ref().copied().unwrap_or(0);
        self.carry_out(slot, out, turn);
        self.extended(slot, before, after, turn);
        if result.is_ok() {
            self.counters.batches_appended += 1;
            self.counters.bytes_appended += run.len() as u64;
        }
        result.map(drop)
    }

    /// Begins to cut a followed log. [`News::Cut`] tells the end of it.
    pub fn begin_cut(&mut self, slot: u32, cut: Cut, turn: &mut Turn<'_>) {
        let cut = match cut {
            Cut::To(to) => log::Cut::at(to),
            Cut::All { begin, epoch } => log::Cut::to_begin_at(begin, epoch),
        };
        if self.partitions.get_mut(slot).is_some_and(|it| it.delay_cut(cut)) {
            return mark("a cut waits for whoever else works on the files");
        }
        self.cut(slot, cut, turn);
    }

    /// Nothing but the log itself works on its files any more: begins the cut that has waited for that.
    pub fn begin_waiting_cut(&mut self, slot: u32, turn: &mut Turn<'_>) {
        let is_serving = self.partitions.is_serving(slot);
        let cut = self.partitions.get_mut(slot).and_then(Partition::take_waiting_cut);
        if let Some(cut) = cut.filter(|_| is_serving) {
            self.cut(slot, cut, turn);
        }
    }

    fn cut(&mut self, slot: u32, cut: log::Cut, turn: &mut Turn<'_>) {
        match self.with_log(slot, turn, |log, out| log.begin_cut(cut, out)) {
            Some(CutAsked::Needless) => turn.tell(News::Cut(slot)),
            Some(CutAsked::Begun | CutAsked::Busy | CutAsked::Stopping) | None => {}
        }
    }

    /// The files of a cut log are cut.
    pub fn truncated(&mut self, slot: u32, found: &CutSegment, turn: &mut Turn<'_>) {
        let mut out = std::mem::take(&mut self.log_effects);
        if let Some(partition) = self.partitions.get_mut(slot) {
            partition.cut(|log| log.truncated(found, &mut out));
            self.starts_to_name = true;
        }
        self.carry_out(slot, out, turn);
        turn.tell(News::Moved(slot));
    }

    /// A follower's log begins here from now on.
    pub fn advance_start(&mut self, slot: u32, start: Offset, turn: &mut Turn<'_>) {
        let Some(partition) = self.partitions.get_mut(slot) else { return };
        let before = partition.log().log_start();
        // Not above what is durable: the rest follows when more of it is.
        if partition.change(|log, _| log.advance_start(start)) > before {
            mark("a follower's log start follows its leader's");
            self.starts_to_name = true;
            self.moved(slot, turn);
        }
    }

    /// How large the metadata log's segments become: what is below its start goes by whole ones.
    pub fn set_metadata_segments(&mut self, slot: u32, segment_bytes: u64) {
        if let Some(partition) = self.partitions.get_mut(slot) {
            let settings = TopicSettings { segment_bytes, ..partition.settings().clone() };
            partition.set(&settings);
        }
    }

    /// Where a log begins as a checkpoint has it: there it will begin after any crash.
    pub fn named_start(&self, slot: u32) -> Offset {
        self.partitions.get(slot).map_or(Offset(0), |it| it.named_start())
    }

    /// Up to here a leader may send what it has.
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
