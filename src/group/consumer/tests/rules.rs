use super::*;

fn told(heartbeat: &Heartbeat) -> &Assignment {
    heartbeat.assignment.as_ref().expect("an assignment")
}

#[test]
fn the_first_member_has_everything() {
    let mut world = World::new(&[("t", 3)]);
    assert_eq!(world.group.state_name(), "Empty");
    let answer = world.send(&joining("a", &["t", "missing"])).unwrap();
    assert_eq!((&*answer.member_id, answer.member_epoch, answer.heartbeat_interval_ms), ("a", 1, 5000));
    assert_eq!(told(&answer), &world.set("t", &[0, 1, 2]));
    assert_eq!(world.group.state_name(), "Stable");
    let written = world.log.len();
    let answer = world.send(&beating("a", 1)).unwrap();
    assert_eq!((answer.member_epoch, answer.assignment, world.log.len()), (1, None, written), "nothing new");
    world.check_replay();
}

#[test]
fn a_partition_moves_when_its_holder_has_let_it_go() {
    let mut world = World::new(&[("t", 2)]);
    world.send(&joining("a", &["t"])).unwrap();
    let answer = world.send(&joining("b", &["t"])).unwrap();
    assert_eq!((answer.member_epoch, told(&answer).len()), (2, 0), "a has all");
    assert_eq!(world.group.state_name(), "Reconciling");
    let answer = world.send(&beating("a", 1)).unwrap();
    assert_eq!(
        (answer.member_epoch, told(&answer).len()),
        (1, 1),
        "a is told to give up one, and keeps its epoch"
    );
    let kept = told(&answer).clone();
    assert_eq!(world.send(&beating("b", 2)).unwrap().assignment, None, "a has not said so yet");
    assert_eq!(world.send(&beating("a", 1)).unwrap().member_epoch, 1);
    assert_eq!(world.send(&owning("a", 1, &kept)).unwrap().member_epoch, 2);
    let answer = world.send(&beating("b", 2)).unwrap();
    assert_eq!(told(&answer).len(), 1);
    assert!(!told(&answer).intersects(&kept));
    assert_eq!(world.group.state_name(), "Stable");
    world.check_replay();
}

#[test]
fn a_lost_answer_is_given_again() {
    let mut world = World::new(&[("t", 2)]);
    world.send(&joining("a", &["t"])).unwrap();
    world.send(&joining("b", &["t"])).unwrap();
    let kept = told(&world.send(&beating("a", 1)).unwrap()).clone();
    world.send(&owning("a", 1, &kept)).unwrap();
    // a's client has not heard of epoch 2.
    let answer = world.send(&owning("a", 1, &kept)).unwrap();
    assert_eq!((answer.member_epoch, told(&answer)), (2, &kept));
    let error = Err(GroupError::FencedMemberEpoch);
    assert_eq!(world.send(&owning("a", 1, &world.set("t", &[0, 1]))), error, "more than it was given");
    assert_eq!(world.send(&beating("a", 1)), error, "silence proves nothing");
    assert_eq!(world.send(&beating("a", 3)), error);
    let answer = world.send(&joining("a", &["t"])).unwrap();
    assert_eq!((answer.member_epoch, told(&answer)), (2, &kept), "fenced members join again");
}

#[test]
fn requests_that_make_no_sense_are_refused() {
    let mut world = World::new(&[("t", 2)]);
    let good = joining("a", &["t"]);
    let with = |change: &dyn Fn(&mut HeartbeatRequest)| {
        let mut request = good.clone();
        change(&mut request);
        request
    };
    let invalid = [
        with(&|it| it.group = name("")),
        with(&|it| it.member_id = name("")),
        with(&|it| it.instance_id = Some(name(""))),
        with(&|it| it.rack_id = Some(name(""))),
        with(&|it| it.rebalance_timeout_ms = None),
        with(&|it| it.owned = None),
        with(&|it| it.owned = Some([(TopicId([1; 16]), 0)].into_iter().collect())),
        with(&|it| it.topics = None),
        with(&|it| it.group = name(" \t")),
        with(&|it| it.member_epoch = -3),
        with(&|it| it.member_epoch = STATIC_LEAVE_EPOCH),
        with(&|it| (it.member_epoch, it.member_id) = (1, name(""))),
    ];
    for request in invalid {
        let refused = world.send(&request);
        assert!(matches!(refused, Err(GroupError::InvalidRequest(_))), "{request:?}: {refused:?}");
    }
    let unsupported = with(&|it| it.assignor = Some(name("sticky")));
    assert_eq!(world.send(&unsupported), Err(GroupError::UnsupportedAssignor));
    let pattern = with(&|it| it.pattern = Some(name("(")));
    assert_eq!(world.send(&pattern), Err(GroupError::InvalidRegularExpression));
    for request in [beating("a", 1), beating("a", LEAVE_EPOCH)] {
        assert_eq!(world.send(&request), Err(GroupError::UnknownMemberId));
    }
    assert!(world.log.is_empty());
}

