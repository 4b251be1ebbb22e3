//! Request and response headers, with their exceptions.

use super::messages::ApiKey;
use super::reader::{DecodeError, Reader};

/// The front of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestHeader<'a> {
    /// As sent: may be no API at all.
    pub api_key: i16,
    pub api_version: i16,
    pub correlation_id: i32,
    pub client_id: Option<&'a str>,
}

impl<'a> RequestHeader<'a> {
    /// Reads the header and leaves the reader at the body. For an unknown API only the first three fields and the client
    /// id can be told, which are the same in all header versions.
    pub fn decode(reader: &mut Reader<'a>) -> Result<RequestHeader<'a>, DecodeError> {
        let api_key = reader.i16()?;
        let api_version = reader.i16()?;
        let correlation_id = reader.i32()?;
        // The client id keeps its two-byte length in flexible headers (KIP-482).
        let client_id = match reader.nullable_string(false, true)? {
            Some(std::borrow::Cow::Borrowed(text)) => Some(text),
            _ => None,
        };
        if request_header_version(api_key, api_version) >= 2 {
            reader.skip_tagged_fields()?;
        }
        Ok(RequestHeader { api_key, api_version, correlation_id, client_id })
    }
}

/// 2 for flexible versions, else 1.
#[must_use]
pub fn request_header_version(api_key: i16, api_version: i16) -> i16 {
    let flexible = ApiKey::from_code(api_key).is_some_and(|key| api_version >= key.flexible_from());
    if flexible { 2 } else { 1 }
}

/// 1 for flexible versions, else 0; always 0 for ApiVersions, whose answer must be readable by a client that does not
/// know yet which versions the broker has (KIP-511).
#[must_use]
pub fn response_header_version(api_key: i16, api_version: i16) -> i16 {
    if api_key == ApiKey::ApiVersions.code() { 0 } else { request_header_version(api_key, api_version) - 1 }
}
