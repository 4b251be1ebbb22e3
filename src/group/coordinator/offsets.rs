//! Committed offsets of a coordinator's groups: what may be committed, and when an offset goes.

use std::sync::Arc;

use crate::base::{Now, TopicId};
use crate::controller::MetadataImage;
use crate::group::offsets::{Committed, Offsets};
use crate::group::record::GroupRecord;
use crate::group::request::{CommitPartition, CommitRequest, FetchOffsetsRequest, FetchedOffset, GroupError};
use crate::group::{Name, Outcome};

use super::Coordinator;

/// A committed offset, to be compared with the end of its partition's log.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Lag {
    pub group: Name,
    pub topic: Name,
    pub partition: i32,
    pub committed: i64,
}

impl Coordinator {
    /// Deletes the offsets of topics that the new image does not have any more.
    pub fn topics_changed(&mut self, image: &MetadataImage, out: &mut Outcome) {
        self.forget_topics(&|name, id| image.topic(name).is_none_or(|topic| topic.id != id), out);
    }

    pub fn committed(&self) -> impl Iterator<Item = Lag> + '_ {
        self.groups.iter().flat_map(|(id, group)| {
            group.offsets.iter().map(|(topic, partition, committed)| Lag {
                group: Arc::clone(id),
                topic: Arc::clone(topic),
                partition,
                committed: committed.offset,
            })
        })
    }

    pub(super) fn commit(
        &mut self,
        now: Now,
        image: &MetadataImage,
        request: CommitRequest,
        out: &mut Outcome,
    ) -> Result<Vec<Result<(), GroupError>>, GroupError> {
        self.check_commit(now, image, &request)?;
        let metadata_max = self.limits.metadata_max;
        let fits = |asked: &CommitPartition| fits(&asked.metadata, metadata_max);
        let result = |it| if fits(it) { Ok(()) } else { Err(GroupError::OffsetMetadataTooLarge) };
        let results: Vec<_> = request.partitions.iter().map(result).collect();
        if !results.iter().any(Result::is_ok) {
            return Ok(results);
        }
        for asked in request.partitions.iter().filter(|it| fits(it)) {
            let id = image.topic(&asked.topic).map_or(asked.topic_id, |topic| topic.id);
            if self.topics.get(&asked.topic) != Some(&id) {
                self.topics.insert(Arc::clone(&asked.topic), id);
            }
        }
        let group = self.group_or_new(&request.group, now);
        for asked in request.partitions.into_iter().filter(fits) {
            let (topic, partition) = (Arc::clone(&asked.topic), asked.partition);
            let committed = Committed::of(asked, now.wall, request.retention_ms);
            out.records.push(committed.record(&request.group, &topic, partition));
            group.offsets.set(topic, partition, committed);
        }
        Ok(results)
    }

    pub(super) fn fetch(&self, request: &FetchOffsetsRequest) -> Result<Vec<FetchedOffset>, GroupError> {
        self.check_fetch(&request.group, request.member.as_ref())?;
        let nothing = Offsets::default();
        let offsets = self.groups.get(&request.group).map_or(&nothing, |group| &group.offsets);
        Ok(offsets.fetch(request.partitions.as_deref()))
    }

    pub(super) fn delete_offsets(
        &mut self,
        id: &str,
        partitions: &[(Name, i32)],
        out: &mut Outcome,
    ) -> Result<Vec<Result<(), GroupError>>, GroupError> {
        let group = self.groups.get_mut(id).ok_or(GroupError::GroupIdNotFound)?;
        if !group.members.is_deserted() && !group.members.is_consumers() {
            return Err(GroupError::NonEmptyGroup);
        }
        let results = partitions.iter().map(|(topic, partition)| {
            if group.members.is_subscribed(topic) {
                return Err(GroupError::GroupSubscribedToTopic);
            }
            if group.offsets.remove(topic, *partition) {
                out.records.push(GroupRecord::offset(id, topic, *partition, None));
            }
            Ok(())
        });
        Ok(results.collect())
    }

    /// Deletes the committed offsets of every topic that `is_gone` names.
    pub(super) fn forget_topics(&mut self, is_gone: &dyn Fn(&str, TopicId) -> bool, out: &mut Outcome) {
        let gone: Vec<Name> = self
            .topics
            .iter()
            .filter(|(name, id)| is_gone(name, **id))
            .map(|(name, _)| Arc::clone(name))
            .collect();
        for name in gone {
            self.topics.remove(&name);
            for (id, group) in &mut self.groups {
                group.offsets.delete(id, |topic, _, _| *topic == *name, &mut out.records);
            }
        }
    }

    /// Deletes offsets whose retention has passed, and groups that have neither members nor offsets.
    pub(super) fn expire_offsets(&mut self, now: Now, out: &mut Outcome) {
        let retention_ms = self.limits.retention_ms;
        let mut gone = Vec::new();
        for (id, group) in &mut self.groups {
            let (idle_since, is_consumers) = (group.members.idle_since(), group.members.is_consumers());
            let members = &group.members;
            let is_expired = |topic: &str, committed: &Committed| {
                if let Some(expire) = committed.expire_time {
                    return now.wall >= expire;
                }
                let since = match idle_since {
                    Some(since) => since.max(committed.commit_time),
                    None if is_consumers && !members.is_subscribed(topic) => committed.commit_time,
                    None => return false,
                };
                now.wall.0.saturating_sub(since.0) >= retention_ms
            };
            group.offsets.delete(id, |topic, _, committed| is_expired(topic, committed), &mut out.records);
            if members.is_deserted() && group.offsets.is_empty() {
                out.records.extend(members.delete(id));
                gone.push(Arc::clone(id));
            }
        }
        for id in gone {
            self.groups.remove(&id);
        }
    }
}

/// Whether a commit may carry this text. Its length is counted as Java does, in UTF-16 units, and it must fit a string of
/// the record.
fn fits(metadata: &str, units_max: usize) -> bool {
    let is_short = metadata.len() <= units_max || metadata.encode_utf16().count() <= units_max;
    is_short && metadata.len() <= i16::MAX as usize
}
