//! Whole messages as they go over a connection: size, header, body.

use crate::base::Payload;

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
        self.pieces.iter().flat_map(|piece| piece.iter().copied()).collect()
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
