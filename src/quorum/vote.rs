//! Votes: who gets one, and what the answers make of whoever asked.

use crate::base::{LeaderEpoch, LogEnd, MonoNanos, Offset, Rule, Voter, holds, mark};

use super::election::Quorum;
use super::message::{Message, Outcome, VoteAnswer, VoteAsk, VoteKind};
use super::standing::{Contact, Standing};

impl Quorum {
    /// A candidate asks for this server's vote. `log` is the end of what is flushed here.
    pub fn vote_asked(&mut self, now: MonoNanos, ask: &VoteAsk, log: LogEnd) -> Outcome {
        if ask.candidate == self.me {
            return self.outcome();
        }
        if ask.asked != self.me && holds(Rule::Q10) {
            // That voter had another log than this one: whoever counted its vote would count records that are gone.
            mark("asked for the vote of a voter that is no more");
            return self.outcome();
        }
        // A real vote is of the candidate's own epoch; before, it asks for the one after.
        let candidates_epoch = match ask.kind {
            VoteKind::Pre => LeaderEpoch(ask.epoch.0.saturating_sub(1)),
            VoteKind::Real => ask.epoch,
        };
        if candidates_epoch > self.epoch() {
            self.adopt(now, candidates_epoch);
        }
        let granted = candidates_epoch == self.epoch() && self.grants(now, ask, log);
        if granted && ask.kind == VoteKind::Real {
            self.give(now, ask.candidate);
        }
        let answer = VoteAnswer {
            kind: ask.kind,
            epoch: ask.epoch,
            from: ask.asked,
            to: ask.candidate,
            granted,
            log,
            leader: self.knows_leader(),
            leader_epoch: self.epoch(),
        };
        self.writes.send(ask.candidate, Message::Answer(answer));
        self.outcome()
    }

    /// A candidate in this server's own epoch.
    fn grants(&self, now: MonoNanos, ask: &VoteAsk, log: LogEnd) -> bool {
        if ask.log < log && holds(Rule::Q3) {
            return false;
        }
        match ask.kind {
            VoteKind::Pre => !self.hears_leader(now) || !holds(Rule::Q8),
            VoteKind::Real => {
                let voted_for = self.writes.ballot().voted_for;
                let has_vote = voted_for.is_none_or(|voted_for| voted_for == ask.candidate);
                (has_vote || !holds(Rule::Q2)) && self.knows_leader().is_none()
            }
        }
    }

    /// Leads, or has heard the leader lately (rule Q8). Who never heard the leader it follows helps another one: else two
    /// servers that name a dead leader to each other would take turns for ever.
    fn hears_leader(&self, now: MonoNanos) -> bool {
        match self.standing {
            Standing::Leading => true,
            Standing::Following { contact, .. } => {
                if contact == Contact::Never {
                    mark("helps a candidate although a leader was named, which it never heard");
                }
                contact == Contact::Heard && now < self.clock.standing_ends
            }
            _ => false,
        }
    }

    fn knows_leader(&self) -> Option<Voter> {
        match self.standing {
            Standing::Leading => Some(self.me),
            Standing::Following { leader, .. } | Standing::Asking { leader: Some(leader), .. } => {
                Some(leader)
            }
            _ => None,
        }
    }

    fn give(&mut self, now: MonoNanos, candidate: Voter) {
        if self.writes.ballot().voted_for == Some(candidate) {
            mark("a vote is given once more to whom it was given");
            return;
        }
        self.writes.forget_round();
        self.writes.set(self.epoch(), Some(candidate));
        self.standing = Standing::Voted;
        self.wait_for_leader(now);
    }

    /// A voter has answered. `registered_at` is the offset of its server's last ServerRecord that was unfenced, by the log here;
    /// -1 without any. (A server is unfenced only when it has flushed that record; of one that is not, it may honestly lack
    /// the record.) `log` is the end of what is flushed here.
    pub fn vote_answered(
        &mut self,
        now: MonoNanos,
        answer: &VoteAnswer,
        registered_at: Offset,
        log: LogEnd,
    ) -> Outcome {
        if answer.to != self.me {
            mark("an answer to a voter that is no more");
            return self.outcome();
        }
        if answer.leader_epoch > self.epoch() {
            self.hears_of(now, answer.leader_epoch, answer.leader);
            return self.outcome();
        }
        if !self.voters().contains(answer.from) {
            mark("an answer of somebody who does not vote");
            return self.outcome();
        }
        if answer.granted && answer.log.end <= registered_at {
            // Its server was started with a longer log once: this one is an old copy, and so is its ballot.
            mark("a vote of a log that lacks its own server's start does not count");
            return self.outcome();
        }
        self.count(now, answer, log);
        self.outcome()
    }

    fn count(&mut self, now: MonoNanos, answer: &VoteAnswer, log: LogEnd) {
        let epoch = self.epoch();
        match &mut self.standing {
            Standing::Asking { granted, .. } if is_round(answer, VoteKind::Pre, epoch) && answer.granted => {
                granted.insert(answer.from);
                self.votes_counted(now, log);
            }
            Standing::Candidate { granted, .. }
                if is_round(answer, VoteKind::Real, epoch) && answer.granted =>
            {
                granted.insert(answer.from);
                self.votes_counted(now, log);
            }
            Standing::Candidate { refused, .. } if is_round(answer, VoteKind::Real, epoch) => {
                refused.insert(answer.from);
                self.refused(now);
            }
            _ => {}
        }
        // Who grants although it names a leader has never heard that one.
        if !answer.granted && answer.leader_epoch == self.epoch() && answer.leader.is_some() {
            self.hears_of(now, answer.leader_epoch, answer.leader);
        }
    }

    /// A candidate that was refused tries again sooner: two that stand at the same moment, with the third server dead, would
    /// wait for a whole round. Whether its log is behind it finds out without another epoch.
    fn refused(&mut self, now: MonoNanos) {
        mark("a candidate is refused");
        let again_ms = self.timers.again_ms();
        let sooner = self.clock.within_ms(now.plus_ms(again_ms / 2), again_ms);
        self.clock.standing_ends = self.clock.standing_ends.min(sooner);
    }
}

/// Whether the answer belongs to the round of an asker in this epoch.
fn is_round(answer: &VoteAnswer, kind: VoteKind, epoch: LeaderEpoch) -> bool {
    let asked_for = match kind {
        VoteKind::Pre => LeaderEpoch(epoch.0.saturating_add(1)),
        VoteKind::Real => epoch,
    };
    answer.kind == kind && answer.epoch == asked_for
}

/// Where a log ends, as votes compare it. A log of which a snapshot is all that there is has the snapshot's epoch
/// (rule D4): with none, its voter would give way to everybody, or to nobody.
#[must_use]
pub fn log_end(last_batch: Option<LeaderEpoch>, snapshot: Option<LeaderEpoch>, end: Offset) -> LogEnd {
    let snapshot = snapshot.filter(|_| holds(Rule::D4));
    LogEnd { last_epoch: last_batch.or(snapshot).unwrap_or(LogEnd::EMPTY.last_epoch), end }
}
