//! How members leave: at their own request, or because they sent nothing in time.

use crate::base::MonoNanos;
use crate::group::{GroupError, Name};

use super::Assignment;
use super::{
    Change, ConsumerGroup, Current, Decision, Heartbeat, HeartbeatRequest, Journal, MemberState,
    STATIC_LEAVE_EPOCH, Timer,
};

impl ConsumerGroup {
    pub(super) fn leave(&mut self, request: &HeartbeatRequest) -> Result<Decision<Heartbeat>, GroupError> {
        let id = &request.member_id;
        let known = match &request.instance_id {
            Some(instance) => self.instances.get(instance),
            None => self.members.get_key_value(id).map(|(id, _)| id),
        };
        if known.ok_or(GroupError::UnknownMemberId)? != id {
            return Err(GroupError::FencedInstanceId);
        }
        let mut journal = self.journal();
        if request.member_epoch == STATIC_LEAVE_EPOCH {
            self.pause(id, &mut journal);
        } else {
            self.remove(&[Name::clone(id)], &mut journal);
        }
        let answer = Heartbeat {
            member_id: Name::clone(id),
            member_epoch: request.member_epoch,
            heartbeat_interval_ms: 0,
            assignment: None,
        };
        Ok(journal.decision(answer))
    }

    /// Marks a static member that leaves to come back. Its partitions wait for it until its session ends.
    fn pause(&mut self, id: &Name, journal: &mut Journal) {
        let current = &self.member(id).current;
        let paused = Current {
            epoch: STATIC_LEAVE_EPOCH,
            previous_epoch: current.epoch,
            state: MemberState::Stable,
            assigned: current.assigned.clone(),
            revoking: Assignment::default(),
            given: current.given_of(&current.assigned),
        };
        self.timers.cancel(id, Timer::Revoke);
        self.write(journal, Change::Current(Name::clone(id), Some(paused)));
    }

    /// Fences members whose deadline has passed. The answer names them.
    pub fn tick(&mut self, now: MonoNanos) -> Decision<Vec<Name>> {
        let mut over = Vec::new();
        while let Some((id, timer)) = self.timers.pop(now) {
            let is_due = match timer {
                Timer::Session | Timer::Join | Timer::Sync => true,
                Timer::Revoke => self
                    .members
                    .get(&id)
                    .is_some_and(|it| it.current.state == MemberState::UnrevokedPartitions),
            };
            if is_due && self.members.contains_key(&id) && !over.contains(&id) {
                over.push(id);
            }
        }
        let mut journal = self.journal();
        self.remove(&over, &mut journal);
        journal.decision(over)
    }

    /// Removes members. Their partitions are free at once; the target assignment is computed again at the next heartbeat of
    /// any member.
    pub(super) fn remove(&mut self, ids: &[Name], journal: &mut Journal) {
        for id in ids {
            self.timers.forget(id);
            self.write_gone(id, journal);
        }
        assert!(self.timers.count() >= self.members.len(), "every member that stays has a session");
        if !ids.is_empty() {
            self.prune_topics(journal);
            self.write(journal, Change::Group(Some(self.epoch + 1)));
        }
    }

    pub(super) fn write_gone(&mut self, id: &Name, journal: &mut Journal) {
        for change in [
            Change::Current(Name::clone(id), None),
            Change::Target(Name::clone(id), None),
            Change::Member(Name::clone(id), None),
        ] {
            self.write(journal, change);
        }
    }
}
