//! AlterConfigs (33), versions 0-2: replaces all configs of a resource. Deprecated in favour of
//! IncrementalAlterConfigs, and still what some clients and consoles use.
//!
//! Topics, brokers (settings that can change while the server runs), client metrics and groups; not loggers.

use bytes::Bytes;

use crate::controller::ConfigChange;
use crate::protocol::messages::alter_configs_response::AlterConfigsResourceResponse;
use crate::protocol::messages::{AlterConfigsRequest, AlterConfigsResponse};
use crate::protocol::{ApiKey, RequestHeader};

use super::alter::{Alteration, alter};
use crate::api::answer::{AnswerForm, decode, error_message};
use crate::api::{Api, ApiError, Context, Step};

pub const API: Api = Api::new(ApiKey::AlterConfigs, 0..=2, start);

pub fn start(context: &mut Context<'_>, header: &RequestHeader<'_>, body: &Bytes) -> Result<Step, ApiError> {
    let request: AlterConfigsRequest<'_> = decode(header, body)?;
    let answer = AnswerForm::of(header)?;
    let resources = request.resources.iter().map(|resource| {
        let configs = resource.configs.iter();
        let configs = configs.map(|it| (it.name.to_string(), it.value.as_ref().map(ToString::to_string)));
        let change = Ok(ConfigChange::Replace(configs.collect()));
        Alteration { kind: resource.resource_type, name: resource.resource_name.to_string(), change }
    });
    Ok(alter(context, resources.collect(), request.validate_only, move |outcomes| {
        let responses = outcomes.iter().map(|outcome| AlterConfigsResourceResponse {
            error_code: outcome.code.code(),
            error_message: outcome.message.clone().and_then(error_message),
            resource_type: outcome.kind,
            resource_name: outcome.name.as_str().into(),
        });
        answer.send(&AlterConfigsResponse { throttle_time_ms: 0, responses: responses.collect() })
    }))
}
