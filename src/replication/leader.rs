//! The leader's half of a partition: how far its followers are, which records are safe, who is in sync.
//!
//! A [`Leading`] lives for one leader epoch. A newer image without a new epoch changes it and never begins it anew: what the
//! followers have said stays. The high watermark moves by what replicas have said in this epoch alone, and never goes back.
//!
//! A server alone runs the same code: without followers the high watermark is the own end, and nothing is allocated.

mod view;

use crate::base::{BrokerEpoch, LeaderEpoch, MonoNanos, Offset, PartitionEpoch, Rule, ServerId, holds, mark};

use super::ack::{AckError, Moved, Sender};
use super::assignment::{Assignment, Counts, Ends, Member, Servers};
use super::in_sync::{Asked, Bar, IsrAnswer, IsrAsk, Verdict};
use super::progress::Progress;
use super::watermark::Facts;

/// A partition led in one leader epoch.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Leading {
    epoch: LeaderEpoch,
    me: ServerId,
    broker_epoch: BrokerEpoch,
    partition_epoch: PartitionEpoch,
    /// The log end when this server began to lead.
    epoch_start: Offset,
    high_watermark: Offset,
    own: Ends,
    counts: Counts,
    min_isr: usize,
    /// Members of the ISR of the image, this server included.
    isr_size: usize,
    followers: Vec<Progress>,
    /// The change of the ISR that was asked for: one at a time.
    asked: Option<Box<Asked>>,
    /// Numbers given to asks so far.
    asks: u64,
    /// No follower is asked for before, because the controller has just refused one.
    grow_from: MonoNanos,
    lags_itself: bool,
}

impl Leading {
    /// Begins to lead in `epoch`, with the log as it is now. The high watermark may be higher than the given one at once, and
    /// the epoch settled.
    ///
    /// # Panics
    ///
    /// If the high watermark lies above the log's end, or the image's ISR has somebody who is no replica.
    #[must_use]
    pub fn new(
        epoch: LeaderEpoch,
        own: Ends,
        high_watermark: Offset,
        assignment: Assignment,
        now: MonoNanos,
    ) -> Leading {
        assert!(own.is_ordered(), "a log's own offsets are in order: {own:?}");
        assert!(
            high_watermark <= own.log_end,
            "high watermark {high_watermark} above the log's end: {own:?}"
        );
        let mut leading = Leading {
            epoch,
            me: assignment.me,
            broker_epoch: assignment.broker_epoch,
            partition_epoch: assignment.partition_epoch,
            epoch_start: own.log_end,
            // Whatever lies below a log's start was committed before it was deleted.
            high_watermark: high_watermark.max(own.log_start),
            own,
            counts: assignment.counts,
            min_isr: assignment.min_isr,
            isr_size: 0,
            followers: Vec::new(),
            asked: None,
            asks: 0,
            grow_from: MonoNanos(0),
            lags_itself: false,
        };
        leading.assign(assignment, now);
        _ = leading.advance();
        leading
    }

    /// Takes a newer image that leaves the leader epoch as it is.
    ///
    /// What was asked for is settled by a higher partition epoch than the one it was asked with: from then on no copy of the
    /// ask can be granted (R2b).
    ///
    /// # Panics
    ///
    /// If the image is older than the last one.
    pub fn reassigned(&mut self, assignment: Assignment, now: MonoNanos) -> Moved {
        assert!(
            assignment.partition_epoch >= self.partition_epoch,
            "an image goes back from partition epoch {} to {}",
            self.partition_epoch,
            assignment.partition_epoch
        );
        if self.asked.as_ref().is_some_and(|asked| assignment.partition_epoch > asked.ask.partition_epoch) {
            self.settle_ask();
        }
        self.assign(assignment, now);
        self.advance()
    }

    /// Takes where the own log ends now.
    ///
    /// # Panics
    ///
    /// If an offset has gone back: a leader's log is never cut.
    #[inline]
    pub fn local(&mut self, own: Ends) -> Moved {
        assert!(
            own.is_ordered() && own.log_end >= self.own.log_end && own.flushed >= self.own.flushed,
            "the offsets of a led log go from {:?} to {own:?}",
            self.own
        );
        self.own = own;
        self.advance()
    }

    /// Takes a stream that was opened with [`super::Outcome::From`]: the follower's log agrees with this one up to its end,
    /// which counts as its first ack of the epoch (R3).
    pub fn opened(&mut self, from: Sender, ends: Ends, now: MonoNanos) -> Result<Moved, AckError> {
        self.said(from, ends, now)
    }

