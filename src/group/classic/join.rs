//! JoinGroup: a member joins a classic group, or joins it again.

use std::sync::Arc;

use crate::base::rng::Rng;
use crate::group::request::{GroupError, GroupReply, JoinRefused, JoinRequest, Joined, Ticket};

use super::{ClassicContext, ClassicGroup, Joining, Member, State, refuse_waiting};

type JoinResult = Result<Joined, JoinRefused>;

impl ClassicGroup {
    /// Returns the answer if there is one now. `None`: the answer is given when all members have joined.
    pub(in crate::group) fn join(
        &mut self,
        context: &mut ClassicContext<'_>,
        ticket: Ticket,
        request: &JoinRequest,
    ) -> Option<JoinResult> {
        if !self.has_room(context, request) {
            // The member is refused, and the others do not wait for it.
            self.pending.remove(&request.member_id);
            self.remove(context, &request.member_id);
            self.try_complete_joining(context);
            return Some(refused(GroupError::GroupMaxSizeReached, &Arc::from("")));
        }
        if let Err(error) = self.check_join(request) {
            return Some(refused(error, &request.member_id));
        }
        match (&request.instance_id, request.member_id.is_empty()) {
            (None, true) => self.join_new(context, ticket, request),
            (Some(instance), true) => self.join_static(context, ticket, request, instance),
            (_, false) => self.join_again(context, ticket, request),
        }
    }

    fn check_join(&self, request: &JoinRequest) -> Result<(), GroupError> {
        if request.protocols.is_empty() || request.protocol_type.is_empty() {
            return Err(GroupError::InconsistentGroupProtocol);
        }
        let others = || {
            let is_other = |it: &&Member| {
                it.id != request.member_id
                    && (request.instance_id.is_none() || it.instance_id != request.instance_id)
            };
            self.members.values().filter(is_other)
        };
        if others().next().is_none() {
            return Ok(());
        }
        let same_type = self.protocol_type.as_ref() == Some(&request.protocol_type);
        let shares = request.protocols.iter().any(|(name, _)| others().all(|it| it.supports(name)));
        if same_type && shares { Ok(()) } else { Err(GroupError::InconsistentGroupProtocol) }
    }

    /// Whether the group has room for the sender. While members join, only those that wait for the next generation are
    /// counted, because the next generation may have other members than the last one: the members of a full group may start
    /// again one by one. Ids that were handed out and not used never count. A static member takes the place it had (Kafka
    /// refuses it in a full group).
    fn has_room(&self, context: &ClassicContext<'_>, request: &JoinRequest) -> bool {
        let id = &request.member_id;
        let takes_its_place = |instance| id.is_empty() && self.instances.contains_key(instance);
        if request.instance_id.as_ref().is_some_and(takes_its_place) {
            return true;
        }
        let size_max = context.limits.size_max;
        match self.state {
            State::Empty => true,
            State::PreparingRebalance(_) => {
                let waits = self.members.get(id).is_some_and(|it| it.joining.is_some());
                waits || self.members.values().filter(|it| it.joining.is_some()).count() < size_max
            }
            State::CompletingRebalance { .. } | State::Stable => {
                self.members.contains_key(id) || self.members.len() < size_max
            }
        }
    }

    fn join_new(
        &mut self,
        context: &mut ClassicContext<'_>,
        ticket: Ticket,
        request: &JoinRequest,
    ) -> Option<JoinResult> {
        let id = self.new_member_id(context.rng, &request.client_id);
        if request.id_required {
            let session = u64::try_from(request.session_timeout_ms).unwrap_or(0);
            self.pending.insert(Arc::clone(&id), context.now.mono.plus_ms(session));
            return Some(refused(GroupError::MemberIdRequired, &id));
        }
        self.add(context, ticket, request, id)
    }

    fn join_static(
        &mut self,
        context: &mut ClassicContext<'_>,
        ticket: Ticket,
        request: &JoinRequest,
        instance: &Arc<str>,
    ) -> Option<JoinResult> {
        let id = self.new_member_id(context.rng, instance);
        match self.instances.get(instance).cloned() {
            Some(old) => self.replace(context, ticket, request, &old, id),
            None => self.add(context, ticket, request, id),
        }
    }

    /// A member id that the group does not have. A coordinator that starts again may draw the same numbers as the one that
    /// made the members it finds recorded.
    fn new_member_id(&self, rng: &mut Rng, name: &str) -> Arc<str> {
        loop {
            let id = member_id(rng, name);
            if !self.members.contains_key(&id) && !self.pending.contains_key(&id) {
                return id;
            }
        }
    }

