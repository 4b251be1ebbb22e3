//! The election's state and its own steps: time that ends a standing, rounds of votes, leading, resigning.

use std::collections::BTreeSet;

use crate::base::{LeaderEpoch, LogEnd, MonoNanos, Offset, Rule, ServerId, Voter, holds, mark};

use super::ballot::Ballot;
use super::message::{Change, Lead, Message, Outcome, VoteAsk, VoteKind};
use super::standing::{Clock, Contact, Standing, Timers};
use super::voters::{Voters, VotersLog};
use super::writes::Writes;

/// One server's part in electing who leads the metadata log.
///
/// Every input gives an [`Outcome`]. What a `log` argument says must be flushed, and must stay: of a log that is being cut,
/// it is what will be left.
#[derive(Clone, Hash, Debug)]
pub struct Quorum {
    pub(super) me: Voter,
    pub(super) writes: Writes,
    pub(super) standing: Standing,
    pub(super) voters: VotersLog,
    pub(super) timers: Timers,
    pub(super) clock: Clock,
    /// The part that the shard was told last.
    told: Change,
}

impl Quorum {
    /// A server that starts, with the ballot of its directory and the voters of its log as recovered. Seeds should
    /// differ between servers, so that they do not ask for votes at the same moments.
    ///
    /// A start knows nothing of what it led before (rule D14): the log may have lost records that were sent to others,
    /// and leading on in the same epoch would give their offsets to other records.
    #[must_use]
    pub fn new(
        server: ServerId,
        ballot: Ballot,
        voters: VotersLog,
        timers: Timers,
        seed: u64,
        now: MonoNanos,
    ) -> Quorum {
        let me = Voter { server, id: ballot.voter };
        let has_stood = ballot.voted_for == Some(me);
        let epoch = ballot.epoch;
        let (standing, told) = match has_stood {
            true if !holds(Rule::D14) && voters.current().is_sole(me) => {
                (Standing::Leading, Change::Unattached { epoch })
            }
            true => (Standing::Resigned, Change::Resigned { epoch }),
            false => (Standing::Unattached, Change::Unattached { epoch }),
        };
        let (writes, clock) = (Writes::new(ballot), Clock::new(seed));
        let mut quorum = Quorum { me, writes, standing, voters, timers, clock, told };
        match quorum.standing {
            Standing::Leading => quorum.clock.again = now,
            // Nobody else can lead: no reason to wait.
            _ if quorum.voters.current().is_sole(me) => quorum.clock.begin(now),
            _ => quorum.wait_for_leader(now),
        }
        quorum
    }

    /// Time has passed. `log` is the end of what is flushed.
    pub fn tick(&mut self, now: MonoNanos, log: LogEnd) -> Outcome {
        if now >= self.clock.standing_ends {
            self.standing_ends(now, log);
        } else if now >= self.clock.again {
            self.again(now, log);
        }
        self.outcome()
    }

    /// When the next tick is due.
    #[must_use]
    pub fn deadline(&self) -> MonoNanos {
        self.clock.next()
    }

    /// The ballot that an outcome asked to write is durable.
    pub fn persisted(&mut self, _now: MonoNanos) -> Outcome {
        self.writes.persisted();
        self.outcome()
    }

    /// Gives up leading: the server stops, or its storage failed. Nothing happens to whoever does not lead.
    pub fn resign(&mut self, now: MonoNanos) -> Outcome {
        if self.standing == Standing::Leading {
            self.resigns(now);
        }
        self.outcome()
    }

    /// A VotersRecord is in the log at `at`: for the leader, from when it counts ([`super::Majority`] says so).
    pub fn voters_appended(&mut self, now: MonoNanos, at: Offset, voters: Voters) -> Outcome {
        self.voters.appended(at, voters);
        self.voters_changed(now);
        self.outcome()
    }

    /// The log was cut and ends here.
    pub fn voters_truncated(&mut self, now: MonoNanos, end: Offset) -> Outcome {
        self.voters.truncated(end);
        self.voters_changed(now);
        self.outcome()
    }

    /// The high watermark of the metadata log has moved. A leader that the voters have removed resigns (rule Q7).
    pub fn committed(&mut self, now: MonoNanos, high_watermark: Offset) -> Outcome {
        self.voters.committed(high_watermark);
        let removed = self.voters.uncommitted().is_none() && !self.is_voter();
        if removed && self.standing == Standing::Leading {
            mark("a leader that was removed resigns");
            self.resigns(now);
        }
        self.outcome()
    }

    /// The voter that this server is, whether anybody counts it or not.
    #[must_use]
    pub fn me(&self) -> Voter {
        self.me
    }

    #[must_use]
    pub fn standing(&self) -> &Standing {
        &self.standing
    }

    /// The newest epoch known, which need not be durable yet.
    #[must_use]
    pub fn epoch(&self) -> LeaderEpoch {
        self.writes.epoch()
    }

    /// The leader of this epoch that others may be told.
    #[must_use]
    pub fn leader(&self) -> Option<Voter> {
        match self.part() {
            Change::Lead { .. } => Some(self.me),
            Change::Follow { leader, .. } => Some(leader),
            Change::Unattached { .. } | Change::Resigned { .. } => None,
        }
    }

    /// The voters that count by this server's log.
    #[must_use]
    pub fn voters(&self) -> &Voters {
        self.voters.current()
    }

    #[must_use]
    pub fn is_voter(&self) -> bool {
        self.voters().contains(self.me)
    }

    /// What is to be done after an input.
    pub(super) fn outcome(&mut self) -> Outcome {
        let part = self.part();
        let change = (part != self.told).then_some(part);
        self.told = part;
        Outcome { persist: self.writes.next(), send: self.writes.sendable(), change }
    }

