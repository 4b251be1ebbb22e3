//! The cluster's state as everybody but the controller sees it: immutable, shared, one per metadata version.
//!
//! Owned by shard 0, which folds the metadata log into it; every shard holds an `Arc` of the newest one it was given.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use crate::base::{
    LeaderEpoch, NodeId, PartitionIndex, ServerId, ShardId, TopicId, TopicPartition, shard_of,
};
use crate::config::Changes;
use crate::config::topic::{TopicDefaults, TopicSettings};

/// State as of one metadata version.
#[derive(Clone, Debug, Default)]
pub struct MetadataImage {
    /// End offset of the metadata log this state folds; grows with every change.
    pub version: i64,
    /// Kafka's form: 22 characters of base64url.
    pub cluster_id: String,
    /// This server; with replication, all servers join here.
    pub server: ServerId,
    /// Shards of this server.
    pub shards: u16,
    pub topics: BTreeMap<Arc<str>, Arc<TopicImage>>,
    pub topics_by_id: BTreeMap<TopicId, Arc<TopicImage>>,
    /// What was set on other resources, by Kafka's names; a resource without any is not here.
    pub configs: BTreeMap<Resource, Arc<BTreeMap<String, String>>>,
    /// What topics inherit: this server's settings with what was changed since its start.
    pub topic_defaults: Arc<TopicDefaults>,
}

/// What has configs besides topics.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Resource {
    AllBrokers,
    Broker(ServerId),
    ClientMetrics(String),
    Group(String),
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Resource::AllBrokers => f.write_str("all brokers"),
            Resource::Broker(server) => write!(f, "broker {server}"),
            Resource::ClientMetrics(name) => write!(f, "client metrics '{name}'"),
            Resource::Group(name) => write!(f, "group '{name}'"),
        }
    }
}

/// One topic.
#[derive(Clone, Debug)]
pub struct TopicImage {
    pub id: TopicId,
    pub name: Arc<str>,
    /// Counts topics ever created; spreads first partitions over shards.
    pub ordinal: u64,
    pub partitions: Vec<PartitionImage>,
    /// What was set on this topic, by Kafka's names.
    pub overrides: BTreeMap<String, String>,
    /// The same resolved against the broker's defaults.
    pub settings: TopicSettings,
    pub internal: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartitionImage {
    pub leader_epoch: LeaderEpoch,
    pub leader: ServerId,
}

impl MetadataImage {
    #[must_use]
    pub fn topic(&self, name: &str) -> Option<&Arc<TopicImage>> {
        self.topics.get(name)
    }

    #[must_use]
    pub fn topic_by_id(&self, id: TopicId) -> Option<&Arc<TopicImage>> {
        self.topics_by_id.get(&id)
    }

    /// What was set on a resource.
    #[must_use]
    pub fn configs(&self, resource: &Resource) -> Option<&Arc<BTreeMap<String, String>>> {
        self.configs.get(resource)
    }

    /// Settings of this server that were changed since its start.
    #[must_use]
    pub fn changes(&self) -> Changes {
        let of = |resource| self.configs(&resource).map(|found| (**found).clone()).unwrap_or_default();
        Changes { all: of(Resource::AllBrokers), own: of(Resource::Broker(self.server)) }
    }

    /// The shard of this server that owns a partition of `topic`.
    #[must_use]
    pub fn shard_of(&self, topic: &TopicImage, partition: PartitionIndex) -> ShardId {
        shard_of(topic.ordinal, partition, self.shards)
    }
}

impl TopicImage {
    #[must_use]
    pub fn partition(&self, index: PartitionIndex) -> Option<&PartitionImage> {
        self.partitions.get(usize::try_from(index.0).ok()?)
    }

    /// The topic's partitions in order.
    pub fn partition_ids(&self) -> impl Iterator<Item = TopicPartition> + '_ {
        (0..self.partitions.len()).map(|index| TopicPartition {
            topic: self.id,
            partition: PartitionIndex(i32::try_from(index).expect("partition counts fit i32")),
        })
    }
}

/// How Metadata presents this server to one connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum View {
    /// One node for the whole server; any shard answers, requests are split over the mesh.
    Server,
    /// A node per shard, all at one host and port; connections are steered.
    Shards,
    /// A node per shard, each at its own port (`base port + shard`).
    ShardPorts,
}

impl View {
    /// The node that a client under this view sends a partition's requests to.
    #[must_use]
    pub fn node(self, server: ServerId, shard: ShardId) -> NodeId {
        match self {
            View::Server => NodeId::of_server(server),
            View::Shards | View::ShardPorts => NodeId::of_shard(server, shard),
        }
    }
}
