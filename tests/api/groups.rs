//! The APIs of groups in every version, against real coordinators whose log is durable at once.

use std::collections::BTreeMap;
use std::sync::Arc;

use ringmain::base::{MonoNanos, Now, ShardId, TimestampMs, TopicId, TopicPartition};
use ringmain::config::Config;
use ringmain::controller::{MetadataImage, View};
use ringmain::group::{Coordinator, Outcome, Ticket};
use ringmain::protocol::messages::consumer_group_heartbeat_request::TopicPartitions;
use ringmain::protocol::messages::join_group_request::JoinGroupRequestProtocol;
use ringmain::protocol::messages::leave_group_request::MemberIdentity;
use ringmain::protocol::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use ringmain::protocol::messages::offset_delete_request::{
    OffsetDeleteRequestPartition, OffsetDeleteRequestTopic,
};
use ringmain::protocol::messages::offset_fetch_request::{
    OffsetFetchRequestGroup, OffsetFetchRequestTopic, OffsetFetchRequestTopics,
};
use ringmain::protocol::messages::sync_group_request::SyncGroupRequestAssignment;
use ringmain::protocol::messages::*;
use ringmain::protocol::{ErrorCode, Message};
use ringmain::shard::{ShardReply, ShardRequest};

use super::code;
use super::peer::{Peer, read};

#[path = "groups_twice.rs"]
mod twice;

/// A connection, and the coordinators behind it.
struct Groups {
    peer: Peer,
    coordinators: Coordinators,
}

#[derive(Default)]
struct Coordinators {
    seats: BTreeMap<TopicPartition, Coordinator>,
    config: Config,
}

impl Coordinators {
    fn reply(&mut self, image: &Arc<MetadataImage>, request: &ShardRequest) -> ShardReply {
        let now = Now { mono: MonoNanos(0), wall: TimestampMs(1_000) };
        let calls = match request {
            ShardRequest::Groups(calls) => calls,
            ShardRequest::ListGroups => {
                let groups = self.seats.values().flat_map(Coordinator::list);
                return ShardReply::ListGroups(Ok(groups.collect()));
            }
            other => panic!("asked {other:?}"),
        };
        let replies = calls.iter().map(|call| {
            let limits = Arc::new(self.config.groups.clone());
            let seat = self.seats.entry(call.partition).or_insert_with(|| Coordinator::new(limits, 7, now));
            let mut out = Outcome::default();
            seat.handle(now, image, Ticket(1), call.request.clone(), &mut out);
            out.replies.pop().expect("answered at once").1
        });
        ShardReply::Groups(replies.collect())
    }
}

impl Groups {
    fn new() -> Groups {
        let mut groups = Groups { peer: Peer::new(&[("t", 2)]), coordinators: Coordinators::default() };
        groups.find(6, "g");
        groups
    }

    fn ask<'m, M: Message<'m>>(&mut self, version: i16, request: &M) -> Vec<u8> {
        let (image, coordinators) = (self.peer.image(), &mut self.coordinators);
        let mut first = true;
        let shards = |_: ShardId, request: &ShardRequest| {
            // The listing of all groups is asked of every shard; the coordinators here stand for one of them.
            if matches!(request, ShardRequest::ListGroups) && !std::mem::take(&mut first) {
                return ShardReply::ListGroups(Ok(Vec::new()));
            }
            coordinators.reply(&image, request)
        };
        self.peer.send(version, request, shards).body()
    }

    fn find(&mut self, version: i16, group: &str) -> (i16, i32) {
        let request = if version >= 4 {
            FindCoordinatorRequest { coordinator_keys: vec![group.into()], ..Default::default() }
        } else {
            FindCoordinatorRequest { key: group.into(), ..Default::default() }
        };
        let body = self.ask(version, &request);
        let answer: FindCoordinatorResponse<'_> = read(&body, version);
        match answer.coordinators.first() {
            Some(found) => (found.error_code, found.node_id),
            None => (answer.error_code, answer.node_id),
        }
    }

