//! State as a fold of metadata records.
//!
//! The same fold serves start-up, commit and decisions not yet durable, so that none of them can disagree.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::base::{ProducerId, TopicId};
use crate::config::Config;
use crate::config::topic::{TopicDefaults, TopicSettings};

use super::decide::ControllerConfig;
use super::image::{MetadataImage, PartitionImage, Resource, TopicImage};
use super::names;
use super::record::{MetadataRecord, MetadataRecordError, PartitionsRecord, TopicRecord};

/// Most partitions of one topic that a record may bring about: above every configurable limit, small enough that no
/// bytes on disk make the process allocate without bound.
const TOPIC_PARTITIONS_BOUND: usize = 1 << 20;

/// The cluster after some prefix of the metadata log.
#[derive(Clone, Debug)]
pub(super) struct State {
    /// What everybody sees. Copied on change only while somebody else still holds it.
    pub image: Arc<MetadataImage>,
    /// Topics ever created.
    pub next_ordinal: u64,
    /// All producer ids below may have been handed out.
    pub producer_ids_end: ProducerId,
    /// Partitions of all topics.
    pub partitions: usize,
    /// Collision key → the name that holds it.
    collisions: BTreeMap<String, Arc<str>>,
    /// This server's settings as read at its start.
    settings: Arc<Config>,
}

impl State {
    pub fn new(config: &ControllerConfig) -> State {
        let image = MetadataImage {
            cluster_id: config.cluster_id.clone(),
            server: config.server,
            shards: config.shards,
            topic_defaults: Arc::new(config.settings.topic_defaults.clone()),
            ..MetadataImage::default()
        };
        State {
            settings: Arc::clone(&config.settings),
            image: Arc::new(image),
            next_ordinal: 0,
            producer_ids_end: ProducerId(0),
            partitions: 0,
            collisions: BTreeMap::new(),
        }
    }

    /// The existing topic whose name differs from `name` only in '.' and '_'.
    pub fn colliding(&self, name: &str) -> Option<&Arc<str>> {
        self.collisions.get(&names::collision_key(name))
    }

    /// Folds one record.
    ///
    /// # Errors
    /// When the record does not fit the state; the state is then unchanged.
    pub fn apply(&mut self, record: &MetadataRecord) -> Result<(), MetadataRecordError> {
        match record {
            MetadataRecord::Topic(topic) => self.add_topic(topic),
            MetadataRecord::RemoveTopic { topic } => self.remove_topic(*topic),
            MetadataRecord::Partitions(run) => self.set_partitions(run),
            MetadataRecord::Config { topic, name, value } => self.set_config(*topic, name, value.as_deref()),
            MetadataRecord::ResourceConfig { resource, name, value } => {
                self.set_resource_config(resource, name, value.as_deref())
            }
            MetadataRecord::ProducerIds { end } => {
                self.producer_ids_end = self.producer_ids_end.max(*end);
                Ok(())
            }
        }
    }

    /// Marks the end offset of the log this state folds.
    pub fn set_version(&mut self, version: i64) {
        Arc::make_mut(&mut self.image).version = version;
    }

    fn add_topic(&mut self, record: &TopicRecord) -> Result<(), MetadataRecordError> {
        if self.image.topic(&record.name).is_some() || self.image.topic_by_id(record.id).is_some() {
            return Err(MetadataRecordError::TopicExists { name: record.name.clone(), id: record.id });
        }
        let settings = resolve(&record.name, &record.overrides, &self.image.topic_defaults)?;
        let name: Arc<str> = record.name.as_str().into();
        self.collisions.insert(names::collision_key(&name), Arc::clone(&name));
        self.next_ordinal = self.next_ordinal.max(record.ordinal.saturating_add(1));
        self.put(TopicImage {
            id: record.id,
            name,
            ordinal: record.ordinal,
            partitions: Vec::new(),
            overrides: record.overrides.clone(),
            settings,
            internal: record.internal,
        });
        Ok(())
    }

    fn remove_topic(&mut self, id: TopicId) -> Result<(), MetadataRecordError> {
        let topic = self.topic(id)?;
        let image = Arc::make_mut(&mut self.image);
        image.topics.remove(&topic.name);
        image.topics_by_id.remove(&id);
        self.collisions.remove(&names::collision_key(&topic.name));
        self.partitions -= topic.partitions.len();
        Ok(())
    }

