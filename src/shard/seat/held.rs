//! One seat: a state machine whose decisions are records of a partition's log. Decide, append, wait until the records are
//! durable, answer. If the log refuses the records, a coordinator begins again from the log, and the controller ends the process,
//! as a failed write does ([`Store::fail`]): it has counted on them. Who leads the log no more forgets what was decided.
//!
//! Coordinators and the controller sit on one each. What they have decided and may not say yet is *held*, in the order of
//! their log, until the log is settled up to where it ended when they decided: so an answer never leaves before the records
//! it rests on, nor before those of any earlier decision.

use std::collections::VecDeque;

use bytes::Bytes;

use crate::base::Offset;
use crate::log::Accepted;

use super::super::request::PartitionError;
use super::super::store::{Incoming, Store};
use super::super::turn::Turn;

/// A seat, as the module's head describes it. `T` is what leaves when its records are durable.
#[derive(Debug)]
pub(super) struct Seat<T> {
    slot: u32,
    phase: Phase,
    /// Each with the log end at the time of the decision.
    held: VecDeque<(Offset, T)>,
}

/// How much of its log a seat knows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Phase {
    /// Has folded what is before this offset, and decides nothing yet.
    Loading(Offset),
    Active,
    /// The log cannot be read.
    Failed,
}

impl<T> Seat<T> {
    pub(super) fn new(slot: u32, phase: Phase) -> Seat<T> {
        Seat { slot, phase, held: VecDeque::new() }
    }

    pub(super) fn slot(&self) -> u32 {
        self.slot
    }

    pub(super) fn phase(&self) -> Phase {
        self.phase
    }

    /// The seat has read its log up to here, all of it, or cannot.
    pub(super) fn advance(&mut self, phase: Phase) {
        if let (Phase::Loading(before), Phase::Loading(after)) = (self.phase, phase) {
            assert!(after > before, "each part of a log brings its seat on");
        }
        assert!(
            self.phase != Phase::Active || phase == Phase::Active,
            "a seat that begins again is a new one"
        );
        self.phase = phase;
    }

    /// Appends the records of a decision.
    pub(super) fn append(
        &self,
        batch: &Bytes,
        store: &mut Store,
        turn: &mut Turn<'_>,
    ) -> Result<Accepted, PartitionError> {
        assert_eq!(self.phase, Phase::Active, "a seat decides nothing before it has read its log");
        store.append(self.slot, Incoming::own(batch), turn)
    }

    /// Holds back what has been decided until everything appended so far is settled.
    pub(super) fn hold(&mut self, decided: impl IntoIterator<Item = T>, store: &Store) {
        let Some(end) = store.partitions.get(self.slot).map(|it| it.watermarks().log_end) else { return };
        assert!(self.held.back().is_none_or(|(last, _)| *last <= end), "decisions keep their log's order");
        self.held.extend(decided.into_iter().map(|decided| (end, decided)));
    }

    /// Up to where the log is settled.
    pub(super) fn settled(&self, store: &Store) -> Offset {
        store.partitions.get(self.slot).map_or(Offset(0), |it| it.watermarks().settled())
    }

    /// Takes what may leave, now that the log is settled up to there.
    pub(super) fn release(&mut self, settled: Offset) -> Vec<T> {
        let is_ready = |(end, _): &&(Offset, T)| *end <= settled;
        let ready = self.held.iter().take_while(is_ready).count();
        self.held.drain(..ready).map(|(_, decided)| decided).collect()
    }

    /// What was held back when the seat is left.
    pub(super) fn leave(self) -> impl Iterator<Item = T> {
        self.held.into_iter().map(|(_, decided)| decided)
    }
}
