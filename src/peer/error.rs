//! Why bytes are no frame of ours.

/// The lane ends with it: what follows in its bytes cannot be told.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    #[error("a frame of {bytes} bytes, more than the {limit} that are allowed")]
    TooLarge { bytes: u64, limit: u64 },
    #[error("a header of {header} bytes in a frame of {frame}")]
    HeaderSize { header: u32, frame: u32 },
    #[error("a header whose checksum is {found:08x} and not {said:08x} as its frame says")]
    Checksum { said: u32, found: u32 },
    #[error("a header that cannot be read: {0}")]
    Malformed(#[from] flatbuffers::InvalidFlatbuffer),
    #[error("a message of unknown kind {0}")]
    UnknownMessage(u8),
    #[error("{what} of unknown value {value}")]
    UnknownValue { what: &'static str, value: u8 },
    #[error("{what} is missing")]
    Missing { what: &'static str },
    #[error("{count} {what}, more than the {limit} that are allowed")]
    TooMany { what: &'static str, count: usize, limit: usize },
    #[error("{what} is {value}, which none can be")]
    OutOfRange { what: &'static str, value: i64 },
    #[error("{what} does not agree with the rest of its message")]
    Contradiction { what: &'static str },
    #[error("a payload of {found} bytes where the message says {said}")]
    Payload { said: u64, found: u64 },
    #[error("{0} before the lane is accepted")]
    Early(&'static str),
}
