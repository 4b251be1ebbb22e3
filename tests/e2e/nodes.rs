//! Which nodes a server shows to whom, and which of them a connection answers for.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;

use ringmain::base::{ProducerEpoch, ProducerId, TimestampMs};
use ringmain::protocol::messages::describe_log_dirs_request::DescribableLogDirTopic;
use ringmain::protocol::messages::metadata_request::MetadataRequestTopic;
use ringmain::protocol::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use ringmain::protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use ringmain::protocol::messages::{
    ApiVersionsRequest, ApiVersionsResponse, DescribeLogDirsRequest, DescribeLogDirsResponse,
    FindCoordinatorRequest, FindCoordinatorResponse, ListGroupsRequest, ListGroupsResponse, MetadataRequest,
    MetadataResponse, OffsetCommitRequest, OffsetCommitResponse, ProduceRequest, ProduceResponse,
};
use ringmain::protocol::{
    ApiKey, ErrorCode, Message, Records, decode_body, encode_request, response_header_version,
};
use ringmain::record::BatchBuilder;

use super::server::{PATIENCE, Server, wait_until};

const TOPIC: &str = "spread";
const PARTITIONS: i32 = 4;
const GROUPS: usize = 6;

/// What a client says of itself and of the node it means.
#[derive(Clone, Copy)]
struct Says<'a> {
    version: i16,
    name: &'static str,
    meant: Option<(&'a str, i32)>,
}

impl<'a> Says<'a> {
    const OLD: Says<'static> = Says { version: 3, name: "sarama", meant: None };

    fn of(cluster: &'a str, node: i32) -> Says<'a> {
        Says { version: 5, name: "apache-kafka-java", meant: Some((cluster, node)) }
    }

    fn request(self) -> ApiVersionsRequest<'a> {
        ApiVersionsRequest {
            client_software_name: self.name.into(),
            client_software_version: "4.4.0".into(),
            cluster_id: self.meant.map(|(cluster, _)| cluster.into()),
            node_id: self.meant.map_or(-1, |(_, node)| node),
        }
    }
}

/// A connection that sends what it is told to.
struct Raw(TcpStream);

