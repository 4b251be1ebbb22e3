//! The broker under test, and what is asked of it: each question gives its answer as a few words.

use std::borrow::Cow;

use ringmain::base::TopicId;
use ringmain::client::{Admin, Cluster, Connection, ConnectionOptions, NewTopic};
use ringmain::protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use ringmain::protocol::messages::join_group_request::JoinGroupRequestProtocol;
use ringmain::protocol::messages::leave_group_request::MemberIdentity;
use ringmain::protocol::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use ringmain::protocol::messages::offset_delete_request::{
    OffsetDeleteRequestPartition, OffsetDeleteRequestTopic,
};
use ringmain::protocol::messages::offset_fetch_request::{OffsetFetchRequestGroup, OffsetFetchRequestTopics};
use ringmain::protocol::messages::offset_for_leader_epoch_request::{
    OffsetForLeaderPartition, OffsetForLeaderTopic,
};
use ringmain::protocol::messages::sync_group_request::SyncGroupRequestAssignment;
use ringmain::protocol::messages::*;
use ringmain::protocol::{ErrorCode, Message};

use crate::process::{PATIENCE, eventually};

/// A subscription to `t`, as consumers of the classic protocol write it.
const SUBSCRIPTION: &[u8] = b"\0\0\0\0\0\x01\0\x01t\xff\xff\xff\xff";

/// What is asked, and what must come back: the error by its name, and whatever else the question asks for.
pub type Row<'a> = (&'a str, &'a dyn Fn(&mut Broker) -> String, &'a str);

/// A connection to a broker with the topics `t` and `u`, of two partitions each.
pub struct Broker {
    connection: Connection,
    pub topic: TopicId,
    /// What was answered otherwise than it should be.
    wrong: Vec<String>,
}

/// One member of a classic group, as its requests name it.
#[derive(Clone)]
pub struct Who {
    pub group: &'static str,
    pub generation: i32,
    pub id: String,
    pub instance: Option<&'static str>,
}

pub fn who(group: &'static str, generation: i32, id: &str, instance: Option<&'static str>) -> Who {
    Who { group, generation, id: id.to_owned(), instance }
}

fn name_of(code: i16) -> String {
    ErrorCode::from_code(code).map_or_else(|| code.to_string(), |code| format!("{code:?}"))
}

impl Broker {
    pub fn at(address: &str) -> Broker {
        let cluster = Cluster::connect(address, ConnectionOptions::default()).unwrap();
        let mut admin = Admin::new(cluster, PATIENCE);
        for name in ["t", "u"] {
            let topic = NewTopic {
                name: name.to_owned(),
                partitions: Some(2),
                replication_factor: Some(1),
                ..NewTopic::default()
            };
            admin.create_topic(&topic).unwrap();
        }
        let options = ConnectionOptions { request_timeout: PATIENCE, ..ConnectionOptions::default() };
        let connection = Connection::connect(address, &options).unwrap();
        let mut broker = Broker { connection, topic: TopicId::ZERO, wrong: Vec::new() };
        broker.topic = eventually("the topic is known", || broker.topic_id("t"));
        // A coordinator's partition may take a moment to be led and read.
        for group in ["none", "g", "s", "c", "n", "x", "w", "b"] {
            eventually("the coordinator is there", || {
                let is_found = broker.find(group) == "None";
                let got = broker.beat(&who(group, 0, "nobody", None));
                (is_found && got == "UnknownMemberId").then_some(())
            });
        }
        broker
    }

    fn body<'m, M: Message<'m>>(&mut self, request: &M, version: i16) -> ringmain::client::Response {
        self.connection.send_version(request, version).unwrap();
        self.connection.receive().unwrap()
    }

    fn topic_id(&mut self, name: &'static str) -> Option<TopicId> {
        let topic = metadata_request::MetadataRequestTopic { name: Some(name.into()), ..Default::default() };
        let request = MetadataRequest { topics: Some(vec![topic]), ..Default::default() };
        let answer = self.body(&request, 12);
        let answer: MetadataResponse<'_> = answer.decode().unwrap();
        let topic = answer.topics.into_iter().next()?;
        (topic.error_code == 0 && topic.topic_id != TopicId::ZERO).then_some(topic.topic_id)
    }

    pub fn find(&mut self, group: &'static str) -> String {
        let request = FindCoordinatorRequest { coordinator_keys: vec![group.into()], ..Default::default() };
        let answer = self.body(&request, 4);
        let answer: FindCoordinatorResponse<'_> = answer.decode().unwrap();
        name_of(answer.coordinators[0].error_code)
    }

