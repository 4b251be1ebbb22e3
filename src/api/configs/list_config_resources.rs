//! ListConfigResources (74), versions 0-1: what has configs.
//!
//! - v0 is ListClientMetricsResources. v1: kinds of resources; none named means all.

use bytes::Bytes;

use crate::controller::Resource;
use crate::protocol::messages::list_config_resources_response::ConfigResource;
use crate::protocol::messages::{ListConfigResourcesRequest, ListConfigResourcesResponse};
use crate::protocol::{ApiKey, ErrorCode, RequestHeader};

use super::alter::{BROKER, BROKER_LOGGER, CLIENT_METRICS, GROUP, TOPIC};
use crate::api::answer::{decode, respond};
use crate::api::cluster::nodes::nodes;
use crate::api::{Api, ApiError, Context, Step};

const KINDS: [i8; 5] = [TOPIC, BROKER, BROKER_LOGGER, CLIENT_METRICS, GROUP];

pub const API: Api = Api::new(ApiKey::ListConfigResources, 0..=1, start);

pub fn start(context: &mut Context<'_>, header: &RequestHeader<'_>, body: &Bytes) -> Result<Step, ApiError> {
    let request: ListConfigResourcesRequest = decode(header, body)?;
    let kinds: &[i8] = match (header.api_version, request.resource_types.as_slice()) {
        (0, _) => &[CLIENT_METRICS],
        (_, []) => &KINDS,
        (_, kinds) => kinds,
    };
    if kinds.iter().any(|kind| !KINDS.contains(kind)) {
        let error_code = ErrorCode::UnsupportedVersion.code();
        return respond(
            header,
            &ListConfigResourcesResponse { error_code, ..ListConfigResourcesResponse::default() },
        );
    }
    let config_resources =
        KINDS.iter().filter(|kind| kinds.contains(kind)).flat_map(|kind| list(context, *kind));
    let config_resources = config_resources.collect();
    respond(header, &ListConfigResourcesResponse { throttle_time_ms: 0, error_code: 0, config_resources })
}

fn list<'a>(context: &'a Context<'_>, resource_type: i8) -> Vec<ConfigResource<'a>> {
    match resource_type {
        TOPIC => {
            let topics = context.image.topics.keys();
            topics.map(|name| ConfigResource { resource_name: (&**name).into(), resource_type }).collect()
        }
        BROKER | BROKER_LOGGER => {
            let nodes = nodes(context).into_iter();
            nodes
                .map(|node| ConfigResource { resource_name: node.id.to_string().into(), resource_type })
                .collect()
        }
        _ => {
            let resources = context.image.configs.keys();
            let names = resources.filter_map(|resource| match resource {
                Resource::ClientMetrics(name) if resource_type == CLIENT_METRICS => Some(name),
                Resource::Group(name) if resource_type == GROUP => Some(name),
                _ => None,
            });
            names.map(|name| ConfigResource { resource_name: name.as_str().into(), resource_type }).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::api::testing::{Server, read};

    use super::*;

    #[test]
    fn resources_are_listed_by_kind() {
        let check = |version: i16, kinds: &[i8], wanted: &[(&str, i8)], error: ErrorCode| {
            let mut server = Server::new();
            server.create("a", 1);
            let request = ListConfigResourcesRequest { resource_types: kinds.to_vec() };
            let body = server.call(start, version, &request);
            let answer: ListConfigResourcesResponse<'_> = read(&body, version);
            assert_eq!(answer.error_code, error.code());
            let listed: Vec<_> =
                answer.config_resources.iter().map(|it| (&*it.resource_name, it.resource_type)).collect();
            let wanted: Vec<_> =
                wanted.iter().map(|(name, kind)| (*name, if version == 0 { 16 } else { *kind })).collect();
            assert_eq!(listed, wanted, "{kinds:?}");
        };
        check(0, &[], &[], ErrorCode::None);
        check(1, &[2], &[("a", 2)], ErrorCode::None);
        check(1, &[], &[("a", 2), ("1000", 4), ("1000", 8)], ErrorCode::None);
        check(1, &[32, 16], &[], ErrorCode::None);
        check(1, &[3], &[], ErrorCode::UnsupportedVersion);
    }
}
