//! What the targets share: every message of the schema, and what must hold for whatever decodes.

use std::ops::RangeInclusive;

use ringmain::protocol::messages::*;
use ringmain::protocol::{Message, Writer, decode_body};

/// A message of the schema as the fuzzer sees it.
pub struct Target {
    pub name: &'static str,
    pub api_key: i16,
    pub versions: RangeInclusive<i16>,
    exercise: fn(&[u8], i16),
}

impl Target {
    /// Decodes the bytes; what decodes can be written again, in bytes that mean the same.
    pub fn exercise(&self, bytes: &[u8], version: i16) {
        (self.exercise)(bytes, version);
    }

    pub fn is_request(&self) -> bool {
        self.api_key >= 0 && self.name.ends_with("Request")
    }
}

macro_rules! targets {
    ($($message:ty,)*) => {
        &[$(Target {
            name: <$message>::NAME,
            api_key: <$message>::API_KEY,
            versions: <$message>::VERSIONS,
            exercise: |bytes, version| {
                if let Ok(message) = decode_body::<$message>(bytes, version) {
                    let bytes = written(&message, version);
                    let again: $message = decode_body(&bytes, version).expect("what we write can be read");
                    assert_eq!(written(&again, version), bytes);
                }
            },
        }),*]
    };
}

/// Every message of the schema.
pub const TARGETS: &[Target] = ringmain::every_message!(targets);

fn written<'a, M: Message<'a>>(message: &M, version: i16) -> Vec<u8> {
    let mut writer = Writer::new();
    message.encode(&mut writer, version).expect("what was read can be written");
    writer.into_pieces().iter().flat_map(|piece| piece.to_vec()).collect()
}
