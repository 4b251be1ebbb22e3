//! The phases of a rebalance. Each ends when all members have done their part, or at its deadline.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;

use crate::base::MonoNanos;
use crate::group::request::{GroupError, GroupReply, Joined, JoinedMember};

use super::{ClassicContext, ClassicGroup, InitialDelay, Joining, Member, State, refuse_waiting};

impl ClassicGroup {
    /// Does what is due: ids and members expire, and the phase ends if its deadline has passed.
    pub(in crate::group) fn tick(&mut self, context: &mut ClassicContext<'_>) {
        let now = context.now.mono;
        let lapsed = self.pending.len();
        self.pending.retain(|_, until| *until > now);
        let expired: Vec<_> =
            self.members.values().filter(|it| it.is_expired(now)).map(|it| Arc::clone(&it.id)).collect();
        for id in &expired {
            self.remove(context, id);
        }
        if lapsed != self.pending.len() || !expired.is_empty() {
            self.members_changed(context);
        }
        match self.state {
            State::PreparingRebalance(joining) => self.tick_joining(context, joining),
            State::CompletingRebalance { until } if now >= until => self.drop_unsynced(context),
            _ => {}
        }
    }

    fn tick_joining(&mut self, context: &mut ClassicContext<'_>, joining: Joining) {
        let now = context.now.mono;
        match joining.initial {
            Some(initial) if now < initial.until && now < joining.until => {}
            Some(initial) if initial.extended && now < joining.until => {
                let until = now.plus_ms(context.limits.initial_rebalance_delay_ms).min(joining.until);
                let initial = Some(InitialDelay { until, extended: false });
                self.state = State::PreparingRebalance(Joining { initial, ..joining });
            }
            Some(_) => self.complete_joining(context),
            None if now >= joining.until => self.complete_joining(context),
            None => self.try_complete_joining(context),
        }
    }

    /// Begins a new round of joining. Members that wait for an assignment are told to join again.
    pub(super) fn prepare(&mut self, context: &mut ClassicContext<'_>) {
        if matches!(self.state, State::CompletingRebalance { .. }) {
            for member in self.members.values_mut() {
                member.assignment = Bytes::new();
                if let Some(ticket) = member.syncing.take() {
                    member.renew_session(context.now.mono);
                    context.out.reply(ticket, GroupReply::Sync(Err(GroupError::RebalanceInProgress)));
                }
            }
        }
        let waits_for_sync = self.members.values().any(|it| it.syncing.is_some());
        assert!(!waits_for_sync, "members wait for an assignment only while one is due");
        let until = self.rebalance_until(context.now.mono);
        let delay = context.limits.initial_rebalance_delay_ms;
        let initial = (self.state == State::Empty && delay > 0)
            .then(|| InitialDelay { until: context.now.mono.plus_ms(delay).min(until), extended: false });
        self.state = State::PreparingRebalance(Joining { until, initial });
        self.try_complete_joining(context);
    }

    /// Goes on after a member has gone, or an id that was handed out has expired.
    pub(super) fn members_changed(&mut self, context: &mut ClassicContext<'_>) {
        match self.state {
            State::Empty => {}
            State::Stable | State::CompletingRebalance { .. } => self.prepare(context),
            State::PreparingRebalance(_) => self.try_complete_joining(context),
        }
    }

    pub(super) fn try_complete_joining(&mut self, context: &mut ClassicContext<'_>) {
        let State::PreparingRebalance(Joining { initial: None, .. }) = self.state else { return };
        let all_there = self.members.values().all(|it| it.joining.is_some()) && self.pending.is_empty();
        if all_there {
            self.complete_joining(context);
        }
    }

    /// Makes the next generation of the members that have joined. Static members stay even if they have not joined: they go
    /// when their sessions end.
    fn complete_joining(&mut self, context: &mut ClassicContext<'_>) {
        assert!(matches!(self.state, State::PreparingRebalance(_)), "a round of joining ends once");
        let absent = self.members.values().filter(|it| it.joining.is_none() && it.instance_id.is_none());
        let absent: Vec<_> = absent.map(|it| Arc::clone(&it.id)).collect();
        for id in &absent {
            self.remove(context, id);
        }
        let nobody_joined = self.members.values().all(|it| it.joining.is_none());
        if nobody_joined && !self.members.is_empty() {
            // Only static members are left, and none of them has joined, so nobody could lead. The group waits until one joins or
            // their sessions end.
            let until = self.rebalance_until(context.now.mono);
            self.state = State::PreparingRebalance(Joining { until, initial: None });
            return;
        }
        self.generation = self.generation.checked_add(1).unwrap_or(1);
        self.lagging.clear();
        self.since = context.now.wall;
        if self.members.is_empty() {
            self.protocol = None;
            self.leader = None;
            self.state = State::Empty;
            context.out.records.push(self.record());
            return;
        }
        self.protocol = self.choose_protocol();
        self.elect();
        let has_leader = self.leader.as_ref().is_some_and(|id| self.members.contains_key(id));
        assert!(has_leader, "a generation is led by one of its members");
        self.state = State::CompletingRebalance { until: self.rebalance_until(context.now.mono) };
        let answers: Vec<_> = self.members.keys().map(|id| (Arc::clone(id), self.joined(id))).collect();
        for (id, joined) in answers {
            let Some(member) = self.members.get_mut(&id) else { continue };
            if let Some(ticket) = member.joining.take() {
                member.is_new = false;
                member.renew_session(context.now.mono);
                context.out.reply(ticket, GroupReply::Join(Ok(joined)));
            }
        }
        assert!(
            self.members.values().all(|it| it.joining.is_none()),
            "every member that joined was answered"
        );
    }