    /// Joins alone and gives the member id.
    fn join(&mut self, version: i16, member_id: &str) -> (i16, String, i32) {
        let protocol = JoinGroupRequestProtocol {
            name: "range".into(),
            metadata: b"\0\0\0\0\0\x01\0\x01t\xff\xff\xff\xff"[..].into(),
        };
        let request = JoinGroupRequest {
            group_id: "g".into(),
            session_timeout_ms: 10_000,
            rebalance_timeout_ms: if version >= 1 { 10_000 } else { -1 },
            member_id: member_id.to_owned().into(),
            protocol_type: "consumer".into(),
            protocols: vec![protocol],
            ..Default::default()
        };
        let body = self.ask(version, &request);
        let answer: JoinGroupResponse<'_> = read(&body, version);
        if answer.error_code == 0 {
            assert_eq!((&answer.leader, answer.members.len()), (&answer.member_id, 1));
            assert_eq!(answer.protocol_name.as_deref(), Some("range"));
            assert_eq!(answer.protocol_type.as_deref(), (version >= 7).then_some("consumer"));
        }
        (answer.error_code, answer.member_id.into_owned(), answer.generation_id)
    }

    fn sync(&mut self, version: i16, member_id: &str, generation_id: i32) -> (i16, Vec<u8>) {
        let assignment = SyncGroupRequestAssignment {
            member_id: member_id.to_owned().into(),
            assignment: b"mine"[..].into(),
        };
        let request = SyncGroupRequest {
            group_id: "g".into(),
            generation_id,
            member_id: member_id.to_owned().into(),
            group_instance_id: None,
            protocol_type: (version >= 5).then(|| "consumer".into()),
            protocol_name: (version >= 5).then(|| "range".into()),
            assignments: vec![assignment],
        };
        let body = self.ask(version, &request);
        let answer: SyncGroupResponse<'_> = read(&body, version);
        (answer.error_code, answer.assignment.to_vec())
    }

    /// A member of a stable group.
    fn member(&mut self) -> (String, i32) {
        let (error, id, generation) = self.join(3, "");
        assert_eq!(error, 0);
        assert_eq!(self.sync(3, &id, generation), (0, b"mine".to_vec()));
        (id, generation)
    }

    fn commit(&mut self, version: i16, member_id: &str, generation: i32, topic: &'static str) -> i16 {
        let by_id = version >= 10;
        let partition = OffsetCommitRequestPartition {
            partition_index: 1,
            committed_offset: 42,
            committed_leader_epoch: if version >= 6 { 5 } else { -1 },
            committed_metadata: Some("note".into()),
        };
        let topic_id = if !by_id {
            TopicId::ZERO
        } else if topic == "t" {
            self.peer.topic("t").id
        } else {
            TopicId([9; 16])
        };
        let topic = OffsetCommitRequestTopic {
            name: if by_id { "".into() } else { topic.into() },
            topic_id,
            partitions: vec![partition],
        };
        let request = OffsetCommitRequest {
            group_id: "g".into(),
            generation_id_or_member_epoch: generation,
            member_id: member_id.to_owned().into(),
            group_instance_id: None,
            retention_time_ms: -1,
            topics: vec![topic],
        };
        let body = self.ask(version, &request);
        let answer: OffsetCommitResponse<'_> = read(&body, version);
        assert_eq!(answer.topics[0].topic_id, topic_id);
        assert_eq!(answer.topics[0].partitions[0].partition_index, 1);
        answer.topics[0].partitions[0].error_code
    }

    /// Offset, epoch and note of partition 1.
    fn committed(&mut self, version: i16, group: &'static str, all: bool) -> Vec<(i64, i32, String)> {
        let request = if version >= 8 {
            let by_id = version >= 10;
            let topic = OffsetFetchRequestTopics {
                name: if by_id { "".into() } else { "t".into() },
                topic_id: if by_id { self.peer.topic("t").id } else { TopicId::ZERO },
                partition_indexes: vec![1],
            };
            let asked = OffsetFetchRequestGroup {
                group_id: group.into(),
                member_id: None,
                topics: (!all).then(|| vec![topic]),
                ..Default::default()
            };
            OffsetFetchRequest { topics: Some(Vec::new()), groups: vec![asked], ..Default::default() }
        } else {
            let topic = OffsetFetchRequestTopic { name: "t".into(), partition_indexes: vec![1] };
            let topics = (!all).then(|| vec![topic]);
            OffsetFetchRequest { group_id: group.into(), topics, ..Default::default() }
        };
        let body = self.ask(version, &request);
        let answer: OffsetFetchResponse<'_> = read(&body, version);
        assert_eq!(answer.error_code, 0);
        let old = answer.topics.iter().flat_map(|topic| &topic.partitions);
        let old = old.map(|it| (it.committed_offset, it.committed_leader_epoch, it.metadata.as_deref()));
        let new = answer.groups.iter().flat_map(|group| &group.topics).flat_map(|topic| &topic.partitions);
        let new = new.map(|it| (it.committed_offset, it.committed_leader_epoch, it.metadata.as_deref()));
        old.chain(new)
            .map(|(offset, epoch, note)| (offset, epoch, note.unwrap_or_default().to_owned()))
            .collect()
    }
}

