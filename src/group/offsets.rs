//! What a group has committed, by topic and partition.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use crate::base::TimestampMs;
use crate::protocol::messages::OffsetCommitValue;

use super::record::GroupRecord;
use super::request::{CommitPartition, FetchedOffset};

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Committed {
    pub offset: i64,
    pub leader_epoch: i32,
    pub metadata: Arc<str>,
    pub commit_time: TimestampMs,
    /// When the offset expires, if an old client asked for a retention of its own.
    pub expire_time: Option<TimestampMs>,
}

#[derive(Clone, Debug, Default)]
pub struct Offsets {
    topics: BTreeMap<Arc<str>, BTreeMap<i32, Committed>>,
}

impl Committed {
    #[must_use]
    pub fn of(asked: CommitPartition, now: TimestampMs, retention_ms: Option<i64>) -> Committed {
        Committed {
            offset: asked.offset,
            leader_epoch: asked.leader_epoch,
            metadata: asked.metadata,
            commit_time: now,
            expire_time: retention_ms.map(|ms| TimestampMs(now.0.saturating_add(ms))),
        }
    }

    #[must_use]
    pub fn read(value: &OffsetCommitValue<'_>) -> Committed {
        Committed {
            offset: value.offset,
            leader_epoch: value.leader_epoch,
            metadata: Arc::from(&*value.metadata),
            commit_time: TimestampMs(value.commit_timestamp),
            expire_time: (value.expire_timestamp >= 0).then_some(TimestampMs(value.expire_timestamp)),
        }
    }

    /// The offset as a record. A retention of its own would need version 1 of the value, which has no leader epoch. As in
    /// Kafka, the record keeps the leader epoch, and the retention that an old client asked for is lost at the next restart.
    #[must_use]
    pub fn record(&self, group: &str, topic: &str, partition: i32) -> GroupRecord {
        let value = OffsetCommitValue {
            offset: self.offset,
            leader_epoch: self.leader_epoch,
            metadata: Cow::Borrowed(&self.metadata),
            commit_timestamp: self.commit_time.0,
            expire_timestamp: -1,
            ..OffsetCommitValue::default()
        };
        GroupRecord::offset(group, topic, partition, Some(&value))
    }
}

impl Offsets {
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.topics.is_empty()
    }

    #[must_use]
    pub fn get(&self, topic: &str, partition: i32) -> Option<&Committed> {
        self.topics.get(topic)?.get(&partition)
    }

    pub fn set(&mut self, topic: Arc<str>, partition: i32, committed: Committed) {
        self.topics.entry(topic).or_default().insert(partition, committed);
    }

    /// Removes one offset. True if there was one.
    pub fn remove(&mut self, topic: &str, partition: i32) -> bool {
        let Some(partitions) = self.topics.get_mut(topic) else { return false };
        let removed = partitions.remove(&partition).is_some();
        if partitions.is_empty() {
            self.topics.remove(topic);
        }
        removed
    }

    pub fn iter(&self) -> impl Iterator<Item = (&Arc<str>, i32, &Committed)> {
        self.topics.iter().flat_map(|(topic, partitions)| {
            partitions.iter().map(move |(partition, committed)| (topic, *partition, committed))
        })
    }

    pub fn topics(&self) -> impl Iterator<Item = &Arc<str>> {
        self.topics.keys()
    }

    /// The committed offsets of these partitions, or of all partitions if none are named.
    #[must_use]
    pub fn fetch(&self, partitions: Option<&[(Arc<str>, i32)]>) -> Vec<FetchedOffset> {
        let answer = |topic: &Arc<str>, partition, committed: Option<&Committed>| FetchedOffset {
            topic: Arc::clone(topic),
            partition,
            offset: committed.map_or(-1, |it| it.offset),
            leader_epoch: committed.map_or(-1, |it| it.leader_epoch),
            metadata: committed.map_or_else(|| Arc::from(""), |it| Arc::clone(&it.metadata)),
        };
        match partitions {
            None => self.iter().map(|(topic, partition, it)| answer(topic, partition, Some(it))).collect(),
            Some(asked) => asked
                .iter()
                .map(|(topic, partition)| answer(topic, *partition, self.get(topic, *partition)))
                .collect(),
        }
    }

    /// Removes the offsets that the predicate names, and adds a tombstone for each to `records`.
    pub fn delete(
        &mut self,
        group: &str,
        mut takes: impl FnMut(&str, i32, &Committed) -> bool,
        records: &mut Vec<GroupRecord>,
    ) {
        self.topics.retain(|topic, partitions| {
            partitions.retain(|partition, committed| {
                let gone = takes(topic, *partition, committed);
                if gone {
                    records.push(GroupRecord::offset(group, topic, *partition, None));
                }
                !gone
            });
            !partitions.is_empty()
        });
    }
}
