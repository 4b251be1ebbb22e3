//! Members that still speak the classic protocol, in a group on its way from one protocol to the other (KIP-848).
//!
//! The server assigns to these members as well. JoinGroup is answered at once and takes the member one step towards its
//! target. SyncGroup tells the member its partitions. A heartbeat sends the member back to JoinGroup when there is another
//! step to take. A member that was sent back must join in time, and a member that has joined must sync in time; else it is
//! fenced.

use std::collections::BTreeSet;

use crate::base::MonoNanos;
use crate::group::Name;
use crate::group::request::{
    GroupError, JoinRefused, JoinRequest, Joined, LeavingMember, MemberRef, SyncRequest, Synced,
};

use super::embedded::{Subscription, read_subscription, write_assignment};
use super::heartbeat::Arrival;
use super::topics::Changed;
use super::{
    ClassicMember, ConsumerGroup, ConsumerGroupLimits, Context, Decision, Member, MemberState, Metadata,
    Timer, millis,
};

/// The protocol type of consumers.
const CONSUMER: &str = "consumer";

impl ConsumerGroup {
    /// Whether the group has members and all of them speak the classic protocol.
    #[must_use]
    pub fn is_only_classic(&self) -> bool {
        !self.members.is_empty() && self.members.values().all(|it| it.metadata.classic.is_some())
    }

    /// Answers JoinGroup of a classic member.
    ///
    /// # Errors
    /// As Kafka's. A request that is refused changes nothing.
    pub fn join_classic(
        &mut self,
        context: &mut Context<'_>,
        request: &JoinRequest,
    ) -> Result<Decision<Joined>, JoinRefused> {
        let refused = |error| JoinRefused { error, member_id: Name::clone(&request.member_id) };
        let (subscription, protocol) = self.check_protocols(context, request).map_err(refused)?;
        let arrival = self.admit_classic(context, request).map_err(refused)?;
        let id = match &request.member_id {
            id if id.is_empty() => self.new_member_id(context),
            id => Name::clone(id),
        };
        if arrival == Arrival::New
            && request.id_required
            && request.member_id.is_empty()
            && request.instance_id.is_none()
        {
            return Err(JoinRefused { error: GroupError::MemberIdRequired, member_id: id });
        }
        let mut journal = self.journal();
        if let Arrival::Replaces(old) = &arrival {
            self.replace(old, &id, &mut journal);
        }
        let metadata = classic_metadata(request, &subscription);
        let is_resubscribed = self.set_metadata(&id, metadata, &mut journal);
        let changed = Changed { members: arrival == Arrival::New, subscription: is_resubscribed };
        if self.is_left_to_classic(context.limits) {
            // This member has replaced the last one of the new protocol. The group becomes classic, and one of its members will
            // assign if there is anything to assign, so no target is computed here.
            self.advance(context, changed, &mut journal);
        } else {
            self.settle(context, changed, &mut journal);
        }
        if self.epoch == self.target_epoch {
            self.reconcile(context, &id, Some(&subscription.owned), &mut journal);
        }
        self.renew_session(context.now, context.limits.session_timeout_ms, &id);
        self.timers.cancel(&id, Timer::Join);
        self.timers.set(&id, Timer::Sync, context.now.plus_ms(millis(request.rebalance_timeout_ms)));
        let joined = Joined {
            generation: self.member(&id).current.epoch,
            protocol_type: Some(Name::from(CONSUMER)),
            protocol: Some(protocol),
            // The group has no leader, because the server assigns.
            leader: Name::from(""),
            skip_assignment: false,
            member_id: id,
            members: Vec::new(),
        };
        Ok(journal.decision(joined))
    }

