//! State as a fold of metadata records.
//!
//! One fold serves start-up, commit and decisions not yet durable, so that none of them can disagree. Only the cluster is
//! folded: [`Fold`] keeps beside it what the cluster's state means on this server.

mod partitions;
mod servers;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::base::{DirectoryId, Home, ProducerId, ServerId, TopicId};
use crate::config::Config;

use super::change::Change;
use super::image::{ClusterImage, Here, MIN_ISR, MetadataImage, Resource, TopicImage};
use super::names;
use super::own::ControllerConfig;
use super::record::{Counters, MetadataRecord, MetadataRecordError, TopicRecord};

/// The cluster after some prefix of the metadata log.
#[derive(Clone, Debug)]
pub(super) struct State {
    /// The part that everybody sees. Copied on change only while somebody else still holds it.
    pub cluster: Arc<ClusterImage>,
    pub counters: Counters,
    /// All producer ids below may have been handed out.
    pub producer_ids_end: ProducerId,
    /// Partitions of all topics.
    pub partitions: usize,
    /// Server ids that were given to a directory which has not registered with it yet.
    pub given: BTreeMap<ServerId, DirectoryId>,
    /// Servers that are gone for good.
    pub removed: BTreeSet<ServerId>,
    /// Collision key → the name that holds it.
    collisions: BTreeMap<String, Arc<str>>,
}

/// A fold, and what it means on this server.
#[derive(Clone, Debug)]
pub(super) struct Fold {
    pub state: State,
    pub here: Arc<Here>,
    /// This server's settings as read at its start.
    settings: Arc<Config>,
}

impl Fold {
    pub fn new(config: &ControllerConfig) -> Fold {
        Fold {
            state: State::new(config.cluster_id.clone()),
            here: Arc::new(Here::new(config.server, config.shards, &config.settings)),
            settings: Arc::clone(&config.settings),
        }
    }

    /// Folds the record at `offset` of the metadata log.
    ///
    /// # Errors
    /// When the record does not fit the state, or this server's settings.
    pub fn apply(&mut self, record: &MetadataRecord, offset: i64) -> Result<Change, MetadataRecordError> {
        let change = self.state.apply(record, offset)?;
        Arc::make_mut(&mut self.here).follow(&self.state.cluster, &change, &self.settings)?;
        Ok(change)
    }

    pub fn image(&self) -> MetadataImage {
        MetadataImage { cluster: Arc::clone(&self.state.cluster), here: Arc::clone(&self.here) }
    }
}

impl State {
    pub fn new(cluster_id: String) -> State {
        State {
            cluster: Arc::new(ClusterImage { cluster_id, ..ClusterImage::default() }),
            counters: Counters::default(),
            producer_ids_end: ProducerId(0),
            partitions: 0,
            given: BTreeMap::new(),
            removed: BTreeSet::new(),
            collisions: BTreeMap::new(),
        }
    }

    /// The existing topic whose name differs from `name` only in '.' and '_'.
    pub fn colliding(&self, name: &str) -> Option<&Arc<str>> {
        self.collisions.get(&names::collision_key(name))
    }

    /// The state is that of the log up to this offset, though other records have led here.
    pub fn at_version(&mut self, version: i64) {
        self.cluster_mut().version = version;
    }

    /// The state as its records are written from it: what is only there to find things by is left out, so that this costs little
    /// however many topics there are.
    pub fn to_be_written(&self) -> State {
        State {
            cluster: Arc::clone(&self.cluster),
            counters: self.counters.clone(),
            producer_ids_end: self.producer_ids_end,
            partitions: self.partitions,
            given: self.given.clone(),
            removed: self.removed.clone(),
            collisions: BTreeMap::new(),
        }
    }

    /// The home of the next partition that `leader` leads first.
    pub fn next_home(&self, leader: ServerId) -> Home {
        self.counters.next_homes.get(&leader).copied().unwrap_or(Home::first_of(leader))
    }

