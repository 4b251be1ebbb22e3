//! The APIs as a connection meets them: a request's bytes go in, the shards' replies are given, an answer's bytes come
//! out, in the lowest and highest version served and wherever a version changed what is said.

mod groups;
mod peer;

use std::collections::BTreeMap;

use bytes::{BufMut, Bytes, BytesMut};

use peer::{End, Peer, read};
use ringmain::api::wants_shard;
use ringmain::base::{
    LeaderEpoch, Offset, PartitionIndex, Payload, ProducerId, ShardId, TimestampMs, TopicId,
};
use ringmain::config::{Advertise, Config};
use ringmain::controller::View;
use ringmain::protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use ringmain::protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use ringmain::protocol::messages::metadata_request::MetadataRequestTopic;
use ringmain::protocol::messages::offset_for_leader_epoch_request::{
    OffsetForLeaderPartition, OffsetForLeaderTopic,
};
use ringmain::protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use ringmain::protocol::messages::{
    ApiVersionsRequest, ApiVersionsResponse, DescribeClusterRequest, DescribeClusterResponse, FetchRequest,
    FetchResponse, ListOffsetsRequest, ListOffsetsResponse, MetadataRequest, MetadataResponse,
    OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse, ProduceRequest, ProduceResponse,
};
use ringmain::protocol::{ApiKey, ErrorCode, Records, encode_request};
use ringmain::record::BatchError;
use ringmain::shard::{
    Appended, EpochEnd, FetchResult, Fetched, ListedOffset, OffsetLookup, PartitionError, ProduceResult,
    ShardReply, ShardRequest,
};

/// What Kafka 4.3 serves of the APIs built so far: key, lowest as shown, lowest as served, highest (KAFKA.md §1.1).
const SERVED: [(i16, i16, i16, i16); 38] = [
    (0, 0, 3, 13),
    (1, 4, 4, 18),
    (2, 1, 1, 11),
    (3, 0, 0, 13),
    (8, 2, 2, 10),
    (9, 1, 1, 10),
    (10, 0, 0, 6),
    (11, 0, 0, 9),
    (12, 0, 0, 4),
    (13, 0, 0, 5),
    (14, 0, 0, 5),
    (15, 0, 0, 6),
    (16, 0, 0, 5),
    (18, 0, 0, 4),
    (19, 2, 2, 7),
    (20, 1, 1, 6),
    (21, 0, 0, 2),
    (22, 0, 0, 5),
    (23, 2, 2, 4),
    (32, 1, 1, 4),
    (33, 0, 0, 2),
    (35, 1, 1, 5),
    (37, 0, 0, 3),
    (42, 0, 0, 2),
    (43, 0, 0, 2),
    (44, 0, 0, 1),
    (45, 0, 0, 1),
    (46, 0, 0, 0),
    (47, 0, 0, 0),
    (55, 0, 0, 2),
    (60, 0, 0, 2),
    (61, 0, 0, 0),
    (68, 0, 0, 1),
    (69, 0, 0, 1),
    (71, 0, 0, 0),
    (72, 0, 0, 0),
    (74, 0, 0, 1),
    (75, 0, 0, 0),
];

const RECORDS: &[u8] = b"one record batch, as it arrived";

fn nobody(_: ShardId, request: &ShardRequest) -> ShardReply {
    panic!("nobody should be asked {request:?}")
}

fn code(code: ErrorCode) -> i16 {
    code.code()
}

// --- Frame, table, ApiVersions ------------------------------------------------------------------------------------

fn api_versions(name: &'static str, version: &'static str) -> ApiVersionsRequest<'static> {
    ApiVersionsRequest { client_software_name: name.into(), client_software_version: version.into() }
}

#[test]
fn api_versions_shows_exactly_what_is_served() {
    for version in 0..=4 {
        let request = if version >= 3 { api_versions("kgo", "1.2") } else { ApiVersionsRequest::default() };
        let body = Peer::new(&[]).ask(version, &request);
        let answer: ApiVersionsResponse<'_> = read(&body, version);
        assert_eq!(answer.error_code, 0);
        let shown: Vec<_> =
            answer.api_keys.iter().map(|api| (api.api_key, api.min_version, api.max_version)).collect();
        assert_eq!(shown, SERVED.map(|(key, shown, _, max)| (key, shown, max)), "version {version}");
        let features = usize::from(version >= 3);
        assert_eq!(answer.supported_features.len(), features);
        assert_eq!(
            (answer.finalized_features.len(), answer.finalized_features_epoch),
            (features, -1 + features as i64)
        );
        assert!(
            answer
                .finalized_features
                .iter()
                .all(|it| (&*it.name, it.max_version_level) == ("group.version", 1))
        );
    }
}

fn bare_frame(key: i16, version: i16, rest: &[u8]) -> Bytes {
    let mut frame = BytesMut::new();
    frame.put_i16(key);
    frame.put_i16(version);
    frame.put_i32(77);
    frame.put_i16(3);
    frame.put_slice(b"abc");
    frame.put_slice(rest);
    frame.freeze()
}

#[test]
fn unserved_versions_close_the_connection_and_say_why() {
    let mut peer = Peer::new(&[]);
    let mut closes = |key: i16, version: i16| {
        let reason = peer.send_frame(&bare_frame(key, version, &[0; 64]), 4, nobody).reason();
        let name = ApiKey::from_code(key).map_or_else(|| key.to_string(), |key| format!("{key:?}"));
        for part in [&*name, &format!("version {version}"), "\"abc\""] {
            assert!(reason.contains(part), "{part} is not in {reason:?}");
        }
    };
    for (key, _, min, max) in SERVED.into_iter().filter(|(key, ..)| *key != ApiKey::ApiVersions.code()) {
        for version in [i16::MIN, min - 1, max + 1, i16::MAX] {
            closes(key, version);
        }
    }
    for key in [i16::MIN, -1, 4, 7, 24, 93, i16::MAX] {
        closes(key, 0);
    }
}