#[test]
fn who_subscribes_to_nothing_is_a_member_with_nothing() {
    for brings_id in [false, true] {
        let mut world = World::new(&[("t", 1)]);
        let answer = world.send(&HeartbeatRequest { brings_id, ..joining("a", &[]) }).unwrap();
        assert_eq!((answer.member_epoch, told(&answer).len(), world.group.state_name()), (1, 0, "Stable"));
        let subscribes = HeartbeatRequest { topics: Some(vec![name("t")]), ..beating("a", 1) };
        assert_eq!(told(&world.send(&subscribes).unwrap()).len(), 1);
        world.check_replay();
    }
}

#[test]
fn the_server_names_members_that_bring_no_name() {
    let mut world = World::new(&[("t", 1)]);
    let answer = world.send(&HeartbeatRequest { brings_id: false, ..joining("", &["t"]) }).unwrap();
    assert_eq!(answer.member_id.len(), 36);
    let beat = HeartbeatRequest { brings_id: false, ..beating(&answer.member_id, 1) };
    assert_eq!(world.send(&beat).unwrap().member_epoch, 1);
}

#[test]
fn a_full_group_takes_nobody_more() {
    let mut world = World::new(&[("t", 1)]);
    world.limits.size_max = 1;
    world.send(&joining("a", &["t"])).unwrap();
    assert_eq!(world.send(&joining("b", &["t"])), Err(GroupError::GroupMaxSizeReached));
    world.send(&joining("a", &["t"])).unwrap();
    world.send(&beating("a", LEAVE_EPOCH)).unwrap();
    world.send(&joining("b", &["t"])).unwrap();
}

#[test]
fn who_leaves_or_falls_silent_leaves_partitions_to_the_others() {
    let mut world = World::new(&[("t", 4)]);
    world.send(&joining("a", &["t"])).unwrap();
    assert_eq!(world.send(&beating("a", LEAVE_EPOCH)).unwrap().member_epoch, LEAVE_EPOCH);
    assert_eq!((world.group.state_name(), world.group.epoch()), ("Empty", 2));
    world.send(&joining("a", &["t"])).unwrap();
    assert_eq!(world.group.next_deadline(), world.now.plus_ms(45_000));
    world.pass(20_000);
    assert_eq!(told(&world.send(&joining("b", &["t"])).unwrap()).len(), 0);
    assert_eq!(world.pass(24_999), [] as [Name; 0]);
    assert_eq!(world.pass(1), [name("a")]);
    assert_eq!(world.group.state_name(), "Assigning");
    let answer = world.send(&beating("b", 4)).unwrap();
    assert_eq!((answer.member_epoch, told(&answer).len()), (5, 4));
    assert_eq!(world.send(&beating("a", 3)), Err(GroupError::UnknownMemberId));
    world.check_replay();
}

#[test]
fn who_does_not_give_up_in_time_is_fenced() {
    let mut world = World::new(&[("t", 2)]);
    world.send(&HeartbeatRequest { rebalance_timeout_ms: Some(10_000), ..joining("a", &["t"]) }).unwrap();
    world.send(&joining("b", &["t"])).unwrap();
    world.send(&beating("a", 1)).unwrap();
    world.pass(9_999);
    world.send(&beating("a", 1)).unwrap();
    // A coordinator that starts now gives the member the whole time again.
    let mut restarted = world.replayed();
    restarted.start(world.now, &world.limits);
    assert_eq!(restarted.next_deadline(), world.now.plus_ms(10_000));
    assert_eq!(world.pass(1), [name("a")]);
    assert_eq!(told(&world.send(&beating("b", 2)).unwrap()).len(), 2);
}