    /// Folds the record at `offset` of the metadata log.
    ///
    /// # Errors
    /// When the record does not fit the state; the state is then unchanged.
    pub fn apply(&mut self, record: &MetadataRecord, offset: i64) -> Result<Change, MetadataRecordError> {
        assert!(offset >= self.cluster.version, "records are folded once, in the order of the log");
        let change = match record {
            MetadataRecord::Topic(topic) => self.add_topic(topic)?,
            MetadataRecord::RemoveTopic { topic } => self.remove_topic(*topic)?,
            MetadataRecord::Partitions(run) => self.set_partitions(run)?,
            MetadataRecord::PartitionStates(run) => self.set_states(run)?,
            MetadataRecord::PartitionChanges(run) => self.set_changes(run)?,
            MetadataRecord::Config { topic, name, value } => {
                self.set_config(*topic, name, value.as_deref())?
            }
            MetadataRecord::ResourceConfig { resource, name, value } => {
                self.set_resource_config(resource, name, value.as_deref())
            }
            MetadataRecord::ProducerIds(block) => {
                self.producer_ids_end = self.producer_ids_end.max(block.end);
                Change::Counters
            }
            MetadataRecord::Counters(counters) => self.raise_counters(counters),
            MetadataRecord::Leader { epoch, server } => self.set_leader(*epoch, *server)?,
            MetadataRecord::Voters(voters) => self.set_quorum(|quorum| quorum.voters.clone_from(voters)),
            MetadataRecord::Feature { name, level } => {
                self.cluster_mut().features.insert(name.clone(), *level);
                Change::Servers
            }
            MetadataRecord::Server { id, server } => self.set_server(*id, server, offset)?,
            MetadataRecord::ServerState(state) => self.set_server_state(state)?,
            MetadataRecord::ServerId { id, directory } => self.give_id(*id, *directory)?,
            MetadataRecord::RemoveServer { id } => self.remove_server(*id),
            // What it says of the records before it was checked when they were read.
            MetadataRecord::SnapshotEnd { .. } => Change::Counters,
        };
        self.cluster_mut().version = offset + 1;
        Ok(change)
    }

    fn cluster_mut(&mut self) -> &mut ClusterImage {
        Arc::make_mut(&mut self.cluster)
    }

    fn add_topic(&mut self, record: &TopicRecord) -> Result<Change, MetadataRecordError> {
        if self.cluster.topic(&record.name).is_some() || self.cluster.topic_by_id(record.id).is_some() {
            return Err(MetadataRecordError::TopicExists { name: record.name.clone(), id: record.id });
        }
        let name: Arc<str> = record.name.as_str().into();
        self.collisions.insert(names::collision_key(&name), Arc::clone(&name));
        self.counters.next_ordinal = self.counters.next_ordinal.max(record.ordinal.saturating_add(1));
        self.cluster_mut().topics.add(TopicImage {
            id: record.id,
            name,
            ordinal: record.ordinal,
            partitions: Vec::new(),
            overrides: record.overrides.clone(),
            internal: record.internal,
        });
        Ok(Change::TopicAdded(record.id))
    }

    fn remove_topic(&mut self, id: TopicId) -> Result<Change, MetadataRecordError> {
        let topic = self.cluster_mut().topics.remove(id).ok_or(MetadataRecordError::UnknownTopic(id))?;
        self.collisions.remove(&names::collision_key(&topic.name));
        self.partitions -= topic.partitions.len();
        Ok(Change::TopicRemoved(id))
    }

    fn set_config(
        &mut self,
        id: TopicId,
        name: &str,
        value: Option<&str>,
    ) -> Result<Change, MetadataRecordError> {
        let topic = self.cluster_mut().topics.change(id).ok_or(MetadataRecordError::UnknownTopic(id))?;
        match value {
            Some(value) => topic.overrides.insert(name.to_owned(), value.to_owned()),
            None => topic.overrides.remove(name),
        };
        if name == MIN_ISR {
            self.minimum_changed(id);
        }
        Ok(Change::TopicConfigs(id))
    }

    fn set_resource_config(&mut self, resource: &Resource, name: &str, value: Option<&str>) -> Change {
        let mut configs = self.cluster.configs(resource).map(|found| (**found).clone()).unwrap_or_default();
        match value {
            Some(value) => drop(configs.insert(name.to_owned(), value.to_owned())),
            None => drop(configs.remove(name)),
        }
        self.cluster_mut().set_configs(resource, configs);
        if *resource == Resource::AllBrokers && name == MIN_ISR {
            let topics: Vec<TopicId> = self.cluster.topics.values().map(|topic| topic.id).collect();
            topics.into_iter().for_each(|topic| self.minimum_changed(topic));
        }
        Change::Configs(resource.clone())
    }

    fn raise_counters(&mut self, stated: &Counters) -> Change {
        let counters = &mut self.counters;
        counters.next_ordinal = counters.next_ordinal.max(stated.next_ordinal);
        counters.next_server = counters.next_server.max(stated.next_server);
        for (server, stated) in &stated.next_homes {
            let next = counters.next_homes.entry(*server).or_insert(*stated);
            *next = (*next).max(*stated);
        }
        Change::Counters
    }

    fn topic(&self, id: TopicId) -> Result<&Arc<TopicImage>, MetadataRecordError> {
        self.cluster.topic_by_id(id).ok_or(MetadataRecordError::UnknownTopic(id))
    }
}
