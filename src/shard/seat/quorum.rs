//! This server's part in the quorum of the metadata log: the election, and what a majority of voters commits.
//!
//! Owns the election and, while this server leads, the count of what the voters have flushed. What both decide is carried out in
//! the file `outcomes`.

use std::collections::BTreeMap;

use crate::base::{LeaderEpoch, LogEnd, MonoNanos, Offset, ServerId, Voter};
use crate::controller;
use crate::peer;
use crate::quorum::{Ballot, Change, Counts, Majority, Moved, Quorum, Timers, Voters, VotersLog};

use super::super::config::{ClusterConfig, ClusterTimers};
use super::super::directory::DirectoryRecovery;
use super::super::replica::{QuorumSeen, Replica};
use super::super::store::{Role, Store};
use super::super::turn::Turn;
use super::votes::{answered, asked};

#[derive(Debug)]
pub(super) struct QuorumSeat {
    pub(super) quorum: Quorum,
    pub(super) slot: u32,
    /// What is committed, while this server leads.
    pub(super) majority: Option<Majority>,
    /// Up to where each voter has flushed the log in this epoch.
    ends: BTreeMap<Voter, Offset>,
    /// The part that the log was told last.
    pub(super) part: Option<Change>,
    /// A change of part that is to be carried out.
    pub(super) next: Option<Change>,
}

/// What the quorum has for the controller and the server's membership.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum QuorumNews {
    /// This server leads from now on: the epoch's first record is to be appended.
    Elected(LeaderEpoch),
    /// This server does not lead, whatever it did before.
    Out,
}

impl QuorumSeat {
    pub(super) fn new(
        server: ServerId,
        ballot: Ballot,
        voters: VotersLog,
        timers: &ClusterTimers,
        seed: u64,
        slot: u32,
    ) -> QuorumSeat {
        let timers = Timers { election_ms: timers.election_ms, fetch_timeout_ms: timers.fetch_timeout_ms };
        let quorum = Quorum::new(server, ballot, voters, timers, seed, MonoNanos(0));
        QuorumSeat { quorum, slot, majority: None, ends: BTreeMap::new(), part: None, next: None }
    }

    /// As recovery has found the directory. Without a ballot this server votes as nobody.
    pub(super) fn of_recovery(
        config: &ClusterConfig,
        directory: &DirectoryRecovery,
        seed: u64,
        slot: u32,
    ) -> QuorumSeat {
        let ballot = directory.ballot.unwrap_or(Ballot::new(config.voter));
        let me = Voter { server: config.server, id: ballot.voter };
        let known = voters_of(&directory.voters.committed).filter(|voters| !voters.is_empty());
        // A log without a record of voters is that of a server that founded its cluster, or that has yet to fetch one.
        let base = match known {
            Some(voters) => voters,
            None if directory.voters.founded => Voters::sole(me),
            None => Voters::default(),
        };
        let mut voters = VotersLog::new(base);
        for (at, later) in &directory.voters.later {
            if let Some(later) = voters_of(later) {
                voters.appended(*at, later);
            }
        }
        QuorumSeat::new(config.server, ballot, voters, &config.timers, seed, slot)
    }

    /// Up to where a voter has flushed the log in this epoch.
    pub(super) fn end_of(&self, voter: Voter) -> Option<Offset> {
        self.ends.get(&voter).copied()
    }

    pub(super) fn me(&self) -> Voter {
        self.quorum.me()
    }

    pub(super) fn leader(&self) -> Option<Voter> {
        self.quorum.leader()
    }

    pub(super) fn epoch(&self) -> LeaderEpoch {
        self.quorum.epoch()
    }

    pub(super) fn voters(&self) -> &Voters {
        self.quorum.voters()
    }

    pub(super) fn seen(&self) -> QuorumSeen {
        QuorumSeen { epoch: self.quorum.epoch().0, leader: self.quorum.leader() }
    }

    /// Whether records may be appended now: none is behind a record of voters that waits to be flushed.
    pub(super) fn takes_records(&self) -> bool {
        self.majority.as_ref().is_some_and(Majority::takes_records)
    }

    pub(super) fn majority(&self) -> Option<&Majority> {
        self.majority.as_ref()
    }

    pub(super) fn next_deadline(&self) -> MonoNanos {
        self.quorum.deadline()
    }

