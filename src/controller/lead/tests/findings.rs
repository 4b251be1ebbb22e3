//! What an attack on the design has found, one test each; a test that rests on a rule fails when the rule is off.

use std::process::Command;

use crate::base::{LeaderEpoch, Offset, PartitionIndex, Rule, ServerId};
use crate::controller::image::Resource;
use crate::controller::lead::tests::world::{RULE_OFF, show};
use crate::controller::{
    AlterIsr, ConfigChange, ConfigOp, ConfigResource, Controller, ControllerError, ControllerReply,
    ControllerRequest, FactorChange, IsrOutcome, Join, Reassignment, Replace, ResourceConfigs,
};

use super::*;

/// Rules, each with the test that notices when it is off.
const TESTS: &[(Rule, &str)] = &[
    (Rule::R7, "r7_a_request_on_another_state_is_refused"),
    (Rule::AskOrder, "the_asks_of_a_leader_are_taken_in_their_order"),
    (Rule::R8, "r8_a_new_incarnation_is_in_no_isr"),
    (Rule::R9, "r9_only_an_eligible_replica_leads_without_an_isr"),
    (Rule::EpochAtRestart, "a_leader_that_restarts_costs_an_epoch"),
    (Rule::Q5, "q5_nothing_is_decided_before_the_epochs_first_record_is_folded"),
    (Rule::D2, "d2_a_cancelled_reassignment_costs_an_epoch"),
    (Rule::D6, "d6_a_directory_that_was_set_back_is_no_candidate"),
    (Rule::D8, "d8_a_registration_that_is_cut_off_leaves_nobody_leading_in_its_old_epoch"),
    (Rule::D8, "d8_a_fencing_that_is_cut_off_leaves_no_dead_leader"),
    (Rule::D13, "d13_no_assignment_takes_the_only_members_away"),
    (Rule::U0, "u0_after_a_power_cut_a_member_that_has_everything_leads"),
    (Rule::U2, "u2_a_lower_minimum_leaves_who_is_eligible_where_nobody_goes_on"),
];

#[test]
fn each_rule_is_missed_when_it_is_off() {
    if std::env::var_os(RULE_OFF).is_some() {
        return;
    }
    let (_, module) = module_path!().split_once("::").expect("a module of this crate");
    let program = std::env::current_exe().expect("a test runs");
    let unnoticed = TESTS.iter().filter(|(rule, test)| {
        let mut command = Command::new(&program);
        let child =
            command.args(["--exact", &format!("{module}::{test}")]).env(RULE_OFF, rule.name()).output();
        let output = child.expect("the same program");
        let ran = String::from_utf8_lossy(&output.stdout).contains("running 1 test");
        !ran || output.status.success()
    });
    let unnoticed: Vec<_> = unnoticed.map(|(rule, test)| format!("{rule}: {test}")).collect();
    assert!(unnoticed.is_empty(), "not noticed: {}", unnoticed.join(", "));
}

#[test]
fn r7_a_request_on_another_state_is_refused() {
    let mut world = World::running(3);
    world.topic("t", &[&[1, 2, 3]]);
    world.restart(3);
    let early = world.isr_asked("t", 0, &[1, 2, 3]);
    world.restart(3);
    assert_eq!(world.ask_isr(&early), Ok(vec![IsrOutcome::Ineligible]), "another life of server 3");
    let stale = world.isr_asked("t", 0, &[1, 2, 3]);
    assert_eq!(world.isr("t", 0, &[1]), IsrOutcome::Decided);
    assert_eq!(world.ask_isr(&stale), Ok(vec![IsrOutcome::StaleEpoch]), "another partition epoch");
    assert_eq!(world.show("t", 0), "1@0 1 / 2 / -");
}

#[test]
fn d1_a_request_is_for_one_controller_and_is_asked_twice_without_harm() {
    let mut world = World::running(3);
    world.topic("t", &[&[1, 2, 3]]);
    world.restart(3);
    let asked = world.isr_asked("t", 0, &[1, 2, 3]);
    assert_eq!(world.ask_isr(&asked), Ok(vec![IsrOutcome::Decided]));
    let again = AlterIsr { partitions: world.isr_asked("t", 0, &[1, 2, 3]).partitions, ..asked.clone() };
    assert_eq!(world.ask_isr(&again), Ok(vec![IsrOutcome::SameAlready]));
    let mut other = world.isr_asked("t", 0, &[1, 2]);
    other.quorum_epoch = LeaderEpoch(99);
    assert_eq!(world.ask_isr(&other), Err(ControllerError::NotController));
}

