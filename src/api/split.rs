//! A request's partitions, sorted by the shard that owns them, and the answers put back in the request's order.
//!
//! Each shard gets at most one message per request, with its partitions in the order the client named them; what no shard
//! can answer (unknown topics, partitions and the like) keeps its error here.

use std::sync::Arc;

use crate::base::{PartitionIndex, ShardId, TopicId, TopicPartition};
use crate::config::topic::TopicSettings;
use crate::controller::{MetadataImage, TopicImage};
use crate::protocol::ErrorCode;
use crate::shard::{ShardQuestion, ShardReply};

use super::topic_key::{TopicKey, shard_here};
use super::{Ask, Context, Step, Wait};

/// Shards in ascending order, each with the partitions asked of it.
pub(super) type Calls<T> = Vec<(ShardId, Vec<T>)>;

/// Where in the calls a partition stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct CallPlace {
    pub shard: ShardId,
    pub at: usize,
}

/// Partitions being sorted: `T` is what a shard is asked about one.
pub(super) struct Split<'a, T> {
    image: &'a MetadataImage,
    /// The topic that partitions are added to; `None` when nobody knows it.
    current: Option<&'a TopicImage>,
    topics: Vec<SplitTopic>,
    calls: Calls<T>,
}

/// A topic as it is answered.
#[derive(Debug)]
pub(super) struct SplitTopic {
    /// As the client wrote it; empty when it named an id that is unknown.
    pub name: Arc<str>,
    pub id: TopicId,
    unknown: ErrorCode,
    partitions: Vec<Slot>,
}

#[derive(Debug)]
struct Slot {
    index: i32,
    place: Result<ShardId, ErrorCode>,
}

impl<'a, T> Split<'a, T> {
    pub fn new(image: &'a MetadataImage) -> Split<'a, T> {
        Split { image, current: None, topics: Vec::new(), calls: Vec::new() }
    }

    /// Begins a topic with room for `partitions`.
    pub fn topic(&mut self, key: TopicKey<'_>, partitions: usize) {
        let (found, unknown) = match key {
            TopicKey::Name(name) => (self.image.topic(name), ErrorCode::UnknownTopicOrPartition),
            TopicKey::Id(id) => (self.image.topic_by_id(id), ErrorCode::UnknownTopicId),
        };
        let (name, id) = match (found, key) {
            (Some(topic), _) => (Arc::clone(&topic.name), topic.id),
            (None, TopicKey::Name(name)) => (Arc::from(name), TopicId::ZERO),
            (None, TopicKey::Id(id)) => (Arc::from(""), id),
        };
        self.current = found.map(|topic| &**topic);
        self.topics.push(SplitTopic { name, id, unknown, partitions: Vec::with_capacity(partitions) });
    }

    /// Whether the topic begun last is the server's own.
    pub fn is_internal(&self) -> bool {
        self.current.is_some_and(|topic| topic.internal)
    }

    /// The settings of the topic begun last; `None` if nobody knows the topic.
    pub fn settings(&self) -> Option<&'a TopicSettings> {
        self.current.map(|topic| self.image.settings(topic))
    }

    /// Adds a partition of the topic begun last; `ask` says what its shard is asked, or why it is not. What is asked
    /// stands at this place of that shard's list.
    pub fn partition(
        &mut self,
        index: i32,
        ask: impl FnOnce(TopicPartition) -> Result<T, ErrorCode>,
    ) -> Option<CallPlace> {
        let asked = self.owner(index).and_then(|(shard, partition)| Ok((shard, ask(partition)?)));
        let place = asked.map(|(shard, asked)| {
            let call = self.call(shard);
            call.push(asked);
            CallPlace { shard, at: call.len() - 1 }
        });
        let topic = self.topics.last_mut().expect("a topic was begun");
        topic.partitions.push(Slot { index, place: place.map(|place| place.shard) });
        place.ok()
    }

    /// Adds a partition of the topic begun last that nobody is asked about, whether it is there or not.
    pub fn refuse(&mut self, index: i32, code: ErrorCode) {
        let topic = self.topics.last_mut().expect("a topic was begun");
        topic.partitions.push(Slot { index, place: Err(code) });
    }

    fn owner(&self, index: i32) -> Result<(ShardId, TopicPartition), ErrorCode> {
        let topic = self.current.ok_or_else(|| self.topics.last().expect("a topic was begun").unknown)?;
        let partition = PartitionIndex(index);
        let state = topic.partition(partition).ok_or(ErrorCode::UnknownTopicOrPartition)?;
        Ok((shard_here(self.image, state)?, TopicPartition { topic: topic.id, partition }))
    }

    fn call(&mut self, shard: ShardId) -> &mut Vec<T> {
        let at = match self.calls.binary_search_by_key(&shard, |(shard, _)| *shard) {
            Ok(at) => at,
            Err(at) => {
                self.calls.insert(at, (shard, Vec::new()));
                at
            }
        };
        &mut self.calls[at].1
    }

