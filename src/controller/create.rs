//! Topics and partitions come and go, as requests ask.

use std::collections::{BTreeMap, BTreeSet};

use crate::base::rng::Rng;
use crate::base::{Home, LeaderEpoch, PartitionIndex, ServerId, TopicId};

use super::batch::Batch;
use super::decide::Controller;
use super::image::PartitionState;
use super::place::{Places, born};
use super::record::{Counters, MetadataRecord, PartitionStatesRecord, PartitionsRecord, TopicRecord};
use super::request::{ControllerError, CreatedTopic, DeletedTopic, NewPartitions, NewTopic, TopicName};
use super::topics::{self, AcceptedTopic, Judge, Layout};

/// Partitions that one record sets: far fewer tables than a reader takes in one record.
const RECORD_PARTITIONS_MAX: usize = 1000;

impl Controller {
    /// Validation only: as a creation would go, without an id.
    pub(super) fn judge_topics(&self, topics: &[NewTopic]) -> Vec<Result<CreatedTopic, ControllerError>> {
        let repeated = topics::repeated(topics.iter().map(|topic| topic.name.as_str()));
        let allowed = self.check_creations(topics, &repeated);
        let mut judge = Judge::new(&self.config, &self.decided);
        topics
            .iter()
            .map(|topic| {
                if repeated.contains(topic.name.as_str()) {
                    return Err(topics::duplicate());
                }
                allowed.clone()?;
                judge.creation(topic).map(|accepted| created(TopicId::ZERO, accepted))
            })
            .collect()
    }

    pub(super) fn create_topics(
        &mut self,
        topics: &[NewTopic],
        rng: &mut Rng,
        batch: &mut Batch,
    ) -> Vec<Result<CreatedTopic, ControllerError>> {
        let repeated = topics::repeated(topics.iter().map(|topic| topic.name.as_str()));
        let allowed = self.check_creations(topics, &repeated);
        topics
            .iter()
            .map(|topic| {
                if repeated.contains(topic.name.as_str()) {
                    return Err(topics::duplicate());
                }
                allowed.clone()?;
                let accepted = Judge::new(&self.config, &self.decided).creation(topic)?;
                let id = self.fresh_topic_id(rng);
                self.commit(&self.creation_records(id, topic, &accepted), batch)?;
                Ok(created(id, accepted))
            })
            .collect()
    }

    fn check_creations(&self, topics: &[NewTopic], repeated: &BTreeSet<&str>) -> Result<(), ControllerError> {
        let counted = topics.iter().filter(|topic| !repeated.contains(topic.name.as_str()));
        topics::check_request(counted.map(|topic| topics::asked(topic, &self.config)), "partitions")
    }

    fn creation_records(
        &self,
        id: TopicId,
        topic: &NewTopic,
        accepted: &AcceptedTopic,
    ) -> Vec<MetadataRecord> {
        let born = MetadataRecord::Topic(TopicRecord {
            id,
            name: topic.name.clone(),
            ordinal: self.decided.state.counters.next_ordinal,
            internal: topic.internal,
            overrides: accepted.overrides.clone(),
        });
        let partitions = self.placed(id, PartitionIndex(0), accepted.partitions, &accepted.layout);
        std::iter::once(born).chain(partitions).collect()
    }

    pub(super) fn delete_topics(
        &mut self,
        topics: &[TopicName],
        batch: &mut Batch,
    ) -> Vec<Result<DeletedTopic, ControllerError>> {
        if !self.config.topics.delete_enabled {
            return topics.iter().map(|_| Err(ControllerError::DeletionDisabled)).collect();
        }
        topics::deletions(&self.decided.state, topics)
            .into_iter()
            .map(|found| {
                let (id, name) = found?;
                self.commit(&[MetadataRecord::RemoveTopic { topic: id }], batch)?;
                Ok(DeletedTopic { id, name })
            })
            .collect()
    }