#[test]
fn the_asks_of_a_leader_are_taken_in_their_order() {
    let mut world = World::running(3);
    world.topic("t", &[&[1, 2, 3]]);
    world.restart(3);
    world.isr("t", 0, &[1, 2]);
    let first = world.isr_asked("t", 0, &[1, 2, 3]);
    let copy = world.isr_asked("t", 0, &[1, 2, 3]);
    world.pass(20_000, &[1, 2]);
    assert!(world.is_fenced(3));
    assert_eq!(world.ask_isr(&copy), Ok(vec![IsrOutcome::Ineligible]), "server 3 is fenced");
    world.lane(3);
    world.beat(3).expect("the life that is registered");
    assert!(!world.is_fenced(3));
    assert_eq!(
        world.ask_isr(&first),
        Ok(vec![IsrOutcome::StaleEpoch]),
        "its leader takes the matter for settled"
    );
    assert_eq!(world.isr("t", 0, &[1, 2, 3]), IsrOutcome::Decided);
}

#[test]
fn r8_a_new_incarnation_is_in_no_isr() {
    let mut world = World::running(3);
    world.topic("t", &[&[1, 2, 3]]);
    world.restart(2);
    assert_eq!(world.show("t", 0), "1@0 1,3 / - / -");
}

#[test]
fn r9_only_an_eligible_replica_leads_without_an_isr() {
    let mut world = World::running(4);
    world.topic("t", &[&[2, 3, 4]]);
    for server in [4, 3, 2] {
        world.kill(server);
    }
    assert_eq!(world.show("t", 0), "nobody@1 - / 2,3 / -");
    world.restart(4);
    assert_eq!(world.show("t", 0), "nobody@1 - / 2,3 / -");
    world.restart(3);
    assert_eq!(world.show("t", 0), "3@2 3 / 2 / -");
}

#[test]
fn a_leader_that_restarts_costs_an_epoch() {
    let mut world = World::running(3);
    world.topic("t", &[&[2, 1]]);
    assert_eq!(world.isr("t", 0, &[2]), IsrOutcome::Decided);
    world.restart(2);
    assert!(world.partition("t", 0).leader_epoch() > LeaderEpoch(0), "{}", world.show("t", 0));
}

#[test]
fn q5_nothing_is_decided_before_the_epochs_first_record_is_folded() {
    let mut world = World::running(3);
    world.tell(|controller, _, _| {
        controller.elected(LeaderEpoch(9));
        assert!(!controller.is_active());
    });
}

fn reassign(world: &mut World, partition: i32, replicas: Option<&[i32]>) -> Result<(), ControllerError> {
    let nodes = replicas.map(|servers| servers.iter().map(|server| server * 1000).collect());
    let one = Reassignment { topic: "t".into(), partition: PartitionIndex(partition), replicas: nodes };
    let request = ControllerRequest::Reassign { partitions: vec![one], factor: FactorChange::Allowed };
    let ControllerReply::Reassign(mut results) = world.ask(&request) else { panic!("a reassignment") };
    results.remove(0)
}

#[test]
fn d2_a_cancelled_reassignment_costs_an_epoch() {
    let mut world = World::running(2);
    world.topic("t", &[&[1]]);
    assert_eq!(reassign(&mut world, 0, Some(&[2])), Ok(()));
    assert_eq!(world.show("t", 0), "1@0 1 / - / -");
    assert_eq!(reassign(&mut world, 0, None), Ok(()));
    assert_eq!(world.show("t", 0), "1@1 1 / - / -");
}

#[test]
fn d6_a_directory_that_was_set_back_is_no_candidate() {
    for (end, sequence) in [(0, 70), (i64::MAX, 69)] {
        let mut world = World::running(2);
        world.topic("t", &[&[2, 1]]);
        assert_eq!(world.isr("t", 0, &[2]), IsrOutcome::Decided);
        world.beat_with(2, |beat| beat.sequence = 70).expect("heard");
        world.kill(2);
        let back = world.servers.get_mut(&2).expect("a server");
        (back.recovered_end, back.sequence) = (Offset(end), sequence);
        world.start(2);
        assert_eq!(world.show("t", 0), "nobody@1 - / - / 2");
    }
    // A sequence that only an earlier controller has heard of was written down when the server was fenced.
    let mut world = World::running(2);
    world.topic("t", &[&[2, 1]]);
    assert_eq!(world.isr("t", 0, &[2]), IsrOutcome::Decided);
    world.beat_with(2, |beat| beat.sequence = 70).expect("heard");
    world.kill(2);
    world.elect(1);
    world.tick();
    world.restart(2);
    assert_eq!(world.show("t", 0), "nobody@1 - / - / 2");
}

