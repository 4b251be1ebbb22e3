//! Produce requests whose batches are appended but not all durable.

use crate::base::hash::IdMap;

use super::super::request::{PartitionError, ProduceResult, RequestId};
use super::partitions::Ack;

#[derive(Debug, Default)]
pub(super) struct ProduceWaits {
    waits: IdMap<u64, ProduceWait>,
    next: u64,
}

#[derive(Debug)]
struct ProduceWait {
    id: RequestId,
    results: Vec<ProduceResult>,
    /// Partitions of the request that are not durable yet.
    remaining: usize,
}

impl ProduceWaits {
    /// A number for the next request, whether it will wait or not.
    pub(super) fn next(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    pub(super) fn insert(&mut self, wait: u64, id: RequestId, results: Vec<ProduceResult>, remaining: usize) {
        assert!(remaining > 0, "a request that waits for nothing is answered at once");
        self.waits.insert(wait, ProduceWait { id, results, remaining });
    }

    /// One partition of a waiting request is done: the whole answer, if it was the last.
    pub(super) fn settle(
        &mut self,
        ack: Ack,
        outcome: Result<(), PartitionError>,
    ) -> Option<(RequestId, Vec<ProduceResult>)> {
        let wait = self.waits.get_mut(&ack.wait)?;
        if let (Err(error), Some(result)) = (outcome, wait.results.get_mut(ack.index)) {
            result.outcome = Err(error);
        }
        assert!(wait.remaining > 0, "a request is answered once");
        wait.remaining -= 1;
        if wait.remaining > 0 {
            return None;
        }
        self.waits.remove(&ack.wait).map(|done| (done.id, done.results))
    }

    pub(super) fn len(&self) -> usize {
        self.waits.len()
    }
}
