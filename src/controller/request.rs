//! What the controller can be asked, and what it answers.

use std::collections::BTreeMap;

use crate::base::{PartitionIndex, ProducerEpoch, ProducerId, TopicId};

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
}

/// Results in the order of the request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ControllerReply {
    CreateTopics(Vec<Result<CreatedTopic, ControllerError>>),
    DeleteTopics(Vec<Result<DeletedTopic, ControllerError>>),
    CreatePartitions(Vec<Result<(), ControllerError>>),
    AlterConfigs(Vec<Result<(), ControllerError>>),
    InitProducerId(Result<(ProducerId, ProducerEpoch), ControllerError>),
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
}
