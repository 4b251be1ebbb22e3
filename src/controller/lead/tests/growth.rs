//! A cluster grows and shrinks: who keeps what, who leads, who votes.

use std::collections::{BTreeMap, BTreeSet};

use crate::base::{BrokerEpoch, PartitionIndex, ProducerId, ServerId};
use crate::controller::image::Resource;
use crate::controller::testing::topic;
use crate::controller::{
    ConfigChange, ConfigOp, ConfigResource, ControllerError, ControllerReply, ControllerRequest, Election,
    FactorChange, IsrOutcome, NewTopic, ProducerBlock, Reassignment, ResourceConfigs,
};

use super::*;

#[test]
fn a_cluster_of_one_keeps_everything_once_and_writes_runs() {
    let mut world = World::running(1);
    world.commits = false;
    world.create(topic("t", 500));
    let bytes: usize = world.tail.iter().flatten().map(Vec::len).sum();
    assert!(bytes < 500, "{bytes} bytes");
    world.commit(usize::MAX);
    assert_eq!((world.show("t", 499).as_str(), world.partition("t", 7).home().0), ("1@0 1 / - / -", 3 + 7));
}

#[test]
fn new_topics_get_up_to_three_replicas_and_even_leaders() {
    for (servers, factor) in [(2, 2), (3, 3), (5, 3)] {
        let mut world = World::running(servers);
        world.create(topic("t", 60));
        let (mut led, mut kept, mut homes) = (BTreeMap::new(), BTreeMap::new(), BTreeSet::new());
        for index in 0..60 {
            let partition = world.partition("t", index);
            assert_eq!((partition.replicas().len(), partition.isr().count()), (factor, factor));
            let leader = partition.leader().expect("led");
            assert_eq!(partition.replicas()[0], leader);
            assert!(homes.insert((leader, partition.home())), "each leader gives a home once");
            *led.entry(leader).or_insert(0) += 1;
            partition.replicas().iter().for_each(|server| *kept.entry(*server).or_insert(0) += 1);
        }
        let each = 60 / servers;
        assert!(led.values().all(|count| *count == each), "{led:?}");
        let spread = kept.values().max().expect("kept") - kept.values().min().expect("kept");
        assert!(spread <= 3, "{kept:?}");
    }
}

#[test]
fn replicas_stand_in_different_racks_and_fenced_servers_come_last() {
    let mut world = World::new(6);
    for server in 1..=6 {
        let rack = if server <= 3 { "a" } else { "b" };
        world.servers.get_mut(&server).expect("a server").rack = Some(rack.into());
        world.start(server);
    }
    world.kill(6);
    world.create(NewTopic { replication_factor: 2, ..topic("t", 40) });
    world.create(NewTopic { replication_factor: 6, ..topic("u", 1) });
    let is_a = |server: &ServerId| server.0 <= 3;
    for index in 0..40 {
        let replicas = world.partition("t", index).replicas().to_vec();
        assert_eq!(replicas.iter().filter(|server| is_a(server)).count(), 1, "{replicas:?}");
        assert!(!replicas.contains(&ServerId(6)));
    }
    let all = world.partition("u", 0);
    assert_eq!((all.replicas().len(), all.replicas()[5], all.isr().count()), (6, ServerId(6), 5));
}