#[test]
fn a_static_member_comes_back_to_what_it_had() {
    let mut world = World::new(&[("t", 2)]);
    let join = |member| HeartbeatRequest { instance_id: Some(name("i")), ..joining(member, &["t"]) };
    let beat = |member, epoch| HeartbeatRequest { instance_id: Some(name("i")), ..beating(member, epoch) };
    world.send(&join("a")).unwrap();
    assert_eq!(world.send(&join("b")), Err(GroupError::UnreleasedInstanceId));
    assert_eq!(world.send(&beat("b", 1)), Err(GroupError::FencedInstanceId));
    assert_eq!(world.send(&beat("b", STATIC_LEAVE_EPOCH)), Err(GroupError::FencedInstanceId));
    assert_eq!(world.send(&beat("a", STATIC_LEAVE_EPOCH)).unwrap().member_epoch, STATIC_LEAVE_EPOCH);
    assert_eq!(told(&world.send(&joining("c", &["t"])).unwrap()).len(), 0, "they wait for it");
    let answer = world.send(&join("b")).unwrap();
    assert_eq!(
        (answer.member_epoch, told(&answer).len()),
        (2, 1),
        "no new epoch for it; c takes the other half"
    );
    assert_eq!(world.send(&beat("a", 1)), Err(GroupError::FencedInstanceId));
    world.check_replay();
    // The member is away for too long.
    world.send(&beat("b", STATIC_LEAVE_EPOCH)).unwrap();
    world.pass(44_999);
    world.send(&beating("c", 2)).unwrap();
    assert_eq!(world.pass(1), [name("b")]);
    world.send(&join("d")).unwrap();
    world.check_replay();
}

#[test]
fn topics_that_come_grow_and_go_raise_the_epoch() {
    let mut world = World::new(&[("t", 1)]);
    world.send(&joining("a", &["t", "u"])).unwrap();
    world.make_topic("other", 5);
    assert_eq!(world.send(&beating("a", 1)).unwrap().member_epoch, 1, "nobody asked for it");
    world.make_topic("u", 2);
    let answer = world.send(&beating("a", 1)).unwrap();
    assert_eq!((answer.member_epoch, told(&answer).len()), (2, 3));
    world.make_topic("u", 4);
    let answer = world.send(&beating("a", 2)).unwrap();
    assert_eq!((answer.member_epoch, told(&answer).len()), (3, 5));
    world.delete_topic("u");
    let answer = world.send(&beating("a", 3)).unwrap();
    assert_eq!((answer.member_epoch, told(&answer)), (3, &world.set("t", &[0])), "it must let go first");
    assert_eq!(world.send(&owning("a", 3, &world.set("t", &[0]))).unwrap().member_epoch, 4);
    world.check_replay();
}

#[test]
fn patterns_follow_the_topics() {
    let mut world = World::new(&[("logs-a", 1), ("other", 1), ("__logs", 1)]);
    let join = HeartbeatRequest { topics: None, pattern: Some(name(".*logs.*")), ..joining("a", &[]) };
    let answer = world.send(&join).unwrap();
    let both: Assignment = [(world.topic("logs-a"), 0), (world.topic("__logs"), 0)].into_iter().collect();
    assert_eq!(told(&answer), &both, "the server's own topics are topics");
    world.make_topic("logs-b", 1);
    assert_eq!(world.send(&beating("a", 1)).unwrap().member_epoch, 1, "not more than once a second");
    world.pass(1000);
    let answer = world.send(&beating("a", 1)).unwrap();
    assert_eq!((answer.member_epoch, told(&answer).len()), (2, 3));
    // A coordinator that starts again has the same state.
    world.group = world.replayed();
    world.group.start(world.now, &world.limits);
    assert_eq!(world.send(&beating("a", 2)).unwrap().member_epoch, 2);
    let renamed =
        HeartbeatRequest { pattern: Some(name("")), topics: Some(vec![name("other")]), ..beating("a", 2) };
    let answer = world.send(&renamed).unwrap();
    assert_eq!((answer.member_epoch, told(&answer).len()), (2, 0));
    let answer = world.send(&owning("a", 2, &Assignment::default())).unwrap();
    assert_eq!((answer.member_epoch, told(&answer)), (3, &world.set("other", &[0])));
    world.check_replay();
}

