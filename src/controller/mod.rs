//! The metadata controller: records, state folded from them, decisions about topics; pure.
//!
//! Lives on shard 0 (a quorum of one). Knows no other part of the shard: it is asked, it decides which records to
//! append, and it folds them once they are durable.

mod assignment;
mod batch;
mod change;
mod configs;
mod decide;
mod generated;
mod image;
mod names;
mod own;
mod published;
mod question;
mod record;
mod request;
mod snapshot;
mod state;
#[cfg(test)]
mod testing;
mod topics;

pub use assignment::check_replicas;
pub use change::{Change, PartitionRun};
pub use decide::{Controller, Decision};
pub use image::{
    ClusterImage, Here, Leader, MetadataImage, PartitionFault, PartitionImage, Place, QuorumImage,
    REPLICAS_MAX, Resource, ServerImage, TopicImage, Topics, View, Voter,
};
pub use names::{check_topic_name, is_internal_topic, is_topic_name};
pub use own::ControllerConfig;
pub use published::Published;
pub use question::ControllerQuestion;
pub use record::{MetadataRecordError, describe_record};
pub use request::{
    ConfigChange, ConfigOp, ConfigResource, ControllerError, ControllerReply, ControllerRequest,
    CreatedTopic, DeletedTopic, NewPartitions, NewTopic, ResourceConfigs, TopicName,
};
#[cfg(test)]
pub(crate) use testing::voters_record;
