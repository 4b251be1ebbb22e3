//! SyncGroup (14), versions 0-5.
//!
//! - v3: static members. v5: protocol type and name both ways; the request's are checked when given.

use bytes::Bytes;

use crate::group::{GroupError, GroupRequest, SyncRequest, Synced};
use crate::protocol::messages::{SyncGroupRequest, SyncGroupResponse};
use crate::protocol::{ApiKey, ErrorCode, RequestHeader};

use super::coordinator::{ask_coordinator, group_error, member, optional_text, text};
use crate::api::answer::{AnswerForm, decode};
use crate::api::{Api, ApiError, Context, Step};

const PROTOCOL_FROM: i16 = 5;

pub const API: Api = Api::new(ApiKey::SyncGroup, 0..=5, start).answered_briefly();

pub fn start(context: &mut Context<'_>, header: &RequestHeader<'_>, body: &Bytes) -> Result<Step, ApiError> {
    let request: SyncGroupRequest<'_> = decode(header, body)?;
    let answer = AnswerForm::of(header)?;
    let assignments = request.assignments.iter();
    let assignments =
        assignments.map(|it| Ok((text(&it.member_id)?, Bytes::copy_from_slice(&it.assignment))));
    let asked = SyncRequest {
        group: text(&request.group_id)?,
        member: member(request.generation_id, &request.member_id, request.group_instance_id.as_deref())?,
        protocol_type: optional_text(request.protocol_type.as_deref())?,
        protocol: optional_text(request.protocol_name.as_deref())?,
        assignments: assignments.collect::<Result<_, ApiError>>()?,
    };
    Ok(ask_coordinator(context, GroupRequest::sync(asked), move |_, result| respond(answer, &result)))
}

fn respond(answer: AnswerForm, result: &Result<Synced, GroupError>) -> Step {
    let has_protocol = answer.version >= PROTOCOL_FROM;
    match result {
        Ok(synced) => answer.send(&SyncGroupResponse {
            throttle_time_ms: 0,
            error_code: ErrorCode::None.code(),
            protocol_type: synced.protocol_type.as_deref().filter(|_| has_protocol).map(Into::into),
            protocol_name: synced.protocol.as_deref().filter(|_| has_protocol).map(Into::into),
            assignment: (&*synced.assignment).into(),
        }),
        Err(error) => answer.send(&SyncGroupResponse {
            error_code: group_error(*error).code(),
            protocol_type: None,
            protocol_name: None,
            ..SyncGroupResponse::default()
        }),
    }
}
