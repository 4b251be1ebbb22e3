//! Questions of the new protocol, and how a group passes from one protocol to the other.
//!
//! A group whose members are all gone takes the protocol of whoever joins next; its offsets stay.

use crate::base::Now;
use crate::controller::MetadataImage;

use super::classic::ClassicGroup;
use super::consumer::{Claim, ConsumerGroup, Context, DescribedConsumerGroup, Heartbeat, HeartbeatRequest};
use super::coordinator::Coordinator;
use super::members::Members;
use super::request::{CommitRequest, GroupError, MemberRef};
use super::{Name, Outcome};

impl Coordinator {
    pub(super) fn consumer_heartbeat(
        &mut self,
        now: Now,
        image: &MetadataImage,
        request: &HeartbeatRequest,
        out: &mut Outcome,
    ) -> Result<Heartbeat, GroupError> {
        let id = &request.group;
        let mut context = Context { now: now.mono, image, limits: &self.consumer_limits, rng: &mut self.rng };
        let known = self.groups.get_mut(id).map(|group| &mut group.members);
        if let Some(Members::Consumer(group)) = known {
            let outcome = group.heartbeat(&mut context, request)?;
            out.records.extend(outcome.records);
            return Ok(outcome.answer);
        }
        let is_vacant = known.as_ref().is_none_or(|members| members.is_deserted());
        if !request.joins() || !is_vacant {
            request.check(context.limits)?;
            return Err(GroupError::GroupIdNotFound);
        }
        let mut group = ConsumerGroup::new(Name::clone(id));
        let outcome = group.heartbeat(&mut context, request)?;
        if let Some(former) = known.filter(|members| !members.is_simple()) {
            out.records.extend(former.delete(id));
        }
        out.records.extend(outcome.records);
        self.group_or_new(id, now).members = Members::Consumer(Box::new(group));
        Ok(outcome.answer)
    }

    pub(super) fn describe_consumers(&self, id: &str) -> Result<DescribedConsumerGroup, GroupError> {
        match self.groups.get(id).map(|group| &group.members) {
            Some(Members::Consumer(group)) => Ok(group.describe(&self.consumer_limits)),
            Some(Members::Classic(_)) | None => Err(GroupError::GroupIdNotFound),
        }
    }

    /// Makes way for a classic member where the last new-style one has left.
    pub(super) fn vacate(&mut self, id: &Name, now: Now, out: &mut Outcome) {
        let Some(group) = self.groups.get_mut(id) else { return };
        if matches!(group.members, Members::Consumer(_)) && group.members.is_deserted() {
            out.records.extend(group.members.delete(id));
            group.members = Members::Classic(ClassicGroup::new(Name::clone(id), now));
        }
    }

    /// Whether a commit may be taken, of a group that is there.
    pub(super) fn check_commit(
        &mut self,
        now: Now,
        image: &MetadataImage,
        request: &CommitRequest,
    ) -> Result<(), GroupError> {
        match self.groups.get_mut(&request.group).map(|group| &mut group.members) {
            Some(Members::Classic(group)) => group.check_commit(now, &request.member),
            Some(Members::Consumer(group)) => {
                let id_of = |name: &str, id| image.topic(name).map_or(id, |topic| topic.id);
                let partitions = request.partitions.iter();
                let partitions = partitions.map(|it| (id_of(&it.topic, it.topic_id), it.partition));
                group.check_commit(&claim(&request.member, request.knows_group_id_not_found), partitions)
            }
            // Whoever keeps offsets without being a member makes the group.
            None if request.member.generation < 0 => Ok(()),
            None if request.knows_group_id_not_found => Err(GroupError::GroupIdNotFound),
            None => Err(GroupError::IllegalGeneration),
        }
    }

    pub(super) fn check_fetch(&self, id: &str, member: Option<&MemberRef>) -> Result<(), GroupError> {
        match (self.groups.get(id).map(|group| &group.members), member) {
            (Some(Members::Consumer(group)), Some(member)) => group.check_fetch(&claim(member, true)),
            _ => Ok(()),
        }
    }
}

fn claim(member: &MemberRef, knows_epochs: bool) -> Claim {
    Claim { member_id: Name::clone(&member.member_id), member_epoch: member.generation, knows_epochs }
}
