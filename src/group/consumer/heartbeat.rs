//! ConsumerGroupHeartbeat: which member sends it, what it changes, and what the member is told to do next.

use crate::group::Name;

use super::member::Goal;
use super::topics::Changed;
use super::{
    Assignment, Change, ConsumerGroup, Context, Current, Decision, GroupError, Heartbeat, HeartbeatRequest,
    Journal, LEAVE_EPOCH, Member, MemberState, STATIC_LEAVE_EPOCH, Timer, millis,
};

/// How a heartbeat's sender is known to the group.
#[derive(PartialEq, Eq)]
pub(super) enum Arrival {
    Known,
    New,
    /// A static member that had left comes back under a new member id, and replaces this one.
    Replaces(Name),
}

impl ConsumerGroup {
    /// A member joins, reports or leaves.
    ///
    /// # Errors
    /// As Kafka's. A request that is refused changes nothing.
    pub fn heartbeat(
        &mut self,
        context: &mut Context<'_>,
        request: &HeartbeatRequest,
    ) -> Result<Decision<Heartbeat>, GroupError> {
        request.check(context.limits)?;
        if matches!(request.member_epoch, LEAVE_EPOCH | STATIC_LEAVE_EPOCH) {
            return self.leave(request);
        }
        let arrival = self.admit(context, request)?;
        if let Some(pattern) = request.pattern.as_ref().filter(|it| !it.is_empty()) {
            self.matches.add(pattern)?;
        }
        // From here on nothing is refused, so what is written stays.
        let id = match &request.member_id {
            id if id.is_empty() => self.new_member_id(context),
            id => Name::clone(id),
        };
        let mut journal = self.journal();
        if let Arrival::Replaces(old) = &arrival {
            self.replace(old, &id, &mut journal);
        }
        let subscription = self.update(request, &id, &mut journal);
        let changed = Changed { members: arrival == Arrival::New, subscription };
        self.settle(context, changed, &mut journal);
        let is_reassigned = self.reconcile(context, &id, request.owned.as_ref(), &mut journal);
        let times = self.times(context);
        let limits = context.limits;
        self.renew_session(context.now, times.session_timeout_ms.unwrap_or(limits.session_timeout_ms), &id);
        self.timers.leave_classic(&id);
        let current = &self.member(&id).current;
        let is_told = request.is_full() || is_reassigned || request.member_epoch != current.epoch;
        let answer = Heartbeat {
            member_epoch: current.epoch,
            heartbeat_interval_ms: times.heartbeat_interval_ms.unwrap_or(limits.heartbeat_interval_ms),
            assignment: is_told.then(|| current.assigned.clone()),
            member_id: id,
        };
        Ok(journal.decision(answer))
    }

    /// Raises the group's epoch if members, subscriptions or topics have changed.
    pub(super) fn advance(&mut self, context: &Context<'_>, changed: Changed, journal: &mut Journal) {
        let has_other_topics = self.refresh_topics(context, changed, journal);
        if changed.members || changed.subscription || has_other_topics {
            self.write(journal, Change::Group(Some(self.epoch + 1)));
        }
    }

    /// Raises the group's epoch if members, subscriptions or topics have changed, and computes the target assignment for it.
    pub(super) fn settle(&mut self, context: &Context<'_>, changed: Changed, journal: &mut Journal) {
        self.advance(context, changed, journal);
        if self.epoch > self.target_epoch {
            self.retarget(context.limits, journal);
        }
    }

    fn admit(&self, context: &Context<'_>, request: &HeartbeatRequest) -> Result<Arrival, GroupError> {
        let arrival = match &request.instance_id {
            Some(instance) => self.admit_static(request, instance)?,
            None if self.members.contains_key(&request.member_id) => Arrival::Known,
            None if request.joins() => Arrival::New,
            None => return Err(GroupError::UnknownMemberId),
        };
        match arrival {
            Arrival::Known => self.check_epoch(request)?,
            Arrival::New if self.members.len() >= context.limits.size_max => {
                return Err(GroupError::GroupMaxSizeReached);
            }
            Arrival::New | Arrival::Replaces(_) => {}
        }
        Ok(arrival)
    }

    fn admit_static(&self, request: &HeartbeatRequest, instance: &Name) -> Result<Arrival, GroupError> {
        match self.instances.get(instance) {
            Some(holder) if *holder == request.member_id => Ok(Arrival::Known),
            Some(holder) if request.joins() => {
                // A classic static member does not say that it leaves, so its instance id is free at any time.
                let former = self.member(holder);
                let is_gone = former.current.epoch == STATIC_LEAVE_EPOCH || former.metadata.classic.is_some();
                let error = GroupError::UnreleasedInstanceId;
                if is_gone { Ok(Arrival::Replaces(Name::clone(holder))) } else { Err(error) }
            }
            Some(_) => Err(GroupError::FencedInstanceId),
            None if request.joins() => Ok(Arrival::New),
            None => Err(GroupError::UnknownMemberId),
        }
    }