    fn set_partitions(&mut self, run: &PartitionsRecord) -> Result<(), MetadataRecordError> {
        let mut topic = TopicImage::clone(&*self.topic(run.topic)?);
        let existing = topic.partitions.len();
        let refused = MetadataRecordError::PartitionRun { first: run.first.0, count: run.count, existing };
        let (Ok(first), Ok(count)) = (usize::try_from(run.first.0), usize::try_from(run.count)) else {
            return Err(refused);
        };
        let end = first.saturating_add(count);
        if first > existing || end > TOPIC_PARTITIONS_BOUND {
            return Err(refused);
        }
        let placed = PartitionImage { leader_epoch: run.leader_epoch, leader: run.leader };
        topic.partitions.resize(end.max(existing), placed);
        topic.partitions[first..end].fill(placed);
        self.partitions += topic.partitions.len() - existing;
        self.put(topic);
        Ok(())
    }

    fn set_config(
        &mut self,
        id: TopicId,
        name: &str,
        value: Option<&str>,
    ) -> Result<(), MetadataRecordError> {
        let mut topic = TopicImage::clone(&*self.topic(id)?);
        match value {
            Some(value) => topic.overrides.insert(name.to_owned(), value.to_owned()),
            None => topic.overrides.remove(name),
        };
        topic.settings = resolve(&topic.name, &topic.overrides, &self.image.topic_defaults)?;
        self.put(topic);
        Ok(())
    }

    fn set_resource_config(
        &mut self,
        resource: &Resource,
        name: &str,
        value: Option<&str>,
    ) -> Result<(), MetadataRecordError> {
        let mut configs = self.image.configs(resource).map(|found| (**found).clone()).unwrap_or_default();
        match value {
            Some(value) => drop(configs.insert(name.to_owned(), value.to_owned())),
            None => drop(configs.remove(name)),
        }
        let mut image = MetadataImage::clone(&self.image);
        match configs.is_empty() {
            true => drop(image.configs.remove(resource)),
            false => drop(image.configs.insert(resource.clone(), Arc::new(configs))),
        }
        if matches!(resource, Resource::AllBrokers | Resource::Broker(_)) {
            inherit(&mut image, &self.settings)?;
        }
        self.image = Arc::new(image);
        Ok(())
    }

    fn topic(&self, id: TopicId) -> Result<Arc<TopicImage>, MetadataRecordError> {
        self.image.topic_by_id(id).cloned().ok_or(MetadataRecordError::UnknownTopic(id))
    }

    fn put(&mut self, topic: TopicImage) {
        let topic = Arc::new(topic);
        let image = Arc::make_mut(&mut self.image);
        image.topics.insert(Arc::clone(&topic.name), Arc::clone(&topic));
        image.topics_by_id.insert(topic.id, topic);
    }
}

/// What the server's settings, with their changes, mean for its topics.
///
/// # Errors
/// When a topic's own configs do not go with them.
pub(super) fn inherit(image: &mut MetadataImage, settings: &Config) -> Result<(), MetadataRecordError> {
    let changed = settings.with_changes(&image.changes()).map_err(|error| MetadataRecordError::Configs {
        resource: Resource::Broker(image.server).to_string(),
        reason: error.to_string(),
    })?;
    image.topic_defaults = Arc::new(changed.topic_defaults);
    let topics = image.topics.values().map(|topic| {
        let settings = resolve(&topic.name, &topic.overrides, &image.topic_defaults)?;
        Ok(Arc::new(TopicImage { settings, ..TopicImage::clone(topic) }))
    });
    for topic in topics.collect::<Result<Vec<_>, MetadataRecordError>>()? {
        image.topics_by_id.insert(topic.id, Arc::clone(&topic));
        image.topics.insert(Arc::clone(&topic.name), topic);
    }
    Ok(())
}

