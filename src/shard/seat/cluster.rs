//! What a server of a cluster does on shard 0: its part in the quorum, its membership, and the controller's office while it
//! leads.
//!
//! Joins the three with the lanes: the quorum says who leads the metadata log, the controller decides only while this server does
//! and has folded what was committed before, and the membership speaks to whoever leads.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use crate::base::{LaneId, LogEnd, MonoNanos, Offset, ServerId, Voter};
use crate::controller::{self, ControllerOutput, Join, RegisterError};
use crate::peer::{ForwardOutcome, Forwarded, Message, Registered};
use crate::quorum::Counts;
use crate::record::{self, BATCH_HEADER_BYTES, BatchHeader};

use super::super::config::ClusterConfig;
use super::super::directory::DirectoryRecovery;
use super::super::replica::Replica;
use super::super::store::Store;
use super::super::turn::Turn;
use super::controller::{ControllerSeat, Office};
use super::member::{Member, Says};
use super::quorum::{QuorumNews, QuorumSeat, voters_of};

#[derive(Debug)]
pub(super) struct ClusterSeat {
    pub(super) quorum: QuorumSeat,
    pub(super) member: Member,
    /// Decided, and not yet in the log: nothing may be behind a record of voters that is not flushed.
    pending: VecDeque<Vec<Vec<u8>>>,
    /// Servers that the controller wants to be dialled.
    pub(super) dialling: BTreeSet<ServerId>,
    /// Something has come since the last look at what is to be said and dialled.
    is_stirred: bool,
}

/// Everything that a step of the cluster's seat works with.
pub(super) struct Hands<'a, 't> {
    pub(super) controller: &'a mut ControllerSeat,
    pub(super) replica: &'a mut Replica,
    pub(super) store: &'a mut Store,
    pub(super) turn: &'a mut Turn<'t>,
}

impl ClusterSeat {
    pub(super) fn new(
        config: Arc<ClusterConfig>,
        directory: DirectoryRecovery,
        (shards, seed): (u16, u64),
        slot: u32,
    ) -> ClusterSeat {
        let quorum = QuorumSeat::of_recovery(&config, &directory, seed, slot);
        ClusterSeat {
            quorum,
            member: Member::new(config, directory, shards),
            pending: VecDeque::new(),
            dialling: BTreeSet::new(),
            is_stirred: true,
        }
    }

    /// This server stops, or its storage has failed: nobody needs to wait for it to fall silent.
    pub(super) fn resign(&mut self, hands: &mut Hands<'_, '_>) {
        self.quorum.resign(hands.replica, hands.store, hands.turn);
        self.hear_quorum(hands);
    }

    /// A directory asks for a server id.
    ///
    /// # Errors
    ///
    /// Why it gets none.
    pub(super) fn join(&mut self, join: &Join, hands: &mut Hands<'_, '_>) -> Result<ServerId, RegisterError> {
        if self.office(hands.controller) != Office::Active {
            return Err(RegisterError::NotController);
        }
        let mut out = ControllerOutput::default();
        let given = hands.controller.controller.join(join, &mut out);
        self.perform(out, hands);
        given
    }

    pub(super) fn ballot_written(&mut self, hands: &mut Hands<'_, '_>) {
        self.quorum.persisted(hands.replica, hands.store, hands.turn);
        self.hear_quorum(hands);
    }

    /// The voters of the log's newest record of them count, committed or not (rule Q7).
    pub(super) fn replicated(&mut self, batches: &[u8], hands: &mut Hands<'_, '_>) {
        for (at, voters) in voters_in(batches) {
            let Some(voters) = voters_of(&voters) else { continue };
            self.quorum.voters_replicated(at, voters, hands.replica, hands.store, hands.turn);
        }
        self.hear_quorum(hands);
    }

    pub(super) fn cut(&mut self, slot: u32, hands: &mut Hands<'_, '_>) {
        if hands.controller.slot() == slot {
            self.quorum.cut(hands.replica, hands.store, hands.turn);
            self.hear_quorum(hands);
        }
    }

    /// The metadata log begins behind a snapshot of the leader, whose voters count.
    pub(super) fn installed(&mut self, end: LogEnd, hands: &mut Hands<'_, '_>) {
        let voters = voters_of(&hands.controller.controller.image().quorum.voters);
        if let Some(voters) = voters.filter(|voters| !voters.is_empty()) {
            self.quorum.snapshot_installed(end.end, voters, hands.replica, hands.store, hands.turn);
        }
        self.hear_quorum(hands);
    }

