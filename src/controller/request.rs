//! What the controller can be asked, and what it answers.

use std::collections::BTreeMap;

use crate::base::{BrokerEpoch, PartitionIndex, ProducerEpoch, ProducerId, ServerId, TopicId};

use super::image::Resource;

/// Asked of shard 0. Answers come after the change is durable and every shard serves it.
#[derive(Clone, Debug)]
pub enum ControllerRequest {
    CreateTopics {
        topics: Vec<NewTopic>,
        validate_only: bool,
    },
    DeleteTopics {
        topics: Vec<TopicName>,
    },
    CreatePartitions {
        topics: Vec<NewPartitions>,
        validate_only: bool,
    },
    AlterConfigs {
        resources: Vec<ResourceConfigs>,
        validate_only: bool,
    },
    /// A fresh producer id (epoch 0), or the next epoch of one the client already has (KIP-360).
    InitProducerId {
        current: Option<(ProducerId, ProducerEpoch)>,
    },
    /// A block of producer ids, for a server to hand out.
    ProducerIds {
        server: ServerId,
        broker_epoch: BrokerEpoch,
    },
    /// `None` elects wherever it is needed.
    ElectLeaders {
        election: Election,
        partitions: Option<Vec<(String, PartitionIndex)>>,
    },
    Reassign {
        partitions: Vec<Reassignment>,
        factor: FactorChange,
    },
    /// A server leaves the cluster for good.
    RemoveServer {
        server: ServerId,
    },
}

impl ControllerRequest {
    /// One refusal, for everything that is asked.
    #[must_use]
    pub fn refused(&self, error: &ControllerError) -> ControllerReply {
        fn each<T, A>(asked: &[T], error: &ControllerError) -> Vec<Result<A, ControllerError>> {
            asked.iter().map(|_| Err(error.clone())).collect()
        }
        match self {
            ControllerRequest::CreateTopics { topics, .. } => {
                ControllerReply::CreateTopics(each(topics, error))
            }
            ControllerRequest::DeleteTopics { topics } => ControllerReply::DeleteTopics(each(topics, error)),
            ControllerRequest::CreatePartitions { topics, .. } => {
                ControllerReply::CreatePartitions(each(topics, error))
            }
            ControllerRequest::AlterConfigs { resources, .. } => {
                ControllerReply::AlterConfigs(each(resources, error))
            }
            ControllerRequest::InitProducerId { .. } => ControllerReply::InitProducerId(Err(error.clone())),
            ControllerRequest::ProducerIds { .. } => ControllerReply::ProducerIds(Err(error.clone())),
            ControllerRequest::ElectLeaders { .. } => ControllerReply::ElectLeaders(Err(error.clone())),
            ControllerRequest::Reassign { partitions, .. } => {
                ControllerReply::Reassign(each(partitions, error))
            }
            ControllerRequest::RemoveServer { .. } => ControllerReply::RemoveServer(Err(error.clone())),
        }
    }
}

/// Results in the order of the request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ControllerReply {
    CreateTopics(Vec<Result<CreatedTopic, ControllerError>>),
    DeleteTopics(Vec<Result<DeletedTopic, ControllerError>>),
    CreatePartitions(Vec<Result<(), ControllerError>>),
    AlterConfigs(Vec<Result<(), ControllerError>>),
    InitProducerId(Result<(ProducerId, ProducerEpoch), ControllerError>),
    ProducerIds(Result<ProducerBlock, ControllerError>),
    /// Each partition that was named, or that an election was tried for.
    ElectLeaders(Result<Vec<ElectedPartition>, ControllerError>),
    Reassign(Vec<Result<(), ControllerError>>),
    RemoveServer(Result<(), ControllerError>),
}

/// Producer ids from `first` on, below `end`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProducerBlock {
    pub first: ProducerId,
    pub end: ProducerId,
}

