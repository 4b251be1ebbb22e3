//! The cluster after some prefix of the metadata log: the same on every server that has folded that prefix.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use crate::base::{BrokerEpoch, DirectoryId, IncarnationId, ServerId, TopicId, VoterId};

use super::topics::{TopicImage, Topics};

/// Configs of one resource, by Kafka's names.
pub(in crate::controller) type Configs = BTreeMap<String, String>;

/// The cluster as of one metadata version. Copying it copies no topic.
#[derive(Clone, Debug, Default)]
pub struct ClusterImage {
    /// End offset of the metadata log this state folds; grows with every change.
    pub version: i64,
    /// Kafka's form: 22 characters of base64url.
    pub cluster_id: String,
    /// Servers that have registered. A server that never did is not here, though it may lead partitions.
    pub servers: BTreeMap<ServerId, Arc<ServerImage>>,
    pub quorum: QuorumImage,
    /// What all servers have agreed to act on, with its level.
    pub features: BTreeMap<String, i16>,
    pub topics: Topics,
    /// What was set on other resources, by Kafka's names; a resource without any is not here.
    pub configs: Arc<BTreeMap<Resource, Arc<Configs>>>,
}

/// A server as it registered last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerImage {
    /// Offset of the record that registered this incarnation: a later one has a larger.
    pub broker_epoch: BrokerEpoch,
    pub directory: DirectoryId,
    pub incarnation: IncarnationId,
    pub shards: u16,
    pub rack: Option<String>,
    /// Where clients find it: host and port.
    pub client: (String, u16),
    /// Where other servers find it: host and port.
    pub cluster: (String, u16),
    /// Leads nothing and is in no ISR.
    pub fenced: bool,
    /// Wants to stop: leads nothing any more.
    pub stopping: bool,
    /// Each shard has a port of its own for clients.
    pub shard_ports: bool,
    /// Least and newest version of the protocol between servers that it speaks.
    pub protocol: (u16, u16),
    /// The vote that this server would have.
    pub voter: VoterId,
    /// The last broker epoch of this directory that was unfenced.
    pub unfenced_epoch: Option<BrokerEpoch>,
    /// The newest durable sequence of its commit logs that a controller has heard of and noted.
    pub sequence: u64,
}

/// Who keeps the metadata log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QuorumImage {
    /// 0 until a quorum was formed.
    pub epoch: i32,
    pub leader: Option<ServerId>,
    pub voters: Vec<Voter>,
}

/// One server's vote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Voter {
    pub server: ServerId,
    /// Made with the file that keeps the server's vote: a server that lost its metadata log is another voter.
    pub voter: VoterId,
    pub host: String,
    pub port: u16,
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

impl ClusterImage {
    #[must_use]
    pub fn topic(&self, name: &str) -> Option<&Arc<TopicImage>> {
        self.topics.by_name(name)
    }

    #[must_use]
    pub fn topic_by_id(&self, id: TopicId) -> Option<&Arc<TopicImage>> {
        self.topics.by_id(id)
    }

    /// What was set on a resource.
    #[must_use]
    pub fn configs(&self, resource: &Resource) -> Option<&Arc<Configs>> {
        self.configs.get(resource)
    }

    /// Replaces what is set on a resource.
    pub(in crate::controller) fn set_configs(&mut self, resource: &Resource, configs: Configs) {
        let all = Arc::make_mut(&mut self.configs);
        match configs.is_empty() {
            true => drop(all.remove(resource)),
            false => drop(all.insert(resource.clone(), Arc::new(configs))),
        }
    }
}

#[cfg(test)]
impl ServerImage {
    /// Some server, by its host name.
    pub fn example(host: &str) -> ServerImage {
        ServerImage {
            broker_epoch: BrokerEpoch::OWN_OFFSET,
            directory: DirectoryId([1; 16]),
            incarnation: IncarnationId([2; 16]),
            shards: 3,
            rack: None,
            client: (host.into(), 9092),
            cluster: (host.into(), 9192),
            fenced: false,
            stopping: false,
            shard_ports: false,
            protocol: (0, 0),
            voter: VoterId([3; 16]),
            unfenced_epoch: None,
            sequence: 0,
        }
    }
}
