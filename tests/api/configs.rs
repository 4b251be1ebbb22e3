//! Settings: what is altered, what is refused with which of Kafka's errors, and how it is described.

use ringmain::protocol::messages::alter_configs_request;
use ringmain::protocol::messages::describe_configs_request::DescribeConfigsResource;
use ringmain::protocol::messages::incremental_alter_configs_request::{
    AlterConfigsResource, AlterableConfig,
};
use ringmain::protocol::messages::{
    AlterConfigsRequest, AlterConfigsResponse, DescribeConfigsRequest, DescribeConfigsResponse,
    IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse,
};

use super::*;

const TOPIC: i8 = 2;
const BROKER: i8 = 4;
const CLIENT_METRICS: i8 = 16;
const GROUP: i8 = 32;

const SET: i8 = 0;
const DELETE: i8 = 1;
const APPEND: i8 = 2;
const SUBTRACT: i8 = 3;

fn resource(
    kind: i8,
    name: &'static str,
    op: i8,
    key: &'static str,
    value: Option<&'static str>,
) -> AlterConfigsResource<'static> {
    let config = AlterableConfig { name: key.into(), config_operation: op, value: value.map(Into::into) };
    AlterConfigsResource { resource_type: kind, resource_name: name.into(), configs: vec![config] }
}

/// The codes that the resources are answered with.
fn alter(peer: &mut Peer, resources: Vec<AlterConfigsResource<'static>>) -> Vec<i16> {
    let request = IncrementalAlterConfigsRequest { resources, validate_only: false };
    let body = peer.ask(1, &request);
    let answer: IncrementalAlterConfigsResponse<'_> = read(&body, 1);
    answer.responses.iter().map(|response| response.error_code).collect()
}

/// A setting's value, and the values of its synonyms.
fn described(peer: &mut Peer, kind: i8, name: &'static str, key: &'static str) -> (String, Vec<String>) {
    let resource = DescribeConfigsResource {
        resource_type: kind,
        resource_name: name.into(),
        configuration_keys: Some(vec![key.into()]),
    };
    let request = DescribeConfigsRequest {
        resources: vec![resource],
        include_synonyms: true,
        ..DescribeConfigsRequest::default()
    };
    let body = peer.ask(4, &request);
    let answer: DescribeConfigsResponse<'_> = read(&body, 4);
    let [config] = &answer.results[0].configs[..] else { panic!("{key}: {:?}", answer.results) };
    let text = |value: &Option<std::borrow::Cow<'_, str>>| value.as_deref().unwrap_or("null").to_owned();
    (text(&config.value), config.synonyms.iter().map(|synonym| text(&synonym.value)).collect())
}

#[test]
fn values_are_described_as_kafka_parses_them() {
    let mut peer = Peer::new(&[("a", 1)]);
    for (kind, name, key, written, shown) in [
        (TOPIC, "a", "cleanup.policy", " compact , delete ", "compact,delete"),
        (TOPIC, "a", "unclean.leader.election.enable", "TRUE", "true"),
        (TOPIC, "a", "retention.ms", " 0100 ", "100"),
        (TOPIC, "a", "min.cleanable.dirty.ratio", " 0.50 ", "0.5"),
        (GROUP, "g", "consumer.session.timeout.ms", " 050000 ", "50000"),
        (GROUP, "g", "share.renew.acknowledge.enable", "FALSE", "false"),
        (GROUP, "g", "streams.rack.aware.assignment.tags", " a , b ", "a,b"),
        (CLIENT_METRICS, "m", "interval.ms", " 0500 ", "500"),
        (CLIENT_METRICS, "m", "metrics", " a , b ", "a,b"),
        (
            CLIENT_METRICS,
            "m",
            "match",
            " client_id=a , client_software_name=b ",
            "client_id=a,client_software_name=b",
        ),
    ] {
        assert_eq!(alter(&mut peer, vec![resource(kind, name, SET, key, Some(written))]), [0], "{key}");
        let (value, synonyms) = described(&mut peer, kind, name, key);
        assert_eq!((value.as_str(), synonyms[0].as_str()), (shown, shown), "{key}");
    }
}

