//! What the cluster's state means on this server: which shards it has, and what its own settings make of topics.
//!
//! Servers differ in here, for their config files and cores do. Settings are resolved again only where something has
//! changed: topics without configs of their own share one result.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::base::{Home, ServerId, ShardId, TopicId};
use crate::config::topic::{TopicDefaults, TopicSettings};
use crate::config::{Changes, Config};
use crate::controller::change::Change;
use crate::controller::record::MetadataRecordError;

use super::buckets::Buckets;
use super::cluster::{ClusterImage, Configs, Resource};

/// This server.
#[derive(Clone, Debug)]
pub struct Here {
    pub server: ServerId,
    pub shards: u16,
    /// What topics inherit: this server's settings with what was changed since its start.
    pub topic_defaults: Arc<TopicDefaults>,
    /// Settings of topics without configs. `None` when this server's settings contradict each other, which is refused as soon
    /// as there is such a topic.
    inherited: Option<Arc<TopicSettings>>,
    /// Settings of topics that have configs.
    own: Buckets<Arc<TopicSettings>>,
}

impl Default for Here {
    fn default() -> Here {
        let inherited = Some(Arc::default());
        let (topic_defaults, own) = (Arc::default(), Buckets::default());
        Here { server: ServerId(0), shards: 1, topic_defaults, inherited, own }
    }
}

impl Here {
    pub(in crate::controller) fn new(server: ServerId, shards: u16, settings: &Config) -> Here {
        assert!(shards > 0, "a server has at least one shard");
        let mut here = Here { server, shards, ..Here::default() };
        here.inherit(settings);
        here
    }

    /// The shard that a partition of this home is on.
    #[must_use]
    pub fn shard(&self, home: Home) -> ShardId {
        home.shard(self.shards)
    }

    /// Settings of this server that were changed since its start.
    #[must_use]
    pub(in crate::controller) fn changes(&self, cluster: &ClusterImage) -> Changes {
        let of = |resource| cluster.configs(&resource).map(|found| (**found).clone()).unwrap_or_default();
        Changes { all: of(Resource::AllBrokers), own: of(Resource::Broker(self.server)) }
    }

    /// What the configs of an existing topic mean here.
    pub(in crate::controller) fn settings(&self, topic: TopicId) -> &TopicSettings {
        let own = self.own.get(topic).or(self.inherited.as_ref());
        own.expect("a topic without configs is refused while settings contradict each other")
    }

    /// Gives a topic settings that no configs could say, until its configs change: simulators fill segments within a few records.
    pub fn give_settings(&mut self, topic: TopicId, settings: TopicSettings) {
        self.own.insert(topic, Arc::new(settings));
    }

    /// Follows a change of the cluster. `settings` is this server as read at its start.
    ///
    /// # Errors
    /// When configs do not go with each other.
    pub(in crate::controller) fn follow(
        &mut self,
        cluster: &ClusterImage,
        change: &Change,
        settings: &Config,
    ) -> Result<(), MetadataRecordError> {
        match change {
            Change::TopicAdded(id) | Change::TopicConfigs(id) => self.resolve(cluster, *id),
            Change::TopicRemoved(id) => {
                self.own.remove(*id);
                Ok(())
            }
            Change::Configs(Resource::AllBrokers) => self.inherit_all(cluster, settings),
            Change::Configs(Resource::Broker(server)) if *server == self.server => {
                self.inherit_all(cluster, settings)
            }
            Change::Configs(_)
            | Change::Partitions(_)
            | Change::SomePartitions(_)
            | Change::Servers
            | Change::Counters => Ok(()),
        }
    }

    /// What this server's settings, with their changes, mean for its topics.
    ///
    /// # Errors
    /// When a topic's own configs do not go with them.
    pub(in crate::controller) fn inherit_all(
        &mut self,
        cluster: &ClusterImage,
        settings: &Config,
    ) -> Result<(), MetadataRecordError> {
        let changed =
            settings.with_changes(&self.changes(cluster)).map_err(|error| MetadataRecordError::Configs {
                resource: Resource::Broker(self.server).to_string(),
                reason: error.to_string(),
            })?;
        self.inherit(&changed);
        let topics: Vec<TopicId> = self.own.iter().map(|(id, _)| *id).collect();
        for id in topics {
            self.resolve(cluster, id)?;
        }
        match cluster.topics.values().find(|topic| topic.overrides.is_empty()) {
            Some(topic) if self.inherited.is_none() => self.resolve(cluster, topic.id),
            _ => Ok(()),
        }
    }

    fn inherit(&mut self, settings: &Config) {
        self.topic_defaults = Arc::new(settings.topic_defaults.clone());
        self.inherited = TopicSettings::resolve(&BTreeMap::new(), &self.topic_defaults).ok().map(Arc::new);
    }

    /// What a topic's configs mean here; a topic without any takes what all such topics have.
    fn resolve(&mut self, cluster: &ClusterImage, id: TopicId) -> Result<(), MetadataRecordError> {
        let topic = cluster.topic_by_id(id).ok_or(MetadataRecordError::UnknownTopic(id))?;
        if topic.overrides.is_empty() && self.inherited.is_some() {
            self.own.remove(id);
            return Ok(());
        }
        let settings = self.judge(&topic.name, &topic.overrides)?;
        self.own.insert(id, Arc::new(settings));
        Ok(())
    }

    fn judge(&self, topic: &str, overrides: &Configs) -> Result<TopicSettings, MetadataRecordError> {
        TopicSettings::resolve(overrides, &self.topic_defaults).map_err(|error| {
            MetadataRecordError::Configs { resource: format!("topic '{topic}'"), reason: error.to_string() }
        })
    }
}
