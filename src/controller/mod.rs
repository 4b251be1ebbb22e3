//! The metadata controller: records, state folded from them, decisions about topics, servers and partitions; pure.
//!
//! Lives on shard 0 of every server, and decides only while its server leads the metadata log, as a server alone always does.
//! Knows no other part of the shard: it is asked, it decides which records to append, and it folds them once they are committed
//! and durable here.

mod assignment;
mod batch;
mod change;
mod configs;
mod create;
mod decide;
mod drain;
mod due;
mod generated;
mod image;
mod lead;
mod names;
mod own;
mod own_block;
mod place;
mod producers;
mod published;
mod question;
mod record;
mod replicas;
mod request;
mod servers;
mod snapshot;
mod standing;
mod state;
#[cfg(test)]
mod testing;
mod topics;

pub use assignment::check_replicas;
pub use batch::Batches;
pub use change::{Change, PartitionRun};
pub use decide::{Controller, Decision};
pub use image::{
    ClusterImage, Here, Leader, Led, MetadataImage, MinIsr, NoLeader, PartitionFault, PartitionImage, Place,
    QuorumImage, REPLICAS_MAX, Resource, ServerImage, TopicImage, Topics, View, Voter,
};
pub use names::{check_topic_name, is_internal_topic, is_topic_name};
pub use own::ControllerConfig;
pub use published::Published;
pub use question::ControllerQuestion;
pub use record::{MetadataRecordError, describe_record, voters_in};
pub use request::{
    ConfigChange, ConfigOp, ConfigResource, ControllerError, ControllerReply, ControllerRequest,
    CreatedTopic, DeletedTopic, ElectedPartition, Election, FactorChange, NewPartitions, NewTopic,
    ProducerBlock, Reassignment, ResourceConfigs, TopicName,
};
pub use servers::{
    AlterIsr, ControllerOutput, DAMAGED_MAX, Damage, Dialled, Heartbeat, HeartbeatAnswer, HeartbeatError,
    IsrAsked, IsrOutcome, Join, Patience, RegisterError, Registered, Registration, Replace, Wants,
};
pub use snapshot::{SnapshotCheck, SnapshotReader, SnapshotWriter};
#[cfg(test)]
pub(crate) use testing::{newer_record, voters_record};