#[test]
fn changes_are_refused_with_kafkas_codes() {
    let mut peer = Peer::new(&[("a", 1)]);
    let [none, invalid, request] =
        [ErrorCode::None, ErrorCode::InvalidConfig, ErrorCode::InvalidRequest].map(code);
    let mut check = |kind, name, op, key, value, want: i16| {
        let got = alter(&mut peer, vec![resource(kind, name, op, key, value)]);
        assert_eq!(got, [want], "{kind} {name} {op} {key} {value:?}");
    };
    check(TOPIC, "a b", SET, "retention.ms", Some("1"), code(ErrorCode::InvalidTopicException));
    check(TOPIC, "x", SET, "retention.ms", Some("1"), code(ErrorCode::UnknownTopicOrPartition));
    check(TOPIC, "", SET, "retention.ms", Some("1"), request);
    check(TOPIC, "a", SET, "no.such", Some("1"), invalid);
    check(TOPIC, "a", DELETE, "no.such", None, none);
    check(TOPIC, "a", APPEND, "no.such", Some("1"), invalid);
    check(BROKER, "1000", SET, "log.cleaner.backoff.ms", Some("soon"), request);
    check(BROKER, "", SET, "log.cleaner.backoff.ms", Some("-5"), request);
    check(BROKER, "1000", SET, "no.such", Some("1"), none);
    check(BROKER, "", SET, "no.such", Some("1"), none);
    check(BROKER, "1000", DELETE, "never.was", None, none);
    check(BROKER, "1000", DELETE, "node.id", None, none);
    check(BROKER, "1000", SET, "node.id", Some("7"), request);
    check(BROKER, "1000", APPEND, "no.such", Some("1"), invalid);
    check(BROKER, "1000", APPEND, "log.cleaner.backoff.ms", Some("1"), invalid);
    check(BROKER, "1000", APPEND, "log.cleanup.policy", Some("compact"), none);
    check(CLIENT_METRICS, "m", SET, "interval.ms", Some("soon"), invalid);
    check(CLIENT_METRICS, "m", SET, "interval.ms", Some("5"), request);
    check(CLIENT_METRICS, "m", SET, "no.such", Some("5"), request);
    check(CLIENT_METRICS, "m", SET, "match", Some("shoe=4"), invalid);
    check(CLIENT_METRICS, "m", APPEND, "metrics", Some("a"), invalid);
    check(CLIENT_METRICS, "m", DELETE, "no.such", None, none);
    check(GROUP, "g", SET, "no.such", Some("1"), invalid);
    check(GROUP, "g", DELETE, "no.such", None, none);
    check(GROUP, "g", SUBTRACT, "streams.rack.aware.assignment.tags", Some("a"), invalid);
}

#[test]
fn a_resource_or_a_key_that_is_named_twice_is_not_altered() {
    let mut peer = Peer::new(&[("a", 1), ("b", 1)]);
    let refused = code(ErrorCode::InvalidRequest);
    let set = |name, key| resource(TOPIC, name, SET, key, Some("5000"));
    let codes =
        alter(&mut peer, vec![set("a", "retention.ms"), set("b", "segment.ms"), set("a", "segment.ms")]);
    assert_eq!(codes, [refused, 0, refused]);
    let mut twice = set("a", "retention.ms");
    twice.configs.push(AlterableConfig { config_operation: DELETE, ..twice.configs[0].clone() });
    assert_eq!(alter(&mut peer, vec![twice]), [refused]);
    let configs = ["1", "2"].map(|value| alter_configs_request::AlterableConfig {
        name: "retention.ms".into(),
        value: Some(value.into()),
    });
    let resources = vec![alter_configs_request::AlterConfigsResource {
        resource_type: TOPIC,
        resource_name: "a".into(),
        configs: configs.into(),
    }];
    let body = peer.ask(2, &AlterConfigsRequest { resources, validate_only: false });
    let answer: AlterConfigsResponse<'_> = read(&body, 2);
    let response = &answer.responses[0];
    assert_eq!(response.error_code, refused);
    assert_eq!(response.error_message.as_deref(), Some("Error due to duplicate config keys"));
    assert!(peer.topic("a").overrides.is_empty());
}
