//! What the servers cannot do yet, in one place: as long as each server is a cluster of its own, this says so.

use bytes::Bytes;
use ringmain::base::{ProducerEpoch, ProducerId, TopicPartition};
use ringmain::commit::GROUP_BYTES_MAX;
use ringmain::record::Inside;
use ringmain::shard::{PartitionError, ProducePartition, ProduceRequest};

use crate::clients::{Acks, Hand};
use crate::oracle::Layout;

/// The smallest commit file there may be.
pub const COMMIT_FILE_BYTES: u64 = 4 * GROUP_BYTES_MAX as u64;

/// How servers are put together.
pub const LAYOUT: Layout = Layout::Apart;

/// The request that produces a batch.
pub fn produce(partition: TopicPartition, records: Bytes, acks: Acks) -> ProduceRequest {
    ProduceRequest {
        partitions: vec![ProducePartition { partition, records, inside: Inside::Unread }],
        zstd_allowed: true,
        answer_at_append: acks == Acks::Nobody,
    }
}

/// Whether a client asks again after this.
pub fn is_retriable(error: &PartitionError) -> bool {
    matches!(error, PartitionError::NotHere | PartitionError::DiskFull | PartitionError::StorageFailed)
}

/// A producer id that no other producer has: servers that know nothing of each other give the same.
pub fn producer_id(id: (ProducerId, ProducerEpoch), hand: &Hand<'_>) -> (ProducerId, ProducerEpoch) {
    match hand.oracle.layout {
        Layout::Apart => (ProducerId(1_000 + hand.client_number()), ProducerEpoch(0)),
        Layout::Together => id,
    }
}

/// Replicas of a topic that is made.
pub fn replicas_wanted(hand: &mut Hand<'_>) -> i16 {
    match hand.oracle.layout {
        Layout::Apart => 1,
        Layout::Together => 1 + i16::try_from(hand.rng.below(hand.servers.min(3) as u64)).unwrap(),
    }
}