#[test]
fn most_members_wish_decides_the_assignor() {
    let mut world = World::new(&[("t", 4), ("u", 4)]);
    let join = |member, assignor| HeartbeatRequest {
        assignor: Some(name(assignor)),
        ..joining(member, &["t", "u"])
    };
    world.send(&joining("a", &["t", "u"])).unwrap();
    assert_eq!(world.group.describe(&world.limits).assignor, "uniform");
    world.send(&join("b", "range")).unwrap();
    let described = world.group.describe(&world.limits);
    assert_eq!((described.assignor, described.members.len()), ("range", 2));
    let halves = &described.members[1].target;
    assert_eq!((halves.count(world.topic("t")), halves.count(world.topic("u"))), (2, 2));
    assert!((2..4).all(|it| halves.contains(world.topic("t"), it) && halves.contains(world.topic("u"), it)));
}

#[test]
fn commits_stand_while_the_partitions_are_the_members() {
    let mut world = World::new(&[("t", 2)]);
    let claim =
        |member: &str, member_epoch| Claim { member_id: name(member), member_epoch, knows_epochs: true };
    assert_eq!(world.group.check_commit(&claim("", -1), []), Ok(()), "an empty group's offsets can be set");
    world.send(&joining("a", &["t"])).unwrap();
    world.send(&joining("b", &["t"])).unwrap();
    let kept = told(&world.send(&beating("a", 1)).unwrap()).clone();
    let all = world.set("t", &[0, 1]);
    let check = |world: &World, claim: &Claim, partitions: &Assignment| {
        world.group.check_commit(claim, partitions.iter())
    };
    assert_eq!(check(&world, &claim("a", 1), &all), Ok(()), "what it must give up it may commit");
    world.send(&owning("a", 1, &kept)).unwrap();
    assert_eq!(check(&world, &claim("a", 2), &all), Ok(()));
    assert_eq!(check(&world, &claim("a", 1), &kept), Ok(()), "an older epoch, but its partitions");
    let stale = Err(GroupError::StaleMemberEpoch);
    assert_eq!(check(&world, &claim("a", 1), &all), stale);
    assert_eq!(check(&world, &claim("a", 3), &kept), stale);
    assert_eq!(check(&world, &claim("a", -1), &kept), stale);
    assert_eq!(check(&world, &claim("x", 1), &kept), Err(GroupError::UnknownMemberId));
    assert_eq!(check(&world, &claim("", -1), &kept), Err(GroupError::UnknownMemberId));
    let old = Claim { knows_epochs: false, ..claim("a", 2) };
    assert_eq!(check(&world, &old, &kept), Err(GroupError::UnsupportedVersion));
    // The member gets back what the other one had meanwhile: commits under its old epoch do not count.
    world.send(&beating("b", LEAVE_EPOCH)).unwrap();
    assert_eq!(told(&world.send(&beating("a", 2)).unwrap()), &all);
    assert_eq!(check(&world, &claim("a", 3), &all), Ok(()));
    assert_eq!(check(&world, &claim("a", 2), &kept), Ok(()));
    assert_eq!(check(&world, &claim("a", 2), &all), stale);
    let unknown = Err(GroupError::UnknownMemberId);
    for (claim, result) in [
        (claim("a", 3), Ok(())),
        (claim("a", 2), stale),
        (claim("a", 4), stale),
        (claim("a", 0), stale),
        (claim("a", -1), stale),
        (claim("a", i32::MIN), stale),
        (claim("x", 3), unknown),
        (claim("", 0), unknown),
        (claim("", -1), unknown),
    ] {
        assert_eq!(world.group.check_fetch(&claim), result, "{claim:?}");
    }
}

#[test]
fn a_deleted_group_leaves_no_trace() {
    let mut world = World::new(&[("t", 2)]);
    world.send(&joining("a", &["t"])).unwrap();
    world.send(&beating("a", LEAVE_EPOCH)).unwrap();
    world.log.extend(world.group.delete());
    assert_eq!(durable(&world.replayed()), durable(&ConsumerGroup::new(name("g"))));
    // All keys ever written have been deleted.
    let mut left = std::collections::BTreeMap::new();
    for record in &world.log {
        left.insert(record.key.clone(), record.value.is_some());
    }
    assert!(left.values().all(|has_value| !has_value));
}