    /// The part that the server may act on. Leading and following wait for the ballot; nothing to do waits for nothing.
    fn part(&self) -> Change {
        let epoch = self.epoch();
        match self.standing {
            Standing::Resigned => Change::Resigned { epoch },
            Standing::Leading if self.writes.may_act() => Change::Lead { epoch },
            Standing::Following { leader, .. } | Standing::Asking { leader: Some(leader), .. }
                if self.writes.may_act() =>
            {
                Change::Follow { epoch, leader }
            }
            _ => Change::Unattached { epoch },
        }
    }

    fn standing_ends(&mut self, now: MonoNanos, log: LogEnd) {
        match self.standing {
            Standing::Leading => {
                mark("a leader that hears no majority resigns");
                self.resigns(now);
            }
            Standing::Following { leader, .. } if self.is_voter() => self.ask(now, log, Some(leader)),
            Standing::Following { leader, .. } => {
                mark("an observer hears its leader no more");
                self.standing = Standing::Following { leader, contact: Contact::Lost };
                self.clock.begin(MonoNanos::NEVER);
            }
            Standing::Asking { leader, .. } if self.is_voter() => self.ask(now, log, leader),
            _ if self.is_voter() => self.ask(now, log, None),
            _ => self.wait_for_leader(now),
        }
    }

    /// Waits for a leader, each server for another time.
    pub(super) fn wait_for_leader(&mut self, now: MonoNanos) {
        let jittered = self.clock.within_ms(now.plus_ms(self.timers.election_ms), self.timers.election_ms);
        self.clock.begin(jittered);
    }

    /// Begins a round of questions whether a candidature would succeed: nobody's epoch moves for one that would not.
    fn ask(&mut self, now: MonoNanos, log: LogEnd, leader: Option<Voter>) {
        self.writes.forget_round();
        if self.epoch().0 == i32::MAX {
            // Somebody has claimed the last epoch that there is.
            self.wait_for_leader(now);
            return;
        }
        self.standing = Standing::Asking { granted: BTreeSet::from([self.me]), leader };
        self.wait_for_leader(now);
        self.votes_counted(now, log);
        if matches!(self.standing, Standing::Asking { .. }) {
            self.again(now, log);
        }
    }

    /// Goes on if a majority is in favour.
    pub(super) fn votes_counted(&mut self, now: MonoNanos, log: LogEnd) {
        match &self.standing {
            Standing::Asking { granted, .. } if self.agree(granted) => self.stand(now, log),
            Standing::Candidate { granted, .. } if self.agree(granted) => self.lead(now),
            _ => {}
        }
    }

    fn agree(&self, granted: &BTreeSet<Voter>) -> bool {
        self.voters().agree(|voter| granted.contains(&voter))
    }

    fn stand(&mut self, now: MonoNanos, log: LogEnd) {
        self.writes.forget_round();
        self.writes.set(LeaderEpoch(self.epoch().0 + 1), Some(self.me));
        self.standing = Standing::Candidate { granted: BTreeSet::from([self.me]), refused: BTreeSet::new() };
        self.wait_for_leader(now);
        self.votes_counted(now, log);
        if matches!(self.standing, Standing::Candidate { .. }) {
            self.again(now, log);
        }
    }

    fn lead(&mut self, now: MonoNanos) {
        self.writes.forget_round();
        self.standing = Standing::Leading;
        self.clock.begin(MonoNanos::NEVER);
        self.clock.heard = self.voters.current().iter().map(|voter| (voter, now)).collect();
        self.clock.standing_ends = self.majority_lost_at();
        self.name_itself(now, |_| true);
    }

    fn resigns(&mut self, now: MonoNanos) {
        self.writes.forget_round();
        self.standing = Standing::Resigned;
        self.wait_for_leader(now);
    }

    /// Asks whoever has not answered, or tells whoever is silent.
    fn again(&mut self, now: MonoNanos, log: LogEnd) {
        let epoch = self.epoch();
        let (kind, epoch, open): (_, _, Vec<Voter>) = match &self.standing {
            Standing::Leading => {
                let silent_ms = self.timers.silent_ms();
                let heard = self.clock.heard.clone();
                let is_silent =
                    |voter: Voter| heard.get(&voter).is_none_or(|at| at.plus_ms(silent_ms) <= now);
                return self.name_itself(now, is_silent);
            }
            Standing::Asking { granted, .. } => {
                let open = self.voters().iter().filter(|voter| !granted.contains(voter)).collect();
                (VoteKind::Pre, LeaderEpoch(epoch.0.saturating_add(1)), open)
            }
            Standing::Candidate { granted, refused } => {
                let answered = |voter: &Voter| granted.contains(voter) || refused.contains(voter);
                (VoteKind::Real, epoch, self.voters().iter().filter(|voter| !answered(voter)).collect())
            }
            _ => return,
        };
        for asked in open {
            let ask = VoteAsk { kind, epoch, candidate: self.me, asked, log };
            self.writes.send(asked, Message::Ask(ask));
        }
        self.clock.again = now.plus_ms(self.timers.again_ms());
    }

    /// A leader tells voters that it leads.
    fn name_itself(&mut self, now: MonoNanos, to: impl Fn(Voter) -> bool) {
        let lead = Message::Lead(Lead { epoch: self.epoch(), leader: self.me });
        let others: Vec<Voter> =
            self.voters().iter().filter(|voter| *voter != self.me && to(*voter)).collect();
        for other in others {
            self.writes.send(other, lead);
        }
        self.clock.again = if self.voters().is_sole(self.me) {
            MonoNanos::NEVER
        } else {
            now.plus_ms(self.timers.silent_ms())
        };
    }
}