    pub(super) fn tick(&mut self, replica: &mut Replica, store: &mut Store, turn: &mut Turn<'_>) {
        if self.quorum.deadline() <= turn.now.mono {
            let log = self.flushed(store);
            let outcome = self.quorum.tick(turn.now.mono, log);
            self.perform(outcome, replica, store, turn);
        }
    }

    /// The ballot is on stable storage.
    pub(super) fn persisted(&mut self, replica: &mut Replica, store: &mut Store, turn: &mut Turn<'_>) {
        let outcome = self.quorum.persisted(turn.now.mono);
        self.perform(outcome, replica, store, turn);
    }

    /// A voter says something.
    pub(super) fn heard(
        &mut self,
        message: &peer::Message,
        replica: &mut Replica,
        store: &mut Store,
        turn: &mut Turn<'_>,
    ) {
        let (now, log) = (turn.now.mono, self.flushed(store));
        let outcome = match message {
            peer::Message::VoteAsk(ask) => self.quorum.vote_asked(now, &asked(ask), log),
            peer::Message::VoteAnswer(it) => {
                let registered = store.image().servers.get(&it.from.server);
                // A life that was unfenced has flushed its registration; of a later one nobody knows that yet (D6).
                let unfenced = registered.and_then(|server| server.unfenced_epoch);
                let registered_at = unfenced.map_or(Offset(-1), |epoch| Offset(epoch.0));
                self.quorum.vote_answered(now, &answered(it), registered_at, log)
            }
            peer::Message::Lead(lead) => self.quorum.leader_named(now, LeaderEpoch(lead.epoch), lead.leader),
            peer::Message::Resign(resign) => {
                if resign.epoch.is_none_or(|epoch| epoch != self.quorum.epoch().0) {
                    return;
                }
                self.quorum.leader_gone(now, self.quorum.epoch())
            }
            _ => return,
        };
        self.perform(outcome, replica, store, turn);
    }

    /// Somebody names the newest epoch that it knows.
    pub(super) fn named(
        &mut self,
        seen: QuorumSeen,
        replica: &mut Replica,
        store: &mut Store,
        turn: &mut Turn<'_>,
    ) {
        let Some(leader) = seen.leader else { return };
        let outcome = self.quorum.leader_named(turn.now.mono, LeaderEpoch(seen.epoch), leader);
        self.perform(outcome, replica, store, turn);
    }

    /// The leader's stream was heard.
    pub(super) fn leader_heard(
        &mut self,
        from: ServerId,
        replica: &mut Replica,
        store: &mut Store,
        turn: &mut Turn<'_>,
    ) {
        let role = store.partitions.get(self.slot).map(|it| it.role());
        let Some(Role::Following(follows)) = role else { return };
        if follows.led_by.server == from {
            let epoch = follows.following.epoch();
            let outcome = self.quorum.leader_heard(turn.now.mono, epoch);
            self.perform(outcome, replica, store, turn);
        }
    }

    /// The lane to the leader is gone.
    pub(super) fn lane_lost(
        &mut self,
        server: ServerId,
        replica: &mut Replica,
        store: &mut Store,
        turn: &mut Turn<'_>,
    ) {
        if self.quorum.leader().is_some_and(|leader| leader.server == server) {
            let outcome = self.quorum.leader_gone(turn.now.mono, self.quorum.epoch());
            self.perform(outcome, replica, store, turn);
        }
    }

    /// A follower of the log is heard: it has flushed it up to here, if that is news.
    pub(super) fn acked(
        &mut self,
        voter: Voter,
        flushed: Option<Offset>,
        replica: &mut Replica,
        store: &mut Store,
        turn: &mut Turn<'_>,
    ) {
        let outcome = self.quorum.acked(turn.now.mono, voter);
        self.perform(outcome, replica, store, turn);
        if let Some(flushed) = flushed.filter(|_| self.majority.is_some()) {
            let end = self.ends.entry(voter).or_insert(flushed);
            *end = (*end).max(flushed);
            self.count(replica, store, turn);
        }
    }

    /// The log here has moved.
    pub(super) fn progressed(&mut self, replica: &mut Replica, store: &mut Store, turn: &mut Turn<'_>) {
        let Some(marks) = store.partitions.get(self.slot).map(|it| *it.watermarks()) else { return };
        if self.majority.is_some() {
            let me = self.quorum.me();
            if self.ends.insert(me, marks.flushed) != Some(marks.flushed) {
                self.count(replica, store, turn);
            }
        } else {
            let outcome = self.quorum.committed(turn.now.mono, marks.high);
            self.perform(outcome, replica, store, turn);
        }
    }

