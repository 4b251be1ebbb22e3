//! Consumer groups of the new protocol (KIP-848): the server assigns, members only heartbeat; pure.
//!
//! A group has an epoch, which rises with every change of members, subscriptions or topics. It has a target assignment,
//! which is computed at the first heartbeat after the epoch has risen. And it knows for each member which partitions the
//! member has now. Each member moves to the target at its own pace: it gives up the partitions that are not in the target,
//! moves to the target's epoch, and takes partitions that others have given up. A partition therefore never belongs to two
//! members: the new member gets it only when the old one has said that it gave it up, has left, or was fenced because it
//! did neither in time.
//!
//! State is the fold of the group's [`Change`]s, which are Kafka's own records. Every decision writes changes and applies
//! them at once, so that a coordinator that starts again knows what the last one told its members. Deadlines, compiled
//! patterns and the version of the image last looked at are soft state.
//!
//! The members' racks are kept and shown, but the assignors do not use them; neither do those of Kafka 4.3.
//!
//! Knows no clock, no log and no other group. Not done: a pattern also matches topics that its member may not describe.

pub mod assign;
mod assignment;
mod classic;
mod commit;
mod convert;
mod describe;
mod described;
mod embedded;
mod fold;
mod heartbeat;
mod leave;
mod limits;
mod matches;
mod member;
mod pattern;
mod record;
mod request;
mod timers;
mod topics;

use std::collections::BTreeMap;

use crate::base::rng::Rng;
use crate::base::{MonoNanos, TopicId};
use crate::config::group::{self, GroupTimes};
use crate::controller::{MetadataImage, Resource};
use crate::group::{GroupError, GroupRecord, Name};

pub use assign::Assignor;
pub use assignment::Assignment;
pub use commit::Claim;
pub(in crate::group) use convert::Handover;
pub use described::{DescribedConsumerGroup, DescribedConsumerMember};
pub use embedded::decode_subscription;
#[cfg(test)]
pub(in crate::group) use embedded::read_assignment;
pub use limits::ConsumerGroupLimits;
use matches::Matches;
pub use member::{
    ClassicMember, Current, JOIN_EPOCH, LEAVE_EPOCH, Member, MemberState, Metadata, STATIC_LEAVE_EPOCH,
};
pub use record::{Change, TopicSize, Topics};
pub use request::{Heartbeat, HeartbeatRequest};
use timers::{Timer, Timers};

/// Everything a decision may use besides the group.
#[derive(Debug)]
pub struct Context<'a> {
    pub now: MonoNanos,
    pub image: &'a MetadataImage,
    pub limits: &'a ConsumerGroupLimits,
    pub rng: &'a mut Rng,
}

/// What a decision wants done.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Decision<A> {
    /// Records to append as one batch, so that either all of them are kept or none. The group has applied them already.
    pub records: Vec<GroupRecord>,
    /// The answer, to be given once the records, and all records before them, are durable.
    pub answer: A,
}

#[derive(Clone, Debug)]
pub struct ConsumerGroup {
    id: Name,
    epoch: i32,
    /// The subscribed topics that exist, as they were when the epoch last rose.
    topics: Topics,
    /// By member id.
    members: BTreeMap<Name, Member>,
    /// Static members: instance id → member id. Follows from `members`.
    instances: BTreeMap<Name, Name>,
    /// The epoch that `target` was computed for: the group's or an earlier one.
    target_epoch: i32,
    target: BTreeMap<Name, Assignment>,
    /// Partitions that members have, each with the member that has it. Follows from `members`.
    holders: BTreeMap<(TopicId, i32), Name>,
    // Soft state:
    timers: Timers,
    matches: Matches,
    /// Version of the image that `topics` was last compared with.
    seen: Option<i64>,
}

/// Records of the changes written so far.
struct Journal {
    group: Name,
    records: Vec<GroupRecord>,
}

impl Journal {
    fn decision<A>(self, answer: A) -> Decision<A> {
        Decision { records: self.records, answer }
    }
}

