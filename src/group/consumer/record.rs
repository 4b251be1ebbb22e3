//! A consumer group's records, byte for byte Kafka's: a key that begins with the kind of record, and a value that begins
//! with its version.
//!
//! What a pattern matches is not recorded: the pattern is evaluated again from the topics that exist. The topics that the
//! group's epoch goes by are recorded in any case.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;

use crate::base::TopicId;
use crate::group::Name;
use crate::group::record::{GroupRecord, RecordError, keyed, kind, prefix, unkeyed, valued, versioned};
use crate::protocol::messages::{
    ConsumerGroupCurrentMemberAssignmentKey, ConsumerGroupCurrentMemberAssignmentValue,
    ConsumerGroupMemberMetadataKey, ConsumerGroupMemberMetadataValue, ConsumerGroupMetadataKey,
    ConsumerGroupMetadataValue, ConsumerGroupPartitionMetadataKey, ConsumerGroupPartitionMetadataValue,
    ConsumerGroupTargetAssignmentMemberKey, ConsumerGroupTargetAssignmentMemberValue,
    ConsumerGroupTargetAssignmentMetadataKey, ConsumerGroupTargetAssignmentMetadataValue,
    consumer_group_current_member_assignment_value as current,
    consumer_group_member_metadata_value as metadata, consumer_group_partition_metadata_value as topics,
    consumer_group_target_assignment_member_value as target,
};

use super::Assignment;
use super::member::{ClassicMember, Current, MemberState, Metadata};

/// Kinds of record, as keys begin with them.
const GROUP: i16 = kind::<ConsumerGroupMetadataKey<'_>>();
const TOPICS: i16 = kind::<ConsumerGroupPartitionMetadataKey<'_>>();
const MEMBER: i16 = kind::<ConsumerGroupMemberMetadataKey<'_>>();
const TARGET_EPOCH: i16 = kind::<ConsumerGroupTargetAssignmentMetadataKey<'_>>();
const TARGET: i16 = kind::<ConsumerGroupTargetAssignmentMemberKey<'_>>();
const CURRENT: i16 = kind::<ConsumerGroupCurrentMemberAssignmentKey<'_>>();
const VALUE: i16 = 0;

/// One change of a group, as one record. `None` = a tombstone: the record is deleted.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Change {
    /// The group's epoch. Its tombstone deletes the group.
    Group(Option<i32>),
    Topics(Option<Topics>),
    Member(Name, Option<Metadata>),
    TargetEpoch(Option<i32>),
    Target(Name, Option<Assignment>),
    Current(Name, Option<Current>),
}

/// The subscribed topics that exist, by name. The group's epoch rises when they change.
pub type Topics = BTreeMap<Name, TopicSize>;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TopicSize {
    pub id: TopicId,
    pub partitions: i32,
}

impl Change {
    #[must_use]
    pub fn encode(&self, group: &str) -> GroupRecord {
        let group_id = || Cow::Borrowed(group);
        let named = |member: &Name| (Cow::Owned(group.to_owned()), Cow::Owned(member.to_string()));
        let (key, value) = match self {
            Change::Group(epoch) => (
                keyed(&ConsumerGroupMetadataKey { group_id: group_id() }),
                epoch.map(|epoch| versioned(&group_value(epoch), VALUE)),
            ),
            Change::Topics(it) => (
                keyed(&ConsumerGroupPartitionMetadataKey { group_id: group_id() }),
                it.as_ref().map(|it| versioned(&topics_value(it), VALUE)),
            ),
            Change::Member(member, it) => {
                let (group_id, member_id) = named(member);
                let value = it.as_ref().map(|it| versioned(&member_value(it), VALUE));
                (keyed(&ConsumerGroupMemberMetadataKey { group_id, member_id }), value)
            }
            Change::TargetEpoch(epoch) => (
                keyed(&ConsumerGroupTargetAssignmentMetadataKey { group_id: group_id() }),
                epoch.map(|epoch| versioned(&target_epoch_value(epoch), VALUE)),
            ),
            Change::Target(member, it) => {
                let (group_id, member_id) = named(member);
                let value = it.as_ref().map(|it| versioned(&target_value(it), VALUE));
                (keyed(&ConsumerGroupTargetAssignmentMemberKey { group_id, member_id }), value)
            }
            Change::Current(member, it) => {
                let (group_id, member_id) = named(member);
                let value = it.as_ref().map(|it| versioned(&current_value(it), VALUE));
                (keyed(&ConsumerGroupCurrentMemberAssignmentKey { group_id, member_id }), value)
            }
        };
        GroupRecord { key, value }
    }