/// What an election is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Election {
    /// The first replica of the assignment leads.
    Preferred,
    /// Somebody leads, though records may be lost.
    Unclean,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ElectedPartition {
    pub topic: String,
    pub partition: PartitionIndex,
    pub result: Result<(), ControllerError>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reassignment {
    pub topic: String,
    pub partition: PartitionIndex,
    /// Node ids, of which only the server counts; `None` cancels what is under way.
    pub replicas: Option<Vec<i32>>,
}

/// Whether a reassignment may change how often a partition is kept (KIP-860).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FactorChange {
    Allowed,
    Refused,
}

/// What is to become of one resource's configs.
#[derive(Clone, Debug)]
pub struct ResourceConfigs {
    pub resource: ConfigResource,
    pub change: ConfigChange,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConfigResource {
    Topic(String),
    Other(Resource),
}

#[derive(Clone, Debug)]
pub enum ConfigChange {
    /// The resource has these configs and no others from now on.
    Replace(Vec<(String, Option<String>)>),
    /// Each config is changed on its own; all others stay.
    Edit(Vec<(String, ConfigOp, Option<String>)>),
}

/// Kafka's operations on a config; the last two are for lists.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ConfigOp {
    Set,
    Delete,
    Append,
    Subtract,
}

#[derive(Clone, Debug)]
pub struct NewTopic {
    pub name: String,
    /// -1 = the broker's `num.partitions`, or as many as `assignments` names.
    pub partitions: i32,
    /// -1 = the broker's default.
    pub replication_factor: i16,
    /// Partition → node ids, when the client places replicas itself; only the server of each id counts.
    pub assignments: Vec<(PartitionIndex, Vec<i32>)>,
    /// `None` values are refused as Kafka does.
    pub configs: BTreeMap<String, Option<String>>,
    pub internal: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreatedTopic {
    pub id: TopicId,
    pub partitions: i32,
    pub replication_factor: i16,
    pub overrides: BTreeMap<String, String>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TopicName {
    Name(String),
    Id(TopicId),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeletedTopic {
    pub id: TopicId,
    pub name: String,
}

#[derive(Clone, Debug)]
pub struct NewPartitions {
    pub name: String,
    /// The wanted total.
    pub count: i32,
    pub assignments: Option<Vec<Vec<i32>>>,
}

/// Why the controller refused. The api layer maps each to one Kafka error code.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ControllerError {
    #[error("Topic '{0}' already exists.")]
    TopicExists(String),
    #[error("no such topic")]
    UnknownTopic,
    #[error("no topic has this id")]
    UnknownTopicId,
    #[error("{0}")]
    InvalidTopicName(String),
    #[error("{0}")]
    InvalidPartitions(String),
    #[error("{0}")]
    InvalidReplicationFactor(String),
    #[error("{0}")]
    InvalidReplicaAssignment(String),
    #[error("{0}")]
    InvalidConfig(String),
    #[error("{0}")]
    InvalidRequest(String),
    #[error("{0}")]
    PolicyViolation(String),
    #[error("topic deletion is disabled (delete.topic.enable=false)")]
    DeletionDisabled,
    #[error("producer epoch {received} does not match the current one")]
    InvalidProducerEpoch { received: ProducerEpoch },
    #[error("the metadata log has failed and accepts nothing more")]
    StorageFailed,
    #[error("This server is not the controller.")]
    NotController,
    #[error("This server does not host this topic-partition.")]
    UnknownPartition,
    #[error("Leader election not needed for topic partition.")]
    ElectionNotNeeded,
    #[error("The preferred leader was not available.")]
    PreferredLeaderNotAvailable,
    #[error("Eligible topic partition leaders are not available.")]
    EligibleLeadersNotAvailable,
    #[error("No partition reassignment is in progress.")]
    NoReassignmentInProgress,
    #[error("The given broker ID was not registered.")]
    UnknownServer,
    #[error("The broker epoch has changed.")]
    StaleBrokerEpoch,
}
