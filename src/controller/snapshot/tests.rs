//! A state survives being written out, whole and in pieces.

use std::collections::BTreeMap;

use crate::base::rng::Rng;
use crate::base::{
    BrokerEpoch, DirectoryId, Home, IncarnationId, LeaderEpoch, PartitionEpoch, ProducerId, ServerId,
    TopicId, VoterId,
};

use super::super::image::{MIN_ISR, PartitionState, Resource, ServerImage, Voter};
use super::super::own::ControllerConfig;
use super::super::record::{
    Counters, MetadataRecord, MetadataRecordError, PartitionChangesRecord, PartitionStatesRecord,
    PartitionsRecord, ProducerIdsRecord, ServerStateRecord, TopicRecord,
};
use super::super::state::State;
use super::*;
use crate::base::PartitionIndex;
use crate::config::Config;

impl State {
    /// Records whose fold is this state, but for its version.
    fn records(&self) -> Vec<MetadataRecord> {
        let mut records = Vec::new();
        let mut cursor = write::Cursor::default();
        while let Some(next) = cursor.next(self) {
            records.extend(next);
        }
        records
    }
}

/// The log that led to `state` is gone: only its records are folded.
fn folded(records: &[MetadataRecord]) -> State {
    let mut state = State::new("cluster".into());
    for (offset, record) in (0..).zip(records) {
        let record = MetadataRecord::decode(&record.encode()).expect("a record that was encoded");
        state.apply(&record, offset).expect("a record of a snapshot");
    }
    state
}

fn check(state: &State) {
    let mut again = folded(&state.records());
    std::sync::Arc::make_mut(&mut again.cluster).version = state.cluster.version;
    assert_eq!(format!("{again:?}"), format!("{state:?}"));
    assert_eq!(again.records(), state.records());
    check_pieces(state);
}

/// Reads records as a server does that gets a snapshot.
fn read<'a>(records: impl Iterator<Item = &'a Vec<u8>>, version: i64) -> Result<State, MetadataRecordError> {
    let mut reader = SnapshotReader::new(&ControllerConfig::new("cluster".into(), &Config::default()));
    for record in records {
        reader.push(record)?;
    }
    Ok(reader.finish(version)?.state)
}

fn check_pieces(state: &State) {
    for bytes in [1, 300, 1 << 20] {
        let mut writer = SnapshotWriter::new(state.clone());
        let mut records = Vec::new();
        while let Some(piece) = writer.next_piece(bytes) {
            records.extend(piece);
        }
        let again = read(records.iter(), state.cluster.version);
        assert_eq!(format!("{again:?}"), format!("{:?}", Ok::<_, MetadataRecordError>(state)));
        let damaged = |records: &[Vec<u8>]| read(records.iter(), 0).is_err();
        assert!(damaged(&records[..records.len() - 1]), "without its last record");
        assert!(damaged(&[&records[1..], &records[..0]].concat()), "without its first");
        assert!(
            damaged(&[&records[..], &records[records.len() - 1..]].concat()),
            "with a record behind the last"
        );
    }
}

#[test]
fn an_empty_state_survives_its_snapshot() {
    check(&State::new("cluster".into()));
}

#[test]
fn a_large_topic_takes_several_records_and_each_can_be_read() {
    let mut state = State::new("cluster".into());
    let topic = TopicRecord {
        id: TopicId([3; 16]),
        name: "large".into(),
        ordinal: 0,
        internal: false,
        overrides: BTreeMap::new(),
    };
    let run = PartitionsRecord {
        topic: topic.id,
        first: PartitionIndex(0),
        count: 2500,
        leader: ServerId(1),
        leader_epoch: LeaderEpoch(0),
        home: Some(Home(3)),
    };
    for (offset, record) in [MetadataRecord::Topic(topic), MetadataRecord::Partitions(run)].iter().enumerate()
    {
        state.apply(record, i64::try_from(offset).expect("small")).expect("fits");
    }
    assert_eq!(state.records().len(), 1 + 3 + 2);
    check(&state);
}

