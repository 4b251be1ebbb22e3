//! All groups of one partition of `__consumer_offsets`.

mod load;
mod offsets;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::base::rng::Rng;
use crate::base::{MonoNanos, Now, TopicId};
use crate::controller::MetadataImage;

use super::classic::{ClassicContext, ClassicGroup};
use super::consumer::ConsumerGroupLimits;
use super::members::Members;
use super::offsets::Offsets;
use super::request::{
    DescribedGroup, GroupError, GroupReply, GroupRequest, JoinRefused, JoinRequest, LeavingMember,
    ListedGroup, MemberRef, Ticket,
};
use super::{GroupLimits, Name, Outcome};
pub use offsets::Lag;

/// Most bytes of metadata that a member may send, all its protocols together. The coordinator keeps them as long as the
/// member lives. Kafka's own limit is that a whole group fits one record of a mebibyte.
const MEMBER_BYTES_MAX: usize = 1024 * 1024;

#[derive(Debug)]
pub struct Coordinator {
    pub(super) limits: Arc<GroupLimits>,
    pub(super) consumer_limits: ConsumerGroupLimits,
    pub(super) rng: Rng,
    pub(super) groups: BTreeMap<Name, Group>,
    /// When each group must be looked at. A group's own deadline may have moved to a later time since: then the look does
    /// nothing.
    deadlines: BTreeSet<(MonoNanos, Name)>,
    /// Topics with committed offsets, each with the id it had at the commit. A topic that is created again under the same
    /// name has another id, and does not get the offsets of the old one.
    topics: BTreeMap<Name, TopicId>,
    next_retention_check: MonoNanos,
}

#[derive(Debug)]
pub(super) struct Group {
    pub(super) members: Members,
    offsets: Offsets,
    /// When the group will be looked at next: its entry in `deadlines`, or `NEVER` if it has none.
    looked_at: MonoNanos,
}

impl Coordinator {
    #[must_use]
    pub fn new(limits: Arc<GroupLimits>, seed: u64, now: Now) -> Coordinator {
        let next_retention_check = now.mono.plus_ms(limits.retention_check_ms);
        Coordinator {
            consumer_limits: ConsumerGroupLimits::from_config(&limits.consumer, limits.size_max),
            limits,
            rng: Rng::seeded(seed),
            groups: BTreeMap::new(),
            deadlines: BTreeSet::new(),
            topics: BTreeMap::new(),
            next_retention_check,
        }
    }

    /// Handles one request. The answer goes to `out` now, or later when other members have done their part.
    pub fn handle(
        &mut self,
        now: Now,
        image: &MetadataImage,
        ticket: Ticket,
        request: GroupRequest,
        out: &mut Outcome,
    ) {
        let id = Arc::clone(request.group());
        if let Some(error) = self.refusal(&request) {
            return out.reply(ticket, request.refused(error));
        }
        let reply = match request {
            GroupRequest::Join(request) => self.join(now, image, ticket, &request, out).map(GroupReply::Join),
            GroupRequest::Sync(request) => {
                let Some((group, mut context)) = self.classic(&id, now, out) else {
                    let synced = self.sync_consumers(now, &request);
                    out.reply(ticket, GroupReply::Sync(synced));
                    return self.schedule(&id);
                };
                group.sync(&mut context, ticket, &request).map(GroupReply::Sync)
            }
            GroupRequest::Heartbeat { member, .. } => {
                out.reply(ticket, GroupReply::Heartbeat(self.heartbeat(&id, now, &member)));
                // In a classic group a heartbeat only moves deadlines to a later time: the entry in `deadlines` may stay.
                if matches!(self.groups.get(&id).map(|group| &group.members), Some(Members::Consumer(_))) {
                    self.schedule(&id);
                }
                return;
            }
            GroupRequest::Leave { members, .. } => {
                Some(GroupReply::Leave(Ok(self.leave(&id, now, &members, out))))
            }
            // A commit brings no deadline nearer, so the group is not scheduled anew: that would look at all its members.
            GroupRequest::CommitOffsets(request) => {
                let committed = self.commit(now, image, request, out);
                return out.reply(ticket, GroupReply::CommitOffsets(committed));
            }
            GroupRequest::FetchOffsets(request) => {
                let fetched = self.fetch(&request);
                return out.reply(ticket, GroupReply::FetchOffsets(fetched));
            }
            GroupRequest::ConsumerHeartbeat(request) => {
                Some(GroupReply::ConsumerHeartbeat(self.consumer_heartbeat(now, image, &request, out)))
            }
            GroupRequest::DescribeConsumers { .. } => {
                Some(GroupReply::DescribeConsumers(self.describe_consumers(&id)))
            }
            GroupRequest::Describe { .. } => Some(GroupReply::Describe(self.describe(&id))),
            GroupRequest::Delete { .. } => Some(GroupReply::Delete(self.delete(&id, out))),
            GroupRequest::DeleteOffsets { partitions, .. } => {
                Some(GroupReply::DeleteOffsets(self.delete_offsets(&id, &partitions, out)))
            }
        };
        if let Some(reply) = reply {
            out.reply(ticket, reply);
        }
        self.schedule(&id);
    }

