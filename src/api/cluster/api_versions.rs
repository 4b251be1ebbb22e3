//! ApiVersions (18), versions 0-5.
//!
//! The only API that answers a version it does not know: in v0's form, with UNSUPPORTED_VERSION and its own range, so
//! that the client can ask again.
//!
//! - v3: the client names itself. Features; those whose least level is 0 are left out, for old clients cannot read them
//!   (KAFKA-17492).
//! - v5: the client says which cluster and node it means to reach (KIP-1242). Both or none (INVALID_REQUEST); all nodes of
//!   this server are taken for right, also those of cores that are no more; another cluster, or another server:
//!   REBOOTSTRAP_REQUIRED. Neither ends the connection. A connection that names a core moves there before it is
//!   answered ([`named_shard`](crate::api::named_shard)).
//!
//! The first request that is not refused, and in which the client can name itself, decides what the connection is told
//! ([`super::view`]): a program that asks again later, under whatever name, changes nothing.
//!
//! Telemetry (71, 72) is advertised while there is a subscription: librdkafka logs an error when there is none to be had.
//! Clients that connected before the first one push when they have reconnected.
//!
//! Finalized features, with the only level each has here: `group.version` 1 (KIP-848), and `metadata.version` 4.0-IV0, which
//! it stands on. What higher levels of the latter bring in is not served: eligible leader replicas, transactions of the second
//! version, share and streams groups. A feature at level 0 is not finalized, as in Kafka.

use bytes::Bytes;

use crate::base::NodeId;
use crate::controller::{MetadataImage, Resource};
use crate::protocol::messages::api_versions_response::{
    ApiVersion, FinalizedFeatureKey, SupportedFeatureKey,
};
use crate::protocol::messages::{ApiVersionsRequest, ApiVersionsResponse};
use crate::protocol::{ApiKey, ErrorCode, RequestHeader};

use super::view::{NodeMeant, is_here, view_of};
use crate::api::answer::{AnswerForm, decode, respond};
use crate::api::{Api, ApiError, Context, Served, Step};

/// First version in which a client names itself.
const NAME_FROM: i16 = 3;
/// First version in which it names the node.
const NODE_FROM: i16 = 5;
/// First version that shows features whose least level is 0.
const ZERO_FROM: i16 = 4;
/// A node id that is none.
const NO_NODE: i32 = -1;

/// A feature and its levels, all of which are served.
struct Feature {
    name: &'static str,
    least: i16,
    greatest: i16,
    /// 0 = off.
    finalized: i16,
}

const FEATURES: [Feature; 2] = [
    Feature { name: "group.version", least: 1, greatest: 1, finalized: 1 },
    // 4.0-IV0.
    Feature { name: "metadata.version", least: 22, greatest: 22, finalized: 22 },
];

pub const API: Api = Api::new(ApiKey::ApiVersions, 0..=5, start).answered_briefly();

pub fn start(context: &mut Context<'_>, header: &RequestHeader<'_>, body: &Bytes) -> Result<Step, ApiError> {
    let request: ApiVersionsRequest<'_> = decode(header, body)?;
    let version = header.api_version;
    let node = match judge(context.image, version, &request) {
        Ok(node) => node,
        Err(refused) => {
            let error_code = refused.code();
            return respond(header, &ApiVersionsResponse { error_code, ..ApiVersionsResponse::default() });
        }
    };
    if version >= NAME_FROM && context.connection.software_name.is_empty() {
        introduce(context, &request, node);
    }
    respond(header, &served(context.image, context.served, version))
}

/// Takes in what the connection's client says of itself.
fn introduce(context: &mut Context<'_>, request: &ApiVersionsRequest<'_>, node: NodeMeant) {
    let connection = &mut *context.connection;
    connection.software_name = request.client_software_name.to_string();
    connection.software_version = request.client_software_version.to_string();
    // Who says nothing of nodes is at the one whose port it came to.
    if matches!(node, NodeMeant::Server | NodeMeant::Shard(_)) || connection.node == NodeMeant::Unknown {
        connection.node = node;
    }
    connection.view = view_of(context.config, context.image.here.shards, connection.node);
}

/// Which node the client means, or why it is refused.
pub(super) fn judge(
    image: &MetadataImage,
    version: i16,
    request: &ApiVersionsRequest<'_>,
) -> Result<NodeMeant, ErrorCode> {
    if version < NAME_FROM {
        return Ok(NodeMeant::Unknown);
    }
    let words = [&request.client_software_name, &request.client_software_version];
    let has_node = request.node_id != NO_NODE;
    if words.iter().any(|word| !is_software_word(word)) || request.cluster_id.is_some() != has_node {
        return Err(ErrorCode::InvalidRequest);
    }
    match &request.cluster_id {
        None if version >= NODE_FROM => Ok(NodeMeant::Unnamed),
        None => Ok(NodeMeant::Unknown),
        Some(cluster) if *cluster == image.cluster_id && is_here(image, NodeId(request.node_id)) => {
            Ok(NodeMeant::named(NodeId(request.node_id)))
        }
        Some(_) => Err(ErrorCode::RebootstrapRequired),
    }
}

