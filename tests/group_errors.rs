//! What a group's coordinator refuses, with which of Kafka's errors, and that nothing has changed then.
//!
//! RINGMAIN_TEST_BOOTSTRAP=HOST:PORT asks that broker instead, fresh and with default settings: Apache Kafka 4.4 must answer
//! the same, which is how these errors are known to be the right ones.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod process;

use std::borrow::Cow;

use ringmain::base::TopicId;
use ringmain::client::{Admin, Cluster, Connection, ConnectionOptions, NewTopic};
use ringmain::protocol::messages::consumer_group_heartbeat_request::TopicPartitions;
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

use process::{Launch, PATIENCE, Server, eventually, scratch};

/// Kafka's default of offset.metadata.max.bytes.
const METADATA_MAX: usize = 4096;
/// A subscription to `t`, as consumers of the classic protocol write it.
const SUBSCRIPTION: &[u8] = b"\0\0\0\0\0\x01\0\x01t\xff\xff\xff\xff";

/// A connection to a broker with the topics `t` and `u`, of two partitions each.
struct Broker {
    connection: Connection,
    topic: TopicId,
    /// What was refused: what was asked, the error, and the error there should be.
    wrong: Vec<(String, String, &'static str)>,
}

/// One member of a classic group, as its requests name it.
#[derive(Clone)]
struct Who {
    group: &'static str,
    generation: i32,
    id: String,
    instance: Option<&'static str>,
}

fn who(group: &'static str, generation: i32, id: &str, instance: Option<&'static str>) -> Who {
    Who { group, generation, id: id.to_owned(), instance }
}

fn name_of(code: i16) -> String {
    ErrorCode::from_code(code).map_or_else(|| code.to_string(), |code| format!("{code:?}"))
}

impl Broker {
    fn at(address: &str) -> Broker {
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

    fn body<'m, M: Message<'m>>(&mut self, request: &M, version: i16) -> ringmain::client::Answer {
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

    fn find(&mut self, group: &'static str) -> String {
        let request = FindCoordinatorRequest { coordinator_keys: vec![group.into()], ..Default::default() };
        let answer = self.body(&request, 4);
        let answer: FindCoordinatorResponse<'_> = answer.decode().unwrap();
        name_of(answer.coordinators[0].error_code)
    }

    /// A JoinGroup that is refused or completes a generation at once: the error, the id and the generation.
    fn join_with(
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

    fn join(&mut self, who: &Who) -> (String, String, i32) {
        self.join_with(5, who, |_| {})
    }

    fn sync_as(&mut self, who: &Who, kind: Option<&'static str>, protocol: Option<&'static str>) -> String {
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

    fn sync(&mut self, who: &Who) -> String {
        self.sync_as(who, Some("consumer"), Some("range"))
    }

    fn beat(&mut self, who: &Who) -> String {
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

    /// Of the whole, then of each member.
    fn leave(&mut self, group: &'static str, members: &[(&str, Option<&'static str>)]) -> String {
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

    /// Of each partition.
    fn commit_to(
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

    fn commit(&mut self, who: &Who) -> String {
        self.commit_to(8, who, &[("t", 0, 7, "")])
    }

    /// Error of the group, then offset and text of each partition.
    fn fetch(&mut self, version: i16, who: &Who, partitions: Option<&[i32]>) -> String {
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

    fn delete(&mut self, group: &'static str) -> String {
        let request = DeleteGroupsRequest { groups_names: vec![group.into(); 2] };
        let answer = self.body(&request, 3);
        let answer: DeleteGroupsResponse<'_> = answer.decode().unwrap();
        let [result] = &answer.results[..] else { return format!("{} results", answer.results.len()) };
        assert_eq!(result.error_message, None);
        name_of(result.error_code)
    }

    fn delete_offsets(&mut self, group: &'static str, topic: &'static str, partition: i32) -> String {
        let partitions = vec![OffsetDeleteRequestPartition { partition_index: partition }];
        let topic = OffsetDeleteRequestTopic { name: topic.into(), partitions };
        let request = OffsetDeleteRequest { group_id: group.into(), topics: vec![topic] };
        let answer = self.body(&request, 0);
        let answer: OffsetDeleteResponse<'_> = answer.decode().unwrap();
        let codes = answer.topics.iter().flat_map(|topic| &topic.partitions).map(|it| name_of(it.error_code));
        [name_of(answer.error_code)].into_iter().chain(codes).collect::<Vec<_>>().join(" ")
    }

    /// State and members of a classic group.
    fn describe(&mut self, group: &'static str) -> String {
        let request = DescribeGroupsRequest { groups: vec![group.into()], ..Default::default() };
        let answer = self.body(&request, 6);
        let answer: DescribeGroupsResponse<'_> = answer.decode().unwrap();
        let it = &answer.groups[0];
        let members =
            it.members.iter().map(|member| format!(" {:?}", member.group_instance_id)).collect::<String>();
        format!("{} {}{members}", name_of(it.error_code), it.group_state)
    }

    fn describe_consumers(&mut self, group: &'static str) -> String {
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
    fn consumer(
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
    fn end_of_epoch(&mut self, leader_epoch: i32) -> String {
        let partition = OffsetForLeaderPartition { leader_epoch, ..Default::default() };
        let topic = OffsetForLeaderTopic { topic: "t".into(), partitions: vec![partition] };
        let request = OffsetForLeaderEpochRequest { topics: vec![topic], ..Default::default() };
        let answer = self.body(&request, 4);
        let answer: OffsetForLeaderEpochResponse<'_> = answer.decode().unwrap();
        let it = &answer.topics[0].partitions[0];
        format!("{} {} {}", name_of(it.error_code), it.leader_epoch, it.end_offset)
    }

    /// Error, and where the reader is sent back to.
    fn fetch_after(&mut self, last_fetched_epoch: i32, fetch_offset: i64) -> String {
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

    fn list(&mut self, states: &[&'static str], types: &[&'static str]) -> String {
        let request = ListGroupsRequest {
            states_filter: states.iter().map(|it| (*it).into()).collect(),
            types_filter: types.iter().map(|it| (*it).into()).collect(),
        };
        let answer = self.body(&request, 5);
        let answer: ListGroupsResponse<'_> = answer.decode().unwrap();
        format!("{} {}", name_of(answer.error_code), answer.groups.len())
    }

    fn check(&mut self, what: impl Into<String>, got: String, wanted: &'static str) {
        if got != wanted {
            self.wrong.push((what.into(), got, wanted));
        }
    }

    /// All that went otherwise, at once.
    fn done(self) {
        let lines = self.wrong.iter().map(|(what, got, wanted)| format!("{what}: {got}, not {wanted}\n"));
        assert!(self.wrong.is_empty(), "{}", lines.collect::<String>());
    }
}

/// Runs against a server of its own, or the one that is named.
fn with_broker(test: impl FnOnce(&mut Broker)) {
    if let Ok(address) = std::env::var("RINGMAIN_TEST_BOOTSTRAP") {
        let mut broker = Broker::at(&address);
        test(&mut broker);
        return broker.done();
    }
    let scratch = scratch();
    let server: Server = Launch::new(&scratch.path().join("data")).start();
    let mut broker = Broker::at(&server.address());
    test(&mut broker);
    broker.done();
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn what_makes_no_sense_gets_kafkas_error_and_changes_nothing() {
    with_broker(|broker| {
        let nobody = who("none", 1, "nobody", None);
        groups_that_are_not_there(broker, &nobody);
        illegal_ids(broker);
        classic_groups(broker);
        static_members(broker);
        commits(broker);
        consumer_groups(broker);
        mixed(broker);
        there_and_back(broker);
        leader_epochs(broker);
    });
}

fn groups_that_are_not_there(broker: &mut Broker, nobody: &Who) {
    let got = broker.join(nobody).0;
    broker.check("join of an unknown member", got, "UnknownMemberId");
    let got = broker.sync(nobody);
    broker.check("sync in no group", got, "UnknownMemberId");
    let got = broker.beat(nobody);
    broker.check("heartbeat in no group", got, "UnknownMemberId");
    let got = broker.leave("none", &[("nobody", None), ("", Some("i"))]);
    broker.check("leave of no group", got, "None UnknownMemberId UnknownMemberId");
    let got = broker.commit_to(8, nobody, &[("t", 0, 1, "")]);
    broker.check("commit v8 in no group", got, "IllegalGeneration");
    let got = broker.commit_to(9, nobody, &[("t", 0, 1, "")]);
    broker.check("commit v9 in no group", got, "GroupIdNotFound");
    let got = broker.fetch(9, nobody, Some(&[0, 1]));
    broker.check("fetch of no group", got, "None 0@-1:None 1@-1:None");
    let got = broker.delete("none");
    broker.check("delete of no group", got, "GroupIdNotFound");
    let got = broker.delete_offsets("none", "t", 0);
    broker.check("delete of offsets of no group", got, "GroupIdNotFound");
    let got = broker.describe("none");
    broker.check("no group described", got, "GroupIdNotFound Dead");
    let got = broker.describe_consumers("none");
    broker.check("no consumer group described", got, "GroupIdNotFound  0");
    let got = broker.consumer("none", "nobody", 3, |_| {});
    broker.check("consumer heartbeat in no group", got, "GroupIdNotFound");
    let got = broker.list(&[], &[]);
    broker.check("nothing was made", got, "None 0");
}

fn illegal_ids(broker: &mut Broker) {
    let nameless = who("", 1, "m", None);
    // Consumers of long ago committed without a group id, so it is one that can be found, committed to and deleted.
    let got = broker.find("");
    broker.check("find", got, "None");
    for (what, got) in [
        ("join", broker.join(&Who { id: String::new(), ..nameless.clone() }).0),
        ("sync", broker.sync(&nameless)),
        ("heartbeat", broker.beat(&nameless)),
        ("leave", broker.leave("", &[("m", None)])),
        ("delete of offsets", broker.delete_offsets("", "t", 0)),
    ] {
        broker.check(format!("{what} without a group id"), got, "InvalidGroupId");
    }
    let got = broker.consumer("", "m", 0, |_| {});
    broker.check("consumer heartbeat without a group id", got, "InvalidRequest");
    let got = broker.delete("");
    broker.check("delete without a group id", got, "GroupIdNotFound");
    let got = broker.describe("");
    broker.check("no group id described", got, "GroupIdNotFound Dead");
    let got = broker.describe_consumers("");
    broker.check("no consumer group id described", got, "InvalidGroupId  0");
}

fn classic_groups(broker: &mut Broker) {
    let new = who("g", -1, "", None);
    for timeout in [0, -1, 5999, 1_800_001, i32::MAX, i32::MIN] {
        let got = broker.join_with(5, &new, |it| it.session_timeout_ms = timeout).0;
        broker.check(format!("session timeout {timeout}"), got, "InvalidSessionTimeout");
    }
    let got = broker.join_with(3, &new, |it| it.protocols.clear()).0;
    broker.check("no protocols", got, "InconsistentGroupProtocol");
    let got = broker.join_with(3, &new, |it| it.protocol_type = "".into()).0;
    broker.check("no protocol type", got, "InconsistentGroupProtocol");
    let (got, id, _) = broker.join_with(4, &new, |_| {});
    broker.check("first join", got, "MemberIdRequired");
    let (got, id, generation) = broker.join(&Who { id, ..new.clone() });
    broker.check("second join", got, "None");
    let member = who("g", generation, &id, None);
    let got = broker.commit(&member);
    broker.check("commit before the assignment", got, "RebalanceInProgress");
    let got = broker.sync(&member);
    broker.check("sync", got, "None");
    let got = broker.commit_to(8, &member, &[("t", 0, 5, "first")]);
    broker.check("commit", got, "None");
    let (state, offsets) = (broker.describe("g"), broker.fetch(8, &who("g", -1, "", None), None));

    for generation in [-1, generation - 1, generation + 1] {
        let other = Who { generation, ..member.clone() };
        let got = broker.sync(&other);
        broker.check(format!("sync in generation {generation}"), got, "IllegalGeneration");
        let got = broker.beat(&other);
        broker.check(format!("heartbeat in generation {generation}"), got, "IllegalGeneration");
        let got = broker.commit(&other);
        broker.check(format!("commit in generation {generation}"), got, "IllegalGeneration");
    }
    let stranger = who("g", generation, "stranger", None);
    let got = broker.join(&stranger).0;
    broker.check("join of a stranger", got, "UnknownMemberId");
    let got = broker.sync(&stranger);
    broker.check("sync of a stranger", got, "UnknownMemberId");
    let got = broker.beat(&stranger);
    broker.check("heartbeat of a stranger", got, "UnknownMemberId");
    let got = broker.commit(&stranger);
    broker.check("commit of a stranger", got, "UnknownMemberId");
    let got = broker.leave("g", &[("stranger", None)]);
    broker.check("leave of a stranger", got, "None UnknownMemberId");
    let got = broker.commit(&who("g", -1, "", None));
    broker.check("commit from outside", got, "UnknownMemberId");
    let got = broker.sync_as(&member, Some("connect"), Some("range"));
    broker.check("sync of another type", got, "InconsistentGroupProtocol");
    let got = broker.sync_as(&member, Some("consumer"), Some("sticky"));
    broker.check("sync of another protocol", got, "InconsistentGroupProtocol");
    let got = broker.join_with(3, &new, |it| it.protocol_type = "connect".into()).0;
    broker.check("join of another type", got, "InconsistentGroupProtocol");
    let got = broker.join_with(3, &new, |it| it.protocols[0].name = "sticky".into()).0;
    broker.check("join with other protocols", got, "InconsistentGroupProtocol");
    let got = broker.delete("g");
    broker.check("delete with members", got, "NonEmptyGroup");
    let got = broker.delete_offsets("g", "t", 0);
    broker.check("delete of offsets in use", got, "None GroupSubscribedToTopic");
    let got = broker.delete_offsets("g", "missing", 0);
    broker.check("delete of offsets of no topic", got, "None UnknownTopicOrPartition");
    let got = broker.describe_consumers("g");
    broker.check("a classic group as a consumer group", got, "GroupIdNotFound  0");
    let after = (broker.describe("g"), broker.fetch(8, &who("g", -1, "", None), None));
    assert_eq!(after, (state, offsets), "what was refused has changed nothing");
    let got = broker.beat(&member);
    broker.check("heartbeat", got, "None");
    let got = broker.list(&["nonsense"], &[]);
    broker.check("list of no state", got, "None 0");
    let got = broker.list(&[], &["nonsense"]);
    broker.check("list of no type", got, "None 0");
    let got = broker.leave("g", &[(id.as_str(), None), (id.as_str(), None)]);
    broker.check("leave twice", got, "None None UnknownMemberId");
    let got = broker.describe("g");
    broker.check("left", got, "None Empty");
}

fn static_members(broker: &mut Broker) {
    let new = who("s", -1, "", Some("i"));
    let (got, first, generation) = broker.join(&new);
    broker.check("join of an instance", got, "None");
    let old = who("s", generation, &first, Some("i"));
    let got = broker.sync(&old);
    broker.check("sync of an instance", got, "None");
    let (got, second, same) = broker.join(&new);
    broker.check("join of the instance again", got, "None");
    broker.check("ids of an instance", (first != second).to_string(), "true");
    let current = who("s", same, &second, Some("i"));
    let state = broker.describe("s");
    let got = broker.join(&old).0;
    broker.check("join of a fenced instance", got, "FencedInstanceId");
    let got = broker.sync(&old);
    broker.check("sync of a fenced instance", got, "FencedInstanceId");
    let got = broker.beat(&old);
    broker.check("heartbeat of a fenced instance", got, "FencedInstanceId");
    let got = broker.commit(&old);
    broker.check("commit of a fenced instance", got, "FencedInstanceId");
    let got = broker.leave("s", &[(first.as_str(), Some("i"))]);
    broker.check("leave of a fenced instance", got, "None FencedInstanceId");
    let got = broker.beat(&who("s", same, &second, Some("j")));
    broker.check("heartbeat of an unknown instance", got, "UnknownMemberId");
    let got = broker.leave("s", &[("", Some("j"))]);
    broker.check("leave of an unknown instance", got, "None UnknownMemberId");
    assert_eq!(broker.describe("s"), state, "what was refused has changed nothing");
    let got = broker.beat(&current);
    broker.check("heartbeat of the instance", got, "None");
    let got = broker.leave("s", &[("", Some("i"))]);
    broker.check("leave by instance", got, "None None");
}

fn commits(broker: &mut Broker) {
    let outside = who("c", -1, "", None);
    let long = "x".repeat(METADATA_MAX + 1);
    let most = "ü".repeat(METADATA_MAX);
    let got = broker.commit_to(8, &outside, &[("t", 0, 1, &long), ("t", 1, 2, &most)]);
    broker.check("oversized metadata", got, "OffsetMetadataTooLarge None");
    let got = broker.commit_to(
        8,
        &outside,
        &[("t", -1, 1, ""), ("t", 0, 3, "fits"), ("t", 2, 1, ""), ("v", 0, 1, "")],
    );
    broker.check(
        "commits to partitions that are not there",
        got,
        "UnknownTopicOrPartition None UnknownTopicOrPartition UnknownTopicOrPartition",
    );
    let got = broker.commit_to(10, &outside, &[("v", 0, 1, "")]);
    broker.check("commit to an unknown id", got, "UnknownTopicId");
    let got = broker.commit_to(8, &outside, &[("t", 1, 4, "")]);
    broker.check("commit", got, "None");
    let got = broker.fetch(8, &outside, Some(&[0, 1, 2]));
    broker.check("committed", got, "None 0@3fits:None 1@4:None 2@-1:None");
    let got = broker.commit_to(8, &who("", -1, "", None), &[("t", 1, 4, "")]);
    broker.check("commit without a group id", got, "None");
    let got = broker.commit(&who("c", -1, "ghost", None));
    broker.check("commit of an id from outside", got, "None");
    let got = broker.commit(&who("c", 1, "ghost", None));
    broker.check("commit of nobody", got, "UnknownMemberId");
    let got = broker.delete_offsets("c", "t", 1);
    broker.check("delete of an offset", got, "None None");
    let got = broker.delete("c");
    broker.check("delete", got, "None");
    let got = broker.delete("");
    broker.check("delete of the nameless group", got, "None");
}

fn consumer_groups(broker: &mut Broker) {
    let topic = broker.topic;
    type Change<'a> = Box<dyn FnOnce(&mut ConsumerGroupHeartbeatRequest<'_>) + 'a>;
    let wrong: [(&str, i32, Change<'_>, &'static str); 14] = [
        ("no member id", 0, Box::new(|it| it.member_id = "".into()), "InvalidRequest"),
        ("no subscription", 0, Box::new(|it| it.subscribed_topic_names = None), "InvalidRequest"),
        ("no rebalance timeout", 0, Box::new(|it| it.rebalance_timeout_ms = -1), "InvalidRequest"),
        (
            "partitions at once",
            0,
            Box::new(|it| {
                let partitions = vec![0];
                it.topic_partitions = Some(vec![TopicPartitions { topic_id: topic, partitions }]);
            }),
            "InvalidRequest",
        ),
        ("blank group id", 0, Box::new(|it| it.group_id = " \t".into()), "InvalidRequest"),
        ("blank member id", 1, Box::new(|it| it.member_id = " ".into()), "InvalidRequest"),
        ("empty instance", 0, Box::new(|it| it.instance_id = Some("".into())), "InvalidRequest"),
        ("empty rack", 0, Box::new(|it| it.rack_id = Some("".into())), "InvalidRequest"),
        (
            "unknown assignor",
            0,
            Box::new(|it| it.server_assignor = Some("best".into())),
            "UnsupportedAssignor",
        ),
        (
            "no expression",
            0,
            Box::new(|it| it.subscribed_topic_regex = Some("(".into())),
            "InvalidRegularExpression",
        ),
        ("epoch -3", -3, Box::new(|_| {}), "InvalidRequest"),
        ("epoch -2 without an instance", -2, Box::new(|_| {}), "InvalidRequest"),
        ("epoch -1 of nobody", -1, Box::new(|_| {}), "GroupIdNotFound"),
        ("epoch 1 of nobody", 1, Box::new(|_| {}), "GroupIdNotFound"),
    ];
    for (what, epoch, change, wanted) in wrong {
        let got = broker.consumer("n", "m", epoch, change);
        broker.check(what, got, wanted);
    }
    let got = broker.describe_consumers("n");
    broker.check("nothing was made", got, "GroupIdNotFound  0");

    let got = broker.consumer("n", "m", 0, |_| {});
    let epoch: i32 = got.strip_prefix("None ").unwrap().parse().unwrap();
    let member = who("n", epoch, "m", None);
    eventually("the member has its partitions", || {
        broker.consumer("n", "m", epoch, |_| {});
        broker.describe_consumers("n").ends_with(&format!("{epoch}:2")).then_some(())
    });
    let got = broker.commit_to(9, &member, &[("t", 0, 5, "first")]);
    broker.check("commit", got, "None");
    let (state, offsets) = (broker.describe_consumers("n"), broker.fetch(9, &member, Some(&[0, 1])));
    for (what, member, epoch, wanted) in [
        ("heartbeat of a stranger", "x", epoch, "UnknownMemberId"),
        ("heartbeat in a later epoch", "m", epoch + 1, "FencedMemberEpoch"),
        ("heartbeat in an earlier epoch", "m", epoch - 2, "FencedMemberEpoch"),
        ("leave of a stranger", "x", -1, "UnknownMemberId"),
    ] {
        // Epoch -1 would leave, 0 join.
        let epoch = if wanted == "FencedMemberEpoch" && epoch <= 0 { epoch + 5 } else { epoch };
        let got = broker.consumer("n", member, epoch, |_| {});
        broker.check(what, got, wanted);
    }
    let at = |generation| Who { generation, ..member.clone() };
    let later = at(epoch + 1);
    for (what, got, wanted) in [
        ("commit in a later epoch", broker.commit_to(9, &later, &[("t", 0, 6, "")]), "StaleMemberEpoch"),
        ("commit v8", broker.commit_to(8, &member, &[("t", 0, 6, "")]), "UnsupportedVersion"),
        (
            "commit of a stranger",
            broker.commit_to(9, &who("n", epoch, "x", None), &[("t", 0, 6, "")]),
            "UnknownMemberId",
        ),
        (
            "commit from outside",
            broker.commit_to(9, &who("n", -1, "", None), &[("t", 0, 6, "")]),
            "UnknownMemberId",
        ),
        ("fetch in a later epoch", broker.fetch(9, &later, Some(&[0])), "StaleMemberEpoch"),
        ("fetch in an earlier epoch", broker.fetch(9, &at(epoch - 1), Some(&[0])), "StaleMemberEpoch"),
        ("fetch in epoch 0", broker.fetch(9, &at(0), Some(&[0])), "StaleMemberEpoch"),
        ("fetch in epoch -1", broker.fetch(9, &at(-1), Some(&[0])), "StaleMemberEpoch"),
        ("fetch of everything in epoch -2", broker.fetch(9, &at(-2), None), "StaleMemberEpoch"),
        ("fetch from outside", broker.fetch(9, &who("n", -1, "", None), Some(&[0])), "None 0@5first:None"),
        ("fetch of a stranger", broker.fetch(9, &who("n", epoch, "x", None), Some(&[0])), "UnknownMemberId"),
        ("delete with members", broker.delete("n"), "NonEmptyGroup"),
        ("delete of offsets in use", broker.delete_offsets("n", "t", 0), "None GroupSubscribedToTopic"),
        ("a consumer group as a classic one", broker.describe("n"), "GroupIdNotFound Dead"),
        ("classic heartbeat", broker.beat(&member), "UnknownMemberId"),
        ("classic sync", broker.sync(&member), "UnknownMemberId"),
    ] {
        broker.check(what, got, wanted);
    }
    let after = (broker.describe_consumers("n"), broker.fetch(9, &member, Some(&[0, 1])));
    assert_eq!(after, (state, offsets), "what was refused has changed nothing");
    let got = broker.consumer("n", "m", -1, |_| {});
    broker.check("leave", got, "None -1");
    let got = broker.consumer("n", "m", 0, |it| it.subscribed_topic_names = Some(Vec::new()));
    broker.check("join without topics", got.starts_with("None ").to_string(), "true");
    // Administrators let members of either protocol go.
    let got = broker.leave("n", &[("m", None), ("m", None), ("x", None)]);
    broker.check("leave of a consumer, twice", got, "None None None UnknownMemberId");
    let got = broker.describe_consumers("n");
    broker.check("all gone", got.starts_with("None Empty").to_string(), "true");
}

/// A classic group becomes a consumer group and goes back: its classic member goes on throughout.
fn there_and_back(broker: &mut Broker) {
    let new = who("b", -1, "", None);
    let (_, id, _) = broker.join(&new);
    let (got, id, generation) = broker.join(&Who { id, ..new });
    broker.check("join", got, "None");
    let old = who("b", generation, &id, None);
    let got = broker.sync(&old);
    broker.check("sync", got, "None");
    let got = broker.consumer("b", "new", 0, |_| {});
    broker.check("a new-style member joins", got.starts_with("None ").to_string(), "true");
    let got = broker.beat(&old);
    broker.check("heartbeat of the classic member", got, "RebalanceInProgress");
    let (got, id, generation) = broker.join(&old);
    broker.check("join of the classic member", got, "None");
    let member = who("b", generation, &id, None);
    let got = broker.sync(&member);
    broker.check("sync of the classic member", got, "None");
    let got = broker.beat(&member);
    broker.check("the classic member is where it should be", got, "None");
    let claims = Who { generation: generation - 1, ..member.clone() };
    let got = broker.fetch(9, &claims, Some(&[0]));
    broker.check("fetch of a classic member in an older epoch", got, "IllegalGeneration");
    let got = broker.consumer("b", "new", -1, |_| {});
    broker.check("the new-style member leaves", got, "None -1");
    for what in ["once", "again"] {
        let got = broker.beat(&member);
        broker.check(format!("{what}: heartbeat"), got, "RebalanceInProgress");
        let got = broker.commit(&member);
        broker.check(format!("{what}: commit"), got, "None");
        let got = broker.sync(&member);
        broker.check(format!("{what}: sync"), got, "RebalanceInProgress");
    }
    let got = broker.describe("b");
    broker.check("a classic group", got, "None PreparingRebalance None");
    let (got, id, next) = broker.join(&member);
    broker.check("join again", got, "None");
    broker.check("the next generation", (next == generation + 1).to_string(), "true");
    let got = broker.leave("b", &[(id.as_str(), None)]);
    broker.check("leave", got, "None None");
}

/// Where an epoch ended, and how far a reader's log is the same.
fn leader_epochs(broker: &mut Broker) {
    let none = "None -1 -1";
    for (epoch, wanted) in [(0, "None 0 0"), (1, none), (7, none), (i32::MAX, none), (-1, none)] {
        let got = broker.end_of_epoch(epoch);
        broker.check(format!("end of epoch {epoch}"), got, wanted);
    }
    for (epoch, offset, wanted) in [
        (0, 0, "None -1 -1"),
        (0, 1, "None 0 0"),
        (1, 0, "OffsetOutOfRange -1 -1"),
        (7, 1, "OffsetOutOfRange -1 -1"),
        (-1, 0, "None -1 -1"),
        (-1, 1, "OffsetOutOfRange -1 -1"),
    ] {
        let got = broker.fetch_after(epoch, offset);
        broker.check(format!("fetch of {offset} after epoch {epoch}"), got, wanted);
    }
}

/// Instances of the new protocol, and members of one protocol in a group of the other.
fn mixed(broker: &mut Broker) {
    let instance = |it: &mut ConsumerGroupHeartbeatRequest<'_>| it.instance_id = Some("i".into());
    // Which epoch a group begins with is the broker's affair.
    let got = broker.consumer("x", "a", 0, instance);
    broker.check("join of an instance", got.starts_with("None ").to_string(), "true");
    let got = broker.consumer("x", "b", 0, instance);
    broker.check("join of an instance that is taken", got, "UnreleasedInstanceId");
    let got = broker.consumer("x", "b", 1, instance);
    broker.check("heartbeat of an instance that is another's", got, "FencedInstanceId");
    let got = broker.consumer("x", "b", -1, instance);
    broker.check("leave of an instance that is another's", got, "FencedInstanceId");
    let got = broker.consumer("x", "a", -2, instance);
    broker.check("an instance goes for a while", got, "None -2");
    let got = broker.consumer("x", "b", 0, instance);
    broker.check("an instance is back", got.starts_with("None ").to_string(), "true");
    let got = broker.consumer("x", "b", -1, instance);
    broker.check("an instance leaves", got, "None -1");
    // A group of workers is none of consumers.
    let worker = who("w", -1, "", None);
    let (got, id, generation) = broker.join_with(3, &worker, |it| it.protocol_type = "connect".into());
    broker.check("join of a worker", got, "None");
    let worker = who("w", generation, &id, None);
    let got = broker.sync_as(&worker, Some("connect"), Some("range"));
    broker.check("sync of a worker", got, "None");
    let got = broker.consumer("w", "m", 0, |_| {});
    broker.check("a consumer among workers", got, "GroupIdNotFound");
    let got = broker.beat(&worker);
    broker.check("the worker goes on", got, "None");
}