    /// Takes an ack (R3). Ends beyond the own log are nonsense, and refused.
    pub fn acked(&mut self, from: Sender, ends: Ends, now: MonoNanos) -> Result<Moved, AckError> {
        self.check(from)?;
        let is_open = self.follower(from.server).is_some_and(|follower| follower.ends.is_some());
        if !is_open && holds(Rule::R3) && holds(Rule::OpenAnew) {
            return Err(AckError::NotOpened(from.server));
        }
        self.said(from, ends, now)
    }

    fn said(&mut self, from: Sender, ends: Ends, now: MonoNanos) -> Result<Moved, AckError> {
        self.check(from)?;
        if !ends.is_ordered() {
            return Err(AckError::Disordered(ends));
        }
        if ends.log_end > self.own.log_end {
            return Err(AckError::BeyondLogEnd { said: ends.log_end, own: self.own.log_end });
        }
        let (counts, log_end) = (self.counts, self.own.log_end);
        if let Some(follower) = self.follower_mut(from.server) {
            follower.acked(ends, counts, log_end, now);
        }
        Ok(self.advance())
    }

    /// Whether a follower's word counts in this epoch.
    fn check(&self, from: Sender) -> Result<(), AckError> {
        let Some(follower) = self.follower(from.server) else {
            return Err(AckError::NoReplica(from.server));
        };
        if !holds(Rule::R3) {
            return Ok(());
        }
        if from.leader_epoch != self.epoch {
            mark("ack of another leader epoch");
            return Err(AckError::OtherLeaderEpoch { said: from.leader_epoch, current: self.epoch });
        }
        if from.broker_epoch != follower.broker_epoch {
            mark("ack of another incarnation");
            return Err(AckError::OtherBrokerEpoch { said: from.broker_epoch, known: follower.broker_epoch });
        }
        Ok(())
    }

    /// Takes that a follower's lane was heard: of an idle partition there are no acks, and its followers stay in sync.
    pub fn heard(&mut self, from: ServerId, now: MonoNanos) {
        let (counts, log_end) = (self.counts, self.own.log_end);
        if let Some(follower) = self.follower_mut(from) {
            follower.heard(counts, log_end, now);
        }
    }

    /// Takes a gap between two turns of the shard as no time: a leader that was stopped must not expel everybody.
    pub fn paused(&mut self, gap_ns: u64) {
        self.followers.iter_mut().for_each(|follower| follower.paused(gap_ns));
    }

    /// What the controller shall be asked for now, if anything: a follower that lags by `lag_ms` leaves the ISR, one that is in
    /// sync joins. To be called after the inputs of a turn were taken: when [`Leading::due`] says so, and now and then after
    /// acks and signs of life of a follower that is not in the ISR.
    ///
    /// `own_lag_ms` is how long the oldest append of this shard has waited for its own disk. A leader that lags itself expels
    /// nobody; it says so by [`Leading::lags_itself`].
    pub fn wanted_isr(&mut self, now: MonoNanos, lag_ms: u64, own_lag_ms: u64) -> Option<IsrAsk> {
        let number = self.asks + 1;
        if let Some(asked) = &mut self.asked {
            let again = asked.again(number, now)?;
            self.asks = number;
            return Some(again);
        }
        let wanted = self.wanted_members(now, lag_ms, own_lag_ms);
        let is_as_now = self.followers.iter().all(|it| it.in_isr == wanted.contains(it.server));
        if is_as_now {
            return None;
        }
        self.followers.iter_mut().for_each(|it| it.asked = wanted.contains(it.server));
        let members = self.followers.iter().filter(|it| it.asked).map(|it| (it.server, it.broker_epoch));
        let ask = IsrAsk {
            leader_epoch: self.epoch,
            partition_epoch: self.partition_epoch,
            isr: [(self.me, self.broker_epoch)].into_iter().chain(members).collect(),
            number,
        };
        self.asks = number;
        self.asked = Some(Box::new(Asked::new(ask.clone(), now)));
        Some(ask)
    }