    /// When [`Coordinator::tick`] has something to do.
    #[must_use]
    pub fn next_deadline(&self) -> MonoNanos {
        let groups = self.deadlines.first().map_or(MonoNanos::NEVER, |(deadline, _)| *deadline);
        groups.min(self.next_retention_check)
    }

    /// Does what is due at `now`: members that were silent too long go, rebalances end, offsets expire.
    pub fn tick(&mut self, now: Now, out: &mut Outcome) {
        while let Some((deadline, id)) = self.deadlines.first().cloned()
            && deadline <= now.mono
        {
            self.deadlines.remove(&(deadline, Arc::clone(&id)));
            if let Some(group) = self.groups.get_mut(&id) {
                group.looked_at = MonoNanos::NEVER;
                let mut context = ClassicContext { now, limits: &self.limits, rng: &mut self.rng, out };
                match &mut group.members {
                    Members::Classic(group) => group.tick(&mut context),
                    Members::Consumer(group) => context.out.records.extend(group.tick(now.mono).records),
                }
            }
            self.downgrade_if_due(&id, now, out);
            self.schedule(&id);
        }
        if now.mono >= self.next_retention_check {
            self.next_retention_check = now.mono.plus_ms(self.limits.retention_check_ms);
            self.expire_offsets(now, out);
        }
    }

    /// Ends the coordinator: every request that still waits is refused.
    pub fn resign(&mut self, out: &mut Outcome) {
        for group in self.groups.values_mut() {
            group.members.resign(out);
        }
    }

    #[must_use]
    pub fn knows(&self, group: &str) -> bool {
        self.groups.contains_key(group)
    }

    #[must_use]
    pub fn group_count(&self) -> usize {
        self.groups.len()
    }

