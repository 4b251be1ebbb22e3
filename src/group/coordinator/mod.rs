//! All groups of one partition of `__consumer_offsets`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::base::rng::Rng;
use crate::base::{MonoNanos, Now, TopicId};
use crate::controller::MetadataImage;

use super::classic::{ClassicGroup, Step};
use super::consumer::{Change, ConsumerGroup, ConsumerGroupLimits};
use super::members::Members;
use super::offsets::{Committed, Offsets};
use super::record::{self, GroupRecord, Parsed, RecordError};
use super::request::{
    CommitPartition, CommitRequest, DescribedGroup, GroupError, GroupReply, GroupRequest, JoinRefused,
    JoinRequest, LeavingMember, ListedGroup, MemberRef, Ticket,
};
use super::{GroupLimits, Name, Outcome};

/// What a member may tell of itself, under all its protocols together: a coordinator keeps it for as long as the member lives.
/// Kafka's own limit is that a whole group fits one record of a mebibyte.
const MEMBER_BYTES_MAX: usize = 1024 * 1024;

#[derive(Debug)]
pub struct Coordinator {
    pub(super) limits: Arc<GroupLimits>,
    pub(super) consumer_limits: ConsumerGroupLimits,
    pub(super) rng: Rng,
    pub(super) groups: BTreeMap<Name, Group>,
    /// When a group must be looked at. A group's own deadline may have moved away since: then the look does nothing.
    deadlines: BTreeSet<(MonoNanos, Name)>,
    /// Topics with committed offsets, with the id each had then: a topic created anew owes nothing to its namesake.
    topics: BTreeMap<Name, TopicId>,
    next_retention_check: MonoNanos,
}

#[derive(Debug)]
pub(super) struct Group {
    pub(super) members: Members,
    offsets: Offsets,
    /// Its entry in the deadlines.
    looked_at: MonoNanos,
}