#[test]
fn d6_an_honest_server_is_whole_though_it_never_flushed_its_last_registration() {
    let mut world = World::running(2);
    world.topic("t", &[&[2, 1]]);
    assert_eq!(world.isr("t", 0, &[2]), IsrOutcome::Decided);
    world.kill(2);
    let end = world.broker_epoch(2).0 + 1;
    world.servers.get_mut(&2).expect("a server").recovered_end = Offset(end);
    world.register(2).expect("registered");
    // Power fails again before that was flushed.
    world.start(2);
    assert_eq!(world.show("t", 0), "2@2 2 / - / -");
}

/// More partitions than one batch has changes for; half of them are led by server 2.
fn large() -> World {
    let mut world = World::running_with(3, |config| config.topics.partitions_max = 100_000);
    for name in ["a", "b"] {
        let many: Vec<&[i32]> =
            (0..9000).map(|nth| if nth % 2 == 0 { &[2, 1, 3][..] } else { &[1, 2, 3] }).collect();
        world.topic(name, &many);
    }
    world
}

fn partitions(world: &World) -> Vec<crate::controller::PartitionImage> {
    let image = world.controller().image();
    image.topics.values().flat_map(|topic| topic.partitions.clone()).collect()
}

#[test]
fn d8_a_registration_that_is_cut_off_leaves_nobody_leading_in_its_old_epoch() {
    let mut world = large();
    world.commits = false;
    world.register(2).expect("registered");
    assert!(world.tail.len() > 1, "{} batches", world.tail.len());
    world.commit(1);
    world.commits = true;
    world.elect(3);
    world.lane(1);
    world.tick();
    _ = world.register_again(2);
    world.pass(1500, &[1, 2, 3]);
    assert!(!world.is_fenced(2));
    let old = |it: &&crate::controller::PartitionImage| {
        it.replicas()[0] == ServerId(2) && it.leader_epoch() == LeaderEpoch(0)
    };
    assert_eq!(partitions(&world).iter().filter(old).count(), 0);
}

#[test]
fn d8_a_fencing_that_is_cut_off_leaves_no_dead_leader() {
    let mut world = large();
    world.commits = false;
    world.kill(2);
    assert!(world.tail.len() > 1, "{} batches", world.tail.len());
    world.commit(1);
    world.commits = true;
    world.elect(3);
    world.lane(1);
    world.pass(1500, &[1, 3]);
    assert!(world.is_fenced(2));
    let dead =
        |it: &&crate::controller::PartitionImage| it.leader().is_none_or(|leader| leader == ServerId(2));
    assert_eq!(partitions(&world).iter().filter(dead).count(), 0);
}

#[test]
fn d13_no_assignment_takes_the_only_members_away() {
    let mut world = World::running(5);
    world.topic("t", &[&[1, 2]]);
    assert_eq!(reassign(&mut world, 0, Some(&[3, 4])), Ok(()));
    assert_eq!(world.isr("t", 0, &[1, 2, 3]), IsrOutcome::Decided);
    assert_eq!(world.isr("t", 0, &[1, 3]), IsrOutcome::Decided);
    world.restart(2);
    world.elect(5);
    for server in [2, 3, 4] {
        world.lane(server);
    }
    world.pass(1500, &[2, 3, 4, 5]);
    assert_eq!(world.show("t", 0), "3@1 3 / - / -");
    let refused = |result| matches!(result, Err(ControllerError::InvalidReplicaAssignment(_)));
    assert!(refused(reassign(&mut world, 0, None)), "{}", world.show("t", 0));
    assert!(refused(reassign(&mut world, 0, Some(&[2, 4]))));
    assert_eq!(reassign(&mut world, 0, Some(&[3])), Ok(()));
}

