//! State as a fold of metadata records.
//!
//! One fold serves start-up, commit and decisions not yet durable, so that none of them can disagree. Only the cluster is
//! folded: [`Fold`] keeps beside it what the cluster's state means on this server.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use crate::base::{BrokerEpoch, Home, PartitionIndex, ProducerId, ServerId, TopicId};
use crate::config::Config;

use super::change::{Change, PartitionRun};
use super::image::{
    ClusterImage, Here, MetadataImage, PartitionFault, PartitionImage, QuorumImage, Resource, ServerImage,
    TopicImage,
};
use super::names;
use super::own::ControllerConfig;
use super::record::{
    Counters, MetadataRecord, MetadataRecordError, PartitionStatesRecord, PartitionsRecord, TopicRecord,
};

/// Most partitions of one topic that a record may bring about: above every configurable limit, small enough that no
/// bytes on disk make the process allocate without bound.
const TOPIC_PARTITIONS_BOUND: usize = 1 << 20;

/// The cluster after some prefix of the metadata log.
#[derive(Clone, Debug)]
pub(super) struct State {
    /// The part that everybody sees. Copied on change only while somebody else still holds it.
    pub cluster: Arc<ClusterImage>,
    pub counters: Counters,
    /// All producer ids below may have been handed out.
    pub producer_ids_end: ProducerId,
    /// Partitions of all topics.
    pub partitions: usize,
    /// Collision key → the name that holds it.
    collisions: BTreeMap<String, Arc<str>>,
}

/// A fold, and what it means on this server.
#[derive(Clone, Debug)]
pub(super) struct Fold {
    pub state: State,
    pub here: Arc<Here>,
    /// This server's settings as read at its start.
    settings: Arc<Config>,
}

impl Fold {
    pub fn new(config: &ControllerConfig) -> Fold {
        Fold {
            state: State::new(config.cluster_id.clone()),
            here: Arc::new(Here::new(config.server, config.shards, &config.settings)),
            settings: Arc::clone(&config.settings),
        }
    }

    /// Folds the record at `offset` of the metadata log.
    ///
    /// # Errors
    /// When the record does not fit the state, or this server's settings.
    pub fn apply(&mut self, record: &MetadataRecord, offset: i64) -> Result<Change, MetadataRecordError> {
        let change = self.state.apply(record, offset)?;
        Arc::make_mut(&mut self.here).follow(&self.state.cluster, &change, &self.settings)?;
        Ok(change)
    }

    pub fn image(&self) -> MetadataImage {
        MetadataImage { cluster: Arc::clone(&self.state.cluster), here: Arc::clone(&self.here) }
    }
}

impl State {
    pub fn new(cluster_id: String) -> State {
        State {
            cluster: Arc::new(ClusterImage { cluster_id, ..ClusterImage::default() }),
            counters: Counters::default(),
            producer_ids_end: ProducerId(0),
            partitions: 0,
            collisions: BTreeMap::new(),
        }
    }

    /// The existing topic whose name differs from `name` only in '.' and '_'.
    pub fn colliding(&self, name: &str) -> Option<&Arc<str>> {
        self.collisions.get(&names::collision_key(name))
    }

    /// The home of the next partition that `leader` leads first.
    pub fn next_home(&self, leader: ServerId) -> Home {
        self.counters.next_homes.get(&leader).copied().unwrap_or(Home::first_of(leader))
    }

