//! DescribeCluster (60), versions 0-2.
//!
//! - v1: the client says whether it means brokers or controllers; here are only brokers.
//! - v2: fenced brokers on request; there are none.

use bytes::Bytes;

use crate::protocol::messages::describe_cluster_response::DescribeClusterBroker;
use crate::protocol::messages::{DescribeClusterRequest, DescribeClusterResponse};
use crate::protocol::{ApiKey, ErrorCode, RequestHeader};

use super::nodes::{controller_node, nodes, rack};
use crate::api::answer::{decode, error_message, respond};
use crate::api::authorized::CLUSTER_OPERATIONS;
use crate::api::{Api, ApiError, Context, Step};

/// Kafka's numbers for what an address leads to.
const BROKERS: i8 = 1;
const CONTROLLERS: i8 = 2;

pub const API: Api = Api::new(ApiKey::DescribeCluster, 0..=2, start);

pub fn start(context: &mut Context<'_>, header: &RequestHeader<'_>, body: &Bytes) -> Result<Step, ApiError> {
    let request: DescribeClusterRequest = decode(header, body)?;
    if request.endpoint_type != BROKERS {
        return respond(header, &refused(request.endpoint_type));
    }
    let (host, rack) = (context.connection.advertised_host.as_str(), rack(context));
    let brokers = nodes(context).into_iter().map(|node| DescribeClusterBroker {
        broker_id: node.id,
        host: host.into(),
        port: node.port,
        rack: Some(rack.as_str().into()),
        is_fenced: false,
    });
    let mut response = DescribeClusterResponse {
        cluster_id: context.image.cluster_id.as_str().into(),
        controller_id: controller_node(context),
        brokers: brokers.collect(),
        ..DescribeClusterResponse::default()
    };
    if request.include_cluster_authorized_operations {
        response.cluster_authorized_operations = CLUSTER_OPERATIONS;
    }
    respond(header, &response)
}

fn refused(endpoint_type: i8) -> DescribeClusterResponse<'static> {
    let error = if endpoint_type == CONTROLLERS {
        ErrorCode::MismatchedEndpointType
    } else {
        ErrorCode::UnsupportedEndpointType
    };
    DescribeClusterResponse {
        error_code: error.code(),
        error_message: error_message(format!(
            "this address leads to brokers, not to endpoint type {endpoint_type}"
        )),
        endpoint_type,
        ..DescribeClusterResponse::default()
    }
}

#[cfg(test)]
mod tests {
    use crate::api::testing::{Server, read};
    use crate::controller::View;

    use super::*;

    #[test]
    fn nodes_follow_the_view_in_all_versions() {
        for version in 0..=2 {
            let mut server = Server::new();
            server.connection.view = View::ShardPorts;
            let request = DescribeClusterRequest {
                include_cluster_authorized_operations: true,
                ..DescribeClusterRequest::default()
            };
            let body = server.call(start, version, &request);
            let answer: DescribeClusterResponse<'_> = read(&body, version);
            let ports: Vec<i32> = answer.brokers.iter().map(|broker| broker.port).collect();
            assert_eq!((answer.error_code, ports), (0, vec![9092, 9093]));
            assert_eq!(answer.controller_id, answer.brokers[0].broker_id);
            assert_eq!(answer.cluster_authorized_operations, CLUSTER_OPERATIONS);
        }
    }

    #[test]
    fn there_are_no_controllers_to_describe() {
        for (version, endpoint_type, code) in [(1, 2, 114), (2, 2, 114), (2, 7, 115)] {
            let request = DescribeClusterRequest { endpoint_type, ..DescribeClusterRequest::default() };
            let body = Server::new().call(start, version, &request);
            assert_eq!(read::<DescribeClusterResponse<'_>>(&body, version).error_code, code);
        }
    }
}