#[test]
fn an_unserved_version_of_api_versions_is_answered_in_version_0() {
    for version in [-1, 5, i16::MAX] {
        let body = Peer::new(&[]).send_frame(&bare_frame(18, version, &[0; 8]), 4, nobody).body();
        let answer: ApiVersionsResponse<'_> = read(&body, 0);
        assert_eq!(answer.error_code, code(ErrorCode::UnsupportedVersion));
        let shown: Vec<_> =
            answer.api_keys.iter().map(|api| (api.api_key, api.min_version, api.max_version)).collect();
        assert_eq!(shown, [(18, 0, 4)]);
    }
}

#[test]
fn software_names_are_checked_and_remembered() {
    let check = |name, version, good: bool| {
        let mut peer = Peer::new(&[]);
        let body = peer.ask(3, &api_versions(name, version));
        let error = read::<ApiVersionsResponse<'_>>(&body, 3).error_code;
        assert_eq!(error == 0, good, "{name:?} {version:?}");
        assert!(good || error == code(ErrorCode::InvalidRequest));
        let remembered = (peer.connection.software_name.as_str(), peer.connection.software_version.as_str());
        assert_eq!(remembered, if good { (name, version) } else { ("", "") });
    };
    check("apache-kafka-java", "4.3.0", true);
    check("a", "1", true);
    check("confluent-kafka-python", "2.16.1-rdkafka-2.16.0", true);
    check("", "1", false);
    check("a", "", false);
    check("-a", "1", false);
    check("a.", "1", false);
    check("a b", "1", false);
    check("a", "1\n", false);
    check("naïve", "1", false);
}

#[test]
fn the_view_follows_the_client_that_names_itself() {
    let check = |name, version, view| {
        let mut peer = Peer::new(&[]);
        peer.ask(3, &api_versions(name, version));
        assert_eq!(peer.connection.view, view, "{name} {version}");
    };
    check("apache-kafka-java", "4.3.0", View::Shards);
    check("librdkafka", "2.10.0", View::Shards);
    check("librdkafka", "2.0.2", View::Server);
    check("confluent-kafka-python", "2.16.1-rdkafka-2.16.0", View::Shards);
    check("somebody", "1.0", View::Server);
}

#[test]
fn bodies_that_cannot_be_read_close_the_connection() {
    for (key, _, min, max) in SERVED {
        for version in [min, max] {
            // These have no body before v3, and what follows a request is ignored.
            if [ApiKey::ApiVersions.code(), ApiKey::ListGroups.code()].contains(&key) && version == 0 {
                continue;
            }
            let end = Peer::new(&[]).send_frame(&bare_frame(key, version, &[0xff; 3]), 4, nobody);
            assert!(matches!(end, End::Closed(_)), "API {key} version {version}: {end:?}");
        }
    }
    let end = Peer::new(&[]).send_frame(&Bytes::from_static(&[0, 3, 0]), 4, nobody);
    assert!(matches!(end, End::Closed(_)));
}

// --- Metadata, DescribeCluster ------------------------------------------------------------------------------------