#[test]
fn coordinators_are_found_under_every_view() {
    for version in 0..=6 {
        let mut groups = Groups::new();
        groups.peer.connection.view = View::Server;
        assert_eq!(groups.find(version, "g"), (0, 1000), "version {version}");
        groups.peer.connection.view = View::Shards;
        let nodes: Vec<_> = (0..20).map(|n| groups.find(version, &format!("group-{n}"))).collect();
        assert!(nodes.contains(&(0, 1001)) && nodes.contains(&(0, 1002)), "{nodes:?}");
        assert_eq!(groups.find(version, "").0, 0, "the group of who has none");
    }
    let topic = Groups::new().peer.topic("__consumer_offsets");
    assert_eq!((topic.partitions.len(), topic.internal), (50, true));
    assert_eq!(topic.overrides["cleanup.policy"], "compact");
    let mut groups = Groups::new();
    let transaction = FindCoordinatorRequest { key: "x".into(), key_type: 1, ..Default::default() };
    let body = groups.ask(3, &transaction);
    let answer: FindCoordinatorResponse<'_> = read(&body, 3);
    assert_eq!(answer.error_code, code(ErrorCode::InvalidRequest));
}

#[test]
fn groups_without_an_offsets_topic_have_no_coordinator() {
    let mut groups = Groups { peer: Peer::new(&[]), coordinators: Coordinators::default() };
    assert_eq!(groups.join(5, "").0, code(ErrorCode::NotCoordinator));
}

#[test]
fn members_join_in_every_version() {
    for version in 0..=9 {
        let mut groups = Groups::new();
        let (error, id, generation) = groups.join(version, "");
        if version < 4 {
            assert_eq!((error, generation), (0, 1), "version {version}");
            continue;
        }
        assert_eq!((error, generation), (code(ErrorCode::MemberIdRequired), -1));
        assert!(id.starts_with("tester-"), "{id}");
        assert_eq!(groups.join(version, &id), (0, id, 1), "version {version}");
        assert_eq!(groups.join(version, "stranger").0, code(ErrorCode::UnknownMemberId));
    }
}

#[test]
fn members_sync_beat_and_leave_in_every_version() {
    for version in 0..=5 {
        let mut groups = Groups::new();
        let (id, generation) = groups.member();
        assert_eq!(groups.sync(version, &id, generation), (0, b"mine".to_vec()), "version {version}");
        assert_eq!(groups.sync(version, &id, 9).0, code(ErrorCode::IllegalGeneration));
        for beat in 0..=4 {
            let request = |generation_id| HeartbeatRequest {
                group_id: "g".into(),
                generation_id,
                member_id: id.as_str().into(),
                group_instance_id: None,
            };
            let body = groups.ask(beat, &request(generation));
            assert_eq!(read::<HeartbeatResponse>(&body, beat).error_code, 0);
            let body = groups.ask(beat, &request(7));
            assert_eq!(read::<HeartbeatResponse>(&body, beat).error_code, code(ErrorCode::IllegalGeneration));
        }
        let leaving = |id: &str| MemberIdentity {
            member_id: id.to_owned().into(),
            group_instance_id: None,
            reason: None,
        };
        let request = if version >= 3 {
            let members = vec![leaving("stranger"), leaving(&id)];
            LeaveGroupRequest { group_id: "g".into(), members, ..Default::default() }
        } else {
            LeaveGroupRequest { group_id: "g".into(), member_id: id.as_str().into(), ..Default::default() }
        };
        let body = groups.ask(version, &request);
        let answer: LeaveGroupResponse<'_> = read(&body, version);
        let codes: Vec<_> = answer.members.iter().map(|member| member.error_code).collect();
        let expected = if version >= 3 { vec![code(ErrorCode::UnknownMemberId), 0] } else { Vec::new() };
        assert_eq!((answer.error_code, codes), (0, expected), "version {version}");
        let body = groups.ask(version, &request);
        let answer: LeaveGroupResponse<'_> = read(&body, version);
        let gone = answer.members.get(1).map_or(answer.error_code, |member| member.error_code);
        assert_eq!(gone, code(ErrorCode::UnknownMemberId));
    }
}