    /// The followers that should be in the ISR.
    fn wanted_members(&mut self, now: MonoNanos, lag_ms: u64, own_lag_ms: u64) -> Servers {
        let bar = Bar {
            own: self.own,
            counts: self.counts,
            high_watermark: self.high_watermark,
            epoch_start: self.epoch_start,
            now,
            lag_ms,
        };
        let any_lags = self.followers.iter().any(|it| it.in_isr && it.lags(now, lag_ms));
        self.lags_itself = any_lags && own_lag_ms > lag_ms;
        if self.lags_itself {
            mark("slow leader expels nobody");
        }
        let may_grow = now >= self.grow_from;
        let stays = |it: &&Progress| {
            if it.in_isr {
                self.lags_itself || !it.lags(now, lag_ms)
            } else {
                may_grow && bar.is_passed_by(it)
            }
        };
        self.followers.iter().filter(stays).map(|it| it.server).collect()
    }

    /// Takes the controller's answer. Being granted changes nothing: the ISR acts by the image.
    pub fn isr_answered(&mut self, answer: IsrAnswer) -> Moved {
        let Some(asked) = self.asked.as_deref() else { return Moved::NOTHING };
        if asked.is_settled_by(answer) {
            mark("isr change refused");
            let again_at = asked.again_at;
            self.settle_ask();
            self.grow_from = again_at;
            return self.advance();
        }
        match answer.verdict {
            Verdict::Decided { .. } if !holds(Rule::IsrByImage) => self.take_answer(),
            Verdict::StaleEpoch => mark("isr change asked with an old epoch: only the image settles it"),
            Verdict::Ineligible => mark("refusal of an earlier copy of an isr change settles nothing"),
            Verdict::Decided { .. } | Verdict::SameAlready | Verdict::NotLeader => {}
        }
        self.advance()
    }

    /// What the rule of the image forbids.
    fn take_answer(&mut self) {
        self.followers.iter_mut().for_each(|it| it.in_isr = it.asked);
        self.isr_size = 1 + self.followers.iter().filter(|it| it.in_isr).count();
        self.settle_ask();
    }

    fn settle_ask(&mut self) {
        self.asked = None;
        self.followers.iter_mut().for_each(|follower| follower.asked = false);
    }

    /// Takes the members of an image. A follower that is as it was keeps what it has said.
    fn assign(&mut self, assignment: Assignment, now: MonoNanos) {
        let Assignment { me, isr, followers, .. } = assignment;
        let is_replica = |server: &ServerId| *server == me || followers.iter().any(|it| it.server == *server);
        assert!(isr.as_slice().iter().all(is_replica), "the ISR {isr:?} is among the replicas");
        let before = std::mem::take(&mut self.followers);
        let log_end = self.own.log_end;
        let progress = |member: &Member| {
            let in_isr = isr.contains(member.server);
            let is_same =
                |it: &&Progress| it.server == member.server && it.broker_epoch == member.broker_epoch;
            match before.iter().find(is_same) {
                Some(known) => known.reassigned(*member, in_isr, now),
                None => Progress::new(*member, in_isr, log_end, now),
            }
        };
        self.followers = followers.iter().map(progress).collect();
        self.isr_size = isr.len();
        self.me = me;
        self.broker_epoch = assignment.broker_epoch;
        self.partition_epoch = assignment.partition_epoch;
        self.min_isr = assignment.min_isr;
        self.counts = assignment.counts;
    }

    fn facts(&self) -> Facts<'_> {
        Facts {
            own: self.own,
            epoch_start: self.epoch_start,
            counts: self.counts,
            isr_size: self.isr_size,
            min_isr: self.min_isr,
            followers: &self.followers,
        }
    }

    /// Moves the high watermark as far as it may go.
    #[inline]
    fn advance(&mut self) -> Moved {
        let Some(committed) = self.facts().committed() else { return Moved::NOTHING };
        if committed <= self.high_watermark {
            return Moved::NOTHING;
        }
        let was_settled = self.high_watermark >= self.epoch_start;
        self.high_watermark = committed;
        assert!(committed <= self.own.log_end, "no more is committed than there is");
        Moved { high_watermark: true, settled: !was_settled && committed >= self.epoch_start }
    }

    /// Whether there are replicas besides this server.
    #[must_use]
    pub fn has_followers(&self) -> bool {
        !self.followers.is_empty()
    }

    fn follower(&self, server: ServerId) -> Option<&Progress> {
        self.followers.iter().find(|follower| follower.server == server)
    }

    fn follower_mut(&mut self, server: ServerId) -> Option<&mut Progress> {
        self.followers.iter_mut().find(|follower| follower.server == server)
    }
}