    /// Takes the leader's assignment. The generation is complete with it, and is recorded.
    pub(super) fn assign(&mut self, context: &mut ClassicContext<'_>, assignments: &[(Arc<str>, Bytes)]) {
        let is_due = matches!(self.state, State::CompletingRebalance { .. });
        assert!(is_due, "an assignment is taken once in a generation");
        let mut assignments: BTreeMap<_, _> = assignments.iter().map(|(id, bytes)| (id, bytes)).collect();
        for member in self.members.values_mut() {
            member.assignment = assignments.remove(&member.id).cloned().unwrap_or_default();
        }
        self.state = State::Stable;
        context.out.records.push(self.record());
        let (protocol_type, protocol) = (self.protocol_type.clone(), self.protocol.clone());
        for member in self.members.values_mut() {
            if let Some(ticket) = member.syncing.take() {
                member.renew_session(context.now.mono);
                let synced = crate::group::request::Synced {
                    protocol_type: protocol_type.clone(),
                    protocol: protocol.clone(),
                    assignment: member.assignment.clone(),
                };
                context.out.reply(ticket, GroupReply::Sync(Ok(synced)));
            }
        }
        assert!(
            self.members.values().all(|it| it.syncing.is_none()),
            "every member that synced was answered"
        );
    }

    /// Removes the members that have not synced, when the rebalance timeout has passed without an assignment.
    fn drop_unsynced(&mut self, context: &mut ClassicContext<'_>) {
        let silent = self.members.values().filter(|it| it.syncing.is_none()).map(|it| Arc::clone(&it.id));
        let silent: Vec<_> = silent.collect();
        for id in &silent {
            self.remove(context, id);
        }
        self.prepare(context);
    }

    /// Removes a member and refuses the request it waits for. The caller changes the group's state.
    pub(super) fn remove(&mut self, context: &mut ClassicContext<'_>, id: &str) {
        let Some(mut member) = self.members.remove(id) else { return };
        refuse_waiting(&mut member, GroupError::UnknownMemberId, context.out);
        if let Some(instance) = &member.instance_id
            && self.instances.get(instance).is_some_and(|current| **current == *id)
        {
            self.instances.remove(instance);
        }
        if self.leader.as_deref() == Some(id) {
            self.leader = None;
        }
    }

    /// The present generation as one member sees it.
    pub(super) fn joined(&self, id: &Arc<str>) -> Joined {
        let leader = self.leader.clone().unwrap_or_else(|| Arc::from(""));
        let members = if leader == *id { self.joined_members() } else { Vec::new() };
        Joined {
            generation: self.generation,
            protocol_type: self.protocol_type.clone(),
            protocol: self.protocol.clone(),
            leader,
            skip_assignment: false,
            member_id: Arc::clone(id),
            members,
        }
    }

    pub(super) fn joined_members(&self) -> Vec<JoinedMember> {
        let protocol = self.protocol.as_deref().unwrap_or_default();
        let members = self.members.values().map(|member| JoinedMember {
            member_id: Arc::clone(&member.id),
            instance_id: member.instance_id.clone(),
            metadata: member.metadata(protocol),
        });
        members.collect()
    }

    /// Elects a leader: the former one if it has joined, else some member that has.
    fn elect(&mut self) {
        let has_joined = |id: &Arc<str>| self.members.get(id).is_some_and(|it| it.joining.is_some());
        if !self.leader.as_ref().is_some_and(has_joined) {
            self.leader = self.members.values().find(|it| it.joining.is_some()).map(|it| Arc::clone(&it.id));
        }
    }

    /// Chooses the protocol: each member votes for its favourite among the protocols that all members support.
    pub(super) fn choose_protocol(&self) -> Option<Arc<str>> {
        let mut votes: BTreeMap<&Arc<str>, usize> = BTreeMap::new();
        for member in self.members.values() {
            let favourite = member.protocols.iter().find(|(name, _)| self.all_support(name));
            if let Some((name, _)) = favourite {
                *votes.entry(name).or_default() += 1;
            }
        }
        votes.into_iter().max_by_key(|(_, votes)| *votes).map(|(name, _)| Arc::clone(name))
    }

    fn all_support(&self, protocol: &str) -> bool {
        self.members.values().all(|member: &Member| member.supports(protocol))
    }

    fn rebalance_until(&self, now: MonoNanos) -> MonoNanos {
        let longest = self.members.values().map(|it| it.rebalance_timeout_ms).max().unwrap_or(0);
        now.plus_ms(u64::try_from(longest).unwrap_or(0))
    }
}