    /// Reads a record: the group it is about and what it changes there. `None` for records of other kinds.
    ///
    /// # Errors
    /// For a key or value that is not what its version says.
    pub fn decode(key: &[u8], value: Option<&[u8]>) -> Result<Option<(Name, Change)>, RecordError> {
        let (kind, rest) = prefix(key)?;
        let name = |text: &str| Arc::from(text);
        Ok(Some(match kind {
            GROUP => {
                let key: ConsumerGroupMetadataKey<'_> = unkeyed(rest)?;
                let value: Option<ConsumerGroupMetadataValue> = value.map(valued).transpose()?;
                (name(&key.group_id), Change::Group(value.map(|it| it.epoch)))
            }
            TOPICS => {
                let key: ConsumerGroupPartitionMetadataKey<'_> = unkeyed(rest)?;
                let value: Option<ConsumerGroupPartitionMetadataValue<'_>> = value.map(valued).transpose()?;
                (name(&key.group_id), Change::Topics(value.map(|it| read_topics(&it))))
            }
            MEMBER => {
                let key: ConsumerGroupMemberMetadataKey<'_> = unkeyed(rest)?;
                let value: Option<ConsumerGroupMemberMetadataValue<'_>> = value.map(valued).transpose()?;
                (name(&key.group_id), Change::Member(name(&key.member_id), value.map(|it| read_member(&it))))
            }
            TARGET_EPOCH => {
                let key: ConsumerGroupTargetAssignmentMetadataKey<'_> = unkeyed(rest)?;
                let value: Option<ConsumerGroupTargetAssignmentMetadataValue> =
                    value.map(valued).transpose()?;
                (name(&key.group_id), Change::TargetEpoch(value.map(|it| it.assignment_epoch)))
            }
            TARGET => {
                let key: ConsumerGroupTargetAssignmentMemberKey<'_> = unkeyed(rest)?;
                let value: Option<ConsumerGroupTargetAssignmentMemberValue> =
                    value.map(valued).transpose()?;
                (name(&key.group_id), Change::Target(name(&key.member_id), value.map(|it| read_target(&it))))
            }
            CURRENT => {
                let key: ConsumerGroupCurrentMemberAssignmentKey<'_> = unkeyed(rest)?;
                let value: Option<ConsumerGroupCurrentMemberAssignmentValue> =
                    value.map(valued).transpose()?;
                let current = value.map(|it| read_current(&it)).transpose()?;
                (name(&key.group_id), Change::Current(name(&key.member_id), current))
            }
            _ => return Ok(None),
        }))
    }
}

/// The value of a group's epoch. The hash of the topics' metadata is left out, because the topics themselves are recorded.
fn group_value(epoch: i32) -> ConsumerGroupMetadataValue {
    ConsumerGroupMetadataValue { epoch, ..ConsumerGroupMetadataValue::default() }
}

fn target_epoch_value(assignment_epoch: i32) -> ConsumerGroupTargetAssignmentMetadataValue {
    ConsumerGroupTargetAssignmentMetadataValue {
        assignment_epoch,
        ..ConsumerGroupTargetAssignmentMetadataValue::default()
    }
}

fn topics_value(it: &Topics) -> ConsumerGroupPartitionMetadataValue<'_> {
    let topic = |(name, size): (&Name, &TopicSize)| topics::TopicMetadata {
        topic_id: size.id,
        topic_name: Cow::Owned(name.to_string()),
        num_partitions: size.partitions,
        partition_metadata: Vec::new(),
    };
    ConsumerGroupPartitionMetadataValue { topics: it.iter().map(topic).collect() }
}

fn read_topics(value: &ConsumerGroupPartitionMetadataValue<'_>) -> Topics {
    let size = |it: &topics::TopicMetadata<'_>| TopicSize { id: it.topic_id, partitions: it.num_partitions };
    value.topics.iter().map(|it| (Arc::from(&*it.topic_name), size(it))).collect()
}

