//! Metadata and DescribeCluster.

use super::*;

pub fn named(names: &[&'static str]) -> MetadataRequest<'static> {
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
        let (image, topic, server) = (peer.image(), peer.topic("a"), peer.image().here.server);
        for partition in &answer.topics[0].partitions {
            let led = topic.partition(PartitionIndex(partition.partition_index)).expect("there");
            let shard = image.replica_here(led).expect("on this server");
            assert_eq!(partition.leader_id, view.node(server, shard).0);
            assert_eq!(partition.replica_nodes, [partition.leader_id]);
            assert_eq!(partition.isr_nodes, [partition.leader_id]);
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
