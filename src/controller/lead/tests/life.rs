//! Servers come, die, come back and stop.

use crate::base::{DirectoryId, LeaderEpoch, Offset, ServerId};
use crate::controller::{
    ConfigChange, ConfigResource, ControllerRequest, Damage, Dialled, HeartbeatError, IsrOutcome, Join,
    RegisterError, Replace, ResourceConfigs, Wants,
};

use super::*;

#[test]
fn a_server_registers_fenced_and_serves_once_it_has_flushed_that() {
    let mut world = World::new(2);
    world.start(1);
    world.join(2, Replace::No).expect("its id");
    world.register(2).expect("registered");
    assert!(world.is_fenced(2) && !world.is_fenced(1));
    let epoch = world.broker_epoch(2).0;
    let early = |world: &mut World, applied: i64, flushed: i64| {
        let answer =
            world.beat_with(2, |beat| (beat.applied, beat.flushed) = (Offset(applied), Offset(flushed)));
        answer.expect("heard").fenced
    };
    assert!(early(&mut world, epoch, epoch), "has not folded its registration");
    assert!(early(&mut world, epoch + 1, epoch), "would not find it after a crash");
    early(&mut world, epoch + 1, epoch + 1);
    assert!(!world.is_fenced(2));
    let stale = world.beat_with(2, |beat| beat.broker_epoch.0 -= 1);
    assert_eq!(stale, Err(HeartbeatError::StaleBrokerEpoch));
}

#[test]
fn a_registration_that_is_asked_again_is_the_same() {
    let mut world = World::new(1);
    world.start(1);
    let epoch = world.broker_epoch(1);
    world.register_again(1).expect("the same life");
    assert_eq!((world.broker_epoch(1), world.is_fenced(1)), (epoch, false));
    world.register(1).expect("another life");
    assert!(world.broker_epoch(1) > epoch && world.is_fenced(1));
}

#[test]
fn a_killed_server_is_fenced_at_once_and_leads_nothing() {
    let mut world = World::running(3);
    world.topic("t", &[&[1, 2, 3], &[2, 3, 1], &[3, 1, 2]]);
    world.close(2);
    assert_eq!((world.dial.as_slice(), world.is_fenced(2)), (&[2][..], false), "dialled first");
    world.dialled(2, Dialled::Refused);
    assert!(world.is_fenced(2));
    assert_eq!(world.show("t", 0), "1@0 1,3 / - / -");
    assert_eq!(world.show("t", 1), "3@1 1,3 / - / -".replace("1,3", "3,1"));
    world.restart(2);
    assert_eq!(
        (world.isr("t", 1, &[3, 1, 2]), world.show("t", 1)),
        (IsrOutcome::Decided, "3@1 2,3,1 / - / -".into())
    );
}

#[test]
fn a_silent_server_is_fenced_after_a_second_and_one_that_answers_after_its_session() {
    let mut world = World::running(3);
    world.close(2);
    world.close(3);
    let epoch = world.broker_epoch(3);
    world.dialled(3, Dialled::Answered(Some(epoch)));
    world.pass(900, &[1]);
    assert!(!world.is_fenced(2));
    world.pass(200, &[1]);
    assert_eq!((world.is_fenced(2), world.is_fenced(3)), (true, false));
    world.pass(7000, &[1]);
    assert!(!world.is_fenced(3));
    world.pass(2000, &[1]);
    assert!(world.is_fenced(3));
}

#[test]
fn when_most_are_out_of_reach_silence_alone_fences_nobody() {
    let mut world = World::running(5);
    for server in [3, 4, 5] {
        world.close(server);
    }
    world.pass(3000, &[1, 2]);
    assert!((3..=5).all(|server| !world.is_fenced(server)));
    world.dialled(4, Dialled::Refused);
    assert!(world.is_fenced(4), "nobody listens: that is no trouble of our own");
    world.lane(5);
    world.tick();
    assert_eq!((world.is_fenced(3), world.is_fenced(5)), (true, false), "most are in reach again");
}

