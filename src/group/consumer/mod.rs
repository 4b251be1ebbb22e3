//! Consumer groups of the new protocol (KIP-848): the server assigns, members only heartbeat; pure.
//!
//! A group has an epoch, which rises with every change of members, subscriptions or topics; a target assignment, computed
//! when a member is heard of and the epoch has risen; and per member what it has now. Members move to the target each at
//! its own pace: give up what the target has not, move to its epoch, take what others have given up. A partition is
//! therefore never with two members: it is the new one's only when the old one has said it let go, left, or was fenced
//! because it did neither in time.
//!
//! State is the fold of the group's [`Change`]s, Kafka's own records; every decision writes changes and folds them at
//! once, so that a coordinator that starts again knows what the last one told its members. Deadlines, compiled patterns and
//! the version of the image last looked at are soft state.
//!
//! Racks are kept and shown, and no assignor goes by them: neither do those of Kafka 4.3.
//!
//! Knows no clock, no log and no other group. Not done: topics a member may not describe are not hidden from its pattern.

pub mod assign;
mod assignment;
mod classic;
mod commit;
mod convert;
mod describe;
mod embedded;
mod fold;
mod heartbeat;
mod leave;
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
use crate::config::{ConsumerGroups, GroupTimeLimits};
use crate::controller::{MetadataImage, Resource};
use crate::group::{GroupError, GroupRecord, Name};

pub use assign::Assignor;
pub use assignment::Assignment;
pub use commit::Claim;
pub(in crate::group) use convert::Handover;
pub use describe::{DescribedConsumerGroup, DescribedConsumerMember};
pub use embedded::decode_subscription;
#[cfg(test)]
pub(in crate::group) use embedded::read_assignment;
pub use member::{
    ClassicMember, Current, JOIN_EPOCH, LEAVE_EPOCH, Member, MemberState, Metadata, STATIC_LEAVE_EPOCH,
};
pub use record::{Change, TopicSize, Topics};
pub use request::{Heartbeat, HeartbeatRequest};
use timers::{Timer, Timers};
use topics::Matches;

/// Bounds and delays, from the broker's settings.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConsumerGroupLimits {
    pub session_timeout_ms: u64,
    pub heartbeat_interval_ms: i32,
    /// What a group may be told to go by instead.
    pub told: GroupTimeLimits,
    pub size_max: usize,
    /// Those members can ask for; the first is for members that do not. Never empty.
    pub assignors: Vec<Assignor>,
    /// Classic groups become consumer groups when a new-style member joins.
    pub upgrade: bool,
    /// Consumer groups become classic groups when the last new-style member leaves.
    pub downgrade: bool,
    /// Unless more are left than a classic group may have.
    pub classic_size_max: usize,
}

impl ConsumerGroupLimits {
    #[must_use]
    pub fn from_config(config: &ConsumerGroups, classic_size_max: usize) -> ConsumerGroupLimits {
        let named: Vec<Assignor> = config.assignors.iter().filter_map(|name| Assignor::named(name)).collect();
        ConsumerGroupLimits {
            session_timeout_ms: config.session_timeout_ms,
            heartbeat_interval_ms: config.heartbeat_interval_ms,
            told: config.told.clone(),
            size_max: config.size_max,
            assignors: if named.is_empty() { vec![Assignor::Uniform] } else { named },
            upgrade: config.upgrade,
            downgrade: config.downgrade,
            classic_size_max,
        }
    }
}

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
pub struct Outcome<A> {
    /// To append as one batch, so that they are all kept or none. The group has folded them already.
    pub records: Vec<GroupRecord>,
    /// To give once the records, and all before them, are durable.
    pub answer: A,
}

#[derive(Clone, Debug)]
pub struct ConsumerGroup {
    id: Name,
    epoch: i32,
    /// What the epoch goes by.
    topics: Topics,
    /// By member id.
    members: BTreeMap<Name, Member>,
    /// Static members: instance id → member id. Follows from `members`.
    instances: BTreeMap<Name, Name>,
    /// The epoch that `target` was computed for; the group's or an earlier one.
    target_epoch: i32,
    target: BTreeMap<Name, Assignment>,
    /// Partitions that members have, with who has them. Follows from `members`.
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
    fn outcome<A>(self, answer: A) -> Outcome<A> {
        Outcome { records: self.records, answer }
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

    /// A member may be given partitions of the topic.
    #[must_use]
    pub fn is_subscribed(&self, topic: &str) -> bool {
        self.members.values().any(|it| it.metadata.topics.contains(topic)) || self.topics.contains_key(topic)
    }

    /// The whole log is folded: every member has a session from now on.
    pub fn start(&mut self, now: MonoNanos, limits: &ConsumerGroupLimits) {
        self.timers = Timers::default();
        let members: Vec<(Name, Member)> =
            self.members.iter().map(|(id, it)| (Name::clone(id), it.clone())).collect();
        for (id, member) in members {
            self.touch(now, limits.session_timeout_ms, &id);
            if member.current.state == MemberState::UnrevokedPartitions {
                self.timers.set(
                    &id,
                    Timer::Revoke,
                    now.plus_ms(millis(member.metadata.rebalance_timeout_ms)),
                );
            }
        }
        assert!(self.timers.len() >= self.members.len(), "every member has a session");
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

    /// Records that undo all of the group's, members first.
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

    /// The only way decisions change what lasts.
    fn write(&mut self, journal: &mut Journal, change: Change) {
        journal.records.push(change.encode(&journal.group));
        self.apply(change);
    }

    /// What this group was told about times.
    fn times(&self, context: &Context<'_>) -> GroupTimes {
        let told = context.image.configs(&Resource::Group(self.id.to_string()));
        told.map(|told| group::times(told, &context.limits.told)).unwrap_or_default()
    }

    /// It was heard of.
    fn touch(&mut self, now: MonoNanos, session_timeout_ms: u64, id: &Name) {
        let classic = self.members.get(id).and_then(|it| it.metadata.classic.as_ref());
        let session = classic.map_or(session_timeout_ms, |it| millis(it.session_timeout_ms));
        self.timers.set(id, Timer::Session, now.plus_ms(session));
    }
}

/// Negative times are none.
fn millis(ms: i32) -> u64 {
    u64::try_from(ms).unwrap_or(0)
}

#[cfg(test)]
mod tests;