fn member_value(it: &Metadata) -> ConsumerGroupMemberMetadataValue<'_> {
    let text = |name: &Option<Name>| name.as_ref().map(|name| Cow::Owned(name.to_string()));
    let classic = |it: &ClassicMember| metadata::ClassicMemberMetadata {
        session_timeout_ms: it.session_timeout_ms,
        supported_protocols: it
            .protocols
            .iter()
            .map(|(name, bytes)| metadata::ClassicProtocol {
                name: Cow::Owned(name.to_string()),
                metadata: Cow::Owned(bytes.to_vec()),
            })
            .collect(),
    };
    ConsumerGroupMemberMetadataValue {
        instance_id: text(&it.instance_id),
        rack_id: text(&it.rack_id),
        client_id: Cow::Borrowed(&it.client_id),
        client_host: Cow::Borrowed(&it.client_host),
        subscribed_topic_names: it.topics.iter().map(|name| Cow::Borrowed(&**name)).collect(),
        subscribed_topic_regex: text(&it.pattern),
        rebalance_timeout_ms: it.rebalance_timeout_ms,
        server_assignor: text(&it.assignor),
        classic_member_metadata: it.classic.as_ref().map(classic),
    }
}

fn read_member(value: &ConsumerGroupMemberMetadataValue<'_>) -> Metadata {
    let name = |text: &Option<Cow<'_, str>>| text.as_deref().map(Arc::from);
    let classic = |it: &metadata::ClassicMemberMetadata<'_>| ClassicMember {
        session_timeout_ms: it.session_timeout_ms,
        protocols: it
            .supported_protocols
            .iter()
            .map(|it| (Arc::from(&*it.name), Bytes::copy_from_slice(&it.metadata)))
            .collect(),
    };
    Metadata {
        instance_id: name(&value.instance_id),
        rack_id: name(&value.rack_id),
        client_id: Arc::from(&*value.client_id),
        client_host: Arc::from(&*value.client_host),
        topics: value.subscribed_topic_names.iter().map(|it| Arc::from(&**it)).collect(),
        pattern: name(&value.subscribed_topic_regex).filter(|it: &Name| !it.is_empty()),
        rebalance_timeout_ms: value.rebalance_timeout_ms,
        assignor: name(&value.server_assignor),
        classic: value.classic_member_metadata.as_ref().map(classic),
    }
}

fn target_value(it: &Assignment) -> ConsumerGroupTargetAssignmentMemberValue {
    let topic = |(topic_id, partitions): (TopicId, &std::collections::BTreeSet<i32>)| {
        target::TopicPartition { topic_id, partitions: partitions.iter().copied().collect() }
    };
    ConsumerGroupTargetAssignmentMemberValue { topic_partitions: it.topics().map(topic).collect() }
}

fn read_target(value: &ConsumerGroupTargetAssignmentMemberValue) -> Assignment {
    let topics = value.topic_partitions.iter();
    topics.flat_map(|it| it.partitions.iter().map(|partition| (it.topic_id, *partition))).collect()
}

fn current_value(it: &Current) -> ConsumerGroupCurrentMemberAssignmentValue {
    let list = |assignment: &Assignment| {
        let topics = assignment.topics();
        topics
            .map(|(topic_id, partitions)| {
                let given =
                    |partition: &i32| it.given.get(&(topic_id, *partition)).copied().unwrap_or(it.epoch);
                current::TopicPartitions {
                    topic_id,
                    partitions: partitions.iter().copied().collect(),
                    assignment_epochs: Some(partitions.iter().map(given).collect()),
                }
            })
            .collect()
    };
    ConsumerGroupCurrentMemberAssignmentValue {
        member_epoch: it.epoch,
        previous_member_epoch: it.previous_epoch,
        state: it.state.number(),
        assigned_partitions: list(&it.assigned),
        partitions_pending_revocation: list(&it.revoking),
    }
}

