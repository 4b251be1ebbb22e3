//! Produce requests whose batches are appended and not as durable as was asked for.

use std::collections::BTreeSet;

use crate::base::MonoNanos;
use crate::base::hash::IdMap;

use super::super::request::{PartitionError, ProduceResult, RequestId};
use super::acks::Ack;

#[derive(Debug, Default)]
pub(super) struct ProduceWaits {
    waits: IdMap<u64, ProduceWait>,
    /// Requests that wait for other servers, by when they have waited long enough. What only waits for the disk has no deadline:
    /// a disk that does not answer ends the process.
    deadlines: BTreeSet<(MonoNanos, u64)>,
    next: u64,
}

#[derive(Debug)]
pub(super) struct ProduceWait {
    pub(super) id: RequestId,
    pub(super) results: Vec<ProduceResult>,
    /// Which of the results are not as durable yet as was asked for.
    awaited: Vec<usize>,
    deadline: Option<MonoNanos>,
}

impl ProduceWaits {
    /// A number for the next request, whether it will wait or not.
    pub(super) fn next(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    pub(super) fn insert(
        &mut self,
        wait: u64,
        id: RequestId,
        results: Vec<ProduceResult>,
        awaited: Vec<usize>,
        deadline: Option<MonoNanos>,
    ) {
        assert!(!awaited.is_empty(), "a request that waits for nothing is answered at once");
        self.deadlines.extend(deadline.map(|until| (until, wait)));
        self.waits.insert(wait, ProduceWait { id, results, awaited, deadline });
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
        let before = wait.awaited.len();
        wait.awaited.retain(|index| *index != ack.index);
        assert!(wait.awaited.len() < before, "each batch of a request is done once");
        if !wait.awaited.is_empty() {
            return None;
        }
        let done = self.waits.remove(&ack.wait)?;
        if let Some(until) = done.deadline {
            self.deadlines.remove(&(until, ack.wait));
        }
        Some((done.id, done.results))
    }

    /// A request that has waited long enough, with what it still waits for.
    pub(super) fn take_due(&mut self, now: MonoNanos) -> Option<(u64, ProduceWait)> {
        let (until, wait) = *self.deadlines.first().filter(|(until, _)| *until <= now)?;
        self.deadlines.remove(&(until, wait));
        let due = self.waits.remove(&wait).expect("a deadline is of a request that waits");
        Some((wait, due))
    }

    pub(super) fn next_deadline(&self) -> MonoNanos {
        self.deadlines.first().map_or(MonoNanos::NEVER, |(until, _)| *until)
    }

    pub(super) fn len(&self) -> usize {
        self.waits.len()
    }
}

impl ProduceWait {
    /// Which of the results are still awaited.
    pub(super) fn awaited(&self) -> &[usize] {
        &self.awaited
    }
}
