//! The APIs as a connection meets them: a request's bytes go in, the shards' replies are given, an answer's bytes come
//! out, in the lowest and highest version served and wherever a version changed what is said.

mod configs;
mod fetch;
mod groups;
mod metadata;
mod offsets;
mod peer;
mod produce;
mod reading;

use std::collections::BTreeMap;

use bytes::{BufMut, Bytes, BytesMut};

use peer::{End, Peer, read};
use ringmain::api::{NodeMeant, wants_shard};
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
use ringmain::record::{
    BatchBuilder, BatchError, BatchHeader, Codec, Found, Inside, RecordProblem, RecordToWrite, Refusal,
    RefusedRecord, compress, records,
};
use ringmain::shard::{
    Appended, EpochEnd, FetchResult, Fetched, ListedOffset, OffsetLookup, PartitionError, ProduceResult,
    ShardReply, ShardRequest,
};

/// What Kafka 4.4 serves of the APIs built so far: key, lowest as shown, lowest as served, highest.
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
    (18, 0, 0, 5),
    (19, 2, 2, 7),
    (20, 1, 1, 6),
    (21, 0, 0, 2),
    (22, 0, 0, 5),
    (23, 2, 2, 4),
    (32, 1, 1, 4),
    (33, 0, 0, 2),
    (35, 1, 1, 5),
    (37, 0, 0, 3),
    (42, 0, 0, 3),
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
    ApiVersionsRequest {
        client_software_name: name.into(),
        client_software_version: version.into(),
        ..ApiVersionsRequest::default()
    }
}

#[test]
fn api_versions_shows_exactly_what_is_served() {
    for version in 0..=5 {
        let request = if version >= 3 { api_versions("kgo", "1.2") } else { ApiVersionsRequest::default() };
        let body = Peer::new(&[]).ask(version, &request);
        let answer: ApiVersionsResponse<'_> = read(&body, version);
        assert_eq!(answer.error_code, 0);
        let shown: Vec<_> =
            answer.api_keys.iter().map(|api| (api.api_key, api.min_version, api.max_version)).collect();
        // Telemetry is served to those who have been told of it, and shown while somebody subscribes.
        let served = SERVED.into_iter().filter(|(key, ..)| !matches!(key, 71 | 72));
        let served: Vec<_> = served.map(|(key, shown, _, max)| (key, shown, max)).collect();
        assert_eq!(shown, served, "version {version}");
        let features = if version >= 3 { 2 } else { 0 };
        assert_eq!(answer.supported_features.len(), features);
        assert_eq!(answer.finalized_features.len(), features);
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
    for version in [-1, 6, i16::MAX] {
        let body = Peer::new(&[]).send_frame(&bare_frame(18, version, &[0; 8]), 4, nobody).body();
        let answer: ApiVersionsResponse<'_> = read(&body, 0);
        assert_eq!(answer.error_code, code(ErrorCode::UnsupportedVersion));
        let shown: Vec<_> =
            answer.api_keys.iter().map(|api| (api.api_key, api.min_version, api.max_version)).collect();
        assert_eq!(shown, [(18, 0, 5)]);
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
fn the_view_follows_the_client_that_names_a_node() {
    let check = |request: &ApiVersionsRequest<'_>, version, view| {
        let mut peer = Peer::new(&[]);
        peer.ask(version, request);
        assert_eq!(peer.connection.view, view, "{request:?}");
    };
    for name in ["apache-kafka-java", "kgo", "sarama", "librdkafka", "somebody"] {
        let unnamed = api_versions(name, "4.4.0");
        let named = ApiVersionsRequest {
            cluster_id: Some("0123456789abcdefghijkl".into()),
            node_id: 1000,
            ..unnamed.clone()
        };
        (3..=5).for_each(|version| check(&unnamed, version, View::Server));
        check(&named, 5, View::Shards);
        check(&ApiVersionsRequest { node_id: 1001, ..named }, 5, View::Shards);
    }
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

#[test]
fn a_connection_wants_the_shard_of_all_its_partitions() {
    let peer = Peer::new(&[("a", 4)]);
    let (image, topic) = (peer.image(), peer.topic("a"));
    let owner = |index| {
        let partition = topic.partition(PartitionIndex(index)).expect("there");
        image.replica_here(partition).expect("on this server")
    };
    let same: Vec<i32> = (0..4).filter(|index| owner(*index) == owner(0)).collect();
    let frame_of = |api: ApiKey, version: i16, indexes: &[i32]| {
        let frame = if api == ApiKey::Produce {
            encode_request(api, version, 1, None, &produce::produce("a", topic.id, version, indexes, 1))
        } else {
            encode_request(api, version, 1, None, &fetch::fetch("a", topic.id, version, indexes))
        };
        Bytes::from(frame.expect("a request of this version").to_vec()).slice(4..)
    };
    for (api, version) in
        [(ApiKey::Produce, 3), (ApiKey::Produce, 13), (ApiKey::Fetch, 4), (ApiKey::Fetch, 18)]
    {
        let wants = |frame: &Bytes| wants_shard(frame, &image, NodeMeant::Unknown);
        let wanted = |indexes: &[i32]| wants(&frame_of(api, version, indexes));
        assert_eq!(wanted(&same), Some(owner(0)), "{api:?} {version}");
        assert_eq!(wanted(&[0, 1, 2, 3]), None);
        assert_eq!(wanted(&[0, 9]), None);
        assert_eq!(wanted(&[]), None);
        let frame = frame_of(api, version, &same);
        for length in 0..frame.len() {
            assert_eq!(wants(&frame.slice(..length)), None, "cut at {length}");
        }
    }
    let metadata =
        encode_request(ApiKey::Metadata, 1, 1, None, &metadata::named(&["a"])).expect("v1").to_vec();
    assert_eq!(wants_shard(&Bytes::from(metadata).slice(4..), &image, NodeMeant::Server), None);
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
