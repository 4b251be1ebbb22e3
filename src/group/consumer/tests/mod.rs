#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod random;
mod rules;

use std::sync::Arc;

use crate::base::rng::Rng;
use crate::base::{Home, LeaderEpoch, MonoNanos, ServerId, TopicId};
use crate::controller::{MetadataImage, PartitionImage, TopicImage};
use crate::group::{JoinRefused, JoinRequest, Joined, LeavingMember, Name};

use super::*;

fn name(text: &str) -> Name {
    Arc::from(text)
}

fn limits() -> ConsumerGroupLimits {
    ConsumerGroupLimits::from_config(&crate::config::Config::default().groups.consumer, 100)
}

/// A group with the log of its records, and all it needs to decide.
struct World {
    group: ConsumerGroup,
    log: Vec<GroupRecord>,
    image: MetadataImage,
    limits: ConsumerGroupLimits,
    rng: Rng,
    now: MonoNanos,
    topics_made: u8,
}

impl World {
    fn new(topics: &[(&str, usize)]) -> World {
        let mut world = World {
            group: ConsumerGroup::new(name("g")),
            log: Vec::new(),
            image: MetadataImage::default(),
            limits: limits(),
            rng: Rng::seeded(7),
            now: MonoNanos(1),
            topics_made: 0,
        };
        for (topic, partitions) in topics {
            world.make_topic(topic, *partitions);
        }
        world
    }

    /// Makes a topic anew, or gives one that exists more partitions.
    fn make_topic(&mut self, topic: &str, partitions: usize) {
        let id = self.image.topic(topic).map(|topic| topic.id).unwrap_or_else(|| {
            self.topics_made += 1;
            TopicId([self.topics_made; 16])
        });
        let partition = PartitionImage::single(ServerId(1), LeaderEpoch(0), Home(0));
        self.image.put(TopicImage {
            id,
            name: name(topic),
            ordinal: 0,
            partitions: vec![partition; partitions],
            overrides: std::collections::BTreeMap::new(),
            internal: topic.starts_with("__"),
        });
    }

    fn delete_topic(&mut self, topic: &str) {
        self.image.take(topic);
    }

    fn topic(&self, topic: &str) -> TopicId {
        self.image.topic(topic).unwrap().id
    }

    fn set(&self, topic: &str, partitions: &[i32]) -> Assignment {
        partitions.iter().map(|partition| (self.topic(topic), *partition)).collect()
    }

    fn send(&mut self, request: &HeartbeatRequest) -> Result<Heartbeat, GroupError> {
        let before = durable(&self.group);
        let mut context =
            Context { now: self.now, image: &self.image, limits: &self.limits, rng: &mut self.rng };
        match self.group.heartbeat(&mut context, request) {
            Ok(outcome) => {
                self.log.extend(outcome.records);
                Ok(outcome.answer)
            }
            Err(error) => {
                assert_eq!(durable(&self.group), before, "what is refused changes nothing");
                Err(error)
            }
        }
    }

    fn join(&mut self, request: &JoinRequest) -> Result<Joined, JoinRefused> {
        let mut context =
            Context { now: self.now, image: &self.image, limits: &self.limits, rng: &mut self.rng };
        let outcome = self.group.join_classic(&mut context, request)?;
        self.log.extend(outcome.records);
        Ok(outcome.answer)
    }

    fn leave(&mut self, members: &[LeavingMember]) {
        let outcome = self.group.leave_all(members);
        self.log.extend(outcome.records);
    }

    fn pass(&mut self, ms: u64) -> Vec<Name> {
        self.now = self.now.plus_ms(ms);
        let outcome = self.group.tick(self.now);
        self.log.extend(outcome.records);
        outcome.answer
    }

    /// The group as a coordinator that starts now would know it.
    fn replayed(&self) -> ConsumerGroup {
        let mut group = ConsumerGroup::new(name("g"));
        for record in &self.log {
            let (id, change) = Change::decode(&record.key, record.value.as_deref()).unwrap().unwrap();
            assert_eq!(&*id, "g");
            group.apply(change);
        }
        group
    }

    fn check_replay(&self) {
        assert_eq!(durable(&self.replayed()), durable(&self.group));
    }
}

/// The recorded state of a group.
fn durable(group: &ConsumerGroup) -> impl PartialEq + std::fmt::Debug + use<> {
    let group = group.clone();
    (
        (group.epoch, group.topics, group.members, group.instances),
        (group.target_epoch, group.target, group.holders),
    )
}

/// The first heartbeat of a member that subscribes to some topics.
fn joining(member: &str, topics: &[&str]) -> HeartbeatRequest {
    HeartbeatRequest {
        group: name("g"),
        member_id: name(member),
        rebalance_timeout_ms: Some(300_000),
        topics: Some(topics.iter().map(|topic| name(topic)).collect()),
        owned: Some(Assignment::default()),
        client_id: name("client"),
        client_host: name("/127.0.0.1"),
        brings_id: true,
        ..HeartbeatRequest::default()
    }
}

/// A heartbeat without any news.
fn beating(member: &str, epoch: i32) -> HeartbeatRequest {
    HeartbeatRequest {
        group: name("g"),
        member_id: name(member),
        member_epoch: epoch,
        brings_id: true,
        ..HeartbeatRequest::default()
    }
}

fn owning(member: &str, epoch: i32, owned: &Assignment) -> HeartbeatRequest {
    HeartbeatRequest { owned: Some(owned.clone()), ..beating(member, epoch) }
}
