//! How requests name topics, by name or by id in newer versions, and which shard answers for a partition.

use crate::base::{ShardId, TopicId};
use crate::controller::{MetadataImage, PartitionImage, Place};
use crate::protocol::ErrorCode;

/// How a request names a topic.
#[derive(Clone, Copy, Debug)]
pub(super) enum TopicKey<'a> {
    Name(&'a str),
    Id(TopicId),
}

/// The shard that answers for a partition.
///
/// # Errors
/// When this server does not lead it: the client has to look for its leader.
pub(super) fn shard_here(image: &MetadataImage, partition: &PartitionImage) -> Result<ShardId, ErrorCode> {
    match image.place(partition) {
        Place::Here(shard) => Ok(shard),
        Place::Elsewhere(_) | Place::Nobody => Err(ErrorCode::NotLeaderOrFollower),
    }
}