    /// Folds the record at `offset` of the metadata log.
    ///
    /// # Errors
    /// When the record does not fit the state; the state is then unchanged.
    pub fn apply(&mut self, record: &MetadataRecord, offset: i64) -> Result<Change, MetadataRecordError> {
        assert!(offset >= self.cluster.version, "records are folded once, in the order of the log");
        let change = match record {
            MetadataRecord::Topic(topic) => self.add_topic(topic)?,
            MetadataRecord::RemoveTopic { topic } => self.remove_topic(*topic)?,
            MetadataRecord::Partitions(run) => self.set_partitions(run)?,
            MetadataRecord::PartitionStates(run) => self.set_states(run)?,
            MetadataRecord::Config { topic, name, value } => {
                self.set_config(*topic, name, value.as_deref())?
            }
            MetadataRecord::ResourceConfig { resource, name, value } => {
                self.set_resource_config(resource, name, value.as_deref())
            }
            MetadataRecord::ProducerIds { end } => {
                self.producer_ids_end = self.producer_ids_end.max(*end);
                Change::Counters
            }
            MetadataRecord::Counters(counters) => self.raise_counters(counters),
            MetadataRecord::Leader { epoch, server } => self.set_leader(*epoch, *server)?,
            MetadataRecord::Voters(voters) => self.set_quorum(|quorum| quorum.voters.clone_from(voters)),
            MetadataRecord::Feature { name, level } => {
                self.cluster_mut().features.insert(name.clone(), *level);
                Change::Servers
            }
            MetadataRecord::Server { id, server } => self.set_server(*id, server, offset)?,
            MetadataRecord::RemoveServer { id } => {
                self.cluster_mut().servers.remove(id);
                Change::Servers
            }
        };
        self.cluster_mut().version = offset + 1;
        Ok(change)
    }

    fn cluster_mut(&mut self) -> &mut ClusterImage {
        Arc::make_mut(&mut self.cluster)
    }

    fn add_topic(&mut self, record: &TopicRecord) -> Result<Change, MetadataRecordError> {
        if self.cluster.topic(&record.name).is_some() || self.cluster.topic_by_id(record.id).is_some() {
            return Err(MetadataRecordError::TopicExists { name: record.name.clone(), id: record.id });
        }
        let name: Arc<str> = record.name.as_str().into();
        self.collisions.insert(names::collision_key(&name), Arc::clone(&name));
        self.counters.next_ordinal = self.counters.next_ordinal.max(record.ordinal.saturating_add(1));
        self.cluster_mut().topics.add(TopicImage {
            id: record.id,
            name,
            ordinal: record.ordinal,
            partitions: Vec::new(),
            overrides: record.overrides.clone(),
            internal: record.internal,
        });
        Ok(Change::TopicAdded(record.id))
    }

    fn remove_topic(&mut self, id: TopicId) -> Result<Change, MetadataRecordError> {
        let topic = self.cluster_mut().topics.remove(id).ok_or(MetadataRecordError::UnknownTopic(id))?;
        self.collisions.remove(&names::collision_key(&topic.name));
        self.partitions -= topic.partitions.len();
        Ok(Change::TopicRemoved(id))
    }

    fn set_partitions(&mut self, run: &PartitionsRecord) -> Result<Change, MetadataRecordError> {
        let topic = self.topic(run.topic)?;
        let refused = || MetadataRecordError::PartitionRun {
            first: run.first.0,
            count: run.count,
            existing: topic.partitions.len(),
        };
        let count = usize::try_from(run.count).map_err(|_| refused())?;
        let range = fitting(topic, run.first, count).ok_or_else(refused)?;
        let homes_end = run.home.map(|home| homes_end(home, count).ok_or_else(refused)).transpose()?;
        let ordinal = topic.ordinal;
        let placed = range.clone().zip(0..).map(|(index, nth)| {
            let partition = PartitionIndex(i32::try_from(index).expect("below the bound of partitions"));
            let home = run.home.map_or(Home::unsaid(ordinal, partition), |first| Home(first.0 + nth));
            match topic.partitions.get(index) {
                Some(now) => now.led_anew(run.leader, run.leader_epoch),
                None => PartitionImage::single(run.leader, run.leader_epoch, home),
            }
        });
        let change = self.put(run.topic, range, placed.collect())?;
        if let Some(end) = homes_end {
            let next = self.next_home(run.leader).max(end);
            self.counters.next_homes.insert(run.leader, next);
        }
        Ok(change)
    }

