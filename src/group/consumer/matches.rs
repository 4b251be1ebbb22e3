//! The topics that the patterns of a group's members match.

use std::collections::{BTreeMap, BTreeSet};

use crate::base::MonoNanos;
use crate::controller::MetadataImage;
use crate::group::{GroupError, Name};

use super::pattern::Pattern;

/// Shortest time between two evaluations of a pattern, however fast topics come and go.
const MATCH_INTERVAL_MS: u64 = 1000;

/// What each of the members' patterns matched last. As in Kafka, a pattern may match the server's internal topics: a client
/// excludes them by its pattern.
#[derive(Clone, Debug, Default)]
pub struct Matches {
    by_pattern: BTreeMap<Name, Matched>,
}

#[derive(Clone, Debug)]
struct Matched {
    pattern: Pattern,
    topics: BTreeSet<Name>,
    /// Version of the image that the pattern was last evaluated on; `None` = never.
    version: Option<i64>,
    at: MonoNanos,
}

impl Matches {
    /// Adds a pattern that is not known yet, after checking that it is a valid one.
    pub fn add(&mut self, text: &Name) -> Result<(), GroupError> {
        if !self.by_pattern.contains_key(text) {
            let pattern = Pattern::compile(text)?;
            let matched = Matched { pattern, topics: BTreeSet::new(), version: None, at: MonoNanos(0) };
            self.by_pattern.insert(Name::clone(text), matched);
        }
        Ok(())
    }

    /// Forgets the patterns that no member has any more.
    pub fn keep(&mut self, patterns: &BTreeSet<Name>) {
        self.by_pattern.retain(|text, _| patterns.contains(text));
    }

    /// The topics that a pattern matched; `None` for a pattern that was never evaluated.
    pub fn topics(&self, text: &str) -> Option<&BTreeSet<Name>> {
        self.by_pattern.get(text).filter(|it| it.version.is_some()).map(|it| &it.topics)
    }

    /// Evaluates the patterns that are due. False if one of them was evaluated too short a time ago and has to wait.
    pub fn refresh(&mut self, now: MonoNanos, image: &MetadataImage) -> bool {
        let mut complete = true;
        for it in self.by_pattern.values_mut().filter(|it| it.version != Some(image.version)) {
            if it.version.is_some() && now < it.at.plus_ms(MATCH_INTERVAL_MS) {
                complete = false;
                continue;
            }
            let topics = image.topics.values().filter(|topic| it.pattern.matches(&topic.name));
            it.topics = topics.map(|topic| Name::clone(&topic.name)).collect();
            (it.version, it.at) = (Some(image.version), now);
        }
        complete
    }
}