    /// How the controller here stands.
    pub(super) fn office(&self, controller: &ControllerSeat) -> Office {
        let leads = self.quorum.majority().is_some();
        let is_open = self.pending.is_empty() && self.quorum.takes_records();
        match (leads, controller.controller.is_active()) {
            (true, true) if is_open => Office::Active,
            (true, _) => Office::Elected,
            (false, _) => Office::Out,
        }
    }

    pub(super) fn next_deadline(&self, controller: &ControllerSeat, store: &Store) -> MonoNanos {
        let quorum = self.quorum.next_deadline();
        quorum.min(controller.controller.next_deadline()).min(self.member.next_deadline(store.image()))
    }

    /// Something has come: the next turn looks at everything.
    pub(super) fn stir(&mut self) {
        self.is_stirred = true;
    }

    pub(super) fn turn(&mut self, hands: &mut Hands<'_, '_>) {
        let is_due = self.next_deadline(hands.controller, hands.store) <= hands.turn.now.mono;
        if !std::mem::take(&mut self.is_stirred) && !is_due {
            return;
        }
        self.quorum.tick(hands.replica, hands.store, hands.turn);
        self.hear_quorum(hands);
        let mut out = ControllerOutput::default();
        if self.quorum.majority().is_some() {
            hands.controller.controller.tick(hands.turn.now.mono, &mut out);
        }
        self.perform(out, hands);
        self.speak(hands);
        self.aim(hands);
        if self.office(hands.controller) == Office::Active {
            hands.controller.begun(hands.store, hands.turn);
        }
    }

    /// The quorum has another leader, or this server's part in it has changed.
    pub(super) fn hear_quorum(&mut self, hands: &mut Hands<'_, '_>) {
        while let Some(news) = self.quorum.take_news(hands.store, hands.turn) {
            self.pending.clear();
            match news {
                QuorumNews::Elected(epoch) => {
                    let first = hands.controller.controller.elected(epoch);
                    let at = hands.controller.append(&[first], hands.store, hands.turn);
                    if let Some(at) = at {
                        self.quorum.leads_from(at, hands.store);
                    }
                    self.tell_lanes(hands);
                }
                QuorumNews::Out => hands.controller.deposed(hands.turn),
            }
            self.member.begin_anew();
        }
    }

    /// The log of the metadata has moved here.
    pub(super) fn progressed(&mut self, hands: &mut Hands<'_, '_>) {
        self.quorum.progressed(hands.replica, hands.store, hands.turn);
        self.hear_quorum(hands);
        self.append_pending(hands);
    }

    pub(super) fn acked(&mut self, voter: Voter, flushed: Option<Offset>, hands: &mut Hands<'_, '_>) {
        self.quorum.acked(voter, flushed, hands.replica, hands.store, hands.turn);
        self.hear_quorum(hands);
        self.append_pending(hands);
    }

    /// Carries out what the controller wants.
    pub(super) fn perform(&mut self, mut out: ControllerOutput, hands: &mut Hands<'_, '_>) {
        self.pending.extend(out.batches.take());
        self.append_pending(hands);
        self.dialling.extend(out.dial);
        if let Some(wanted) = out.voters {
            self.change_voters(wanted, hands);
        }
    }

    fn append_pending(&mut self, hands: &mut Hands<'_, '_>) {
        while self.quorum.takes_records()
            && let Some(records) = self.pending.pop_front()
        {
            _ = hands.controller.append(&records, hands.store, hands.turn);
        }
    }

    /// Other servers shall vote. What cannot be done now, the controller proposes again.
    fn change_voters(&mut self, wanted: Vec<controller::Voter>, hands: &mut Hands<'_, '_>) {
        let Some(next) = voters_of(&wanted) else { return };
        let Some(majority) = self.quorum.majority().filter(|_| self.pending.is_empty()) else { return };
        let high = majority.high_watermark();
        let judged = majority.judge(&next, |voter| self.quorum.end_of(voter) >= Some(high));
        let Ok(counts) = judged else { return };
        let mut out = ControllerOutput::default();
        hands.controller.controller.set_voters(wanted, &mut out);
        for records in out.batches.take() {
            let at = hands.controller.append(&records, hands.store, hands.turn);
            if let Some(at) = at {
                self.decided_voters(at, next.clone(), counts, hands);
            }
        }
    }

