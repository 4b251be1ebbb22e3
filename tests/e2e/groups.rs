//! Groups and the end of the process: whatever end it was, and however many shards there are afterwards.

use std::collections::BTreeMap;

use ringmain::base::{Offset, PartitionIndex};
use ringmain::client::{CommittedOffset, Connection, ConnectionOptions, Groups};
use ringmain::protocol::ErrorCode;
use ringmain::protocol::messages::join_group_request::JoinGroupRequestProtocol;
use ringmain::protocol::messages::sync_group_request::SyncGroupRequestAssignment;
use ringmain::protocol::messages::{
    ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse, HeartbeatRequest, HeartbeatResponse,
    JoinGroupRequest, JoinGroupResponse, SyncGroupRequest, SyncGroupResponse,
};

use super::server::{PATIENCE, Server, topic_name, wait_until};

const GROUPS: usize = 12;

/// A group of one member, of the one protocol or the other.
struct Member {
    group: String,
    id: String,
    /// Or its epoch.
    generation: i32,
    is_classic: bool,
}

fn connect(server: &Server) -> Connection {
    let options = ConnectionOptions { request_timeout: PATIENCE, ..Default::default() };
    Connection::connect(server.address(), &options).expect("the server answers")
}

impl Member {
    fn join(connection: &mut Connection, group: String, topic: &str, is_classic: bool) -> Member {
        let mut member = Member { group, id: "me".to_owned(), generation: 0, is_classic };
        if is_classic {
            member.join_classic(connection)
        } else {
            member.join_new(connection, topic)
        }
        member
    }

    fn join_classic(&mut self, connection: &mut Connection) {
        let join = JoinGroupRequest {
            group_id: self.group.as_str().into(),
            session_timeout_ms: 60_000,
            rebalance_timeout_ms: 60_000,
            protocol_type: "consumer".into(),
            protocols: vec![JoinGroupRequestProtocol { name: "range".into(), ..Default::default() }],
            ..Default::default()
        };
        connection.send_version(&join, 3).expect("the server reads");
        let answer = connection.receive().expect("the server answers");
        let joined: JoinGroupResponse<'_> = answer.decode().expect("a JoinGroup answer");
        assert_eq!(joined.error_code, 0);
        (self.id, self.generation) = (joined.member_id.to_string(), joined.generation_id);
        let assignment = SyncGroupRequestAssignment {
            member_id: self.id.as_str().into(),
            assignment: self.group.as_bytes().into(),
        };
        let sync = SyncGroupRequest {
            group_id: self.group.as_str().into(),
            generation_id: self.generation,
            member_id: self.id.as_str().into(),
            assignments: vec![assignment],
            ..Default::default()
        };
        connection.send_version(&sync, 2).expect("the server reads");
        let answer = connection.receive().expect("the server answers");
        let synced: SyncGroupResponse<'_> = answer.decode().expect("a SyncGroup answer");
        assert_eq!(synced.error_code, 0);
    }

    fn join_new(&mut self, connection: &mut Connection, topic: &str) {
        let heartbeat = ConsumerGroupHeartbeatRequest {
            rebalance_timeout_ms: 60_000,
            subscribed_topic_names: Some(vec![topic.to_owned().into()]),
            topic_partitions: Some(Vec::new()),
            ..self.heartbeat()
        };
        let answer = connection.call(&heartbeat).expect("the server answers");
        let joined: ConsumerGroupHeartbeatResponse<'_> = answer.decode().expect("a heartbeat's answer");
        assert_eq!(joined.error_code, 0, "{:?}", joined.error_message);
        self.generation = joined.member_epoch;
    }

    fn heartbeat(&self) -> ConsumerGroupHeartbeatRequest<'static> {
        ConsumerGroupHeartbeatRequest {
            group_id: self.group.clone().into(),
            member_id: self.id.clone().into(),
            member_epoch: self.generation,
            rebalance_timeout_ms: -1,
            ..Default::default()
        }
    }

    /// The error of a sign of life in the generation or epoch it knows.
    fn beat(&self, connection: &mut Connection) -> i16 {
        if self.is_classic {
            let heartbeat = HeartbeatRequest {
                group_id: self.group.as_str().into(),
                generation_id: self.generation,
                member_id: self.id.as_str().into(),
                group_instance_id: None,
            };
            let answer = connection.call(&heartbeat).expect("the server answers");
            return answer.decode::<HeartbeatResponse>().expect("a Heartbeat answer").error_code;
        }
        let answer = connection.call(&self.heartbeat()).expect("the server answers");
        let answer: ConsumerGroupHeartbeatResponse<'_> = answer.decode().expect("a heartbeat's answer");
        answer.error_code
    }
}

