//! Consumer groups, as an administrator sees them.

use std::borrow::Cow;
use std::time::{Duration, Instant};

use crate::base::{NodeId, Offset, PartitionIndex};
use crate::protocol::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use crate::protocol::messages::{
    ConsumerGroupDescribeRequest, ConsumerGroupDescribeResponse, ConsumerProtocolAssignment,
    DeleteGroupsRequest, DeleteGroupsResponse, DescribeGroupsRequest, DescribeGroupsResponse,
    FindCoordinatorRequest, FindCoordinatorResponse, ListGroupsRequest, ListGroupsResponse,
    OffsetCommitRequest, OffsetCommitResponse, OffsetFetchRequest, OffsetFetchResponse,
};
use crate::protocol::{ApiKey, ErrorCode, Message, Reader};

use super::cluster::{Cluster, Missing};
use super::connection::Connection;
use super::error::{ClientError, check_code};

/// Newest version of FindCoordinator that asks for one key.
const FIND_VERSION: i16 = 3;
const OFFSETS_VERSION: i16 = 7;
/// Newest version of DescribeGroups in which an unknown group is "Dead" and no error.
const DESCRIBE_VERSION: i16 = 5;
const PAUSE: Duration = Duration::from_millis(100);

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupListing {
    pub group: String,
    pub protocol_type: String,
    /// Empty if the broker is too old to say.
    pub state: String,
    pub kind: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupView {
    pub group: String,
    pub state: String,
    pub protocol_type: String,
    pub protocol: String,
    pub members: Vec<MemberView>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberView {
    pub member_id: String,
    pub instance_id: Option<String>,
    pub client_id: String,
    pub host: String,
    /// The member's partitions by topic, in order. Empty where the assignment is not in the format of consumers.
    pub assigned: Vec<(String, Vec<i32>)>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommittedOffset {
    pub topic: String,
    pub partition: PartitionIndex,
    pub offset: Offset,
}

/// Administers groups. Retries for `patience` while a coordinator is being found or is reading its log.
#[derive(Debug)]
pub struct Groups {
    cluster: Cluster,
    patience: Duration,
}

impl Groups {
    #[must_use]
    pub fn new(cluster: Cluster, patience: Duration) -> Groups {
        Groups { cluster, patience }
    }

    pub fn cluster(&mut self) -> &mut Cluster {
        &mut self.cluster
    }

    /// The groups of all brokers, in order of name.
    pub fn list(&mut self) -> Result<Vec<GroupListing>, ClientError> {
        self.cluster.refresh(Some(&[]), Missing::Fail)?;
        let nodes: Vec<NodeId> = self.cluster.brokers().iter().map(|broker| broker.node).collect();
        let mut groups = Vec::new();
        for node in nodes {
            groups.extend(self.patiently(|groups| groups.list_of(node))?);
        }
        groups.sort_by(|a, b| a.group.cmp(&b.group));
        // Nodes at one address are one server, and each of them lists all of its groups.
        groups.dedup();
        Ok(groups)
    }

    fn list_of(&mut self, node: NodeId) -> Result<Vec<GroupListing>, ClientError> {
        let answer = self.cluster.ask(node, &ListGroupsRequest::default())?;
        let response: ListGroupsResponse<'_> = answer.decode()?;
        check_code(response.error_code, None, || format!("groups of node {node}"))?;
        let listed = response.groups.into_iter().map(|group| GroupListing {
            group: group.group_id.into_owned(),
            protocol_type: group.protocol_type.into_owned(),
            state: group.group_state.into_owned(),
            kind: group.group_type.into_owned(),
        });
        Ok(listed.collect())
    }

    /// One group and its members; a group nobody knows is an error.
    pub fn describe(&mut self, group: &str) -> Result<GroupView, ClientError> {
        self.at_coordinator(group, |groups, node| {
            let connection = groups.cluster.connection(node)?;
            // Groups of the new protocol are answered by an API of their own, which knows no others.
            if connection.served(ApiKey::ConsumerGroupDescribe).is_some()
                && let Some(found) = describe_consumers(connection, group)?
            {
                return Ok(found);
            }
            describe_classic(connection, group)
        })
    }

    /// All committed offsets of the group, in order.
    pub fn committed(&mut self, group: &str) -> Result<Vec<CommittedOffset>, ClientError> {
        self.at_coordinator(group, |groups, node| {
            let request = OffsetFetchRequest { group_id: group.into(), topics: None, ..Default::default() };
            let connection = groups.cluster.connection(node)?;
            let version = connection.version_up_to::<OffsetFetchRequest<'_>>(OFFSETS_VERSION)?;
            connection.send_version(&request, version)?;
            let answer = connection.receive()?;
            let response: OffsetFetchResponse<'_> = answer.decode()?;
            check_code(response.error_code, None, || subject(group))?;
            let mut found = Vec::new();
            for topic in &response.topics {
                for partition in &topic.partitions {
                    check_code(partition.error_code, None, || format!("topic {}", topic.name))?;
                    found.push(CommittedOffset {
                        topic: topic.name.to_string(),
                        partition: PartitionIndex(partition.partition_index),
                        offset: Offset(partition.committed_offset),
                    });
                }
            }
            found.sort_by(|a, b| (&a.topic, a.partition.0).cmp(&(&b.topic, b.partition.0)));
            Ok(found)
        })
    }

    /// Commits for a group without members; with members the broker refuses.
    pub fn commit(&mut self, group: &str, offsets: &[CommittedOffset]) -> Result<(), ClientError> {
        let mut topics: Vec<OffsetCommitRequestTopic<'_>> = Vec::new();
        for it in offsets {
            let partition = OffsetCommitRequestPartition {
                partition_index: it.partition.0,
                committed_offset: it.offset.0,
                committed_metadata: Some("".into()),
                ..Default::default()
            };
            match topics.iter_mut().find(|topic| topic.name == it.topic) {
                Some(topic) => topic.partitions.push(partition),
                None => topics.push(OffsetCommitRequestTopic {
                    name: it.topic.as_str().into(),
                    partitions: vec![partition],
                    ..Default::default()
                }),
            }
        }
        let request = OffsetCommitRequest {
            group_id: group.into(),
            generation_id_or_member_epoch: -1,
            group_instance_id: None,
            topics,
            ..Default::default()
        };
        self.at_coordinator(group, |groups, node| {
            let connection = groups.cluster.connection(node)?;
            let version = connection.version_up_to::<OffsetCommitRequest<'_>>(OFFSETS_VERSION)?;
            connection.send_version(&request, version)?;
            let answer = connection.receive()?;
            let response: OffsetCommitResponse<'_> = answer.decode()?;
            for topic in &response.topics {
                for partition in &topic.partitions {
                    let what =
                        || format!("{}-{} of {}", topic.name, partition.partition_index, subject(group));
                    check_code(partition.error_code, None, what)?;
                }
            }
            Ok(())
        })
    }

    /// Deletes a group and what it has committed; with members the broker refuses.
    pub fn delete(&mut self, group: &str) -> Result<(), ClientError> {
        self.at_coordinator(group, |groups, node| {
            let request = DeleteGroupsRequest { groups_names: vec![group.into()] };
            let answer = groups.cluster.ask(node, &request)?;
            let response: DeleteGroupsResponse<'_> = answer.decode()?;
            let result = response.results.first().ok_or_else(|| missing(ApiKey::DeleteGroups))?;
            check_code(result.error_code, None, || subject(group))
        })
    }

    fn at_coordinator<T>(
        &mut self,
        group: &str,
        ask: impl Fn(&mut Groups, NodeId) -> Result<T, ClientError>,
    ) -> Result<T, ClientError> {
        self.patiently(|groups| {
            let node = groups.coordinator(group)?;
            ask(groups, node)
        })
    }

    fn coordinator(&mut self, group: &str) -> Result<NodeId, ClientError> {
        self.cluster.refresh(Some(&[]), Missing::Fail)?;
        let node = self.cluster.brokers().first().map(|broker| broker.node);
        let node = node.ok_or_else(|| missing(ApiKey::Metadata))?;
        let connection = self.cluster.connection(node)?;
        let version = connection.version_up_to::<FindCoordinatorRequest<'_>>(FIND_VERSION)?;
        let request = FindCoordinatorRequest { key: group.into(), ..Default::default() };
        connection.send_version(&request, version)?;
        let answer = connection.receive()?;
        let response: FindCoordinatorResponse<'_> = answer.decode()?;
        check_code(response.error_code, response.error_message.as_deref(), || subject(group))?;
        Ok(NodeId(response.node_id))
    }

    fn patiently<T>(
        &mut self,
        mut ask: impl FnMut(&mut Groups) -> Result<T, ClientError>,
    ) -> Result<T, ClientError> {
        let until = Instant::now() + self.patience;
        loop {
            match ask(self) {
                Err(error) if is_coordinator_trouble(&error) && Instant::now() < until => {
                    std::thread::sleep(PAUSE);
                }
                done => return done,
            }
        }
    }
}

/// Describes a group of the new protocol; `None` if the group is not one.
fn describe_consumers(connection: &mut Connection, group: &str) -> Result<Option<GroupView>, ClientError> {
    let request = ConsumerGroupDescribeRequest { group_ids: vec![group.into()], ..Default::default() };
    connection.send(&request)?;
    let answer = connection.receive()?;
    let response: ConsumerGroupDescribeResponse<'_> = answer.decode()?;
    let found = response.groups.into_iter().next().ok_or_else(|| missing(ApiKey::ConsumerGroupDescribe))?;
    if found.error_code == ErrorCode::GroupIdNotFound.code() {
        return Ok(None);
    }
    check_code(found.error_code, found.error_message.as_deref(), || subject(group))?;
    let members = found.members.into_iter().map(|member| {
        let topics = member.assignment.topic_partitions.into_iter();
        MemberView {
            member_id: member.member_id.into_owned(),
            instance_id: member.instance_id.map(Cow::into_owned),
            client_id: member.client_id.into_owned(),
            host: member.client_host.trim_start_matches('/').to_owned(),
            assigned: in_order(topics.map(|it| (it.topic_name.into_owned(), it.partitions)).collect()),
        }
    });
    Ok(Some(GroupView {
        group: group.to_owned(),
        state: found.group_state.into_owned(),
        protocol_type: "consumer".to_owned(),
        protocol: found.assignor_name.into_owned(),
        members: members.collect(),
    }))
}

fn describe_classic(connection: &mut Connection, group: &str) -> Result<GroupView, ClientError> {
    let request = DescribeGroupsRequest { groups: vec![group.into()], ..Default::default() };
    let version = connection.version_up_to::<DescribeGroupsRequest<'_>>(DESCRIBE_VERSION)?;
    connection.send_version(&request, version)?;
    let answer = connection.receive()?;
    let response: DescribeGroupsResponse<'_> = answer.decode()?;
    let found = response.groups.into_iter().next().ok_or_else(|| missing(ApiKey::DescribeGroups))?;
    check_code(found.error_code, None, || subject(group))?;
    if found.group_state == "Dead" {
        check_code(ErrorCode::GroupIdNotFound.code(), None, || subject(group))?;
    }
    let is_consumers = found.protocol_type == "consumer";
    let members = found.members.into_iter().map(|member| MemberView {
        assigned: if is_consumers { consumers_assignment(&member.member_assignment) } else { Vec::new() },
        member_id: member.member_id.into_owned(),
        instance_id: member.group_instance_id.map(Cow::into_owned),
        client_id: member.client_id.into_owned(),
        host: member.client_host.trim_start_matches('/').to_owned(),
    });
    Ok(GroupView {
        group: group.to_owned(),
        state: found.group_state.into_owned(),
        protocol_type: found.protocol_type.into_owned(),
        protocol: found.protocol_data.into_owned(),
        members: members.collect(),
    })
}

/// The assignment that the group's leader gave a member. Bytes in another format count as an empty one.
fn consumers_assignment(bytes: &[u8]) -> Vec<(String, Vec<i32>)> {
    let read = || {
        let (version, rest) = bytes.split_first_chunk::<2>()?;
        let version = i16::from_be_bytes(*version).min(*ConsumerProtocolAssignment::VERSIONS.end());
        ConsumerProtocolAssignment::decode(&mut Reader::new(rest), version).ok()
    };
    let topics = read().map(|it| it.assigned_partitions).unwrap_or_default().into_iter();
    in_order(topics.map(|it| (it.topic.into_owned(), it.partitions)).collect())
}

fn in_order(mut topics: Vec<(String, Vec<i32>)>) -> Vec<(String, Vec<i32>)> {
    topics.sort();
    topics.iter_mut().for_each(|(_, partitions)| partitions.sort_unstable());
    topics
}

fn is_coordinator_trouble(error: &ClientError) -> bool {
    let trouble =
        [ErrorCode::CoordinatorLoadInProgress, ErrorCode::CoordinatorNotAvailable, ErrorCode::NotCoordinator];
    error.code().is_some_and(|code| trouble.contains(&code))
}

fn subject(group: &str) -> String {
    format!("group {group}")
}

fn missing(api: ApiKey) -> ClientError {
    ClientError::Incomplete { api, what: "what was asked about".to_owned() }
}