    /// A JoinGroup that is refused or completes a generation at once: the error, the id and the generation.
    pub fn join_with(
        &mut self,
        version: i16,
        who: &Who,
        change: impl FnOnce(&mut JoinGroupRequest<'_>),
    ) -> (String, String, i32) {
        let protocol = JoinGroupRequestProtocol { name: "range".into(), metadata: SUBSCRIPTION.into() };
        let mut request = JoinGroupRequest {
            group_id: who.group.into(),
            session_timeout_ms: 30_000,
            rebalance_timeout_ms: if version >= 1 { 30_000 } else { -1 },
            member_id: who.id.as_str().into(),
            group_instance_id: who.instance.map(Into::into),
            protocol_type: "consumer".into(),
            protocols: vec![protocol],
            ..Default::default()
        };
        change(&mut request);
        let answer = self.body(&request, version);
        let answer: JoinGroupResponse<'_> = answer.decode().unwrap();
        (name_of(answer.error_code), answer.member_id.into_owned(), answer.generation_id)
    }

    pub fn join(&mut self, who: &Who) -> (String, String, i32) {
        self.join_with(5, who, |_| {})
    }

    pub fn sync_as(
        &mut self,
        who: &Who,
        kind: Option<&'static str>,
        protocol: Option<&'static str>,
    ) -> String {
        let assignment = SyncGroupRequestAssignment {
            member_id: who.id.as_str().into(),
            assignment: b"\0\0\0\0\0\0\xff\xff\xff\xff"[..].into(),
        };
        let request = SyncGroupRequest {
            group_id: who.group.into(),
            generation_id: who.generation,
            member_id: who.id.as_str().into(),
            group_instance_id: who.instance.map(Into::into),
            protocol_type: kind.map(Into::into),
            protocol_name: protocol.map(Into::into),
            assignments: vec![assignment],
        };
        let answer = self.body(&request, 5);
        let answer: SyncGroupResponse<'_> = answer.decode().unwrap();
        name_of(answer.error_code)
    }

    pub fn sync(&mut self, who: &Who) -> String {
        self.sync_as(who, Some("consumer"), Some("range"))
    }

    pub fn beat(&mut self, who: &Who) -> String {
        let request = HeartbeatRequest {
            group_id: who.group.into(),
            generation_id: who.generation,
            member_id: who.id.as_str().into(),
            group_instance_id: who.instance.map(Into::into),
        };
        let answer = self.body(&request, 4);
        let answer: HeartbeatResponse = answer.decode().unwrap();
        name_of(answer.error_code)
    }

    /// Takes these members out of the group. Returns the error of the whole request, then that of each member.
    pub fn leave(&mut self, group: &'static str, members: &[(&str, Option<&'static str>)]) -> String {
        let members = members.iter().map(|(id, instance)| MemberIdentity {
            member_id: Cow::Borrowed(*id),
            group_instance_id: instance.map(Into::into),
            reason: None,
        });
        let request =
            LeaveGroupRequest { group_id: group.into(), members: members.collect(), ..Default::default() };
        let answer = self.body(&request, 5);
        let answer: LeaveGroupResponse<'_> = answer.decode().unwrap();
        let codes = answer.members.iter().map(|member| name_of(member.error_code));
        [name_of(answer.error_code)].into_iter().chain(codes).collect::<Vec<_>>().join(" ")
    }

    /// Commits an offset and a text for each partition. Returns the error of each, by topic and partition.
    pub fn commit_to(
        &mut self,
        version: i16,
        who: &Who,
        partitions: &[(&'static str, i32, i64, &str)],
    ) -> String {
        let topics = partitions.iter().map(|(topic, partition, offset, text)| OffsetCommitRequestTopic {
            name: if version < 10 { (*topic).into() } else { "".into() },
            topic_id: match *topic {
                _ if version < 10 => TopicId::ZERO,
                "t" => self.topic,
                _ => TopicId([9; 16]),
            },
            partitions: vec![OffsetCommitRequestPartition {
                partition_index: *partition,
                committed_offset: *offset,
                committed_leader_epoch: -1,
                committed_metadata: Some((*text).to_owned().into()),
            }],
        });
        let request = OffsetCommitRequest {
            group_id: who.group.into(),
            generation_id_or_member_epoch: who.generation,
            member_id: who.id.as_str().into(),
            group_instance_id: who.instance.map(Into::into),
            retention_time_ms: -1,
            topics: topics.collect(),
        };
        let answer = self.body(&request, version);
        let answer: OffsetCommitResponse<'_> = answer.decode().unwrap();
        let mut codes: Vec<_> = answer
            .topics
            .iter()
            .flat_map(|topic| topic.partitions.iter().map(move |it| (topic.name.to_string(), it)))
            .map(|(name, it)| (name, it.partition_index, name_of(it.error_code)))
            .collect();
        codes.sort();
        codes.into_iter().map(|(_, _, code)| code).collect::<Vec<_>>().join(" ")
    }

    pub fn commit(&mut self, who: &Who) -> String {
        self.commit_to(8, who, &[("t", 0, 7, "")])
    }

    /// Error of the group, then offset and text of each partition.
    pub fn fetch(&mut self, version: i16, who: &Who, partitions: Option<&[i32]>) -> String {
        let topic = |partitions: &[i32]| OffsetFetchRequestTopics {
            name: if version < 10 { "t".into() } else { "".into() },
            topic_id: if version < 10 { TopicId::ZERO } else { self.topic },
            partition_indexes: partitions.to_vec(),
        };
        let group = OffsetFetchRequestGroup {
            group_id: who.group.into(),
            member_id: (!who.id.is_empty()).then(|| who.id.clone().into()),
            member_epoch: who.generation,
            topics: partitions.map(|partitions| vec![topic(partitions)]),
        };
        let request =
            OffsetFetchRequest { topics: Some(Vec::new()), groups: vec![group], ..Default::default() };
        let answer = self.body(&request, version);
        let answer: OffsetFetchResponse<'_> = answer.decode().unwrap();
        let group = &answer.groups[0];
        let mut found: Vec<_> = group
            .topics
            .iter()
            .flat_map(|topic| &topic.partitions)
            .map(|it| {
                let text = it.metadata.as_deref().unwrap_or_default();
                let error = name_of(it.error_code);
                (
                    it.partition_index,
                    format!("{}@{}{}:{error}", it.partition_index, it.committed_offset, text),
                )
            })
            .collect();
        found.sort();
        [name_of(group.error_code)]
            .into_iter()
            .chain(found.into_iter().map(|(_, shown)| shown))
            .collect::<Vec<_>>()
            .join(" ")
    }

    pub fn delete(&mut self, group: &'static str) -> String {
        let request = DeleteGroupsRequest { groups_names: vec![group.into(); 2] };
        let answer = self.body(&request, 3);
        let answer: DeleteGroupsResponse<'_> = answer.decode().unwrap();
        let [result] = &answer.results[..] else { return format!("{} results", answer.results.len()) };
        assert_eq!(result.error_message, None);
        name_of(result.error_code)
    }

    pub fn delete_offsets(&mut self, group: &'static str, topic: &'static str, partition: i32) -> String {
        let partitions = vec![OffsetDeleteRequestPartition { partition_index: partition }];
        let topic = OffsetDeleteRequestTopic { name: topic.into(), partitions };
        let request = OffsetDeleteRequest { group_id: group.into(), topics: vec![topic] };
        let answer = self.body(&request, 0);
        let answer: OffsetDeleteResponse<'_> = answer.decode().unwrap();
        let codes = answer.topics.iter().flat_map(|topic| &topic.partitions).map(|it| name_of(it.error_code));
        [name_of(answer.error_code)].into_iter().chain(codes).collect::<Vec<_>>().join(" ")
    }

    /// State and members of a classic group.
    pub fn describe(&mut self, group: &'static str) -> String {
        let request = DescribeGroupsRequest { groups: vec![group.into()], ..Default::default() };
        let answer = self.body(&request, 6);
        let answer: DescribeGroupsResponse<'_> = answer.decode().unwrap();
        let it = &answer.groups[0];
        let members =
            it.members.iter().map(|member| format!(" {:?}", member.group_instance_id)).collect::<String>();
        format!("{} {}{members}", name_of(it.error_code), it.group_state)
    }

    pub fn describe_consumers(&mut self, group: &'static str) -> String {
        let request = ConsumerGroupDescribeRequest { group_ids: vec![group.into()], ..Default::default() };
        let answer = self.body(&request, 1);
        let answer: ConsumerGroupDescribeResponse<'_> = answer.decode().unwrap();
        let it = &answer.groups[0];
        let members: String = it
            .members
            .iter()
            .map(|member| {
                let has = member.assignment.topic_partitions.iter().map(|topic| topic.partitions.len());
                format!(" {}:{}", member.member_epoch, has.sum::<usize>())
            })
            .collect();
        format!("{} {} {}{members}", name_of(it.error_code), it.group_state, it.group_epoch)
    }

    /// Error and epoch.
    pub fn consumer(
        &mut self,
        group: &'static str,
        member: &str,
        epoch: i32,
        change: impl FnOnce(&mut ConsumerGroupHeartbeatRequest<'_>),
    ) -> String {
        let joins = epoch == 0;
        let mut request = ConsumerGroupHeartbeatRequest {
            group_id: group.into(),
            member_id: member.to_owned().into(),
            member_epoch: epoch,
            rebalance_timeout_ms: if joins { 30_000 } else { -1 },
            subscribed_topic_names: joins.then(|| vec!["t".into()]),
            topic_partitions: joins.then(Vec::new),
            ..Default::default()
        };
        change(&mut request);
        let answer = self.body(&request, 1);
        let answer: ConsumerGroupHeartbeatResponse<'_> = answer.decode().unwrap();
        if answer.error_code == 0 {
            format!("None {}", answer.member_epoch)
        } else {
            name_of(answer.error_code)
        }
    }

    /// Error, epoch and end, of a partition without records.
    pub fn end_of_epoch(&mut self, leader_epoch: i32) -> String {
        let partition = OffsetForLeaderPartition { leader_epoch, ..Default::default() };
        let topic = OffsetForLeaderTopic { topic: "t".into(), partitions: vec![partition] };
        let request = OffsetForLeaderEpochRequest { topics: vec![topic], ..Default::default() };
        let answer = self.body(&request, 4);
        let answer: OffsetForLeaderEpochResponse<'_> = answer.decode().unwrap();
        let it = &answer.topics[0].partitions[0];
        format!("{} {} {}", name_of(it.error_code), it.leader_epoch, it.end_offset)
    }

    /// Error, and where the reader is sent back to.
    pub fn fetch_after(&mut self, last_fetched_epoch: i32, fetch_offset: i64) -> String {
        let partition = FetchPartition {
            fetch_offset,
            last_fetched_epoch,
            partition_max_bytes: 1000,
            ..Default::default()
        };
        let topic = FetchTopic { topic: "t".into(), partitions: vec![partition], ..Default::default() };
        let request = FetchRequest { max_bytes: 1000, topics: vec![topic], ..Default::default() };
        let answer = self.body(&request, 12);
        let answer: FetchResponse<'_> = answer.decode().unwrap();
        let it = &answer.responses[0].partitions[0];
        let agreed = &it.diverging_epoch;
        format!("{} {} {}", name_of(it.error_code), agreed.epoch, agreed.end_offset)
    }

    pub fn list(&mut self, states: &[&'static str], types: &[&'static str]) -> String {
        let request = ListGroupsRequest {
            states_filter: states.iter().map(|it| (*it).into()).collect(),
            types_filter: types.iter().map(|it| (*it).into()).collect(),
        };
        let answer = self.body(&request, 5);
        let answer: ListGroupsResponse<'_> = answer.decode().unwrap();
        format!("{} {}", name_of(answer.error_code), answer.groups.len())
    }

    /// Asks one row after another. `table` says what all of them are about.
    pub fn answers(&mut self, table: &str, rows: &[Row<'_>]) {
        for (what, ask, wanted) in rows {
            let got = ask(self);
            self.check(&format!("{table}: {what}"), &got, wanted);
        }
    }

    /// As [`Broker::answers`], after which `state` must be what it was before.
    pub fn refuses(&mut self, table: &str, state: impl Fn(&mut Broker) -> String, rows: &[Row<'_>]) {
        let before = state(self);
        self.answers(table, rows);
        let after = state(self);
        assert_eq!(after, before, "{table}: what was refused has changed nothing\n{:#?}", self.wrong);
    }

    /// An answer that the test goes on with.
    pub fn check(&mut self, what: &str, got: &str, wanted: &str) {
        if got != wanted {
            self.wrong.push(format!("{what}: {got}, not {wanted}"));
        }
    }

    /// All that went otherwise, at once.
    pub fn done(self) {
        assert!(self.wrong.is_empty(), "{}", self.wrong.join("\n"));
    }
}
