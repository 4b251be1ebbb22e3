//! What the election decides is carried out: ballots are written, voters are told, and the metadata log is led, followed or left
//! alone.

use crate::base::io::IoOp;
use crate::base::{LaneId, LeaderEpoch, ShardId, mark};
use crate::peer::{self, Resign, Resigned};
use crate::quorum::{Change, Outcome};
use crate::replication::{Kind, Leader};

use super::super::event::Operation;
use super::super::replica::Replica;
use super::super::store::Store;
use super::super::turn::Turn;
use super::quorum::{QuorumNews, QuorumSeat};
use super::votes::said;

impl QuorumSeat {
    /// Carries out what a step of the election has come to.
    pub(super) fn perform(
        &mut self,
        outcome: Outcome,
        replica: &mut Replica,
        store: &mut Store,
        turn: &mut Turn<'_>,
    ) {
        let Outcome { persist, send, change } = outcome;
        if let Some(ballot) = persist {
            store.issue(Operation::Ballot, IoOp::WriteQuorum { bytes: ballot.encode() }, turn);
        }
        for (to, message) in send {
            match replica.control_to(to.server) {
                Some(lane) => replica.say(lane, &said(&message), turn),
                None => mark("a message to a voter that cannot be reached is dropped"),
            }
        }
        if change.is_some() {
            self.next = change;
            self.change_part(replica, store, turn);
        }
        replica.quorum_is(self.seen());
    }

    /// Carries out what the election says of the log.
    fn change_part(&mut self, replica: &mut Replica, store: &mut Store, turn: &mut Turn<'_>) {
        let Some(change) = self.next else { return };
        if change == (Change::Resigned { epoch: self.quorum.epoch() }) {
            let epoch = Some(self.quorum.epoch().0);
            let resign = peer::Message::Resign(Resign { epoch, what: Resigned::Leadership });
            for lane in replica.control_lanes() {
                replica.say(lane, &resign, turn);
            }
        }
        if let Change::Lead { .. } = change {
            for lane in replica.control_lanes() {
                self.name_leader(lane, replica, turn);
            }
        }
        match change {
            Change::Lead { epoch } => store.preside(self.slot, epoch, turn),
            Change::Follow { epoch, leader } => {
                self.majority = None;
                let led_by = Leader { epoch, server: leader.server, unclean_epoch: LeaderEpoch(-1) };
                store.follow(self.slot, led_by, ShardId(0), Kind::Metadata, turn);
            }
            Change::Unattached { .. } | Change::Resigned { .. } => {
                self.majority = None;
                store.stand_aside(self.slot, turn);
            }
        }
    }

    /// A leader tells whoever is at the other end of a lane that it leads. Voters are told by the election too; the others would
    /// learn of it with their next lane only.
    pub(super) fn name_leader(&self, lane: LaneId, replica: &Replica, turn: &mut Turn<'_>) {
        if self.quorum.leader() == Some(self.quorum.me()) {
            let lead = peer::Lead { epoch: self.quorum.epoch().0, leader: self.quorum.me() };
            replica.say(lane, &peer::Message::Lead(lead), turn);
        }
    }

    /// What the controller is to be told since the last time.
    pub(super) fn take_news(&mut self, store: &mut Store, turn: &mut Turn<'_>) -> Option<QuorumNews> {
        if let Some(Change::Lead { epoch }) = self.next
            && !store.presides(self.slot)
        {
            // What is being cut is cut to its end first (T2).
            store.preside(self.slot, epoch, turn);
            if !store.presides(self.slot) {
                return None;
            }
        }
        let change = self.next.take()?;
        if self.part == Some(change) {
            return None;
        }
        self.part = Some(change);
        Some(match change {
            Change::Lead { epoch } => QuorumNews::Elected(epoch),
            Change::Follow { .. } | Change::Unattached { .. } | Change::Resigned { .. } => QuorumNews::Out,
        })
    }
}
