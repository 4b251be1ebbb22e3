//! Whatever happens to servers and controllers, every committed image is sound, and is the fold of its log.

use proptest::prelude::*;

use crate::base::rng::Rng;
use crate::base::{LeaderEpoch, PartitionEpoch, ServerId};
use crate::controller::{
    ControllerRequest, Damage, Dialled, FactorChange, MetadataImage, NewTopic, Reassignment, Wants,
};

use super::*;

const SERVERS: i32 = 5;

/// One step: what happens, and how much of what was decided is committed after it.
type Step = (u8, u32, u8);

/// Epochs of each partition as they were last.
type Epochs = std::collections::BTreeMap<(String, usize), (LeaderEpoch, PartitionEpoch)>;

fn any_server(rng: &mut Rng) -> i32 {
    1 + i32::try_from(rng.below(u64::from(SERVERS.unsigned_abs()))).expect("few")
}

fn any_servers(rng: &mut Rng, most: u64) -> Vec<i32> {
    let mut servers: Vec<i32> = (0..=rng.below(most)).map(|_| any_server(rng)).collect();
    let mut seen = std::collections::BTreeSet::new();
    servers.retain(|server| seen.insert(*server));
    servers
}

fn step(world: &mut World, kind: u8, rng: &mut Rng) {
    let server = any_server(rng);
    match kind {
        0..4 => world.kill(server),
        4 => world.close(server),
        5 => world.lane(server),
        6 => {
            let epoch = world.broker_epoch(server);
            let found =
                [Dialled::Refused, Dialled::Silent, Dialled::Answered(None), Dialled::Answered(Some(epoch))];
            world.dialled(server, found[usize::try_from(rng.below(4)).expect("one of four")]);
        }
        7..14 => {
            let wanted = world.servers.get_mut(&server).expect("a server");
            wanted.clean = rng.below(2) == 0;
            wanted.damaged = if rng.below(6) == 0 { Damage::Everything } else { Damage::Nothing };
            if rng.below(5) > 0 {
                world.recover(server);
            }
            _ = world.register(server);
        }
        14..18 => {
            for server in any_servers(rng, 8) {
                _ = world.beat(server);
            }
        }
        18 => drop(world.beat_with(server, |beat| beat.wants = Wants::Stop)),
        19..25 => ask_isr(world, rng),
        25 => world.elect(server),
        26..28 => world.pass(rng.below(4000), &any_servers(rng, 6)),
        28 => {
            let replicas = any_servers(rng, 4).into_iter().map(|server| server * 1000).collect();
            let replicas = (rng.below(4) > 0).then_some(replicas);
            let partition = crate::base::PartitionIndex(i32::try_from(rng.below(4)).expect("few"));
            let partitions = vec![Reassignment { topic: "t".into(), partition, replicas }];
            world.ask(&ControllerRequest::Reassign { partitions, factor: FactorChange::Allowed });
        }
        _ => world.tick(),
    }
}

fn ask_isr(world: &mut World, rng: &mut Rng) {
    let index = i32::try_from(rng.below(4)).expect("few");
    let mut isr: Vec<i32> = any_servers(rng, 4);
    let now = world.partition("t", index);
    isr.retain(|server| now.replicas().contains(&ServerId(*server)));
    if let Some(leader) = now.leader() {
        isr.retain(|server| *server != leader.0);
        isr.push(leader.0);
    }
    let asked = world.isr_asked("t", index, &isr);
    _ = world.ask_isr(&asked);
}

/// Invariant 14, and that epochs never fall.
fn check(image: &MetadataImage, before: &mut Epochs) {
    for topic in image.topics.values() {
        for (index, partition) in topic.partitions.iter().enumerate() {
            let shown = world::show(partition);
            let is_sole = partition.replicas().len() == 1;
            assert!(
                is_sole || partition.isr().all(|server| !image.is_fenced(server)),
                "fenced in no ISR: {shown}"
            );
            let enough = image.min_isr_of(topic).of(partition.replication());
            assert!(partition.isr().count() < enough || partition.elr().next().is_none(), "{shown}");
            assert_eq!(partition.leader().is_none(), partition.isr().next().is_none(), "{shown}");
            let epochs = (partition.leader_epoch(), partition.partition_epoch());
            let key = (topic.name.to_string(), index);
            let last = before.insert(key, epochs).unwrap_or(epochs);
            assert!(last.0 <= epochs.0 && last.1 <= epochs.1, "{shown}");
        }
    }
}

fn run(steps: &[Step], seed: u64) {
    let mut rng = Rng::seeded(seed);
    let mut world = World::running(SERVERS);
    world.create(NewTopic { replication_factor: 3, ..crate::controller::testing::topic("t", 4) });
    world.create(NewTopic { internal: true, ..crate::controller::testing::topic("u", 1) });
    world.commits = false;
    let mut epochs = Epochs::new();
    for (kind, draws, committed) in steps {
        let mut drawn = Rng::seeded(u64::from(*draws) ^ rng.next_u64());
        step(&mut world, *kind, &mut drawn);
        // Now and then something is held back until later, or lost with its controller.
        world.commit(if *committed < 8 { usize::MAX } else { 0 });
        check(&world.controller().image(), &mut epochs);
    }
    world.commit(usize::MAX);
    let images: Vec<String> = world.images().map(|image| format!("{:?}", image.cluster)).collect();
    assert!(images.iter().all(|image| *image == images[0]), "every controller has the same state");
    world.commits = true;
    settles(&mut world);
}

/// When everybody is back, everything is led by somebody who has it all, or waits for an operator.
fn settles(world: &mut World) {
    world.elect(1);
    for server in 1..=SERVERS {
        world.recover(server);
        let back = world.servers.get_mut(&server).expect("a server");
        back.damaged = Damage::Nothing;
        if world.register(server).is_ok() {
            _ = world.beat(server);
        }
    }
    let all: Vec<i32> = (1..=SERVERS).collect();
    world.pass(5000, &all);
    assert!(all.iter().all(|server| !world.is_fenced(*server)));
    for index in 0..4 {
        let partition = world.partition("t", index);
        let waits = partition.elr().next().is_none() && partition.last_known().next().is_some();
        let never = partition.isr().next().is_none() && partition.elr().next().is_none();
        assert!(partition.leader().is_some() || waits || never, "{}", world.show("t", index));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]
    #[test]
    fn committed_images_are_sound(steps in prop::collection::vec((0u8..30, any::<u32>(), 0u8..10), 1..60), seed: u64) {
        run(&steps, seed);
    }
}
