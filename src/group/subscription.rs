//! What consumers of a classic group say in their JoinGroup metadata, as far as the coordinator cares.

/// Whether a consumer's metadata subscribes to a topic. What cannot be read may subscribe to anything: its offsets are kept.
pub fn may_name(metadata: &[u8], topic: &str) -> bool {
    super::consumer::decode_subscription(metadata)
        .is_none_or(|subscription| subscription.topics.iter().any(|name| name == topic))
}
