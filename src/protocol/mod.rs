//! Kafka's wire protocol: primitives, headers, error codes, and every client-facing message of Kafka 4.4, generated from
//! the field tables in schema/kafka (see schema/wire/build.rs).
//!
//! Decoding borrows from the frame and is bounded: arrays are paid for from a budget of memory in proportion to the bytes
//! received, nesting and tagged fields are limited, nothing panics. Encoding goes into bytes plus a gather list, so that
//! record data is never copied. Knows nothing of connections or of what messages mean.

mod frame;
mod header;
mod reader;
mod writer;

pub use frame::{Frame, encode_request, encode_response};
pub use header::{RequestHeader, request_header_version, response_header_version};
pub use messages::ApiKey;
pub use reader::{DecodeError, Reader};
pub use writer::{EncodeError, Records, Writer};

/// What every generated message can do.
pub trait Message<'a>: Sized {
    const NAME: &'static str;
    /// Of a coordinator's records, the kind that begins their keys; -1 for what is none of these.
    const API_KEY: i16;
    const VERSIONS: std::ops::RangeInclusive<i16>;
    /// First version with compact lengths and tagged fields; `i16::MAX` if there is none.
    const FLEXIBLE_FROM: i16;

    /// Reads the message; what follows it in the reader is left there.
    ///
    /// # Errors
    /// `version` is not in [`Message::VERSIONS`], or the bytes are not this message.
    fn decode(reader: &mut Reader<'a>, version: i16) -> Result<Self, DecodeError>;

    /// Writes the message.
    ///
    /// # Errors
    /// `version` is not in [`Message::VERSIONS`], or a field cannot be said in it: one that differs from its default and
    /// does not exist in `version` is an error, unless the schema says it may be left out.
    fn encode(&self, writer: &mut Writer, version: i16) -> Result<(), EncodeError>;
}

/// Decodes a whole body: bytes left over are an error.
pub fn decode_body<'a, M: Message<'a>>(body: &'a [u8], version: i16) -> Result<M, DecodeError> {
    let mut reader = Reader::new(body);
    let message = M::decode(&mut reader, version)?;
    reader.finish()?;
    Ok(message)
}

/// Every message, generated at build time.
#[allow(
    clippy::all,
    clippy::pedantic,
    clippy::cast_possible_truncation,
    elided_lifetimes_in_paths,
    unused_variables,
    missing_docs,
    reason = "generated; the generator is what is reviewed"
)]
pub mod messages {
    mod wire {
        pub(super) use std::borrow::Cow;

        pub(super) use crate::base::TopicId;
        pub(super) use crate::protocol::{DecodeError, EncodeError, Message, Reader, Records, Writer};
    }

    include!(concat!(env!("OUT_DIR"), "/messages.rs"));
}

mod error_code {
    include!(concat!(env!("OUT_DIR"), "/errors.rs"));

    impl ErrorCode {
        /// The number on the wire.
        #[must_use]
        pub fn code(self) -> i16 {
            self as i16
        }

        #[must_use]
        pub fn from_code(code: i16) -> Option<ErrorCode> {
            ErrorCode::ALL.iter().copied().find(|error| error.code() == code)
        }
    }
}
pub use error_code::ErrorCode;

impl ApiKey {
    #[must_use]
    pub fn code(self) -> i16 {
        self as i16
    }
}