fn named(names: &[&'static str]) -> MetadataRequest<'static> {
    let topics = names
        .iter()
        .map(|name| MetadataRequestTopic { name: Some((*name).into()), ..MetadataRequestTopic::default() });
    MetadataRequest { topics: Some(topics.collect()), ..MetadataRequest::default() }
}

fn errors(answer: &MetadataResponse<'_>) -> BTreeMap<String, i16> {
    let topics = answer.topics.iter();
    topics.map(|topic| (topic.name.as_deref().unwrap_or("").to_owned(), topic.error_code)).collect()
}

fn without_creation() -> Config {
    let mut config = Config::default();
    config.topics.auto_create = false;
    config
}

#[test]
fn metadata_describes_a_topic_in_every_version() {
    for version in 0..=13 {
        let mut peer = Peer::new(&[("a", 3)]);
        let id = peer.topic("a").id;
        let body = peer.ask(version, &named(&["a"]));
        let answer: MetadataResponse<'_> = read(&body, version);
        let [topic] = answer.topics.as_slice() else { panic!("one topic, not {:?}", answer.topics) };
        assert_eq!((topic.error_code, topic.name.as_deref()), (0, Some("a")));
        assert_eq!(topic.topic_id, if version >= 10 { id } else { TopicId::ZERO });
        assert_eq!(topic.topic_authorized_operations, i32::MIN);
        let indexes: Vec<i32> = topic.partitions.iter().map(|partition| partition.partition_index).collect();
        assert_eq!(indexes, [0, 1, 2]);
        let node = answer.brokers[0].node_id;
        for partition in &topic.partitions {
            assert_eq!(partition.leader_id, node);
            assert_eq!(
                (partition.replica_nodes.as_slice(), partition.isr_nodes.as_slice()),
                (&[node][..], &[node][..])
            );
            assert_eq!(partition.leader_epoch >= 0, version >= 7, "leader epochs from v7");
        }
        assert_eq!(answer.controller_id, if version >= 1 { node } else { -1 });
        assert_eq!(answer.cluster_id.is_some(), version >= 2);
        assert_eq!(answer.error_code, 0);
    }
}

#[test]
fn all_topics_are_asked_for_by_an_empty_list_in_v0_and_by_null_after() {
    let count = |version: i16, topics: Option<Vec<MetadataRequestTopic<'static>>>| {
        let request = MetadataRequest { topics, ..MetadataRequest::default() };
        let body = Peer::new(&[("a", 1), ("b", 1)]).ask(version, &request);
        read::<MetadataResponse<'_>>(&body, version).topics.len()
    };
    assert_eq!(count(0, Some(Vec::new())), 2);
    for version in 1..=13 {
        assert_eq!(count(version, None), 2, "version {version}");
        assert_eq!(count(version, Some(Vec::new())), 0, "version {version}");
    }
}

#[test]
fn topics_are_found_by_id_from_v12() {
    for version in [12, 13] {
        let mut peer = Peer::new(&[("a", 1)]);
        let (known, unknown) = (peer.topic("a").id, TopicId([9; 16]));
        let topics = [known, unknown].map(|topic_id| MetadataRequestTopic { topic_id, name: None });
        let request = MetadataRequest { topics: Some(topics.into()), ..MetadataRequest::default() };
        let body = peer.ask(version, &request);
        let answer: MetadataResponse<'_> = read(&body, version);
        let got: Vec<_> = answer
            .topics
            .iter()
            .map(|topic| (topic.error_code, topic.name.as_deref(), topic.topic_id))
            .collect();
        assert_eq!(got, [(0, Some("a"), known), (code(ErrorCode::UnknownTopicId), None, unknown)]);
    }
}

#[test]
fn a_topic_without_name_and_id_is_an_error_of_its_own() {
    for version in [10, 11, 12, 13] {
        let topics = vec![MetadataRequestTopic { topic_id: TopicId::ZERO, name: None }];
        let request = MetadataRequest { topics: Some(topics), ..MetadataRequest::default() };
        let body = Peer::new(&[]).ask(version, &request);
        let answer: MetadataResponse<'_> = read(&body, version);
        assert_eq!(answer.topics[0].error_code, code(ErrorCode::InvalidRequest), "version {version}");
    }
}

#[test]
fn missing_topics_are_created_where_client_and_server_allow_it() {
    let unknown = code(ErrorCode::UnknownTopicOrPartition);
    let check = |config: Config, version: i16, allowed: bool, created: bool| {
        let mut peer = Peer::with(config, &[("a", 1)]);
        let request = MetadataRequest { allow_auto_topic_creation: allowed, ..named(&["a", "b", "b"]) };
        let body = peer.ask(version, &request);
        let answer: MetadataResponse<'_> = read(&body, version);
        let want = if created { 0 } else { unknown };
        assert_eq!(errors(&answer), BTreeMap::from([("a".into(), 0), ("b".into(), want)]), "v{version}");
        assert_eq!(peer.image().topic("b").is_some(), created, "v{version}");
    };
    for version in 0..=13 {
        check(Config::default(), version, true, true);
        check(without_creation(), version, true, false);
    }
    for version in 4..=13 {
        check(Config::default(), version, false, false);
    }
}

#[test]
fn names_that_no_topic_may_have_are_said_to_be_so() {
    for config in [Config::default(), without_creation()] {
        for version in [0, 13] {
            let mut peer = Peer::with(config.clone(), &[]);
            let body = peer.ask(version, &named(&["..", "a/b"]));
            let answer: MetadataResponse<'_> = read(&body, version);
            let invalid = code(ErrorCode::InvalidTopicException);
            let want = BTreeMap::from([("..".into(), invalid), ("a/b".into(), invalid)]);
            assert_eq!(errors(&answer), want, "v{version}, creation {}", config.topics.auto_create);
        }
    }
}

#[test]
fn operations_are_told_only_on_request() {
    for version in 8..=13 {
        let request = MetadataRequest {
            include_topic_authorized_operations: true,
            include_cluster_authorized_operations: version <= 10,
            ..named(&["a"])
        };
        let body = Peer::new(&[("a", 1)]).ask(version, &request);
        let answer: MetadataResponse<'_> = read(&body, version);
        assert!(answer.topics[0].topic_authorized_operations > 0);
        assert_eq!(answer.cluster_authorized_operations > 0, version <= 10, "version {version}");
    }
}

#[test]
fn nodes_are_those_of_the_connections_view() {
    let check = |view: View, want: &[i32]| {
        let mut peer = Peer::new(&[("a", 4)]);
        peer.connection.view = view;
        let body = peer.ask(13, &named(&["a"]));
        let answer: MetadataResponse<'_> = read(&body, 13);
        let nodes: Vec<i32> = answer.brokers.iter().map(|broker| broker.port).collect();
        assert_eq!(nodes, want, "{view:?}");
        let (image, topic, server) = (peer.image(), peer.topic("a"), peer.image().server);
        for partition in &answer.topics[0].partitions {
            let shard = image.shard_of(&topic, PartitionIndex(partition.partition_index));
            assert_eq!(partition.leader_id, view.node(server, shard).0);
            assert!(answer.brokers.iter().any(|broker| broker.node_id == partition.leader_id));
        }
        assert!(answer.brokers.iter().any(|broker| broker.node_id == answer.controller_id));
        assert!(answer.brokers.iter().all(|broker| broker.rack == answer.brokers[0].rack));

        let body =
            peer.ask(2, &DescribeClusterRequest { endpoint_type: 1, ..DescribeClusterRequest::default() });
        let cluster: DescribeClusterResponse<'_> = read(&body, 2);
        let told: Vec<_> = cluster.brokers.iter().map(|node| (node.broker_id, node.port)).collect();
        let shown: Vec<_> = answer.brokers.iter().map(|node| (node.node_id, node.port)).collect();
        assert_eq!((told, cluster.controller_id), (shown, answer.controller_id));
    };
    check(View::Server, &[9092]);
    check(View::Shards, &[9092, 9092]);
    check(View::ShardPorts, &[9092, 9093]);
}

#[test]
fn the_cluster_is_described_in_every_version() {
    for version in 0..=2 {
        let ask = |endpoint_type: i8, operations: bool| {
            let request = DescribeClusterRequest {
                endpoint_type,
                include_cluster_authorized_operations: operations,
                ..DescribeClusterRequest::default()
            };
            let body = Peer::new(&[]).ask(version, &request);
            let answer: DescribeClusterResponse<'_> = read(&body, version);
            (answer.error_code, answer.brokers.len(), answer.cluster_authorized_operations)
        };
        assert_eq!(ask(1, false), (0, 1, i32::MIN));
        assert!(ask(1, true).2 > 0);
        if version >= 1 {
            assert_eq!(ask(2, false), (code(ErrorCode::MismatchedEndpointType), 0, i32::MIN));
            assert_eq!(ask(7, false), (code(ErrorCode::UnsupportedEndpointType), 0, i32::MIN));
        }
    }
}

// --- Produce ------------------------------------------------------------------------------------------------------

/// By name and by id: each version takes the one it knows.
fn produce(
    topic: &'static str,
    id: TopicId,
    version: i16,
    indexes: &[i32],
    acks: i16,
) -> ProduceRequest<'static> {
    let partition_data = indexes
        .iter()
        .map(|index| PartitionProduceData { index: *index, records: Records::Borrowed(RECORDS) });
    let mut data =
        TopicProduceData { partition_data: partition_data.collect(), ..TopicProduceData::default() };
    if version >= 13 {
        data.topic_id = id;
    } else {
        data.name = topic.into();
    }
    ProduceRequest { acks, timeout_ms: 1000, topic_data: vec![data], ..ProduceRequest::default() }
}