#[test]
fn offsets_are_committed_and_fetched_in_every_version() {
    for version in 2..=10 {
        let mut groups = Groups::new();
        let unknown_group =
            if version >= 9 { ErrorCode::GroupIdNotFound } else { ErrorCode::IllegalGeneration };
        assert_eq!(groups.commit(version, "x", 1, "t"), code(unknown_group), "version {version}");
        let (id, generation) = groups.member();
        assert_eq!(groups.commit(version, &id, generation, "t"), 0, "version {version}");
        assert_eq!(groups.commit(version, &id, 9, "t"), code(ErrorCode::IllegalGeneration));
        let unknown_topic =
            if version >= 10 { ErrorCode::UnknownTopicId } else { ErrorCode::UnknownTopicOrPartition };
        assert_eq!(groups.commit(version, &id, generation, "missing"), code(unknown_topic));
        for fetch in 1..=10 {
            let epoch = if version >= 6 && fetch >= 5 { 5 } else { -1 };
            let expected = vec![(42, epoch, "note".to_owned())];
            assert_eq!(groups.committed(fetch, "g", false), expected, "{version}, {fetch}");
            assert_eq!(groups.committed(fetch, "nobody", false), [(-1, -1, String::new())]);
            if fetch >= 2 {
                assert_eq!(groups.committed(fetch, "g", true), expected);
                assert_eq!(groups.committed(fetch, "nobody", true), []);
            }
        }
    }
}

#[test]
fn groups_are_described_and_listed_in_every_version() {
    let mut groups = Groups::new();
    let (id, _) = groups.member();
    for version in 0..=6 {
        let request =
            DescribeGroupsRequest { groups: vec!["g".into(), "nobody".into()], ..Default::default() };
        let body = groups.ask(version, &request);
        let answer: DescribeGroupsResponse<'_> = read(&body, version);
        let (known, missing) = (&answer.groups[0], &answer.groups[1]);
        assert_eq!((known.error_code, &*known.group_state, &*known.protocol_data), (0, "Stable", "range"));
        let member = &known.members[0];
        assert_eq!((&*member.member_id, &*member.client_host), (&*id, "/127.0.0.1"));
        assert_eq!(&*member.member_assignment, b"mine");
        let error = if version >= 6 { code(ErrorCode::GroupIdNotFound) } else { 0 };
        assert_eq!((missing.error_code, &*missing.group_state), (error, "Dead"), "version {version}");
    }
    for version in 0..=5 {
        let mut list = |states: &[&'static str], types: &[&'static str]| {
            let request = ListGroupsRequest {
                states_filter: states.iter().map(|it| (*it).into()).collect(),
                types_filter: types.iter().map(|it| (*it).into()).collect(),
            };
            let body = groups.ask(version, &request);
            let answer: ListGroupsResponse<'_> = read(&body, version);
            let shown = |it: &list_groups_response::ListedGroup<'_>| {
                (
                    it.group_id.to_string(),
                    it.protocol_type.to_string(),
                    it.group_state.to_string(),
                    it.group_type.to_string(),
                )
            };
            answer.groups.iter().map(shown).collect::<Vec<_>>()
        };
        let state = if version >= 4 { "Stable" } else { "" };
        let kind = if version >= 5 { "classic" } else { "" };
        let group = ("g".to_owned(), "consumer".to_owned(), state.to_owned(), kind.to_owned());
        assert_eq!(list(&[], &[]), vec![group.clone()]);
        if version >= 4 {
            assert_eq!(list(&[" stable "], &[]), vec![group.clone()]);
            assert_eq!(list(&["Empty"], &[]), []);
        }
        if version >= 5 {
            assert_eq!(list(&[], &["CLASSIC", "share"]), vec![group]);
            assert_eq!(list(&[], &["nonsense", ""]), []);
            assert_eq!(list(&[], &["consumer"]), []);
        }
    }
}

