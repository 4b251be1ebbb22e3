//! Whatever happens to a partition, in whatever order, leaves it sound.

use std::collections::BTreeSet;
use std::sync::Arc;

use proptest::prelude::*;

use crate::base::{Home, PartitionIndex, ServerId, TopicId, TopicPartition};

use super::*;

const SERVERS: i32 = 6;
const ID: TopicPartition = TopicPartition { topic: TopicId([9; 16]), partition: PartitionIndex(0) };

/// Something that happens.
#[derive(Clone, Debug)]
enum Event {
    /// A server is from now on like this.
    Server(i32, Kind),
    Registers(Vec<(i32, Loss, bool)>),
    Asked(BTreeSet<i32>),
    Preferred,
    Unclean,
    Target(Vec<i32>),
    Cancel,
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Live,
    Fenced,
    Silent,
    Stopping,
    Relieved,
}

fn any_loss() -> impl Strategy<Value = Loss> {
    prop_oneof![3 => Just(Loss::Nothing), 1 => Just(Loss::Some), 1 => Just(Loss::Everything)]
}

fn any_kind() -> impl Strategy<Value = Kind> {
    prop_oneof![
        3 => Just(Kind::Live),
        3 => Just(Kind::Fenced),
        1 => Just(Kind::Silent),
        1 => Just(Kind::Stopping),
        1 => Just(Kind::Relieved)
    ]
}

fn any_event() -> impl Strategy<Value = Event> {
    let server = || 1..=SERVERS;
    prop_oneof![
        6 => (server(), any_kind()).prop_map(|(server, kind)| Event::Server(server, kind)),
        2 => prop::collection::vec((server(), any_loss(), any::<bool>()), 1..4).prop_map(Event::Registers),
        5 => prop::collection::btree_set(server(), 1..5).prop_map(Event::Asked),
        1 => Just(Event::Preferred),
        1 => Just(Event::Unclean),
        2 => prop::collection::btree_set(server(), 1..5)
            .prop_map(|set| set.into_iter().collect::<Vec<_>>())
            .prop_shuffle()
            .prop_map(Event::Target),
        1 => Just(Event::Cancel),
    ]
}

struct World {
    partition: PartitionImage,
    members: Members,
    case: Case,
}

impl World {
    fn new(replicas: &[i32], case: Case) -> World {
        let replicas: Vec<ServerId> = replicas.iter().copied().map(ServerId).collect();
        let mut state = PartitionImage::single(replicas[0], LeaderEpoch(0), Home(1)).state();
        (state.isr, state.replicas) = (replicas.clone(), replicas);
        let partition = PartitionImage::new(&state).expect("sound");
        let mut members = Members::default();
        for server in 1..=SERVERS {
            members.set(ServerId(server), Member::LIVE);
        }
        World { partition, members, case }
    }

    fn happen(&mut self, event: &Event) {
        match event {
            Event::Server(server, kind) => {
                let member = match kind {
                    Kind::Live => Member::LIVE,
                    Kind::Fenced => Member::FENCED,
                    Kind::Silent => Member { reach: Reach::Silent, ..Member::LIVE },
                    Kind::Stopping => Member { stopping: true, ..Member::LIVE },
                    Kind::Relieved => Member { relieved: true, ..Member::LIVE },
                };
                self.members.set(ServerId(*server), member);
                self.settle(&Cause::Servers);
            }
            Event::Registers(anew) => {
                for (server, loss, clean) in anew {
                    let damaged = Arc::new(BTreeSet::new());
                    let incarnation = Incarnation { loss: *loss, damaged, clean: *clean };
                    self.members.set(ServerId(*server), Member { anew: Some(incarnation), ..Member::FENCED });
                }
                self.settle(&Cause::Servers);
                for (server, _, _) in anew {
                    self.members.set(ServerId(*server), Member::FENCED);
                }
            }
            Event::Asked(isr) => {
                let leader = self.partition.leader();
                let mut isr: Vec<ServerId> = isr.iter().copied().map(ServerId).collect();
                isr.retain(|server| self.partition.replicas().contains(server) && Some(*server) != leader);
                isr.extend(leader);
                if leader.is_some() {
                    self.settle(&Cause::IsrAsked(isr));
                }
            }
            Event::Preferred => self.settle(&Cause::Preferred),
            Event::Unclean => self.settle(&Cause::Unclean),
            Event::Target(target) => {
                let target: Vec<ServerId> = target.iter().copied().map(ServerId).collect();
                self.assign(&target);
            }
            Event::Cancel => self.assign(&self.originals()),
        }
    }

    fn originals(&self) -> Vec<ServerId> {
        let adding: Vec<ServerId> = self.partition.adding().collect();
        self.partition.replicas().iter().copied().filter(|server| !adding.contains(server)).collect()
    }

    fn assign(&mut self, target: &[ServerId]) {
        let originals = self.originals();
        let adding = target.iter().copied().filter(|server| !originals.contains(server)).collect();
        let removing: Vec<ServerId> =
            originals.into_iter().filter(|server| !target.contains(server)).collect();
        let replicas = target.iter().chain(&removing).copied().collect();
        self.settle(&Cause::Assignment { replicas, adding, removing });
    }

    fn settle(&mut self, cause: &Cause) {
        let Some(next) = settle(&self.partition, cause, &self.members, &self.case) else { return };
        let next = PartitionImage::new(&next).expect("sound");
        self.partition.check_next(&next).expect("epochs rise, and the home stays");
        assert!(next.partition_epoch() > self.partition.partition_epoch(), "every change is counted");
        if next.leader() != self.partition.leader() {
            assert!(next.leader_epoch() > self.partition.leader_epoch(), "another leader, another epoch");
        }
        self.partition = next;
    }

    /// Invariant 14, and that nobody leads who may not.
    fn check(&self) {
        let partition = &self.partition;
        let isr: Vec<ServerId> = partition.isr().collect();
        let elr: Vec<ServerId> = partition.elr().collect();
        let is_sole = partition.replicas().len() == 1;
        assert!(isr.iter().chain(&elr).all(|server| partition.replicas().contains(server)));
        assert!(isr.iter().all(|server| !elr.contains(server)));
        let enough = self.case.min_isr.of(partition.replication());
        assert!(isr.len() < enough || elr.is_empty() && partition.last_known().next().is_none());
        assert!(is_sole || isr.iter().all(|server| !self.members.of(*server).fenced), "fenced in no ISR");
        assert_eq!(partition.leader().is_none(), isr.is_empty());
        let mut moving = partition.adding().chain(partition.removing());
        assert!(moving.all(|server| partition.replicas().contains(&server)));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]
    #[test]
    fn a_partition_stays_sound(
        replicas in prop::collection::btree_set(1..=SERVERS, 1..4),
        min in prop::option::of(1u32..4),
        from_memory: bool,
        unclean: bool,
        events in prop::collection::vec(any_event(), 1..40),
    ) {
        let replicas: Vec<i32> = replicas.into_iter().collect();
        let case = Case { partition: ID, min_isr: MinIsr(min), from_memory, unclean };
        let mut world = World::new(&replicas, case);
        for event in &events {
            world.happen(event);
            world.check();
        }
    }
}