    /// What a majority has, is committed.
    fn count(&mut self, replica: &mut Replica, store: &mut Store, turn: &mut Turn<'_>) {
        let Some(majority) = &mut self.majority else { return };
        let ends = &self.ends;
        let Moved { high_watermark, voters } = majority.flushed(|voter| ends.get(&voter).copied());
        store.send_until(self.slot, majority.sends_until(), turn);
        if let Some((at, voters)) = voters {
            let outcome = self.quorum.voters_appended(turn.now.mono, at, voters);
            self.perform(outcome, replica, store, turn);
        }
        if let Some(high) = high_watermark {
            store.preside_up_to(self.slot, high, turn);
            let outcome = self.quorum.committed(turn.now.mono, high);
            self.perform(outcome, replica, store, turn);
        }
    }

    /// A record of voters was appended by this server, which leads.
    pub(super) fn voters_decided(
        &mut self,
        at: Offset,
        voters: Voters,
        counts: Counts,
        replica: &mut Replica,
        store: &mut Store,
        turn: &mut Turn<'_>,
    ) {
        let Some(majority) = &mut self.majority else { return };
        majority.changed(at, voters.clone(), counts);
        store.send_until(self.slot, majority.sends_until(), turn);
        if counts == Counts::AtAppend {
            let outcome = self.quorum.voters_appended(turn.now.mono, at, voters);
            self.perform(outcome, replica, store, turn);
        }
    }

    /// A record of voters has come from the leader.
    pub(super) fn voters_replicated(
        &mut self,
        at: Offset,
        voters: Voters,
        replica: &mut Replica,
        store: &mut Store,
        turn: &mut Turn<'_>,
    ) {
        let outcome = self.quorum.voters_appended(turn.now.mono, at, voters);
        self.perform(outcome, replica, store, turn);
    }

    /// The log begins behind a snapshot: its voters are the ones below everything that the log will have.
    pub(super) fn snapshot_installed(
        &mut self,
        end: Offset,
        voters: Voters,
        replica: &mut Replica,
        store: &mut Store,
        turn: &mut Turn<'_>,
    ) {
        let outcome = self.quorum.voters_appended(turn.now.mono, end.plus(-1), voters);
        self.perform(outcome, replica, store, turn);
        let outcome = self.quorum.committed(turn.now.mono, end);
        self.perform(outcome, replica, store, turn);
    }

    /// The log was cut.
    pub(super) fn cut(&mut self, replica: &mut Replica, store: &mut Store, turn: &mut Turn<'_>) {
        let end = store.partitions.get(self.slot).map_or(Offset(0), |it| it.log().log_end());
        let outcome = self.quorum.voters_truncated(turn.now.mono, end);
        self.perform(outcome, replica, store, turn);
    }

    /// This server stops, or its storage has failed.
    pub(super) fn resign(&mut self, replica: &mut Replica, store: &mut Store, turn: &mut Turn<'_>) {
        let outcome = self.quorum.resign(turn.now.mono);
        self.perform(outcome, replica, store, turn);
    }

    /// This server leads: the epoch's first record is at `record`.
    pub(super) fn leads_from(&mut self, record: Offset, store: &Store) {
        let high = store.partitions.get(self.slot).map_or(Offset(0), |it| it.watermarks().high);
        let voters = self.quorum.voters().clone();
        self.majority = Some(Majority::new(self.quorum.me(), record, voters, high));
        self.ends.clear();
    }

    /// Where the flushed log ends.
    fn flushed(&self, store: &Store) -> LogEnd {
        let Some(log) = store.partitions.get(self.slot).map(|it| it.log()) else { return LogEnd::EMPTY };
        let end = log.flushed_offset();
        let last_epoch = log.epochs().at(end.plus(-1)).unwrap_or(LogEnd::EMPTY.last_epoch);
        LogEnd { last_epoch, end }
    }
}

/// Voters as the election knows them: who they are, not where.
pub(super) fn voters_of(voters: &[controller::Voter]) -> Option<Voters> {
    Voters::new(voters.iter().map(|voter| Voter { server: voter.server, id: voter.voter })).ok()
}
