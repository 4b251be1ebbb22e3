//! Leaders: hearing of one, hearing one, losing one; and a leader that hears its voters.

use crate::base::{LeaderEpoch, LogEnd, MonoNanos, Rule, Voter, holds, mark};

use super::election::Quorum;
use super::message::{Message, Outcome, VoteAnswer, VoteKind};
use super::standing::{Contact, Standing, Timers};

impl Quorum {
    /// Somebody names a leader and its epoch: the leader itself, or anybody's Hello or Welcome.
    pub fn leader_named(&mut self, now: MonoNanos, epoch: LeaderEpoch, leader: Voter) -> Outcome {
        if epoch < self.epoch() && leader != self.me {
            self.correct(leader, epoch);
        } else {
            self.hears_of(now, epoch, Some(leader));
        }
        self.outcome()
    }

    /// The leader of this epoch was heard on a stream of its own.
    pub fn leader_heard(&mut self, now: MonoNanos, epoch: LeaderEpoch) -> Outcome {
        if epoch == self.epoch()
            && let Standing::Following { leader, .. } | Standing::Asking { leader: Some(leader), .. } =
                self.standing
        {
            self.follow(now, leader, Contact::Heard);
        }
        self.outcome()
    }

    /// The leader of this epoch has closed its connection, or its kernel has: as good as a long silence, but that all of its
    /// followers see it at the same moment.
    pub fn leader_gone(&mut self, now: MonoNanos, epoch: LeaderEpoch) -> Outcome {
        if epoch == self.epoch()
            && let Standing::Following { leader, .. } = self.standing
        {
            mark("the leader's connection was closed");
            self.standing = Standing::Following { leader, contact: Contact::Lost };
            let soon = self.clock.within_ms(now, Timers::GONE_MS);
            self.clock.standing_ends = self.clock.standing_ends.min(soon);
        }
        self.outcome()
    }

    /// A leader has heard this voter: an ack, also one of no stream.
    pub fn acked(&mut self, now: MonoNanos, voter: Voter) -> Outcome {
        if self.standing == Standing::Leading
            && let Some(heard) = self.clock.heard.get_mut(&voter)
        {
            *heard = now;
            self.clock.standing_ends = self.majority_lost_at();
        }
        self.outcome()
    }

    /// When a leader resigns if it hears nobody any more (rule Q9): else one that can send but not receive would hold its
    /// followers for ever.
    pub(super) fn majority_lost_at(&self) -> MonoNanos {
        let others: Vec<Voter> = self.voters().iter().filter(|voter| *voter != self.me).collect();
        let needed = self.voters().majority() - usize::from(self.is_voter());
        let mut heard: Vec<MonoNanos> =
            others.iter().filter_map(|voter| self.clock.heard.get(voter)).copied().collect();
        heard.sort_unstable();
        let oldest = heard.len().checked_sub(needed).and_then(|place| heard.get(place));
        match oldest {
            Some(oldest) if holds(Rule::Q9) => oldest.plus_ms(self.timers.resign_ms()),
            _ => MonoNanos::NEVER,
        }
    }

    /// Other voters count now.
    pub(super) fn voters_changed(&mut self, now: MonoNanos) {
        match self.standing {
            Standing::Leading => {
                let heard = std::mem::take(&mut self.clock.heard);
                let at = |voter| (voter, heard.get(&voter).copied().unwrap_or(now));
                self.clock.heard = self.voters.current().iter().map(at).collect();
                self.clock.standing_ends = self.majority_lost_at();
                self.clock.again = self.clock.again.min(now.plus_ms(self.timers.silent_ms()));
            }
            Standing::Asking { leader, .. } if !self.is_voter() => {
                mark("asked for votes and votes no more");
                self.writes.forget_round();
                self.standing = match leader {
                    Some(leader) => Standing::Following { leader, contact: Contact::Lost },
                    None => Standing::Unattached,
                };
                self.wait_for_leader(now);
            }
            // An observer that hears nobody has no time set; now it may have to stand.
            Standing::Following { .. } if self.clock.standing_ends == MonoNanos::NEVER => {
                self.wait_for_leader(now);
            }
            _ => {}
        }
    }

    /// Takes a newer epoch, without a vote in it.
    pub(super) fn adopt(&mut self, now: MonoNanos, epoch: LeaderEpoch) {
        if self.standing == Standing::Leading {
            mark("a leader hears of a newer epoch");
        }
        self.writes.set(epoch, None);
        self.standing = Standing::Unattached;
        self.wait_for_leader(now);
    }

    /// Somebody knows of an epoch, and perhaps of its leader.
    pub(super) fn hears_of(&mut self, now: MonoNanos, epoch: LeaderEpoch, leader: Option<Voter>) {
        if epoch < self.epoch() {
            return;
        }
        if epoch > self.epoch() {
            self.adopt(now, epoch);
        }
        let Some(leader) = leader else { return };
        if leader == self.me {
            if self.standing != Standing::Leading {
                mark("named as the leader of an epoch that it does not lead");
                self.does_not_lead(now);
            }
            return;
        }
        match self.standing {
            // An epoch has one leader: whoever names another one is wrong, and not believed.
            Standing::Leading | Standing::Following { .. } | Standing::Asking { leader: Some(_), .. } => {}
            _ => self.follow(now, leader, Contact::Never),
        }
    }

    /// Was named as the leader of this epoch and leads it no more, or never did. Its vote must not go to anybody else.
    fn does_not_lead(&mut self, now: MonoNanos) {
        if self.writes.ballot().voted_for.is_none() {
            self.writes.set(self.epoch(), Some(self.me));
            self.standing = Standing::Resigned;
            self.wait_for_leader(now);
        }
    }

    fn follow(&mut self, now: MonoNanos, leader: Voter, contact: Contact) {
        if matches!(self.standing, Standing::Asking { .. } | Standing::Candidate { .. }) {
            self.writes.forget_round();
        }
        self.standing = Standing::Following { leader, contact };
        self.clock.begin(now.plus_ms(self.timers.fetch_timeout_ms));
    }

    /// Tells somebody who takes itself for the leader that a newer epoch has begun.
    fn correct(&mut self, leader: Voter, epoch: LeaderEpoch) {
        mark("a leader of an old epoch is told the newer one");
        let answer = VoteAnswer {
            kind: VoteKind::Real,
            epoch,
            from: self.me,
            to: leader,
            granted: false,
            log: LogEnd::EMPTY,
            leader: self.leader(),
            leader_epoch: self.epoch(),
        };
        self.writes.send(leader, Message::Answer(answer));
    }
}
