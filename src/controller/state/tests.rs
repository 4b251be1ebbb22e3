//! Records folded one after the other, and what becomes of the state.

use crate::base::{BrokerEpoch, LeaderEpoch, PartitionIndex, TopicId};

use super::*;
use crate::controller::change::PartitionRun;
use crate::controller::image::{PartitionFault, PartitionImage, ServerImage};
use crate::controller::record::{PartitionStatesRecord, PartitionsRecord};

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
    assert_eq!(copied, Arc::as_ptr(&state.cluster.topics["a.b"]), "the copy serves until it is published");
    assert_eq!(at, Arc::as_ptr(&state.cluster));
}

fn server(broker_epoch: i64) -> MetadataRecord {
    let server = ServerImage { broker_epoch: BrokerEpoch(broker_epoch), ..ServerImage::example("one") };
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
