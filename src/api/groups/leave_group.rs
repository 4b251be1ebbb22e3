//! LeaveGroup (13), versions 0-5.
//!
//! - v3: many members at once, static ones by instance id; each has its own outcome. Before, the one member's outcome is
//!   the answer's. v5: a reason, which is only for reading.

use bytes::Bytes;

use crate::group::{GroupError, GroupRequest, LeavingMember};
use crate::protocol::messages::leave_group_response::MemberResponse;
use crate::protocol::messages::{LeaveGroupRequest, LeaveGroupResponse};
use crate::protocol::{ApiKey, RequestHeader};

use super::coordinator::{ask_coordinator, code_of, optional_text, text};
use crate::api::answer::{AnswerForm, decode};
use crate::api::{Api, ApiError, Context, Step};

const MEMBERS_FROM: i16 = 3;

pub const API: Api = Api::new(ApiKey::LeaveGroup, 0..=5, start).answered_briefly();

pub fn start(context: &mut Context<'_>, header: &RequestHeader<'_>, body: &Bytes) -> Result<Step, ApiError> {
    let request: LeaveGroupRequest<'_> = decode(header, body)?;
    let answer = AnswerForm::of(header)?;
    let members: Vec<LeavingMember> = if answer.version >= MEMBERS_FROM {
        let members = request.members.iter().map(|it| {
            let instance_id = optional_text(it.group_instance_id.as_deref())?;
            Ok(LeavingMember { member_id: text(&it.member_id)?, instance_id })
        });
        members.collect::<Result<_, ApiError>>()?
    } else {
        vec![LeavingMember { member_id: text(&request.member_id)?, instance_id: None }]
    };
    let asked = GroupRequest::leave(text(&request.group_id)?, members.clone());
    Ok(ask_coordinator(context, asked, move |_, result| respond(answer, &members, &result)))
}

type Left = Result<Vec<Result<(), GroupError>>, GroupError>;

fn respond(answer: AnswerForm, members: &[LeavingMember], result: &Left) -> Step {
    let error_code = code_of(result);
    let Ok(outcomes) = result else {
        return answer.send(&LeaveGroupResponse { error_code, ..LeaveGroupResponse::default() });
    };
    if answer.version < MEMBERS_FROM {
        let error_code = outcomes.first().map_or(0, code_of);
        return answer.send(&LeaveGroupResponse { error_code, ..LeaveGroupResponse::default() });
    }
    let members = members.iter().zip(outcomes).map(|(member, outcome)| MemberResponse {
        member_id: (&*member.member_id).into(),
        group_instance_id: member.instance_id.as_deref().map(Into::into),
        error_code: code_of(outcome),
    });
    answer.send(&LeaveGroupResponse { throttle_time_ms: 0, error_code, members: members.collect() })
}