#[test]
fn groups_and_offsets_are_deleted_in_every_version() {
    for version in 0..=3 {
        let mut groups = Groups::new();
        let (id, generation) = groups.member();
        groups.commit(8, &id, generation, "t");
        let delete = |groups: &mut Groups| {
            let request = DeleteGroupsRequest { groups_names: vec!["g".into(), "nobody".into()] };
            let body = groups.ask(version, &request);
            let answer: DeleteGroupsResponse<'_> = read(&body, version);
            answer.results.iter().map(|result| result.error_code).collect::<Vec<_>>()
        };
        let missing = code(ErrorCode::GroupIdNotFound);
        assert_eq!(delete(&mut groups), [code(ErrorCode::NonEmptyGroup), missing]);
        let forget = |groups: &mut Groups| {
            let partitions = [1, 7].map(|partition_index| OffsetDeleteRequestPartition { partition_index });
            let topic = OffsetDeleteRequestTopic { name: "t".into(), partitions: partitions.into() };
            let request = OffsetDeleteRequest { group_id: "g".into(), topics: vec![topic] };
            let body = groups.ask(0, &request);
            let answer: OffsetDeleteResponse<'_> = read(&body, 0);
            let codes = answer.topics.iter().flat_map(|topic| &topic.partitions).map(|it| it.error_code);
            (answer.error_code, codes.collect::<Vec<_>>())
        };
        let unknown = code(ErrorCode::UnknownTopicOrPartition);
        let subscribed = code(ErrorCode::GroupSubscribedToTopic);
        assert_eq!(forget(&mut groups), (0, vec![subscribed, unknown]));
        let leave =
            LeaveGroupRequest { group_id: "g".into(), member_id: id.as_str().into(), ..Default::default() };
        groups.ask(0, &leave);
        assert_eq!(forget(&mut groups), (0, vec![0, unknown]));
        assert_eq!(groups.committed(9, "g", true), []);
        assert_eq!(delete(&mut groups), [0, missing]);
        assert_eq!(forget(&mut groups).0, missing);
    }
}

