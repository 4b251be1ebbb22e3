//! Requests of the new protocol (KIP-848), and how a group changes from one protocol to the other.
//!
//! A group without members takes the protocol of the member that joins next; its offsets stay. A classic group of consumers
//! becomes a consumer group when a member of the new protocol joins, and its classic members stay in it. The group becomes
//! classic again when the last member of the new protocol has left (`group.consumer.migration.policy`).

use crate::base::Now;
use crate::controller::MetadataImage;

use super::classic::{ClassicContext, ClassicGroup};
use super::consumer::{Claim, ConsumerGroup, Context, DescribedConsumerGroup, Heartbeat, HeartbeatRequest};
use super::coordinator::Coordinator;
use super::members::Members;
use super::record::GroupRecord;
use super::request::{
    CommitRequest, GroupError, JoinRefused, JoinRequest, Joined, MemberRef, SyncRequest, Synced,
};
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
            self.downgrade_if_due(id, now, out);
            return Ok(outcome.answer);
        }
        if let Some(Members::Classic(classic)) = known
            && request.joins()
            && !classic.is_deserted()
            && context.limits.upgrade
        {
            return self.upgrade(now, image, request, out);
        }
        let known = self.groups.get_mut(id).map(|group| &mut group.members);
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

    /// Makes a consumer group of a classic group. The classic members learn by their next heartbeat that they must join again.
    fn upgrade(
        &mut self,
        now: Now,
        image: &MetadataImage,
        request: &HeartbeatRequest,
        out: &mut Outcome,
    ) -> Result<Heartbeat, GroupError> {
        let id = &request.group;
        let mut context = Context { now: now.mono, image, limits: &self.consumer_limits, rng: &mut self.rng };
        request.check(context.limits)?;
        let Some(Members::Classic(classic)) = self.groups.get_mut(id).map(|group| &mut group.members) else {
            return Err(GroupError::GroupIdNotFound);
        };
        let is_small = classic.members().count() <= context.limits.size_max;
        let is_consumers = classic.protocol_type().is_some_and(|kind| &**kind == "consumer");
        let generation = classic.generation();
        let converted = (is_small && is_consumers)
            .then(|| ConsumerGroup::from_classic(id, generation, classic.members(), &context))
            .flatten();
        let super::consumer::Decision { records, answer: mut group } =
            converted.ok_or(GroupError::GroupIdNotFound)?;
        assert_eq!(group.members().count(), classic.members().count(), "every member goes over");
        let outcome = group.heartbeat(&mut context, request)?;
        classic.dismiss(GroupError::RebalanceInProgress, out);
        out.records.push(GroupRecord::group(id, None));
        out.records.extend(records);
        out.records.extend(outcome.records);
        self.group_or_new(id, now).members = Members::Consumer(Box::new(group));
        Ok(outcome.answer)
    }

    /// Makes a classic group of a consumer group that has only classic members left.
    pub(super) fn downgrade_if_due(&mut self, id: &Name, now: Now, out: &mut Outcome) {
        let Some(group) = self.groups.get_mut(id) else { return };
        let Members::Consumer(consumers) = &group.members else { return };
        if !consumers.is_left_to_classic(&self.consumer_limits) {
            return;
        }
        let super::consumer::Decision { records, answer: handover } = consumers.to_classic(now.mono);
        out.records.extend(records);
        let mut context = ClassicContext { now, limits: &self.limits, rng: &mut self.rng, out };
        group.members = Members::Classic(ClassicGroup::downgraded(Name::clone(id), handover, &mut context));
    }

    pub(super) fn join_consumers(
        &mut self,
        now: Now,
        image: &MetadataImage,
        request: &JoinRequest,
        out: &mut Outcome,
    ) -> Result<Joined, JoinRefused> {
        let mut context = Context { now: now.mono, image, limits: &self.consumer_limits, rng: &mut self.rng };
        let Some(Members::Consumer(group)) = self.groups.get_mut(&request.group).map(|it| &mut it.members)
        else {
            let (error, member_id) = (GroupError::UnknownMemberId, Name::clone(&request.member_id));
            return Err(JoinRefused { error, member_id });
        };
        let outcome = group.join_classic(&mut context, request)?;
        out.records.extend(outcome.records);
        self.downgrade_if_due(&request.group, now, out);
        Ok(outcome.answer)
    }

    pub(super) fn sync_consumers(&mut self, now: Now, request: &SyncRequest) -> Result<Synced, GroupError> {
        match self.groups.get_mut(&request.group).map(|it| &mut it.members) {
            Some(Members::Consumer(group)) => group.sync_classic(now.mono, &self.consumer_limits, request),
            _ => Err(GroupError::UnknownMemberId),
        }
    }

    pub(super) fn describe_consumers(&self, id: &str) -> Result<DescribedConsumerGroup, GroupError> {
        match self.groups.get(id).map(|group| &group.members) {
            Some(Members::Consumer(group)) => Ok(group.describe(&self.consumer_limits)),
            Some(Members::Classic(_)) | None => Err(GroupError::GroupIdNotFound),
        }
    }

    /// Makes an empty classic group of a consumer group without members, so that a classic member can join.
    pub(super) fn vacate(&mut self, id: &Name, now: Now, out: &mut Outcome) {
        let Some(group) = self.groups.get_mut(id) else { return };
        if matches!(group.members, Members::Consumer(_)) && group.members.is_deserted() {
            out.records.extend(group.members.delete(id));
            group.members = Members::Classic(ClassicGroup::new(Name::clone(id), now));
        }
    }

    /// Checks that a commit may be taken. A group that does not exist is made by a commit outside membership.
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
                let knows_epochs = request.knows_group_id_not_found;
                group.check_commit(&Claim { knows_epochs, ..claim(&request.member) }, partitions)
            }
            // A commit outside membership makes the group.
            None if request.member.generation < 0 => Ok(()),
            None if request.knows_group_id_not_found => Err(GroupError::GroupIdNotFound),
            None => Err(GroupError::IllegalGeneration),
        }
    }

    pub(super) fn check_fetch(&self, id: &str, member: Option<&MemberRef>) -> Result<(), GroupError> {
        match (self.groups.get(id).map(|group| &group.members), member) {
            (Some(Members::Consumer(group)), Some(member)) => group.check_fetch(&claim(member)),
            _ => Ok(()),
        }
    }
}

/// A claim whose request can carry member epochs.
fn claim(member: &MemberRef) -> Claim {
    Claim { member_id: Name::clone(&member.member_id), member_epoch: member.generation, knows_epochs: true }
}