/// A committed offset, for comparison with the end of its log.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Lag {
    pub group: Name,
    pub topic: Name,
    pub partition: i32,
    pub committed: i64,
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

    /// Folds one record of the log, oldest first.
    ///
    /// # Errors
    /// It is no record of this topic. Kafka's kinds that are not served here are passed over.
    pub fn replay(&mut self, now: Now, key: &[u8], value: Option<&[u8]>) -> Result<(), RecordError> {
        match record::parse(key, value)? {
            Parsed::Offset { key, value: Some(value) } => {
                let group = self.group_or_new(&Arc::from(&*key.group), now);
                group.offsets.set(Arc::from(&*key.topic), key.partition, Committed::read(&value));
            }
            Parsed::Offset { key, value: None } => {
                if let Some(group) = self.groups.get_mut(&*key.group) {
                    group.offsets.remove(&key.topic, key.partition);
                }
            }
            Parsed::Group { key, value: Some(value) } => {
                let id: Name = Arc::from(&*key.group);
                let group = self.group_or_new(&id, now);
                group.members = Members::Classic(ClassicGroup::read(id, &value, now));
            }
            Parsed::Group { key, value: None } => {
                // Its offsets have tombstones of their own: the group may have gone over to the other protocol.
                if let Some(group) = self.groups.get_mut(&*key.group)
                    && matches!(group.members, Members::Classic(_))
                {
                    group.members = Members::Classic(ClassicGroup::new(Arc::from(&*key.group), now));
                }
            }
            Parsed::Other => self.replay_consumers(now, key, value)?,
        }
        Ok(())
    }

    fn replay_consumers(&mut self, now: Now, key: &[u8], value: Option<&[u8]>) -> Result<(), RecordError> {
        let Some((id, change)) = Change::decode(key, value)? else { return Ok(()) };
        if value.is_none() && !self.groups.contains_key(&id) {
            return Ok(());
        }
        let members = &mut self.group_or_new(&id, now).members;
        match members {
            Members::Consumer(_) if change == Change::Group(None) => {
                *members = Members::Classic(ClassicGroup::new(id, now));
            }
            Members::Consumer(group) => group.apply(change),
            Members::Classic(_) if value.is_none() => {}
            Members::Classic(_) => {
                let mut group = ConsumerGroup::new(id);
                group.apply(change);
                *members = Members::Consumer(Box::new(group));
            }
        }
        Ok(())
    }

    /// The whole log is folded: members have a session from now on, offsets of topics that are gone go.
    pub fn loaded(&mut self, now: Now, image: &MetadataImage, out: &mut Outcome) {
        let names: BTreeSet<Name> =
            self.groups.values().flat_map(|group| group.offsets.topics().cloned()).collect();
        for name in names {
            let id = image.topic(&name).map_or(TopicId::ZERO, |topic| topic.id);
            self.topics.insert(name, id);
        }
        self.groups.retain(|_, group| {
            !group.members.is_deserted() || !group.offsets.is_empty() || !group.members.is_simple()
        });
        let groups: Vec<Name> = self.groups.keys().cloned().collect();
        for id in groups {
            if let Some(group) = self.groups.get_mut(&id) {
                let mut step = Step { now, limits: &self.limits, rng: &mut self.rng, out };
                match &mut group.members {
                    Members::Classic(group) => group.revive(&mut step),
                    Members::Consumer(group) => group.start(now.mono, &self.consumer_limits),
                }
            }
            self.schedule(&id);
        }
        self.next_retention_check = now.mono.plus_ms(self.limits.retention_check_ms);
        self.forget_topics(&|name, _| image.topic(name).is_none(), out);
    }

    /// Answers a question, now or when others have done their part.
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
                let Some((group, mut step)) = self.classic(&id, now, out) else {
                    let synced = self.sync_consumers(now, &request);
                    out.reply(ticket, GroupReply::Sync(synced));
                    return self.schedule(&id);
                };
                group.sync(&mut step, ticket, &request).map(GroupReply::Sync)
            }
            GroupRequest::Heartbeat { member, .. } => {
                out.reply(ticket, GroupReply::Heartbeat(self.heartbeat(&id, now, &member)));
                // In a classic group a sign of life only moves deadlines away: the entry in `deadlines` may stay.
                if matches!(self.groups.get(&id).map(|group| &group.members), Some(Members::Consumer(_))) {
                    self.schedule(&id);
                }
                return;
            }
            GroupRequest::Leave { members, .. } => {
                Some(GroupReply::Leave(Ok(self.leave(&id, now, &members, out))))
            }
            // These bring no deadline nearer: no look at all members for every commit.
            GroupRequest::CommitOffsets(request) => {
                let committed = self.commit(now, image, request, out);
                return out.reply(ticket, GroupReply::CommitOffsets(committed));
            }
            GroupRequest::FetchOffsets(request) => {
                let partitions = request.partitions.as_deref();
                let nothing = Offsets::default();
                let offsets = self.groups.get(&id).map_or(&nothing, |group| &group.offsets);
                let allowed = self.check_fetch(&id, request.member.as_ref());
                let fetched = allowed.map(|()| offsets.fetch(partitions));
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

    /// Time has passed.
    pub fn tick(&mut self, now: Now, out: &mut Outcome) {
        while let Some((deadline, id)) = self.deadlines.first().cloned()
            && deadline <= now.mono
        {
            self.deadlines.remove(&(deadline, Arc::clone(&id)));
            if let Some(group) = self.groups.get_mut(&id) {
                group.looked_at = MonoNanos::NEVER;
                let mut step = Step { now, limits: &self.limits, rng: &mut self.rng, out };
                match &mut group.members {
                    Members::Classic(group) => group.tick(&mut step),
                    Members::Consumer(group) => step.out.records.extend(group.tick(now.mono).records),
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

    /// Topics have come or gone.
    pub fn topics_changed(&mut self, image: &MetadataImage, out: &mut Outcome) {
        self.forget_topics(&|name, id| image.topic(name).is_none_or(|topic| topic.id != id), out);
    }

    /// The coordinator goes away: nobody is left waiting.
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

    /// Groups and members, for metrics.
    #[must_use]
    pub fn counts(&self) -> (usize, usize) {
        (self.groups.len(), self.groups.values().map(|group| group.members.count()).sum())
    }

    pub fn committed(&self) -> impl Iterator<Item = Lag> + '_ {
        self.groups.iter().flat_map(|(id, group)| {
            group.offsets.iter().map(|(topic, partition, committed)| Lag {
                group: Arc::clone(id),
                topic: Arc::clone(topic),
                partition,
                committed: committed.offset,
            })
        })
    }

    /// What no group could answer. The nameless group can be committed to and deleted: consumers of long ago had no other.
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
        let Some((group, mut step)) = self.classic(&request.group, now, out) else {
            return Some(self.join_consumers(now, image, request, out));
        };
        group.join(&mut step, ticket, request)
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
            Some((group, mut step)) => group.leave(&mut step, members),
            None => members.iter().map(|_| Err(GroupError::UnknownMemberId)).collect(),
        }
    }

    fn commit(
        &mut self,
        now: Now,
        image: &MetadataImage,
        request: CommitRequest,
        out: &mut Outcome,
    ) -> Result<Vec<Result<(), GroupError>>, GroupError> {
        self.check_commit(now, image, &request)?;
        let metadata_max = self.limits.metadata_max;
        let fits = |asked: &CommitPartition| fits(&asked.metadata, metadata_max);
        let result = |it| if fits(it) { Ok(()) } else { Err(GroupError::OffsetMetadataTooLarge) };
        let results: Vec<_> = request.partitions.iter().map(result).collect();
        if !results.iter().any(Result::is_ok) {
            return Ok(results);
        }
        for asked in request.partitions.iter().filter(|it| fits(it)) {
            let id = image.topic(&asked.topic).map_or(asked.topic_id, |topic| topic.id);
            if self.topics.get(&asked.topic) != Some(&id) {
                self.topics.insert(Arc::clone(&asked.topic), id);
            }
        }
        let group = self.group_or_new(&request.group, now);
        for asked in request.partitions.into_iter().filter(fits) {
            let (topic, partition) = (Arc::clone(&asked.topic), asked.partition);
            let committed = Committed::of(asked, now.wall, request.retention_ms);
            out.records.push(committed.record(&request.group, &topic, partition));
            group.offsets.set(topic, partition, committed);
        }
        Ok(results)
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
        out.records.extend(group.members.delete(id));
        self.groups.remove(id);
        Ok(())
    }

    fn delete_offsets(
        &mut self,
        id: &str,
        partitions: &[(Name, i32)],
        out: &mut Outcome,
    ) -> Result<Vec<Result<(), GroupError>>, GroupError> {
        let group = self.groups.get_mut(id).ok_or(GroupError::GroupIdNotFound)?;
        if !group.members.is_deserted() && !group.members.is_consumers() {
            return Err(GroupError::NonEmptyGroup);
        }
        let results = partitions.iter().map(|(topic, partition)| {
            if group.members.is_subscribed(topic) {
                return Err(GroupError::GroupSubscribedToTopic);
            }
            if group.offsets.remove(topic, *partition) {
                out.records.push(GroupRecord::offset(id, topic, *partition, None));
            }
            Ok(())
        });
        Ok(results.collect())
    }

    /// Offsets of topics that are gone are gone.
    fn forget_topics(&mut self, is_gone: &dyn Fn(&str, TopicId) -> bool, out: &mut Outcome) {
        let gone: Vec<Name> = self
            .topics
            .iter()
            .filter(|(name, id)| is_gone(name, **id))
            .map(|(name, _)| Arc::clone(name))
            .collect();
        for name in gone {
            self.topics.remove(&name);
            for (id, group) in &mut self.groups {
                group.offsets.delete(id, |topic, _, _| *topic == *name, &mut out.records);
            }
        }
    }

    /// Lets go of offsets nobody has asked to keep, and of groups that are nothing any more.
    fn expire_offsets(&mut self, now: Now, out: &mut Outcome) {
        let retention_ms = self.limits.retention_ms;
        let mut gone = Vec::new();
        for (id, group) in &mut self.groups {
            let (idle_since, is_consumers) = (group.members.idle_since(), group.members.is_consumers());
            let members = &group.members;
            let is_expired = |topic: &str, committed: &Committed| {
                if let Some(expire) = committed.expire_time {
                    return now.wall >= expire;
                }
                let since = match idle_since {
                    Some(since) => since.max(committed.commit_time),
                    None if is_consumers && !members.is_subscribed(topic) => committed.commit_time,
                    None => return false,
                };
                now.wall.0.saturating_sub(since.0) >= retention_ms
            };
            group.offsets.delete(id, |topic, _, committed| is_expired(topic, committed), &mut out.records);
            if members.is_deserted() && group.offsets.is_empty() {
                out.records.extend(members.delete(id));
                gone.push(Arc::clone(id));
            }
        }
        for id in gone {
            self.groups.remove(&id);
        }
    }

    pub(super) fn group_or_new(&mut self, id: &Name, now: Now) -> &mut Group {
        self.groups.entry(Arc::clone(id)).or_insert_with(|| Group {
            members: Members::Classic(ClassicGroup::new(Arc::clone(id), now)),
            offsets: Offsets::default(),
            looked_at: MonoNanos::NEVER,
        })
    }

    /// A group of the classic protocol, with all it may use.
    fn classic<'a>(
        &'a mut self,
        id: &Name,
        now: Now,
        out: &'a mut Outcome,
    ) -> Option<(&'a mut ClassicGroup, Step<'a>)> {
        match &mut self.groups.get_mut(id)?.members {
            Members::Classic(group) => {
                Some((group, Step { now, limits: &self.limits, rng: &mut self.rng, out }))
            }
            Members::Consumer(_) => None,
        }
    }

    /// Sees to it that the group is looked at when its time comes.
    fn schedule(&mut self, id: &Name) {
        let Some(group) = self.groups.get_mut(id) else { return };
        let deadline = group.members.next_deadline();
        if deadline < group.looked_at {
            self.deadlines.remove(&(group.looked_at, Arc::clone(id)));
            group.looked_at = deadline;
            self.deadlines.insert((deadline, Arc::clone(id)));
        }
    }
}

/// Whether a commit may carry this text: as long as Java counts it, in UTF-16 units, and no longer than a record's string.
fn fits(metadata: &str, units_max: usize) -> bool {
    let is_short = metadata.len() <= units_max || metadata.encode_utf16().count() <= units_max;
    is_short && metadata.len() <= i16::MAX as usize
}

fn metadata_bytes(join: &JoinRequest) -> usize {
    join.protocols.iter().map(|(name, metadata)| name.len() + metadata.len()).sum()
}