    fn set_states(&mut self, run: &PartitionStatesRecord) -> Result<Change, MetadataRecordError> {
        let topic = self.topic(run.topic)?;
        let count = run.partitions.len();
        let range = fitting(topic, run.first, count).ok_or_else(|| MetadataRecordError::PartitionRun {
            first: run.first.0,
            count: i32::try_from(count).unwrap_or(i32::MAX),
            existing: topic.partitions.len(),
        })?;
        let states = run.partitions.iter().zip(range.clone()).map(|(state, index)| {
            PartitionImage::new(state).map_err(|fault| cannot_be(run.topic, index, fault))
        });
        let states = states.collect::<Result<Vec<_>, _>>()?;
        self.put(run.topic, range, states)
    }

    /// Sets partitions of a topic, which are there already or follow those that are. The only place where a partition's state
    /// changes.
    fn put(
        &mut self,
        id: TopicId,
        range: Range<usize>,
        states: Vec<PartitionImage>,
    ) -> Result<Change, MetadataRecordError> {
        let existing = &self.topic(id)?.partitions;
        let before = existing.len();
        assert!(range.start <= before && range.len() == states.len(), "partitions have no gaps");
        for (index, next) in range.clone().zip(&states) {
            let fits = existing.get(index).map_or(Ok(()), |now| now.check_next(next));
            fits.map_err(|fault| cannot_be(id, index, fault))?;
        }
        let topic = self.cluster_mut().topics.change(id).ok_or(MetadataRecordError::UnknownTopic(id))?;
        let known = range.end.min(before);
        topic.partitions.splice(range.start..known, states);
        let after = topic.partitions.len();
        assert_eq!(after, before.max(range.end), "partitions are replaced or added, never lost");
        self.partitions += after - before;
        Ok(Change::Partitions(PartitionRun { topic: id, partitions: range }))
    }

    fn set_config(
        &mut self,
        id: TopicId,
        name: &str,
        value: Option<&str>,
    ) -> Result<Change, MetadataRecordError> {
        let topic = self.cluster_mut().topics.change(id).ok_or(MetadataRecordError::UnknownTopic(id))?;
        match value {
            Some(value) => topic.overrides.insert(name.to_owned(), value.to_owned()),
            None => topic.overrides.remove(name),
        };
        Ok(Change::TopicConfigs(id))
    }

    fn set_resource_config(&mut self, resource: &Resource, name: &str, value: Option<&str>) -> Change {
        let mut configs = self.cluster.configs(resource).map(|found| (**found).clone()).unwrap_or_default();
        match value {
            Some(value) => drop(configs.insert(name.to_owned(), value.to_owned())),
            None => drop(configs.remove(name)),
        }
        self.cluster_mut().set_configs(resource, configs);
        Change::Configs(resource.clone())
    }

    fn raise_counters(&mut self, stated: &Counters) -> Change {
        let counters = &mut self.counters;
        counters.next_ordinal = counters.next_ordinal.max(stated.next_ordinal);
        counters.next_server = counters.next_server.max(stated.next_server);
        for (server, stated) in &stated.next_homes {
            let next = counters.next_homes.entry(*server).or_insert(*stated);
            *next = (*next).max(*stated);
        }
        Change::Counters
    }

    fn set_leader(&mut self, epoch: i32, server: ServerId) -> Result<Change, MetadataRecordError> {
        if epoch < self.cluster.quorum.epoch {
            return Err(MetadataRecordError::EpochFell { what: "the metadata log".to_owned() });
        }
        Ok(self.set_quorum(|quorum| (quorum.epoch, quorum.leader) = (epoch, Some(server))))
    }

    fn set_quorum(&mut self, set: impl FnOnce(&mut QuorumImage)) -> Change {
        set(&mut self.cluster_mut().quorum);
        Change::Servers
    }

