//! ConsumerGroupHeartbeat as values, and the checks that do not depend on the group.

use std::collections::BTreeSet;

use crate::group::Name;

use super::member::{JOIN_EPOCH, LEAVE_EPOCH, Metadata, STATIC_LEAVE_EPOCH};
use super::{Assignment, Assignor, ConsumerGroupLimits, GroupError};

/// A heartbeat's request. An absent field has not changed since the member last sent it.
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
    /// The partitions that the member says it has.
    pub owned: Option<Assignment>,
    pub client_id: Name,
    pub client_host: Name,
    /// KIP-1082 (v1): the client has chosen its member id itself.
    pub brings_id: bool,
}

/// A heartbeat's answer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Heartbeat {
    pub member_id: Name,
    pub member_epoch: i32,
    pub heartbeat_interval_ms: i32,
    /// The partitions that the member is to have; `None` = as in the last answer.
    pub assignment: Option<Assignment>,
}

impl HeartbeatRequest {
    #[must_use]
    pub fn joins(&self) -> bool {
        self.member_epoch == JOIN_EPOCH
    }

    /// Whether every field is set. A client sends such a request when it is not sure what the server knows.
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

    /// What is wrong with the request in any group: Kafka's checks, in its order and words.
    fn fault(&self) -> Option<&'static str> {
        let names_member =
            self.brings_id || self.member_epoch > JOIN_EPOCH || self.member_epoch == LEAVE_EPOCH;
        let is_blank = |text: &Option<Name>| text.as_deref().is_some_and(is_blank_text);
        let wrong = |is_wrong: bool, reason| is_wrong.then_some(reason);
        wrong(names_member && is_blank_text(&self.member_id), "MemberId can't be empty.")
            .or_else(|| wrong(is_blank_text(&self.group), "GroupId can't be empty."))
            .or_else(|| wrong(is_blank(&self.instance_id), "InstanceId can't be empty."))
            .or_else(|| wrong(is_blank(&self.rack_id), "RackId can't be empty."))
            .or_else(|| match self.member_epoch {
                JOIN_EPOCH => self.joining_fault(),
                STATIC_LEAVE_EPOCH => wrong(self.instance_id.is_none(), "InstanceId can't be null."),
                epoch => wrong(epoch < STATIC_LEAVE_EPOCH, "MemberEpoch is invalid."),
            })
    }

    fn joining_fault(&self) -> Option<&'static str> {
        if self.rebalance_timeout_ms.is_none() {
            return Some("RebalanceTimeoutMs must be provided in first request.");
        }
        if self.owned.as_ref().is_none_or(|owned| !owned.is_empty()) {
            return Some("TopicPartitions must be empty when (re-)joining.");
        }
        // An empty list of topics is a subscription.
        (self.topics.is_none() && self.pattern.is_none()).then_some(
            "Either SubscribedTopicNames or SubscribedTopicRegex must be non-null when (re-)joining.",
        )
    }

    /// The member's metadata after this request; `None` if nothing has changed.
    pub(super) fn update(&self, known: &Metadata) -> Option<Metadata> {
        let mut metadata = known.clone();
        if self.joins() {
            // A member that joins sends everything again, so what is absent is unset.
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

    /// Whether the request has a field that [`HeartbeatRequest::update`] would read.
    pub(super) fn says_anything(&self) -> bool {
        self.joins()
            || self.rebalance_timeout_ms.is_some()
            || self.topics.is_some()
            || [&self.instance_id, &self.rack_id, &self.pattern, &self.assignor].iter().any(|it| it.is_some())
    }
}

/// Java's `trim().isEmpty()`.
fn is_blank_text(text: &str) -> bool {
    text.chars().all(|letter| letter <= ' ')
}

fn set_if_some(field: &mut Option<Name>, said: &Option<Name>) {
    if said.is_some() {
        field.clone_from(said);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is wrong with a request in which everything is, and with what is left when that is mended.
    #[test]
    fn faults_come_in_kafkas_order_and_words() {
        let mut request = HeartbeatRequest {
            group: Name::from(" "),
            member_id: Name::from("\t"),
            instance_id: Some(Name::from("")),
            rack_id: Some(Name::from("  ")),
            owned: Some([(crate::base::TopicId([1; 16]), 0)].into_iter().collect()),
            brings_id: true,
            ..HeartbeatRequest::default()
        };
        type Mend = fn(&mut HeartbeatRequest);
        let mends: [(&str, Mend); 7] = [
            ("MemberId can't be empty.", |it| it.member_id = Name::from("m")),
            ("GroupId can't be empty.", |it| it.group = Name::from("g")),
            ("InstanceId can't be empty.", |it| it.instance_id = Some(Name::from("i"))),
            ("RackId can't be empty.", |it| it.rack_id = None),
            ("RebalanceTimeoutMs must be provided in first request.", |it| it.rebalance_timeout_ms = Some(1)),
            ("TopicPartitions must be empty when (re-)joining.", |it| it.owned = Some(Assignment::default())),
            (
                "Either SubscribedTopicNames or SubscribedTopicRegex must be non-null when (re-)joining.",
                |it| it.topics = Some(Vec::new()),
            ),
        ];
        for (reason, mend) in mends {
            assert_eq!(request.fault(), Some(reason));
            mend(&mut request);
        }
        assert_eq!(request.fault(), None);
        let unsaid = HeartbeatRequest { owned: None, ..request.clone() };
        assert_eq!(unsaid.fault(), Some("TopicPartitions must be empty when (re-)joining."));
        let by_pattern = HeartbeatRequest { topics: None, pattern: Some(Name::from("")), ..request };
        assert_eq!(by_pattern.fault(), None);
    }

    #[test]
    fn who_must_say_its_name_depends_on_version_and_epoch() {
        let missing = Some("MemberId can't be empty.");
        for (brings_id, member_epoch, fault) in [
            (true, 0, missing),
            (true, -2, missing),
            (true, -3, missing),
            (false, 0, None),
            (false, 1, missing),
            (false, -1, missing),
            (false, -2, None),
            (false, -3, Some("MemberEpoch is invalid.")),
        ] {
            let request = HeartbeatRequest {
                group: Name::from("g"),
                instance_id: Some(Name::from("i")),
                rebalance_timeout_ms: Some(1),
                topics: Some(Vec::new()),
                owned: Some(Assignment::default()),
                member_epoch,
                brings_id,
                ..HeartbeatRequest::default()
            };
            assert_eq!(request.fault(), fault, "{brings_id} {member_epoch}");
            let dynamic = HeartbeatRequest { instance_id: None, ..request };
            let is_static_leave = member_epoch == -2 && !brings_id;
            assert_eq!(
                dynamic.fault(),
                if is_static_leave { Some("InstanceId can't be null.") } else { fault }
            );
        }
    }
}