fn served(image: &MetadataImage, served: &[Served], version: i16) -> ApiVersionsResponse<'static> {
    let is_subscribed = image.configs.keys().any(|it| matches!(it, Resource::ClientMetrics(_)));
    let is_telemetry =
        |api: &&Served| matches!(api.key, ApiKey::GetTelemetrySubscriptions | ApiKey::PushTelemetry);
    let shown = FEATURES.iter().filter(|feature| version >= ZERO_FROM || feature.least > 0);
    let finalized = FEATURES.iter().filter(|feature| feature.finalized > 0);
    ApiVersionsResponse {
        api_keys: served.iter().filter(|api| is_subscribed || !is_telemetry(api)).map(range).collect(),
        supported_features: shown
            .map(|feature| SupportedFeatureKey {
                name: feature.name.into(),
                min_version: feature.least,
                max_version: feature.greatest,
            })
            .collect(),
        // Kafka's is the metadata's offset too. Clients believe the greatest they have seen.
        finalized_features_epoch: image.version,
        finalized_features: finalized
            .map(|feature| FinalizedFeatureKey {
                name: feature.name.into(),
                min_version_level: feature.finalized,
                max_version_level: feature.finalized,
            })
            .collect(),
        ..ApiVersionsResponse::default()
    }
}

/// The answer to a version that is not served.
pub(in crate::api) fn unsupported(header: &RequestHeader<'_>) -> Result<Step, ApiError> {
    let response = ApiVersionsResponse {
        error_code: ErrorCode::UnsupportedVersion.code(),
        api_keys: vec![range(&API.served())],
        ..ApiVersionsResponse::default()
    };
    AnswerForm { version: 0, ..AnswerForm::of(header)? }.encode(&response)
}

fn range(api: &Served) -> ApiVersion {
    ApiVersion { api_key: api.key.code(), min_version: api.min, max_version: api.max }
}

/// Letters, digits, dots and dashes, with a letter or digit at both ends: KIP-511, for these end up in logs and metrics.
fn is_software_word(text: &str) -> bool {
    let ends = [text.bytes().next(), text.bytes().last()];
    ends.iter().all(|end| end.is_some_and(|byte| byte.is_ascii_alphanumeric()))
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.'))
}

#[cfg(test)]
mod tests {
    use crate::api::testing::{Server, read};
    use crate::controller::View;
    use crate::protocol::encode_request;

    use super::*;

    const CLUSTER: &str = "0123456789abcdefghijkl";

