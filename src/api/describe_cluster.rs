//! DescribeCluster (60), versions 0-2.
//!
//! - v1: the client says whether it means brokers or controllers; here are only brokers.
//! - v2: fenced brokers on request; there are none.

use bytes::Bytes;

use crate::protocol::messages::describe_cluster_response::DescribeClusterBroker;
use crate::protocol::messages::{DescribeClusterRequest, DescribeClusterResponse};
use crate::protocol::{ErrorCode, RequestHeader};

use super::answer::{decode, error_message, respond};
use super::authorized::CLUSTER_OPERATIONS;
use super::nodes::{controller_node, nodes, rack};
use super::{ApiError, Context, Step};

/// Kafka's numbers for what an address leads to.
const BROKERS: i8 = 1;
const CONTROLLERS: i8 = 2;

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
