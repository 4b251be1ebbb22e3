//! Heartbeat (12), versions 0-4. v3: static members.
//!
//! A coordinator that is still reading its log says that all is well: the members' sessions begin when it has. Consumers take
//! COORDINATOR_LOAD_IN_PROGRESS for a fault here.

use bytes::Bytes;

use crate::group::{GroupError, GroupRequest};
use crate::protocol::messages::{HeartbeatRequest, HeartbeatResponse};
use crate::protocol::{ApiKey, RequestHeader};

use super::coordinator::{ask_coordinator, code_of, member, text};
use crate::api::answer::{AnswerForm, decode};
use crate::api::{Api, ApiError, Context, Step};

pub const API: Api = Api::new(ApiKey::Heartbeat, 0..=4, start).answered_briefly();

pub fn start(context: &mut Context<'_>, header: &RequestHeader<'_>, body: &Bytes) -> Result<Step, ApiError> {
    let request: HeartbeatRequest<'_> = decode(header, body)?;
    let answer = AnswerForm::of(header)?;
    let member = member(request.generation_id, &request.member_id, request.group_instance_id.as_deref())?;
    let asked = GroupRequest::heartbeat(text(&request.group_id)?, member);
    Ok(ask_coordinator(context, asked, move |_, result| match result {
        Err(GroupError::CoordinatorLoadInProgress) => answer.send(&HeartbeatResponse::default()),
        result => answer.send(&HeartbeatResponse { throttle_time_ms: 0, error_code: code_of(&result) }),
    }))
}
