//! Request and response headers, and the exceptions to their versions.

use super::messages::ApiKey;
use super::reader::{DecodeError, Reader};

/// The front of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestHeader<'a> {
    /// The number as sent, which may belong to no API.
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

/// Version of a request's header: 2 for flexible versions, else 1.
#[must_use]
pub fn request_header_version(api_key: i16, api_version: i16) -> i16 {
    let flexible = ApiKey::from_code(api_key).is_some_and(|key| api_version >= key.flexible_from());
    if flexible { 2 } else { 1 }
}

/// Version of a response's header: 1 for flexible versions, else 0. It is always 0 for ApiVersions, because a client reads
/// that answer before it knows which versions the broker has (KIP-511).
#[must_use]
pub fn response_header_version(api_key: i16, api_version: i16) -> i16 {
    if api_key == ApiKey::ApiVersions.code() { 0 } else { request_header_version(api_key, api_version) - 1 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_versions_follow_flexibility_but_for_api_versions() {
        let check = |api: ApiKey, version: i16, request: i16, response: i16| {
            assert_eq!(request_header_version(api.code(), version), request, "{api:?} {version}");
            assert_eq!(response_header_version(api.code(), version), response, "{api:?} {version}");
        };
        check(ApiKey::Fetch, 11, 1, 0);
        check(ApiKey::Fetch, 12, 2, 1);
        check(ApiKey::ApiVersions, 2, 1, 0);
        check(ApiKey::ApiVersions, 3, 2, 0);
        // A client may ask in a version from the future; the answer must still be readable.
        check(ApiKey::ApiVersions, 127, 2, 0);
        check(ApiKey::SaslHandshake, 1, 1, 0);
        assert_eq!((request_header_version(32_000, 5), response_header_version(32_000, 5)), (1, 0));
    }

    #[test]
    fn a_header_leaves_the_reader_at_the_body() {
        let check = |bytes: &[u8], expected: Option<&str>| {
            let mut reader = Reader::new(bytes);
            let header = RequestHeader::decode(&mut reader).unwrap();
            assert_eq!((header.correlation_id, header.client_id), (9, expected), "{bytes:?}");
            assert_eq!(reader.rest(), [1, 2, 3], "{bytes:?}");
        };
        check(&[0, 1, 0, 11, 0, 0, 0, 9, 0, 2, b'm', b'e', 1, 2, 3], Some("me"));
        // Flexible: the client id keeps its old form, tags follow (here an unknown one).
        check(&[0, 1, 0, 12, 0, 0, 0, 9, 0, 2, b'm', b'e', 1, 77, 1, 5, 1, 2, 3], Some("me"));
        check(&[0, 1, 0, 12, 0, 0, 0, 9, 0xFF, 0xFF, 0, 1, 2, 3], None);
        // No API at all: still enough to say who asked.
        check(&[0x7F, 0, 0, 12, 0, 0, 0, 9, 0, 2, b'm', b'e', 1, 2, 3], Some("me"));
    }

    #[test]
    fn a_header_cut_short_is_refused() {
        let bytes = [0, 1, 0, 12, 0, 0, 0, 9, 0, 2, b'm', b'e', 0];
        for cut in 0..bytes.len() {
            assert!(RequestHeader::decode(&mut Reader::new(&bytes[..cut])).is_err(), "{cut}");
        }
    }
}
