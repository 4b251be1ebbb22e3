//! DeleteGroups (42), versions 0-3. A group with members is refused with NON_EMPTY_GROUP.
//!
//! - A group that is named twice is deleted, and answered, once.
//! - v3: error messages (KIP-1331), which Kafka gives for groups of Kafka Streams only: null here.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;

use crate::group::GroupRequest;
use crate::protocol::messages::delete_groups_response::DeletableGroupResult;
use crate::protocol::messages::{DeleteGroupsRequest, DeleteGroupsResponse};
use crate::protocol::{ApiKey, RequestHeader};

use super::coordinator::{ask_coordinators, code_of, text};
use crate::api::answer::{AnswerForm, decode};
use crate::api::{Api, ApiError, Context, Step};

pub const API: Api = Api::new(ApiKey::DeleteGroups, 0..=3, start);

pub fn start(context: &mut Context<'_>, header: &RequestHeader<'_>, body: &Bytes) -> Result<Step, ApiError> {
    let request: DeleteGroupsRequest<'_> = decode(header, body)?;
    let answer = AnswerForm::of(header)?;
    let mut seen = BTreeSet::new();
    let names = request.groups_names.iter().filter(|name| seen.insert(&***name));
    let groups: Vec<Arc<str>> = names.map(|name| text(name)).collect::<Result<_, ApiError>>()?;
    let questions = groups.iter().map(|group| GroupRequest::delete(group.clone())).collect();
    Ok(ask_coordinators(context, questions, move |_, results| {
        let results = groups.iter().zip(results).map(|(group, result)| DeletableGroupResult {
            group_id: (&**group).into(),
            error_code: code_of(&result),
            error_message: None,
        });
        answer.send(&DeleteGroupsResponse { throttle_time_ms: 0, results: results.collect() })
    }))
}
