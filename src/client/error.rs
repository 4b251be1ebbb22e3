//! What can go wrong between a client and its brokers.

use std::io;
use std::time::Duration;

use crate::protocol::{ApiKey, DecodeError, EncodeError, ErrorCode};
use crate::record::BatchError;

/// Why a client's call failed. Kafka's errors keep Kafka's names.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    #[error("no broker answers at {address}: {source}")]
    Connect { address: String, source: io::Error },
    #[error("`{0}` is no broker address; HOST:PORT is expected, or several separated by commas")]
    Address(String),
    #[error("the connection to {address} was lost: {source}")]
    Lost { address: String, source: io::Error },
    #[error("{address} did not answer {api:?} within {} ms", .within.as_millis())]
    Timeout { address: String, api: ApiKey, within: Duration },
    #[error("{address} serves no version of {api:?} that this client speaks")]
    Version { address: String, api: ApiKey },
    #[error("{address} announces an answer of {bytes} bytes, {bytes_max} are allowed; is it a Kafka broker?")]
    FrameSize { address: String, bytes: i32, bytes_max: usize },
    #[error("{address} answered request {got} where {expected} was due")]
    Correlation { address: String, expected: i32, got: i32 },
    #[error("no request waits for an answer from {address}")]
    NothingAsked { address: String },
    #[error("an answer to {api:?} cannot be read: {source}")]
    Decode { api: ApiKey, source: DecodeError },
    #[error("an answer to {api:?} lacks {what}")]
    Incomplete { api: ApiKey, what: String },
    #[error("a {api:?} request cannot be written: {source}")]
    Encode { api: ApiKey, source: EncodeError },
    #[error("{subject}: the batch at offset {offset} is damaged: {source}")]
    Batch { subject: String, offset: i64, source: BatchError },
    #[error("records cannot be batched: {0}")]
    Build(BatchError),
    #[error("{subject}: {}{}", .code.name(), .message.as_ref().map(|text| format!(" ({text})")).unwrap_or_default())]
    Kafka { code: ErrorCode, subject: String, message: Option<String> },
    #[error("{subject}: the broker answers with error {code}, which Kafka 4.4 does not have")]
    UnknownCode { code: i16, subject: String },
    #[error("{subject}: not delivered within {} ms; the last attempt failed: {last}", .within.as_millis())]
    DeliveryTimeout { subject: String, within: Duration, last: Box<ClientError> },
}

impl ClientError {
    /// Whether trying again, perhaps on another broker, may succeed.
    #[must_use]
    pub fn is_retriable(&self) -> bool {
        match self {
            ClientError::Connect { .. } | ClientError::Lost { .. } | ClientError::Timeout { .. } => true,
            ClientError::Kafka { code, .. } => code.is_retriable(),
            ClientError::Address(_)
            | ClientError::Version { .. }
            | ClientError::FrameSize { .. }
            | ClientError::Correlation { .. }
            | ClientError::NothingAsked { .. }
            | ClientError::Decode { .. }
            | ClientError::Incomplete { .. }
            | ClientError::Encode { .. }
            | ClientError::Batch { .. }
            | ClientError::Build(_)
            | ClientError::UnknownCode { .. }
            | ClientError::DeliveryTimeout { .. } => false,
        }
    }

    /// Kafka's error, if a broker gave one.
    #[must_use]
    pub fn code(&self) -> Option<ErrorCode> {
        match self {
            ClientError::Kafka { code, .. } => Some(*code),
            _ => None,
        }
    }
}

/// Turns an error code in an answer into an error about `subject`; 0 is none.
pub(super) fn check_code(
    code: i16,
    message: Option<&str>,
    subject: impl FnOnce() -> String,
) -> Result<(), ClientError> {
    match ErrorCode::from_code(code) {
        Some(ErrorCode::None) => Ok(()),
        Some(code) => {
            Err(ClientError::Kafka { code, subject: subject(), message: message.map(str::to_owned) })
        }
        None => Err(ClientError::UnknownCode { code, subject: subject() }),
    }
}
