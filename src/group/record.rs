//! The records of `__consumer_offsets`, byte for byte Kafka's: a key that begins with its own version, which also says
//! what it names, and a value that begins with its version.

use std::borrow::Cow;

use crate::protocol::messages::{GroupMetadataKey, GroupMetadataValue, OffsetCommitKey, OffsetCommitValue};
use crate::protocol::{DecodeError, EncodeError, Message, Reader, Writer};

/// Key versions: what a record is about.
const OFFSET_KEYS: std::ops::RangeInclusive<i16> = 0..=1;
const OFFSET_KEY: i16 = 1;
const GROUP_KEY: i16 = 2;
/// The newest versions that every Kafka since 2.1 and every tool reads.
const OFFSET_VALUE: i16 = 3;
const GROUP_VALUE: i16 = 3;

/// Most keys and values are no longer.
const RECORD_BYTES: usize = 128;

/// One record to append; no value deletes.
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
    /// Of a kind this module does not know.
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
        GroupRecord {
            key: versioned(&key, OFFSET_KEY),
            value: value.map(|value| versioned(value, OFFSET_VALUE)),
        }
    }

    #[must_use]
    pub fn group(group: &str, value: Option<&GroupMetadataValue<'_>>) -> GroupRecord {
        let key = GroupMetadataKey { group: Cow::Borrowed(group) };
        GroupRecord {
            key: versioned(&key, GROUP_KEY),
            value: value.map(|value| versioned(value, GROUP_VALUE)),
        }
    }
}

/// Reads a record back.
///
/// # Errors
/// The key or value is not what its version says.
pub fn parse<'a>(key: &'a [u8], value: Option<&'a [u8]>) -> Result<Parsed<'a>, RecordError> {
    let (version, rest) = version(key)?;
    Ok(match version {
        version if OFFSET_KEYS.contains(&version) => {
            Parsed::Offset { key: message(rest, version)?, value: value.map(valued).transpose()? }
        }
        GROUP_KEY => Parsed::Group { key: message(rest, version)?, value: value.map(valued).transpose()? },
        _ => Parsed::Other,
    })
}

pub(super) fn valued<'a, M: Message<'a>>(value: &'a [u8]) -> Result<M, RecordError> {
    let (version, rest) = version(value)?;
    message(rest, version)
}

pub(super) fn version(bytes: &[u8]) -> Result<(i16, &[u8]), RecordError> {
    let (version, rest) =
        bytes.split_first_chunk::<2>().ok_or(RecordError::NoVersion { bytes: bytes.len() })?;
    Ok((i16::from_be_bytes(*version), rest))
}

pub(super) fn message<'a, M: Message<'a>>(bytes: &'a [u8], version: i16) -> Result<M, RecordError> {
    Ok(M::decode(&mut Reader::new(bytes), version)?)
}

pub(super) fn versioned<'a, M: Message<'a>>(message: &M, version: i16) -> Vec<u8> {
    let encode = || -> Result<Vec<u8>, EncodeError> {
        let mut writer = Writer::with_capacity(RECORD_BYTES);
        writer.i16(version);
        message.encode(&mut writer, version)?;
        let mut bytes = Vec::with_capacity(writer.total_len());
        writer.into_pieces().iter().for_each(|piece| bytes.extend_from_slice(piece));
        Ok(bytes)
    };
    encode().expect("the api layer lets no string in that a record cannot hold")
}
