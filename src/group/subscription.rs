//! What consumers of a classic group say in their JoinGroup metadata, as far as the coordinator cares.

/// Whether a consumer's metadata subscribes to a topic. What cannot be read subscribes to nothing: other protocols carry
/// whatever they like.
pub fn names(metadata: &[u8], topic: &str) -> bool {
    super::consumer::decode_subscription(metadata)
        .is_some_and(|subscription| subscription.topics.iter().any(|name| name == topic))
}
