//! A fetch that names a partition more than once: it is fetched once, where it was named first, as it was asked for last, as
//! in Kafka. Nearly no client does that, so nothing is copied before it is known to be so.

use std::borrow::Cow;
use std::collections::HashMap;

use crate::base::TopicId;
use crate::protocol::messages::fetch_request::{FetchPartition, FetchTopic};

/// How a request names a partition: its topic has a name or an id, never both.
type Key<'a> = (&'a str, TopicId, i32);

/// The topics of a request with each partition once.
pub(super) fn each_once<'r, 'a>(topics: &'r [FetchTopic<'a>]) -> Cow<'r, [FetchTopic<'a>]> {
    if !names_twice(topics) {
        return Cow::Borrowed(topics);
    }
    let asked = topics.iter().flat_map(|topic| {
        topic.partitions.iter().map(|asked| ((&*topic.topic, topic.topic_id, asked.partition), asked))
    });
    let mut last: HashMap<Key<'_>, &FetchPartition> = asked.collect();
    let mut once = topics.to_vec();
    for (topic, written) in once.iter_mut().zip(topics) {
        topic.partitions.retain_mut(|asked| {
            let found = last.remove(&(&*written.topic, written.topic_id, asked.partition));
            found.is_some_and(|last| {
                last.clone_into(asked);
                true
            })
        });
    }
    once.retain(|topic| !topic.partitions.is_empty());
    Cow::Owned(once)
}

/// Whether some partition may be named twice: a topic that has two entries, or one whose partitions do not ascend and are
/// not all different.
fn names_twice(topics: &[FetchTopic<'_>]) -> bool {
    topics_repeat(topics) || topics.iter().any(|topic| repeats(&topic.partitions))
}

/// What ascends, a single topic too, is known to differ without a list of its own.
fn topics_repeat(topics: &[FetchTopic<'_>]) -> bool {
    fn name<'t>(topic: &'t FetchTopic<'_>) -> (&'t str, TopicId) {
        (&*topic.topic, topic.topic_id)
    }
    if topics.is_sorted_by(|a, b| name(a) < name(b)) {
        return false;
    }
    let mut names: Vec<_> = topics.iter().map(name).collect();
    names.sort_unstable();
    !names.is_sorted_by(|a, b| a < b)
}

fn repeats(partitions: &[FetchPartition]) -> bool {
    if partitions.is_sorted_by(|a, b| a.partition < b.partition) {
        return false;
    }
    let mut indexes: Vec<i32> = partitions.iter().map(|asked| asked.partition).collect();
    indexes.sort_unstable();
    !indexes.is_sorted_by(|a, b| a < b)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topic(name: &'static str, asked: &[(i32, i64)]) -> FetchTopic<'static> {
        let asked = asked.iter().map(|(partition, fetch_offset)| FetchPartition {
            partition: *partition,
            fetch_offset: *fetch_offset,
            ..FetchPartition::default()
        });
        FetchTopic { topic: name.into(), partitions: asked.collect(), ..FetchTopic::default() }
    }

    #[test]
    fn the_last_offset_counts_at_the_place_of_the_first() {
        let topics = [topic("a", &[(0, 1), (2, 5), (2, 6)]), topic("b", &[]), topic("a", &[(0, 0), (1, 0)])];
        let once = each_once(&topics);
        assert_eq!(once[..], [topic("a", &[(0, 0), (2, 6)]), topic("a", &[(1, 0)])]);
        let topics = [topic("a", &[(2, 1), (0, 5)]), topic("b", &[(2, 0)])];
        assert!(matches!(each_once(&topics), Cow::Borrowed(_)));
    }
}