/// Every partition's batch gets its partition's index × 10 as offset, or what `fail` says.
fn appended(request: &ShardRequest, fail: impl Fn(i32) -> Option<PartitionError>) -> ShardReply {
    let ShardRequest::Produce(request) = request else { panic!("asked {request:?}") };
    let results = request.partitions.iter().map(|asked| {
        assert_eq!(asked.records, RECORDS);
        let index = asked.partition.partition.0;
        let offsets = Appended {
            base_offset: Offset(i64::from(index) * 10),
            log_append_time: TimestampMs::NONE,
            log_start: Offset(1),
        };
        ProduceResult { partition: asked.partition, outcome: fail(index).map_or(Ok(offsets), Err) }
    });
    ShardReply::Produce(results.collect())
}

#[test]
fn produce_answers_in_the_order_of_the_request_in_every_version() {
    for version in 3..=13 {
        let mut peer = Peer::new(&[("a", 4)]);
        let id = peer.topic("a").id;
        let request = produce("a", id, version, &[3, 0, 9, 1, 2], -1);
        let body = peer.send(version, &request, |_, request| appended(request, |_| None)).body();
        let answer: ProduceResponse<'_> = read(&body, version);
        let [topic] = answer.responses.as_slice() else { panic!("one topic") };
        assert_eq!(
            (&*topic.name, topic.topic_id),
            if version >= 13 { ("", id) } else { ("a", TopicId::ZERO) }
        );
        let got: Vec<_> = topic
            .partition_responses
            .iter()
            .map(|answer| (answer.index, answer.error_code, answer.base_offset))
            .collect();
        let unknown = code(ErrorCode::UnknownTopicOrPartition);
        assert_eq!(got, [(3, 0, 30), (0, 0, 0), (9, unknown, -1), (1, 0, 10), (2, 0, 20)], "v{version}");
        assert!(topic.partition_responses.iter().all(|answer| answer.log_append_time_ms == -1));
        assert_eq!(topic.partition_responses[0].log_start_offset, if version >= 5 { 1 } else { -1 });
        assert_eq!((peer.asked.len(), answer.throttle_time_ms), (2, 0));
        for (_, request) in &peer.asked {
            let ShardRequest::Produce(request) = request else { panic!("asked {request:?}") };
            assert_eq!((request.zstd_allowed, request.answer_at_append), (version >= 7, false));
        }
    }
}

#[test]
fn records_reach_the_shard_as_a_slice_of_the_frame() {
    let mut peer = Peer::new(&[("a", 1)]);
    let request = produce("a", TopicId::ZERO, 9, &[0], -1);
    let frame = encode_request(ApiKey::Produce, 9, 77, None, &request).expect("v9").to_vec();
    let frame = Bytes::from(frame).slice(4..);
    peer.send_frame(&frame, 5, |_, request| appended(request, |_| None)).body();
    let [(_, ShardRequest::Produce(request))] = peer.asked.as_slice() else { panic!("one call") };
    assert!(frame.as_ptr_range().contains(&request.partitions[0].records.as_ptr()), "copied");
}

#[test]
fn unknown_topics_are_named_as_they_were() {
    for version in [3, 12, 13] {
        let unknown = TopicId([9; 16]);
        let body = Peer::new(&[]).ask(version, &produce("b", unknown, version, &[0], 1));
        let answer: ProduceResponse<'_> = read(&body, version);
        let topic = &answer.responses[0];
        let error = topic.partition_responses[0].error_code;
        if version >= 13 {
            assert_eq!((topic.topic_id, error), (unknown, code(ErrorCode::UnknownTopicId)));
        } else {
            assert_eq!((&*topic.name, error), ("b", code(ErrorCode::UnknownTopicOrPartition)));
        }
    }
}