    pub(super) fn create_partitions(
        &mut self,
        topics: &[NewPartitions],
        validate_only: bool,
        batch: &mut Batch,
    ) -> Vec<Result<(), ControllerError>> {
        let repeated = topics::repeated(topics.iter().map(|topic| topic.name.as_str()));
        let counted = topics.iter().filter(|topic| !repeated.contains(topic.name.as_str()));
        let added = counted.map(|topic| topics::added(topic, &self.decided.state));
        let allowed = topics::check_request(added, "additional partitions");
        let mut judge = Judge::new(&self.config, &self.decided);
        let judged: Vec<_> = topics
            .iter()
            .map(|topic| match repeated.contains(topic.name.as_str()) {
                true => Err(topics::duplicate()),
                false => allowed.clone().and_then(|()| judge.growth(topic)),
            })
            .collect();
        judged
            .into_iter()
            .map(|growth| {
                let growth = growth?;
                if validate_only {
                    return Ok(());
                }
                let placed = self.placed(growth.topic, growth.first, growth.count, &growth.layout);
                self.commit(&placed, batch)
            })
            .collect()
    }

    /// The records of new partitions. A cluster of one server writes runs, which cost next to nothing.
    fn placed(
        &self,
        topic: TopicId,
        first: PartitionIndex,
        count: i32,
        layout: &Layout,
    ) -> Vec<MetadataRecord> {
        let cluster = &self.decided.state.cluster;
        if cluster.servers.len() <= 1 {
            let leader = cluster.servers.keys().next().copied().unwrap_or(self.config.server);
            let home = Some(self.decided.state.next_home(leader));
            let leader_epoch = LeaderEpoch(0);
            let run = PartitionsRecord { topic, first, count, leader, leader_epoch, home };
            return vec![MetadataRecord::Partitions(run)];
        }
        let places = Places::new(cluster, self.config.server);
        let mut homes: BTreeMap<ServerId, Home> = BTreeMap::new();
        let count = usize::try_from(count).expect("checked to be positive");
        let states: Vec<PartitionState> = (0..count)
            .map(|nth| {
                let replicas = match layout {
                    Layout::Chosen(factor) => places.replicas(self.decided.state.partitions + nth, *factor),
                    Layout::Named(assigned) => assigned[nth].clone(),
                };
                let leader =
                    replicas.iter().find(|server| places.is_unfenced(**server)).unwrap_or(&replicas[0]);
                let home = homes.entry(*leader).or_insert_with(|| self.decided.state.next_home(*leader));
                let own = *home;
                *home = Home(own.0.wrapping_add(1));
                born(replicas, own, &places)
            })
            .collect();
        states_records(topic, first, states).chain([self.counted(homes)]).collect()
    }

    /// What the next homes are, when these servers have got further.
    fn counted(&self, next_homes: BTreeMap<ServerId, Home>) -> MetadataRecord {
        let counters = &self.decided.state.counters;
        let (next_ordinal, next_server) = (counters.next_ordinal, counters.next_server);
        MetadataRecord::Counters(Counters { next_ordinal, next_server, next_homes })
    }

    /// Random, and never one that is taken; version 4 ids are never zero nor reserved.
    fn fresh_topic_id(&self, rng: &mut Rng) -> TopicId {
        loop {
            let id = TopicId(rng.uuid());
            if self.decided.state.cluster.topic_by_id(id).is_none() {
                return id;
            }
        }
    }
}

fn states_records(
    topic: TopicId,
    first: PartitionIndex,
    states: Vec<PartitionState>,
) -> impl Iterator<Item = MetadataRecord> {
    let chunks: Vec<Vec<PartitionState>> = states.chunks(RECORD_PARTITIONS_MAX).map(<[_]>::to_vec).collect();
    (0..).zip(chunks).map(move |(nth, partitions)| {
        let behind = i32::try_from(nth * RECORD_PARTITIONS_MAX).expect("partition counts fit i32");
        let first = PartitionIndex(first.0 + behind);
        MetadataRecord::PartitionStates(PartitionStatesRecord { topic, first, partitions })
    })
}

fn created(id: TopicId, accepted: AcceptedTopic) -> CreatedTopic {
    let factor = i16::try_from(accepted.layout.factor()).expect("a factor is at most that of all servers");
    CreatedTopic {
        id,
        partitions: accepted.partitions,
        replication_factor: factor,
        overrides: accepted.overrides,
    }
}
