//! ListPartitionReassignments (46), version 0: on one server, none is ever in progress.

use bytes::Bytes;

use crate::protocol::messages::{ListPartitionReassignmentsRequest, ListPartitionReassignmentsResponse};
use crate::protocol::{ApiKey, RequestHeader};

use crate::api::answer::{decode, respond};
use crate::api::{Api, ApiError, Context, Step};

pub const API: Api = Api::new(ApiKey::ListPartitionReassignments, 0..=0, start);

pub fn start(_: &mut Context<'_>, header: &RequestHeader<'_>, body: &Bytes) -> Result<Step, ApiError> {
    let _: ListPartitionReassignmentsRequest<'_> = decode(header, body)?;
    respond(
        header,
        &ListPartitionReassignmentsResponse {
            error_message: None,
            ..ListPartitionReassignmentsResponse::default()
        },
    )
}