    fn named(name: &'static str, version: &'static str) -> ApiVersionsRequest<'static> {
        ApiVersionsRequest {
            client_software_name: name.into(),
            client_software_version: version.into(),
            ..ApiVersionsRequest::default()
        }
    }

    fn meaning(cluster: Option<&'static str>, node_id: i32) -> ApiVersionsRequest<'static> {
        ApiVersionsRequest { cluster_id: cluster.map(Into::into), node_id, ..named("kgo", "v1.22.3") }
    }

    /// The answer to a request in some version. Its header has no tags (KIP-511), which `call` reads as those of any
    /// flexible API.
    fn ask<T>(
        server: &mut Server,
        version: i16,
        request: &ApiVersionsRequest<'_>,
        look: impl FnOnce(&ApiVersionsResponse<'_>) -> T,
    ) -> T {
        let frame = encode_request(ApiKey::ApiVersions, version, 77, None, request).expect("encodes");
        let Step::Reply(answer) = server.dispatch(&Bytes::from(frame.to_vec()).slice(4..)) else {
            panic!("no answer")
        };
        look(&read(&answer.to_vec()[8..], version))
    }

    #[test]
    fn ranges_and_features_are_shown_in_all_versions() {
        for version in 0..=5 {
            let request = if version >= 3 { named("kgo", "1.0") } else { ApiVersionsRequest::default() };
            ask(&mut Server::new(), version, &request, |answer| {
                let range = |api: &ApiVersion| (api.api_key, api.min_version, api.max_version);
                assert_eq!((answer.error_code, range(&answer.api_keys[0])), (0, (0, 0, 13)));
                assert!(answer.api_keys.is_sorted_by_key(|api| api.api_key));
                let supported = answer.supported_features.iter();
                let supported = supported.map(|it| (&*it.name, it.min_version, it.max_version));
                let finalized = answer.finalized_features.iter();
                let finalized = finalized.map(|it| (&*it.name, it.min_version_level, it.max_version_level));
                let features = [("group.version", 1, 1), ("metadata.version", 22, 22)];
                let features = if version >= 3 { &features[..] } else { &[] };
                assert_eq!(supported.collect::<Vec<_>>(), features);
                assert_eq!(finalized.collect::<Vec<_>>(), features);
                assert_eq!(answer.finalized_features_epoch >= 0, version >= 3);
            });
        }
    }

    #[test]
    fn unknown_versions_are_answered_in_the_oldest_form() {
        for version in [6i16, 99, -1] {
            let mut frame = encode_request(ApiKey::ApiVersions, 4, 77, None, &named("kgo", "1.0"))
                .expect("encodes")
                .to_vec();
            frame[6..8].copy_from_slice(&version.to_be_bytes());
            let Step::Reply(answer) = Server::new().dispatch(&Bytes::from(frame).slice(4..)) else {
                panic!("no answer")
            };
            let bytes = answer.to_vec();
            let answer: ApiVersionsResponse<'_> = read(&bytes[8..], 0);
            let own = ApiVersion { api_key: 18, min_version: 0, max_version: 5 };
            assert_eq!((answer.error_code, answer.api_keys), (35, vec![own]));
        }
    }

    #[test]
    fn cluster_and_node_are_compared() {
        let check = |cluster, node, code: ErrorCode, meant: NodeMeant| {
            let mut server = Server::new();
            ask(&mut server, 5, &meaning(cluster, node), |answer| {
                assert_eq!(answer.error_code, code.code(), "{cluster:?} {node}");
                let is_empty = answer.api_keys.is_empty() && answer.finalized_features.is_empty();
                assert_eq!(is_empty, code != ErrorCode::None);
            });
            assert_eq!(server.connection.node, meant, "{cluster:?} {node}");
            assert_eq!(server.connection.software_name.is_empty(), code != ErrorCode::None);
        };
        let (none, elsewhere) = (ErrorCode::None, ErrorCode::RebootstrapRequired);
        check(None, -1, none, NodeMeant::Unnamed);
        check(Some(CLUSTER), 1000, none, NodeMeant::Server);
        check(Some(CLUSTER), 1002, none, NodeMeant::Shard(crate::base::ShardId(1)));
        check(Some(CLUSTER), 1999, none, NodeMeant::Shard(crate::base::ShardId(998)));
        check(Some(CLUSTER), 2000, elsewhere, NodeMeant::Unknown);
        check(Some(CLUSTER), 7, elsewhere, NodeMeant::Unknown);
        check(Some(CLUSTER), -5, elsewhere, NodeMeant::Unknown);
        check(Some("another"), 1000, elsewhere, NodeMeant::Unknown);
        check(Some(""), 1000, elsewhere, NodeMeant::Unknown);
        check(Some(CLUSTER), -1, ErrorCode::InvalidRequest, NodeMeant::Unknown);
        check(Some("another"), -1, ErrorCode::InvalidRequest, NodeMeant::Unknown);
        check(None, 1000, ErrorCode::InvalidRequest, NodeMeant::Unknown);
        let mut server = Server::new();
        let spoilt = ApiVersionsRequest { client_software_name: "-".into(), ..meaning(Some("another"), 1) };
        ask(&mut server, 5, &spoilt, |answer| {
            assert_eq!(answer.error_code, ErrorCode::InvalidRequest.code())
        });
    }

    #[test]
    fn the_first_word_counts() {
        let mut server = Server::new();
        let views = |server: &mut Server, version, request: &ApiVersionsRequest<'_>| {
            ask(server, version, request, |_| ());
            (server.connection.view, server.connection.software_name.clone())
        };
        // Neither an older version, in which nothing can be said, nor what is refused is a word.
        assert_eq!(views(&mut server, 2, &ApiVersionsRequest::default()), (View::Server, String::new()));
        assert_eq!(views(&mut server, 5, &meaning(Some("x"), 1000)), (View::Server, String::new()));
        assert_eq!(views(&mut server, 5, &meaning(Some(CLUSTER), 1001)), (View::Shards, "kgo".into()));
        assert_eq!(views(&mut server, 3, &named("my-monitor", "1")), (View::Shards, "kgo".into()));
        let mut server = Server::new();
        assert_eq!(views(&mut server, 3, &named("sarama", "1.46.3")), (View::Server, "sarama".into()));
        assert_eq!(views(&mut server, 5, &meaning(Some(CLUSTER), 1001)), (View::Server, "sarama".into()));
    }

    #[test]
    fn a_port_of_its_own_says_which_node_is_meant() {
        let mut server = Server::new();
        server.config.advertise = crate::config::Advertise::ShardPorts;
        server.connection.node = NodeMeant::Shard(crate::base::ShardId(1));
        ask(&mut server, 5, &meaning(None, -1), |_| ());
        assert_eq!(server.connection.node, NodeMeant::Shard(crate::base::ShardId(1)));
        assert_eq!(server.connection.view, View::ShardPorts);
    }

    #[test]
    fn telemetry_is_advertised_to_subscribed_clients_only() {
        let keys = |server: &mut Server| {
            ask(server, 4, &named("librdkafka", "2.16.0"), |answer| {
                answer.api_keys.iter().filter(|api| matches!(api.api_key, 71 | 72)).count()
            })
        };
        let mut server = Server::new();
        assert_eq!(keys(&mut server), 0);
        server.subscribe("all", "*");
        assert_eq!(keys(&mut server), 2);
    }

    #[test]
    fn names_that_would_spoil_a_log_are_refused() {
        for (name, good) in [
            ("kgo", true),
            ("a.b-c", true),
            ("a", true),
            ("", false),
            ("-a", false),
            ("a b", false),
            ("a\n", false),
        ] {
            assert_eq!(is_software_word(name), good, "{name:?}");
        }
    }
}
