//! DescribeGroups (15), versions 0-6.
//!
//! - v3: authorized operations on request; without authorization, all there are. v4: instance ids.
//! - v6: GROUP_ID_NOT_FOUND for a group nobody knows; before, such a group is "Dead" and no error.
//! - While a group rebalances, members are shown with what they were assigned last, and without their metadata.

use bytes::Bytes;

use crate::group::{DescribedGroup as Described, GroupError, GroupRequest};
use crate::protocol::messages::describe_groups_response::{DescribedGroup, DescribedGroupMember};
use crate::protocol::messages::{DescribeGroupsRequest, DescribeGroupsResponse};
use crate::protocol::{ApiKey, ErrorCode, RequestHeader};

use super::coordinator::{ask_coordinators, group_error, text};
use crate::api::answer::{AnswerForm, decode, error_message};
use crate::api::authorized::GROUP_OPERATIONS;
use crate::api::{Api, ApiError, Context, Step};

const NOT_FOUND_FROM: i16 = 6;

pub const API: Api = Api::new(ApiKey::DescribeGroups, 0..=6, start);

pub fn start(context: &mut Context<'_>, header: &RequestHeader<'_>, body: &Bytes) -> Result<Step, ApiError> {
    let request: DescribeGroupsRequest<'_> = decode(header, body)?;
    let answer = AnswerForm::of(header)?;
    let operations = if request.include_authorized_operations { GROUP_OPERATIONS } else { i32::MIN };
    let groups = request.groups.iter().map(|group| text(group));
    let groups: Vec<_> = groups.collect::<Result<_, ApiError>>()?;
    let questions = groups.iter().map(|group| GroupRequest::describe(group.clone())).collect();
    Ok(ask_coordinators(context, questions, move |_, results| {
        let groups = groups.iter().zip(&results).map(|(group, result)| match result {
            Ok(described) => success(group, described, operations),
            Err(error) => failure(group, *error, answer.version, operations),
        });
        answer.send(&DescribeGroupsResponse { throttle_time_ms: 0, groups: groups.collect() })
    }))
}

fn success<'a>(group: &'a str, described: &'a Described, operations: i32) -> DescribedGroup<'a> {
    let members = described.members.iter().map(|member| DescribedGroupMember {
        member_id: (&*member.member_id).into(),
        group_instance_id: member.instance_id.as_deref().map(Into::into),
        client_id: (&*member.client_id).into(),
        client_host: (&*member.client_host).into(),
        member_metadata: (&*member.metadata).into(),
        member_assignment: (&*member.assignment).into(),
    });
    DescribedGroup {
        error_code: ErrorCode::None.code(),
        error_message: None,
        group_id: group.into(),
        group_state: described.state.into(),
        protocol_type: (&*described.protocol_type).into(),
        protocol_data: (&*described.protocol).into(),
        members: members.collect(),
        authorized_operations: operations,
    }
}

fn failure(group: &str, error: GroupError, version: i16, operations: i32) -> DescribedGroup<'_> {
    let is_missing = error == GroupError::GroupIdNotFound;
    let is_dead = is_missing && version < NOT_FOUND_FROM;
    DescribedGroup {
        error_code: if is_dead { ErrorCode::None } else { group_error(error) }.code(),
        error_message: if version >= NOT_FOUND_FROM { error_message(error.to_string()) } else { None },
        group_id: group.into(),
        group_state: if is_missing { "Dead".into() } else { "".into() },
        protocol_type: "".into(),
        protocol_data: "".into(),
        members: Vec::new(),
        authorized_operations: if is_dead { operations } else { i32::MIN },
    }
}
