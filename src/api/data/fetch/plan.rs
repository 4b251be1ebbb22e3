//! Which partitions a fetch is about: by the shard that owns them, as they are asked, with whatever cannot be asked.
//!
//! Built from a request, or kept from one request to the next by a [`Session`](super::session::Session), which then
//! changes only what the client says has changed.

use std::sync::Arc;

use crate::base::{PartitionIndex, ShardId, TopicId, TopicPartition};
use crate::controller::MetadataImage;
use crate::protocol::ErrorCode;
use crate::shard::{FetchPartition, Known};

use crate::api::topic_key::{TopicKey, shard_here};

/// What is asked of one partition, but for where it is.
pub(super) type Wanted = FetchPartition;

#[derive(Debug, Default)]
pub(super) struct Plan {
    pub topics: Vec<PlannedTopic>,
    /// The questions to shards, in ascending order of shards.
    pub calls: Vec<Call>,
    /// Partitions no shard can be asked about.
    pub failed: Vec<Failed>,
}

/// A topic as the client names it and as it is answered.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct PlannedTopic {
    pub key: Key,
    /// Empty when the client named an id that is unknown.
    pub name: Arc<str>,
    pub id: TopicId,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) enum Key {
    Name(Arc<str>),
    Id(TopicId),
}

/// What one shard is asked.
#[derive(Debug)]
pub(super) struct Call {
    pub shard: ShardId,
    /// The shard reads it while it waits; it is copied if it must change meanwhile.
    pub partitions: Arc<Vec<FetchPartition>>,
    /// Which partition of the request each of `partitions` is, in the same order.
    pub named: Vec<NamedPartition>,
    /// Where the next round begins.
    pub first: usize,
}

/// A partition by its place in [`Plan::topics`] and its number, and when in the request it came.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) struct NamedPartition {
    pub topic: u32,
    pub index: i32,
    pub order: u32,
}

#[derive(Debug)]
pub(super) struct Failed {
    pub named: NamedPartition,
    pub wanted: Wanted,
    pub code: ErrorCode,
}

/// Where a partition went.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Placed {
    Call(ShardId, usize),
    Failed(usize),
}

impl Key {
    pub fn of(key: TopicKey<'_>) -> Key {
        match key {
            TopicKey::Name(name) => Key::Name(Arc::from(name)),
            TopicKey::Id(id) => Key::Id(id),
        }
    }

    /// The topic as it is now.
    pub fn resolve(self, image: &MetadataImage) -> PlannedTopic {
        let found = match &self {
            Key::Name(name) => image.topic(name),
            Key::Id(id) => image.topic_by_id(*id),
        };
        let (name, id) = match (found, &self) {
            (Some(topic), _) => (Arc::clone(&topic.name), topic.id),
            (None, Key::Name(name)) => (Arc::clone(name), TopicId::ZERO),
            (None, Key::Id(id)) => (Arc::from(""), *id),
        };
        PlannedTopic { key: self, name, id }
    }
}

impl PlannedTopic {
    fn unknown(&self) -> ErrorCode {
        match self.key {
            Key::Name(_) => ErrorCode::UnknownTopicOrPartition,
            Key::Id(_) => ErrorCode::UnknownTopicId,
        }
    }

    fn owner(&self, image: &MetadataImage, index: i32) -> Result<(ShardId, TopicPartition), ErrorCode> {
        let topic = image.topic_by_id(self.id).ok_or_else(|| self.unknown())?;
        let partition = PartitionIndex(index);
        let state = topic.partition(partition).ok_or(ErrorCode::UnknownTopicOrPartition)?;
        Ok((shard_here(image, state)?, TopicPartition { topic: topic.id, partition }))
    }
}

impl Plan {
    /// Adds a partition of a topic that is in the plan. `refused` is why nobody is asked about it, whoever owns it.
    pub fn add(
        &mut self,
        image: &MetadataImage,
        named: NamedPartition,
        mut wanted: Wanted,
        refused: Option<ErrorCode>,
    ) -> Placed {
        let topic = &self.topics[named.topic as usize];
        let owner = refused.map_or_else(|| topic.owner(image, named.index), Err);
        match owner {
            Ok((shard, partition)) => {
                if wanted.partition != partition {
                    wanted = FetchPartition { partition, known: Known::NOTHING, ..wanted };
                }
                let call = self.call_or_add(shard);
                Arc::make_mut(&mut call.partitions).push(wanted);
                call.named.push(named);
                Placed::Call(shard, call.named.len() - 1)
            }
            Err(code) => {
                self.failed.push(Failed { named, wanted, code });
                Placed::Failed(self.failed.len() - 1)
            }
        }
    }

    /// Takes a partition out; the one that has taken its place, if one has, comes back.
    pub fn remove(&mut self, place: Placed) -> Option<NamedPartition> {
        match place {
            Placed::Call(shard, at) => {
                let call = self.call(shard)?;
                Arc::make_mut(&mut call.partitions).swap_remove(at);
                call.named.swap_remove(at);
                call.first = if at < call.first { call.first - 1 } else { call.first };
                call.named.get(at).copied()
            }
            Placed::Failed(at) => {
                self.failed.swap_remove(at);
                self.failed.get(at).map(|failed| failed.named)
            }
        }
    }

    /// What is asked at a place, to be changed.
    pub fn wanted(&mut self, place: Placed) -> Option<&mut Wanted> {
        match place {
            Placed::Call(shard, at) => Arc::make_mut(&mut self.call(shard)?.partitions).get_mut(at),
            Placed::Failed(at) => self.failed.get_mut(at).map(|failed| &mut failed.wanted),
        }
    }

    /// The shards that are asked something; one left without partitions is not.
    pub fn asked(&self) -> impl Iterator<Item = &Call> {
        self.calls.iter().filter(|call| !call.named.is_empty())
    }

    /// The client has been told this of a call's partition; after one whose records it got, the next has its turn.
    pub fn told(&mut self, call: usize, at: usize, known: Known, records: bool) {
        let Some(call) = self.calls.get_mut(call) else { return };
        if let Some(partition) = Arc::make_mut(&mut call.partitions).get_mut(at) {
            partition.known = known;
        }
        if records {
            call.first = (at + 1) % call.named.len().max(1);
        }
    }

    pub fn len(&self) -> usize {
        self.failed.len() + self.calls.iter().map(|call| call.named.len()).sum::<usize>()
    }

    fn call(&mut self, shard: ShardId) -> Option<&mut Call> {
        let at = self.calls.binary_search_by_key(&shard, |call| call.shard).ok()?;
        self.calls.get_mut(at)
    }

    fn call_or_add(&mut self, shard: ShardId) -> &mut Call {
        let at = match self.calls.binary_search_by_key(&shard, |call| call.shard) {
            Ok(at) => at,
            Err(at) => {
                let call = Call { shard, partitions: Arc::default(), named: Vec::new(), first: 0 };
                self.calls.insert(at, call);
                at
            }
        };
        &mut self.calls[at]
    }
}
