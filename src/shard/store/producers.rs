//! How much the shard's logs remember of idempotent producers, all together: ids cost a client nothing, memory does.
//!
//! Each log forgets its own producers by time and number ([`crate::log::ProducerStates`]); beyond the shard's bound the
//! ones silent for longest go, wherever they are. A producer that is forgotten and comes back may begin anywhere
//! (KIP-360): what it loses is the recognition of a batch it sends again.

use crate::base::{ProducerId, TimestampMs};
use crate::log::PartitionLog;

use super::state::Store;

/// Memory that one remembered producer takes, with five batches.
pub const PRODUCER_BYTES: usize = 384;

impl Store {
    /// A log has taken note of one more producer.
    pub(super) fn producer_noted(&mut self) {
        self.producers += 1;
        if self.producers <= self.config.producers_max {
            return;
        }
        // Some have been forgotten by their logs since the last count.
        self.count_producers();
        if self.producers > self.config.producers_max {
            self.forget_silent_producers();
            self.count_producers();
        }
    }

    /// Counts anew what the logs remember.
    pub(super) fn count_producers(&mut self) {
        self.producers = self.logs().map(|log| log.producers().len()).sum();
    }

    fn forget_silent_producers(&mut self) {
        // More than needed, so that it is not done again at once.
        let keep = self.config.producers_max - self.config.producers_max / 8;
        let producers = self.logs().flat_map(|log| log.producers().iter());
        let mut heard: Vec<(TimestampMs, ProducerId)> =
            producers.map(|(id, state)| (state.timestamp, id)).collect();
        let surplus = heard.len() - keep;
        let (_, oldest_kept, _) = heard.select_nth_unstable(surplus);
        let oldest_kept = *oldest_kept;
        for slot in self.partitions.slots() {
            if let Some(partition) = self.partitions.get_mut(slot) {
                partition.change(|log, _| log.expire_producers(oldest_kept));
            }
        }
    }

    fn logs(&self) -> impl Iterator<Item = &PartitionLog> {
        self.partitions.slots().into_iter().filter_map(|slot| Some(self.partitions.get(slot)?.log()))
    }
}