/// Any record that may follow; whether it fits is the fold's to say.
fn any_record(rng: &mut Rng, state: &State) -> MetadataRecord {
    let known: Vec<TopicId> = state.cluster.topics.values().map(|topic| topic.id).collect();
    let topic = known.get(usize::try_from(rng.below(8)).expect("small")).copied();
    let server = ServerId(number(rng, 4));
    match (rng.below(13), topic) {
        (0, Some(topic)) if rng.below(3) == 0 => MetadataRecord::RemoveTopic { topic },
        (1, Some(topic)) => {
            let value = (rng.below(2) == 0).then(|| "7".to_owned());
            MetadataRecord::Config { topic, name: config(rng.below(3)), value }
        }
        (2 | 3, Some(topic)) => MetadataRecord::Partitions(PartitionsRecord {
            topic,
            first: PartitionIndex(number(rng, 6)),
            count: number(rng, 4),
            leader: server,
            leader_epoch: LeaderEpoch(number(rng, 9)),
            home: (rng.below(2) == 0).then(|| state.next_home(server)),
        }),
        (4..7, Some(topic)) => MetadataRecord::PartitionStates(PartitionStatesRecord {
            topic,
            first: PartitionIndex(number(rng, 6)),
            partitions: (0..=rng.below(2)).map(|_| any_partition(rng)).collect(),
        }),
        (7, _) => MetadataRecord::ProducerIds(ProducerIdsRecord {
            end: ProducerId(i64::from(number(rng, 1000))),
            server: None,
        }),
        (8, _) => any_member(rng, server, state),
        (9, _) => MetadataRecord::Counters(Counters {
            next_ordinal: rng.below(20),
            next_server: server,
            next_homes: BTreeMap::from([(server, Home(u32::try_from(rng.below(99)).expect("small")))]),
        }),
        (10, _) => MetadataRecord::ResourceConfig {
            resource: Resource::Group("g".into()),
            name: format!("c{}", rng.below(3)),
            value: (rng.below(3) > 0).then(|| "y".to_owned()),
        },
        (11, Some(topic)) => match rng.below(3) {
            0 => MetadataRecord::ResourceConfig {
                resource: Resource::AllBrokers,
                name: MIN_ISR.to_owned(),
                value: (rng.below(3) > 0).then(|| (1 + number(rng, 3)).to_string()),
            },
            1 => MetadataRecord::PartitionChanges(PartitionChangesRecord {
                topic,
                changes: vec![(PartitionIndex(number(rng, 6)), any_partition(rng))],
            }),
            _ => MetadataRecord::Config {
                topic,
                name: MIN_ISR.to_owned(),
                value: (rng.below(3) > 0).then(|| (1 + number(rng, 3)).to_string()),
            },
        },
        _ => MetadataRecord::Topic(TopicRecord {
            id: TopicId(rng.uuid()),
            name: format!("t{}", rng.below(12)),
            ordinal: state.counters.next_ordinal + rng.below(2),
            internal: rng.below(5) == 0,
            overrides: (0..rng.below(3)).map(|it| (config(it), "5".to_owned())).collect(),
        }),
    }
}

fn config(which: u64) -> String {
    ["retention.ms", "segment.ms", "flush.ms"][usize::try_from(which).expect("one of three")].to_owned()
}

fn number(rng: &mut Rng, below: u64) -> i32 {
    i32::try_from(rng.below(below)).expect("small")
}

/// A server, the quorum or a feature.
fn any_member(rng: &mut Rng, server: ServerId, state: &State) -> MetadataRecord {
    let address = || (format!("host-{server}"), 9092);
    match rng.below(8) {
        5 => MetadataRecord::ServerId { id: server, directory: DirectoryId(rng.uuid()) },
        6 | 7 => MetadataRecord::ServerState(ServerStateRecord {
            id: server,
            broker_epoch: state.cluster.servers.get(&server).map_or(BrokerEpoch(1), |it| it.broker_epoch),
            fenced: rng.below(2) == 0,
            stopping: rng.below(2) == 0,
            sequence: rng.below(1 << 40),
        }),
        0 => MetadataRecord::Leader { epoch: number(rng, 9), server },
        1 => MetadataRecord::Voters(vec![Voter {
            server,
            voter: VoterId(rng.uuid()),
            host: "voter".into(),
            port: 9192,
        }]),
        2 => MetadataRecord::Feature { name: format!("f{}", rng.below(2)), level: 7 },
        3 if rng.below(8) == 0 => MetadataRecord::RemoveServer { id: server },
        _ => MetadataRecord::Server {
            id: server,
            server: ServerImage {
                broker_epoch: BrokerEpoch(if rng.below(2) == 0 { -1 } else { i64::from(number(rng, 99)) }),
                directory: DirectoryId(rng.uuid()),
                incarnation: IncarnationId(rng.uuid()),
                rack: (rng.below(2) == 0).then(|| "rack".to_owned()),
                client: address(),
                fenced: rng.below(2) == 0,
                stopping: rng.below(2) == 0,
                ..ServerImage::example("one")
            },
        },
    }
}

/// Sound more often than not.
fn any_partition(rng: &mut Rng) -> PartitionState {
    let replicas: Vec<ServerId> = (0..=number(rng, 8)).map(ServerId).collect();
    let some = |rng: &mut Rng| replicas.iter().copied().filter(|_| rng.below(2) == 0).collect::<Vec<_>>();
    let isr = some(rng);
    let elr = some(rng).into_iter().filter(|server| !isr.contains(server)).collect();
    PartitionState {
        leader: isr.first().copied().filter(|_| rng.below(4) > 0),
        leader_epoch: LeaderEpoch(number(rng, 60)),
        partition_epoch: PartitionEpoch(number(rng, 60)),
        unclean_epoch: (rng.below(2) == 0).then(|| LeaderEpoch(number(rng, 60))),
        last_known: some(rng),
        adding: some(rng),
        removing: some(rng),
        home: Home(u32::try_from(rng.below(3)).expect("small")),
        isr,
        elr,
        replicas,
    }
}

/// Whatever has happened, its snapshot says it, though the records that led there are gone.
#[test]
fn the_fold_of_a_states_records_is_the_state() {
    let (mut folds, mut refusals) = (0, 0);
    for seed in 0..200 {
        let (mut rng, mut state) = (Rng::seeded(seed), State::new("cluster".into()));
        for _ in 0..rng.below(150) {
            let record = any_record(&mut rng, &state);
            let before = format!("{state:?}");
            match state.apply(&record, state.cluster.version) {
                Ok(_) => folds += 1,
                Err(_) => {
                    refusals += 1;
                    assert_eq!(format!("{state:?}"), before, "a refused record changes nothing");
                }
            }
        }
        check(&state);
    }
    assert!(folds > 1000 && refusals > 100, "{folds} folds, {refusals} refusals");
}