fn resolve(
    topic: &str,
    overrides: &BTreeMap<String, String>,
    defaults: &TopicDefaults,
) -> Result<TopicSettings, MetadataRecordError> {
    TopicSettings::resolve(overrides, defaults).map_err(|error| MetadataRecordError::Configs {
        resource: format!("topic '{topic}'"),
        reason: error.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use crate::base::{LeaderEpoch, PartitionIndex, ServerId};

    use super::*;

    const ID: TopicId = TopicId([7; 16]);

    fn topic() -> MetadataRecord {
        let (name, overrides) = ("a.b".to_owned(), BTreeMap::new());
        MetadataRecord::Topic(TopicRecord { id: ID, name, ordinal: 4, internal: false, overrides })
    }

    fn run(first: i32, count: i32, epoch: i32) -> MetadataRecord {
        MetadataRecord::Partitions(PartitionsRecord {
            topic: ID,
            first: PartitionIndex(first),
            count,
            leader: ServerId(1),
            leader_epoch: LeaderEpoch(epoch),
        })
    }

    fn fold(records: &[MetadataRecord]) -> Result<State, MetadataRecordError> {
        let mut state = State::new(&ControllerConfig::new("cluster".into(), &Config::default()));
        records.iter().try_for_each(|record| state.apply(record))?;
        Ok(state)
    }

    #[test]
    fn runs_extend_and_replace_partitions() {
        let state = fold(&[topic(), run(0, 3, 0), run(1, 1, 5), run(3, 1, 0)]).expect("a sound log");
        let topic = state.image.topic("a.b").expect("created");
        let epochs: Vec<i32> = topic.partitions.iter().map(|partition| partition.leader_epoch.0).collect();
        assert_eq!(epochs, [0, 5, 0, 0]);
        assert_eq!((state.partitions, state.next_ordinal), (4, 5));
        assert_eq!(state.colliding("a_b").map(|name| &**name), Some("a.b"));
    }

    #[test]
    fn removal_leaves_nothing_but_the_ordinal() {
        let state =
            fold(&[topic(), run(0, 3, 0), MetadataRecord::RemoveTopic { topic: ID }]).expect("a sound log");
        assert!(state.image.topics.is_empty() && state.image.topics_by_id.is_empty());
        assert_eq!((state.partitions, state.next_ordinal, state.colliding("a_b")), (0, 5, None));
    }

    #[test]
    fn configs_are_set_and_removed() {
        let set = |value: Option<&str>| MetadataRecord::Config {
            topic: ID,
            name: "retention.ms".into(),
            value: value.map(str::to_owned),
        };
        let state = fold(&[topic(), set(Some("5"))]).expect("a sound log");
        assert_eq!(state.image.topics["a.b"].overrides["retention.ms"], "5");
        let state = fold(&[topic(), set(Some("5")), set(None)]).expect("a sound log");
        assert!(state.image.topics["a.b"].overrides.is_empty());
    }

    #[test]
    fn a_changed_broker_changes_what_topics_inherit() {
        let set = |resource: Resource, value: Option<&str>| MetadataRecord::ResourceConfig {
            resource,
            name: "log.retention.ms".into(),
            value: value.map(str::to_owned),
        };
        let (all, own) = (Resource::AllBrokers, Resource::Broker(ServerId(1)));
        let retention = |records: &[MetadataRecord]| {
            let state = fold(records).expect("a sound log");
            let image = &state.image;
            let same = Arc::ptr_eq(&image.topics["a.b"], &image.topics_by_id[&ID]);
            assert!(same, "both maps hold the same topic");
            (image.topics["a.b"].settings.retention_ms, image.configs.len())
        };
        let week = 7 * 24 * 3_600_000;
        assert_eq!(retention(&[set(all.clone(), Some("5")), topic()]), (Some(5), 1));
        assert_eq!(retention(&[topic(), set(all.clone(), Some("5"))]), (Some(5), 1));
        let both = [topic(), set(own.clone(), Some("6")), set(all.clone(), Some("5"))];
        assert_eq!(retention(&both), (Some(6), 2));
        assert_eq!(retention(&[topic(), set(all.clone(), Some("5")), set(all, None)]), (Some(week), 0));
        assert_eq!(retention(&[topic(), set(Resource::Broker(ServerId(2)), Some("5"))]), (Some(week), 1));
        assert!(matches!(fold(&[set(own, Some("x"))]), Err(MetadataRecordError::Configs { .. })));
    }

    #[test]
    fn records_that_do_not_fit_are_refused() {
        let unknown = MetadataRecordError::UnknownTopic(ID);
        let exists = MetadataRecordError::TopicExists { name: "a.b".into(), id: ID };
        let gap = |first, count, existing| MetadataRecordError::PartitionRun { first, count, existing };
        for (records, want) in [
            (vec![run(0, 1, 0)], unknown.clone()),
            (vec![MetadataRecord::RemoveTopic { topic: ID }], unknown),
            (vec![topic(), topic()], exists),
            (vec![topic(), run(1, 1, 0)], gap(1, 1, 0)),
            (vec![topic(), run(0, -1, 0)], gap(0, -1, 0)),
            (vec![topic(), run(-1, 1, 0)], gap(-1, 1, 0)),
            (vec![topic(), run(0, i32::MAX, 0)], gap(0, i32::MAX, 0)),
        ] {
            assert_eq!(fold(&records).err(), Some(want));
        }
    }
}