/// State, members with what they have, and committed offsets of each group.
fn seen(groups: &mut Groups, names: &[String]) -> BTreeMap<String, String> {
    let look = |name: &String| {
        let view = groups.describe(name).expect("it is there");
        let committed = groups.committed(name).expect("it is there");
        (name.clone(), format!("{} {:?} {committed:?}", view.state, view.members))
    };
    names.iter().map(look).collect()
}

fn committed(topic: &str, partition: i32, offset: i64) -> CommittedOffset {
    let (partition, offset) = (PartitionIndex(partition), Offset(offset));
    CommittedOffset { topic: topic.to_owned(), partition, offset }
}

#[test]
fn groups_are_the_same_after_any_end_on_any_number_of_shards() {
    let mut server = Server::start_with(&["--shards", "1"]);
    let (topic, gone) = (topic_name("moving"), topic_name("moving-gone"));
    server.create_topic(&topic, 3, &[]);
    server.create_topic(&gone, 1, &[]);
    let name = |number: usize| format!("{topic}-{number}");
    let mut groups = Groups::new(server.cluster(), PATIENCE);
    for number in 0..GROUPS {
        let offsets = [committed(&topic, 1, 100 + number as i64), committed(&gone, 0, 7)];
        groups.commit(&name(number), &offsets).expect("committed");
    }
    let mut connection = connect(&server);
    let members: Vec<Member> = (0..GROUPS - 2)
        .map(|number| Member::join(&mut connection, name(number), &topic, number % 2 == 0))
        .collect();
    // The last but one has offsets only, the last is deleted, and so is one of the topics.
    groups.delete(&name(GROUPS - 1)).expect("deleted");
    server.admin().delete_topic(&gone).expect("deleted");
    let names: Vec<String> = (0..GROUPS - 1).map(name).collect();
    wait_until("offsets go with their topic", || {
        names.iter().all(|name| groups.committed(name).expect("it is there").len() == 1)
    });
    let before = seen(&mut groups, &names);
    for (end, shards) in [("kill", "2"), ("stop", "1"), ("kill", "1"), ("stop", "2"), ("kill", "2")] {
        drop(groups);
        match end {
            "kill" => server.kill(),
            _ => server.stop(),
        }
        server.start_again(&["--shards", shards]);
        groups = Groups::new(server.cluster(), PATIENCE);
        assert_eq!(seen(&mut groups, &names), before, "after {end}, on {shards} shards");
        let listed = groups.list().expect("listed");
        assert_eq!(listed.iter().filter(|it| it.group.starts_with(&topic)).count(), names.len());
        let deleted = groups.describe(&name(GROUPS - 1)).expect_err("it was deleted");
        assert_eq!(deleted.code(), Some(ErrorCode::GroupIdNotFound));
        let mut connection = connect(&server);
        for member in &members {
            assert_eq!(member.beat(&mut connection), 0, "{} after {end}", member.group);
        }
    }
    server.stop();
}

#[test]
fn there_are_only_so_many_groups() {
    let server = Server::start_with(&["--shards", "1", "--set", "ringmain.groups.max=3"]);
    let topic = topic_name("few");
    server.create_topic(&topic, 1, &[]);
    let name = |number: usize| format!("{topic}-{number}");
    let mut groups = Groups::new(server.cluster(), PATIENCE);
    let mut commit =
        |number: usize, offset: i64| groups.commit(&name(number), &[committed(&topic, 0, offset)]);
    for number in 0..3 {
        commit(number, 1).expect("there is room");
    }
    for number in 3..6 {
        let refused = commit(number, 1).expect_err("no room");
        assert_eq!(refused.code(), Some(ErrorCode::PolicyViolation));
    }
    commit(0, 2).expect("a group that is there goes on");
    groups.delete(&name(1)).expect("deleted");
    Member::join(&mut connect(&server), name(3), &topic, true);
    assert_eq!(groups.committed(&name(0)).expect("it is there")[0].offset, Offset(2));
}
