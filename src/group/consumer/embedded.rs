//! The subscription and the assignment that consumers of the classic protocol send each other through the coordinator. A
//! group with members of both protocols must understand them. They name topics by name, not by id.

use std::borrow::Cow;
use std::collections::BTreeSet;

use bytes::Bytes;

use crate::base::{TopicId, joined};
use crate::controller::MetadataImage;
use crate::group::Name;
use crate::protocol::messages::consumer_protocol_assignment::TopicPartition;
use crate::protocol::messages::{ConsumerProtocolAssignment, ConsumerProtocolSubscription};
use crate::protocol::{EncodeError, Message, Reader, Writer};

use super::{Assignment, Topics};

/// The topics a classic member subscribes to, and the partitions it has.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Subscription {
    pub topics: BTreeSet<Name>,
    pub rack_id: Option<Name>,
    /// Empty under protocols whose members give up everything before they join again.
    pub owned: Assignment,
}

/// Reads a subscription. `None` if the bytes are none.
#[must_use]
pub fn read_subscription(metadata: &[u8], image: &MetadataImage) -> Option<Subscription> {
    let read = decode_subscription(metadata)?;
    let owned = read.owned_partitions.iter().map(|it| (&*it.topic, &it.partitions[..]));
    Some(Subscription {
        topics: read.topics.iter().map(|topic| Name::from(&**topic)).collect(),
        rack_id: read.rack_id.as_deref().filter(|rack| !rack.is_empty()).map(Name::from),
        owned: by_id(owned, image),
    })
}

/// Decodes a subscription. Some clients (platformatic) name a version and leave out its later fields: then the newest
/// version that the bytes are complete for is taken.
#[must_use]
pub fn decode_subscription(metadata: &[u8]) -> Option<ConsumerProtocolSubscription<'_>> {
    let (claimed, _) = versioned(metadata, *ConsumerProtocolSubscription::VERSIONS.end())?;
    (0..=claimed).rev().find_map(|version| {
        let (_, mut reader) = versioned(metadata, version)?;
        ConsumerProtocolSubscription::decode(&mut reader, version).ok()
    })
}

/// Reads an assignment. `None` if the bytes are none, or if they hold user data, which would be lost here.
#[must_use]
pub fn read_assignment(bytes: &[u8], image: &MetadataImage) -> Option<Assignment> {
    if bytes.is_empty() {
        return Some(Assignment::default());
    }
    let (version, mut reader) = versioned(bytes, *ConsumerProtocolAssignment::VERSIONS.end())?;
    let read = ConsumerProtocolAssignment::decode(&mut reader, version).ok()?;
    if read.user_data.as_ref().is_some_and(|data| !data.is_empty()) {
        return None;
    }
    Some(by_id(read.assigned_partitions.iter().map(|it| (&*it.topic, &it.partitions[..])), image))
}

/// Writes an assignment in the version of the member's own `metadata`. Topics that have no name any more were deleted, and
/// are left out.
#[must_use]
pub fn write_assignment(assignment: &Assignment, topics: &Topics, metadata: &[u8]) -> Bytes {
    let newest = *ConsumerProtocolAssignment::VERSIONS.end();
    let version = versioned(metadata, newest).map_or(0, |(version, _)| version);
    let name = |id: TopicId| topics.iter().find(|(_, size)| size.id == id).map(|(name, _)| name);
    let assigned = assignment.topics().filter_map(|(id, partitions)| {
        let partitions = partitions.iter().copied().collect();
        Some(TopicPartition { topic: Cow::Borrowed(name(id)?), partitions })
    });
    let message = ConsumerProtocolAssignment { assigned_partitions: assigned.collect(), user_data: None };
    let encode = || -> Result<Vec<u8>, EncodeError> {
        let mut writer = Writer::new();
        writer.i16(version);
        message.encode(&mut writer, version)?;
        Ok(joined(&writer.into_pieces()))
    };
    encode().expect("topic names are short").into()
}

/// The version that bytes begin with, and what follows. A version above `newest` is read as `newest`, because later
/// versions only add fields at the end.
fn versioned(bytes: &[u8], newest: i16) -> Option<(i16, Reader<'_>)> {
    let (version, rest) = bytes.split_first_chunk::<2>()?;
    let version = i16::from_be_bytes(*version).min(newest);
    (version >= 0).then(|| (version, Reader::new(rest)))
}

fn by_id<'a>(topics: impl Iterator<Item = (&'a str, &'a [i32])>, image: &MetadataImage) -> Assignment {
    let known = topics.filter_map(|(name, partitions)| Some((image.topic(name)?, partitions)));
    let partitions = known.flat_map(|(topic, partitions)| {
        let exists = |it: &&i32| usize::try_from(**it).is_ok_and(|it| it < topic.partitions.len());
        partitions.iter().filter(exists).map(|it| (topic.id, *it))
    });
    partitions.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subscriptions_are_read_as_far_as_they_go() {
        let plain = b"\0\0\0\0\0\x01\0\x01t\xff\xff\xff\xff";
        let owning = b"\0\x01\0\0\0\x01\0\x01t\xff\xff\xff\xff\0\0\0\x01\0\x01t\0\0\0\x01\0\0\0\x05";
        let truncated = b"\0\x01\0\0\0\x01\0\x01t\xff\xff\xff\xff";
        let future = b"\0\x09\0\0\0\x01\0\x01t\xff\xff\xff\xff\0\0\0\0\0\0\0\x07\0\x01rmore";
        for (bytes, owned) in [(&plain[..], 0), (owning, 1), (truncated, 0), (future, 0)] {
            let read = decode_subscription(bytes).expect("a subscription");
            assert_eq!((read.topics.len(), read.owned_partitions.len()), (1, owned), "{bytes:?}");
        }
        for bytes in [&b""[..], b"\0", b"\xff\xff\0\0\0\0", b"\0\0\0\0\0\x09", b"not Kafka's"] {
            assert_eq!(decode_subscription(bytes), None, "{bytes:?}");
        }
    }
}
