//! What consumers of the classic protocol say to each other through the coordinator, which a group of both kinds must
//! understand: their subscription, and their assignment. Topics go by name there.

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

/// What a classic member wants and has.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Subscription {
    pub topics: BTreeSet<Name>,
    pub rack_id: Option<Name>,
    /// Nothing under protocols that give up everything before they join again.
    pub owned: Assignment,
}

/// `None` if the bytes are no subscription.
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

/// Some clients claim a version whose later fields they leave out (platformatic): what there is counts then.
#[must_use]
pub fn decode_subscription(metadata: &[u8]) -> Option<ConsumerProtocolSubscription<'_>> {
    let (claimed, _) = versioned(metadata, *ConsumerProtocolSubscription::VERSIONS.end())?;
    (0..=claimed).rev().find_map(|version| {
        let (_, mut reader) = versioned(metadata, version)?;
        ConsumerProtocolSubscription::decode(&mut reader, version).ok()
    })
}

/// `None` if the bytes are no assignment, or hold more than partitions: that would be lost here.
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

/// An assignment for a member that speaks like this one. Topics without a name are gone.
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

/// Later versions only add to what this one reads.
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