#[test]
fn refused_requests_reach_no_shard() {
    let check = |request: ProduceRequest<'static>, error| {
        let body = Peer::new(&[("a", 1)]).ask(9, &request);
        let answer: ProduceResponse<'_> = read(&body, 9);
        assert_eq!(answer.responses[0].partition_responses[0].error_code, code(error));
    };
    let good = || produce("a", TopicId::ZERO, 9, &[0], 1);
    check(ProduceRequest { acks: 2, ..good() }, ErrorCode::InvalidRequiredAcks);
    check(ProduceRequest { acks: -2, ..good() }, ErrorCode::InvalidRequiredAcks);
    check(
        ProduceRequest { transactional_id: Some("t".into()), ..good() },
        ErrorCode::TransactionalIdAuthorizationFailed,
    );
    let mut null = good();
    null.topic_data[0].partition_data[0].records = Records::Null;
    check(null, ErrorCode::InvalidRecord);
}

#[test]
fn every_failure_of_an_append_has_its_code() {
    let check = |error: PartitionError, want: ErrorCode| {
        for version in [3, 8, 13] {
            let mut peer = Peer::new(&[("a", 1)]);
            let request = produce("a", peer.topic("a").id, version, &[0], -1);
            let body =
                peer.send(version, &request, |_, request| appended(request, |_| Some(error.clone()))).body();
            let answer: ProduceResponse<'_> = read(&body, version);
            let partition = &answer.responses[0].partition_responses[0];
            assert_eq!((partition.error_code, partition.base_offset), (code(want), -1), "{error:?}");
            assert_eq!(partition.error_message.is_some(), version >= 8, "{error:?}");
        }
    };
    check(PartitionError::NotHere, ErrorCode::NotLeaderOrFollower);
    check(PartitionError::DiskFull, ErrorCode::KafkaStorageError);
    check(PartitionError::StorageFailed, ErrorCode::KafkaStorageError);
    let gap = PartitionError::OutOfOrderSequence { producer: ProducerId(1), expected: 1, received: 3 };
    check(gap, ErrorCode::OutOfOrderSequenceNumber);
    check(PartitionError::Batch(BatchError::Transactional), ErrorCode::TransactionalIdAuthorizationFailed);
    check(PartitionError::Batch(BatchError::MissingKeys { indexes: vec![0] }), ErrorCode::InvalidRecord);
}

#[test]
fn records_without_the_key_they_need_are_named_from_v8() {
    let bad = PartitionError::Batch(BatchError::MissingKeys { indexes: vec![1, 4] });
    for version in [7, 8, 13] {
        let mut peer = Peer::new(&[("a", 1)]);
        let request = produce("a", peer.topic("a").id, version, &[0], -1);
        let body = peer.send(version, &request, |_, request| appended(request, |_| Some(bad.clone()))).body();
        let answer: ProduceResponse<'_> = read(&body, version);
        let named: Vec<i32> = answer.responses[0].partition_responses[0]
            .record_errors
            .iter()
            .map(|record| record.batch_index)
            .collect();
        assert_eq!(named, if version >= 8 { vec![1, 4] } else { vec![] }, "version {version}");
    }
}

#[test]
fn acks_0_is_never_answered() {
    for version in [3, 13] {
        let mut peer = Peer::new(&[("a", 2)]);
        let id = peer.topic("a").id;
        let good = produce("a", id, version, &[0, 1], 0);
        assert_eq!(peer.send(version, &good, |_, request| appended(request, |_| None)), End::Silent);
        assert!(peer.asked.iter().all(|(_, request)| {
            matches!(request, ShardRequest::Produce(request) if request.answer_at_append)
        }));
        let failed = |index| (index == 1).then_some(PartitionError::DiskFull);
        peer.send(version, &good, |_, request| appended(request, failed)).reason();
        let unknown = produce("b", TopicId([9; 16]), version, &[0], 0);
        peer.send(version, &unknown, nobody).reason();
    }
}

// --- Fetch --------------------------------------------------------------------------------------------------------