#[test]
fn a_server_that_only_the_controller_does_not_hear_costs_an_epoch_and_is_back_when_heard() {
    let mut world = World::running(3);
    world.topic("t", &[&[2, 1, 3]]);
    world.pass(10_000, &[1, 3]);
    assert_eq!((world.show("t", 0).as_str(), world.is_fenced(2)), ("1@1 1,3 / - / -", true));
    assert!(world.beat(2).expect("the same life").fenced, "heard once more, and not let in yet");
    assert!(!world.beat(2).expect("the same life").fenced);
    assert_eq!(world.show("t", 0), "1@1 1,3 / - / -", "its leader asks for it");
}

#[test]
fn a_leader_that_is_back_at_once_costs_an_epoch() {
    let mut world = World::running(3);
    world.topic("t", &[&[2, 1, 3], &[1, 2, 3]]);
    world.restart(2);
    assert_eq!(world.show("t", 0), "1@1 1,3 / - / -");
    assert_eq!(world.show("t", 1), "1@0 1,3 / - / -");
}

#[test]
fn a_power_cut_of_all_needs_nobody_in_particular() {
    let mut world = World::running(3);
    world.topic("t", &[&[1, 2, 3]]);
    for first in [2, 3] {
        let mut world = World::running(3);
        world.topic("t", &[&[1, 2, 3]]);
        world.elect(first);
        world.restart(first);
        assert_eq!(world.show("t", 0), "1@0 1,2,3 / - / -", "gathers");
        world.pass(1100, &[first]);
        let others: Vec<i32> = (1..=3).filter(|server| *server != first).collect();
        world.pass(10_000, &[first]);
        assert!(others.iter().all(|server| world.is_fenced(*server)));
        assert!(world.show("t", 0).starts_with(&format!("{first}@2 {first} / ")), "{}", world.show("t", 0));
        world.restart(others[1]);
        assert_eq!(world.isr("t", 0, &[first, others[1]]), IsrOutcome::Decided);
    }
    world.pass(500, &[1, 2, 3]);
}

#[test]
fn what_was_decided_and_not_committed_is_forgotten() {
    let mut world = World::running(3);
    world.topic("t", &[&[1, 2, 3]]);
    world.commits = false;
    world.kill(2);
    world.create(crate::controller::testing::topic("lost", 1));
    assert!(!world.tail.is_empty());
    world.commits = true;
    world.elect(3);
    assert!(world.controller().image().topic("lost").is_none());
    world.lane(1);
    world.create(crate::controller::testing::topic("lost", 1));
    world.pass(1500, &[1, 3]);
    assert_eq!((world.is_fenced(2), world.show("t", 0).as_str()), (true, "1@0 1,3 / - / -"));
}

#[test]
fn whoever_is_not_controller_decides_nothing() {
    let mut world = World::running(2);
    let request = crate::controller::testing::create(vec![crate::controller::testing::topic("t", 1)]);
    world.tell(|controller, _, _| controller.depose());
    let crate::controller::ControllerReply::CreateTopics(refused) = world.ask(&request) else {
        panic!("a creation")
    };
    assert_eq!(refused, [Err(crate::controller::ControllerError::NotController)]);
    assert_eq!(world.register(2), Err(RegisterError::NotController));
    assert_eq!(world.beat(2), Err(HeartbeatError::NotController));
    let first = world.tell(|controller, _, _| controller.elected(LeaderEpoch(7)));
    assert!(!world.controller().is_active(), "its first record is not folded (Q5)");
    world.tail.push(vec![first]);
    world.commit(1);
    assert!(world.controller().is_active());
}

#[test]
fn ids_and_shards_that_cannot_be_are_refused() {
    let mut world = World::running(1);
    let ask = |world: &mut World, id: i32| {
        let join = Join { directory: DirectoryId([9; 16]), server: Some(ServerId(id)), replace: Replace::No };
        world.tell(|controller, _, out| controller.join(&join, out))
    };
    for id in [-1, 2_147_483, i32::MAX] {
        assert_eq!(ask(&mut world, id), Err(RegisterError::NoSuchId(ServerId(id))));
    }
    assert!(ask(&mut world, 2_147_482).is_ok());
    assert_eq!(world.join(1, Replace::No), Ok(ServerId(1)));
    for shards in [0, 1000] {
        world.servers.get_mut(&1).expect("a server").shards = shards;
        assert_eq!(world.register(1), Err(RegisterError::NoShards));
    }
}

