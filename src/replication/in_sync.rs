//! What a leader asks the controller about the ISR, and what an answer means.

use crate::base::{BrokerEpoch, LeaderEpoch, MonoNanos, Offset, PartitionEpoch, Rule, ServerId, holds, mark};

use super::assignment::{Counts, Ends};
use super::progress::Progress;

/// After so long without a word the same is asked again; twice as long after each time, up to 8 s.
const ASK_AGAIN_MS: u64 = 500;
const ASK_AGAIN_MS_MAX: u64 = 8_000;

/// A change of the ISR that the controller is asked for. Taken only if both epochs are the partition's (R7).
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct IsrAsk {
    pub leader_epoch: LeaderEpoch,
    pub partition_epoch: PartitionEpoch,
    /// The whole ISR as it shall be, the leader included.
    pub isr: Vec<(ServerId, BrokerEpoch)>,
    /// Ascends with each ask and each copy of one, within the leader epoch. The controller must take the asks of one leader in
    /// this order, and none that is older than one it has taken: a refusal settles an ask only if no earlier copy can be
    /// granted after it.
    pub number: u64,
}

/// The controller's answer to an [`IsrAsk`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct IsrAnswer {
    /// Which ask or copy was answered.
    pub number: u64,
    pub verdict: Verdict,
}

/// What became of an ask.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Verdict {
    /// Decided as asked, with this partition epoch. The image will say it.
    Decided { partition_epoch: PartitionEpoch },
    /// The ISR was that already: an image is on its way.
    SameAlready,
    /// Both epochs asked with are right, and a server that was asked for may not join.
    Ineligible,
    /// The leader or partition epoch asked with is not the partition's: an image is on its way, perhaps with what was asked.
    StaleEpoch,
    /// Another server leads the partition, or it is gone: an image is on its way.
    NotLeader,
}

/// An ask that is not settled.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) struct Asked {
    pub ask: IsrAsk,
    /// When the same is asked again.
    pub again_at: MonoNanos,
    pub wait_ms: u64,
}

impl Asked {
    pub fn new(ask: IsrAsk, now: MonoNanos) -> Asked {
        Asked { ask, again_at: now.plus_ms(ASK_AGAIN_MS), wait_ms: ASK_AGAIN_MS }
    }

    /// What was asked once more, as a copy with a number of its own, if it is time.
    pub fn again(&mut self, number: u64, now: MonoNanos) -> Option<IsrAsk> {
        if now < self.again_at {
            return None;
        }
        mark("isr change asked again");
        self.ask.number = number;
        self.wait_ms = (self.wait_ms * 2).min(ASK_AGAIN_MS_MAX);
        self.again_at = now.plus_ms(self.wait_ms);
        Some(self.ask.clone())
    }

    /// Whether an answer takes what was asked for out of the maximal ISR (R2b).
    ///
    /// Only a refusal of the newest copy that says the epochs are right: a refused epoch may mean that an earlier copy was
    /// granted, and a refused earlier copy says nothing of the later one.
    pub fn is_settled_by(&self, answer: IsrAnswer) -> bool {
        match answer.verdict {
            Verdict::Ineligible => answer.number == self.ask.number || !holds(Rule::R2b),
            Verdict::StaleEpoch => !holds(Rule::R2b),
            Verdict::Decided { .. } | Verdict::SameAlready | Verdict::NotLeader => false,
        }
    }
}

/// What decides about joining and leaving.
pub(super) struct Bar {
    pub own: Ends,
    pub counts: Counts,
    pub high_watermark: Offset,
    pub epoch_start: Offset,
    pub now: MonoNanos,
    pub lag_ms: u64,
}

impl Bar {
    /// Whether a follower may join the ISR: it has all below the high watermark and the epoch's start (R4) and begins no
    /// lower than the leader, so that nothing that was deleted comes back; it is caught up, and the image lets it.
    pub fn is_passed_by(&self, follower: &Progress) -> bool {
        let Some(ends) = follower.ends else { return false };
        let counted = ends.counted(self.counts);
        let has_all = counted >= self.high_watermark && counted >= self.epoch_start;
        let begins_right = ends.log_start >= self.own.log_start;
        if has_all && !begins_right {
            mark("follower with an older log start is kept out of the isr");
        }
        // Half of the lag that takes out: else it would go in and out.
        let is_caught_up = !follower.lags(self.now, self.lag_ms / 2);
        let has_all = (has_all && begins_right && is_caught_up) || !holds(Rule::R4);
        follower.may_join && has_all
    }
}
