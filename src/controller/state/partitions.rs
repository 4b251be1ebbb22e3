//! How records change partitions. Nothing else changes a partition's state.

use std::ops::Range;

use crate::base::{Home, PartitionIndex, Rule, TopicId, holds, mark};

use super::State;
use crate::controller::change::{Change, PartitionRun};
use crate::controller::image::{PartitionFault, PartitionImage, TopicImage};
use crate::controller::record::{
    MetadataRecordError, PartitionChangesRecord, PartitionStatesRecord, PartitionsRecord,
};

/// Most partitions of one topic that a record may bring about: above every configurable limit, small enough that no
/// bytes on disk make the process allocate without bound.
const TOPIC_PARTITIONS_BOUND: usize = 1 << 20;

impl State {
    pub(super) fn set_partitions(&mut self, run: &PartitionsRecord) -> Result<Change, MetadataRecordError> {
        let topic = self.topic(run.topic)?;
        let refused = || MetadataRecordError::PartitionRun {
            first: run.first.0,
            count: run.count,
            existing: topic.partitions.len(),
        };
        let count = usize::try_from(run.count).map_err(|_| refused())?;
        let range = fitting(topic, run.first, count).ok_or_else(refused)?;
        let homes_end = run.home.map(|home| homes_end(home, count).ok_or_else(refused)).transpose()?;
        let ordinal = topic.ordinal;
        let placed = range.clone().zip(0..).map(|(index, nth)| {
            let partition = PartitionIndex(i32::try_from(index).expect("below the bound of partitions"));
            let home = run.home.map_or(Home::unsaid(ordinal, partition), |first| Home(first.0 + nth));
            match topic.partitions.get(index) {
                Some(now) => now.led_anew(run.leader, run.leader_epoch),
                None => PartitionImage::single(run.leader, run.leader_epoch, home),
            }
        });
        let change = self.put(run.topic, range, placed.collect())?;
        if let Some(end) = homes_end {
            let next = self.next_home(run.leader).max(end);
            self.counters.next_homes.insert(run.leader, next);
        }
        Ok(change)
    }

    pub(super) fn set_states(&mut self, run: &PartitionStatesRecord) -> Result<Change, MetadataRecordError> {
        let topic = self.topic(run.topic)?;
        let count = run.partitions.len();
        let range = fitting(topic, run.first, count).ok_or_else(|| MetadataRecordError::PartitionRun {
            first: run.first.0,
            count: i32::try_from(count).unwrap_or(i32::MAX),
            existing: topic.partitions.len(),
        })?;
        let states = run.partitions.iter().zip(range.clone()).map(|(state, index)| {
            PartitionImage::new(state).map_err(|fault| cannot_be(run.topic, index, fault))
        });
        let states = states.collect::<Result<Vec<_>, _>>()?;
        self.put(run.topic, range, states)
    }

    /// Sets partitions of a topic, which are there already or follow those that are.
    fn put(
        &mut self,
        id: TopicId,
        range: Range<usize>,
        states: Vec<PartitionImage>,
    ) -> Result<Change, MetadataRecordError> {
        let existing = &self.topic(id)?.partitions;
        let before = existing.len();
        assert!(range.start <= before && range.len() == states.len(), "partitions have no gaps");
        for (index, next) in range.clone().zip(&states) {
            let fits = existing.get(index).map_or(Ok(()), |now| now.check_next(next));
            fits.map_err(|fault| cannot_be(id, index, fault))?;
        }
        let topic = self.cluster_mut().topics.change(id).ok_or(MetadataRecordError::UnknownTopic(id))?;
        let known = range.end.min(before);
        topic.partitions.splice(range.start..known, states);
        let after = topic.partitions.len();
        assert_eq!(after, before.max(range.end), "partitions are replaced or added, never lost");
        self.partitions += after - before;
        Ok(Change::Partitions(PartitionRun { topic: id, partitions: range }))
    }

    /// Sets partitions that are there.
    pub(super) fn set_changes(
        &mut self,
        run: &PartitionChangesRecord,
    ) -> Result<Change, MetadataRecordError> {
        let topic = self.topic(run.topic)?;
        let mut states = Vec::with_capacity(run.changes.len());
        for (partition, state) in &run.changes {
            let existing = topic.partitions.len();
            let now = topic.partition(*partition);
            let gap = || MetadataRecordError::PartitionRun { first: partition.0, count: 1, existing };
            let now = now.ok_or_else(gap)?;
            let index = usize::try_from(partition.0).expect("a partition that is there");
            let next = PartitionImage::new(state).map_err(|fault| cannot_be(run.topic, index, fault))?;
            now.check_next(&next).map_err(|fault| cannot_be(run.topic, index, fault))?;
            states.push((index, next));
        }
        let topic = self
            .cluster_mut()
            .topics
            .change(run.topic)
            .ok_or(MetadataRecordError::UnknownTopic(run.topic))?;
        let indices: Vec<usize> = states.iter().map(|(index, _)| *index).collect();
        for (index, next) in states {
            topic.partitions[index] = next;
        }
        Ok(Change::SomePartitions(runs(run.topic, &indices)))
    }

    /// The minimum of a topic's partitions may be another one. Where somebody may go on from now on, nobody besides the ISR has
    /// what will be acknowledged; elsewhere nothing is acknowledged, and who was eligible stays it (U2).
    pub(super) fn minimum_changed(&mut self, id: TopicId) {
        let Some(topic) = self.cluster.topic_by_id(id) else { return };
        let min = self.cluster.min_isr_of(topic);
        let is_over = |partition: &PartitionImage| {
            let goes_on = partition.isr().count() >= min.of(partition.replication());
            partition.has_eligible() && (goes_on || !holds(Rule::U2))
        };
        let over: Vec<usize> =
            (0..).zip(&topic.partitions).filter(|(_, it)| is_over(it)).map(|(at, _)| at).collect();
        if over.is_empty() {
            return;
        }
        mark("a changed minimum let eligible replicas go");
        let topic = self.cluster_mut().topics.change(id).expect("a topic that is there");
        for index in over {
            topic.partitions[index] = topic.partitions[index].without_eligible();
        }
    }
}

/// Rising indices as runs.
fn runs(topic: TopicId, indices: &[usize]) -> Vec<PartitionRun> {
    let mut runs: Vec<PartitionRun> = Vec::new();
    for index in indices {
        match runs.last_mut() {
            Some(run) if run.partitions.end == *index => run.partitions.end += 1,
            _ => runs.push(PartitionRun { topic, partitions: *index..index + 1 }),
        }
    }
    runs
}

/// Which partitions a run sets; `None` when it leaves a gap or there would be too many.
fn fitting(topic: &TopicImage, first: PartitionIndex, count: usize) -> Option<Range<usize>> {
    let first = usize::try_from(first.0).ok()?;
    let end = first.saturating_add(count);
    (first <= topic.partitions.len() && end <= TOPIC_PARTITIONS_BOUND).then_some(first..end)
}

/// The home that follows those of a run.
fn homes_end(first: Home, count: usize) -> Option<Home> {
    first.0.checked_add(u32::try_from(count).ok()?).map(Home)
}

fn cannot_be(topic: TopicId, index: usize, fault: PartitionFault) -> MetadataRecordError {
    MetadataRecordError::Partition { topic, index, fault }
}
