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

/// A message of the protocol; every generated message implements this.
pub trait Message<'a>: Sized {
    const NAME: &'static str;
    /// The API's key. For records of a coordinator: the kind that their keys begin with. -1 for all others.
    const API_KEY: i16;
    const VERSIONS: std::ops::RangeInclusive<i16>;
    /// First version with compact lengths and tagged fields; `i16::MAX` if there is none.
    const FLEXIBLE_FROM: i16;

    /// Reads the message; what follows it in the reader is left there.
    ///
    /// # Errors
    /// For a `version` that is not in [`Message::VERSIONS`], and for bytes that are not this message.
    fn decode(reader: &mut Reader<'a>, version: i16) -> Result<Self, DecodeError>;

    /// Writes the message.
    ///
    /// # Errors
    /// For a `version` that is not in [`Message::VERSIONS`], and for a field that differs from its default and does not exist
    /// in `version`, unless the schema says that it may be left out.
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
