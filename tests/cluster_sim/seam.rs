//! Where what clients say meets what shards take.

use bytes::Bytes;
use ringmain::base::{ProducerEpoch, ProducerId, TopicPartition};
use ringmain::record::Inside;
use ringmain::shard::{self, PartitionError, ProducePartition, ProduceRequest};

use crate::clients::{Acks, Hand};
use crate::oracle::Layout;

/// A leader gives up waiting for its followers after this: sooner than the client that asked.
const TIMEOUT_MS: u32 = 2_500;

/// The request that produces a batch.
pub fn produce(partition: TopicPartition, records: Bytes, acks: Acks) -> ProduceRequest {
    ProduceRequest {
        partitions: vec![ProducePartition { partition, records, inside: Inside::Unread }],
        zstd_allowed: true,
        acks: match acks {
            Acks::Nobody => shard::Acks::None,
            Acks::Leader => shard::Acks::Leader,
            Acks::All => shard::Acks::All,
        },
        timeout_ms: TIMEOUT_MS,
    }
}

/// Whether a client asks again after this.
pub fn is_retriable(error: &PartitionError) -> bool {
    matches!(
        error,
        PartitionError::NotHere
            | PartitionError::NotLeader
            | PartitionError::NotEnoughReplicas
            | PartitionError::NotEnoughReplicasAfterAppend
            | PartitionError::TimedOut
            | PartitionError::DiskFull
            | PartitionError::StorageFailed
    )
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
    match (hand.oracle.layout, hand.rng.below(10)) {
        (Layout::Apart, _) | (_, 0) => 1,
        (_, 1) => 2,
        (_, 2) => -1,
        _ => 3,
    }
}
