//! A frame's bytes: front, header, payload.

use bytes::Bytes;

use super::check;
use super::codec;
use super::error::FrameError;
use super::lanes::Part;
use super::limits::{
    FORWARD_BYTES_MAX, FRONT_BYTES, FrameLimits, GREETING_BYTES_MAX, HEADER_BYTES_MAX, PAYLOAD_BYTES_MAX,
};
use super::message::{Frame, Message};

/// The size counts what is behind it.
const SIZE_BYTES: u64 = 4;
/// Both sizes, which the checksum covers together with the header.
const SIZES_BYTES: usize = 8;

/// What any peer might take: whoever sends does not know how large a batch the other side takes.
const WIDEST: FrameLimits = FrameLimits::Accepted { batch_bytes_max: u32::MAX };

/// What [`decode`] makes of the bytes at the beginning of a frame.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(clippy::large_enum_variant, reason = "a step lives for one call, and most are frames")]
pub enum Step {
    /// Come again with at least so many bytes, counted from the frame's first. Never more than the limits allow; where it is the
    /// whole frame, its header was read and found right.
    Need(usize),
    /// A frame, and how many bytes it took.
    Frame { frame: Frame, taken: usize },
}

/// The bytes of a frame before its payload of `payload_bytes`, which is sent behind them by reference.
///
/// # Panics
/// When the message is none that a peer would accept: larger than its limits, or with a payload other than it says.
#[must_use]
pub fn encode(message: &Message, payload_bytes: usize) -> Bytes {
    let header = codec::encode(message);
    let allowed = allowed(message, payload_bytes, &WIDEST);
    assert!(allowed.is_ok(), "a {} that no peer accepts: {allowed:?}", message.name());
    assert!(header.len() <= HEADER_BYTES_MAX, "{} bytes of a {}", header.len(), message.name());
    let whole = FRONT_BYTES + header.len() + payload_bytes;
    assert!(!message.is_handshake() || whole <= GREETING_BYTES_MAX, "{whole} bytes of a {}", message.name());

    let size = u32::try_from(whole - 4).expect("payloads are far smaller than 4 GiB");
    let header_size = u32::try_from(header.len()).expect("checked above");
    let mut bytes = Vec::with_capacity(FRONT_BYTES + header.len());
    bytes.extend_from_slice(&size.to_le_bytes());
    bytes.extend_from_slice(&header_size.to_le_bytes());
    let crc = checksum(&bytes, &header);
    bytes.extend_from_slice(&crc.to_le_bytes());
    bytes.extend_from_slice(&header);
    bytes.into()
}

/// Reads the frame that `bytes` begin with.
///
/// # Errors
/// When they begin with none, or with one that is larger than `limits` allow.
pub fn decode(bytes: &Bytes, limits: &FrameLimits) -> Result<Step, FrameError> {
    let Some((front, rest)) = bytes.split_first_chunk::<FRONT_BYTES>() else {
        return Ok(Step::Need(FRONT_BYTES));
    };
    let front = Front::read(front, limits)?;
    let Some(header) = rest.get(..front.header_bytes) else {
        return Ok(Step::Need(FRONT_BYTES + front.header_bytes));
    };
    let message = front.message(&bytes[..SIZES_BYTES], header, limits)?;
    let begin = FRONT_BYTES + front.header_bytes;
    let taken = begin + front.payload_bytes;
    if bytes.len() < taken {
        return Ok(Step::Need(taken));
    }
    let payload = bytes.slice(begin..taken);
    Ok(Step::Frame { frame: Frame { message, payload }, taken })
}

/// A frame's front, whose sizes are within the limits.
struct Front {
    header_bytes: usize,
    payload_bytes: usize,
    crc: u32,
}

impl Front {
    fn read(bytes: &[u8; FRONT_BYTES], limits: &FrameLimits) -> Result<Front, FrameError> {
        let [a, b, c, d, e, f, g, h, crc @ ..] = *bytes;
        let (size, header) = (u32::from_le_bytes([a, b, c, d]), u32::from_le_bytes([e, f, g, h]));
        let (bytes, limit) = (SIZE_BYTES + u64::from(size), frame_bytes_max(limits));
        if bytes > limit {
            return Err(FrameError::TooLarge { bytes, limit });
        }
        let of_front = size.checked_sub(u32::try_from(FRONT_BYTES).expect("twelve") - 4);
        let payload = of_front.and_then(|rest| rest.checked_sub(header));
        let wrong = FrameError::HeaderSize { header, frame: size };
        let payload = payload.ok_or_else(|| wrong.clone())?;
        let header_bytes = usize::try_from(header).map_err(|_| wrong.clone())?;
        if header_bytes > HEADER_BYTES_MAX {
            return Err(wrong);
        }
        let payload_bytes = usize::try_from(payload).map_err(|_| wrong)?;
        Ok(Front { header_bytes, payload_bytes, crc: u32::from_le_bytes(crc) })
    }

    /// The header's message, to which the payload's size belongs.
    fn message(&self, sizes: &[u8], header: &[u8], limits: &FrameLimits) -> Result<Message, FrameError> {
        let found = checksum(sizes, header);
        if found != self.crc {
            return Err(FrameError::Checksum { said: self.crc, found });
        }
        let message = codec::decode(header)?;
        allowed(&message, self.payload_bytes, limits)?;
        Ok(message)
    }
}

/// Whether a peer with these limits takes the message with a payload of so many bytes.
fn allowed(message: &Message, payload_bytes: usize, limits: &FrameLimits) -> Result<(), FrameError> {
    check::message(message)?;
    let (bytes, limit) = (wide(payload_bytes), payload_bytes_max(message, limits)?);
    if bytes > limit {
        return Err(FrameError::TooLarge { bytes, limit });
    }
    check::payload(message, bytes)
}

/// The largest frame that may follow, as far as its front can tell.
fn frame_bytes_max(limits: &FrameLimits) -> u64 {
    match limits {
        FrameLimits::Greeting => wide(GREETING_BYTES_MAX),
        FrameLimits::Accepted { batch_bytes_max } => {
            let payload = wide(PAYLOAD_BYTES_MAX.max(FORWARD_BYTES_MAX)).max((*batch_bytes_max).into());
            wide(FRONT_BYTES + HEADER_BYTES_MAX) + payload
        }
    }
}

/// Single batches and forwarded frames go alone, in frames of their own size.
fn payload_bytes_max(message: &Message, limits: &FrameLimits) -> Result<u64, FrameError> {
    let FrameLimits::Accepted { batch_bytes_max } = limits else {
        return if message.is_handshake() {
            Ok(wide(GREETING_BYTES_MAX))
        } else {
            Err(FrameError::Early(message.name()))
        };
    };
    let shared = wide(PAYLOAD_BYTES_MAX);
    Ok(match message {
        Message::Append(parts) if has_one_run(parts) => shared.max((*batch_bytes_max).into()),
        Message::Forward(_) | Message::Forwarded(_) => wide(FORWARD_BYTES_MAX),
        _ => shared,
    })
}

/// Parts without bytes take no room in a payload.
fn has_one_run(parts: &[Part]) -> bool {
    parts.iter().filter(|part| part.bytes > 0).count() == 1
}

fn wide(bytes: usize) -> u64 {
    u64::try_from(bytes).expect("a u64 holds every usize")
}

fn checksum(sizes: &[u8], header: &[u8]) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    crc.update(sizes);
    crc.update(header);
    crc.finalize()
}