fn fetch(topic: &'static str, id: TopicId, version: i16, indexes: &[i32]) -> FetchRequest<'static> {
    let partitions = indexes.iter().map(|partition| FetchPartition {
        partition: *partition,
        fetch_offset: 5,
        partition_max_bytes: 1000,
        ..FetchPartition::default()
    });
    let mut asked = FetchTopic { partitions: partitions.collect(), ..FetchTopic::default() };
    if version >= 13 {
        asked.topic_id = id;
    } else {
        asked.topic = topic.into();
    }
    FetchRequest {
        max_wait_ms: 500,
        min_bytes: 1,
        max_bytes: 10_000,
        topics: vec![asked],
        ..FetchRequest::default()
    }
}

fn records(bytes: &'static [u8]) -> Fetched {
    Fetched {
        high_watermark: Offset(9),
        last_stable_offset: Offset(9),
        log_start: Offset(2),
        diverging: None,
        records: if bytes.is_empty() { Vec::new() } else { vec![Payload::Bytes(Bytes::from_static(bytes))] },
    }
}

fn fetched(request: &ShardRequest, outcome: impl Fn(i32) -> Result<Fetched, PartitionError>) -> ShardReply {
    let ShardRequest::Fetch(request) = request else { panic!("asked {request:?}") };
    let results = (0..)
        .zip(request.partitions.iter())
        .map(|(index, asked)| FetchResult { index, outcome: outcome(asked.partition.partition.0) });
    ShardReply::Fetch(results.collect())
}

fn bytes_of(records: &Records<'_>) -> Vec<u8> {
    assert!(!records.is_null(), "null records break clients");
    records.to_vec()
}

#[test]
fn fetch_gives_records_in_the_order_of_the_request_in_every_version() {
    for version in 4..=18 {
        let mut peer = Peer::new(&[("a", 4)]);
        let id = peer.topic("a").id;
        let request = fetch("a", id, version, &[2, 1, 9, 0]);
        let reply =
            |index| Ok(records([&b"zero"[..], b"one", b"", b"three"][usize::try_from(index).expect("0-3")]));
        let body = peer.send(version, &request, |_, request| fetched(request, reply)).body();
        let answer: FetchResponse<'_> = read(&body, version);
        assert_eq!((answer.error_code, answer.session_id, answer.throttle_time_ms), (0, 0, 0));
        let [topic] = answer.responses.as_slice() else { panic!("one topic") };
        assert_eq!(
            (&*topic.topic, topic.topic_id),
            if version >= 13 { ("", id) } else { ("a", TopicId::ZERO) }
        );
        let got: Vec<_> = topic
            .partitions
            .iter()
            .map(|data| (data.partition_index, data.error_code, data.high_watermark, bytes_of(&data.records)))
            .collect();
        let unknown = code(ErrorCode::UnknownTopicOrPartition);
        assert_eq!(
            got,
            [
                (2, 0, 9, vec![]),
                (1, 0, 9, b"one".to_vec()),
                (9, unknown, -1, vec![]),
                (0, 0, 9, b"zero".to_vec())
            ],
            "version {version}"
        );
        let first = &topic.partitions[0];
        assert_eq!(first.last_stable_offset, 9);
        assert_eq!(first.log_start_offset, if version >= 5 { 2 } else { -1 });
        assert_eq!((first.preferred_read_replica, first.aborted_transactions.is_none()), (-1, true));
    }
}

#[test]
fn what_is_asked_reaches_every_shard_whole() {
    let mut peer = Peer::new(&[("a", 2)]);
    let mut request = fetch("a", TopicId::ZERO, 12, &[0, 1]);
    request.isolation_level = 1;
    request.topics[0].partitions[0].current_leader_epoch = 3;
    request.topics[0].partitions[0].last_fetched_epoch = 2;
    let body = peer.send(12, &request, |_, request| fetched(request, |_| Ok(records(b"")))).body();
    let answer: FetchResponse<'_> = read(&body, 12);
    assert!(answer.responses[0].partitions.iter().all(|data| data.aborted_transactions == Some(vec![])));
    assert_eq!(peer.asked.len(), 2);
    for (_, request) in &peer.asked {
        let ShardRequest::Fetch(request) = request else { panic!("asked {request:?}") };
        assert_eq!((request.wait_ms_max, request.bytes_min, request.bytes_max), (500, 1, 10_000));
        let [asked] = request.partitions.as_slice() else { panic!("one partition each") };
        let epochs = if asked.partition.partition.0 == 0 { (3, 2) } else { (-1, -1) };
        assert_eq!((asked.current_leader_epoch.0, asked.last_fetched_epoch.0), epochs);
        assert_eq!((asked.offset, asked.bytes_max, request.read_committed), (Offset(5), 1000, true));
    }
}

#[test]
fn a_partition_nobody_can_be_asked_about_ends_the_wait() {
    let mut peer = Peer::new(&[("a", 1)]);
    peer.send(12, &fetch("a", TopicId::ZERO, 12, &[0, 7]), |_, request| {
        fetched(request, |_| Ok(records(b"")))
    })
    .body();
    let [(_, ShardRequest::Fetch(request))] = peer.asked.as_slice() else { panic!("one call") };
    assert_eq!(request.wait_ms_max, 0);
}

#[test]
fn the_first_records_go_whole_and_the_rest_within_the_limit() {
    let fetch_bytes = |bytes_max: i32| {
        let mut peer = Peer::new(&[("a", 4)]);
        let request = FetchRequest { max_bytes: bytes_max, ..fetch("a", TopicId::ZERO, 12, &[0, 1, 2, 3]) };
        let body =
            peer.send(12, &request, |_, request| fetched(request, |_| Ok(records(b"12345678")))).body();
        let answer: FetchResponse<'_> = read(&body, 12);
        answer.responses[0].partitions.iter().map(|data| bytes_of(&data.records).len()).collect::<Vec<_>>()
    };
    assert_eq!(fetch_bytes(0), [8, 0, 0, 0]);
    assert_eq!(fetch_bytes(1), [8, 0, 0, 0]);
    assert_eq!(fetch_bytes(16), [8, 8, 0, 0]);
    assert_eq!(fetch_bytes(1000), [8, 8, 8, 8]);
}

#[test]
fn sessions_open_and_close_as_asked() {
    for version in 7..=18 {
        let check = |session_id: i32, session_epoch: i32, want: ErrorCode, opened: bool| {
            let mut peer = Peer::new(&[("a", 1)]);
            let request =
                FetchRequest { session_id, session_epoch, ..fetch("a", peer.topic("a").id, version, &[0]) };
            let body =
                peer.send(version, &request, |_, request| fetched(request, |_| Ok(records(b"x")))).body();
            let answer: FetchResponse<'_> = read(&body, version);
            assert_eq!(
                (answer.error_code, answer.session_id > 0),
                (code(want), opened),
                "{session_id} {session_epoch}"
            );
            assert_eq!(answer.responses.is_empty(), want != ErrorCode::None);
        };
        check(0, -1, ErrorCode::None, false);
        check(5, -1, ErrorCode::None, false);
        check(0, 0, ErrorCode::None, true);
        check(5, 0, ErrorCode::None, true);
        check(5, 1, ErrorCode::FetchSessionIdNotFound, false);
    }
}

#[test]
fn failures_of_a_fetch_carry_no_offsets_and_empty_records() {
    let check = |error: PartitionError, want: ErrorCode| {
        for version in [4, 18] {
            let mut peer = Peer::new(&[("a", 1)]);
            let request = fetch("a", peer.topic("a").id, version, &[0]);
            let body =
                peer.send(version, &request, |_, request| fetched(request, |_| Err(error.clone()))).body();
            let answer: FetchResponse<'_> = read(&body, version);
            let data = &answer.responses[0].partitions[0];
            assert_eq!(data.error_code, code(want));
            assert_eq!((data.high_watermark, data.last_stable_offset, data.log_start_offset), (-1, -1, -1));
            assert_eq!(bytes_of(&data.records), b"");
        }
    };
    let range =
        PartitionError::OffsetOutOfRange { requested: Offset(5), log_start: Offset(0), log_end: Offset(1) };
    check(range, ErrorCode::OffsetOutOfRange);
    let (requested, current) = (LeaderEpoch(3), LeaderEpoch(4));
    check(PartitionError::FencedLeaderEpoch { requested, current }, ErrorCode::FencedLeaderEpoch);
    check(PartitionError::UnknownLeaderEpoch { requested, current }, ErrorCode::UnknownLeaderEpoch);
    check(PartitionError::Corrupt { offset: Offset(5) }, ErrorCode::CorruptMessage);
    check(PartitionError::NotHere, ErrorCode::NotLeaderOrFollower);
}

#[test]
fn unknown_topics_are_answered_by_the_key_they_came_with() {
    for version in [4, 12, 13, 18] {
        let unknown = TopicId([9; 16]);
        let body = Peer::new(&[]).ask(version, &fetch("b", unknown, version, &[0]));
        let answer: FetchResponse<'_> = read(&body, version);
        let topic = &answer.responses[0];
        let error = topic.partitions[0].error_code;
        if version >= 13 {
            assert_eq!((topic.topic_id, error), (unknown, code(ErrorCode::UnknownTopicId)));
        } else {
            assert_eq!((&*topic.topic, error), ("b", code(ErrorCode::UnknownTopicOrPartition)));
        }
    }
}

#[test]
fn divergence_is_told_from_v12() {
    let diverging = Some(EpochEnd { epoch: LeaderEpoch(1), end: Offset(3) });
    for version in [11, 12, 18] {
        let mut peer = Peer::new(&[("a", 1)]);
        let request = fetch("a", peer.topic("a").id, version, &[0]);
        let reply = |_| Ok(Fetched { diverging, ..records(b"") });
        let end = peer.send(version, &request, |_, request| fetched(request, reply));
        if version >= 12 {
            let body = end.body();
            let data = &read::<FetchResponse<'_>>(&body, version).responses[0].partitions[0];
            assert_eq!((data.diverging_epoch.epoch, data.diverging_epoch.end_offset), (1, 3));
        }
    }
}

// --- ListOffsets, OffsetForLeaderEpoch ----------------------------------------------------------------------------

fn list_offsets(indexes: &[i32], timestamp: i64) -> ListOffsetsRequest<'static> {
    let partitions = indexes.iter().map(|partition_index| ListOffsetsPartition {
        partition_index: *partition_index,
        timestamp,
        ..ListOffsetsPartition::default()
    });
    let topic = ListOffsetsTopic { name: "a".into(), partitions: partitions.collect() };
    ListOffsetsRequest { replica_id: -1, topics: vec![topic], ..ListOffsetsRequest::default() }
}