#[test]
fn a_topic_that_allows_it_is_led_by_anybody_once_it_does() {
    let mut world = World::running(3);
    world.topic("t", &[&[2, 3]]);
    assert_eq!(world.isr("t", 0, &[2]), IsrOutcome::Decided);
    world.kill(2);
    assert_eq!(world.show("t", 0), "nobody@1 - / 2 / -");
    let change = ConfigChange::Replace(vec![("unclean.leader.election.enable".into(), Some("true".into()))]);
    let resources = vec![ResourceConfigs { resource: ConfigResource::Topic("t".into()), change }];
    world.ask(&ControllerRequest::AlterConfigs { resources, validate_only: false });
    world.pass(500, &[1, 3]);
    assert_eq!(world.show("t", 0), "3@2 3 / - / -");
    assert_eq!(world.partition("t", 0).unclean_epoch(), Some(LeaderEpoch(2)));
}

#[test]
fn a_stopping_server_hands_over_and_may_stop() {
    let mut world = World::running(3);
    world.topic("t", &[&[2, 1, 3]]);
    world.topic("u", &[&[2]]);
    let stop =
        |world: &mut World| world.beat_with(2, |beat| beat.wants = Wants::Stop).expect("heard").may_stop;
    world.commits = false;
    assert!(!stop(&mut world), "nothing is committed");
    world.commits = true;
    world.commit(usize::MAX);
    assert!(stop(&mut world));
    assert_eq!(
        (world.show("t", 0).as_str(), world.show("u", 0).as_str()),
        ("1@1 1,3 / - / -", "2@0 2 / - / -")
    );
    assert_eq!(world.isr("t", 0, &[1, 2, 3]), IsrOutcome::Ineligible);
    world.kill(2);
    assert_eq!(world.show("u", 0), "nobody@1 - / 2 / -");
    world.restart(2);
    assert_eq!(world.show("u", 0), "2@2 2 / - / -");
}

#[test]
fn a_server_with_another_disk_needs_leave_and_has_nothing() {
    let mut world = World::running(3);
    world.topic("t", &[&[2, 1, 3]]);
    world.topic("u", &[&[2, 3]]);
    world.kill(2);
    world.kill(3);
    world.servers.get_mut(&2).expect("a server").directory = DirectoryId([77; 16]);
    assert!(matches!(world.register(2), Err(RegisterError::OtherDirectory(_))));
    assert!(matches!(world.join(2, Replace::No), Err(RegisterError::OtherDirectory(_))));
    assert!(world.join(2, Replace::Lost).is_ok());
    world.restart(2);
    assert_eq!(world.show("t", 0), "1@1 1 / 3 / -", "of two that were killed, the other one is eligible");
    assert_eq!(world.show("u", 0), "nobody@2 - / 3 / -", "who was out already is out");
    world.restart(3);
    assert_eq!(world.show("u", 0), "3@3 3 / - / -");
}

#[test]
fn damage_makes_a_server_no_candidate() {
    let mut world = World::running(2);
    world.topic("t", &[&[2, 1], &[2, 1]]);
    assert_eq!(
        (world.isr("t", 0, &[2]), world.isr("t", 1, &[2])),
        (IsrOutcome::Decided, IsrOutcome::Decided)
    );
    let damaged = world.id("t", 0);
    world.servers.get_mut(&2).expect("a server").damaged = Damage::Partitions([damaged].into());
    world.restart(2);
    assert_eq!(
        (world.show("t", 0).as_str(), world.show("t", 1).as_str()),
        ("nobody@1 - / - / 2", "2@2 2 / - / -")
    );
}
