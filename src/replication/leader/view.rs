//! What a leader answers about itself.

use crate::base::{LeaderEpoch, MonoNanos, Offset, PartitionEpoch, Rule, ServerId, holds};

use super::Leading;
use crate::replication::assignment::Ends;
use crate::replication::in_sync::IsrAsk;
use crate::replication::progress::Progress;

impl Leading {
    /// The leader epoch.
    #[must_use]
    pub fn epoch(&self) -> LeaderEpoch {
        self.epoch
    }

    /// The partition epoch of the image it acts by.
    #[must_use]
    pub fn partition_epoch(&self) -> PartitionEpoch {
        self.partition_epoch
    }

    /// All below is on every member of the maximal ISR.
    #[inline]
    #[must_use]
    pub fn high_watermark(&self) -> Offset {
        self.high_watermark
    }

    /// The log end when this server began to lead.
    #[must_use]
    pub fn epoch_start(&self) -> Offset {
        self.epoch_start
    }

    /// Whether what needs the whole log may be answered: all that was there when the epoch began is committed (R5).
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.high_watermark >= self.epoch_start || !holds(Rule::R5)
    }

    /// Whether there are enough in-sync replicas, by the image, for an ack of all of them (D11).
    #[must_use]
    pub fn can_acknowledge(&self) -> bool {
        self.facts().has_minimum()
    }

    /// Whether who waits since `began_in` for all below `end` may be told of success (R11). The epoch is the one in which the
    /// waiting began: a duplicate that waits may have been appended in an older one.
    #[must_use]
    pub fn may_answer(&self, began_in: LeaderEpoch, end: Offset) -> bool {
        self.high_watermark >= end && (began_in == self.epoch || !holds(Rule::R11))
    }

    /// Whether the own disk is what lags: the controller shall be asked for another leader.
    #[must_use]
    pub fn lags_itself(&self) -> bool {
        self.lags_itself
    }

    /// The lowest log start that a member of the maximal ISR has named: below it nothing comes back by a failover.
    #[must_use]
    pub fn named_start(&self) -> Offset {
        let named = |it: &Progress| it.ends.map_or(Offset(0), |ends| ends.log_start);
        let followers = self.followers.iter().filter(|it| it.is_waited_for()).map(named);
        followers.fold(self.own.log_start, Offset::min)
    }

    /// The followers of the maximal ISR: those of the image and those asked for.
    pub fn maximal_isr(&self) -> impl Iterator<Item = ServerId> {
        let followers = self.followers.iter().filter(|it| it.is_waited_for()).map(|it| it.server);
        [self.me].into_iter().chain(followers)
    }

    /// The members of the ISR by the image.
    pub fn isr(&self) -> impl Iterator<Item = ServerId> {
        let followers = self.followers.iter().filter(|it| it.in_isr).map(|it| it.server);
        [self.me].into_iter().chain(followers)
    }

    /// The change of the ISR that was asked for and is not settled.
    #[must_use]
    pub fn asked(&self) -> Option<&IsrAsk> {
        self.asked.as_deref().map(|asked| &asked.ask)
    }

    /// What a follower has said of its log in this epoch.
    #[must_use]
    pub fn ends_of(&self, server: ServerId) -> Option<Ends> {
        self.follower(server)?.ends
    }

    /// When [`Leading::wanted_isr`] may have something new without any input.
    #[must_use]
    pub fn due(&self, lag_ms: u64) -> MonoNanos {
        let lagging = self.followers.iter().filter(|it| it.in_isr).map(|it| it.lags_from(lag_ms)).min();
        let next = match &self.asked {
            Some(asked) => Some(asked.again_at),
            None => lagging,
        };
        next.unwrap_or(MonoNanos::NEVER)
    }
}