fn read_current(value: &ConsumerGroupCurrentMemberAssignmentValue) -> Result<Current, RecordError> {
    let set = |list: &[current::TopicPartitions]| {
        list.iter().flat_map(|it| it.partitions.iter().map(|partition| (it.topic_id, *partition))).collect()
    };
    let lists = value.assigned_partitions.iter().chain(&value.partitions_pending_revocation);
    let given = lists.flat_map(|it| {
        // Records from before Kafka 4.3 have no epochs of partitions. The member's own epoch stands for them, so that no commit
        // under an older one is accepted.
        let epochs = it.assignment_epochs.as_deref().unwrap_or_default();
        let epochs = epochs.iter().copied().chain(std::iter::repeat(value.member_epoch));
        it.partitions.iter().map(|partition| (it.topic_id, *partition)).zip(epochs)
    });
    Ok(Current {
        epoch: value.member_epoch,
        previous_epoch: value.previous_member_epoch,
        state: MemberState::numbered(value.state).ok_or(RecordError::MemberState(value.state))?,
        assigned: set(&value.assigned_partitions),
        revoking: set(&value.partitions_pending_revocation),
        given: given.collect(),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    fn check(change: &Change) {
        let record = change.encode("g");
        let (group, read) = Change::decode(&record.key, record.value.as_deref()).unwrap().unwrap();
        assert_eq!((&*group, &read), ("g", change));
    }

    #[test]
    fn changes_survive_their_records() {
        let some: Assignment = [(TopicId([1; 16]), 3), (TopicId([2; 16]), 0)].into_iter().collect();
        let member: Name = Arc::from("m");
        let plain = Metadata { client_id: Arc::from("c"), rebalance_timeout_ms: 1, ..Metadata::default() };
        let protocols = vec![(Arc::from("range"), Bytes::from_static(b"x"))];
        let full = Metadata {
            instance_id: Some(Arc::from("i")),
            rack_id: Some(Arc::from("r")),
            topics: [Arc::from("t"), Arc::from("u")].into(),
            pattern: Some(Arc::from("a.*")),
            assignor: Some(Arc::from("uniform")),
            classic: Some(ClassicMember { session_timeout_ms: 7, protocols }),
            ..plain.clone()
        };
        let state = MemberState::UnrevokedPartitions;
        let (assigned, revoking) = some.split(|_, partition| partition == 3);
        let given = [((TopicId([1; 16]), 3), 1), ((TopicId([2; 16]), 0), 2)].into();
        let current = Current { epoch: 3, previous_epoch: 2, state, assigned, revoking, given };
        let size = TopicSize { id: TopicId([1; 16]), partitions: 4 };
        for change in [
            Change::Group(Some(7)),
            Change::Group(None),
            Change::Topics(Some([(Arc::from("t"), size)].into())),
            Change::Topics(None),
            Change::Member(member.clone(), Some(plain)),
            Change::Member(member.clone(), Some(full)),
            Change::Member(member.clone(), None),
            Change::TargetEpoch(Some(7)),
            Change::TargetEpoch(None),
            Change::Target(member.clone(), Some(some)),
            Change::Target(member.clone(), None),
            Change::Current(member.clone(), Some(current)),
            Change::Current(member, None),
        ] {
            check(&change);
        }
    }

    #[test]
    fn without_epochs_partitions_were_given_in_the_members() {
        let topic = current::TopicPartitions {
            topic_id: TopicId([1; 16]),
            partitions: vec![4, 5],
            assignment_epochs: None,
        };
        let value = ConsumerGroupCurrentMemberAssignmentValue {
            member_epoch: 9,
            previous_member_epoch: 8,
            state: 0,
            assigned_partitions: vec![topic],
            partitions_pending_revocation: Vec::new(),
        };
        let read = read_current(&value).unwrap();
        assert_eq!(read.given.into_values().collect::<Vec<_>>(), [9, 9]);
    }

    #[test]
    fn a_record_is_laid_out_as_kafkas() {
        let record = Change::Group(Some(10)).encode("group");
        assert_eq!(record.key, b"\0\x03\0\x05group");
        assert_eq!(record.value.unwrap(), b"\0\0\0\0\0\x0a\0");
    }

    #[test]
    fn foreign_records_are_passed_over_and_broken_ones_errors() {
        assert_eq!(Change::decode(b"\0\x02\0\x01g", None), Ok(None));
        for key in [&b"\0"[..], b"", b"\0\x03\0\x09g"] {
            assert!(Change::decode(key, None).is_err());
        }
        assert!(Change::decode(b"\0\x03\0\x01g", Some(b"\0\x09")).is_err());
    }
}