#[test]
fn u0_after_a_power_cut_a_member_that_has_everything_leads() {
    let mut world = World::running(5);
    world.topic("t", &[&[1, 4, 5]]);
    world.elect(1);
    for server in [1, 2] {
        world.recover(server);
        world.register(server).expect("waits");
    }
    world.pass(1500, &[]);
    for server in [1, 2] {
        world.beat(server).expect("registered");
    }
    world.pass(10_000, &[1, 2]);
    assert!(world.show("t", 0).starts_with("1@"), "{}", world.show("t", 0));
}

fn minimum(world: &mut World, value: &str) {
    let edit = ("min.insync.replicas".to_owned(), ConfigOp::Set, Some(value.to_owned()));
    let resource = ConfigResource::Other(Resource::AllBrokers);
    let resources = vec![ResourceConfigs { resource, change: ConfigChange::Edit(vec![edit]) }];
    let request = ControllerRequest::AlterConfigs { resources, validate_only: false };
    assert_eq!(world.ask(&request), ControllerReply::AlterConfigs(vec![Ok(())]));
}

#[test]
fn u2_a_lower_minimum_leaves_who_is_eligible_where_nobody_goes_on() {
    let mut world = World::running(4);
    world.topic("t", &[&[2, 3, 4], &[1, 3, 4]]);
    for server in [4, 3, 2] {
        world.kill(server);
    }
    assert_eq!(
        (world.show("t", 0).as_str(), world.show("t", 1).as_str()),
        ("nobody@1 - / 2,3 / -", "1@0 1 / 3 / -")
    );
    minimum(&mut world, "1");
    assert_eq!(world.show("t", 0), "nobody@1 - / 2,3 / -", "nobody has acknowledged anything since");
    assert_eq!(world.show("t", 1), "1@0 1 / - / -", "from now on one is enough");
    world.restart(3);
    assert_eq!(world.show("t", 0), "3@2 3 / - / -");
    minimum(&mut world, "2");
    world.kill(3);
    assert_eq!(world.show("t", 0), "nobody@3 - / 3 / -");
}

#[test]
fn u4_whoever_read_a_snapshot_knows_the_same_epochs() {
    let mut world = World::running(3);
    world.topic("t", &[&[1, 2, 3], &[2, 3, 1]]);
    world.restart(2);
    world.kill(3);
    let controller = world.controller();
    let (mut writer, mut reader) = (controller.snapshot(), controller.snapshot_reader());
    while let Some(piece) = writer.next_piece(1000) {
        piece.iter().for_each(|record| reader.push(record).expect("a record of a snapshot"));
    }
    let mut other = controller.clone();
    other.depose();
    other.install(reader, controller.version()).expect("a whole snapshot");
    assert_eq!(format!("{:?}", other.image()), format!("{:?}", controller.image()));
    assert_eq!(other.image().servers[&ServerId(2)].broker_epoch, world.broker_epoch(2));
}

#[test]
fn u10_a_topic_of_a_rolling_restart_gets_all_its_replicas() {
    let mut world = World::running(3);
    world.kill(2);
    world.create(crate::controller::testing::topic("t", 3));
    for index in 0..3 {
        let partition = world.partition("t", index);
        assert_eq!((partition.replicas().len(), partition.isr().count()), (3, 2), "{}", show(&partition));
    }
    world.restart(2);
    let first = world.partition("t", 0).leader().expect("led").0;
    assert_eq!(world.isr("t", 0, &[1, 2, 3]), IsrOutcome::Decided);
    assert_eq!(world.partition("t", 0).leader(), Some(ServerId(first)));
}

#[test]
fn u15_an_id_is_given_once_whoever_is_controller() {
    let mut world = World::running(2);
    let next = |world: &mut World, directory: u8| {
        let directory = crate::base::DirectoryId([directory; 16]);
        let join = Join { directory, server: None, replace: Replace::No };
        world.tell(|controller, _, out| controller.join(&join, out)).map(|server| server.0)
    };
    assert_eq!((next(&mut world, 50), next(&mut world, 51), next(&mut world, 50)), (Ok(3), Ok(4), Ok(3)));
    world.elect(2);
    assert_eq!((next(&mut world, 52), next(&mut world, 51)), (Ok(5), Ok(4)));
    world.lane(1);
    world.tick();
    world.kill(1);
    let remove = ControllerRequest::RemoveServer { server: ServerId(1) };
    assert_eq!(world.ask(&remove), ControllerReply::RemoveServer(Ok(())));
    assert_eq!(world.join(1, Replace::Lost), Err(crate::controller::RegisterError::Removed(ServerId(1))));
    world.tell(Controller::tick);
}