#[test]
fn what_cannot_be_placed_is_refused_as_kafka_does() {
    let mut world = World::running(3);
    let refused = |world: &mut World, wanted: NewTopic| {
        let request = crate::controller::testing::create(vec![wanted]);
        let ControllerReply::CreateTopics(made) = world.ask(&request) else { panic!("a creation") };
        made[0].as_ref().expect_err("refused").to_string()
    };
    let factor = NewTopic { replication_factor: 4, ..topic("t", 1) };
    assert_eq!(
        refused(&mut world, factor),
        "Unable to replicate the partition 4 time(s): The target replication factor of 4 cannot be reached because \
         only 3 broker(s) are registered."
    );
    let assigned = |assignments: &[(i32, &[i32])]| crate::controller::testing::assigned("t", assignments);
    assert_eq!(
        refused(&mut world, assigned(&[(0, &[1000, 2000]), (1, &[3000])])),
        "The manual partition assignment includes a partition with 1 replica(s), but this is not consistent with \
         previous partitions, which have 2 replica(s)."
    );
    assert_eq!(
        refused(&mut world, assigned(&[(0, &[1000, 4000])])),
        "The manual partition assignment includes broker 4000, but no such broker is registered."
    );
    world.kill(2);
    assert_eq!(
        refused(&mut world, assigned(&[(0, &[1000]), (1, &[2001])])),
        "All brokers specified in the manual partition assignment for partition 1 are fenced or in controlled shutdown."
    );
}

#[test]
fn added_partitions_are_kept_as_often_as_those_before() {
    let mut world = World::running(3);
    world.create(NewTopic { replication_factor: 2, ..topic("t", 1) });
    let grow = |world: &mut World, count: i32, assignments: Option<Vec<Vec<i32>>>| {
        let topics = vec![crate::controller::NewPartitions { name: "t".into(), count, assignments }];
        let request = ControllerRequest::CreatePartitions { topics, validate_only: false };
        let ControllerReply::CreatePartitions(mut grown) = world.ask(&request) else { panic!("a growth") };
        grown.remove(0)
    };
    assert_eq!(grow(&mut world, 3, None), Ok(()));
    assert_eq!(world.partition("t", 2).replicas().len(), 2);
    let refused = grow(&mut world, 4, Some(vec![vec![1000]]));
    assert!(matches!(refused, Err(ControllerError::InvalidReplicaAssignment(_))));
    assert_eq!(grow(&mut world, 4, Some(vec![vec![3000, 2000]])), Ok(()));
    assert_eq!(world.show("t", 3), "3@0 3,2 / - / -");
}

#[test]
fn leaderships_return_half_a_minute_after_a_server_is_back() {
    let mut world = World::running(3);
    world.topic("t", &[&[2, 1, 3], &[1, 2, 3]]);
    world.restart(2);
    assert_eq!(world.isr("t", 0, &[1, 2, 3]), IsrOutcome::Decided);
    world.pass(20_000, &[1, 2, 3]);
    assert_eq!(world.show("t", 0), "1@1 2,1,3 / - / -");
    world.pass(15_000, &[1, 2, 3]);
    assert_eq!(world.show("t", 0), "2@2 2,1,3 / - / -");
}

fn config(world: &mut World, server: i32, name: &str, value: Option<&str>) {
    let op = if value.is_some() { ConfigOp::Set } else { ConfigOp::Delete };
    let change = ConfigChange::Edit(vec![(name.to_owned(), op, value.map(str::to_owned))]);
    let resource = ConfigResource::Other(Resource::Broker(ServerId(server)));
    let resources = vec![ResourceConfigs { resource, change }];
    let request = ControllerRequest::AlterConfigs { resources, validate_only: false };
    assert_eq!(world.ask(&request), ControllerReply::AlterConfigs(vec![Ok(())]));
}

#[test]
fn a_drained_server_leads_nothing_and_gets_nothing() {
    let mut world = World::running(3);
    world.topic("t", &[&[2, 1, 3], &[1, 2, 3]]);
    config(&mut world, 2, "ringmain.drain", Some("leaderships"));
    world.tick();
    assert_eq!(world.show("t", 0), "1@1 2,1,3 / - / -");
    config(&mut world, 2, "ringmain.drain", Some("replicas"));
    world.create(topic("u", 6));
    assert!((0..6).all(|index| world.partition("u", index).replicas().len() == 2));
    config(&mut world, 2, "ringmain.drain", None);
    world.pass(301_000, &[1, 2, 3]);
    assert_eq!(world.show("t", 0), "2@2 2,1,3 / - / -");
    world.beat_with(2, |beat| beat.slow_sync = true).expect("heard");
    world.tick();
    assert_eq!(world.show("t", 0), "1@3 2,1,3 / - / -", "its disk is slow");
}

