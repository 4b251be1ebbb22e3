//! What the controller does as long as it leads the metadata quorum, besides answering requests: it follows servers, and keeps
//! partitions in the hands of those that live.
//!
//! | file | what it decides |
//! |---|---|
//! | pass | one decision over many partitions, and the order of its records |
//! | join | ids of servers, and removals |
//! | register | registrations, fencing, unfencing, stops |
//! | isr | what leaders ask for |
//! | elect | elections that are asked for, preferred leaders |
//! | reassign | assignments that are asked for, and copies of internal topics |
//! | voters | who votes |
//!
//! A controller that was elected decides nothing before the first record of its epoch is folded (Q5): only then is everything
//! decided by those before it. One that is deposed forgets what it has decided: the log decides now.
//!
//! Whoever sits on the controller tells it everything that has come in, then [`Controller::tick`] when it is due, and performs
//! the [`ControllerOutput`] afterwards: batches are appended in their order, before anything else that is decided. Each record
//! comes back by [`Controller::replay`] when it is committed.

mod elect;
mod isr;
mod join;
mod pass;
mod reassign;
mod register;
#[cfg(test)]
mod tests;
mod voters;

use crate::base::{LeaderEpoch, MonoNanos, Rule, ServerId, holds};

use super::decide::Controller;
use super::due::Due;
use super::record::MetadataRecord;
use super::servers::ControllerOutput;
use super::standing::{Begun, Standing};

/// How often it is looked whether the cluster has grown.
const GROWTH_MS: u64 = 5000;

impl Controller {
    /// This server leads the quorum in this epoch. The record is to be appended as the epoch's first; the controller decides
    /// from when it is folded. Lanes that are open already are to be told after this, by [`Controller::lane_opened`].
    pub fn elected(&mut self, epoch: LeaderEpoch) -> Vec<u8> {
        self.depose();
        self.standing = Standing::Elected(epoch);
        if !holds(Rule::Q5) {
            self.begin(epoch);
        }
        MetadataRecord::Leader { epoch: epoch.0, server: self.config.server }.encode()
    }

    /// This server does not lead the quorum. What was decided and is not folded may still be in the log, or be cut off: it is
    /// forgotten, and whoever waits for it is told to ask again.
    pub fn depose(&mut self) {
        self.standing = Standing::Following;
        self.decided = self.durable.clone();
        self.pending.clear();
        self.producers.forget(self.decided.state.producer_ids_end);
        self.servers = self.servers.emptied();
        self.due = Due::default();
        self.isr_asks.clear();
    }

    /// Whether the controller decides.
    #[must_use]
    pub fn is_active(&self) -> bool {
        self.standing.decides()
    }

    /// The quorum's epoch in which the controller decides; `None` as long as it does not.
    #[must_use]
    pub fn epoch(&self) -> Option<LeaderEpoch> {
        match self.standing {
            Standing::Active { epoch, .. } => Some(epoch),
            Standing::Alone | Standing::Following | Standing::Elected(_) => None,
        }
    }

    /// The first record of an epoch was folded.
    pub(super) fn leads_from(&mut self, epoch: i32, server: ServerId) {
        if self.standing == Standing::Elected(LeaderEpoch(epoch)) && server == self.config.server {
            self.begin(LeaderEpoch(epoch));
        }
    }

    fn begin(&mut self, epoch: LeaderEpoch) {
        assert!(self.pending.is_empty(), "nothing was decided before");
        self.decided = self.durable.clone();
        self.producers.forget(self.decided.state.producer_ids_end);
        self.standing = Standing::Active { epoch, begun: Begun::No };
        self.has_to_look = true;
    }

    /// Time has passed. To be called after everything that has come in was handed over, so that nobody is taken for gone who has
    /// just spoken.
    pub fn tick(&mut self, now: MonoNanos, out: &mut ControllerOutput) {
        let Standing::Active { epoch, begun } = self.standing else { return };
        if begun == Begun::No {
            let unfenced = self.unfenced();
            out.dial.extend(self.servers.gather(unfenced.into_iter(), now));
            self.due.begin(now);
            self.standing = Standing::Active { epoch, begun: Begun::Yes };
        }
        if !self.has_gathered(now) {
            return;
        }
        self.follow_servers(now, out);
        self.stop_servers(&mut out.batches);
        self.note_sequences(now, &mut out.batches);
        self.balance_leaders(now, &mut out.batches);
        if self.due.growth(now, GROWTH_MS) {
            self.copy_internal_topics(&mut out.batches);
            self.propose_voters(now, out);
        }
    }

    /// When [`Controller::tick`] may have something to do again.
    #[must_use]
    pub fn next_deadline(&self) -> MonoNanos {
        match self.standing {
            Standing::Active { begun: Begun::No, .. } => MonoNanos(0),
            Standing::Active { begun: Begun::Yes, .. } => self.servers.deadline().min(self.due.deadline()),
            Standing::Alone | Standing::Following | Standing::Elected(_) => MonoNanos::NEVER,
        }
    }
}
