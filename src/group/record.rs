//! The records of `__consumer_offsets`, byte for byte Kafka's: a key that begins with the kind of record, and a value that
//! begins with its version.

use std::borrow::Cow;

use crate::protocol::messages::{GroupMetadataKey, GroupMetadataValue, OffsetCommitKey, OffsetCommitValue};
use crate::protocol::{DecodeError, EncodeError, Message, Reader, Writer};

/// Kinds of record, as keys begin with them.
const OFFSET: i16 = kind::<OffsetCommitKey<'_>>();
/// Offsets of servers before Kafka 0.9, whose key is laid out in the same way.
const LEGACY_OFFSET: i16 = 0;
const GROUP: i16 = kind::<GroupMetadataKey<'_>>();
/// Keys have one version each.
const KEY: i16 = 0;
/// The newest versions that every Kafka since 2.1 and every tool reads. Kafka 4 writes offsets as version 4, with the topic's
/// id, which programs that follow this topic by themselves (Burrow) do not read.
const OFFSET_VALUE: i16 = 3;
const GROUP_VALUE: i16 = 3;

/// First capacity of the buffer for a key or value; most need no more.
const RECORD_BYTES: usize = 128;

/// One record to append. A record without a value is a tombstone: it deletes the key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GroupRecord {
    pub key: Vec<u8>,
    pub value: Option<Vec<u8>>,
}

/// A record as it is read back.
#[derive(Debug)]
pub enum Parsed<'a> {
    Offset {
        key: OffsetCommitKey<'a>,
        value: Option<OffsetCommitValue<'a>>,
    },
    Group {
        key: GroupMetadataKey<'a>,
        value: Option<GroupMetadataValue<'a>>,
    },
    /// A record of a kind that this module does not know.
    Other,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    #[error("a key of {bytes} bytes has no version")]
    NoVersion { bytes: usize },
    #[error("a member's state has no number {0}")]
    MemberState(i8),
    #[error(transparent)]
    Malformed(#[from] DecodeError),
}

impl GroupRecord {
    #[must_use]
    pub fn offset(
        group: &str,
        topic: &str,
        partition: i32,
        value: Option<&OffsetCommitValue<'_>>,
    ) -> GroupRecord {
        let key = OffsetCommitKey { group: Cow::Borrowed(group), topic: Cow::Borrowed(topic), partition };
        GroupRecord { key: keyed(&key), value: value.map(|value| versioned(value, OFFSET_VALUE)) }
    }

    #[must_use]
    pub fn group(group: &str, value: Option<&GroupMetadataValue<'_>>) -> GroupRecord {
        let key = GroupMetadataKey { group: Cow::Borrowed(group) };
        GroupRecord { key: keyed(&key), value: value.map(|value| versioned(value, GROUP_VALUE)) }
    }
}

/// Reads a record back.
///
/// # Errors
/// The key or value is not what its version says.
pub fn parse<'a>(key: &'a [u8], value: Option<&'a [u8]>) -> Result<Parsed<'a>, RecordError> {
    let (kind, rest) = prefix(key)?;
    Ok(match kind {
        OFFSET | LEGACY_OFFSET => {
            Parsed::Offset { key: unkeyed(rest)?, value: value.map(valued).transpose()? }
        }
        GROUP => Parsed::Group { key: unkeyed(rest)?, value: value.map(valued).transpose()? },
        _ => Parsed::Other,
    })
}

/// The number of a kind of record, as it begins the key.
pub(super) const fn kind<K: Message<'static>>() -> i16 {
    K::API_KEY
}

/// Reads a value, whose first two bytes are its version.
pub(super) fn valued<'a, M: Message<'a>>(value: &'a [u8]) -> Result<M, RecordError> {
    let (version, rest) = prefix(value)?;
    message(rest, version)
}

/// Reads what follows the kind in a key.
pub(super) fn unkeyed<'a, K: Message<'a>>(rest: &'a [u8]) -> Result<K, RecordError> {
    message(rest, KEY)
}

/// The number that a key or value begins with, and the bytes after it.
pub(super) fn prefix(bytes: &[u8]) -> Result<(i16, &[u8]), RecordError> {
    let (prefix, rest) =
        bytes.split_first_chunk::<2>().ok_or(RecordError::NoVersion { bytes: bytes.len() })?;
    Ok((i16::from_be_bytes(*prefix), rest))
}

fn message<'a, M: Message<'a>>(bytes: &'a [u8], version: i16) -> Result<M, RecordError> {
    Ok(M::decode(&mut Reader::new(bytes), version)?)
}

pub(super) fn keyed<'a, K: Message<'a>>(key: &K) -> Vec<u8> {
    written(key, K::API_KEY, KEY)
}

pub(super) fn versioned<'a, M: Message<'a>>(value: &M, version: i16) -> Vec<u8> {
    written(value, version, version)
}

fn written<'a, M: Message<'a>>(message: &M, prefix: i16, version: i16) -> Vec<u8> {
    let encode = || -> Result<Vec<u8>, EncodeError> {
        let mut writer = Writer::with_capacity(RECORD_BYTES);
        writer.i16(prefix);
        message.encode(&mut writer, version)?;
        let mut bytes = Vec::with_capacity(writer.total_len());
        writer.into_pieces().iter().for_each(|piece| bytes.extend_from_slice(piece));
        Ok(bytes)
    };
    encode().expect("the api layer lets no string in that a record cannot hold")
}
