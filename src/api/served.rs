//! What clients are told of an API that is served.

use crate::protocol::ApiKey;

/// Versions of one API, as ApiVersions shows them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Served {
    pub key: ApiKey,
    pub min: i16,
    pub max: i16,
}
