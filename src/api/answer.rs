//! From bytes to a request, from an answer to a frame.

use std::borrow::Cow;

use bytes::Bytes;

use crate::protocol::{ApiKey, DecodeError, EncodeError, Message, Reader, RequestHeader, encode_response};

use super::Step;

/// Longest error message in an answer, in bytes: messages quote what clients sent, and a string ends at 32767.
const MESSAGE_BYTES_MAX: usize = 1024;

/// Why a request gets no answer; the connection closes.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    #[error("the request cannot be read: {0}")]
    Decode(#[from] DecodeError),
    #[error("the answer cannot be written: {0}")]
    Encode(#[from] EncodeError),
    #[error("a text of {bytes} bytes is longer than any record can hold")]
    Text { bytes: usize },
    #[error("API key {0} is unknown")]
    UnknownApi(i16),
}

/// The request in a body, in the header's version.
///
/// # Errors
/// When the body does not begin with that. What follows is ignored, as Kafka does: librdkafka 2.16 sends bytes too many in
/// Metadata v13.
pub(super) fn decode<'a, M: Message<'a>>(header: &RequestHeader<'_>, body: &'a Bytes) -> Result<M, ApiError> {
    Ok(M::decode(&mut Reader::new(body), header.api_version)?)
}

/// Answers at once.
///
/// # Errors
/// When the message has no form in the request's version.
pub(super) fn respond<'m>(header: &RequestHeader<'_>, message: &impl Message<'m>) -> Result<Step, ApiError> {
    AnswerForm::of(header)?.encode(message)
}

/// The form in which a request is answered, kept for the time until its answer is known.
#[derive(Clone, Copy, Debug)]
pub(super) struct AnswerForm {
    pub api: ApiKey,
    pub version: i16,
    pub correlation_id: i32,
}

impl AnswerForm {
    /// # Errors
    /// When the header names no API.
    pub fn of(header: &RequestHeader<'_>) -> Result<AnswerForm, ApiError> {
        let api = ApiKey::from_code(header.api_key).ok_or(ApiError::UnknownApi(header.api_key))?;
        Ok(AnswerForm { api, version: header.api_version, correlation_id: header.correlation_id })
    }

    /// # Errors
    /// When the message has no form in the request's version.
    pub fn encode<'m>(self, message: &impl Message<'m>) -> Result<Step, ApiError> {
        Ok(Step::Reply(encode_response(self.correlation_id, self.api, self.version, message)?))
    }

    /// The last step of a continuation: the answer, or the end of the connection.
    pub fn send<'m>(self, message: &impl Message<'m>) -> Step {
        self.encode(message).unwrap_or_else(|error| Step::Close { reason: error.to_string() })
    }
}

/// An error message as an answer carries it: cut where it would grow with what the client sent.
pub(super) fn error_message(mut text: String) -> Option<Cow<'static, str>> {
    let cut = (0..=MESSAGE_BYTES_MAX.min(text.len())).rev().find(|at| text.is_char_boundary(*at));
    text.truncate(cut.unwrap_or(0));
    Some(text.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_error_messages_are_cut_between_characters() {
        assert_eq!(error_message("short".into()).as_deref(), Some("short"));
        let cut = error_message(format!("x{}", "ä".repeat(20_000))).expect("a message");
        assert_eq!(cut.len(), MESSAGE_BYTES_MAX - 1);
    }
}
