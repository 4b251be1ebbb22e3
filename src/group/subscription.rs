//! What consumers of a classic group say in their JoinGroup metadata, as far as the coordinator cares.

use crate::protocol::messages::ConsumerProtocolSubscription;
use crate::protocol::{Message, Reader};

/// Whether a consumer's metadata subscribes to a topic. What cannot be read subscribes to nothing: other protocols carry
/// whatever they like.
pub fn names(metadata: &[u8], topic: &str) -> bool {
    let Some((version, rest)) = metadata.split_first_chunk::<2>() else { return false };
    // Later versions only add to what this one reads.
    let version = i16::from_be_bytes(*version).min(*ConsumerProtocolSubscription::VERSIONS.end());
    if version < 0 {
        return false;
    }
    let subscription = ConsumerProtocolSubscription::decode(&mut Reader::new(rest), version);
    subscription.is_ok_and(|subscription| subscription.topics.iter().any(|name| name == topic))
}
