//! ApiVersions (18), versions 0-4.
//!
//! The only API that answers a version it does not know: in v0's form, with UNSUPPORTED_VERSION and its own range, so
//! that the client can ask again.
//!
//! - v3: the client names itself; that decides which view of the server it gets.
//!
//! No features are advertised or finalized: there are no transactions and no groups to steer.

use bytes::Bytes;

use crate::protocol::messages::api_versions_response::ApiVersion;
use crate::protocol::messages::{ApiVersionsRequest, ApiVersionsResponse};
use crate::protocol::{ApiKey, ErrorCode, RequestHeader};

use super::answer::{Answer, decode, respond};
use super::table::{APIS, Api};
use super::view::view_of;
use super::{ApiError, Context, Step};

pub fn start(context: &mut Context<'_>, header: &RequestHeader<'_>, body: &Bytes) -> Result<Step, ApiError> {
    let request: ApiVersionsRequest<'_> = decode(header, body)?;
    if header.api_version >= 3 {
        let (name, version) = (&*request.client_software_name, &*request.client_software_version);
        if !is_software_word(name) || !is_software_word(version) {
            let error_code = ErrorCode::InvalidRequest.code();
            return respond(header, &ApiVersionsResponse { error_code, ..ApiVersionsResponse::default() });
        }
        context.connection.view = view_of(context.config, context.image.shards, name, version);
        context.connection.software_name = name.to_owned();
        context.connection.software_version = version.to_owned();
    }
    let api_keys = APIS.iter().map(range).collect();
    respond(header, &ApiVersionsResponse { api_keys, ..ApiVersionsResponse::default() })
}

/// The answer to a version that is not served.
pub(super) fn unsupported(header: &RequestHeader<'_>) -> Result<Step, ApiError> {
    let own = APIS.iter().filter(|api| api.key == ApiKey::ApiVersions);
    let response = ApiVersionsResponse {
        error_code: ErrorCode::UnsupportedVersion.code(),
        api_keys: own.map(range).collect(),
        ..ApiVersionsResponse::default()
    };
    Answer { version: 0, ..Answer::to(header)? }.encode(&response)
}

fn range(api: &Api) -> ApiVersion {
    ApiVersion { api_key: api.key.code(), min_version: api.advertised_min, max_version: api.max }
}

/// Letters, digits, dots and dashes, with a letter or digit at both ends: KIP-511, for these end up in logs and metrics.
fn is_software_word(text: &str) -> bool {
    let ends = [text.bytes().next(), text.bytes().last()];
    ends.iter().all(|end| end.is_some_and(|byte| byte.is_ascii_alphanumeric()))
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.'))
}