fn listed(request: &ShardRequest) -> ShardReply {
    let ShardRequest::ListOffsets(partitions) = request else { panic!("asked {request:?}") };
    let results = partitions.iter().map(|asked| match asked.partition.partition.0 {
        3 => Err(PartitionError::NotHere),
        index => Ok(ListedOffset {
            offset: Offset(i64::from(index) * 10),
            timestamp: TimestampMs(1000),
            leader_epoch: LeaderEpoch(4),
        }),
    });
    ShardReply::ListOffsets(results.collect())
}

#[test]
fn offsets_are_listed_in_every_version() {
    for version in 1..=11 {
        let mut peer = Peer::new(&[("a", 4)]);
        let body =
            peer.send(version, &list_offsets(&[2, 3, 8, 1], 1000), |_, request| listed(request)).body();
        let answer: ListOffsetsResponse<'_> = read(&body, version);
        let epoch = if version >= 4 { 4 } else { -1 };
        let got: Vec<_> = answer.topics[0]
            .partitions
            .iter()
            .map(|answer| {
                (
                    answer.partition_index,
                    answer.error_code,
                    answer.offset,
                    answer.timestamp,
                    answer.leader_epoch,
                )
            })
            .collect();
        let (moved, unknown) =
            (code(ErrorCode::NotLeaderOrFollower), code(ErrorCode::UnknownTopicOrPartition));
        assert_eq!(
            got,
            [
                (2, 0, 20, 1000, epoch),
                (3, moved, -1, -1, -1),
                (8, unknown, -1, -1, -1),
                (1, 0, 10, 1000, epoch)
            ],
            "version {version}"
        );
    }
}