    /// Answers SyncGroup of a classic member.
    ///
    /// # Errors
    /// As Kafka's. REBALANCE_IN_PROGRESS sends the member back to JoinGroup.
    pub fn sync_classic(
        &mut self,
        now: MonoNanos,
        limits: &ConsumerGroupLimits,
        request: &SyncRequest,
    ) -> Result<Synced, GroupError> {
        let member = self.classic_member(&request.member)?;
        let (current, classic) = (&member.current, member.metadata.classic.as_ref());
        let names =
            |protocol: &Name| classic.is_some_and(|it| it.protocols.iter().any(|(name, _)| name == protocol));
        let is_other = request.protocol_type.as_ref().is_some_and(|it| &**it != CONSUMER)
            || request.protocol.as_ref().is_some_and(|it| !names(it));
        if is_other {
            return Err(GroupError::InconsistentGroupProtocol);
        }
        if current.epoch < self.epoch && current.state != MemberState::UnrevokedPartitions {
            return Err(self.send_back(now, &request.member.member_id));
        }
        let protocol = classic.and_then(|it| it.protocols.first());
        let metadata = protocol.map(|(_, metadata)| metadata.clone()).unwrap_or_default();
        let synced = Synced {
            protocol_type: Some(Name::from(CONSUMER)),
            protocol: request.protocol.clone().or_else(|| protocol.map(|(name, _)| Name::clone(name))),
            assignment: write_assignment(&current.assigned, &self.topics, &metadata),
        };
        self.timers.cancel(&request.member.member_id, Timer::Sync);
        self.renew_session(now, limits.session_timeout_ms, &request.member.member_id);
        Ok(synced)
    }

    /// Answers Heartbeat of a classic member.
    ///
    /// # Errors
    /// As Kafka's. REBALANCE_IN_PROGRESS sends the member to JoinGroup.
    pub fn heartbeat_classic(
        &mut self,
        now: MonoNanos,
        limits: &ConsumerGroupLimits,
        claim: &MemberRef,
    ) -> Result<(), GroupError> {
        let member = self.classic_member(claim)?;
        let has_step = match member.current.state {
            _ if member.current.epoch < self.epoch => true,
            MemberState::Stable => false,
            MemberState::UnrevokedPartitions => true,
            MemberState::UnreleasedPartitions => !self.waits(&claim.member_id, member),
        };
        self.renew_session(now, limits.session_timeout_ms, &claim.member_id);
        if has_step { Err(self.send_back(now, &claim.member_id)) } else { Ok(()) }
    }

    /// Removes members of either protocol, as LeaveGroup asks. Classic members use it to leave, and administrators to remove
    /// others. Returns the outcome of each, in order.
    pub fn leave_all(&mut self, leaving: &[LeavingMember]) -> Decision<Vec<Result<(), GroupError>>> {
        let found: Vec<_> = leaving.iter().map(|it| self.leaving_id(it)).collect();
        // A member that is named twice leaves once.
        let gone: BTreeSet<Name> = found.iter().flatten().cloned().collect();
        let mut journal = self.journal();
        self.remove(&gone.into_iter().collect::<Vec<_>>(), &mut journal);
        journal.decision(found.into_iter().map(|id| id.map(drop)).collect())
    }

    fn leaving_id(&self, leaving: &LeavingMember) -> Result<Name, GroupError> {
        let id = match &leaving.instance_id {
            Some(instance) => {
                let holder = self.instances.get(instance).ok_or(GroupError::UnknownMemberId)?;
                if !leaving.member_id.is_empty() && *holder != leaving.member_id {
                    return Err(GroupError::FencedInstanceId);
                }
                holder
            }
            None => &leaving.member_id,
        };
        if self.members.contains_key(id) { Ok(Name::clone(id)) } else { Err(GroupError::UnknownMemberId) }
    }

