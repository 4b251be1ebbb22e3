//! What is known of servers when partitions are settled: as it will be after the decision, not as it was before.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::base::{Rule, ServerId, TopicPartition, holds};

/// All servers. One that is not here is taken for fenced.
#[derive(Clone, Debug, Default)]
pub(in crate::controller) struct Members {
    servers: BTreeMap<ServerId, Member>,
}

/// One server.
#[derive(Clone, Debug)]
pub(in crate::controller) struct Member {
    /// Leads nothing and is in no ISR.
    pub fenced: bool,
    /// Wants to stop: leaves every ISR that has other members.
    pub stopping: bool,
    /// Leads only what nobody else can: it is drained, or its disk is slow.
    pub relieved: bool,
    pub reach: Reach,
    /// Registers in this decision.
    pub anew: Option<Incarnation>,
}

/// Whether this controller has anything open from a server.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::controller) enum Reach {
    /// A lane of the incarnation that is registered.
    Open,
    /// No lane, or one of a later incarnation.
    Silent,
}

/// What a server that registers says of its data.
#[derive(Clone, Debug)]
pub(in crate::controller) struct Incarnation {
    /// What the whole directory may lack.
    pub loss: Loss,
    /// Partitions that lack something, though the directory as such does not.
    pub damaged: Arc<BTreeSet<TopicPartition>>,
    /// Every shard was stopped in order.
    pub clean: bool,
}

/// What a replica may lack of what it has acknowledged.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(in crate::controller) enum Loss {
    Nothing,
    Some,
    /// The directory is another one.
    Everything,
}

impl Incarnation {
    pub fn loss(&self, partition: TopicPartition) -> Loss {
        let damage = if self.damaged.contains(&partition) { Loss::Some } else { Loss::Nothing };
        self.loss.max(damage)
    }
}

impl Member {
    pub const FENCED: Member =
        Member { fenced: true, stopping: false, relieved: false, reach: Reach::Silent, anew: None };

    /// A server that does all there is to do.
    pub const LIVE: Member = Member { fenced: false, reach: Reach::Open, ..Member::FENCED };

    pub fn may_lead(&self) -> bool {
        !self.fenced
    }

    /// Whether a leader is to go on. Nothing is known against one that is silent.
    pub fn goes_on(&self) -> bool {
        self.may_lead() && !self.stopping && !self.relieved
    }

    /// Whether a leader is to be chosen before others.
    pub fn leads_well(&self) -> bool {
        self.goes_on() && self.reach == Reach::Open
    }
}

impl Members {
    pub fn of(&self, server: ServerId) -> &Member {
        self.servers.get(&server).unwrap_or(&Member::FENCED)
    }

    pub fn set(&mut self, server: ServerId, member: Member) {
        self.servers.insert(server, member);
    }

    pub fn iter(&self) -> impl Iterator<Item = (ServerId, &Member)> {
        self.servers.iter().map(|(server, member)| (*server, member))
    }

    pub fn anew(&self, server: ServerId) -> Option<&Incarnation> {
        self.of(server).anew.as_ref()
    }

    /// Whether a member of an ISR may stay in it.
    pub fn may_be_in_sync(&self, server: ServerId, leader: Option<ServerId>) -> bool {
        let member = self.of(server);
        if member.anew.is_some() {
            let forgotten = !holds(Rule::R8) || !holds(Rule::EpochAtRestart) && leader == Some(server);
            return forgotten;
        }
        !member.fenced
    }
}