    fn decided_voters(
        &mut self,
        at: Offset,
        next: crate::quorum::Voters,
        counts: Counts,
        hands: &mut Hands<'_, '_>,
    ) {
        self.quorum.voters_decided(at, next, counts, hands.replica, hands.store, hands.turn);
        self.hear_quorum(hands);
    }

    /// Says to the controller what there is to say.
    fn speak(&mut self, hands: &mut Hands<'_, '_>) {
        if self.quorum.majority().is_some() && hands.controller.controller.is_active() {
            self.member.leader_is_at(Offset(hands.controller.controller.version()));
        }
        let slot = hands.controller.slot();
        let flushed = hands.store.partitions.get(slot).map_or(Offset(0), |it| it.watermarks().flushed);
        let applied = hands.controller.applied_version();
        let now = hands.turn.now.mono;
        let leads = self.quorum.majority().is_some();
        let lane = self.quorum.leader().and_then(|leader| hands.replica.control_to(leader.server));
        if !leads && lane.is_none() {
            return;
        }
        let Some(says) = self.member.says(applied, flushed, hands.store, now) else { return };
        match (says, lane) {
            (Says::Register(register), _) if leads => _ = self.register(&register, hands),
            (Says::Heartbeat(beat), _) if leads => {
                let answer = self.heartbeat(&beat, hands);
                self.member.answered(&answer, hands.turn);
            }
            (Says::Register(register), Some(lane)) => {
                hands.replica.say(lane, &Message::Register(register), hands.turn);
            }
            (Says::Heartbeat(beat), Some(lane)) => {
                hands.replica.say(lane, &Message::Heartbeat(beat), hands.turn);
            }
            (_, None) => {}
        }
    }

    /// Something was said on a control lane.
    pub(super) fn heard(&mut self, lane: LaneId, message: Message, hands: &mut Hands<'_, '_>) {
        match message {
            Message::VoteAsk(_) | Message::VoteAnswer(_) | Message::Lead(_) | Message::Resign(_) => {
                self.quorum.heard(&message, hands.replica, hands.store, hands.turn);
                self.hear_quorum(hands);
            }
            Message::Register(register) => {
                if let Err(outcome) = self.register(&register, hands) {
                    let refused = Registered { outcome, session_ms: 0, heartbeat_ms: 0 };
                    hands.replica.say(lane, &Message::Registered(refused), hands.turn);
                }
            }
            Message::Registered(answer) => self.registered(&answer, hands),
            Message::Heartbeat(beat) => {
                let answer = self.heartbeat(&beat, hands);
                hands.replica.say(lane, &Message::HeartbeatAnswer(answer), hands.turn);
            }
            Message::HeartbeatAnswer(answer) => self.member.answered(&answer, hands.turn),
            Message::AlterIsr(asked) => {
                let answer = self.alter_isr(&asked, hands);
                hands.replica.say(lane, &Message::AlterIsrAnswer(answer), hands.turn);
            }
            Message::AlterIsrAnswer(answer) => self.isr_answered(&answer, hands),
            Message::Forward(forward) => {
                let outcome = ForwardOutcome::NotController;
                let answer = Forwarded { id: forward.id, version: 0, outcome };
                hands.replica.say(lane, &Message::Forwarded(answer), hands.turn);
            }
            // What belongs to streams does not come here.
            _ => {}
        }
    }

    /// The leader's stream of the metadata log was heard.
    pub(super) fn leader_heard(
        &mut self,
        from: ServerId,
        high_watermark: Option<Offset>,
        hands: &mut Hands<'_, '_>,
    ) {
        self.quorum.leader_heard(from, hands.replica, hands.store, hands.turn);
        if let Some(high) = high_watermark
            && self.quorum.leader().is_some_and(|leader| leader.server == from)
        {
            self.member.leader_is_at(high);
        }
        self.hear_quorum(hands);
    }
}

/// Records of voters in batches of the metadata log, with their offsets.
fn voters_in(batches: &[u8]) -> Vec<(Offset, Vec<controller::Voter>)> {
    let (mut rest, mut found) = (batches, Vec::new());
    while rest.len() >= BATCH_HEADER_BYTES {
        let Ok(header) = BatchHeader::parse(rest) else { break };
        let Some((batch, after)) = rest.split_at_checked(header.total_bytes()) else { break };
        _ = record::records(batch, |_, record| {
            let at = header.base_offset.plus(i64::from(record.offset_delta));
            found.extend(record.value.and_then(controller::voters_in).map(|voters| (at, voters)));
            true
        });
        rest = after;
    }
    found
}