impl Raw {
    fn open(address: &str) -> Raw {
        let stream = TcpStream::connect(address).expect("the server listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        Raw(stream)
    }

    fn saying(address: &str, says: Says<'_>) -> Raw {
        let mut raw = Raw::open(address);
        assert_eq!(raw.say(says), ErrorCode::None);
        raw
    }

    fn say(&mut self, says: Says<'_>) -> ErrorCode {
        let body = self.call(says.version, &says.request());
        let answer: ApiVersionsResponse<'_> = decode_body(&body, says.version).expect("readable");
        assert_eq!(answer.api_keys.is_empty(), answer.error_code != 0);
        ErrorCode::from_code(answer.error_code).expect("a known code")
    }

    fn call<'a, M: Message<'a>>(&mut self, version: i16, request: &M) -> Vec<u8> {
        self.0.write_all(&frame(version, request)).expect("the server reads");
        self.receive::<M>(version)
    }

    fn receive<'a, M: Message<'a>>(&mut self, version: i16) -> Vec<u8> {
        let mut size = [0; 4];
        self.0.read_exact(&mut size).expect("an answer");
        let mut answer = vec![0; usize::try_from(i32::from_be_bytes(size)).expect("a size")];
        self.0.read_exact(&mut answer).expect("a whole answer");
        let header = if response_header_version(M::API_KEY, version) >= 1 { 5 } else { 4 };
        answer.split_off(header)
    }

    fn metadata<T>(&mut self, look: impl FnOnce(&MetadataResponse<'_>) -> T) -> T {
        let topic = MetadataRequestTopic { name: Some(TOPIC.into()), ..MetadataRequestTopic::default() };
        let request = MetadataRequest { topics: Some(vec![topic]), ..MetadataRequest::default() };
        let body = self.call(12, &request);
        look(&decode_body(&body, 12).expect("readable"))
    }

    fn nodes(&mut self) -> Vec<i32> {
        self.metadata(|answer| answer.brokers.iter().map(|node| node.node_id).collect())
    }

    fn groups(&mut self) -> Vec<String> {
        let body = self.call(4, &ListGroupsRequest::default());
        let answer: ListGroupsResponse<'_> = decode_body(&body, 4).expect("readable");
        answer.groups.iter().map(|group| group.group_id.to_string()).collect()
    }

    fn sized(&mut self) -> Vec<i32> {
        let body = self.call(4, &DescribeLogDirsRequest { topics: None::<Vec<DescribableLogDirTopic<'_>>> });
        let answer: DescribeLogDirsResponse<'_> = decode_body(&body, 4).expect("readable");
        let topics = answer.results[0].topics.iter().filter(|topic| topic.name == TOPIC);
        topics.flat_map(|topic| &topic.partitions).map(|it| it.partition_index).collect()
    }

    /// One record to each partition; the errors, and who is said to lead where something is refused.
    fn produce(&mut self, partitions: &[i32]) -> Vec<(i16, i32)> {
        // Of an idempotent producer: others are never refused anything. Whatever comes again is known and taken as done.
        let mut batch = BatchBuilder::new(TimestampMs(1)).producer(ProducerId(7), ProducerEpoch(0), 0);
        batch.append(None, Some(b"v"));
        let batch = batch.finish().expect("a small batch");
        let data = |index: &i32| PartitionProduceData { index: *index, records: Records::Borrowed(&batch) };
        let topic = TopicProduceData {
            name: TOPIC.into(),
            partition_data: partitions.iter().map(data).collect(),
            ..TopicProduceData::default()
        };
        let request = ProduceRequest { acks: -1, topic_data: vec![topic], ..ProduceRequest::default() };
        let body = self.call(12, &request);
        let answer: ProduceResponse<'_> = decode_body(&body, 12).expect("readable");
        let results = answer.responses[0].partition_responses.iter();
        let results: Vec<_> = results.map(|it| (it.error_code, it.current_leader.leader_id)).collect();
        let named = |leader: &i32| answer.node_endpoints.iter().any(|node| node.node_id == *leader);
        assert!(results.iter().all(|(error, leader)| *error == 0 || named(leader)), "{results:?}");
        results
    }
}

fn frame<'a, M: Message<'a>>(version: i16, request: &M) -> Vec<u8> {
    let api = ApiKey::from_code(M::API_KEY).expect("a request has an API");
    encode_request(api, version, 1, Some("raw"), request).expect("it encodes").to_vec()
}

/// A server with a topic on both its cores and groups that are coordinated by both, and its cluster's id.
fn started(args: &[&str]) -> (Server, String) {
    let server = Server::start_with(&[&["--shards", "2"], args].concat());
    server.create_topic(TOPIC, PARTITIONS, &[]);
    let mut raw = Raw::open(server.address());
    for number in 0..GROUPS {
        let group = format!("group-{number}");
        wait_until("the coordinator is there", || {
            let request = FindCoordinatorRequest {
                coordinator_keys: vec![group.as_str().into()],
                ..FindCoordinatorRequest::default()
            };
            let body = raw.call(4, &request);
            decode_body::<FindCoordinatorResponse<'_>>(&body, 4).expect("readable").coordinators[0].error_code
                == 0
        });
        let partition = OffsetCommitRequestPartition {
            committed_offset: 0,
            committed_metadata: Some("".into()),
            ..OffsetCommitRequestPartition::default()
        };
        let topic = OffsetCommitRequestTopic {
            name: TOPIC.into(),
            partitions: vec![partition],
            ..OffsetCommitRequestTopic::default()
        };
        let request = OffsetCommitRequest {
            group_id: group.as_str().into(),
            generation_id_or_member_epoch: -1,
            topics: vec![topic],
            ..OffsetCommitRequest::default()
        };
        wait_until("the offset is committed", || {
            let body = raw.call(8, &request);
            let answer: OffsetCommitResponse<'_> = decode_body(&body, 8).expect("readable");
            answer.topics[0].partitions[0].error_code == 0
        });
    }
    let cluster = raw.metadata(|answer| answer.cluster_id.as_deref().expect("told").to_owned());
    (server, cluster)
}

/// How often each group and each partition is told of when every node of a list is asked.
fn counts(nodes: &[i32], mut connect: impl FnMut(i32) -> Raw) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for node in nodes {
        let mut raw = connect(*node);
        let partitions = raw.sized().into_iter().map(|index| index.to_string());
        for name in raw.groups().into_iter().chain(partitions) {
            *counts.entry(name).or_default() += 1;
        }
    }
    counts
}

fn check_once(counts: &BTreeMap<String, usize>) {
    assert_eq!(counts.len(), GROUPS + usize::try_from(PARTITIONS).expect("few"), "{counts:?}");
    assert!(counts.values().all(|count| *count == 1), "{counts:?}");
}

#[test]
fn whoever_asks_every_node_is_told_everything_once() {
    let (server, cluster) = started(&[]);
    let address = server.address();
    let mut old = Raw::saying(address, Says::OLD);
    assert_eq!(old.nodes(), [1000]);
    check_once(&counts(&[1000], |_| Raw::saying(address, Says::OLD)));
    let mut unnamed = Raw::saying(address, Says { version: 5, name: "kgo", meant: None });
    assert_eq!(unnamed.nodes(), [1000]);
    // Who knows the one node only is told everything there, also when it has been told of the cores since.
    let named = |node| Raw::saying(address, Says::of(&cluster, node));
    check_once(&counts(&[1000], named));
    let mut first = named(1000);
    assert_eq!(first.nodes(), [1001, 1002]);
    assert_eq!(first.groups().len(), GROUPS);
    let mut cores = named(1002);
    assert_eq!(cores.nodes(), [1001, 1002]);
    check_once(&counts(&[1001, 1002], named));
    // Cores that are no more are taken for right and have nothing.
    check_once(&counts(&[1001, 1002, 1003, 1999], named));
}

#[test]
fn with_ports_of_their_own_nodes_need_not_be_named() {
    let (server, cluster) = started(&["--advertise", "shard-ports"]);
    let address = server.address();
    let (host, port) = address.rsplit_once(':').expect("host and port");
    let port: u16 = port.parse().expect("a number");
    let of = |node: i32| format!("{host}:{}", port + u16::try_from(node - 1001).expect("a core"));
    let nodes = Raw::saying(address, Says::OLD).nodes();
    assert_eq!(nodes, [1001, 1002]);
    check_once(&counts(&nodes, |node| Raw::saying(&of(node), Says::OLD)));
    check_once(&counts(&nodes, |node| Raw::saying(&of(node), Says::of(&cluster, node))));
}

#[test]
fn a_connection_is_where_the_core_is_that_it_names() {
    let (server, cluster) = started(&[]);
    let address = server.address();
    let mut leaders: BTreeMap<i32, Vec<i32>> = BTreeMap::new();
    Raw::saying(address, Says::of(&cluster, 1000)).metadata(|answer| {
        for partition in &answer.topics[0].partitions {
            leaders.entry(partition.leader_id).or_default().push(partition.partition_index);
        }
    });
    assert_eq!(leaders.keys().copied().collect::<Vec<_>>(), [1001, 1002]);
    let crossed = server.metric("ringmain_cross_shard_messages_total");
    let moved = server.metric("ringmain_connections_moved_total");
    for _ in 0..8 {
        for (node, partitions) in &leaders {
            // What comes right behind moves with it.
            let mut raw = Raw::open(address);
            let says = Says::of(&cluster, *node);
            let metadata = MetadataRequest { topics: Some(Vec::new()), ..MetadataRequest::default() };
            let both = [frame(5, &says.request()), frame(12, &metadata)].concat();
            raw.0.write_all(&both).expect("the server reads");
            let body = raw.receive::<ApiVersionsRequest<'_>>(5);
            assert_eq!(decode_body::<ApiVersionsResponse<'_>>(&body, 5).expect("readable").error_code, 0);
            let body = raw.receive::<MetadataRequest<'_>>(12);
            assert_eq!(decode_body::<MetadataResponse<'_>>(&body, 12).expect("readable").brokers.len(), 2);
            assert_eq!(raw.produce(partitions), vec![(0, -1); partitions.len()]);
            // Not even its groups are anywhere else.
            raw.groups();
        }
    }
    assert_eq!(server.metric("ringmain_cross_shard_messages_total"), crossed);
    // The kernel puts a connection on either core; sixteen of them on the right one each would be luck.
    assert!(server.metric("ringmain_connections_moved_total") > moved);
}

#[test]
fn who_has_come_to_another_server_is_told_so_and_may_stay() {
    let (server, cluster) = started(&[]);
    let mut raw = Raw::open(server.address());
    let half = |cluster_id: Option<&'static str>, node_id| ApiVersionsRequest {
        client_software_name: "kgo".into(),
        client_software_version: "v1.22.3".into(),
        cluster_id: cluster_id.map(Into::into),
        node_id,
    };
    for (request, code) in [
        (half(Some("AAAAAAAAAAAAAAAAAAAAAQ"), 1001), ErrorCode::RebootstrapRequired),
        (half(Some(""), 1001), ErrorCode::RebootstrapRequired),
        (half(Some("AAAAAAAAAAAAAAAAAAAAAQ"), -1), ErrorCode::InvalidRequest),
        (half(None, 1001), ErrorCode::InvalidRequest),
    ] {
        let body = raw.call(5, &request);
        // An error, no API, no time to wait, no tags.
        let mut empty = code.code().to_be_bytes().to_vec();
        empty.extend_from_slice(&[1, 0, 0, 0, 0, 0]);
        assert_eq!(body, empty);
    }
    assert_eq!(raw.say(Says::of(&cluster, 2001)), ErrorCode::RebootstrapRequired);
    assert_eq!(raw.nodes(), [1000]);
    assert_eq!(raw.say(Says::of(&cluster, 1001)), ErrorCode::None);
    assert_eq!(raw.nodes(), [1001, 1002]);
    // It has said what it is.
    assert_eq!(raw.say(Says::OLD), ErrorCode::None);
    assert_eq!(raw.nodes(), [1001, 1002]);
}

#[test]
fn a_client_that_knows_one_node_is_told_once_who_leads() {
    let (server, cluster) = started(&[]);
    let mut raw = Raw::saying(server.address(), Says::of(&cluster, 1000));
    let all: Vec<i32> = (0..PARTITIONS).collect();
    let first: Vec<_> = all.iter().copied().zip(raw.produce(&all)).collect();
    let refused: Vec<_> = first.iter().filter(|(_, (error, _))| *error != 0).collect();
    assert_eq!(refused.len(), 2, "those of the other core: {first:?}");
    assert_eq!(raw.produce(&all), vec![(0, -1); all.len()], "once");
    for (index, (error, leader)) in refused {
        assert_eq!(*error, ErrorCode::NotLeaderOrFollower.code());
        raw.metadata(|answer| {
            let partition = answer.topics[0].partitions.iter().find(|it| it.partition_index == *index);
            assert_eq!(partition.expect("there").leader_id, *leader);
        });
        let mut there = Raw::saying(server.address(), Says::of(&cluster, *leader));
        assert_eq!(there.produce(&[*index]), [(0, -1)]);
    }
    // Nobody who has not named the server's node is refused anything.
    assert_eq!(Raw::saying(server.address(), Says::OLD).produce(&all), vec![(0, -1); all.len()]);
}
