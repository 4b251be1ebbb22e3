//! Long polls: fetches that wait for data, until enough of it is there, their time has come, or they are told to answer.

use std::collections::{BTreeMap, BTreeSet};

use crate::base::MonoNanos;
use crate::base::hash::IdMap;

use super::super::request::{FetchRequest, RequestId};
use super::super::store::Store;
use super::super::turn::Asker;
use super::attempt::Attempt;

/// All fetches that wait for data.
#[derive(Debug, Default)]
pub(super) struct Polls {
    parked: IdMap<u64, Parked>,
    by_request: BTreeMap<RequestId, u64>,
    deadlines: BTreeSet<(MonoNanos, u64)>,
    /// Polls by the slots they wait on; only slots that somebody waits on have an entry.
    by_slot: IdMap<u32, Vec<u64>>,
    /// Slots whose visible end has moved since polls were last looked at.
    woken: Vec<u32>,
    next: u64,
}

/// One long poll.
#[derive(Debug)]
pub(super) struct Parked {
    pub(super) asker: Asker,
    pub(super) request: FetchRequest,
    deadline: MonoNanos,
    /// Where the request's partitions are.
    slots: Vec<Option<u32>>,
    /// The asker knew all about every partition when it began to wait: only those that have woken it since are of interest.
    is_quiet: bool,
    woken: Vec<usize>,
}

impl Parked {
    /// Looks again at what may have changed while the fetch waited.
    pub(super) fn attempt(&self, store: &Store) -> Attempt {
        if self.is_quiet {
            Attempt::at(&self.request, self.woken.iter().copied(), store)
        } else {
            Attempt::at_all(&self.request, store)
        }
    }
}

impl Polls {
    pub(super) fn len(&self) -> usize {
        self.parked.len()
    }

    /// A fetch begins to wait until `deadline`. `first` is what a look at it has given.
    pub(super) fn park(
        &mut self,
        asker: Asker,
        request: FetchRequest,
        deadline: MonoNanos,
        first: &Attempt,
        store: &Store,
    ) {
        self.next += 1;
        let poll = self.next;
        let slots: Vec<_> =
            request.partitions.iter().map(|part| store.partitions.find(part.partition)).collect();
        for slot in slots.iter().flatten() {
            self.by_slot.entry(*slot).or_default().push(poll);
        }
        if let Asker::Connection(id) = asker {
            self.by_request.insert(id, poll);
        }
        self.deadlines.insert((deadline, poll));
        let is_quiet = first.results.is_empty();
        self.parked.insert(poll, Parked { asker, request, deadline, slots, is_quiet, woken: Vec::new() });
    }

    /// The poll that a request has become, if it still waits.
    pub(super) fn of_request(&self, id: RequestId) -> Option<u64> {
        self.by_request.get(&id).copied()
    }

    pub(super) fn get(&self, poll: u64) -> Option<&Parked> {
        self.parked.get(&poll)
    }

    /// Ends a poll's wait.
    pub(super) fn take(&mut self, poll: u64) -> Option<Parked> {
        let parked = self.parked.remove(&poll)?;
        if let Asker::Connection(id) = parked.asker {
            self.by_request.remove(&id);
        }
        self.deadlines.remove(&(parked.deadline, poll));
        for slot in parked.slots.iter().flatten() {
            if let Some(waiting) = self.by_slot.get_mut(slot) {
                waiting.retain(|it| *it != poll);
                if waiting.is_empty() {
                    self.by_slot.remove(slot);
                }
            }
        }
        assert_eq!(self.parked.len(), self.deadlines.len(), "every poll has a deadline that wakes it");
        Some(parked)
    }

    /// A poll whose time has come.
    pub(super) fn due(&self, now: MonoNanos) -> Option<u64> {
        self.deadlines.first().filter(|(deadline, _)| *deadline <= now).map(|(_, poll)| *poll)
    }

    pub(super) fn next_deadline(&self) -> MonoNanos {
        self.deadlines.first().map_or(MonoNanos::NEVER, |(deadline, _)| *deadline)
    }

    /// A partition's visible end has moved.
    pub(super) fn wake(&mut self, slot: u32) {
        if self.by_slot.contains_key(&slot) {
            self.woken.push(slot);
        }
    }

    pub(super) fn has_woken(&self) -> bool {
        !self.woken.is_empty()
    }

    pub(super) fn take_woken(&mut self) -> Vec<u32> {
        std::mem::take(&mut self.woken)
    }

    /// The polls that wait on a partition; each notes that it has changed.
    pub(super) fn changed(&mut self, slot: u32) -> Vec<u64> {
        let waiting = self.by_slot.get(&slot).cloned().unwrap_or_default();
        for poll in &waiting {
            if let Some(parked) = self.parked.get_mut(poll)
                && parked.is_quiet
                && let Some(index) = parked.slots.iter().position(|it| *it == Some(slot))
                && !parked.woken.contains(&index)
            {
                parked.woken.push(index);
            }
        }
        waiting
    }
}