#[test]
fn an_administrator_elects_leaders() {
    let mut world = World::running(3);
    world.topic("t", &[&[2, 1, 3], &[3, 2, 1], &[1, 2, 3]]);
    world.kill(3);
    let named =
        |indices: &[i32]| indices.iter().map(|it| ("t".to_owned(), PartitionIndex(*it))).collect::<Vec<_>>();
    let elect = |world: &mut World, election, partitions| {
        let reply = world.ask(&ControllerRequest::ElectLeaders { election, partitions });
        let ControllerReply::ElectLeaders(Ok(elected)) = reply else { panic!("elections") };
        elected.into_iter().map(|it| (it.partition.0, it.result)).collect::<Vec<_>>()
    };
    use ControllerError as E;
    let preferred = elect(&mut world, Election::Preferred, Some(named(&[0, 1, 9])));
    let wanted = [
        (0, Err(E::ElectionNotNeeded)),
        (1, Err(E::PreferredLeaderNotAvailable)),
        (9, Err(E::UnknownPartition)),
    ];
    assert_eq!(preferred, wanted);
    assert_eq!(world.isr("t", 2, &[1]), IsrOutcome::Decided);
    world.restart(3);
    assert_eq!(world.isr("t", 1, &[2, 3, 1]), IsrOutcome::Decided);
    assert_eq!(elect(&mut world, Election::Preferred, None), [(1, Ok(()))]);
    assert_eq!(world.show("t", 1), "3@2 3,2,1 / - / -");
    world.elect(2);
    [1, 3].into_iter().for_each(|server| world.lane(server));
    world.tick();
    assert_eq!(elect(&mut world, Election::Unclean, None), []);
    world.topic("u", &[&[1, 2]]);
    assert_eq!(world.isr("u", 0, &[1]), IsrOutcome::Decided);
    world.servers.get_mut(&1).expect("a server").damaged = crate::controller::Damage::Everything;
    world.recover(1);
    world.register(1).expect("registered");
    assert_eq!(world.show("u", 0), "nobody@1 - / - / 1");
    let request = |named: &str| Some(vec![(named.to_owned(), PartitionIndex(0))]);
    assert_eq!(elect(&mut world, Election::Unclean, request("t")), [(0, Err(E::ElectionNotNeeded))]);
    assert_eq!(elect(&mut world, Election::Unclean, None), [(0, Ok(()))]);
    assert_eq!(world.show("u", 0), "2@2 2 / - / -");
    assert_eq!(world.partition("u", 0).unclean_epoch(), Some(crate::base::LeaderEpoch(2)));
}

#[test]
fn a_reassignment_is_begun_watched_and_cancelled() {
    let mut world = World::running(4);
    world.topic("t", &[&[1, 2, 3], &[1, 2, 3]]);
    let ask = |world: &mut World, replicas: Option<&[i32]>, factor| {
        let replicas = replicas.map(|servers| servers.iter().map(|server| server * 1000).collect());
        let partitions = vec![Reassignment { topic: "t".into(), partition: PartitionIndex(0), replicas }];
        let ControllerReply::Reassign(mut results) =
            world.ask(&ControllerRequest::Reassign { partitions, factor })
        else {
            panic!("a reassignment")
        };
        results.remove(0)
    };
    let free = FactorChange::Allowed;
    assert_eq!(ask(&mut world, None, free), Err(ControllerError::NoReassignmentInProgress));
    let refused = ask(&mut world, Some(&[1, 2]), FactorChange::Refused);
    assert!(matches!(refused, Err(ControllerError::InvalidReplicationFactor(_))));
    assert!(matches!(
        ask(&mut world, Some(&[1, 9]), free),
        Err(ControllerError::InvalidReplicaAssignment(_))
    ));
    assert_eq!(ask(&mut world, Some(&[4, 2, 3]), free), Ok(()));
    let now = world.partition("t", 0);
    let moving = (now.adding().collect::<Vec<_>>(), now.removing().collect::<Vec<_>>());
    assert_eq!(moving, (vec![ServerId(4)], vec![ServerId(1)]));
    assert_eq!(ask(&mut world, None, free), Ok(()));
    assert_eq!(
        (world.show("t", 0).as_str(), world.partition("t", 0).replicas().len()),
        ("1@1 2,3,1 / - / -", 3)
    );
    assert_eq!(ask(&mut world, Some(&[4, 2, 3]), free), Ok(()));
    assert_eq!(world.isr("t", 0, &[1, 2, 3, 4]), IsrOutcome::Decided);
    assert_eq!(world.show("t", 0), "4@2 4,2,3 / - / -", "all targets are in sync: they are the partition");
}

