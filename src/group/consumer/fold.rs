//! A consumer group's state as the fold of its changes.

use crate::group::Name;

use super::{Change, ConsumerGroup, Current};

impl ConsumerGroup {
    /// Applies one change; changes come in the order of the log. After compaction a member's assignment may come before its
    /// metadata.
    pub fn apply(&mut self, change: Change) {
        match change {
            Change::Group(Some(epoch)) => self.epoch = epoch,
            Change::Group(None) => *self = ConsumerGroup::new(Name::clone(&self.id)),
            Change::Topics(topics) => self.topics = topics.unwrap_or_default(),
            Change::Member(id, Some(metadata)) => {
                self.forget_instance(&id);
                if let Some(instance) = &metadata.instance_id {
                    self.instances.insert(Name::clone(instance), Name::clone(&id));
                }
                self.members.entry(id).or_default().metadata = metadata;
            }
            Change::Member(id, None) => {
                self.forget_instance(&id);
                self.set_current(&id, Current::default());
                self.members.remove(&id);
            }
            Change::TargetEpoch(epoch) => self.target_epoch = epoch.unwrap_or(0),
            Change::Target(id, Some(assignment)) => drop(self.target.insert(id, assignment)),
            Change::Target(id, None) => drop(self.target.remove(&id)),
            Change::Current(id, Some(current)) => {
                self.members.entry(Name::clone(&id)).or_default();
                self.set_current(&id, current);
            }
            Change::Current(id, None) => self.set_current(&id, Current::default()),
        }
    }

    fn forget_instance(&mut self, id: &Name) {
        let instance = self.members.get(id).and_then(|it| it.metadata.instance_id.as_ref());
        if let Some(instance) = instance
            && self.instances.get(instance) == Some(id)
        {
            self.instances.remove(instance);
        }
    }

    fn set_current(&mut self, id: &Name, current: Current) {
        let Some(member) = self.members.get_mut(id) else { return };
        for held in member.current.held() {
            if self.holders.get(&held) == Some(id) {
                self.holders.remove(&held);
            }
        }
        self.holders.extend(current.held().map(|held| (held, Name::clone(id))));
        member.current = current;
    }
}
