//! Subscriptions by pattern. The server evaluates them, because a member may not know all topics, or not the newest ones.

use regex::{Regex, RegexBuilder};

use super::GroupError;

/// Length of the longest pattern. librdkafka joins all patterns of a subscription into one.
const PATTERN_BYTES_MAX: usize = 4096;
/// Most memory that a compiled pattern may take, and as much again for the cache of its evaluation.
const COMPILED_BYTES_MAX: usize = 1 << 20;
/// Deepest nesting of groups in a pattern.
const NESTING_MAX: u32 = 50;

/// A pattern for whole topic names. Matching takes time linear in the name's length, whatever pattern a client sends.
#[derive(Clone, Debug)]
pub struct Pattern {
    whole: Regex,
}

impl Pattern {
    /// # Errors
    /// For a text that is no regular expression in RE2's syntax (which is the linear kind), and for one that is too large.
    pub fn compile(text: &str) -> Result<Pattern, GroupError> {
        if text.len() > PATTERN_BYTES_MAX {
            return Err(GroupError::InvalidRegularExpression);
        }
        // The pattern is compiled by itself first: "a)|(b" is valid only between parentheses, and must be refused.
        build(text)?;
        Ok(Pattern { whole: build(&format!("^(?:{text})$"))? })
    }

    #[must_use]
    pub fn matches(&self, topic: &str) -> bool {
        self.whole.is_match(topic)
    }
}

fn build(text: &str) -> Result<Regex, GroupError> {
    RegexBuilder::new(text)
        .size_limit(COMPILED_BYTES_MAX)
        .dfa_size_limit(COMPILED_BYTES_MAX)
        .nest_limit(NESTING_MAX)
        .build()
        .map_err(|_| GroupError::InvalidRegularExpression)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    #[test]
    fn whole_names_match() {
        for (pattern, topic, matches) in [
            ("a", "a", true),
            ("a", "ab", false),
            ("a|ab", "ab", true),
            ("^a.*", "abc", true),
            ("b", "abc", false),
            (".*", "", true),
            ("(?i)orders-\\d+", "Orders-17", true),
            ("^a|^b", "b", true),
        ] {
            assert_eq!(Pattern::compile(pattern).unwrap().matches(topic), matches, "{pattern} on {topic}");
        }
    }

    #[test]
    fn what_is_no_pattern_or_too_large_is_refused() {
        let nested = "(".repeat(60) + &")".repeat(60);
        for pattern in
            ["(", "a)|(b", "a**b{", "(?=a)", "(a)\\1", "\\w{1000}{1000}", &nested, &"a".repeat(4097)]
        {
            assert!(Pattern::compile(pattern).is_err(), "{pattern}");
        }
        assert!(Pattern::compile(&"a".repeat(4096)).is_ok());
    }
}
