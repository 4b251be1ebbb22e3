//! ConsumerGroupHeartbeat as values, and what of it is wrong in any group.

use std::collections::BTreeSet;

use crate::group::Name;

use super::member::{JOIN_EPOCH, Metadata, STATIC_LEAVE_EPOCH};
use super::{Assignment, Assignor, ConsumerGroupLimits, GroupError};

/// What is absent has not changed since it was last said.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct HeartbeatRequest {
    pub group: Name,
    /// Empty where the server is to generate it (v0).
    pub member_id: Name,
    pub member_epoch: i32,
    pub instance_id: Option<Name>,
    pub rack_id: Option<Name>,
    pub rebalance_timeout_ms: Option<i32>,
    pub topics: Option<Vec<Name>>,
    pub pattern: Option<Name>,
    pub assignor: Option<Name>,
    /// What the member has.
    pub owned: Option<Assignment>,
    pub client_id: Name,
    pub client_host: Name,
    /// KIP-1082 (v1): clients bring their own member ids.
    pub brings_id: bool,
}

/// The answer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Heartbeat {
    pub member_id: Name,
    pub member_epoch: i32,
    pub heartbeat_interval_ms: i32,
    /// What the member is to have; `None` = as told before.
    pub assignment: Option<Assignment>,
}

impl HeartbeatRequest {
    #[must_use]
    pub fn joins(&self) -> bool {
        self.member_epoch == JOIN_EPOCH
    }

    /// Everything is said, as a client does that is not sure what arrived.
    pub(super) fn is_full(&self) -> bool {
        let subscribes = self.topics.is_some() || self.pattern.is_some();
        self.rebalance_timeout_ms.is_some() && subscribes && self.owned.is_some()
    }

    pub(in crate::group) fn check(&self, limits: &ConsumerGroupLimits) -> Result<(), GroupError> {
        if let Some(reason) = self.fault() {
            return Err(GroupError::InvalidRequest(reason));
        }
        let is_served =
            |name: &Name| Assignor::named(name).is_some_and(|assignor| limits.assignors.contains(&assignor));
        if self.assignor.as_ref().is_some_and(|name| !is_served(name)) {
            return Err(GroupError::UnsupportedAssignor);
        }
        Ok(())
    }

    fn fault(&self) -> Option<&'static str> {
        let is_empty = |text: &Option<Name>| text.as_ref().is_some_and(|text| text.is_empty());
        let has_id = !self.member_id.is_empty();
        let wrong = |is_wrong: bool, reason| is_wrong.then_some(reason);
        wrong(self.group.is_empty(), "GroupId can't be empty.")
            .or_else(|| wrong(is_empty(&self.instance_id), "InstanceId can't be empty."))
            .or_else(|| wrong(is_empty(&self.rack_id), "RackId can't be empty."))
            .or_else(|| wrong(self.member_epoch < STATIC_LEAVE_EPOCH, "MemberEpoch is invalid."))
            .or_else(|| wrong(!has_id && (self.brings_id || !self.joins()), "MemberId can't be empty."))
            .or_else(|| {
                let is_missing = self.member_epoch == STATIC_LEAVE_EPOCH && self.instance_id.is_none();
                wrong(is_missing, "InstanceId can't be null.")
            })
            .or_else(|| if self.joins() { self.joining_fault() } else { None })
    }

    fn joining_fault(&self) -> Option<&'static str> {
        if self.rebalance_timeout_ms.is_none() {
            return Some("RebalanceTimeoutMs must be provided in first request.");
        }
        if self.owned.as_ref().is_none_or(|owned| !owned.is_empty()) {
            return Some("TopicPartitions must be empty when (re-)joining.");
        }
        match (self.brings_id, &self.topics, &self.pattern) {
            (false, Some(topics), _) if !topics.is_empty() => None,
            (false, ..) => Some("SubscribedTopicNames must be set in first request."),
            (true, None, None) => Some(
                "Either SubscribedTopicNames or SubscribedTopicRegex must be non-null when (re-)joining.",
            ),
            (true, ..) => None,
        }
    }

    /// What the member has told of itself after this; `None` if nothing of it is new.
    pub(super) fn update(&self, known: &Metadata) -> Option<Metadata> {
        let mut metadata = known.clone();
        if self.joins() {
            // All is said anew.
            (metadata.topics, metadata.pattern, metadata.assignor) = (BTreeSet::new(), None, None);
            (metadata.rack_id, metadata.classic) = (None, None);
            metadata.client_id = Name::clone(&self.client_id);
            metadata.client_host = Name::clone(&self.client_host);
        }
        set_if_some(&mut metadata.instance_id, &self.instance_id);
        set_if_some(&mut metadata.rack_id, &self.rack_id);
        set_if_some(&mut metadata.assignor, &self.assignor);
        if let Some(timeout) = self.rebalance_timeout_ms {
            metadata.rebalance_timeout_ms = timeout;
        }
        if let Some(topics) = &self.topics {
            metadata.topics = topics.iter().cloned().collect();
        }
        if let Some(pattern) = &self.pattern {
            metadata.pattern = (!pattern.is_empty()).then(|| Name::clone(pattern));
        }
        (metadata != *known).then_some(metadata)
    }

    /// Something is said that [`HeartbeatRequest::update`] would look at.
    pub(super) fn says_anything(&self) -> bool {
        self.joins()
            || self.rebalance_timeout_ms.is_some()
            || self.topics.is_some()
            || [&self.instance_id, &self.rack_id, &self.pattern, &self.assignor].iter().any(|it| it.is_some())
    }
}

fn set_if_some(field: &mut Option<Name>, said: &Option<Name>) {
    if said.is_some() {
        field.clone_from(said);
    }
}