    /// The request's subscription and protocol: the first protocol it names. One of its protocols must be known to all other
    /// classic members.
    fn check_protocols(
        &self,
        context: &Context<'_>,
        request: &JoinRequest,
    ) -> Result<(Subscription, Name), GroupError> {
        let others = || {
            let is_other = |(id, it): &(&Name, &Member)| {
                **id != request.member_id
                    && (request.instance_id.is_none() || it.metadata.instance_id != request.instance_id)
            };
            self.members.iter().filter(is_other).filter_map(|(_, it)| it.metadata.classic.as_ref())
        };
        let knows =
            |it: &ClassicMember, protocol: &Name| it.protocols.iter().any(|(name, _)| name == protocol);
        let is_common = |(protocol, _): &&(Name, bytes::Bytes)| others().all(|it| knows(it, protocol));
        let common = request.protocols.iter().find(is_common);
        let first =
            request.protocols.first().filter(|_| &*request.protocol_type == CONSUMER && common.is_some());
        let (name, metadata) = first.ok_or(GroupError::InconsistentGroupProtocol)?;
        let subscription = read_subscription(metadata, context.image);
        Ok((subscription.ok_or(GroupError::InconsistentGroupProtocol)?, Name::clone(name)))
    }

    fn admit_classic(&self, context: &Context<'_>, request: &JoinRequest) -> Result<Arrival, GroupError> {
        let id = &request.member_id;
        let arrival = match &request.instance_id {
            Some(instance) => match self.instances.get(instance) {
                // A static member that starts again takes the place of its former member id.
                Some(holder) if id.is_empty() => Arrival::Replaces(Name::clone(holder)),
                Some(holder) if holder == id => Arrival::Known,
                Some(_) => return Err(GroupError::FencedInstanceId),
                None if id.is_empty() => Arrival::New,
                None => return Err(GroupError::UnknownMemberId),
            },
            None if self.members.contains_key(id) => Arrival::Known,
            None => Arrival::New,
        };
        if arrival == Arrival::New && self.members.len() >= context.limits.size_max {
            return Err(GroupError::GroupMaxSizeReached);
        }
        Ok(arrival)
    }

    fn classic_member(&self, claim: &MemberRef) -> Result<&Member, GroupError> {
        if let Some(instance) = &claim.instance_id {
            match self.instances.get(instance) {
                None => return Err(GroupError::UnknownMemberId),
                Some(holder) if *holder != claim.member_id => return Err(GroupError::FencedInstanceId),
                Some(_) => {}
            }
        }
        let member = self.members.get(&claim.member_id).filter(|it| it.metadata.classic.is_some());
        let member = member.ok_or(GroupError::UnknownMemberId)?;
        if claim.generation == member.current.epoch { Ok(member) } else { Err(GroupError::IllegalGeneration) }
    }

    /// Whether another member still has a partition that this member is to have.
    fn waits(&self, id: &Name, member: &Member) -> bool {
        let target = self.target.get(id);
        target.into_iter().flat_map(super::Assignment::iter).any(|(topic, partition)| {
            let holder = self.holders.get(&(topic, partition));
            !member.current.assigned.contains(topic, partition) && holder.is_some_and(|holder| holder != id)
        })
    }

    fn send_back(&mut self, now: MonoNanos, id: &Name) -> GroupError {
        let timeout = self.members.get(id).map_or(0, |it| millis(it.metadata.rebalance_timeout_ms));
        self.timers.cancel(id, Timer::Sync);
        self.timers.set_if_none(id, Timer::Join, now.plus_ms(timeout));
        GroupError::RebalanceInProgress
    }
}

fn classic_metadata(request: &JoinRequest, subscription: &Subscription) -> Metadata {
    Metadata {
        instance_id: request.instance_id.clone(),
        rack_id: subscription.rack_id.clone(),
        client_id: Name::clone(&request.client_id),
        client_host: Name::clone(&request.client_host),
        topics: subscription.topics.iter().cloned().collect::<BTreeSet<Name>>(),
        pattern: None,
        rebalance_timeout_ms: request.rebalance_timeout_ms,
        assignor: None,
        classic: Some(ClassicMember {
            session_timeout_ms: request.session_timeout_ms,
            protocols: request.protocols.clone(),
        }),
    }
}