#[test]
fn special_timestamps_are_known_from_their_version_on() {
    let check = |timestamp: i64, from: i16, lookup: OffsetLookup| {
        for version in 1..=11 {
            let mut peer = Peer::new(&[("a", 1)]);
            let body =
                peer.send(version, &list_offsets(&[0], timestamp), |_, request| listed(request)).body();
            let error = read::<ListOffsetsResponse<'_>>(&body, version).topics[0].partitions[0].error_code;
            let known = version >= from;
            assert_eq!(
                error,
                if known { 0 } else { code(ErrorCode::UnsupportedVersion) },
                "{timestamp} v{version}"
            );
            if known {
                let [(_, ShardRequest::ListOffsets(asked))] = peer.asked.as_slice() else {
                    panic!("one call")
                };
                assert_eq!(asked[0].lookup, lookup);
            }
        }
    };
    check(1, 1, OffsetLookup::AtOrAfter(TimestampMs(1)));
    check(-1, 1, OffsetLookup::Latest);
    check(-2, 1, OffsetLookup::Earliest);
    check(-3, 7, OffsetLookup::MaxTimestamp);
    check(-4, 8, OffsetLookup::EarliestLocal);
    check(-5, 9, OffsetLookup::LatestTiered);
    check(-6, 11, OffsetLookup::EarliestPendingUpload);
    check(-7, 12, OffsetLookup::Latest);
}

#[test]
fn ends_of_epochs_are_told_in_every_version() {
    for version in 2..=4 {
        let mut peer = Peer::new(&[("a", 2)]);
        let partitions = [1, 0, 5].map(|partition| OffsetForLeaderPartition {
            partition,
            leader_epoch: 3,
            ..OffsetForLeaderPartition::default()
        });
        let topic = OffsetForLeaderTopic { topic: "a".into(), partitions: partitions.into() };
        let request =
            OffsetForLeaderEpochRequest { topics: vec![topic], ..OffsetForLeaderEpochRequest::default() };
        let body = peer
            .send(version, &request, |_, request| {
                let ShardRequest::OffsetForLeaderEpoch(partitions) = request else {
                    panic!("asked {request:?}")
                };
                let results = partitions.iter().map(|asked| {
                    assert_eq!(asked.epoch, LeaderEpoch(3));
                    Ok(EpochEnd {
                        epoch: LeaderEpoch(2),
                        end: Offset(i64::from(asked.partition.partition.0)),
                    })
                });
                ShardReply::OffsetForLeaderEpoch(results.collect())
            })
            .body();
        let answer: OffsetForLeaderEpochResponse<'_> = read(&body, version);
        let got: Vec<_> = answer.topics[0]
            .partitions
            .iter()
            .map(|end| (end.partition, end.error_code, end.leader_epoch, end.end_offset))
            .collect();
        let unknown = code(ErrorCode::UnknownTopicOrPartition);
        assert_eq!(got, [(1, 0, 2, 1), (0, 0, 2, 0), (5, unknown, -1, -1)], "version {version}");
    }
}

// --- Steering -----------------------------------------------------------------------------------------------------

#[test]
fn a_connection_wants_the_shard_of_all_its_partitions() {
    let peer = Peer::new(&[("a", 4)]);
    let (image, topic) = (peer.image(), peer.topic("a"));
    let owner = |index| image.shard_of(&topic, PartitionIndex(index));
    let other = |shard: ShardId| ShardId(1 - shard.0);
    let same: Vec<i32> = (0..4).filter(|index| owner(*index) == owner(0)).collect();
    let frame_of = |api: ApiKey, version: i16, indexes: &[i32]| {
        let frame = if api == ApiKey::Produce {
            encode_request(api, version, 1, None, &produce("a", topic.id, version, indexes, 1))
        } else {
            encode_request(api, version, 1, None, &fetch("a", topic.id, version, indexes))
        };
        Bytes::from(frame.expect("a request of this version").to_vec()).slice(4..)
    };
    for (api, version) in
        [(ApiKey::Produce, 3), (ApiKey::Produce, 13), (ApiKey::Fetch, 4), (ApiKey::Fetch, 18)]
    {
        let wants = |indexes: &[i32], here| wants_shard(&frame_of(api, version, indexes), &image, here);
        assert_eq!(wants(&same, other(owner(0))), Some(owner(0)), "{api:?} {version}");
        assert_eq!(wants(&same, owner(0)), None);
        assert_eq!(wants(&[0, 1, 2, 3], other(owner(0))), None);
        assert_eq!(wants(&[0, 9], other(owner(0))), None);
        assert_eq!(wants(&[], owner(0)), None);
        let frame = frame_of(api, version, &same);
        for length in 0..frame.len() {
            assert_eq!(wants_shard(&frame.slice(..length), &image, other(owner(0))), None, "cut at {length}");
        }
    }
    let metadata = encode_request(ApiKey::Metadata, 1, 1, None, &named(&["a"])).expect("v1").to_vec();
    assert_eq!(wants_shard(&Bytes::from(metadata).slice(4..), &image, ShardId(0)), None);
}

#[test]
fn the_servers_choice_of_view_is_stronger_than_the_client() {
    for (advertise, view) in [
        (Advertise::Server, View::Server),
        (Advertise::Shards, View::Shards),
        (Advertise::ShardPorts, View::ShardPorts),
    ] {
        let mut config = Config::default();
        config.advertise = advertise;
        let mut peer = Peer::with(config, &[]);
        peer.ask(3, &api_versions("kgo", "1.0"));
        assert_eq!(peer.connection.view, view);
    }
}
