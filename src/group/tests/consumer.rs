//! The consumer protocol (KIP-848), and groups on their way from one protocol to the other.

use super::*;

fn consumer_joining(member_id: &str) -> GroupRequest {
    GroupRequest::ConsumerHeartbeat(HeartbeatRequest {
        group: "g".into(),
        member_id: member_id.into(),
        rebalance_timeout_ms: Some(60_000),
        topics: Some(vec!["t".into()]),
        owned: Some(Assignment::default()),
        brings_id: true,
        ..HeartbeatRequest::default()
    })
}

fn consumer_leaving(member_id: &str) -> GroupRequest {
    let (group, member_id) = ("g".into(), member_id.into());
    let epochs = HeartbeatRequest { member_epoch: -1, brings_id: true, ..HeartbeatRequest::default() };
    GroupRequest::ConsumerHeartbeat(HeartbeatRequest { group, member_id, ..epochs })
}

impl Bench {
    fn beat(&mut self, request: GroupRequest) -> Result<Heartbeat, GroupError> {
        match self.answer(request) {
            GroupReply::ConsumerHeartbeat(result) => result,
            other => panic!("{other:?}"),
        }
    }

    fn described(&mut self) -> Result<DescribedConsumerGroup, GroupError> {
        match self.answer(GroupRequest::DescribeConsumers { group: "g".into() }) {
            GroupReply::DescribeConsumers(result) => result,
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_consumer_group_outlives_its_coordinator_and_keeps_its_offsets() {
    let mut bench = Bench::new();
    bench.image = image_with(1, 2);
    let outside = member(-1, "", None);
    bench.commit(outside.clone(), "t", 7).unwrap();
    assert_eq!(bench.beat(consumer_joining("a")).unwrap().member_epoch, 1);
    bench.commit_as(true, member(1, "a", None), "t", 8).unwrap();
    assert_eq!(bench.commit_as(true, outside, "t", 9), Err(GroupError::UnknownMemberId));
    let described = bench.described();
    let mut bench = bench.restarted();
    assert_eq!(bench.described(), described);
    assert_eq!(bench.committed("t"), 8);
    bench.pass(45_000);
    assert_eq!(bench.described().unwrap().state, "Empty", "silent since the restart");
    let mut bench = bench.restarted();
    assert_eq!(bench.described().unwrap().epoch, 2);
    assert!(matches!(bench.answer(GroupRequest::Delete { group: "g".into() }), GroupReply::Delete(Ok(()))));
    assert_eq!(bench.described(), Err(GroupError::GroupIdNotFound));
    let mut bench = bench.restarted();
    assert_eq!((bench.described(), bench.committed("t")), (Err(GroupError::GroupIdNotFound), -1));
}

#[test]
fn an_empty_group_takes_the_protocol_of_who_comes() {
    let mut bench = Bench::new();
    bench.image = image_with(1, 2);
    let classic = bench.stable_member();
    bench.commit(member(classic.generation, &classic.member_id, None), "t", 7).unwrap();
    bench.answer(leave(&classic.member_id, None));
    assert_eq!(bench.beat(consumer_joining("a")).unwrap().member_epoch, 1);
    let mut bench = bench.restarted();
    assert_eq!((bench.described().unwrap().members.len(), bench.committed("t")), (1, 7));
    bench.beat(consumer_leaving("a")).unwrap();
    bench.stable_member();
    let mut bench = bench.restarted();
    assert_eq!((bench.describe().members.len(), bench.committed("t")), (1, 7));
    assert_eq!(bench.described(), Err(GroupError::GroupIdNotFound));
}

/// The metadata of a cooperative consumer.
fn subscription(owned: &[i32]) -> Bytes {
    let owned =
        consumer_protocol_subscription::TopicPartition { topic: "t".into(), partitions: owned.to_vec() };
    let message = ConsumerProtocolSubscription {
        topics: vec!["t".into()],
        user_data: None,
        owned_partitions: vec![owned],
        generation_id: -1,
        rack_id: None,
    };
    record::versioned(&message, 3).into()
}

fn assignment(partitions: &[i32]) -> Bytes {
    let partitions = partitions.to_vec();
    let topic = consumer_protocol_assignment::TopicPartition { topic: "t".into(), partitions };
    record::versioned(&ConsumerProtocolAssignment { assigned_partitions: vec![topic], user_data: None }, 3)
        .into()
}

impl Bench {
    fn join_owning(&mut self, member_id: &str, owned: &[i32]) -> Joined {
        let protocols = vec![("cooperative-sticky".into(), subscription(owned))];
        let request = JoinRequest { protocols, ..join_as(member_id, None, false) };
        let ticket = self.ask(GroupRequest::Join(request));
        self.joined(ticket)
    }

    fn sync_assigning(&mut self, joined: &Joined, partitions: &[i32]) -> Result<Vec<i32>, GroupError> {
        let request = GroupRequest::Sync(SyncRequest {
            group: "g".into(),
            member: member(joined.generation, &joined.member_id, None),
            protocol_type: Some("consumer".into()),
            protocol: Some("cooperative-sticky".into()),
            assignments: vec![(joined.member_id.clone(), assignment(partitions))],
        });
        match self.answer(request) {
            GroupReply::Sync(result) => result.map(|synced| {
                let read = crate::group::consumer::read_assignment(&synced.assignment, &self.image).unwrap();
                read.iter().map(|(_, partition)| partition).collect()
            }),
            other => panic!("{other:?}"),
        }
    }

    fn beat_at(&mut self, member_id: &str, member_epoch: i32) -> Heartbeat {
        let (group, member_id) = ("g".into(), member_id.into());
        let rest = HeartbeatRequest { brings_id: true, ..HeartbeatRequest::default() };
        self.beat(GroupRequest::ConsumerHeartbeat(HeartbeatRequest {
            group,
            member_id,
            member_epoch,
            ..rest
        }))
        .unwrap()
    }

    /// A classic member has everything, then a member of the new protocol joins.
    fn migrating() -> (Bench, Joined) {
        let mut bench = Bench::new();
        bench.image = image_with(1, 4);
        let classic = bench.join_owning("", &[]);
        assert_eq!(bench.sync_assigning(&classic, &[0, 1, 2, 3]), Ok(vec![0, 1, 2, 3]));
        bench.commit(member(classic.generation, &classic.member_id, None), "t", 7).unwrap();
        let told = bench.beat(consumer_joining("new")).unwrap();
        assert_eq!(
            (told.member_epoch, told.assignment),
            (classic.generation + 1, Some(Assignment::default()))
        );
        (bench, classic)
    }
}

#[test]
fn a_live_classic_group_goes_over_to_the_new_protocol_and_back() {
    let (bench, classic) = Bench::migrating();
    let mut bench = bench.restarted();
    assert_eq!(bench.committed("t"), 7);
    assert_eq!(bench.described().unwrap().members.len(), 2);
    // The classic member steps by joining and syncing: give up, then move.
    assert_eq!(bench.heartbeat(&classic), Err(GroupError::RebalanceInProgress));
    let again = bench.join_owning(&classic.member_id, &[0, 1, 2, 3]);
    assert_eq!((again.generation, &*again.leader, again.members.len()), (classic.generation, "", 0));
    let kept = bench.sync_assigning(&again, &[]).unwrap();
    assert_eq!(kept.len(), 2);
    assert_eq!(bench.heartbeat(&again), Err(GroupError::RebalanceInProgress), "to say what it has given up");
    assert_eq!(bench.beat_at("new", classic.generation + 1).assignment, None);
    let moved = bench.join_owning(&classic.member_id, &kept);
    assert_eq!(moved.generation, classic.generation + 1);
    assert_eq!(bench.heartbeat(&classic), Err(GroupError::IllegalGeneration));
    assert_eq!(bench.sync_assigning(&moved, &[]), Ok(kept));
    assert_eq!(bench.heartbeat(&moved), Ok(()));
    assert_eq!(bench.beat_at("new", moved.generation).assignment.unwrap().len(), 2);
    bench.commit(member(moved.generation, &moved.member_id, None), "t", 8).unwrap();
    // The last member of the new protocol leaves: the group is classic again, and its member must join again.
    let mut bench = bench.restarted();
    assert_eq!(bench.described().unwrap().state, "Stable");
    bench.beat(consumer_leaving("new")).unwrap();
    let restarted = bench.restarted();
    for mut bench in [bench, restarted] {
        bench.goes_on_as_classic(&moved, 8);
        let leader = bench.join_owning(&moved.member_id, &[]);
        assert_eq!((leader.generation, &leader.leader), (moved.generation + 1, &moved.member_id));
        assert_eq!(bench.heartbeat(&moved), Err(GroupError::IllegalGeneration));
        assert_eq!(bench.sync_assigning(&leader, &[0, 1, 2, 3]), Ok(vec![0, 1, 2, 3]));
    }
}

impl Bench {
    /// Checks that a classic member is told to join again, and that its commits in its epoch are accepted until then.
    fn goes_on_as_classic(&mut self, member_of: &Joined, committed: i64) {
        assert_eq!(self.described(), Err(GroupError::GroupIdNotFound));
        assert_eq!((self.describe().state, self.committed("t")), ("PreparingRebalance", committed));
        assert_eq!(self.heartbeat(member_of), Err(GroupError::RebalanceInProgress));
        assert_eq!(self.sync_assigning(member_of, &[]), Err(GroupError::RebalanceInProgress));
        let holds = member(member_of.generation, &member_of.member_id, None);
        self.commit(holds.clone(), "t", committed + 1).unwrap();
        assert_eq!(self.committed("t"), committed + 1);
        for generation in [holds.generation - 1, holds.generation + 1, -1] {
            let other = MemberRef { generation, ..holds.clone() };
            assert_eq!(self.commit(other, "t", 99), Err(GroupError::IllegalGeneration), "{generation}");
        }
    }

    /// A classic member and a new one, each with its target assignment.
    fn mixed() -> (Bench, Joined) {
        let (mut bench, classic) = Bench::migrating();
        bench.heartbeat(&classic).unwrap_err();
        let again = bench.join_owning(&classic.member_id, &[0, 1, 2, 3]);
        let kept = bench.sync_assigning(&again, &[]).unwrap();
        let moved = bench.join_owning(&classic.member_id, &kept);
        assert_eq!(bench.sync_assigning(&moved, &[]), Ok(kept));
        bench.beat_at("new", moved.generation);
        assert_eq!(bench.described().unwrap().state, "Stable");
        (bench, moved)
    }
}

#[test]
fn a_group_goes_back_however_its_last_new_member_goes() {
    type Way = fn(&mut Bench, &Joined);
    let by_itself: Way = |bench, _| drop(bench.beat(consumer_leaving("new")).unwrap());
    // By LeaveGroup, as administrators do; named twice, it goes once.
    let by_an_administrator: Way = |bench, _| {
        let leaving = || LeavingMember { member_id: "new".into(), instance_id: None };
        let request = GroupRequest::Leave { group: "g".into(), members: vec![leaving(), leaving()] };
        assert_eq!(bench.answer(request), GroupReply::Leave(Ok(vec![Ok(()), Ok(())])));
    };
    let by_silence: Way = |bench, moved| {
        for _ in 0..9 {
            bench.pass(5000);
            let _ = bench.heartbeat(moved);
        }
    };
    for way in [by_itself, by_an_administrator, by_silence] {
        let (mut bench, moved) = Bench::mixed();
        way(&mut bench, &moved);
        let restarted = bench.restarted();
        for mut bench in [bench, restarted] {
            bench.goes_on_as_classic(&moved, 7);
            // Silence ends the member's session as always.
            bench.pass(u64::from(SESSION_MS.unsigned_abs()));
            assert_eq!(bench.heartbeat(&moved), Err(GroupError::UnknownMemberId));
            assert_eq!(bench.describe().state, "Empty");
        }
    }
}

#[test]
fn who_had_not_followed_yet_goes_on_in_the_epoch_it_holds() {
    let (mut bench, classic) = Bench::migrating();
    // Before the classic member has heard of anything.
    bench.beat(consumer_leaving("new")).unwrap();
    bench.goes_on_as_classic(&classic, 7);
    let leader = bench.join_owning(&classic.member_id, &[0, 1, 2, 3]);
    assert_eq!(leader.generation, classic.generation + 2, "that of the group's epoch is never used again");
    assert_eq!(bench.commit(member(classic.generation, &classic.member_id, None), "t", 9), {
        Err(GroupError::IllegalGeneration)
    });
    assert_eq!(bench.sync_assigning(&leader, &[0, 1, 2, 3]), Ok(vec![0, 1, 2, 3]));
}

#[test]
fn a_group_that_is_too_large_or_may_not_go_back_stays_as_it_is() {
    let changes: [fn(&mut GroupLimits); 2] = [|it| it.consumer.downgrade = false, |it| it.size_max = 1];
    for change in changes {
        let (bench, moved) = Bench::mixed();
        let mut limits = (*bench.limits).clone();
        change(&mut limits);
        let mut bench = Bench { limits: Arc::new(limits), ..bench }.restarted();
        let other = bench.join_owning("", &[]);
        bench.beat(consumer_leaving("new")).unwrap();
        assert_eq!(bench.described().unwrap().members.len(), 2);
        assert_eq!(bench.heartbeat(&moved), Err(GroupError::RebalanceInProgress));
        assert!(bench.join_owning(&moved.member_id, &[]).generation > other.generation);
    }
}

#[test]
fn an_instance_that_goes_back_to_the_classic_protocol_takes_the_group_along() {
    let instance = |it: GroupRequest| match it {
        GroupRequest::ConsumerHeartbeat(request) => {
            GroupRequest::ConsumerHeartbeat(HeartbeatRequest { instance_id: Some("i".into()), ..request })
        }
        other => panic!("{other:?}"),
    };
    let mut bench = Bench::new();
    bench.image = image_with(1, 4);
    let told = bench.beat(instance(consumer_joining("new"))).unwrap();
    assert_eq!(told.assignment.unwrap().len(), 4);
    let back = |bench: &mut Bench, topics: &str| {
        let metadata = Bytes::from(subscription(&[0, 1, 2, 3]).to_vec());
        let metadata = if topics == "t" { metadata } else { Bytes::from_static(b"\0\0\0\0\0\0\0\0\0\0") };
        let protocols = vec![("cooperative-sticky".into(), metadata)];
        let ticket =
            bench.ask(GroupRequest::Join(JoinRequest { protocols, ..join_as("", Some("i"), false) }));
        bench.joined(ticket)
    };
    // The member subscribes as before: no rebalance is needed, and the server's assignment stays.
    let mut same = bench.restarted();
    let joined = back(&mut same, "t");
    assert_eq!(joined.generation, told.member_epoch);
    let mut restarted = same.restarted();
    for bench in [&mut same, &mut restarted] {
        assert_eq!(bench.described(), Err(GroupError::GroupIdNotFound));
        assert_eq!(bench.describe().state, "Stable");
        let at = member(joined.generation, &joined.member_id, Some("i"));
        let beat = GroupRequest::Heartbeat { group: "g".into(), member: at };
        assert_eq!(bench.answer(beat), GroupReply::Heartbeat(Ok(())));
        assert_eq!(bench.sync_assigning(&joined, &[]), Ok(vec![0, 1, 2, 3]));
    }
    // The member subscribes to something else: one of the members has to assign.
    let joined = back(&mut bench, "nothing");
    assert_eq!(bench.describe().state, "PreparingRebalance");
    let again = bench.ask(join(&joined.member_id, Some("i")));
    assert_eq!(bench.joined(again).leader, joined.member_id);
}

#[test]
fn classic_members_that_do_not_follow_are_fenced() {
    let (mut bench, classic) = Bench::migrating();
    for _ in 0..6 {
        assert_eq!(bench.heartbeat(&classic), Err(GroupError::RebalanceInProgress), "told to join");
        bench.beat_at("new", classic.generation + 1);
        bench.pass(9_000);
    }
    assert_eq!(bench.described().unwrap().members.len(), 2);
    bench.heartbeat(&classic).unwrap_err();
    bench.pass(6_000);
    assert_eq!(bench.heartbeat(&classic), Err(GroupError::UnknownMemberId), "a rebalance timeout later");
    assert_eq!(bench.beat_at("new", classic.generation + 1).assignment.unwrap().len(), 4);
    // Silence is another matter: the member's own session counts.
    let (mut bench, classic) = Bench::migrating();
    bench.pass(u64::from(SESSION_MS.unsigned_abs()));
    assert_eq!(bench.heartbeat(&classic), Err(GroupError::UnknownMemberId));
}

#[test]
fn classic_members_leave_a_consumer_group_by_their_own_request() {
    let (mut bench, classic) = Bench::migrating();
    let leaves = |bench: &mut Bench, id: &str| match bench.answer(leave(id, None)) {
        GroupReply::Leave(Ok(results)) => results[0],
        other => panic!("{other:?}"),
    };
    assert_eq!(leaves(&mut bench, "nobody"), Err(GroupError::UnknownMemberId));
    assert_eq!(leaves(&mut bench, &classic.member_id), Ok(()));
    assert_eq!(bench.beat_at("new", classic.generation + 1).assignment.unwrap().len(), 4);
    let joined = JoinRequest { protocol_type: "connect".into(), ..join_as("", None, false) };
    assert!(matches!(
        bench.answer(GroupRequest::Join(joined)),
        GroupReply::Join(Err(JoinRefused { error: GroupError::InconsistentGroupProtocol, .. }))
    ));
    let required = bench.answer(GroupRequest::Join(join_as("", None, true)));
    let GroupReply::Join(Err(JoinRefused { error: GroupError::MemberIdRequired, member_id })) = required
    else {
        panic!("{required:?}")
    };
    assert_eq!(bench.join_owning(&member_id, &[]).member_id, member_id);
}

#[test]
fn a_group_that_cannot_be_understood_stays_classic() {
    let mut bench = Bench::new();
    bench.image = image_with(1, 4);
    let classic = bench.stable_member();
    assert_eq!(
        bench.beat(consumer_joining("new")),
        Err(GroupError::GroupIdNotFound),
        "its assignment is not Kafka's"
    );
    assert_eq!(bench.heartbeat(&classic), Ok(()));
    let mut bench = Bench::with(|limits| limits.consumer.upgrade = false);
    bench.image = image_with(1, 4);
    let classic = bench.join_owning("", &[]);
    bench.sync_assigning(&classic, &[0]).unwrap();
    assert_eq!(bench.beat(consumer_joining("new")), Err(GroupError::GroupIdNotFound));
}

#[test]
fn a_coordinator_that_draws_the_same_numbers_again_makes_other_ids() {
    let joining = || {
        GroupRequest::ConsumerHeartbeat(HeartbeatRequest {
            group: "g".into(),
            rebalance_timeout_ms: Some(60_000),
            topics: Some(vec!["t".into()]),
            owned: Some(Assignment::default()),
            ..HeartbeatRequest::default()
        })
    };
    let mut bench = Bench::new();
    bench.image = image_with(1, 2);
    let first = bench.beat(joining()).unwrap().member_id;
    let mut bench = bench.restarted_with_seed(SEED);
    assert_ne!(first, bench.beat(joining()).unwrap().member_id);
    assert_eq!(bench.described().unwrap().members.len(), 2);
}