    pub fn list(&self) -> impl Iterator<Item = ListedGroup> + '_ {
        self.groups.iter().map(|(id, group)| group.members.listed(id))
    }

    /// Counts of groups and of members, for metrics.
    #[must_use]
    pub fn counts(&self) -> (usize, usize) {
        (self.groups.len(), self.groups.values().map(|group| group.members.count()).sum())
    }

    /// The error of a request that is wrong for any group. The group with the empty name can be committed to and deleted,
    /// because consumers of early Kafka versions used no other name.
    fn refusal(&self, request: &GroupRequest) -> Option<GroupError> {
        let nameless = request.group().is_empty();
        match request {
            GroupRequest::Join(_)
            | GroupRequest::Sync(_)
            | GroupRequest::Heartbeat { .. }
            | GroupRequest::Leave { .. }
            | GroupRequest::DescribeConsumers { .. }
            | GroupRequest::DeleteOffsets { .. }
                if nameless =>
            {
                Some(GroupError::InvalidGroupId)
            }
            GroupRequest::Join(join)
                if !self.limits.session_timeout_ms.contains(&join.session_timeout_ms) =>
            {
                Some(GroupError::InvalidSessionTimeout)
            }
            GroupRequest::Join(join) if metadata_bytes(join) > MEMBER_BYTES_MAX => {
                Some(GroupError::InvalidRequest("the member's metadata is too long"))
            }
            _ => None,
        }
    }

    fn join(
        &mut self,
        now: Now,
        image: &MetadataImage,
        ticket: Ticket,
        request: &JoinRequest,
        out: &mut Outcome,
    ) -> Option<Result<super::Joined, JoinRefused>> {
        if !self.groups.contains_key(&request.group) {
            if !request.member_id.is_empty() {
                let (error, member_id) = (GroupError::UnknownMemberId, Arc::clone(&request.member_id));
                return Some(Err(JoinRefused { error, member_id }));
            }
            self.group_or_new(&request.group, now);
        }
        self.vacate(&request.group, now, out);
        let Some((group, mut context)) = self.classic(&request.group, now, out) else {
            return Some(self.join_consumers(now, image, request, out));
        };
        group.join(&mut context, ticket, request)
    }

    fn heartbeat(&mut self, id: &Name, now: Now, member: &MemberRef) -> Result<(), GroupError> {
        match self.groups.get_mut(id).map(|group| &mut group.members) {
            Some(Members::Classic(group)) => group.heartbeat(now, member),
            Some(Members::Consumer(group)) => {
                group.heartbeat_classic(now.mono, &self.consumer_limits, member)
            }
            None => Err(GroupError::UnknownMemberId),
        }
    }

    fn leave(
        &mut self,
        id: &Name,
        now: Now,
        members: &[LeavingMember],
        out: &mut Outcome,
    ) -> Vec<Result<(), GroupError>> {
        if let Some(Members::Consumer(group)) = self.groups.get_mut(id).map(|group| &mut group.members) {
            let outcome = group.leave_all(members);
            out.records.extend(outcome.records);
            self.downgrade_if_due(id, now, out);
            return outcome.answer;
        }
        match self.classic(id, now, out) {
            Some((group, mut context)) => group.leave(&mut context, members),
            None => members.iter().map(|_| Err(GroupError::UnknownMemberId)).collect(),
        }
    }

    fn describe(&self, id: &str) -> Result<DescribedGroup, GroupError> {
        match self.groups.get(id).map(|group| &group.members) {
            Some(Members::Classic(group)) => Ok(group.describe()),
            Some(Members::Consumer(_)) | None => Err(GroupError::GroupIdNotFound),
        }
    }

    fn delete(&mut self, id: &Name, out: &mut Outcome) -> Result<(), GroupError> {
        let group = self.groups.get_mut(id).ok_or(GroupError::GroupIdNotFound)?;
        if !group.members.is_deserted() {
            return Err(GroupError::NonEmptyGroup);
        }
        group.offsets.delete(id, |_, _, _| true, &mut out.records);
        assert!(group.offsets.is_empty(), "a deleted group leaves no offsets");
        out.records.extend(group.members.delete(id));
        self.groups.remove(id);
        Ok(())
    }

    pub(super) fn group_or_new(&mut self, id: &Name, now: Now) -> &mut Group {
        self.groups.entry(Arc::clone(id)).or_insert_with(|| Group {
            members: Members::Classic(ClassicGroup::new(Arc::clone(id), now)),
            offsets: Offsets::default(),
            looked_at: MonoNanos::NEVER,
        })
    }

    /// A group of the classic protocol, with the context for its decisions.
    fn classic<'a>(
        &'a mut self,
        id: &Name,
        now: Now,
        out: &'a mut Outcome,
    ) -> Option<(&'a mut ClassicGroup, ClassicContext<'a>)> {
        match &mut self.groups.get_mut(id)?.members {
            Members::Classic(group) => {
                Some((group, ClassicContext { now, limits: &self.limits, rng: &mut self.rng, out }))
            }
            Members::Consumer(_) => None,
        }
    }

    /// Enters the group's next deadline into `deadlines`, if it is earlier than the entry the group has.
    fn schedule(&mut self, id: &Name) {
        let Some(group) = self.groups.get_mut(id) else { return };
        let deadline = group.members.next_deadline();
        if deadline < group.looked_at {
            let was_there = self.deadlines.remove(&(group.looked_at, Arc::clone(id)));
            let has_entry = group.looked_at != MonoNanos::NEVER;
            assert_eq!(was_there, has_entry, "a group's entry is in the deadlines");
            group.looked_at = deadline;
            self.deadlines.insert((deadline, Arc::clone(id)));
        }
    }
}

fn metadata_bytes(join: &JoinRequest) -> usize {
    join.protocols.iter().map(|(name, metadata)| name.len() + metadata.len()).sum()
}