    /// What to ask of whom, and where the answers go.
    pub fn finish(self) -> (Calls<T>, Slots) {
        let shards = self.calls.iter().map(|(shard, _)| *shard).collect();
        (self.calls, Slots { topics: self.topics, shards })
    }
}

/// Where each answer of each shard goes.
#[derive(Debug)]
pub(super) struct Slots {
    topics: Vec<SplitTopic>,
    shards: Vec<ShardId>,
}

impl Slots {
    /// Topics and their answered partitions in the order of the request. `results` has one list per call, as asked.
    pub fn merge<R, P>(
        &self,
        results: Vec<Vec<R>>,
        mut answer: impl FnMut(i32, Result<R, ErrorCode>) -> P,
    ) -> impl Iterator<Item = (&SplitTopic, Vec<P>)> {
        assert_eq!(results.len(), self.shards.len(), "one reply per call");
        let mut results: Vec<_> = results.into_iter().map(Vec::into_iter).collect();
        let mut next = move |shard| {
            let at = self.shards.binary_search(&shard).expect("a shard that was asked");
            results[at].next().expect("one result per partition asked")
        };
        self.topics.iter().map(move |topic| {
            let partitions = topic.partitions.iter();
            (topic, partitions.map(|slot| answer(slot.index, slot.place.map(&mut next))).collect())
        })
    }
}

/// Asks every shard its part and goes on with the answers.
pub(super) fn ask_all<T, A: 'static>(
    context: &mut Context<'_>,
    calls: Calls<T>,
    wait: Wait,
    question: impl Fn(Vec<T>) -> ShardQuestion<A>,
    then: impl FnOnce(&mut Context<'_>, Vec<A>) -> Step + 'static,
) -> Step {
    let calls = calls.into_iter().map(|(shard, partitions)| (shard, question(partitions))).collect();
    ask(context, calls, wait, then)
}

/// Asks several shards one kind of question, and goes on with the answers in the order of the calls; goes on at once when there
/// is nobody to ask.
pub(super) fn ask<A: 'static>(
    context: &mut Context<'_>,
    calls: Vec<(ShardId, ShardQuestion<A>)>,
    wait: Wait,
    then: impl FnOnce(&mut Context<'_>, Vec<A>) -> Step + 'static,
) -> Step {
    let Some(answer) = calls.first().map(|(_, question)| question.answer) else {
        return then(context, Vec::new());
    };
    let calls = calls.into_iter().map(|(shard, question)| (shard, question.asked)).collect();
    let then = move |context: &mut Context<'_>, replies: Vec<ShardReply>| {
        then(context, replies.into_iter().map(|reply| answer.take(reply)).collect())
    };
    Step::Ask(Ask { calls, wait, then: Box::new(then) })
}

#[cfg(test)]
mod tests {
    use crate::api::testing::{image, image_of_two_servers};

    use super::*;

    #[test]
    fn what_another_server_leads_is_refused_here() {
        let image = image_of_two_servers();
        let mut split = Split::new(&image);
        split.topic(TopicKey::Name("spread"), 4);
        for index in 0..4 {
            split.partition(index, |partition| Ok(partition.partition.0));
        }
        let (calls, slots) = split.finish();
        assert_eq!(calls, [(ShardId(0), vec![0]), (ShardId(1), vec![2])]);
        let results = calls.into_iter().map(|(_, partitions)| partitions).collect();
        let merged: Vec<_> = slots.merge(results, |_, result| result).map(|(_, results)| results).collect();
        let elsewhere = Err(ErrorCode::NotLeaderOrFollower);
        assert_eq!(merged, [[Ok(0), elsewhere, Ok(2), elsewhere]]);
    }

    #[test]
    fn answers_come_back_in_the_order_of_the_request() {
        let image = image(2, &[("a", 4)]);
        let mut split = Split::new(&image);
        split.topic(TopicKey::Name("a"), 5);
        for index in [3, 0, 9, 2, 1] {
            split.partition(index, |partition| Ok(partition.partition.0));
        }
        split.topic(TopicKey::Name("b"), 1);
        split.partition(0, |_| Ok(0));
        split.topic(TopicKey::Id(TopicId([7; 16])), 1);
        split.partition(0, |_| Ok(0));
        let (calls, slots) = split.finish();
        let shards: Vec<u16> = calls.iter().map(|(shard, _)| shard.0).collect();
        assert_eq!(shards, [0, 1]);
        let results = calls.into_iter().map(|(_, partitions)| partitions).collect();
        let merged: Vec<_> = slots
            .merge(results, |index, result| (index, result))
            .map(|(topic, partitions)| (topic.name.to_string(), topic.id, partitions))
            .collect();
        let unknown = Err(ErrorCode::UnknownTopicOrPartition);
        let id = image.topic("a").expect("there").id;
        assert_eq!(
            merged,
            [
                ("a".into(), id, vec![(3, Ok(3)), (0, Ok(0)), (9, unknown), (2, Ok(2)), (1, Ok(1))]),
                ("b".into(), TopicId::ZERO, vec![(0, unknown)]),
                (String::new(), TopicId([7; 16]), vec![(0, Err(ErrorCode::UnknownTopicId))]),
            ]
        );
    }
}
