//! IncrementalAlterConfigs (44), versions 0-1: sets, removes, adds to and takes from single configs (KIP-339).
//!
//! Topics, brokers (settings that can change while the server runs), client metrics and groups; not loggers.

use bytes::Bytes;

use crate::controller::{ConfigChange, ConfigOp};
use crate::protocol::messages::incremental_alter_configs_request::AlterableConfig;
use crate::protocol::messages::incremental_alter_configs_response::AlterConfigsResourceResponse;
use crate::protocol::messages::{IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse};
use crate::protocol::{ApiKey, RequestHeader};

use super::alter::{Alteration, alter};
use crate::api::answer::{AnswerForm, decode, error_message};
use crate::api::{Api, ApiError, Context, Step};

pub const API: Api = Api::new(ApiKey::IncrementalAlterConfigs, 0..=1, start);

pub fn start(context: &mut Context<'_>, header: &RequestHeader<'_>, body: &Bytes) -> Result<Step, ApiError> {
    let request: IncrementalAlterConfigsRequest<'_> = decode(header, body)?;
    let answer = AnswerForm::of(header)?;
    let resources = request.resources.iter().map(|resource| {
        let edits = resource.configs.iter().map(edit).collect::<Result<_, _>>();
        Alteration {
            kind: resource.resource_type,
            name: resource.resource_name.to_string(),
            change: edits.map(ConfigChange::Edit),
        }
    });
    Ok(alter(context, resources.collect(), request.validate_only, move |outcomes| {
        let responses = outcomes.iter().map(|outcome| AlterConfigsResourceResponse {
            error_code: outcome.code.code(),
            error_message: outcome.message.clone().and_then(error_message),
            resource_type: outcome.kind,
            resource_name: outcome.name.as_str().into(),
        });
        answer.send(&IncrementalAlterConfigsResponse { throttle_time_ms: 0, responses: responses.collect() })
    }))
}

/// One edit, or what is wrong with its operation.
fn edit(config: &AlterableConfig<'_>) -> Result<(String, ConfigOp, Option<String>), String> {
    let op = match config.config_operation {
        0 => ConfigOp::Set,
        1 => ConfigOp::Delete,
        2 => ConfigOp::Append,
        3 => ConfigOp::Subtract,
        unknown => return Err(format!("Unknown config operation {unknown} for {}", config.name)),
    };
    Ok((config.name.to_string(), op, config.value.as_ref().map(ToString::to_string)))
}
