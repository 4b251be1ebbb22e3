//! Questions that memory answers at once: the ends of leader epochs, and what administrators want to know of a partition.

use crate::base::{LeaderEpoch, Offset, TopicPartition};

use super::super::offsets::{EpochEnd, EpochEndPartition};
use super::super::request::{PartitionError, PartitionFacts, ProducerFacts};
use super::super::store::Store;

/// The end of an epoch in each partition.
pub(super) fn epoch_ends(
    partitions: &[EpochEndPartition],
    store: &Store,
) -> Vec<Result<EpochEnd, PartitionError>> {
    let end_of = |part: &EpochEndPartition| {
        let partition = store.serving(part.partition)?;
        if !partition.leads() {
            return Err(PartitionError::NotLeader);
        }
        partition.check_epoch(part.current_leader_epoch)?;
        // An epoch the partition never had is no error, but has no end either.
        let (epoch, end) = partition.log().epoch_end(part.epoch).unwrap_or((LeaderEpoch(-1), Offset(-1)));
        Ok(EpochEnd { epoch, end })
    };
    partitions.iter().map(end_of).collect()
}

/// Sizes and producers.
pub(super) fn facts(
    partitions: &[TopicPartition],
    store: &Store,
) -> Vec<Result<PartitionFacts, PartitionError>> {
    let facts_of = |partition: &TopicPartition| {
        let log = store.serving(*partition)?.log();
        let producers = log.producers().iter().map(|(id, state)| ProducerFacts {
            id,
            epoch: state.epoch,
            last_sequence: state.recent().next().map_or(-1, |batch| batch.last_sequence),
            last_timestamp: state.timestamp,
        });
        Ok(PartitionFacts { size_bytes: log.size_bytes(), producers: producers.collect() })
    };
    partitions.iter().map(facts_of).collect()
}
