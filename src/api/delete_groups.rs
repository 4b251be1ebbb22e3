//! DeleteGroups (42), versions 0-2. A group with members is refused with NON_EMPTY_GROUP.

use bytes::Bytes;

use crate::group::{GroupReply, GroupRequest};
use crate::protocol::RequestHeader;
use crate::protocol::messages::delete_groups_response::DeletableGroupResult;
use crate::protocol::messages::{DeleteGroupsRequest, DeleteGroupsResponse};

use super::answer::{Answer, decode};
use super::coordinator::{ask_coordinators, code_of, text};
use super::{ApiError, Context, Step};

pub fn start(context: &mut Context<'_>, header: &RequestHeader<'_>, body: &Bytes) -> Result<Step, ApiError> {
    let request: DeleteGroupsRequest<'_> = decode(header, body)?;
    let answer = Answer::to(header)?;
    let groups = request.groups_names.iter().map(|group| text(group));
    let groups: Vec<_> = groups.collect::<Result<_, ApiError>>()?;
    let questions = groups.iter().map(|group| GroupRequest::Delete { group: group.clone() }).collect();
    Ok(ask_coordinators(context, questions, move |_, replies| {
        let results = groups.iter().zip(replies).map(|(group, reply)| match reply {
            GroupReply::Delete(result) => {
                let error_code = code_of(&result);
                DeletableGroupResult { group_id: (&**group).into(), error_code, error_message: None }
            }
            other => panic!("asked to delete, got {other:?}"),
        });
        answer.send(&DeleteGroupsResponse { throttle_time_ms: 0, results: results.collect() })
    }))
}
