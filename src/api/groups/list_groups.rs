//! ListGroups (16), versions 0-5.
//!
//! Every shard that the connection answers for lists the groups it coordinates: tools ask all nodes and add up. v4: states,
//! and only groups in some; v5: types, and only groups of some. Filters are compared whatever the case, states without the
//! space around them too; types are answered in lower case, and a type that nobody knows takes no group.

use bytes::Bytes;

use crate::base::ShardId;
use crate::group::{GroupError, ListedGroup as Listed};
use crate::protocol::messages::list_groups_response::ListedGroup;
use crate::protocol::messages::{ListGroupsRequest, ListGroupsResponse};
use crate::protocol::{ApiKey, RequestHeader};
use crate::shard::ShardRequest;

use super::coordinator::code_of;
use crate::api::answer::{AnswerForm, decode};
use crate::api::cluster::nodes::answers_for;
use crate::api::split::ask;
use crate::api::{Api, ApiError, Context, Step, Wait};

const STATE_FROM: i16 = 4;
const TYPE_FROM: i16 = 5;

pub const API: Api = Api::new(ApiKey::ListGroups, 0..=5, start);

pub fn start(context: &mut Context<'_>, header: &RequestHeader<'_>, body: &Bytes) -> Result<Step, ApiError> {
    let request: ListGroupsRequest<'_> = decode(header, body)?;
    let answer = AnswerForm::of(header)?;
    let states: Vec<String> = request.states_filter.iter().map(|it| it.trim().to_owned()).collect();
    let types: Vec<String> = request.types_filter.iter().map(ToString::to_string).collect();
    let shards = (0..context.image.here.shards).map(ShardId).filter(|shard| answers_for(context, *shard));
    let calls = shards.map(|shard| (shard, ShardRequest::list_groups())).collect();
    let then = move |_: &mut Context<'_>, results: Vec<Result<Vec<Listed>, GroupError>>| {
        let results: Result<Vec<_>, GroupError> = results.into_iter().collect();
        let takes = |wanted: &[String], value: &str| {
            wanted.is_empty() || wanted.iter().any(|it| it.eq_ignore_ascii_case(value))
        };
        let groups: Vec<Listed> = results.as_ref().map(|all| all.concat()).unwrap_or_default();
        let groups = groups.iter().filter(|it| takes(&states, it.state) && takes(&types, it.kind));
        let groups = groups.map(|it| shown(it, answer.version)).collect();
        answer.send(&ListGroupsResponse { throttle_time_ms: 0, error_code: code_of(&results), groups })
    };
    Ok(ask(context, calls, Wait::All, then))
}

fn shown(group: &Listed, version: i16) -> ListedGroup<'_> {
    ListedGroup {
        group_id: (&*group.group).into(),
        protocol_type: (&*group.protocol_type).into(),
        group_state: if version >= STATE_FROM { group.state.into() } else { "".into() },
        group_type: if version >= TYPE_FROM { group.kind.into() } else { "".into() },
    }
}
