//! The metadata controller: records, state folded from them, decisions about topics; pure.
//!
//! Lives on shard 0 (a quorum of one). Knows no other part of the shard: it is asked, it decides which records to
//! append, and it folds them once they are durable.

mod image;
mod request;

pub use image::{MetadataImage, PartitionImage, TopicImage, View};
pub use request::{
    ControllerError, ControllerReply, ControllerRequest, CreatedTopic, DeletedTopic, NewPartitions, NewTopic,
    TopicName,
};