    fn set_server(
        &mut self,
        id: ServerId,
        server: &ServerImage,
        offset: i64,
    ) -> Result<Change, MetadataRecordError> {
        if server.shards == 0 {
            return Err(MetadataRecordError::NoShards(id));
        }
        let stated = Some(server.broker_epoch).filter(|epoch| *epoch != BrokerEpoch::OWN_OFFSET);
        let broker_epoch = stated.unwrap_or(BrokerEpoch(offset));
        let before = self.cluster.servers.get(&id).map(|server| server.broker_epoch);
        if before.is_some_and(|before| broker_epoch < before) {
            return Err(MetadataRecordError::EpochFell { what: format!("server {id}") });
        }
        self.counters.next_server = self.counters.next_server.max(ServerId(id.0.saturating_add(1)));
        let server = ServerImage { broker_epoch, ..server.clone() };
        self.cluster_mut().servers.insert(id, Arc::new(server));
        Ok(Change::Servers)
    }

    fn topic(&self, id: TopicId) -> Result<&Arc<TopicImage>, MetadataRecordError> {
        self.cluster.topic_by_id(id).ok_or(MetadataRecordError::UnknownTopic(id))
    }
}

/// Which partitions a run sets; `None` when it leaves a gap or there would be too many.
fn fitting(topic: &TopicImage, first: PartitionIndex, count: usize) -> Option<Range<usize>> {
    let first = usize::try_from(first.0).ok()?;
    let end = first.saturating_add(count);
    (first <= topic.partitions.len() && end <= TOPIC_PARTITIONS_BOUND).then_some(first..end)
}

/// The home that follows those of a run.
fn homes_end(first: Home, count: usize) -> Option<Home> {
    first.0.checked_add(u32::try_from(count).ok()?).map(Home)
}

fn cannot_be(topic: TopicId, index: usize, fault: PartitionFault) -> MetadataRecordError {
    MetadataRecordError::Partition { topic, index, fault }
}

#[cfg(test)]
mod tests {
    use crate::base::{DirectoryId, IncarnationId, LeaderEpoch};

    use super::*;

    const ID: TopicId = TopicId([7; 16]);

    fn topic() -> MetadataRecord {
        let (name, overrides) = ("a.b".to_owned(), BTreeMap::new());
        MetadataRecord::Topic(TopicRecord { id: ID, name, ordinal: 4, internal: false, overrides })
    }

    /// As versions wrote it that knew no homes.
    fn run(first: i32, count: i32, epoch: i32) -> MetadataRecord {
        homed(first, count, epoch, None)
    }

    fn homed(first: i32, count: i32, epoch: i32, home: Option<u32>) -> MetadataRecord {
        MetadataRecord::Partitions(PartitionsRecord {
            topic: ID,
            first: PartitionIndex(first),
            count,
            leader: ServerId(1),
            leader_epoch: LeaderEpoch(epoch),
            home: home.map(Home),
        })
    }

    fn fold_here(records: &[MetadataRecord]) -> Result<Fold, MetadataRecordError> {
        let mut fold = Fold::new(&ControllerConfig::new("cluster".into(), &Config::default()));
        (0..).zip(records).try_for_each(|(offset, record)| fold.apply(record, offset).map(drop))?;
        Ok(fold)
    }

    fn fold(records: &[MetadataRecord]) -> Result<State, MetadataRecordError> {
        fold_here(records).map(|fold| fold.state)
    }

    #[test]
    fn runs_extend_and_replace_partitions() {
        let state = fold(&[topic(), run(0, 3, 0), run(1, 1, 5), run(3, 1, 0)]).expect("a sound log");
        let topic = state.cluster.topic("a.b").expect("created");
        let epochs: Vec<i32> = topic.partitions.iter().map(|it| it.leader_epoch().0).collect();
        assert_eq!(epochs, [0, 5, 0, 0]);
        let changes: Vec<i32> = topic.partitions.iter().map(|it| it.partition_epoch().0).collect();
        assert_eq!(changes, [0, 1, 0, 0]);
        assert_eq!((state.partitions, state.counters.next_ordinal), (4, 5));
        assert_eq!(state.colliding("a_b").map(|name| &**name), Some("a.b"));
    }

