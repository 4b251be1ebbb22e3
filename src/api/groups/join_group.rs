//! JoinGroup (11), versions 0-9.
//!
//! The answer comes when the group's members are together, or when that takes too long.
//!
//! - v0 has no rebalance timeout: the session's counts. v4: MEMBER_ID_REQUIRED with an id to come back with (KIP-394); never
//!   below, some clients cannot. v5: static members (KIP-345). v7: the protocol type in the answer. v8: a reason, which is
//!   only for reading. v9: a returning leader may be told not to assign (KIP-814).

use bytes::Bytes;

use crate::group::{GroupRequest, JoinRefused, JoinRequest, Joined};
use crate::protocol::messages::join_group_response::JoinGroupResponseMember;
use crate::protocol::messages::{JoinGroupRequest, JoinGroupResponse};
use crate::protocol::{ApiKey, ErrorCode, RequestHeader};

use super::coordinator::{ask_coordinator, client_id, group_error, optional_text, text};
use crate::api::answer::{AnswerForm, decode};
use crate::api::{Api, ApiError, Context, Step};

const REBALANCE_TIMEOUT_FROM: i16 = 1;
const ID_REQUIRED_FROM: i16 = 4;
const PROTOCOL_TYPE_FROM: i16 = 7;
const SKIP_ASSIGNMENT_FROM: i16 = 9;

pub const API: Api = Api::new(ApiKey::JoinGroup, 0..=9, start).answered_briefly();

pub fn start(context: &mut Context<'_>, header: &RequestHeader<'_>, body: &Bytes) -> Result<Step, ApiError> {
    let request: JoinGroupRequest<'_> = decode(header, body)?;
    let answer = AnswerForm::of(header)?;
    let rebalance_timeout_ms = if answer.version >= REBALANCE_TIMEOUT_FROM {
        request.rebalance_timeout_ms
    } else {
        request.session_timeout_ms
    };
    let protocols = request.protocols.iter();
    let protocols = protocols.map(|it| Ok((text(&it.name)?, Bytes::copy_from_slice(&it.metadata))));
    let asked = JoinRequest {
        group: text(&request.group_id)?,
        member_id: text(&request.member_id)?,
        instance_id: optional_text(request.group_instance_id.as_deref())?,
        client_id: client_id(header),
        client_host: context.connection.client_host.as_str().into(),
        session_timeout_ms: request.session_timeout_ms,
        rebalance_timeout_ms,
        protocol_type: text(&request.protocol_type)?,
        protocols: protocols.collect::<Result<_, ApiError>>()?,
        id_required: answer.version >= ID_REQUIRED_FROM,
        can_skip_assignment: answer.version >= SKIP_ASSIGNMENT_FROM,
    };
    Ok(ask_coordinator(context, GroupRequest::join(asked), move |_, result| respond(answer, result)))
}

fn respond(answer: AnswerForm, result: Result<Joined, JoinRefused>) -> Step {
    let has_type = answer.version >= PROTOCOL_TYPE_FROM;
    let joined = match result {
        Ok(joined) => joined,
        Err(refused) => {
            return answer.send(&JoinGroupResponse {
                error_code: group_error(refused.error).code(),
                generation_id: -1,
                protocol_type: None,
                protocol_name: (!has_type).then(|| "".into()),
                member_id: (&*refused.member_id).into(),
                ..JoinGroupResponse::default()
            });
        }
    };
    let members = joined.members.iter().map(|member| JoinGroupResponseMember {
        member_id: (&*member.member_id).into(),
        group_instance_id: member.instance_id.as_deref().map(Into::into),
        metadata: (&*member.metadata).into(),
    });
    answer.send(&JoinGroupResponse {
        throttle_time_ms: 0,
        error_code: ErrorCode::None.code(),
        generation_id: joined.generation,
        protocol_type: joined.protocol_type.as_deref().filter(|_| has_type).map(Into::into),
        protocol_name: Some(joined.protocol.as_deref().unwrap_or_default().into()),
        leader: (&*joined.leader).into(),
        skip_assignment: joined.skip_assignment,
        member_id: (&*joined.member_id).into(),
        members: members.collect(),
    })
}
