//! ApiVersions (18), versions 0-4.
//!
//! The only API that answers a version it does not know: in v0's form, with UNSUPPORTED_VERSION and its own range, so
//! that the client can ask again.
//!
//! - v3: the client names itself; that decides which view of the server it gets. Features.
//!
//! Features: `group.version` 1, finalized, tells clients that groups of the new protocol (KIP-848) are served. There are no
//! transactions whose version could be told.

use bytes::Bytes;

use crate::protocol::messages::api_versions_response::{
    ApiVersion, FinalizedFeatureKey, SupportedFeatureKey,
};
use crate::protocol::messages::{ApiVersionsRequest, ApiVersionsResponse};
use crate::protocol::{ApiKey, ErrorCode, RequestHeader};

use super::answer::{Answer, decode, respond};
use super::table::{APIS, Api};
use super::view::view_of;
use super::{ApiError, Context, Step};

const GROUP_VERSION: &str = "group.version";
/// KIP-848 as of Kafka 4.0; always on.
const GROUP_VERSION_LEVEL: i16 = 1;

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
    let level = GROUP_VERSION_LEVEL;
    let response = ApiVersionsResponse {
        api_keys: APIS.iter().map(range).collect(),
        supported_features: vec![SupportedFeatureKey {
            name: GROUP_VERSION.into(),
            min_version: level,
            max_version: level,
        }],
        // Clients pass over features whose epoch is negative; these never change.
        finalized_features_epoch: 0,
        finalized_features: vec![FinalizedFeatureKey {
            name: GROUP_VERSION.into(),
            min_version_level: level,
            max_version_level: level,
        }],
        ..ApiVersionsResponse::default()
    };
    respond(header, &response)
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

#[cfg(test)]
mod tests {
    use crate::api::testing::{Server, read};
    use crate::controller::View;
    use crate::protocol::encode_request;

    use super::*;

    fn named(name: &'static str, version: &'static str) -> ApiVersionsRequest<'static> {
        ApiVersionsRequest {
            client_software_name: name.into(),
            client_software_version: version.into(),
            ..ApiVersionsRequest::default()
        }
    }

    #[test]
    fn ranges_are_shown_in_all_versions() {
        for version in 0..=4 {
            let request = if version >= 3 { named("kgo", "1.0") } else { ApiVersionsRequest::default() };
            let mut server = Server::new();
            // Its answer has no tags in the header (KIP-511), which `call` reads as those of any flexible API.
            let frame = encode_request(ApiKey::ApiVersions, version, 77, None, &request).expect("encodes");
            let Step::Reply(answer) = server.dispatch(&Bytes::from(frame.to_vec()).slice(4..)) else {
                panic!("no answer")
            };
            let bytes = answer.to_vec();
            let answer: ApiVersionsResponse<'_> = read(&bytes[8..], version);
            let range = |api: &ApiVersion| (api.api_key, api.min_version, api.max_version);
            assert_eq!((answer.error_code, range(&answer.api_keys[0])), (0, (0, 0, 13)));
            let features = usize::from(version >= 3);
            assert_eq!((answer.api_keys.len(), answer.finalized_features.len()), (APIS.len(), features));
            assert!(
                answer
                    .finalized_features
                    .iter()
                    .all(|it| (&*it.name, it.max_version_level) == ("group.version", 1))
            );
            assert!(answer.api_keys.is_sorted_by_key(|api| api.api_key));
            assert_eq!(server.connection.view, if version >= 3 { View::Shards } else { View::Server });
        }
    }

    #[test]
    fn unknown_versions_are_answered_in_the_oldest_form() {
        for version in [5i16, 99, -1] {
            let mut frame = encode_request(ApiKey::ApiVersions, 4, 77, None, &named("kgo", "1.0"))
                .expect("encodes")
                .to_vec();
            frame[6..8].copy_from_slice(&version.to_be_bytes());
            let Step::Reply(answer) = Server::new().dispatch(&Bytes::from(frame).slice(4..)) else {
                panic!("no answer")
            };
            let bytes = answer.to_vec();
            let answer: ApiVersionsResponse<'_> = read(&bytes[8..], 0);
            let own = ApiVersion { api_key: 18, min_version: 0, max_version: 4 };
            assert_eq!((answer.error_code, answer.api_keys), (35, vec![own]));
        }
    }

    #[test]
    fn names_that_would_spoil_a_log_are_refused() {
        for (name, good) in [
            ("kgo", true),
            ("a.b-c", true),
            ("a", true),
            ("", false),
            ("-a", false),
            ("a b", false),
            ("a\n", false),
        ] {
            assert_eq!(is_software_word(name), good, "{name:?}");
        }
    }
}