/// A consumer of the new protocol joins.
fn consumer(version: i16, member_id: &'static str) -> ConsumerGroupHeartbeatRequest<'static> {
    ConsumerGroupHeartbeatRequest {
        group_id: "g".into(),
        member_id: if version >= 1 { member_id.into() } else { "".into() },
        member_epoch: 0,
        rebalance_timeout_ms: 60_000,
        subscribed_topic_names: Some(vec!["t".into()]),
        topic_partitions: Some(Vec::new()),
        ..Default::default()
    }
}

type Beat = (i16, String, i32, Option<Vec<i32>>);

impl Groups {
    fn beat(&mut self, version: i16, request: &ConsumerGroupHeartbeatRequest<'_>) -> Beat {
        let topic = self.peer.topic("t").id;
        let body = self.ask(version, request);
        let answer: ConsumerGroupHeartbeatResponse<'_> = read(&body, version);
        assert_eq!(answer.error_message.is_some(), answer.error_code != 0);
        let assignment = answer.assignment.map(|it| {
            assert!(it.topic_partitions.iter().all(|it| it.topic_id == topic));
            it.topic_partitions.into_iter().flat_map(|it| it.partitions).collect()
        });
        let member_id = answer.member_id.unwrap_or_default().into_owned();
        (answer.error_code, member_id, answer.member_epoch, assignment)
    }

    fn describe_consumers(&mut self, version: i16) -> Vec<u8> {
        let groups = vec!["g".into(), "nobody".into()];
        let request = ConsumerGroupDescribeRequest { group_ids: groups, include_authorized_operations: true };
        self.ask(version, &request)
    }
}

#[test]
fn consumers_of_the_new_protocol_join_commit_and_leave_in_every_version() {
    for version in 0..=1 {
        let mut groups = Groups::new();
        let unknown =
            ConsumerGroupHeartbeatRequest { member_epoch: 1, member_id: "x".into(), ..consumer(1, "x") };
        assert_eq!(groups.beat(version, &unknown).0, code(ErrorCode::GroupIdNotFound));
        let (error, id, epoch, assignment) = groups.beat(version, &consumer(version, "me"));
        assert_eq!((error, epoch, assignment), (0, 1, Some(vec![0, 1])));
        assert_eq!(id == "me", version >= 1, "v0: the server gives the id");
        let again = ConsumerGroupHeartbeatRequest {
            group_id: "g".into(),
            member_id: id.clone().into(),
            member_epoch: 1,
            ..Default::default()
        };
        assert_eq!(groups.beat(version, &again), (0, id.clone(), 1, None));
        let fenced = ConsumerGroupHeartbeatRequest { member_epoch: 7, ..again.clone() };
        assert_eq!(groups.beat(version, &fenced).0, code(ErrorCode::FencedMemberEpoch));
        // Commits name the member's epoch.
        for (version, epoch, error) in [
            (9, 1, ErrorCode::None),
            (10, 1, ErrorCode::None),
            (9, 2, ErrorCode::StaleMemberEpoch),
            (8, 1, ErrorCode::UnsupportedVersion),
        ] {
            assert_eq!(groups.commit(version, &id, epoch, "t"), code(error), "v{version} epoch {epoch}");
        }
        assert_eq!(groups.commit(9, "stranger", 1, "t"), code(ErrorCode::UnknownMemberId));
        // Classic members are taken in as well, by their own rules.
        assert_eq!(groups.join(9, "").0, code(ErrorCode::MemberIdRequired));
        let leaving = ConsumerGroupHeartbeatRequest { member_epoch: -1, ..again };
        assert_eq!(groups.beat(version, &leaving), (0, id, -1, None));
        assert_eq!(groups.join(3, "").0, 0, "an empty group takes the protocol of who comes");
        let (error, _, epoch, assignment) = groups.beat(version, &consumer(version, "me"));
        assert_eq!((error, epoch, assignment.map(|it| it.len())), (0, 2, Some(1)), "a live one goes over");
    }
}

#[test]
fn consumers_of_the_new_protocol_are_described_and_listed() {
    for version in 0..=1 {
        let mut groups = Groups::new();
        groups.beat(1, &consumer(1, "me"));
        let body = groups.describe_consumers(version);
        let answer: ConsumerGroupDescribeResponse<'_> = read(&body, version);
        let [known, unknown] = &answer.groups[..] else { panic!("{answer:?}") };
        assert_eq!((known.error_code, &*known.group_state, &*known.assignor_name), (0, "Stable", "uniform"));
        assert_eq!((known.group_epoch, known.assignment_epoch, known.members.len()), (1, 1, 1));
        assert!(known.authorized_operations > 0);
        let member = &known.members[0];
        assert_eq!((&*member.member_id, &*member.client_id, member.member_epoch), ("me", "tester", 1));
        assert_eq!(member.member_type, if version >= 1 { 1 } else { -1 });
        assert_eq!(member.assignment, member.target_assignment);
        assert_eq!(&*member.assignment.topic_partitions[0].topic_name, "t");
        assert_eq!(unknown.error_code, code(ErrorCode::GroupIdNotFound));
    }
    let mut groups = Groups::new();
    groups.beat(1, &consumer(1, "me"));
    let body =
        groups.ask(5, &ListGroupsRequest { types_filter: vec!["consumer".into()], ..Default::default() });
    let listed: ListGroupsResponse<'_> = read(&body, 5);
    let group = &listed.groups[0];
    assert_eq!(
        (&*group.protocol_type, &*group.group_state, &*group.group_type),
        ("consumer", "Stable", "consumer")
    );
    // DescribeGroups is about classic groups only.
    let request = DescribeGroupsRequest { groups: vec!["g".into()], ..Default::default() };
    let body = groups.ask(5, &request);
    let answer: DescribeGroupsResponse<'_> = read(&body, 5);
    assert_eq!((&*answer.groups[0].group_state, answer.groups[0].error_code), ("Dead", 0));
    let owned = TopicPartitions { topic_id: groups.peer.topic("t").id, partitions: vec![0] };
    let joining = ConsumerGroupHeartbeatRequest { topic_partitions: Some(vec![owned]), ..consumer(1, "you") };
    assert_eq!(groups.beat(1, &joining).0, code(ErrorCode::InvalidRequest));
}