    /// Checks the epoch that a known member names. The epoch before the member's own is accepted if the member has nothing but
    /// what is still assigned to it: the answer with the new epoch was lost. A member that joins again has given up everything.
    fn check_epoch(&self, request: &HeartbeatRequest) -> Result<(), GroupError> {
        let Member { current, metadata } = self.member(&request.member_id);
        let is_classic = metadata.classic.is_some();
        let has_no_more = || request.owned.as_ref().is_some_and(|owned| owned.is_subset(&current.assigned));
        match request.member_epoch {
            _ if request.joins() => Ok(()),
            epoch if epoch == current.epoch && !is_classic => Ok(()),
            epoch if epoch == current.previous_epoch && epoch < current.epoch && has_no_more() => Ok(()),
            _ => Err(GroupError::FencedMemberEpoch),
        }
    }

    /// Puts a new member in the place of an old one, with the same partitions. The new member begins in epoch 0, so that it is
    /// told everything.
    pub(super) fn replace(&mut self, old: &Name, new: &Name, journal: &mut Journal) {
        let (Member { metadata, current }, target) =
            (self.member(old).clone(), self.target.get(old).cloned());
        self.timers.forget(old);
        self.write_gone(old, journal);
        self.write(journal, Change::Member(Name::clone(new), Some(metadata)));
        if target.is_some() {
            self.write(journal, Change::Target(Name::clone(new), target));
        }
        let given = current.given_of(&current.assigned);
        let current = Current { assigned: current.assigned, given, ..Current::default() };
        self.write(journal, Change::Current(Name::clone(new), Some(current)));
    }

    /// Records what the member says of itself. True if its subscription has changed.
    fn update(&mut self, request: &HeartbeatRequest, id: &Name, journal: &mut Journal) -> bool {
        let known = self.members.get(id).map(|it| &it.metadata);
        if known.is_some() && !request.says_anything() {
            return false;
        }
        let nothing = super::Metadata::default();
        let metadata = request.update(known.unwrap_or(&nothing));
        metadata.is_some_and(|metadata| self.set_metadata(id, metadata, journal))
    }

    /// Records a member's metadata. True if its subscription has changed.
    pub(super) fn set_metadata(
        &mut self,
        id: &Name,
        metadata: super::Metadata,
        journal: &mut Journal,
    ) -> bool {
        let known = self.members.get(id).map(|it| &it.metadata);
        let is_resubscribed = !known.is_some_and(|known| known.subscribes_like(&metadata));
        if known != Some(&metadata) {
            self.write(journal, Change::Member(Name::clone(id), Some(metadata)));
        }
        is_resubscribed
    }

    /// Takes the member one step towards its target assignment. True if its partitions have changed by that.
    pub(super) fn reconcile(
        &mut self,
        context: &Context<'_>,
        id: &Name,
        owned: Option<&Assignment>,
        journal: &mut Journal,
    ) -> bool {
        let member = self.member(id);
        if member.current.has_reached(self.target_epoch) {
            return false;
        }
        let nothing = Assignment::default();
        let goal = Goal { epoch: self.target_epoch, assignment: self.target.get(id).unwrap_or(&nothing) };
        let is_free =
            |topic, partition| self.holders.get(&(topic, partition)).is_none_or(|holder| holder == id);
        let next = member.current.towards(goal, owned, is_free);
        if next == member.current {
            return false;
        }
        let is_reassigned = next.assigned != member.current.assigned;
        if next.state == MemberState::UnrevokedPartitions {
            let until = context.now.plus_ms(millis(member.metadata.rebalance_timeout_ms));
            self.timers.set(id, Timer::Revoke, until);
        } else {
            self.timers.cancel(id, Timer::Revoke);
        }
        self.write(journal, Change::Current(Name::clone(id), Some(next)));
        is_reassigned
    }

    /// A member id that the group does not have. A coordinator that starts again may draw the same numbers as the one that
    /// made the members it finds recorded.
    pub(super) fn new_member_id(&self, context: &mut Context<'_>) -> Name {
        loop {
            let id = member_id(context);
            if !self.members.contains_key(&id) {
                return id;
            }
        }
    }

    pub(super) fn member(&self, id: &Name) -> &Member {
        self.members.get(id).expect("a member that was admitted")
    }
}

/// A new member id: the text of a random UUID.
fn member_id(context: &mut Context<'_>) -> Name {
    let text: String = context
        .rng
        .uuid()
        .iter()
        .enumerate()
        .map(|(at, byte)| format!("{}{byte:02x}", if matches!(at, 4 | 6 | 8 | 10) { "-" } else { "" }))
        .collect();
    Name::from(text)
}
