//! Whole messages as they are sent over a connection: size, header, body.

use crate::base::{Payload, joined};

use super::header::{request_header_version, response_header_version};
use super::writer::{EncodeError, Writer};
use super::{ApiKey, Message};

/// Pieces to be sent one after another.
#[derive(Clone, Debug, Default)]
pub struct Frame {
    pieces: Vec<Payload>,
}

impl Frame {
    #[must_use]
    pub fn pieces(&self) -> &[Payload] {
        &self.pieces
    }

    #[must_use]
    pub fn into_pieces(self) -> Vec<Payload> {
        self.pieces
    }

    #[must_use]
    pub fn total_len(&self) -> usize {
        self.pieces.iter().map(|piece| piece.len()).sum()
    }

    /// All bytes in one piece; for tests and blocking clients.
    #[must_use]
    pub fn to_vec(&self) -> Vec<u8> {
        joined(&self.pieces)
    }
}

/// A response with its size prefix and header.
pub fn encode_response<'a, M: Message<'a>>(
    correlation_id: i32,
    api_key: ApiKey,
    version: i16,
    body: &M,
) -> Result<Frame, EncodeError> {
    let mut writer = Writer::with_capacity(256);
    writer.i32(0);
    writer.i32(correlation_id);
    if response_header_version(api_key.code(), version) >= 1 {
        writer.tag_count(0);
    }
    body.encode(&mut writer, version)?;
    writer.set_size_prefix()?;
    Ok(Frame { pieces: writer.into_pieces() })
}

/// A request with its size prefix and header.
pub fn encode_request<'a, M: Message<'a>>(
    api_key: ApiKey,
    version: i16,
    correlation_id: i32,
    client_id: Option<&str>,
    body: &M,
) -> Result<Frame, EncodeError> {
    let mut writer = Writer::with_capacity(256);
    writer.i32(0);
    writer.i16(api_key.code());
    writer.i16(version);
    writer.i32(correlation_id);
    writer.nullable_string(client_id, false, true)?;
    if request_header_version(api_key.code(), version) >= 2 {
        writer.tag_count(0);
    }
    body.encode(&mut writer, version)?;
    writer.set_size_prefix()?;
    Ok(Frame { pieces: writer.into_pieces() })
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::protocol::messages::fetch_response::{FetchableTopicResponse, PartitionData};
    use crate::protocol::messages::{
        ApiVersionsResponse, FetchResponse, HeartbeatRequest, HeartbeatResponse,
    };
    use crate::protocol::{ErrorCode, Reader, Records, RequestHeader, decode_body};

    #[test]
    fn a_request_reads_back() {
        let request = HeartbeatRequest { group_id: "g".into(), ..HeartbeatRequest::default() };
        for version in HeartbeatRequest::VERSIONS {
            let frame = encode_request(ApiKey::Heartbeat, version, 7, Some("me"), &request).unwrap();
            let bytes = frame.to_vec();
            assert_eq!(
                i32::from_be_bytes(bytes[..4].try_into().unwrap()),
                i32::try_from(bytes.len() - 4).unwrap()
            );
            let mut reader = Reader::new(&bytes[4..]);
            let header = RequestHeader::decode(&mut reader).unwrap();
            assert_eq!((header.api_key, header.api_version), (ApiKey::Heartbeat.code(), version));
            assert_eq!((header.correlation_id, header.client_id), (7, Some("me")));
            assert_eq!(decode_body::<HeartbeatRequest<'_>>(reader.rest(), version).unwrap(), request);
        }
    }

    #[test]
    fn answers_carry_the_right_header() {
        let heartbeat = HeartbeatResponse::default();
        let frame = encode_response(5, ApiKey::Heartbeat, 4, &heartbeat).unwrap();
        assert_eq!(frame.to_vec(), [0, 0, 0, 12, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0, 0]);
        let error_code = ErrorCode::UnsupportedVersion.code();
        let versions = ApiVersionsResponse { error_code, ..ApiVersionsResponse::default() };
        let frame = encode_response(5, ApiKey::ApiVersions, 0, &versions).unwrap();
        assert_eq!(frame.to_vec(), [0, 0, 0, 10, 0, 0, 0, 5, 0, 35, 0, 0, 0, 0]);
    }

    #[test]
    fn a_fetch_answer_refers_to_its_records() {
        let stored = Bytes::from(vec![9; 5000]);
        let partition = PartitionData {
            records: Records::Gather(vec![stored.clone().into()]),
            ..PartitionData::default()
        };
        let topic =
            FetchableTopicResponse { partitions: vec![partition], ..FetchableTopicResponse::default() };
        let answer = FetchResponse { responses: vec![topic], ..FetchResponse::default() };
        for version in FetchResponse::VERSIONS {
            let frame = encode_response(1, ApiKey::Fetch, version, &answer).unwrap();
            let bytes = frame.to_vec();
            assert_eq!(frame.total_len(), bytes.len());
            assert_eq!(
                i32::from_be_bytes(bytes[..4].try_into().unwrap()),
                i32::try_from(bytes.len() - 4).unwrap()
            );
            assert!(frame.pieces().iter().any(|piece| piece.as_ptr() == stored.as_ptr()), "v{version}");
            let head = 8 + usize::from(version >= FetchResponse::FLEXIBLE_FROM);
            assert_eq!(decode_body::<FetchResponse<'_>>(&bytes[head..], version).unwrap(), answer);
        }
    }
}
