//! A classic group (KIP-62, KIP-345, KIP-394, KIP-814): members join, one of them assigns, all sync; pure.
//!
//! States and errors are Kafka's. The generation's members and assignments become a record when the leader has synced, so
//! that a coordinator that starts again knows them. Requests that wait for an answer are soft state: a coordinator that
//! starts again does not know them.
//!
//! Every wait ends by a deadline of the group ([`ClassicGroup::next_deadline`]). A member that vanishes holds up the others
//! for its session timeout at most. A member that does not join or sync holds them up for the rebalance timeout at most.

mod join;
mod leave;
mod member;
mod phases;
mod record;

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;

use crate::base::rng::Rng;
use crate::base::{MonoNanos, Now, TimestampMs};

use super::consumer::Handover;
use super::request::{
    DescribedGroup, DescribedMember, GroupError, GroupReply, MemberRef, SyncRequest, Synced, Ticket,
};
use super::{GroupLimits, Outcome};
pub use member::Member;

/// What a decision of a classic group may use besides the group.
pub(super) struct ClassicContext<'a> {
    pub now: Now,
    pub limits: &'a GroupLimits,
    pub rng: &'a mut Rng,
    pub out: &'a mut Outcome,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum State {
    /// The group has no members. Offsets may be committed for it.
    Empty,
    /// The group waits for members to join.
    PreparingRebalance(Joining),
    /// A generation has begun. The group waits for the leader's assignment, at most until the given time.
    CompletingRebalance {
        until: MonoNanos,
    },
    Stable,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Joining {
    /// Members that have not joined by then are removed.
    until: MonoNanos,
    /// How a group's first generation waits for more members (`group.initial.rebalance.delay.ms`).
    initial: Option<InitialDelay>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct InitialDelay {
    until: MonoNanos,
    /// A member has joined since the wait began: the wait is repeated once.
    extended: bool,
}

#[derive(Clone, Debug)]
pub struct ClassicGroup {
    id: Arc<str>,
    state: State,
    generation: i32,
    protocol_type: Option<Arc<str>>,
    protocol: Option<Arc<str>>,
    leader: Option<Arc<str>>,
    /// By member id.
    members: BTreeMap<Arc<str>, Member>,
    /// Static members: instance id → member id.
    instances: BTreeMap<Arc<str>, Arc<str>>,
    /// Member ids that were handed out and not used yet (KIP-394), each with the time at which it expires.
    pending: BTreeMap<Arc<str>, MonoNanos>,
    /// Members that were in another epoch when the group came back from the consumer protocol, each with that epoch. Empty
    /// from the next generation on.
    lagging: BTreeMap<Arc<str>, i32>,
    /// When the group last changed its state. The retention of an empty group's offsets counts from here.
    since: TimestampMs,
}

impl ClassicGroup {
    #[must_use]
    pub fn new(id: Arc<str>, now: Now) -> ClassicGroup {
        ClassicGroup {
            id,
            state: State::Empty,
            generation: 0,
            protocol_type: None,
            protocol: None,
            leader: None,
            members: BTreeMap::new(),
            instances: BTreeMap::new(),
            pending: BTreeMap::new(),
            lagging: BTreeMap::new(),
            since: now.wall,
        }
    }

    /// Gives every member a new session after the coordinator has started. A generation without a leader, or with more
    /// members than the settings allow by now, ends.
    pub(super) fn revive(&mut self, context: &mut ClassicContext<'_>) {
        let waits = |it: &Member| it.joining.is_some() || it.syncing.is_some();
        assert!(!self.members.values().any(waits), "no request waits before the coordinator has started");
        self.members.values_mut().for_each(|member| member.renew_session(context.now.mono));
        let is_over = self.leader.is_none() || self.members.len() > context.limits.size_max;
        if self.state == State::Stable && is_over {
            self.prepare(context);
        }
    }

    #[must_use]
    pub fn state_name(&self) -> &'static str {
        match self.state {
            State::Empty => "Empty",
            State::PreparingRebalance(_) => "PreparingRebalance",
            State::CompletingRebalance { .. } => "CompletingRebalance",
            State::Stable => "Stable",
        }
    }

    #[must_use]
    pub fn protocol_type(&self) -> Option<&Arc<str>> {
        self.protocol_type.as_ref()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.state == State::Empty
    }

    /// Whether the group has no members and none that were given an id to join with.
    #[must_use]
    pub fn is_deserted(&self) -> bool {
        self.is_empty() && self.pending.is_empty()
    }

    /// Since when the group has been empty; `None` while it has members.
    #[must_use]
    pub fn empty_since(&self) -> Option<TimestampMs> {
        self.is_empty().then_some(self.since)
    }

    /// Whether the group never had members: it is only a name for committed offsets.
    #[must_use]
    pub fn is_simple(&self) -> bool {
        self.protocol_type.is_none()
    }

    pub fn members(&self) -> impl Iterator<Item = &Member> {
        self.members.values()
    }

    /// When [`ClassicGroup::tick`] has something to do.
    #[must_use]
    pub fn next_deadline(&self) -> MonoNanos {
        let phase = match self.state {
            State::PreparingRebalance(joining) => {
                joining.initial.map_or(joining.until, |initial| initial.until.min(joining.until))
            }
            State::CompletingRebalance { until } => until,
            State::Empty | State::Stable => MonoNanos::NEVER,
        };
        let members = self.members.values().map(Member::next_deadline);
        members.chain(self.pending.values().copied()).fold(phase, MonoNanos::min)
    }

    pub(super) fn heartbeat(&mut self, now: Now, member: &MemberRef) -> Result<(), GroupError> {
        self.check_member(member)?;
        self.check_generation(member)?;
        self.renew_session(&member.member_id, now.mono);
        match self.state {
            State::Empty => Err(GroupError::UnknownMemberId),
            State::PreparingRebalance(_) => Err(GroupError::RebalanceInProgress),
            State::CompletingRebalance { .. } | State::Stable => Ok(()),
        }
    }

    /// Returns the answer if there is one now. `None`: the answer is given when the leader has synced.
    pub(super) fn sync(
        &mut self,
        context: &mut ClassicContext<'_>,
        ticket: Ticket,
        request: &SyncRequest,
    ) -> Option<Result<Synced, GroupError>> {
        if let Err(error) = self.check_sync(request) {
            return Some(Err(error));
        }
        let id = &request.member.member_id;
        match self.state {
            State::Empty => Some(Err(GroupError::UnknownMemberId)),
            State::PreparingRebalance(_) => Some(Err(GroupError::RebalanceInProgress)),
            State::Stable => {
                self.renew_session(id, context.now.mono);
                let member = self.members.get(id)?;
                Some(Ok(self.synced(member.assignment.clone())))
            }
            State::CompletingRebalance { .. } => {
                let member = self.members.get_mut(id)?;
                // The client sent its request again on a new connection: nobody waits for the answer to the first one any more.
                if let Some(earlier) = member.syncing.replace(ticket) {
                    context.out.reply(earlier, GroupReply::Sync(Err(GroupError::RebalanceInProgress)));
                }
                if self.leader.as_ref() == Some(id) {
                    self.assign(context, &request.assignments);
                }
                None
            }
        }
    }

    /// Checks that this member may commit now. A commit also counts as a heartbeat.
    pub(super) fn check_commit(&mut self, now: Now, member: &MemberRef) -> Result<(), GroupError> {
        let outside = member.generation < 0 && member.member_id.is_empty() && member.instance_id.is_none();
        if member.generation < 0 && self.is_empty() {
            return Ok(());
        }
        if outside {
            return Err(GroupError::UnknownMemberId);
        }
        self.check_member(member)?;
        self.check_generation(member)?;
        if matches!(self.state, State::CompletingRebalance { .. }) {
            return Err(GroupError::RebalanceInProgress);
        }
        self.renew_session(&member.member_id, now.mono);
        Ok(())
    }

    /// The group as DescribeGroups shows it. Assignments are those of the last generation, whatever the group is doing now;
    /// the members' metadata may be that of the next generation already.
    #[must_use]
    pub fn describe(&self) -> DescribedGroup {
        let is_stable = self.state == State::Stable;
        let protocol = self.protocol.as_ref().filter(|_| is_stable);
        let member = |member: &Member| DescribedMember {
            member_id: Arc::clone(&member.id),
            instance_id: member.instance_id.clone(),
            client_id: Arc::clone(&member.client_id),
            client_host: Arc::clone(&member.client_host),
            metadata: protocol.map(|protocol| member.metadata(protocol)).unwrap_or_default(),
            assignment: member.assignment.clone(),
        };
        DescribedGroup {
            state: self.state_name(),
            protocol_type: self.protocol_type.clone().unwrap_or_else(|| Arc::from("")),
            protocol: protocol.cloned().unwrap_or_else(|| Arc::from("")),
            members: self.members.values().map(member).collect(),
        }
    }

    /// Whether a member reads the topic, or may read it. Before the first generation has chosen a protocol, and for metadata
    /// in another format than Kafka's, the answer is yes: nobody can tell.
    #[must_use]
    pub fn is_subscribed(&self, topic: &str) -> bool {
        let may_read = |member: &Member| match &self.protocol {
            Some(protocol) => super::subscription::may_name(&member.metadata(protocol), topic),
            None => true,
        };
        self.protocol_type.as_deref() == Some("consumer") && self.members.values().any(may_read)
    }

    /// Refuses every request that waits, with `error`: the coordinator goes away, or the group changes its protocol.
    pub(super) fn dismiss(&mut self, error: GroupError, out: &mut Outcome) {
        for member in self.members.values_mut() {
            refuse_waiting(member, error, out);
        }
    }

    /// Makes a classic group of a consumer group whose last member of the new protocol has left. Its members are told to join
    /// again, so that one of them assigns the partitions that nobody has. Until they have joined, they commit in the epochs
    /// they hold.
    pub(super) fn downgraded(
        id: Arc<str>,
        handover: Handover,
        context: &mut ClassicContext<'_>,
    ) -> ClassicGroup {
        let count = handover.members.len();
        assert!(count > 0, "a group without members keeps its protocol");
        let first = handover.members.first().map(|member| Arc::clone(&member.id));
        let mut group = ClassicGroup {
            state: State::Stable,
            generation: handover.generation,
            protocol_type: Some(Arc::from("consumer")),
            // A generation that is over has no leader in its record: a coordinator that starts again then knows that it is over.
            leader: first.filter(|_| handover.is_settled),
            lagging: handover.lagging,
            ..ClassicGroup::new(id, context.now)
        };
        for member in handover.members {
            if let Some(instance) = &member.instance_id {
                group.instances.insert(Arc::clone(instance), Arc::clone(&member.id));
            }
            group.members.insert(Arc::clone(&member.id), member);
        }
        group.protocol = group.choose_protocol();
        context.out.records.push(group.record());
        if !handover.is_settled {
            group.prepare(context);
        }
        assert_eq!(group.members.len(), count, "every member goes over to the classic protocol");
        group
    }

    #[must_use]
    pub fn generation(&self) -> i32 {
        self.generation
    }

    fn check_member(&self, member: &MemberRef) -> Result<(), GroupError> {
        if let Some(instance) = &member.instance_id {
            match self.instances.get(instance) {
                None => return Err(GroupError::UnknownMemberId),
                Some(current) if *current != member.member_id => return Err(GroupError::FencedInstanceId),
                Some(_) => {}
            }
        }
        if self.members.contains_key(&member.member_id) { Ok(()) } else { Err(GroupError::UnknownMemberId) }
    }

    fn check_generation(&self, member: &MemberRef) -> Result<(), GroupError> {
        let held = self.lagging.get(&member.member_id).copied().unwrap_or(self.generation);
        if member.generation == held { Ok(()) } else { Err(GroupError::IllegalGeneration) }
    }

    fn check_sync(&self, request: &SyncRequest) -> Result<(), GroupError> {
        self.check_member(&request.member)?;
        self.check_generation(&request.member)?;
        let differs = |asked: &Option<Arc<str>>, ours: &Option<Arc<str>>| asked.is_some() && asked != ours;
        if differs(&request.protocol_type, &self.protocol_type) || differs(&request.protocol, &self.protocol)
        {
            return Err(GroupError::InconsistentGroupProtocol);
        }
        Ok(())
    }

    fn renew_session(&mut self, member: &str, now: MonoNanos) {
        if let Some(member) = self.members.get_mut(member) {
            member.renew_session(now);
        }
    }

    fn synced(&self, assignment: Bytes) -> Synced {
        Synced { protocol_type: self.protocol_type.clone(), protocol: self.protocol.clone(), assignment }
    }
}

fn refuse_waiting(member: &mut Member, error: GroupError, out: &mut Outcome) {
    if let Some(ticket) = member.joining.take() {
        out.refuse_join(ticket, error, &member.id);
    }
    if let Some(ticket) = member.syncing.take() {
        out.reply(ticket, GroupReply::Sync(Err(error)));
    }
}
