//! Produce requests that wait on one partition until its log is as durable as they have asked for.

use std::collections::VecDeque;

use crate::base::{LeaderEpoch, Offset};

use super::watermarks::Watermarks;

/// Produce requests that wait, in the order of their appends.
#[derive(Debug, Default)]
pub(super) struct Acks {
    /// For the flushed offset.
    leader: VecDeque<Ack>,
    /// For the high watermark.
    all: VecDeque<Ack>,
}

/// What a produce request waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Until {
    Flushed,
    HighWatermark,
}

/// A produce request that waits until an offset reaches `end`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ack {
    pub(super) end: Offset,
    pub(super) wait: u64,
    /// The leader epoch in which the request began to wait: an answer in another one would be a promise nobody keeps.
    pub(super) epoch: LeaderEpoch,
    /// Which of the request's partitions this is.
    pub(super) index: usize,
}

impl Acks {
    /// A produce begins to wait.
    pub(super) fn wait(&mut self, until: Until, ack: Ack) {
        let queue = match until {
            Until::Flushed => &mut self.leader,
            Until::HighWatermark => &mut self.all,
        };
        queue.push_back(ack);
    }

    /// Takes the next produce that has what it waits for.
    pub(super) fn next(&mut self, marks: &Watermarks) -> Option<Ack> {
        let is_ready = |queue: &VecDeque<Ack>, to| queue.front().is_some_and(|ack| ack.end <= to);
        if is_ready(&self.leader, marks.flushed) {
            self.leader.pop_front()
        } else if is_ready(&self.all, marks.high) {
            self.all.pop_front()
        } else {
            None
        }
    }

    /// Takes every produce that waits.
    pub(super) fn take_all(&mut self) -> Vec<Ack> {
        let Acks { leader, all } = std::mem::take(self);
        leader.into_iter().chain(all).collect()
    }

    /// Forgets a produce that has waited long enough.
    pub(super) fn forget(&mut self, wait: u64) {
        self.leader.retain(|ack| ack.wait != wait);
        self.all.retain(|ack| ack.wait != wait);
    }
}
