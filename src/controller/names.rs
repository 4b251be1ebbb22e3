//! What a topic may be called: Kafka's rules, in Kafka's words, because tools show and match them.

/// Longest topic name, in bytes.
const LENGTH_MAX: usize = 249;

/// The metadata log's name; no client may create it.
pub(super) const METADATA_TOPIC: &str = "__cluster_metadata";

/// Whether Kafka's clients treat a topic of this name as the broker's own.
#[must_use]
pub fn is_internal_topic(name: &str) -> bool {
    matches!(name, "__consumer_offsets" | "__transaction_state" | "__share_group_state")
}

/// Whether a topic could have this name.
#[must_use]
pub fn is_topic_name(name: &str) -> bool {
    check_topic_name(name).is_ok()
}

/// # Errors
/// What is wrong with the name, for the client's eyes.
pub fn check_topic_name(name: &str) -> Result<(), String> {
    if name.is_empty() {
        return Err("Topic name is invalid: the empty string is not allowed".into());
    }
    if matches!(name, "." | "..") {
        return Err(format!("Topic name is invalid: '{name}' is not allowed"));
    }
    if name.len() > LENGTH_MAX {
        return Err(format!(
            "Topic name is invalid: the length of '{name}' is longer than the max allowed length {LENGTH_MAX}"
        ));
    }
    if !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-')) {
        return Err(format!(
            "Topic name is invalid: '{name}' contains one or more characters other than ASCII alphanumerics, \
             '.', '_' and '-'"
        ));
    }
    Ok(())
}

/// Two names with one key cannot live side by side: metric systems that write '.' as '_' would confuse them.
pub(super) fn collision_key(name: &str) -> String {
    name.replace('.', "_")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_kafkas_rules() {
        let longest = "x".repeat(LENGTH_MAX);
        for good in ["a", "a.b_c-D9", "...", "-", longest.as_str()] {
            assert_eq!(check_topic_name(good), Ok(()), "{good}");
        }
        let too_long = "x".repeat(LENGTH_MAX + 1);
        for bad in ["", ".", "..", "a b", "ä", "a/b", "a\0", too_long.as_str()] {
            assert!(
                check_topic_name(bad).is_err_and(|message| message.starts_with("Topic name is invalid")),
                "{bad}"
            );
        }
    }

    #[test]
    fn dots_and_underscores_collide() {
        assert_eq!(collision_key("a.b_c"), collision_key("a_b.c"));
        assert_ne!(collision_key("a.b"), collision_key("a-b"));
    }
}