    #[test]
    fn removal_leaves_nothing_but_the_ordinal() {
        let state =
            fold(&[topic(), run(0, 3, 0), MetadataRecord::RemoveTopic { topic: ID }]).expect("a sound log");
        assert!(state.cluster.topics.is_empty() && state.cluster.topic_by_id(ID).is_none());
        let ordinal = state.counters.next_ordinal;
        assert_eq!((state.partitions, ordinal, state.colliding("a_b")), (0, 5, None));
    }

    #[test]
    fn configs_are_set_and_removed() {
        let set = |value: Option<&str>| MetadataRecord::Config {
            topic: ID,
            name: "retention.ms".into(),
            value: value.map(str::to_owned),
        };
        let state = fold(&[topic(), set(Some("5"))]).expect("a sound log");
        assert_eq!(state.cluster.topics["a.b"].overrides["retention.ms"], "5");
        let state = fold(&[topic(), set(Some("5")), set(None)]).expect("a sound log");
        assert!(state.cluster.topics["a.b"].overrides.is_empty());
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
            let image = fold_here(records).expect("a sound log").image();
            (image.settings(&image.topics["a.b"]).retention_ms, image.configs.len())
        };
        let week = 7 * 24 * 3_600_000;
        assert_eq!(retention(&[set(all.clone(), Some("5")), topic()]), (Some(5), 1));
        assert_eq!(retention(&[topic(), set(all.clone(), Some("5"))]), (Some(5), 1));
        let both = [topic(), set(own.clone(), Some("6")), set(all.clone(), Some("5"))];
        assert_eq!(retention(&both), (Some(6), 2));
        assert_eq!(retention(&[topic(), set(all.clone(), Some("5")), set(all, None)]), (Some(week), 0));
        assert_eq!(retention(&[topic(), set(Resource::Broker(ServerId(2)), Some("5"))]), (Some(week), 1));
        assert!(matches!(fold_here(&[set(own, Some("x"))]), Err(MetadataRecordError::Configs { .. })));
    }

    fn homes(state: &State) -> Vec<u32> {
        state.cluster.topics["a.b"].partitions.iter().map(|partition| partition.home().0).collect()
    }

    #[test]
    fn partitions_of_old_records_stay_where_they_were() {
        let state = fold(&[topic(), run(0, 3, 0), run(3, 2, 0)]).expect("a sound log");
        assert_eq!(homes(&state), [4, 5, 6, 7, 8], "the topic's ordinal, and the index");
        assert_eq!(state.next_home(ServerId(1)), Home(3), "they came of no counter");
    }

    #[test]
    fn homes_are_counted_per_server_and_never_fall() {
        let records = [topic(), run(0, 1, 0), homed(1, 3, 0, Some(3)), homed(2, 1, 4, Some(40))];
        let state = fold(&records).expect("a sound log");
        assert_eq!(homes(&state), [4, 3, 4, 5], "a home is given once");
        assert_eq!(state.next_home(ServerId(1)), Home(41));
        assert_eq!(state.next_home(ServerId(7)), Home(21), "begins at three times the server's id");
        let lower = Counters { next_homes: BTreeMap::from([(ServerId(1), Home(9))]), ..Counters::default() };
        let state = fold(&[topic(), homed(0, 1, 0, Some(40)), MetadataRecord::Counters(lower)]);
        assert_eq!(state.expect("a sound log").next_home(ServerId(1)), Home(41));
    }

    #[test]
    fn a_change_copies_one_topic_and_leaves_who_holds_the_old_image_alone() {
        let other = MetadataRecord::Topic(TopicRecord {
            id: TopicId([8; 16]),
            name: "other".into(),
            ordinal: 5,
            internal: false,
            overrides: BTreeMap::new(),
        });
        let mut state = fold(&[topic(), run(0, 2, 0), other]).expect("a sound log");
        let before = Arc::clone(&state.cluster);
        let change = state.apply(&run(1, 1, 3), 9).expect("fits");
        assert_eq!(change, Change::Partitions(PartitionRun { topic: ID, partitions: 1..2 }));
        let epoch = |image: &ClusterImage| image.topics["a.b"].partitions[1].leader_epoch().0;
        assert_eq!((epoch(&before), epoch(&state.cluster)), (0, 3));
        assert!(Arc::ptr_eq(&before.topics["other"], &state.cluster.topics["other"]));
        let (copied, at) = (Arc::as_ptr(&state.cluster.topics["a.b"]), Arc::as_ptr(&state.cluster));
        state.apply(&run(0, 1, 4), 10).expect("fits");
        assert_eq!(
            copied,
            Arc::as_ptr(&state.cluster.topics["a.b"]),
            "the copy serves until it is published"
        );
        assert_eq!(at, Arc::as_ptr(&state.cluster));
    }

    fn server(broker_epoch: i64) -> MetadataRecord {
        let server = ServerImage {
            broker_epoch: BrokerEpoch(broker_epoch),
            directory: DirectoryId([1; 16]),
            incarnation: IncarnationId([2; 16]),
            shards: 3,
            rack: None,
            client: ("one".into(), 9092),
            cluster: ("one".into(), 9192),
            fenced: false,
            stopping: false,
        };
        MetadataRecord::Server { id: ServerId(4), server }
    }

    #[test]
    fn a_servers_epoch_is_its_records_offset_or_stated() {
        let epoch = |records: &[MetadataRecord]| {
            let state = fold(records).expect("a sound log");
            (state.cluster.servers[&ServerId(4)].broker_epoch.0, state.counters.next_server.0)
        };
        assert_eq!(epoch(&[topic(), server(-1)]), (1, 5));
        assert_eq!(epoch(&[server(700)]), (700, 5));
        let removed = fold(&[server(-1), MetadataRecord::RemoveServer { id: ServerId(4) }]);
        let removed = removed.expect("a sound log");
        assert_eq!((removed.cluster.servers.len(), removed.counters.next_server.0), (0, 5));
    }

    #[test]
    fn epochs_never_fall() {
        let leader = |epoch| MetadataRecord::Leader { epoch, server: ServerId(1) };
        let states = |epoch, isr: &[i32]| {
            let mut state = PartitionImage::single(ServerId(1), LeaderEpoch(epoch), Home(4)).state();
            state.isr = isr.iter().copied().map(ServerId).collect();
            let (topic, first) = (ID, PartitionIndex(0));
            MetadataRecord::PartitionStates(PartitionStatesRecord { topic, first, partitions: vec![state] })
        };
        let fault = |fault| Some(MetadataRecordError::Partition { topic: ID, index: 0, fault });
        assert_eq!(fold(&[topic(), run(0, 1, 5), run(0, 1, 4)]).err(), fault(PartitionFault::Fell));
        assert_eq!(fold(&[topic(), states(5, &[1]), states(4, &[1])]).err(), fault(PartitionFault::Fell));
        let stranger = fault(PartitionFault::LeaderNotInSync(ServerId(1)));
        assert_eq!(fold(&[topic(), states(5, &[])]).err(), stranger);
        let fell = |what: &str| Some(MetadataRecordError::EpochFell { what: what.into() });
        assert_eq!(fold(&[leader(2), leader(1)]).err(), fell("the metadata log"));
        assert_eq!(fold(&[server(9), server(8)]).err(), fell("server 4"));
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
            (vec![topic(), homed(0, 2, 0, Some(u32::MAX))], gap(0, 2, 0)),
        ] {
            assert_eq!(fold(&records).err(), Some(want));
        }
    }
}
