//! What the coordinator reads of the metadata that consumers of a classic group send with JoinGroup.

/// Whether a consumer's metadata subscribes to a topic. Metadata that cannot be read may subscribe to any topic, so the
/// answer is yes and the offsets are kept.
pub fn may_name(metadata: &[u8], topic: &str) -> bool {
    super::consumer::decode_subscription(metadata)
        .is_none_or(|subscription| subscription.topics.iter().any(|name| name == topic))
}