impl ConsumerGroup {
    #[must_use]
    pub fn new(id: Name) -> ConsumerGroup {
        ConsumerGroup {
            id,
            epoch: 0,
            topics: Topics::new(),
            members: BTreeMap::new(),
            instances: BTreeMap::new(),
            target_epoch: 0,
            target: BTreeMap::new(),
            holders: BTreeMap::new(),
            timers: Timers::default(),
            matches: Matches::default(),
            seen: None,
        }
    }

    #[must_use]
    pub fn id(&self) -> &Name {
        &self.id
    }

    #[must_use]
    pub fn epoch(&self) -> i32 {
        self.epoch
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    pub fn members(&self) -> impl Iterator<Item = (&Name, &Member)> {
        self.members.iter()
    }

    /// Whether members may be given partitions of the topic.
    #[must_use]
    pub fn is_subscribed(&self, topic: &str) -> bool {
        self.members.values().any(|it| it.metadata.topics.contains(topic)) || self.topics.contains_key(topic)
    }

    /// Ends loading, when the whole log is folded: every member gets a new session.
    pub fn start(&mut self, now: MonoNanos, limits: &ConsumerGroupLimits) {
        self.timers = Timers::default();
        let members: Vec<(Name, Member)> =
            self.members.iter().map(|(id, it)| (Name::clone(id), it.clone())).collect();
        for (id, member) in members {
            self.renew_session(now, limits.session_timeout_ms, &id);
            if member.current.state == MemberState::UnrevokedPartitions {
                self.timers.set(
                    &id,
                    Timer::Revoke,
                    now.plus_ms(millis(member.metadata.rebalance_timeout_ms)),
                );
            }
        }
        assert!(self.timers.count() >= self.members.len(), "every member has a session");
    }

    /// When [`ConsumerGroup::tick`] has something to do.
    #[must_use]
    pub fn next_deadline(&self) -> MonoNanos {
        self.timers.next()
    }

    /// Records that delete the group, which must be empty.
    #[must_use]
    pub fn delete(&self) -> Vec<GroupRecord> {
        assert!(self.members.is_empty(), "a group with members is not deleted");
        self.tombstones()
    }

    /// Tombstones for all records of the group, those of members first.
    fn tombstones(&self) -> Vec<GroupRecord> {
        let mut changes = Vec::new();
        for id in self.members.keys() {
            changes.push(Change::Current(Name::clone(id), None));
            changes.push(Change::Target(Name::clone(id), None));
        }
        changes.push(Change::TargetEpoch(None));
        changes.extend(self.members.keys().map(|id| Change::Member(Name::clone(id), None)));
        changes.extend([Change::Topics(None), Change::Group(None)]);
        changes.iter().map(|change| change.encode(&self.id)).collect()
    }

    fn journal(&self) -> Journal {
        Journal { group: Name::clone(&self.id), records: Vec::new() }
    }

    /// Records a change and applies it. Decisions change recorded state only in this way.
    fn write(&mut self, journal: &mut Journal, change: Change) {
        journal.records.push(change.encode(&journal.group));
        self.apply(change);
    }

    /// The times that this group's own configs set.
    fn times(&self, context: &Context<'_>) -> GroupTimes {
        let told = context.image.configs(&Resource::Group(self.id.to_string()));
        told.map(|told| group::times(told, &context.limits.told)).unwrap_or_default()
    }

    /// Begins a member's session anew: a request of it has come.
    fn renew_session(&mut self, now: MonoNanos, session_timeout_ms: u64, id: &Name) {
        let classic = self.members.get(id).and_then(|it| it.metadata.classic.as_ref());
        let session = classic.map_or(session_timeout_ms, |it| millis(it.session_timeout_ms));
        self.timers.set(id, Timer::Session, now.plus_ms(session));
    }
}

/// Milliseconds as an unsigned number; negative times count as 0.
fn millis(ms: i32) -> u64 {
    u64::try_from(ms).unwrap_or(0)
}

#[cfg(test)]
mod tests;
