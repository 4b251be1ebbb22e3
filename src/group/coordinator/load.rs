//! A coordinator that starts: it folds the records of its partition, then gives the members it knows a session each.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::base::{Now, TopicId};
use crate::controller::MetadataImage;
use crate::group::classic::{ClassicContext, ClassicGroup};
use crate::group::consumer::{Change, ConsumerGroup};
use crate::group::members::Members;
use crate::group::offsets::Committed;
use crate::group::record::{self, Parsed, RecordError};
use crate::group::{Name, Outcome};

use super::Coordinator;

impl Coordinator {
    /// Folds one record of the log, oldest first.
    ///
    /// # Errors
    /// For a record that is not one of this topic. Kafka's kinds of record that are not served here are skipped.
    pub fn replay(&mut self, now: Now, key: &[u8], value: Option<&[u8]>) -> Result<(), RecordError> {
        match record::parse(key, value)? {
            Parsed::Offset { key, value: Some(value) } => {
                let group = self.group_or_new(&Arc::from(&*key.group), now);
                group.offsets.set(Arc::from(&*key.topic), key.partition, Committed::read(&value));
            }
            Parsed::Offset { key, value: None } => {
                if let Some(group) = self.groups.get_mut(&*key.group) {
                    group.offsets.remove(&key.topic, key.partition);
                }
            }
            Parsed::Group { key, value: Some(value) } => {
                let id: Name = Arc::from(&*key.group);
                let group = self.group_or_new(&id, now);
                group.members = Members::Classic(ClassicGroup::read(id, &value, now));
            }
            Parsed::Group { key, value: None } => {
                // The group's offsets stay, because they have tombstones of their own: the group may have changed its protocol.
                if let Some(group) = self.groups.get_mut(&*key.group)
                    && matches!(group.members, Members::Classic(_))
                {
                    group.members = Members::Classic(ClassicGroup::new(Arc::from(&*key.group), now));
                }
            }
            Parsed::Other => self.replay_consumers(now, key, value)?,
        }
        Ok(())
    }

    fn replay_consumers(&mut self, now: Now, key: &[u8], value: Option<&[u8]>) -> Result<(), RecordError> {
        let Some((id, change)) = Change::decode(key, value)? else { return Ok(()) };
        if value.is_none() && !self.groups.contains_key(&id) {
            return Ok(());
        }
        let members = &mut self.group_or_new(&id, now).members;
        match members {
            Members::Consumer(_) if change == Change::Group(None) => {
                *members = Members::Classic(ClassicGroup::new(id, now));
            }
            Members::Consumer(group) => group.apply(change),
            Members::Classic(_) if value.is_none() => {}
            Members::Classic(_) => {
                let mut group = ConsumerGroup::new(id);
                group.apply(change);
                *members = Members::Consumer(Box::new(group));
            }
        }
        Ok(())
    }

    /// Ends loading, when all records are folded: every member gets a new session, and offsets of deleted topics are
    /// deleted.
    pub fn loaded(&mut self, now: Now, image: &MetadataImage, out: &mut Outcome) {
        let names: BTreeSet<Name> =
            self.groups.values().flat_map(|group| group.offsets.topics().cloned()).collect();
        for name in names {
            let id = image.topic(&name).map_or(TopicId::ZERO, |topic| topic.id);
            self.topics.insert(name, id);
        }
        self.groups.retain(|_, group| {
            !group.members.is_deserted() || !group.offsets.is_empty() || !group.members.is_simple()
        });
        let groups: Vec<Name> = self.groups.keys().cloned().collect();
        for id in groups {
            if let Some(group) = self.groups.get_mut(&id) {
                let mut context = ClassicContext { now, limits: &self.limits, rng: &mut self.rng, out };
                match &mut group.members {
                    Members::Classic(group) => group.revive(&mut context),
                    Members::Consumer(group) => group.start(now.mono, &self.consumer_limits),
                }
            }
            self.schedule(&id);
        }
        self.next_retention_check = now.mono.plus_ms(self.limits.retention_check_ms);
        self.forget_topics(&|name, _| image.topic(name).is_none(), out);
    }
}
