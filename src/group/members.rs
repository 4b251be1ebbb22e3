//! A group's members, under either of the two protocols.

use std::sync::Arc;

use crate::base::{MonoNanos, TimestampMs};

use super::classic::ClassicGroup;
use super::consumer::ConsumerGroup;
use super::record::GroupRecord;
use super::request::{GroupError, ListedGroup};
use super::{Name, Outcome};

/// A group of either protocol.
#[derive(Debug)]
pub enum Members {
    Classic(ClassicGroup),
    Consumer(Box<ConsumerGroup>),
}

impl Members {
    /// Whether the group consists of consumers, under either protocol.
    #[must_use]
    pub fn is_consumers(&self) -> bool {
        match self {
            Members::Classic(group) => group.protocol_type().is_some_and(|kind| &**kind == "consumer"),
            Members::Consumer(_) => true,
        }
    }

    /// Whether the group has no members and none that were given an id to join with.
    #[must_use]
    pub fn is_deserted(&self) -> bool {
        match self {
            Members::Classic(group) => group.is_deserted(),
            Members::Consumer(group) => group.is_empty(),
        }
    }

    /// Whether the group is only a name for committed offsets. Such a group has no record of its own.
    #[must_use]
    pub fn is_simple(&self) -> bool {
        match self {
            Members::Classic(group) => group.is_simple(),
            Members::Consumer(_) => false,
        }
    }

    /// From when on the retention of the group's offsets counts, where that is later than their commit; `None` while it does
    /// not count.
    #[must_use]
    pub fn idle_since(&self) -> Option<TimestampMs> {
        match self {
            Members::Classic(group) if group.is_simple() => Some(TimestampMs(0)),
            Members::Classic(group) => group.empty_since(),
            Members::Consumer(group) => group.is_empty().then_some(TimestampMs(0)),
        }
    }

    #[must_use]
    pub fn is_subscribed(&self, topic: &str) -> bool {
        match self {
            Members::Classic(group) => group.is_subscribed(topic),
            Members::Consumer(group) => group.is_subscribed(topic),
        }
    }

    #[must_use]
    pub fn count(&self) -> usize {
        match self {
            Members::Classic(group) => group.members().count(),
            Members::Consumer(group) => group.members().count(),
        }
    }

    #[must_use]
    pub fn next_deadline(&self) -> MonoNanos {
        match self {
            Members::Classic(group) => group.next_deadline(),
            Members::Consumer(group) => group.next_deadline(),
        }
    }

    #[must_use]
    pub fn listed(&self, id: &Name) -> ListedGroup {
        let (protocol_type, state, kind) = match self {
            Members::Classic(group) => (group.protocol_type().cloned(), group.state_name(), "classic"),
            Members::Consumer(group) => (Some(Arc::from("consumer")), group.state_name(), "consumer"),
        };
        let protocol_type = protocol_type.unwrap_or_else(|| Arc::from(""));
        ListedGroup { group: Arc::clone(id), protocol_type, state, kind }
    }

    /// Records that delete a deserted group.
    #[must_use]
    pub fn delete(&self, id: &Name) -> Vec<GroupRecord> {
        match self {
            Members::Classic(_) => vec![GroupRecord::group(id, None)],
            Members::Consumer(group) => group.delete(),
        }
    }

    /// Refuses every request that waits, because the coordinator goes away. In a consumer group no request waits.
    pub(super) fn resign(&mut self, out: &mut Outcome) {
        if let Members::Classic(group) = self {
            group.dismiss(GroupError::NotCoordinator, out);
        }
    }
}
