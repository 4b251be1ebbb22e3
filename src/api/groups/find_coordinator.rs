//! FindCoordinator (10), versions 0-6.
//!
//! Groups are coordinated by the shard that owns their partition of `__consumer_offsets`, under the node the connection's
//! view gives that shard. The topic is created when the first group asks.
//!
//! - v1: key types, error messages. v4: many keys at once. v6: share groups, which are not served.
//!
//! Not done: transactions (key type 1) and share groups (2) are refused with INVALID_REQUEST: nothing coordinates them.

use bytes::Bytes;

use crate::controller::{ControllerError, ControllerRequest};
use crate::protocol::messages::find_coordinator_response::Coordinator;
use crate::protocol::messages::{FindCoordinatorRequest, FindCoordinatorResponse};
use crate::protocol::{ApiKey, ErrorCode, RequestHeader};

use super::coordinator::{coordinator_of, offsets_topic};
use crate::api::answer::{AnswerForm, decode};
use crate::api::cluster::nodes::node;
use crate::api::controller::ask;
use crate::api::{Api, ApiError, Context, Step};

const GROUP: i8 = 0;
/// First version with a list of keys.
const KEYS_FROM: i16 = 4;

pub const API: Api = Api::new(ApiKey::FindCoordinator, 0..=6, start).answered_briefly();

pub fn start(context: &mut Context<'_>, header: &RequestHeader<'_>, body: &Bytes) -> Result<Step, ApiError> {
    let request: FindCoordinatorRequest<'_> = decode(header, body)?;
    let answer = AnswerForm::of(header)?;
    let keys: Vec<String> = if answer.version >= KEYS_FROM {
        request.coordinator_keys.iter().map(ToString::to_string).collect()
    } else {
        vec![request.key.to_string()]
    };
    let wants_group = request.key_type == GROUP && keys.iter().any(|key| !key.is_empty());
    if !wants_group || coordinator_of(context, "").is_some() {
        return Ok(respond(context, answer, request.key_type, &keys, None));
    }
    let topics = vec![offsets_topic(context.config)];
    let asked = ControllerRequest::create_topics(topics, false);
    let key_type = request.key_type;
    Ok(ask(asked, move |context, results| {
        let refused = results.into_iter().find_map(Result::err);
        respond(context, answer, key_type, &keys, refused.as_ref())
    }))
}

fn respond(
    context: &Context<'_>,
    answer: AnswerForm,
    key_type: i8,
    keys: &[String],
    refused: Option<&ControllerError>,
) -> Step {
    let found: Vec<_> = keys.iter().map(|key| find(context, key_type, key, refused)).collect();
    if answer.version >= KEYS_FROM {
        return answer.send(&FindCoordinatorResponse {
            error_message: None,
            coordinators: found,
            ..FindCoordinatorResponse::default()
        });
    }
    let Some(found) = found.into_iter().next() else {
        return Step::Close { reason: "a request without a key".to_owned() };
    };
    answer.send(&FindCoordinatorResponse {
        error_code: found.error_code,
        error_message: found.error_message,
        node_id: found.node_id,
        host: found.host,
        port: found.port,
        ..FindCoordinatorResponse::default()
    })
}

fn find<'a>(
    context: &'a Context<'_>,
    key_type: i8,
    key: &'a str,
    refused: Option<&ControllerError>,
) -> Coordinator<'a> {
    let failure = |code: ErrorCode, message: String| Coordinator {
        key: key.into(),
        node_id: -1,
        host: "".into(),
        port: -1,
        error_code: code.code(),
        error_message: Some(message.into()),
    };
    if key_type != GROUP {
        let message = format!("Coordinators of type {key_type} are not served: only groups have one.");
        return failure(ErrorCode::InvalidRequest, message);
    }
    let Some((shard, _)) = coordinator_of(context, key) else {
        let reason = refused.map_or_else(|| "it is being created".to_owned(), ToString::to_string);
        return failure(
            ErrorCode::CoordinatorNotAvailable,
            format!("__consumer_offsets is missing: {reason}"),
        );
    };
    let node = node(context, shard);
    Coordinator {
        key: key.into(),
        node_id: node.id,
        host: context.connection.advertised_host.as_str().into(),
        port: node.port,
        error_code: ErrorCode::None.code(),
        error_message: None,
    }
}