    fn join_again(
        &mut self,
        context: &mut ClassicContext<'_>,
        ticket: Ticket,
        request: &JoinRequest,
    ) -> Option<JoinResult> {
        let id = &request.member_id;
        if let Some(instance) = &request.instance_id {
            match self.instances.get(instance) {
                None => return Some(refused(GroupError::UnknownMemberId, id)),
                Some(current) if current != id => return Some(refused(GroupError::FencedInstanceId, id)),
                Some(_) => {}
            }
        }
        if self.pending.remove(id).is_some() {
            return self.add(context, ticket, request, Arc::clone(id));
        }
        let Some(member) = self.members.get(id) else {
            return Some(refused(GroupError::UnknownMemberId, id));
        };
        let is_same = member.protocols == request.protocols;
        let leads = self.leader.as_ref() == Some(id);
        match self.state {
            State::Empty => Some(refused(GroupError::UnknownMemberId, id)),
            // The answer to the member's JoinGroup was lost, or the member asks again for the generation it is in.
            State::CompletingRebalance { .. } if is_same => Some(Ok(self.joined(id))),
            State::Stable if is_same && !leads => Some(Ok(self.joined(id))),
            State::CompletingRebalance { .. } | State::Stable => {
                self.update(context, ticket, request);
                self.prepare(context);
                None
            }
            State::PreparingRebalance(_) => {
                self.update(context, ticket, request);
                self.try_complete_joining(context);
                None
            }
        }
    }

    fn update(&mut self, context: &mut ClassicContext<'_>, ticket: Ticket, request: &JoinRequest) {
        let Some(member) = self.members.get_mut(&request.member_id) else { return };
        member.protocols.clone_from(&request.protocols);
        member.session_timeout_ms = request.session_timeout_ms;
        member.rebalance_timeout_ms = request.rebalance_timeout_ms;
        member.client_id = Arc::clone(&request.client_id);
        member.client_host = Arc::clone(&request.client_host);
        // The client sent its request again on a new connection: nobody waits for the answer to the first one any more.
        if let Some(earlier) = member.joining.replace(ticket) {
            context.out.refuse_join(earlier, GroupError::RebalanceInProgress, &request.member_id);
        }
    }

    fn add(
        &mut self,
        context: &mut ClassicContext<'_>,
        ticket: Ticket,
        request: &JoinRequest,
        id: Arc<str>,
    ) -> Option<JoinResult> {
        if self.members.is_empty() {
            self.protocol_type = Some(Arc::clone(&request.protocol_type));
        }
        if let Some(instance) = &request.instance_id {
            let former = self.instances.insert(Arc::clone(instance), Arc::clone(&id));
            assert!(former.is_none(), "a static member that is known is replaced, not added");
        }
        let member = Member::joining(Arc::clone(&id), request, ticket, context.now.mono);
        let former = self.members.insert(Arc::clone(&id), member);
        assert!(former.is_none(), "only an id that was just made or handed out is added");
        if self.leader.is_none() {
            self.leader = Some(id);
        }
        match &mut self.state {
            State::PreparingRebalance(Joining { initial: Some(initial), .. }) => initial.extended = true,
            State::PreparingRebalance(_) => self.try_complete_joining(context),
            _ => self.prepare(context),
        }
        None
    }

    /// Replaces a static member that has started again by its new process. The former member id is fenced. No rebalance is
    /// needed while the group is stable and would choose the same protocol.
    fn replace(
        &mut self,
        context: &mut ClassicContext<'_>,
        ticket: Ticket,
        request: &JoinRequest,
        old: &Arc<str>,
        id: Arc<str>,
    ) -> Option<JoinResult> {
        let mut former = self.members.remove(old)?;
        refuse_waiting(&mut former, GroupError::FencedInstanceId, context.out);
        let led = self.leader.as_ref() == Some(old);
        let mut member = Member::joining(Arc::clone(&id), request, ticket, context.now.mono);
        member.assignment = former.assignment;
        if let Some(instance) = &request.instance_id {
            self.instances.insert(Arc::clone(instance), Arc::clone(&id));
        }
        let namesake = self.members.insert(Arc::clone(&id), member);
        assert!(namesake.is_none(), "the new process has an id that was just made");
        if led {
            self.leader = Some(Arc::clone(&id));
        }
        if self.state != State::Stable || self.choose_protocol() != self.protocol {
            match self.state {
                State::PreparingRebalance(_) => self.try_complete_joining(context),
                _ => self.prepare(context),
            }
            return None;
        }
        let member = self.members.get_mut(&id)?;
        member.joining = None;
        member.is_new = false;
        member.renew_session(context.now.mono);
        context.out.records.push(self.record());
        let mut joined = self.joined(&id);
        if led && request.can_skip_assignment {
            joined.skip_assignment = true;
        } else if led {
            // A client without KIP-814 would compute a new assignment if it were told that it leads.
            joined.leader = Arc::clone(old);
            joined.members = Vec::new();
        }
        Some(Ok(joined))
    }
}

fn refused(error: GroupError, member_id: &Arc<str>) -> JoinResult {
    Err(JoinRefused { error, member_id: Arc::clone(member_id) })
}

/// A new member id in Kafka's form: a name that people know, then a random UUID.
fn member_id(rng: &mut Rng, name: &str) -> Arc<str> {
    let bytes = rng.uuid();
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let parts = [0..8, 8..12, 12..16, 16..20, 20..32].map(|range| hex.get(range).unwrap_or_default());
    Arc::from(format!("{name}-{}", parts.join("-")))
}

impl crate::group::Outcome {
    pub(super) fn refuse_join(&mut self, ticket: Ticket, error: GroupError, member_id: &Arc<str>) {
        self.reply(ticket, GroupReply::Join(refused(error, member_id)));
    }
}
