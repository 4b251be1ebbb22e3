//! What arrives on the port that is not Kafka: told apart by its first bytes, and said in one line.

/// Why a frame's size cannot be believed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum NotKafka {
    #[error(
        "this looks like an HTTP request; Kafka clients belong here, metrics and health are on the --admin address"
    )]
    Http,
    #[error(
        "this looks like TLS; this listener speaks plaintext: set security.protocol=PLAINTEXT in the client"
    )]
    Tls,
    #[error("a frame of {0} bytes cannot be a Kafka request")]
    Size(i32),
    #[error("a frame of {size} bytes is beyond socket.request.max.bytes={max}")]
    TooLarge { size: i32, max: u32 },
}

/// The smallest request: an API key, a version, a correlation id and a client id's length.
const REQUEST_BYTES_MIN: i32 = 8;

/// The API key a request begins with, whatever the peer put there.
pub(super) fn api_key(frame: &[u8]) -> i16 {
    frame.first_chunk::<2>().map_or(-1, |key| i16::from_be_bytes(*key))
}

/// Reads the size of the next request.
pub(super) fn frame_bytes(prefix: [u8; 4], bytes_max: u32) -> Result<usize, NotKafka> {
    match &prefix {
        b"GET " | b"POST" | b"PUT " | b"HEAD" | b"DELE" | b"OPTI" | b"PATC" | b"CONN" | b"PRI " => {
            return Err(NotKafka::Http);
        }
        [0x16, 0x03, 0..=4, _] => return Err(NotKafka::Tls),
        _ => {}
    }
    let size = i32::from_be_bytes(prefix);
    match usize::try_from(size) {
        Err(_) => Err(NotKafka::Size(size)),
        Ok(_) if size < REQUEST_BYTES_MIN => Err(NotKafka::Size(size)),
        Ok(bytes) if bytes > bytes_max as usize => Err(NotKafka::TooLarge { size, max: bytes_max }),
        Ok(bytes) => Ok(bytes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_bytes_tell() {
        for (prefix, expected) in [
            (*b"GET ", Err(NotKafka::Http)),
            ([0x16, 3, 1, 2], Err(NotKafka::Tls)),
            ([0xFF; 4], Err(NotKafka::Size(-1))),
            ([0, 0, 0, 3], Err(NotKafka::Size(3))),
            ([0, 0, 1, 0], Ok(256)),
            ([0, 1, 0, 0], Err(NotKafka::TooLarge { size: 65_536, max: 1000 })),
        ] {
            assert_eq!(frame_bytes(prefix, 1000), expected, "{prefix:?}");
        }
    }
}