#[test]
fn internal_topics_grow_with_the_cluster_one_partition_at_a_time() {
    let mut world = World::new(3);
    world.start(1);
    world.create(NewTopic { internal: true, ..topic("__consumer_offsets", 2) });
    world.create(topic("t", 1));
    world.start(2);
    world.start(3);
    world.pass(6000, &[1, 2, 3]);
    let kept = |world: &World| {
        [0, 1].map(|index| {
            let partition = world.partition("__consumer_offsets", index);
            (partition.replicas().len(), partition.adding().count(), partition.isr().count())
        })
    };
    assert_eq!(kept(&world), [(2, 1, 1), (1, 0, 1)], "one after the other");
    assert_eq!(world.isr("__consumer_offsets", 0, &[1, 2]), IsrOutcome::Decided);
    world.pass(6000, &[1, 2, 3]);
    assert_eq!(kept(&world), [(3, 1, 2), (1, 0, 1)]);
    assert_eq!(world.isr("__consumer_offsets", 0, &[1, 2, 3]), IsrOutcome::Decided);
    world.pass(6000, &[1, 2, 3]);
    assert_eq!(kept(&world), [(3, 0, 3), (3, 2, 1)]);
    assert_eq!(world.partition("t", 0).replicas().len(), 1, "other topics stay as they are");
}

#[test]
fn blocks_of_producer_ids_are_given_once() {
    let mut world = World::running(2);
    let block = |world: &mut World, server: i32, broker_epoch: BrokerEpoch| {
        let reply = world.ask(&ControllerRequest::ProducerIds { server: ServerId(server), broker_epoch });
        let ControllerReply::ProducerIds(block) = reply else { panic!("a block") };
        block
    };
    let of = |first: i64| Ok(ProducerBlock { first: ProducerId(first), end: ProducerId(first + 1000) });
    let (one, two) = (world.broker_epoch(1), world.broker_epoch(2));
    assert_eq!((block(&mut world, 1, one), block(&mut world, 2, two)), (of(0), of(1000)));
    assert_eq!(block(&mut world, 2, one), Err(ControllerError::StaleBrokerEpoch));
    assert_eq!(block(&mut world, 7, one), Err(ControllerError::UnknownServer));
    world.elect(2);
    assert_eq!(block(&mut world, 2, two), of(2000));
}

#[test]
fn a_server_is_removed_when_it_is_dead_and_empty() {
    let mut world = World::running(4);
    world.topic("t", &[&[3]]);
    let remove = |world: &mut World, server: i32| {
        let reply = world.ask(&ControllerRequest::RemoveServer { server: ServerId(server) });
        let ControllerReply::RemoveServer(removed) = reply else { panic!("a removal") };
        removed.map_err(|error| error.to_string())
    };
    assert_eq!(remove(&mut world, 9), Err("The given broker ID was not registered.".into()));
    assert!(remove(&mut world, 4).is_err_and(|why| why.contains("running")));
    [3, 4].into_iter().for_each(|server| world.kill(server));
    assert!(remove(&mut world, 3).is_err_and(|why| why.contains("replicas")));
    assert_eq!(remove(&mut world, 4), Ok(()));
    assert!(world.controller().image().server(ServerId(4)).is_none());
}
